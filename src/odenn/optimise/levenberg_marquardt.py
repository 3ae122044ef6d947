"""Levenberg-Marquardt for networks: few residuals, many weights.

Sources: J. J. More, "The Levenberg-Marquardt algorithm: implementation and theory", Lecture Notes in Mathematics 630
(1978) 105-116; H. B. Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05 (the gain-ratio rule).

The step minimises |r + J d|^2 + mu |d|^2. With the thin QR and singular value factors J = U S V^T on the smaller side
(weights or residuals) it is

    d = -V (S / (S^2 + mu)) U^T r,

for every mu at the price of one factorisation. Forming J J^T instead would lose half the digits, which the last steps
need; with as many weights as here the steps are of least norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from odenn.optimise.objective import Fit, Objective, Record, Watch
from odenn.optimise.objective import peaks as largest

REFUSALS = 12  # dampings that are tried in one step
LEAST = 1e-26  # relative damping: below it S is rounding


@dataclass(frozen=True, eq=False)
class State:
    """Where the iteration stands."""

    w: Tensor  # (P,)
    r: Tensor  # (m,)
    J: Tensor  # (m, P)
    damping: float  # mu / largest singular value squared
    iteration: int = 0
    moved: float = math.inf  # |step| / |w|
    stop: str = ""  # why it ended; empty while it goes on

    @property
    def loss(self) -> float:
        return float(self.r @ self.r) / self.r.numel()


@dataclass(frozen=True, kw_only=True)
class LevenbergMarquardt:
    """Levenberg-Marquardt with gain-ratio damping.

    Parameters
    ----------
    max_iterations
        Per window and network.
    damping
        At the start, as a fraction of the largest singular value squared.
    patience, progress
        It ends when `patience` iterations together have not reduced the largest residual by the factor `progress`.
    gradient_tolerance, step_tolerance
        It ends when the gradient, relative to |J| |r|, or the step, relative to the weights, falls below.
    """

    max_iterations: int = 100
    damping: float = 1e-8
    patience: int = 8
    progress: float = 0.5
    gradient_tolerance: float = 1e-14
    step_tolerance: float = 1e-15

    def __post_init__(self) -> None:
        if not (isinstance(self.max_iterations, int) and self.max_iterations >= 1):
            raise ValueError(f"`max_iterations` must be a positive whole number, got {self.max_iterations!r}")
        if not 0 < self.damping <= 1e3:
            raise ValueError(f"`damping` must be positive and at most 1000, got {self.damping!r}")
        if not (isinstance(self.patience, int) and self.patience >= 1 and 0 < self.progress <= 1):
            raise ValueError("`patience` must be a positive whole number and `progress` lie in (0, 1]")

    @property
    def paired(self) -> bool:
        """It takes whole Gauss-Newton steps, so networks start paired (see `MLPWeights.start`)."""
        return True

    def init(self, objective: Objective, w: Tensor) -> State:
        r, J = objective.linearise(w)
        return State(w, r, J, self.damping)

    def step(self, objective: Objective, state: State) -> State:
        """One accepted step, or a state that says why there is none."""
        U, S, Vt = _factors(state.J)
        if not bool(torch.isfinite(S).all()):
            return replace(state, stop="not finite")
        c = U.T @ state.r
        old, largest = float(state.r @ state.r), float(S[0])
        if largest == 0 or float((S * c).norm()) <= self.gradient_tolerance * largest * math.sqrt(old):
            return replace(state, stop="gradient")
        damping = state.damping
        for _ in range(REFUSALS):
            mu = damping * largest**2
            step = -(Vt.T @ (S / (S * S + mu) * c))
            w = state.w + step
            new = _square(objective.residual(w))
            # The model's reduction: |r|^2 - |r + J d|^2 - mu |d|^2, without cancellation.
            gain = (old - new) / float((c * c * S * S / (S * S + mu)).sum())
            if gain > 0:
                r, J = objective.linearise(w)
                # Nielsen's rule, except that a good model may be trusted a hundred times more at once.
                factor = max(0.01, 1 - (2 * gain - 1) ** 3) if gain > 0.25 else 4.0
                moved = float(step.norm() / (1e-300 + w.norm()))
                stop = "step" if moved <= self.step_tolerance else ""
                return State(w, r, J, max(damping * factor, LEAST), state.iteration + 1, moved, stop)
            damping = max(8 * damping, 1e-24)
        return replace(state, stop="no descent")

    def minimise(self, objective: Objective, w: Tensor, *, goal: float, watch: Watch | None = None) -> Fit:
        """Iterate until the largest residual is at most `goal`, or nothing more is to be gained."""
        with torch.no_grad():
            state = self.init(objective, w)
            peaks = [_peak(state.r)]
            history: list[Record] = []
            best = state
            while not state.stop:
                state = self._checked(state, peaks, goal)
                if state.stop:
                    break
                state = self.step(objective, state)
                peaks.append(_peak(state.r))
                if peaks[-1] <= min(peaks):
                    best = state
                record = Record(
                    iteration=state.iteration,
                    loss=state.loss,
                    gradient=float((state.J.T @ state.r).norm()) * 2 / state.r.numel(),
                    control=state.damping,
                    residuals=largest(state.r, objective.blocks),
                )
                history.append(record)
                if watch is not None and watch(record):
                    state = replace(state, stop="stopped")
        return Fit(w=best.w, largest=_peak(best.r), iterations=state.iteration, stop=state.stop, history=tuple(history))

    def _checked(self, state: State, peaks: list[float], goal: float) -> State:
        if not math.isfinite(peaks[-1]):
            return replace(state, stop="not finite")
        if peaks[-1] <= goal:
            return replace(state, stop="goal")
        if state.iteration >= self.max_iterations:
            return replace(state, stop="iterations")
        if len(peaks) > self.patience and min(peaks[-self.patience :]) > self.progress * min(peaks[: -self.patience]):
            return replace(state, stop="plateau")
        return state


def _factors(J: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin singular value factors, by QR on the long side first."""
    m, P = J.shape
    if m <= P:
        Q, R = torch.linalg.qr(J.T)
        U, S, Wt = torch.linalg.svd(R.T)
        return U, S, Wt @ Q.T
    Q, R = torch.linalg.qr(J)
    U, S, Vt = torch.linalg.svd(R)
    return Q @ U, S, Vt


def _square(r: Tensor) -> float:
    value = float(r @ r)
    return value if math.isfinite(value) else math.inf


def _peak(r: Tensor) -> float:
    return float(r.abs().max())
