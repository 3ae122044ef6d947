"""Where the trajectory comes from that a network is fitted to, and how good it is itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from odenn.methods.collocation import Collocation
from odenn.methods.csv_table import read_columns
from odenn.networks.tables import Array
from odenn.problem import IVP
from odenn.status import Status
from odenn.wording import counted

FEWEST = 4  # samples
FAR = 0.1  # of the time that the data cover: a gap before them in which a curve may do anything
MOST_STEPS = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """Values at times, in the order of time."""

    t: Array  # (k,)
    y: Array  # (n, k)
    dy: Array | None = None  # (n, k) first derivatives, where known
    error: Array | None = None  # (n, k) estimated error of y, where known
    ended: tuple[Status, str] | None = None  # why and where, if before the ends of the span
    calls: int = 0  # of the right-hand side
    evaluations: int = 0


class Source(Protocol):
    """Something that supplies a trajectory for a problem."""

    def trajectory(self, problem: IVP) -> Trajectory: ...


@dataclass(frozen=True)
class Euler:
    """Explicit Euler's method with a fixed step, its error estimated by halving the step."""

    step: float

    def __post_init__(self) -> None:
        _check_step(self.step)

    def trajectory(self, problem: IVP) -> Trajectory:
        return _stepped(problem, self.step, _euler_step, order=1)


