"""Any optimiser of torch.optim, by name, with a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from odenn.optimise.objective import Fit, Objective, Record, Watch, peaks

SCHEDULES = ("constant", "cosine", "exponential")


@dataclass(frozen=True, kw_only=True)
class TorchOptimiser:
    """An optimiser of `torch.optim`.

    Parameters
    ----------
    name
        Class in torch.optim: "Adam", "AdamW", "SGD", "RMSprop", "LBFGS", ...
    lr
        Learning rate.
    iterations
        Steps per window and network (of LBFGS: outer steps).
    schedule
        "constant", "cosine" (to zero at the end) or "exponential" (to a thousandth).
    options
        Further arguments of the class.
    """

    name: str = "Adam"
    lr: float = 1e-3
    iterations: int = 2000
    schedule: str = "cosine"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        kind = getattr(torch.optim, self.name, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)) or kind is torch.optim.Optimizer:
            raise ValueError(f"`name` must be a class of torch.optim, such as Adam or LBFGS, got {self.name!r}")
        if not self.lr > 0:
            raise ValueError(f"`lr` must be positive, got {self.lr!r}")
        if not (isinstance(self.iterations, int) and self.iterations >= 1):
            raise ValueError(f"`iterations` must be a positive whole number, got {self.iterations!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"`schedule` must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")

    @property
    def paired(self) -> bool:
        """Networks start as they are usually drawn: a first-order step would be far too long on a paired start."""
        return False

    def minimise(self, objective: Objective, w: Tensor, *, goal: float, watch: Watch | None = None) -> Fit:
        """Iterate until the largest residual is at most `goal` or the iterations are used up; keeps the best."""
        weights = w.detach().clone().requires_grad_()
        optimiser = self._optimiser(weights)
        best, best_loss, largest, stop = weights.detach().clone(), math.inf, math.inf, "iterations"
        history: list[Record] = []
        lookup: dict[str, Any] = {}

        def closure() -> Tensor:
            optimiser.zero_grad()
            r = objective.residual(weights)
            loss = (r * r).mean()
            loss.backward()
            lookup.setdefault("r", r.detach())
            return loss

        for iteration in range(self.iterations):
            rate = self.lr * self._rate(iteration / self.iterations)
            for group in optimiser.param_groups:
                group["lr"] = rate
            before = weights.detach().clone()
            lookup.clear()
            optimiser.step(closure)  # pyright: ignore[reportArgumentType, reportCallIssue] - the stub says float
            r: Tensor = lookup["r"]  # residuals at `before`
            loss, peak = float((r * r).mean()), float(r.abs().max())
            if not math.isfinite(loss):
                stop = "not finite"
                break
            gradient = float(weights.grad.norm()) if weights.grad is not None else 0.0
            history.append(
                Record(
                    iteration=iteration + 1,
                    loss=loss,
                    gradient=gradient,
                    control=rate,
                    residuals=peaks(r, objective.blocks),
                )
            )
            if loss < best_loss:
                best, best_loss, largest = before, loss, peak
            if peak <= goal:
                stop = "goal"
                break
            if watch is not None and watch(history[-1]):
                stop = "stopped"
                break
        return Fit(w=best, largest=largest, iterations=len(history), stop=stop, history=tuple(history))

    def _optimiser(self, weights: Tensor) -> torch.optim.Optimizer:
        kind: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, self.name)
        options = dict(self.options)
        if self.name == "LBFGS":
            options = {"line_search_fn": "strong_wolfe", "history_size": 50, **options}
        try:
            return kind([weights], lr=self.lr, **options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"torch.optim.{self.name} does not take these `options`: {error}") from error

    def _rate(self, done: float) -> float:
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1e-3**done if self.schedule == "exponential" else 1.0
