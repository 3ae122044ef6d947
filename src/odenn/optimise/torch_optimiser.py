"""Any optimiser of torch.optim, by name, with a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from odenn.optimise.objective import Fit, Objective, Record, Snapshot, Watch, peaks

IMPROVED = 1e-4  # relative; what falls by less has not improved
SCHEDULES = ("constant", "cosine", "exponential")


@dataclass(kw_only=True)
class _Course:
    """How far the iterations came."""

    best: Tensor  # (P,) weights of the least loss
    least: float = math.inf
    largest: float = math.inf  # residual there
    iteration: int = 0
    improved: int = 0  # iteration at which the loss last fell noticeably,
    level: float = math.inf  # to this

    def judge(self, loss: float, w: Tensor, largest: float) -> None:
        if loss < self.least:
            self.best, self.least, self.largest = w, loss, largest
        if loss < (1 - IMPROVED) * self.level:
            self.improved, self.level = self.iteration, loss


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
    patience
        Early stopping: it ends when the loss has not fallen by a ten-thousandth of itself for so many iterations. Where
        samples are kept out of training (`DataFit(validation=...)`) it is their loss that counts, evaluated ten times
        in that many iterations, and the weights that are kept are those for which it was least. None goes through all
        iterations.
    options
        Further arguments of the class.
    """

    name: str = "Adam"
    lr: float = 1e-3
    iterations: int = 2000
    schedule: str = "cosine"
    patience: int | None = None
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

        if self.patience is not None and not (isinstance(self.patience, int) and self.patience >= 1):
            raise ValueError(f"`patience` must be a positive whole number or None, got {self.patience!r}")

    @property
    def most(self) -> int:
        """Steps that one network may take."""
        return self.iterations

    @property
    def paired(self) -> bool:
        """Networks start as they are usually drawn: a first-order step would be far too long on a paired start."""
        return False

    def minimise(
        self,
        objective: Objective,
        w: Tensor,
        *,
        goal: float,
        watch: Watch | None = None,
        resume: Snapshot | None = None,
        validation: Callable[[Tensor], float] | None = None,
    ) -> Fit:
        """Iterate until the largest residual is at most `goal` or the iterations are used up; keeps the best.

        With `resume` it goes on from a snapshot; the history then begins there. `validation` is the loss that
        `patience` is measured by, of weights w (P,).
        """
        weights = w.detach().clone().requires_grad_()
        optimiser = self._optimiser(weights)
        course = _Course(best=weights.detach().clone())
        if resume is not None:
            with torch.no_grad():
                weights.copy_(resume["w"])
            optimiser.load_state_dict(dict(resume["optimiser"]))
            course = _Course(**{each.name: resume[each.name] for each in fields(_Course)})
            course.best = course.best.to(weights)  # files hold it on the CPU
        stop = "iterations"
        history: list[Record] = []
        lookup: dict[str, Any] = {}

        def closure() -> Tensor:
            optimiser.zero_grad()
            r = objective.residual(weights)
            loss = (r * r).mean()
            loss.backward()
            lookup.setdefault("r", r.detach())
            return loss

        def snapshot() -> Snapshot:
            return {"w": weights.detach(), "optimiser": optimiser.state_dict(), **vars(course)}

        while course.iteration < self.iterations:
            rate = self.lr * self._rate(course.iteration / self.iterations)
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
            checked = self._validated(before, course.iteration, validation)
            course.iteration += 1
            record = Record(
                iteration=course.iteration,
                loss=loss,
                gradient=gradient,
                control=rate,
                residuals=peaks(r, objective.blocks),
                validation=checked,
            )
            history.append(record)
            judged = loss if self.patience is None or validation is None else checked
            if judged is not None:
                course.judge(judged, before, peak)
            if peak <= goal:
                stop = "goal"
            elif self.patience is not None and course.iteration - course.improved >= self.patience:
                stop = "patience"
            if watch is not None and watch(record, before, snapshot) and stop == "iterations":
                stop = "stopped"
            if stop != "iterations":
                break
        return Fit(
            w=course.best, largest=course.largest, iterations=course.iteration, stop=stop, history=tuple(history)
        )

    def _validated(self, w: Tensor, done: int, validation: Callable[[Tensor], float] | None) -> float | None:
        if validation is None or self.patience is None or done % max(1, self.patience // 10):
            return None
        with torch.no_grad():
            return validation(w)

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
