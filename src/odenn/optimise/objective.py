"""What an optimiser is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class Objective(Protocol):
    """A sum of squares |r(w)|^2 / m of m residuals."""

    @property
    def blocks(self) -> int:
        """r consists of so many equal parts, one for each component."""
        ...

    def residual(self, w: Tensor) -> Tensor:
        """r (m,), differentiable by w (P,) where w requires it."""
        ...

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """r (m,) and its Jacobian J (m, P), without a graph."""
        ...


@dataclass(frozen=True, eq=False)
class FunctionObjective:
    """Any differentiable function r(w) as an objective; its Jacobian by reverse mode, vectorised over the residuals."""

    residual: Callable[[Tensor], Tensor]
    blocks: int = 1

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        w = w.detach()
        return self.residual(w).detach(), torch.func.jacrev(self.residual)(w).detach()


@dataclass(frozen=True, kw_only=True)
class Record:
    """One iteration."""

    iteration: int  # from 1 in every network that is trained
    loss: float  # mean square of the residuals
    gradient: float  # norm of the loss's gradient
    control: float  # damping, or learning rate
    residuals: tuple[float, ...] = ()  # largest of each component
    validation: float | None = None  # loss on samples that are kept out of training, where it was evaluated
    window: int = 0  # in training, counted from 0; a window that is tried again keeps its number
    error: float | None = None  # true, relative, over the window in training, where a reference was given


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Weights that an optimiser found."""

    w: Tensor
    largest: float  # residual
    iterations: int
    stop: str  # why it ended
    history: tuple[Record, ...]


def peaks(r: Tensor, blocks: int) -> tuple[float, ...]:
    """Largest residual of each block."""
    return tuple(r.detach().abs().reshape(blocks, -1).amax(1).tolist())


Snapshot = Mapping[str, Any]
"""Where an optimiser stands: numbers, texts and tensors, in lists and dictionaries. From it it goes on bit by bit."""

Watch = Callable[[Record, Tensor, Callable[[], Snapshot]], bool]
"""Shown every iteration, the weights that it speaks of, and what takes a snapshot of where the optimiser stands after
it; True ends the run, which keeps the best weights so far."""


@runtime_checkable
class Optimiser(Protocol):
    """How weights are found: options, frozen, and `minimise`."""

    @property
    def paired(self) -> bool:
        """Whether networks start paired (see `MLPWeights.start`), as whole Gauss-Newton steps want it."""
        ...

    def minimise(
        self,
        objective: Objective,
        w: Tensor,
        *,
        goal: float,
        watch: Watch | None = None,
        resume: Snapshot | None = None,
    ) -> Fit:
        """Iterate from w (P,) until the largest residual is at most `goal`, or nothing more is to be gained."""
        ...


def limit(optimiser: Optimiser) -> int | None:
    """Iterations that one network may take, where an optimiser says so (`most`)."""
    return getattr(optimiser, "most", None)


def check_optimiser(optimiser: Any) -> None:
    """Raise TypeError where it is none."""
    if isinstance(optimiser, type) or not isinstance(optimiser, Optimiser):
        raise TypeError(
            f"`optimizer` must be LevenbergMarquardt(), TorchOptimiser(...) or an object with `paired` and `minimise` "
            f"(odenn.optimise.objective.Optimiser), got {optimiser!r}"
        )
