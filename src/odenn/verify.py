"""Verification: compare a solution with one that was found in another way.

The reference is SymPy's formula where it finds one in time, else SciPy at tight tolerance. A reference is not believed
for its name: a formula has to meet the conditions, satisfy the equations and follow SciPy; SciPy has to say how far it
moves when its tolerance is loosened tenfold, and no error below that is called known.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odenn.methods.outcome import Stats
from odenn.problem import IVP
from odenn.solution import Solution

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
FORMULA_STATES = 8  # SymPy solves larger systems hardly ever, and takes all the time there is to say so
FORMULA_SHARE = 0.4  # of the time limit is waited for a formula when SciPy is done
FIRST_SHARE = 0.6  # of the time limit is for DOP853, which is tried first;
STIFF_SHARE = 0.2  # so much if the problem looks stiff
FIRST_RUN_SHARE = 0.4  # of a method's time is for its first run
FOLLOWS = 1e-6  # a formula on a wrong branch is off by far more than this fraction of the largest value
ROWS = 8  # components in a report


class VerificationError(ValueError):
    """There is no reference to compare with, within the time limit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """A solution with n components beside a reference at k times.

    Attributes
    ----------
    method
        Where the reference is from: "exact: y = sin(t)", "SciPy DOP853, rtol 1e-13", ...
    t
        (k,) times.
    reference
        (n, k) values of the reference.
    reference_accuracy
        (n, k) its own error, estimated.
    true_error
        (n, k) |solution - reference|.
    estimate
        (n, k) what `solution.error(t)` says.
    tolerance
        (n, k) the error that was allowed.
    complete
        False if the reference covers a part only of what was solved.
    notes
        What else is to be known of the reference.
    """

    method: str
    names: tuple[str, ...]
    independent: str
    t: Array
    reference: Array
    reference_accuracy: Array
    true_error: Array
    estimate: Array
    tolerance: Array
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def max_true(self) -> Array:
        """(n,) largest true error; see `resolved`."""
        return self.true_error.max(axis=1)

    @property
    def max_estimate(self) -> Array:
        """(n,) largest estimate."""
        return self.estimate.max(axis=1)

    @property
    def ratio(self) -> Array:
        """(n,) largest true error / largest estimate; below 1 the estimate is on the safe side."""
        with np.errstate(all="ignore"):
            return self.max_true / self.max_estimate

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """(n,) whether the reference is accurate enough to tell the true error."""
        return self.max_true > self.reference_accuracy.max(axis=1)

    @property
    def within_tolerance(self) -> bool:
        """Whether the true error, measured against the reference, meets the tolerance at all these times."""
        return bool((self.true_error <= self._allowed).all())

    @property
    def conclusive(self) -> bool:
        """Whether `within_tolerance` would be the same for every reference within the accuracy of this one."""
        if self.within_tolerance:
            return self.complete and bool((self.true_error + self.reference_accuracy <= self._allowed).all())
        return bool((self.true_error - self.reference_accuracy > self._allowed).any())

    @property
    def _allowed(self) -> Array:
        # Solution and reference are both rounded to double precision.
        return self.tolerance + 2 * EPS * np.abs(self.reference)

    def __str__(self) -> str:
        x = self.independent
        lines = [
            f"Compared at {self.t.size} points, {x} from {self.t[0]:.10g} to {self.t[-1]:.10g}, with",
            *(f"  {line}" for line in self.method.split("\n")),
            *self._table(),
            self._verdict(),
            *self.notes,
        ]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        with np.errstate(all="ignore"):
            worst = np.nan_to_num((self.true_error / self._allowed).max(axis=1))
        shown = sorted(np.argsort(-worst, kind="stable")[:ROWS].tolist())
        rows = [("", "true error", "estimate", "true / estimate")]
        accuracy = self.reference_accuracy.max(axis=1)
        for i in shown:
            known = self.resolved[i]
            true = self.max_true[i] if known else accuracy[i]
            with np.errstate(all="ignore"):
                ratio = true / self.max_estimate[i]
            sign = "" if known else "< "
            rows.append(
                (self.names[i], f"{sign}{true:.2g}", f"{self.max_estimate[i]:.2g}", f"{sign}{_ratio(float(ratio))}")
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        if len(self.names) > len(shown):
            lines.append(f"(the {len(shown)} of {len(self.names)} components that come nearest to the tolerance)")
        return lines

    def _verdict(self) -> str:
        with np.errstate(all="ignore"):
            used = np.nan_to_num(self.true_error / self._allowed)
        i, k = np.unravel_index(int(used.argmax()), used.shape)
        where = f"for {self.names[i]} at {self.independent} = {self.t[k]:.6g}"
        if self.within_tolerance and not self.complete:
            return f"As far as the reference goes, the true error meets the tolerance: {used[i, k]:.2g} of it {where}"
        if not self.conclusive:
            return (
                "Whether the tolerance is met cannot be told: the reference itself is good to "
                f"{self.reference_accuracy[i, k]:.2g} only, {self.tolerance[i, k]:.2g} was asked {where}"
            )
        if self.within_tolerance:
            return f"The true error meets the tolerance; it is at most {used[i, k]:.2g} times that, {where}"
        return f"The true error MISSES the tolerance: it is {used[i, k]:.2g} times that {where}"


def verify(solution: Solution, *, points: int = 201, seconds: float = 10.0) -> Verification:
    """Compare a solution with SymPy's formula, or else with SciPy at tight tolerance.

    Parameters
    ----------
    points
        How many times to compare at: half of them spread evenly over what was solved, half over the windows, so that
        fast transients are seen as well.
    seconds
        Time limit for all of it.

    Raises
    ------
    VerificationError
        A ValueError: no reference was found in time.
    ValueError
        The solution was loaded without its equations, or nothing was solved.

    Examples
    --------
    >>> import odenn
    >>> solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 5)), rtol=1e-8)
    >>> verification = verify(solution, seconds=60)
    >>> verification.method, verification.within_tolerance
    ('exact: y = exp(-t)', True)
    """
    problem = solution.problem
    if problem is None:
        raise ValueError(
            "this solution was loaded without its equations (a Python function is not stored), so there is nothing to "
            "verify it with: verify before saving, or give the equations as text"
        )
    if not (isinstance(points, int) and points >= 2):  # pyright: ignore[reportUnnecessaryIsInstance] - 201.0 is a mistake
        raise ValueError(f"`points` must be a whole number, 2 or more, got {points!r}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"`seconds` must be a positive number, got {seconds!r}")
    if not solution.outcome.windows.start.size:
        raise ValueError(f"nothing was solved that could be verified: {solution.message}")
    t = times(solution, points)
    start = time.monotonic()
    deadline = start + seconds
    with _Formula(problem, t) as formula:
        numeric = _by_scipy(solution.stats, _Task.of(solution, problem, t), deadline)
        exact = formula.wait(start + FORMULA_SHARE * seconds if numeric.reaches == t.size else deadline)
    reference = _chosen(exact, numeric)
    if reference is None:
        raise VerificationError(
            f"no reference within `seconds` = {seconds:g}: {formula.reason}; {numeric.reason}. Allow more seconds, or "
            "verify a shorter span"
        )
    covered = reference.covered
    notes = reference.notes
    if not covered.all():
        notes = (*notes, f"The reference covers only this part of what was solved ({numeric.reason}).")
    t = t[covered]
    return Verification(
        method=reference.method,
        names=solution.names,
        independent=solution.independent,
        t=t,
        reference=reference.values[:, covered],
        reference_accuracy=reference.accuracy[:, covered],
        true_error=np.abs(solution(t) - reference.values[:, covered]),
        estimate=solution.error(t),
        tolerance=tolerance(solution, t),
        complete=bool(covered.all()),
        notes=notes,
    )


def _ratio(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 100 else f"{value:.2g}"


def times(solution: Solution, points: int) -> Array:
    """Times over what was solved, half spread evenly over time, half over the windows; in the problem's direction."""
    windows = solution.outcome.windows
    left, right = solution.span
    edges = np.append(windows.left, right)
    edges[0] = left
    place = (edges - left) / (right - left) + np.arange(edges.size) / windows.start.size
    t = np.interp(np.linspace(0.0, 2.0, points), place, edges)
    span = None if solution.problem is None else solution.problem.span
    backwards = (windows.length < 0).all() if span is None else span[0] > span[1]
    return t[::-1] if backwards else t


def origin(solution: Solution) -> float:
    """Where the initial values hold: windows lead away from there to both sides."""
    windows = solution.outcome.windows
    forwards = windows.start[windows.length > 0]
    return float(forwards[0] if forwards.size else windows.start[-1])


def tolerance(solution: Solution, t: ArrayLike) -> Array:
    """The error that was allowed, atol_i + rtol max |y_i(s)| over s between t0 and t; (n, k) at times t (k,)."""
    t = np.asarray(t, dtype=float)
    t0 = origin(solution)
    samples = np.unique(np.concatenate((t, [t0], times(solution, 1001))))
    peak = _outward_max(samples, np.abs(solution(samples)), t0)
    return solution.outcome.atol.reshape(-1, 1) + solution.rtol * peak[:, np.searchsorted(samples, t)]


def _outward_max(t: Array, values: Array, t0: float) -> Array:
    """Largest value (n, k) between t0 and t (k,)."""
    out = np.empty_like(values)
    for side in (t >= t0, t <= t0):
        places = np.flatnonzero(side)
        places = places[np.argsort(np.abs(t[places] - t0), kind="stable")]
        out[:, places] = np.maximum.accumulate(values[:, places], axis=1)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    method: str
    values: Array  # (n, k), NaN where it does not reach
    accuracy: Array  # (n, k)
    notes: tuple[str, ...] = ()

    @property
    def covered(self) -> NDArray[np.bool_]:
        return np.atleast_1d(np.isfinite(self.values).all(axis=0))


class _Found(NamedTuple):
    reference: _Reference | None
    reason: str  # why there is none, or not all of it

    @property
    def reaches(self) -> int:
        """How many of the times."""
        return 0 if self.reference is None else int(self.reference.covered.sum())


def _chosen(exact: _Reference | None, numeric: _Found) -> _Reference | None:
    """The formula, unless SciPy knows better."""
    other = numeric.reference
    if exact is None:
        return other
    if other is None:
        return replace(exact, notes=(f"SciPy did not confirm the formula: {numeric.reason}.",))
    both = other.covered
    gap = np.abs(exact.values - other.values)[:, both]
    size = np.abs(other.values[:, both]).max(axis=1, keepdims=True)
    strays = (gap > FOLLOWS * size + 10 * other.accuracy[:, both]).any(axis=0)
    if not strays.any():
        return exact
    # It meets conditions and equations where they were checked, so it must have changed to another branch on the way.
    formula = exact.method.removeprefix("exact: ")
    return replace(other, notes=(*other.notes, f"SymPy's formula, {formula}, was rejected: it changes branches."))


class _Formula:
    """SymPy's formula, looked for in a process of its own that can be ended."""

    def __init__(self, problem: IVP, t: Array) -> None:
        self.problem = problem
        self.t = t
        self.process: subprocess.Popen[bytes] | None = None
        self.reason = "SymPy found no formula"

    def __enter__(self) -> _Formula:
        system = self.problem.system
        # Files, not pipes: these cannot fill up while nobody reads them.
        self.question, self.answer = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        if system is None:
            self.reason = "a Python function has no formula"
            return self
        if sum(system.orders) > FORMULA_STATES:
            self.reason = f"SymPy is not asked for more than {FORMULA_STATES} states"
            return self
        request = {
            "text": system.text,
            "parameters": dict(system.parameters),
            "initial": self.problem.initial.tolist(),
            "t0": self.problem.t0,
            "times": self.t.tolist(),
        }
        self.question.write(json.dumps(request).encode())
        self.question.seek(0)
        package = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "odenn._exact"],
                stdin=self.question,
                stdout=self.answer,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            self.reason = f"no process for SymPy could be started ({error})"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.question.close()
        self.answer.close()

    def wait(self, deadline: float) -> _Reference | None:
        """The formula, if there is one before the deadline."""
        if self.process is None:
            return None
        try:
            code = self.process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            self.reason = "SymPy found no formula in time"
            return None
        if code != 0:
            self.reason = "SymPy failed"  # out of memory, or one of its own errors
            return None
        self.answer.seek(0)
        answer = json.loads(self.answer.read())
        if not answer["formulas"]:
            self.reason = answer["reason"]
            return None
        values = np.array(answer["values"], dtype=float)
        return _Reference(
            method="exact: " + ", ".join(answer["formulas"]), values=values, accuracy=EPS * np.abs(values)
        )


class _TimeUpError(Exception):
    """The time for a run is over."""


class _Integrator(NamedTuple):
    """A method of SciPy."""

    name: str
    ladder: tuple[float, ...]  # of relative tolerances, as far as the time allows
    make: Callable[..., Any]


SLOWER = 2.0  # what the next rung of the ladder takes longer; by the methods' orders 1.3 and 1.8


def _integrators(problem: IVP) -> tuple[_Integrator, _Integrator]:
    """The explicit and the implicit one."""
    from scipy.integrate import DOP853, Radau

    return (
        _Integrator("DOP853", (1e-12, 1e-13), DOP853),
        _Integrator("Radau", (1e-9, 1e-10, 1e-11, 1e-12), partial(Radau, jac=problem.jacobian)),
    )


class _Task(NamedTuple):
    """What SciPy is to integrate."""

    problem: IVP
    t0: float
    t: Array  # (k,)
    atol: Array  # (N,) for rtol = 1

    @classmethod
    def of(cls, solution: Solution, problem: IVP, t: Array) -> _Task:
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
        """`problem.first_order` for one time, with less to do around the equations themselves, and a time limit."""
        fill, parameters, source = self.problem.fill, self.problem.parameters, self.problem.layout.source
        times, slopes = np.empty(1), np.empty((self.problem.n, 1))

        def rhs(t: float, z: Array) -> Array:
            if time.monotonic() > deadline:
                raise _TimeUpError(f"the time was up at {t:.6g}")
            times[0] = t
            fill(times, z.reshape(-1, 1), parameters, slopes)
            return np.concatenate((slopes[:, 0], z))[source]

        return rhs


def _by_scipy(stats: Stats, task: _Task, deadline: float) -> _Found:
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


def _integrated(integrator: _Integrator, task: _Task, deadline: float) -> _Found:
    """Runs at tighter and tighter tolerances; the difference of the last two says what the last is worth."""
    found = _Found(None, "")
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
        better = _Found(reference, before or reason)
        if better.reaches < found.reaches:
            break
        found, previous, before = better, values, reason
    return found


def _compared(task: _Task, loose: Array, tight: Array) -> _Reference | None:
    covered = np.isfinite(loose).all(axis=0) & np.isfinite(tight).all(axis=0)
    if not (covered & (task.t != task.t0)).any():
        return None
    values, accuracy = np.where(covered, tight, np.nan), np.full_like(tight, np.nan)
    # Rounding, which the two can share: a unit in the last place for every step, adding up at random.
    spread = np.abs(tight - loose) + EPS * np.sqrt(2 * task.t.size) * np.abs(tight)
    accuracy[:, covered] = _outward_max(task.t[covered], spread[:, covered], task.t0)
    return _Reference(method="", values=values, accuracy=accuracy)


def _run(integrator: _Integrator, rtol: float, pieces: int, task: _Task, deadline: float) -> tuple[Array, str]:
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
