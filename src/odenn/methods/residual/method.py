"""The residual method: options, attempts, outcome."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from odenn.certificate import Certificate
from odenn.device.choice import chosen
from odenn.methods.checkpoint import Checkpoint, Journal, describe
from odenn.methods.conclusion import MET, Run, conclude
from odenn.methods.control import Curve, RunControl, check_training
from odenn.methods.outcome import Outcome, Progress
from odenn.methods.residual.march import AIM, FINISHED, STUCK, Leg, Plan, compared, march, starts
from odenn.methods.torch_rhs import TorchRhs, torch_rhs
from odenn.methods.trained import TrainedNetworks
from odenn.monitor import Evidence
from odenn.networks.mlp import MLP, Trainable, smoothness, trainable
from odenn.networks.tables import Array
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.objective import Optimiser, Record, limit
from odenn.problem import IVP
from odenn.status import Status
from odenn.trial import DECAYS
from odenn.wording import counted

SAMPLINGS = ("chebyshev", "uniform", "random", "adaptive")
LOCAL = 0.1  # local tolerance as a fraction of the global one, at first
FINEST = 1e-13  # relative; residuals below are rounding
ATTEMPTS = 3
STIFF = 1e3  # decay over the rest of the span, in powers of e; several hundred windows
KINKED_POINTS = 48  # between its points a kinked network runs wild


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Train networks until they satisfy the equation, window by window in time.

    The trial solution meets the initial values exactly; all weights are trained to make the residual of the equation
    vanish at points in the window. Equations of any order are solved as they are, without reduction to first order.

    Parameters
    ----------
    network
        `MLP(hidden, activation)`, or any torch.nn.Module from (k, 1) to (k, n).
    points
        Per window; more are added where fresh points show that they were too few.
    sampling
        "chebyshev", "uniform", "random" (drawn anew for every step of a first-order optimiser) or "adaptive" (more
        points where the residual is large).
    windows
        "auto" lets the error control choose them; a number divides the span evenly; a sequence of times between the
        ends of the span gives them.
    optimizer
        `LevenbergMarquardt()`, `TorchOptimiser(name="Adam", ...)`, or an `odenn.optimise.objective.Optimiser` of your
        own.
    stages
        2 lets a second network learn the scaled error of the first, and so on.
    decay
        How the trial solution leaves the initial values: "power" or "exponential" (see `odenn.trial`).
    seed
        Of the generator that draws weights and random points.
    max_windows
        Budget. What it leaves of the span is not solved.
    max_seconds
        Budget, for the training and the error estimate together. Of windows that are given the best network so far is
        kept, as it is of the first window in any case.
    reference
        The solution t (k,) -> (n, k), where it is known, such as another `Solution`: the history then has the true
        error of every iteration, relative, over the window in training, at the price of one evaluation.
    device
        "auto" (a CUDA device where that pays, see `odenn.device.choice`), "cpu", "cuda", or a torch.device. The
        trained networks come back to the CPU.

    References
    ----------
    I. E. Lagaris, A. Likas and D. I. Fotiadis, IEEE Trans. Neural Networks 9 (1998) 987-1000 (trial solutions);
    Y. Wang and C.-Y. Lai, "Multi-stage neural networks", J. Comput. Phys. 504 (2024) 112865.

    Examples
    --------
    >>> Residual(network=MLP([16, 16], "sin"), stages=2).stages
    2
    """

    network: MLP | torch.nn.Module = field(default_factory=MLP)
    points: int = 16
    sampling: str = "chebyshev"
    windows: str | int | Sequence[float] = "auto"
    optimizer: Optimiser = field(default_factory=LevenbergMarquardt)
    stages: int = 1
    decay: str = "power"
    seed: int = 0
    max_windows: int = 10_000
    max_seconds: float | None = None
    reference: Curve | None = field(default=None, compare=False)
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        check_training(self)
        if not (isinstance(self.points, int) and self.points >= 4):
            raise ValueError(
                f"`points` must be a whole number, 4 or more, got {self.points!r}: fewer leave gaps unseen"
            )
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"`sampling` must be one of {', '.join(SAMPLINGS)}, got {self.sampling!r}")
        if not (isinstance(self.stages, int) and 1 <= self.stages <= 5):
            raise ValueError(f"`stages` must be a whole number from 1 to 5, got {self.stages!r}")
        if self.decay not in DECAYS:
            raise ValueError(f"`decay` must be one of {', '.join(DECAYS)}, got {self.decay!r}")
        object.__setattr__(self, "windows", _checked_windows(self.windows))  # the dataclass is frozen
        if not (isinstance(self.max_windows, int) and self.max_windows >= 1):
            raise ValueError(f"`max_windows` must be a positive whole number, got {self.max_windows!r}")

    def run(
        self,
        problem: IVP,
        *,
        rtol: float,
        atol: Array | None,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Outcome:
        """Solve `problem` to |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|; atol (n,), None for the default."""
        clock = time.perf_counter()
        home = trainable(self.network, problem.n)
        check_smoothness(self, home, max(problem.orders))
        device = chosen(
            self.device, weights=home.size, residuals=problem.n * self.points, gauss_newton=self.optimizer.paired
        )
        network, rhs = home.to(device), torch_rhs(problem, device)
        if atol is None:
            atol = problem.default_atol(rtol)
        journal = None
        if checkpoint is not None:
            journal = Journal.open(checkpoint, describe(problem, self, rtol=rtol, atol=atol))
        control = RunControl(
            clock=clock, home=home, max_seconds=self.max_seconds, progress=progress, reference=self.reference,
            journal=journal,
        )  # fmt: skip
        with control:
            plan = Plan(
                problem=problem, rhs=replace(rhs, work=control.work), network=network, home=home,
                optimizer=self.optimizer, sampling=self.sampling,
                points=self.points if smoothness(self.network) is None else max(self.points, KINKED_POINTS),
                stages=self.stages, decay=self.decay, seed=self.seed, max_windows=self.max_windows,
                starts=[
                    w.to(device)
                    for w in starts(home, paired=self.optimizer.paired, stages=self.stages, seed=self.seed)
                ],
                exact=self.optimizer.paired and smoothness(self.network) is None,  # Gauss-Newton steps, no kinks
                size_floor=torch.tensor(atol / rtol, device=device), rtol=rtol, end=problem.ends[0], edges=None,
            )  # fmt: skip
            found, ended, attempts = self._attempts(plan, rtol, atol, control)
            run = Run(
                trained=found.trained,
                reached=[float(problem.t0 or 0.0), *(leg.t for leg in found.legs)],
                ended=ended,
                history=control.history,
                kept=found.kept,
                complete=all(leg.t == end for leg, end in zip(found.legs, problem.ends, strict=True)),
                rejected=control.rejected,
                attempts=attempts,
                work=control.work,
                clock=clock,
            )
            evidence = _evidence(self, problem, rhs, found.local)
            if self.windows == "auto":
                evidence = compared(replace(plan, rtol=found.local), evidence, found.trained.pieces)
            outcome = conclude(problem, run, found.judged(problem, rtol, atol, control), atol=atol, evidence=evidence)
            control.finish(outcome.status)
        return outcome

    def _attempts(
        self, plan: Plan, rtol: float, atol: Array, control: RunControl
    ) -> tuple[_Attempt, tuple[Status, str] | None, int]:
        """Solve with a finer local tolerance until the certificate is content; the best attempt, why and where it
        ended early, and how many there were."""
        problem, fraction, attempt = plan.problem, LOCAL, 0
        finest = max(FINEST, plan.rhs.coarse)
        best: _Attempt | None = None
        while True:
            attempt += 1
            local = max(fraction * rtol, finest)
            found = self._attempt(replace(plan, rtol=local), control)
            ended = _ended(problem, found.legs, control)
            if ended is not None:
                if best is None:
                    found.judged(problem, rtol, atol, control)
                    return found, ended, attempt
                # The attempt before went all the way.
                status = ended[0]
                cut = status in (Status.BUDGET, Status.INTERRUPTED)
                return best, (status, "no finer attempt was finished") if cut else None, attempt
            known = control.worst(attempt)
            worst = found.judged(problem, rtol, atol, control).worst if known is None else known
            certificate = found.certificate
            if certificate is not None and certificate.stopped:
                why = control.why_uncertified(), "the error estimate was not finished"
                return best or found, why, attempt
            if best is None or worst < best.worst:
                found.worst, best = worst, found
            # Far from any solution a finer tolerance is not what is missing.
            final = self.windows != "auto" or not plan.exact
            if worst <= MET or not worst < 1e12 or final or attempt == ATTEMPTS or local == finest:
                return best, None, attempt
            control.note_worst(attempt, worst)
            fraction *= max(0.15 / worst, 1e-4)

    def _attempt(self, plan: Plan, control: RunControl) -> _Attempt:
        """March to both ends of the span."""
        problem = plan.problem
        control.begin_attempt()
        legs = [march(replace(plan, end=end, edges=self._edges(problem, end)), control) for end in problem.ends]
        trained = TrainedNetworks.of((piece for leg in legs for piece in leg.pieces), problem.n)
        return _Attempt(local=plan.rtol, legs=legs, trained=trained, kept=tuple(control.kept))

    def _edges(self, problem: IVP, end: float) -> tuple[float, ...] | None:
        """Far ends of the given windows on the way from t0 to `end`."""
        t0 = float(problem.t0 or 0.0)
        if isinstance(self.windows, str):
            return None
        if isinstance(self.windows, int):
            return tuple(np.linspace(t0, end, self.windows + 1)[1:].tolist())
        inside = [time for time in self.windows if min(t0, end) < time < max(t0, end)]
        span = problem.span or (t0, end)
        outside = any(not min(span) <= time <= max(span) for time in self.windows)
        if outside or len(set(self.windows)) != len(self.windows):
            raise ValueError(f"`windows` must be different times within the span {span}, got {list(self.windows)!r}")
        return (*sorted(inside, reverse=end < t0), end)


@dataclass(kw_only=True, eq=False)
class _Attempt:
    """Networks for the whole span, trained to one local tolerance."""

    local: float
    legs: list[Leg]
    trained: TrainedNetworks
    kept: tuple[tuple[Record, ...], ...]
    worst: float = math.inf  # estimate / tolerance
    certificate: Certificate | None = None

    def judged(self, problem: IVP, rtol: float, atol: Array, control: RunControl) -> Certificate:
        """The certificate, made when it is first asked for."""
        if self.certificate is None:
            self.certificate = control.certify(problem, self.trained, rtol=rtol, atol=atol)
        return self.certificate


def _checked_windows(given: Any) -> str | int | tuple[float, ...]:
    if isinstance(given, int | np.integer) and given < 1:
        raise ValueError(f"`windows` must be 1 or more, got {given!r}")
    if isinstance(given, int | np.integer):
        return int(given)
    if isinstance(given, str) and given == "auto":
        return given
    try:
        if isinstance(given, str):
            raise TypeError
        return tuple(float(time) for time in given)
    except (TypeError, ValueError):
        raise ValueError(f'`windows` must be "auto", a number or a sequence of times, got {given!r}') from None


def check_smoothness(method: Residual, network: Trainable, order: int) -> None:
    """Refuse a network whose derivative of that order is zero; warn where it jumps."""
    kinks = smoothness(method.network)
    if order >= 2 and _is_flat(network, order):
        which = kinks.activation if kinks else network.kind
        raise ValueError(
            f"`network` with {which} has no {_ORDINALS.get(order, f'{order}th')} derivative (it is zero wherever it "
            f'exists), so an equation of order {order} cannot see it: use "tanh" or "sin"'
        )
    if kinks is not None and order > kinks.smooth:
        warnings.warn(
            f"{kinks.activation} has {counted(kinks.smooth, 'continuous derivative')} and the equation is of order "
            f'{order}: kinks cap the accuracy at about 1e-3 to 1e-5; use "tanh" or "sin" for more',
            UserWarning,
            stacklevel=4,
        )


_ORDINALS = {2: "second", 3: "third"}


def _is_flat(network: Trainable, order: int) -> bool:
    """Whether the derivative of that order is zero whatever the weights; some networks start at 0."""
    generator = torch.Generator("cpu").manual_seed(0)
    w = network.start(generator, paired=False)
    w = w + 0.1 * torch.randn(w.shape, dtype=w.dtype, device="cpu", generator=generator)
    x = torch.linspace(-1.0, 1.0, 33, dtype=w.dtype, device="cpu")
    with torch.no_grad():
        try:
            return not bool(network.series(w, x, order)[order].any())
        except NotImplementedError as error:  # torch differentiates SiLU forward once, not twice
            raise ValueError(
                f"torch cannot differentiate `network` {order} times by time ({error}): use odenn.MLP, whose "
                "activations have all derivatives, or write the activation with plain operations, x * torch.sigmoid(x) "
                "for SiLU"
            ) from error


def _evidence(method: Residual, problem: IVP, rhs: TorchRhs, local: float) -> Evidence:
    kinks = smoothness(method.network)
    return Evidence(
        goal=AIM * local,
        iterations=limit(method.optimizer),
        activation=kinks.activation if kinks else "",
        smooth=kinks.smooth if kinks else None,
        order=max(problem.orders),
        single=rhs.coarse > 0,
    )


def _ended(problem: IVP, legs: list[Leg], control: RunControl) -> tuple[Status, str] | None:
    """Why a march ended before the end of the span, and where."""
    for leg in legs:
        if leg.reason != FINISHED:
            status = _why_stuck(problem, leg) if leg.reason == STUCK else Status[leg.reason]
            where = control.where(leg.t, len(leg.pieces), problem.independent)
            return status, where + _stiffness(problem, leg)
    return None


def _stiffness(problem: IVP, leg: Leg) -> str:
    """What to do where decay that is over long before the span is keeps the windows short."""
    J = problem.jacobian(leg.t, leg.z)
    rate = -float(np.linalg.eigvals(J).real.min()) if np.isfinite(J).all() else 0.0
    if rate * max(abs(end - leg.t) for end in problem.ends) < STIFF:
        return ""
    return (
        f"; the equation is stiff there (it decays at rates up to {rate:.2g}), which keeps windows short: "
        "Collocation(), the default method, solves such windows implicitly"
    )


def _why_stuck(problem: IVP, leg: Leg) -> Status:
    size = float(np.abs(leg.z[: problem.n]).max())
    with np.errstate(all="ignore"):
        ahead = leg.t + np.array([0.0, 1.0, 10.0]) * 4 * leg.h
        slopes = problem.rhs(ahead, np.repeat(leg.z.reshape(-1, 1), 3, axis=1))
    if size > 1e5 * problem.size or (np.isfinite(size) and np.abs(slopes[:, 0]).max() * leg.h > 1e-3 * size > 0):
        return Status.BLOW_UP
    if not np.isfinite(slopes).all():
        return Status.NON_FINITE
    return Status.STALLED
