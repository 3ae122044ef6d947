"""Where every training run ends: the certificate judges, the monitor explains, one Outcome says it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from odenn.certificate import Certificate
from odenn.methods.outcome import Outcome, Stats, Training
from odenn.methods.trained import TrainedNetworks
from odenn.monitor import Evidence, diagnose
from odenn.networks.tables import Array
from odenn.optimise.objective import Record
from odenn.problem import IVP
from odenn.status import Status

MET = 0.9  # estimates up to this fraction of the contract count as met: the estimate is good to a few hundredths
LOOKED_AT = 201  # times


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a training method hands in."""

    trained: TrainedNetworks
    reached: Sequence[float]  # times up to which it came, the initial one included
    ended: tuple[Status, str] | None  # why and where, if before the ends of the span
    history: Sequence[Record]
    rejected: int
    attempts: int
    clock: float  # of time.perf_counter at the start
    data_error: float | None = None
    fit_error: float | None = None


def conclude(problem: IVP, run: Run, certificate: Certificate, *, atol: Array, evidence: Evidence) -> Outcome:
    """Outcome of a run; `evidence` is what the method itself knows for the diagnosis."""
    status, message = _verdict(problem, run, certificate)
    return Outcome(
        windows=run.trained,
        errors=certificate.errors,
        floor=certificate.floor,
        atol=atol,
        reached=(min(run.reached), max(run.reached)),
        status=status,
        message=message,
        stats=Stats(
            windows=len(run.trained.pieces),
            rejected=run.rejected,
            iterations=len(run.history),
            attempts=run.attempts,
            seconds=time.perf_counter() - run.clock,
        ),
        training=Training(
            history=tuple(run.history),
            diagnoses=diagnose(run.history, evidence),
            data_error=run.data_error,
            fit_error=run.fit_error,
        ),
    )


def looked_at(problem: IVP, trained: TrainedNetworks) -> tuple[Array | None, Array | None, Array]:
    """Values and slopes (n, k) over the span, None where nothing was trained, and the equation's first slopes (n,)."""
    start = problem.first_order(float(problem.t0 or 0.0), problem.initial)[: problem.n]
    if not trained.pieces:
        return None, None, start
    values, slopes = trained.levels(np.linspace(trained.left[0], trained.right[-1], LOOKED_AT), 1)
    return values, slopes, start


def _verdict(problem: IVP, run: Run, certificate: Certificate) -> tuple[Status, str]:
    reached = f"estimated error is {certificate.worst:.2g} times the tolerance"
    if certificate.unbounded_from is not None:
        reached = f"the error cannot be bounded from {problem.independent} = {certificate.unbounded_from:.6g} on"
    if run.fit_error is not None:
        reached += f"; largest misfit to the data {run.fit_error:.2g}, relative to the solution's size"
        if run.data_error is not None:
            limit = "the data limit the result" if run.data_error > run.fit_error else "the fit limits the result"
            reached += f"; the data's own error {run.data_error:.2g}: {limit}"
    if run.ended is not None:
        status, where = run.ended
        return status, f"{status.value}: {where} ({reached})"
    status = Status.SUCCESS if certificate.worst <= MET else Status.TOLERANCE
    return status, f"{status.value} ({reached})"
