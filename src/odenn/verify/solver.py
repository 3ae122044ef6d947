"""A solver that shares nothing with odenn: SciPy's DOP853, or Radau, at tighter and tighter tolerances."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.methods.outcome import Stats
from odenn.problem import IVP
from odenn.solution import Solution
from odenn.verify.places import outward_max, times
from odenn.verify.reference import EPS, Found, Reference

Array = NDArray[np.float64]

FIRST_SHARE = 0.6  # of the time limit is for DOP853, which is tried first
STIFF_SHARE = 0.2  # so much if the problem looks stiff
FIRST_RUN_SHARE = 0.4  # of a method's time is for its first run
SLOWER = 2.0  # what the next rung of the ladder takes longer; by the methods' orders 1.3 and 1.8


class _TimeUpError(Exception):
    """The time for a run is over."""


class _Integrator(NamedTuple):
    """A method of SciPy."""

    name: str
    ladder: tuple[float, ...]  # of relative tolerances, as far as the time allows
    make: Callable[..., Any]


def _integrators(problem: IVP) -> tuple[_Integrator, _Integrator]:
    """The explicit and the implicit one."""
    from scipy.integrate import DOP853, Radau

    return (
        _Integrator("DOP853", (1e-12, 1e-13), DOP853),
        _Integrator("Radau", (1e-9, 1e-10, 1e-11, 1e-12), partial(Radau, jac=problem.jacobian)),
    )


class Task(NamedTuple):
    """What SciPy is to integrate."""

    problem: IVP
    t0: float
    t: Array  # (k,)
    atol: Array  # (N,) for rtol = 1

    @classmethod
    def of(cls, solution: Solution, problem: IVP, t: Array) -> Task:
        samples, orders = times(solution, 201), np.array(problem.orders)
        peaks = [
            np.abs(solution.derivative(samples, level)).max(axis=1)[orders > level] for level in range(orders.max())
        ]
        start = np.abs(problem.initial)
        # So small that only zero crossings feel it. A state that starts at zero has no size yet: take a small part of
        # what it will have.
        atol = np.where(start > 0, 1e-2 * start, 1e-4 * np.concatenate(peaks)) + np.finfo(float).tiny
        return cls(problem, problem.t0 or 0.0, t, atol)

    def rhs(self, deadline: float) -> Callable[[float, Array], Array]:
        """`problem.pointwise` with a time limit."""
        pointwise = self.problem.pointwise()

        def rhs(t: float, z: Array) -> Array:
            if time.monotonic() > deadline:
                raise _TimeUpError(f"the time was up at {t:.6g}")
            return pointwise(t, z)

        return rhs


def by_scipy(stats: Stats, task: Task, deadline: float) -> Found:
    """SciPy's solution: from DOP853 unless stiffness makes it slow, then from Radau."""
    explicit, implicit = _integrators(task.problem)
    # A few stiff windows among many are passages (near a pole, a sharp turn), which an explicit method can afford.
    stiff = stats.stiff_windows > 0.3 * stats.windows
    now = time.monotonic()
    until = now + (STIFF_SHARE if stiff else FIRST_SHARE) * (deadline - now)
    found = _integrated(explicit, task, until)
    if found.reaches == task.t.size or (not stiff and time.monotonic() < until):
        return found
    return max(_integrated(implicit, task, deadline), found, key=lambda candidate: candidate.reaches)


def _integrated(integrator: _Integrator, task: Task, deadline: float) -> Found:
    """Runs at tighter and tighter tolerances; the difference of the last two says what the last is worth."""
    found = Found(None, "")
    previous: Array | None = None
    before = ""
    took = 0.0
    for pieces, rtol in enumerate(integrator.ladder, start=1):
        begin = time.monotonic()
        if found.reference is not None and SLOWER * took > deadline - begin:
            break
        # The first run leaves time for the second, without which it is worth nothing.
        until = deadline if previous is not None else begin + FIRST_RUN_SHARE * (deadline - begin)
        values, reason = _run(integrator, rtol, pieces, task, until)
        took = time.monotonic() - begin
        reference = None if previous is None else _compared(task, previous, values)
        if reference is not None:
            reference = replace(reference, method=f"SciPy {integrator.name}, rtol {rtol:g}".replace("e-0", "e-"))
        better = Found(reference, before or reason)
        if better.reaches < found.reaches:
            break
        found, previous, before = better, values, reason
    return found


def _compared(task: Task, loose: Array, tight: Array) -> Reference | None:
    covered = np.isfinite(loose).all(axis=0) & np.isfinite(tight).all(axis=0)
    if not (covered & (task.t != task.t0)).any():
        return None
    values, accuracy = np.where(covered, tight, np.nan), np.full_like(tight, np.nan)
    # Rounding, which the two can share: a unit in the last place for every step, adding up at random.
    spread = np.abs(tight - loose) + EPS * np.sqrt(2 * task.t.size) * np.abs(tight)
    accuracy[:, covered] = outward_max(task.t[covered], spread[:, covered], task.t0)
    return Reference(method="", values=values, accuracy=accuracy)


def _run(integrator: _Integrator, rtol: float, pieces: int, task: Task, deadline: float) -> tuple[Array, str]:
    """Components (n, k) at the times, NaN where it did not come to, and why it did not.

    Between two times there are at least as many steps as `pieces`. Where the times are close, they and not the
    tolerance set the steps: then only another number of pieces makes another run.
    """
    problem, t0, t, atol = task
    rhs = task.rhs(deadline)
    values = np.full((problem.n, t.size), np.nan)
    values[:, t == t0] = problem.initial[: problem.n, None]
    reasons: list[str] = []
    for side in (t > t0, t < t0):
        places = np.flatnonzero(side)
        places = places[np.argsort(np.abs(t[places] - t0), kind="stable")]
        if not places.size:
            continue
        end = float(t[places[-1]])
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what goes wrong is said by the reason
            try:
                solver = integrator.make(rhs, t0, problem.initial, end, rtol=rtol, atol=rtol * atol)
                reason = _advance(solver, t[places], pieces, places, values)
            except _TimeUpError as error:
                reason = str(error)
            except Exception as error:  # the user's function, or linear algebra inside SciPy
                reason = f"it raised {type(error).__name__}"
        if reason:
            reasons.append(f"SciPy {integrator.name}: {reason}")
    return values, "; ".join(reasons)


def _advance(solver: Any, t: Array, pieces: int, places: NDArray[np.int64], values: Array) -> str:
    """Steps that end at each time: SciPy's interpolation between steps is less accurate than the steps are."""
    for target, place in zip(t, places, strict=True):
        for stop in np.linspace(solver.t, target, pieces + 1)[1:]:
            solver.t_bound = float(stop)
            solver.status = "running"
            while solver.status == "running":
                solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                return f"it failed at {solver.t:.6g}"
        values[:, place] = solver.y[: values.shape[0]]
    return ""
