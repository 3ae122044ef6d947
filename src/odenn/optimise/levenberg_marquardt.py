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
from functools import partial

import torch
from torch import Tensor

from odenn.optimise.objective import Fit, Objective, Record, Snapshot, Watch
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
    def most(self) -> int:
        """Iterations that one network may take."""
        return self.max_iterations

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

    def minimise(
        self,
        objective: Objective,
        w: Tensor,
        *,
        goal: float,
        watch: Watch | None = None,
        resume: Snapshot | None = None,
    ) -> Fit:
        """Iterate until the largest residual is at most `goal`, or nothing more is to be gained.

        With `resume` it goes on from a snapshot; the history then begins there.
        """
        with torch.no_grad():
            state, best, peaks = self._begin(objective, w) if resume is None else self._resumed(objective, resume, w)
            history: list[Record] = []
            while not state.stop:
                state = self._checked(state, peaks, goal)
                if state.stop:
                    break
                before, state = state, self.step(objective, state)
                if state.iteration == before.iteration:
                    break  # no step was taken
                peaks.append(_peak(state.r))
                if peaks[-1] <= min(peaks):
                    best = state.w
                record = Record(
                    iteration=state.iteration,
                    loss=state.loss,
                    gradient=float((state.J.T @ state.r).norm()) * 2 / state.r.numel(),
                    control=state.damping,
                    residuals=largest(state.r, objective.blocks),
                )
                history.append(record)
                if watch is not None and watch(record, state.w, partial(_snapshot, state, best, peaks)):
                    state = replace(state, stop="stopped")
        return Fit(w=best, largest=min(peaks), iterations=state.iteration, stop=state.stop, history=tuple(history))

    def _begin(self, objective: Objective, w: Tensor) -> tuple[State, Tensor, list[float]]:
        """State, best weights and largest residual of every iteration."""
        state = self.init(objective, w)
        return state, w, [_peak(state.r)]

    def _resumed(self, objective: Objective, snapshot: Snapshot, like: Tensor) -> tuple[State, Tensor, list[float]]:
        w, best = snapshot["w"].to(like), snapshot["best"].to(like)  # files hold them on the CPU
        r, J = objective.linearise(w)
        state = State(w, r, J, snapshot["damping"], snapshot["iteration"], snapshot["moved"], snapshot["stop"])
        return state, best, list(snapshot["peaks"])

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


def _snapshot(state: State, best: Tensor, peaks: list[float]) -> Snapshot:
    """Residuals and Jacobian are left out: they follow from the weights."""
    return {
        "w": state.w,
        "best": best,
        "peaks": list(peaks),
        "damping": state.damping,
        "iteration": state.iteration,
        "moved": state.moved,
        "stop": state.stop,
    }


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
