"""Finds the best reference there is in the time given, and compares a solution with it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from odenn.solution import Solution
from odenn.verify.formula import Formula
from odenn.verify.places import times, tolerance
from odenn.verify.reference import Found, Reference
from odenn.verify.report import Verification, VerificationError
from odenn.verify.solver import Task, by_scipy

FORMULA_SHARE = 0.4  # of the time limit is waited for a formula when SciPy is done
FOLLOWS = 1e-6  # a formula on a wrong branch is off by far more than this fraction of the largest value


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
    if not (isinstance(points, int | np.integer) and points >= 2):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"`points` must be a whole number, 2 or more, got {points!r}")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"`seconds` must be a positive number, got {seconds!r}")
    if not solution.outcome.windows.start.size:
        raise ValueError(f"nothing was solved that could be verified: {solution.message}")
    t = times(solution, points)
    start = time.monotonic()
    deadline = start + seconds
    with Formula(problem, t) as formula:
        numeric = by_scipy(solution.stats, Task.of(solution, problem, t), deadline)
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


def _chosen(exact: Reference | None, numeric: Found) -> Reference | None:
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
