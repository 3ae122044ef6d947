"""What the runs of all solvers share: the clock, the error, the rows they hand back."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from odenn import zoo

SECOND_ORDER = {"harmonic": lambda y: -y}  # y'' = a(y), for solvers that take second order as it is


class Clock:
    """CPU seconds of this process, from `start` to now, without the pauses."""

    def __init__(self) -> None:
        self._before, self._since = 0.0, None

    def start(self) -> None:
        self._since = time.process_time()

    def pause(self) -> None:
        self._before, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._since is None else time.process_time() - self._since)


def grid(problem: str) -> Any:
    """Return the 1001 times, shape (1001,), at which the error is taken."""
    return zoo.get(problem).reference()[0]


def error(problem: str, values: Any) -> float:
    """Return the worst component of max|y - reference| / max|reference|; `values` (n, 1001)."""
    reference = zoo.get(problem).reference()[1]
    difference = np.abs(np.asarray(values)[: len(reference)] - reference)
    relative = (difference.max(axis=1) / np.abs(reference).max(axis=1)).max()
    return float(relative) if np.isfinite(relative) else float("inf")


def report(solver: str, budget: float, seconds: float, found: float, steps: int, **more: Any) -> None:
    """Print one row for the driver, which adds problem and seed."""
    row = {"solver": solver, "budget_s": budget, "time_s": round(seconds, 3), "error": found, "steps": steps, **more}
    print(json.dumps(row), flush=True)
