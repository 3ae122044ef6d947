"""One training, in whatever process it runs, and what it reached."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from odenn.comparison.reference import Reference
from odenn.optimise.objective import limit
from odenn.problem import IVP
from odenn.solve import solve

WORST = 6.0  # decades: what Optuna is told of larger errors, and of trainings that come to none
BEST = -16.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all trials have in common; sent to the workers."""

    problem: IVP
    rtol: float
    reference: Reference


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What one training came to."""

    error: float
    """Largest error relative to the component's largest value; infinite where it did not cover the span."""
    weights: int
    seconds: float
    """CPU time, so that trainings side by side can be compared."""
    status: str
    """How the training ended, in a word or two; "refused" where it could not begin."""
    spent: bool
    """Whether the optimiser was stopped by its number of iterations: more of them might help."""
    reason: str = ""
    """Of a refusal."""

    @property
    def score(self) -> float:
        """log10 of the error within [-16, 6], what Optuna minimises: it cannot do with "none"."""
        return WORST if not self.error < 10**WORST else max(math.log10(max(self.error, 10**BEST)), BEST)


def train(packed: bytes) -> Reached:
    """Solve the packed (task, method); runs in a worker, where the certificate's warnings concern nobody."""
    import cloudpickle
    import torch

    task: Task
    task, method = cloudpickle.loads(packed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.thread_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = solve(task.problem, rtol=task.rtol, method=method)
    except ValueError as refusal:  # an activation without the derivatives that the equation needs
        return Reached(error=math.inf, weights=0, seconds=0.0, status="refused", spent=False, reason=str(refusal))
    finally:
        torch.set_num_threads(threads)
    seconds = time.thread_time() - start
    left, right = solution.span
    error, reference = math.inf, task.reference
    if left <= reference.t.min() and reference.t.max() <= right:
        error = float(
            np.nan_to_num(reference.relative(np.abs(solution(reference.t) - reference.values)).max(), nan=math.inf)
        )
    history = solution.training.history if solution.training is not None else ()
    most = limit(method.optimizer)
    return Reached(
        error=error,
        weights=solution.outcome.windows.size,
        seconds=seconds,
        status=solution.status.name.lower().replace("_", " "),
        spent=most is not None and any(record.iteration >= most for record in history),
    )


def packed(task: Task, method: Any) -> bytes:
    """What `train` takes: bytes that any kind of worker can be sent, Python functions included."""
    import cloudpickle

    return cloudpickle.dumps((task, method))