@dataclass(frozen=True)
class RK4:
    """The classical Runge-Kutta method of order 4 with a fixed step, its error estimated by halving the step."""

    step: float

    def __post_init__(self) -> None:
        _check_step(self.step)

    def trajectory(self, problem: IVP) -> Trajectory:
        return _stepped(problem, self.step, _rk4_step, order=4)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The collocation solution, with its own error estimate, at `points` times."""

    rtol: float = 1e-11
    points: int = 401

    def __post_init__(self) -> None:
        if not 0 < self.rtol < 1:
            raise ValueError(f"`rtol` must lie between 0 and 1, got {self.rtol!r}")
        if not (isinstance(self.points, int) and self.points >= FEWEST):
            raise ValueError(f"`points` must be a whole number, {FEWEST} or more, got {self.points!r}")

    def trajectory(self, problem: IVP) -> Trajectory:
        outcome = Collocation().run(problem, rtol=self.rtol, atol=None)
        if not outcome.windows.start.size:
            raise ValueError(f"there are no reference data to fit: {outcome.message}")
        assert problem.span is not None
        left, right = outcome.reached
        ended = outcome.status, f"the reference data reach from {left:.6g} to {right:.6g}"
        t = np.linspace(*outcome.reached, self.points)
        return Trajectory(
            t=t,
            y=outcome.windows.derivative(t, 0),
            dy=outcome.windows.derivative(t, 1),
            error=np.abs(outcome.errors.derivative(t, 0)),
            ended=None if (left, right) == (min(problem.span), max(problem.span)) else ended,
            calls=outcome.stats.calls,
            evaluations=outcome.stats.evaluations,
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """Measured or computed values.

    Parameters
    ----------
    t
        Times (k,), increasing.
    y
        Values (n, k); (k,) for one component.
    dy
        First derivatives, of the same shape, where they are known.

    Raises
    ------
    ValueError
        For too few samples, times that are not increasing, values that are not finite, shapes that do not match.
    """

    t: ArrayLike
    y: ArrayLike
    dy: ArrayLike | None = None

    def __post_init__(self) -> None:
        t, y = _numbers(self.t, "t").reshape(-1), _rows(self.y, "y")
        if t.size < FEWEST:
            raise ValueError(f"`t` has {t.size} samples: at least {FEWEST} are needed to see a curve between them")
        steps = np.diff(t)
        if (steps == 0).any():
            raise ValueError(
                f"`t` contains {t[np.flatnonzero(steps == 0)[0]]:g} twice: keep one of them, or their mean"
            )
        if (steps < 0).any():
            raise ValueError("`t` must increase: sort the samples by time (np.argsort(t), for t and y alike)")
        if y.shape[1] != t.size:
            turned = " (did you mean its transpose?)" if y.shape[0] == t.size else ""
            raise ValueError(f"`y` has shape {y.shape}, but there are {t.size} times: it must be (n, {t.size}){turned}")
        object.__setattr__(self, "t", t)
        object.__setattr__(self, "y", y)
        if self.dy is not None:
            dy = _rows(self.dy, "dy")
            if dy.shape != y.shape:
                raise ValueError(f"`dy` has shape {dy.shape}, `y` {y.shape}: they must match")
            object.__setattr__(self, "dy", dy)

    def trajectory(self, problem: IVP) -> Trajectory:
        t, y = np.asarray(self.t, dtype=float), np.asarray(self.y, dtype=float)
        if y.shape[0] != problem.n:
            raise ValueError(
                f"the data have {counted(y.shape[0], 'component')}, the problem has {problem.n} "
                f"({', '.join(problem.names)})"
            )
        lo, hi = sorted(problem.span or (t[0], t[-1]))
        if t[0] < lo or t[-1] > hi:
            raise ValueError(f"the data cover times from {t[0]:g} to {t[-1]:g}, outside the span from {lo:g} to {hi:g}")
        t0 = float(problem.t0 or 0.0)
        bridged = max(FAR * float(t[-1] - t[0]), 2 * float(np.diff(t).max()))
        if max(float(t[0]) - t0, t0 - float(t[-1])) > bridged:
            verb = "begin" if t0 < t[0] else "end"
            raise ValueError(
                f"the data {verb} at {t[0] if t0 < t[0] else t[-1]:g}, but the initial values are given at {t0:g}, and "
                f"nothing is known between: give samples from there, or the initial values where the data {verb}"
            )
        for verb, last, end in (("begin", float(t[0]), lo), ("end", float(t[-1]), hi)):
            if end != t0 and abs(end - last) > bridged:
                raise ValueError(
                    f"the data {verb} at {last:g}, the span {verb}s at {end:g}, and nothing is known between: give "
                    f"samples up to there, or let the span {verb} with the data"
                )
        return Trajectory(t=t, y=y, dy=None if self.dy is None else np.asarray(self.dy, dtype=float))


@dataclass(frozen=True)
class CSV:
    """A table with a header: first column the time, others named as the components; a column dNAME holds derivatives.

    Columns are separated by commas, semicolons or tabs; decimals may stand after a comma where the columns are not
    separated by commas. What can be read in two ways is refused. Columns with other names are not read.
    """

    path: str | PathLike[str]

    def trajectory(self, problem: IVP) -> Trajectory:
        slopes = [f"d{name}" for name in problem.names]
        t, columns = read_columns(self.path, problem.names, slopes)
        dy = np.stack([columns[name] for name in slopes]) if set(slopes) <= set(columns) else None
        return Samples(t, np.stack([columns[name] for name in problem.names]), dy).trajectory(problem)


Step = Callable[[IVP, float, Array, float], Array]


def _euler_step(problem: IVP, t: float, z: Array, h: float) -> Array:
    return z + h * problem.first_order(t, z)


def _rk4_step(problem: IVP, t: float, z: Array, h: float) -> Array:
    k1 = problem.first_order(t, z)
    k2 = problem.first_order(t + h / 2, z + h / 2 * k1)
    k3 = problem.first_order(t + h / 2, z + h / 2 * k2)
    k4 = problem.first_order(t + h, z + h * k3)
    return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _stepped(problem: IVP, step: float, method: Step, order: int) -> Trajectory:
    """Steps from t0 to both ends; the error from half the step: |y_h - y_{h/2}| 2^p / (2^p - 1)."""
    assert problem.span is not None
    t0 = float(problem.t0 or 0.0)
    times, states, errors = [np.array([t0])], [problem.initial[:, None]], [np.zeros((problem.initial.size, 1))]
    for end in problem.span:
        if end == t0:
            continue
        steps = math.ceil(abs(end - t0) / step * (1 - 1e-12))
        if steps > MOST_STEPS:
            raise ValueError(f"`step` = {step:g} takes {steps} steps over the span: at most {MOST_STEPS} are made")
        coarse = _steps(problem, method, t0, end, steps)
        fine = _steps(problem, method, t0, end, 2 * steps)[:, ::2]
        if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
            raise ValueError(f"the data grow without bound at a step of {step:g}: use a smaller step, or Reference()")
        t = t0 + (end - t0) * np.arange(1, steps + 1) / steps
        times.append(t)
        states.append(coarse[:, 1:])
        errors.append(np.abs(coarse - fine)[:, 1:] * (2**order / (2**order - 1)))
    t, Z, error = np.concatenate(times), np.concatenate(states, axis=1), np.concatenate(errors, axis=1)
    sort = np.argsort(t)
    t, Z, error = t[sort], Z[:, sort], error[:, sort]
    with np.errstate(all="ignore"):
        slopes = problem.first_order(t, Z)[: problem.n]
    # So many stages as its order has a method here; the steps of the given length, those of half of it, the slopes.
    made = order * 3 * (t.size - 1)
    return Trajectory(
        t=t, y=Z[: problem.n], dy=slopes, error=error[: problem.n], calls=made + 1, evaluations=made + t.size
    )


def _steps(problem: IVP, method: Step, t0: float, end: float, steps: int) -> Array:
    h = (end - t0) / steps
    Z = np.empty((problem.initial.size, steps + 1))
    Z[:, 0] = z = problem.initial
    with np.errstate(all="ignore"):
        for k in range(steps):
            Z[:, k + 1] = z = method(problem, t0 + k * h, z, h)
    return Z


def _check_step(step: Any) -> None:
    if not (isinstance(step, int | float) and 0 < step < math.inf):
        raise ValueError(f"`step` must be a positive number, got {step!r}")


def _numbers(values: ArrayLike, name: str) -> Array:
    if np.iscomplexobj(values):
        raise TypeError(f"`{name}` is complex: split every component into real and imaginary part")
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be numbers in rows of equal length, got {values!r}") from None
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"`{name}` holds {counted(bad, 'NaN or infinite value')}: remove such samples")
    return array


def _rows(values: ArrayLike, name: str) -> Array:
    array = _numbers(values, name)
    return array.reshape(1, -1) if array.ndim == 1 else array
