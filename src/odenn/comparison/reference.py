"""What true errors are taken against."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from odenn.methods.collocation import Collocation
from odenn.methods.outcome import Stats
from odenn.problem import IVP
from odenn.solution import Solution
from odenn.solve import solve
from odenn.verify import VerificationError, verify
from odenn.verify.solver import Task, by_scipy

Array = NDArray[np.float64]

FINEST = 1e-12  # relative tolerance of the solution that leads to the reference
PATIENCE = 30.0  # seconds to find a formula, or for SciPy
AGREED = 1e-6  # SciPy is followed past the place where collocation ends if its runs agree to this fraction
KEPT = 16  # references of problems given as text


@dataclass(frozen=True, eq=False)
class Reference:
    """Values at times that show what happens: half of them spread evenly over time, half over the windows."""

    method: str
    t: Array  # (k,)
    values: Array  # (n, k)
    accuracy: float  # relative
    seconds: float = 0.0
    """What it took to find it."""
    ends: str = ""
    """Why it does not cover the whole span."""

    def relative(self, error: Array) -> Array:
        """(k,) largest of the components' errors (n, k), each relative to its largest value."""
        return relative(error, self.values)


def relative(error: Array, values: Array) -> Array:
    """(k,) largest of the components' errors (n, k), each relative to the largest of its values (n, m)."""
    size = np.abs(values).max(axis=1, keepdims=True)
    return (error / np.where(size > 0, size, 1.0)).max(axis=0)


_kept: dict[object, Reference] = {}


def find_reference(problem: IVP, points: int, seconds: float | None = None) -> Reference:
    """SymPy's formula, else SciPy at tight tolerance, else collocation at 1e-12, whose estimate is its accuracy.

    Where collocation does not come to the end, SciPy is taken if it does. `seconds` limits all of it. References of
    problems given as text are kept: the same problem is not solved twice. (A function may have changed meanwhile.)

    Raises
    ------
    VerificationError
        A ValueError: no solver got anywhere.
    """
    system = problem.system
    if system is None:
        return _timed(problem, points, seconds)
    values = tuple(system.parameters.items()), problem.initial.tobytes(), problem.span, problem.t0
    key = system.text, *values, points, seconds
    if key not in _kept:
        found = _timed(problem, points, seconds)
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = found
    return _kept[key]


def _timed(problem: IVP, points: int, seconds: float | None) -> Reference:
    start = time.monotonic()
    found = _searched(problem, points, start + (math.inf if seconds is None else seconds))
    return replace(found, seconds=time.monotonic() - start)


def _searched(problem: IVP, points: int, deadline: float) -> Reference:
    def left() -> float:
        return min(PATIENCE, max(deadline - time.monotonic(), 1e-3))

    assert problem.span is not None
    limit = deadline - time.monotonic()
    base = solve(problem, rtol=FINEST, method=Collocation(max_seconds=limit if math.isfinite(limit) else None))
    if base.span == (min(problem.span), max(problem.span)):
        return _where_solved(base, points, left())
    direct, reason = _by_scipy(problem, points, left())
    ends = base.outcome.message
    if direct is not None and direct.t.size == points and direct.accuracy <= AGREED:
        return direct
    if base.outcome.windows.start.size:
        return replace(_where_solved(base, points, left()), ends=ends)
    if direct is not None:
        return replace(direct, ends=f"{ends}; {reason}")
    raise VerificationError(f"there is no reference: {ends}; {reason}")


def _where_solved(base: Solution, points: int, seconds: float) -> Reference:
    """The best reference on what collocation covers."""
    try:
        found = verify(base, points=points, seconds=seconds)
    except VerificationError as reason:
        t = base.grid(points)
        method = f"odenn's collocation at rtol {FINEST:g}, as {reason}"
        return _with_accuracy(method, t, base(t), base.error(t))
    reference = _with_accuracy(found.method, found.t, found.reference, found.reference_accuracy)
    return replace(reference, ends="" if found.complete else " ".join(found.notes))


def _by_scipy(problem: IVP, points: int, seconds: float) -> tuple[Reference | None, str]:
    """SciPy alone on the whole span, as far as it comes."""
    assert problem.span is not None
    task = Task(
        problem, problem.t0 or 0.0, np.linspace(*problem.span, points), problem.layout.fold @ problem.default_atol(1.0)
    )
    found, reason = by_scipy(Stats(), task, time.monotonic() + seconds)
    if found is None:
        return None, reason
    t, values, accuracy = (part[..., found.covered] for part in (task.t, found.values, found.accuracy))
    return _with_accuracy(found.method, t, values, accuracy), reason


def _with_accuracy(method: str, t: Array, values: Array, accuracy: Array) -> Reference:
    return Reference(method, t, values, float(relative(accuracy, values).max()))
