"""Where every training run ends: the certificate judges, the monitor explains, one Outcome says it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from odenn.certificate import Certificate
from odenn.methods.outcome import Outcome, Stats, Training, Work
from odenn.methods.trained import Piece, TrainedNetworks
from odenn.monitor import Course, Diagnosis, Evidence, costs, diagnose, limited_by_data
from odenn.networks.tables import Array
from odenn.optimise.objective import Record
from odenn.problem import IVP
from odenn.status import Status

MET = 0.9  # estimates up to this fraction of the contract count as met: the estimate is good to a few hundredths
LOOKED_AT = 101  # times per window


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a training method hands in."""

    trained: TrainedNetworks
    reached: Sequence[float]  # times up to which it came, the initial one included
    ended: tuple[Status, str] | None  # why and where, if before the ends of the span
    history: Sequence[Record]
    kept: Sequence[Sequence[Record]]  # of it, what belongs to the last network of every window of the solution
    complete: bool  # up to the ends
    rejected: int
    attempts: int
    work: Work
    clock: float  # of time.perf_counter at the start
    data_error: float | None = None
    fit_error: float | None = None


def conclude(problem: IVP, run: Run, certificate: Certificate, *, atol: Array, evidence: Evidence) -> Outcome:
    """Outcome of a run; `evidence` is what the method itself knows for the diagnosis.

    That is made of a miss; of a success only what made it long is said.
    """
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
            calls=run.work.calls,
            evaluations=run.work.evaluations,
            windows=len(run.trained.pieces),
            rejected=run.rejected,
            iterations=len(run.history),
            attempts=run.attempts,
            seconds=time.perf_counter() - run.clock,
        ),
        training=Training(
            history=tuple(run.history),
            diagnoses=_diagnoses(problem, run, certificate, evidence)
            if status is not Status.SUCCESS
            else costs(evidence),
            data_error=run.data_error,
            fit_error=run.fit_error,
        ),
    )


def _diagnoses(problem: IVP, run: Run, certificate: Certificate, evidence: Evidence) -> tuple[Diagnosis, ...]:
    """What is wrong with a run that missed its tolerance."""
    known = replace(
        evidence,
        courses=_courses(problem, run, certificate),
        data_error=run.data_error,
        fit_error=run.fit_error,
        iterations=evidence.iterations if run.ended is None else None,
    )
    # What was tried and rejected on the way is no fault of a run.
    return diagnose([record for history in run.kept for record in history], known)


def _courses(problem: IVP, run: Run, certificate: Certificate) -> list[Course]:
    """What is to be seen on each window; the solution is the network plus its estimated error, if bounded."""
    top = max(problem.orders)
    courses: list[Course] = []
    for w, piece in enumerate(run.trained.pieces):
        t = np.linspace(run.trained.left[w], run.trained.right[w], LOOKED_AT)
        with np.errstate(all="ignore"):
            levels = run.trained.levels_in(w, t, top)
            errors = certificate.errors.derivative(t, 0)
            asked = problem.rhs(t, problem.states(levels[:-1]))
        if not all(np.isfinite(part).all() for part in (*levels, errors, asked)):
            continue
        solution = levels[0] + errors
        courses.append(
            Course(
                scale=piece.trial.scale.cpu().numpy(),
                network=levels[0],
                slopes=_highest(levels, problem.orders),
                asked=asked,
                solution=solution,
                added=_beside_the_start(piece, t, solution),
                solution_slopes=_highest(_differences(solution, t, top), problem.orders),
            )
        )
    return courses


def _beside_the_start(piece: Piece, t: Array, y: Array) -> Array:
    """(n,) how far y (n, k) changes beside what the initial values of the trial solution say.

    The network may begin beside the solution: what they are apart at the start is no change.
    """
    return np.ptp(y - Piece(piece.trial, ()).levels(t, 0)[0], axis=1)


def _highest(levels: Sequence[Array], orders: Sequence[int]) -> Array:
    """(n, k): of each component the derivative of its order."""
    return np.stack([levels[order][i] for i, order in enumerate(orders)])


def _differences(y: Array, t: Array, top: int) -> list[Array]:
    levels = [y]
    for _ in range(top):
        levels.append(np.asarray(np.gradient(levels[-1], t, axis=1)))
    return levels


def _verdict(problem: IVP, run: Run, certificate: Certificate) -> tuple[Status, str]:
    reached = f"estimated error is {certificate.worst:.2g} times the tolerance"
    if certificate.unbounded_from is not None:
        here = f"{problem.independent} = {certificate.unbounded_from:.6g} on"
        reached = f"the error is unknown from {here}, where its estimate was stopped"
        if not certificate.stopped:
            reached = f"the error cannot be bounded from {here}"
    if not run.trained.pieces:
        reached = "nothing was solved"
    elif run.fit_error is not None:
        reached += f"; largest misfit to the data {run.fit_error:.2g}, relative to the largest value"
        if run.data_error is not None:
            limit = (
                "the data limit the result"
                if limited_by_data(run.data_error, run.fit_error)
                else "the fit limits the result"
            )
            reached += f"; the data's own error {run.data_error:.2g}: {limit}"
    met = certificate.worst <= MET
    # A budget may end the training of a network that is good enough.
    if run.ended is not None and not (met and run.complete and run.ended[0] is Status.BUDGET):
        status, where = run.ended
        return status, f"{status.value}: {where} ({reached})"
    status = Status.SUCCESS if met else Status.TOLERANCE
    return status, f"{status.value} ({reached})"
