"""What true errors are taken against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odenn.problem import IVP
from odenn.solution import Solution
from odenn.solve import solve
from odenn.verify import VerificationError, verify

Array = NDArray[np.float64]

FINEST = 1e-12  # relative tolerance of the solution that leads to the reference
PATIENCE = 30.0  # seconds to find a formula, or for SciPy


@dataclass(frozen=True, eq=False)
class Reference:
    """Values at times that show what happens: half of them spread evenly over time, half over the windows."""

    method: str
    t: Array  # (k,)
    values: Array  # (n, k)
    accuracy: float  # relative

    def relative(self, error: Array) -> Array:
        """(k,) largest of the components' errors (n, k), each relative to its largest value."""
        size = np.abs(self.values).max(axis=1, keepdims=True)
        return (error / np.where(size > 0, size, 1.0)).max(axis=0)


def find_reference(problem: IVP, points: int) -> Reference:
    """SymPy's formula, else SciPy at tight tolerance, else collocation at 1e-12, whose estimate is its accuracy."""
    base = solve(problem, rtol=FINEST)
    if not base.outcome.windows.start.size:
        raise ValueError(f"there is nothing to compare: {base.message}")
    try:
        found = verify(base, points=points, seconds=PATIENCE)
    except VerificationError as reason:
        return _own_reference(base, points, str(reason))
    return _with_accuracy(found.method, found.t, found.reference, found.reference_accuracy)


def _own_reference(base: Solution, points: int, reason: str) -> Reference:
    t = base.grid(points)
    return _with_accuracy(f"odenn's collocation at rtol {FINEST:g}, as {reason}", t, base(t), base.error(t))


def _with_accuracy(method: str, t: Array, values: Array, accuracy: Array) -> Reference:
    reference = Reference(method, t, values, 0.0)
    return Reference(method, t, values, float(reference.relative(accuracy).max()))
