"""At which times a solution is looked at, and which error was allowed there."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odenn.solution import Solution

Array = NDArray[np.float64]


def times(solution: Solution, points: int) -> Array:
    """Times over what was solved, half spread evenly over time, half over the windows; in the problem's direction.

    So many, or fewer where windows are so short that their times are equal to rounding.
    """
    windows = solution.outcome.windows
    left, right = solution.span
    edges = np.append(windows.left, right)
    edges[0] = left
    place = (edges - left) / (right - left) + np.arange(edges.size) / windows.start.size
    t = np.unique(np.interp(np.linspace(0.0, 2.0, points), place, edges))
    return t[::-1] if solution.backwards else t


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
    peak = outward_max(samples, np.abs(solution(samples)), t0)
    return solution.outcome.atol.reshape(-1, 1) + solution.rtol * peak[:, np.searchsorted(samples, t)]


def outward_max(t: Array, values: Array, t0: float) -> Array:
    """Largest value (n, k) between t0 and t (k,)."""
    out = np.empty_like(values)
    for side in (t >= t0, t <= t0):
        places = np.flatnonzero(side)
        places = places[np.argsort(np.abs(t[places] - t0), kind="stable")]
        out[:, places] = np.maximum.accumulate(values[:, places], axis=1)
    return out
