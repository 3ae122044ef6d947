"""Window after window: fit, look at fresh points, accept or shorten, go on.

A window is accepted when its defect, on points that it was not trained on, times the window's length (to the power of
the order) is below the local tolerance: what it adds to the solution's error. A window that is missed is halved; one
that was easy lets the next be half as long again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from odenn.methods.collocation import Collocation
from odenn.methods.control import RunControl
from odenn.methods.residual.objective import ResidualObjective, chebyshev, defect_of
from odenn.methods.torch_rhs import TorchRhs
from odenn.methods.trained import Piece, Stage
from odenn.monitor import MANY, ROUNDED, SHORT, Evidence, narrow
from odenn.networks.legendre import features, integrated_features
from odenn.networks.mlp import MLPWeights, Trainable, flexible_start
from odenn.networks.tables import Array
from odenn.optimise.objective import Fit, Optimiser, Record
from odenn.optimise.torch_optimiser import TorchOptimiser
from odenn.problem import IVP
from odenn.status import Status
from odenn.trial import InitialTrial

EASY, HARD = 10, 30  # iterations up to which the next window may be longer, above which it is shorter
LONGER, SHORTER, LITTLE_SHORTER = 1.5, 0.5, 0.8
AIM = 3.0  # tolerances may remain of the training residual: most of it cancels in the integral
GUARD = 0.02
FIRST_STAGE = 1e3  # the first of several networks may leave so many tolerances to the others
# What a trained network leaves swings between its points; the next one has to vary that much faster.
FASTER = 4.0
DEGREE = 12  # of the oscillation that the first network's start is chosen for
ROOM = 1e6
LEAST_SCALE = 1e-3  # of a component's size: so much the network may add to it even where it hardly moves
OVERFITTED = 1e6  # tolerances at fresh points; above it more points are no cure
ROUNDS = 3  # of training with more points, where fresh points show a residual that the others do not
HALVINGS = 2  # of a window, by optimisers that shorter windows may not help
HINTS = (MANY, 4 * MANY, 16 * MANY)  # windows at which it is looked whether the network is too small
FINISHED, STUCK = "finished", "stuck"


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What one march is asked to do."""

    problem: IVP
    rhs: TorchRhs
    network: Trainable
    home: Trainable  # the same on the CPU, where solutions live
    starts: Sequence[Tensor]  # weights that the networks of every window start from, one for each stage
    optimizer: Optimiser
    points: int
    sampling: str
    stages: int
    decay: str
    seed: int
    end: float
    edges: tuple[float, ...] | None  # given windows (their far ends), or None
    rtol: float  # local
    size_floor: Tensor  # (n,) atol / rtol
    exact: bool  # shorter windows get any tolerance: Gauss-Newton steps, no kinks
    max_windows: int

    @property
    def device(self) -> torch.device:
        return self.size_floor.device


@dataclass(frozen=True, eq=False)
class Leg:
    """A march from the initial point towards one end of the span."""

    reason: str
    pieces: tuple[Piece, ...]
    t: float
    z: Array  # (N,)
    h: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """A window after training."""

    piece: Piece
    excess: float  # largest residual at fresh points / tolerance
    iterations: int
    course: tuple[Record, ...]  # history of the last network


def march(plan: Plan, control: RunControl) -> Leg:
    """Fit windows from t0 to `plan.end`."""
    problem = plan.problem
    t, z = float(problem.t0 or 0.0), problem.initial.copy()
    sign = math.copysign(1.0, plan.end - t)
    span = abs(plan.end - t)
    smallest = 1e-9 * span
    h = _first_length(problem, span)
    peak = np.abs(z[: problem.n])
    pieces: list[Piece] = []
    missed: list[Fitted] = []  # of this window, from long to short
    settled = False  # shorter windows have been tried in vain
    reason = FINISHED
    while abs(plan.end - t) > 1e-12 * span:
        stop = control.stopped()
        if (stop is not None and control.first_window is not None) or len(pieces) >= plan.max_windows:
            reason = (stop or Status.BUDGET).name
            break
        length = plan.edges[len(pieces)] - t if plan.edges is not None else sign * _fitting(h, abs(plan.end - t))
        warm = pieces[-1].stages[0].w if pieces and not plan.optimizer.paired else None
        fitted = fit_window(plan, t, z, length, peak, warm, control)
        stop = control.stopped()
        if not fitted.excess <= 1.0 and plan.edges is None:
            missed.append(fitted)
            # First-order optimisers and kinked networks do not reach a tolerance by shorter windows alone: after two
            # halvings the best try is kept, the windows stay as long as that one, and the certificate says what it is
            # worth. The best is also kept where training was stopped and there is nothing else.
            vain = not plan.exact and (settled or len(missed) > HALVINGS)
            if vain or (stop is not None and not pieces):
                settled = vain
                fitted = min(missed, key=_excess)
            elif stop is not None:
                reason = stop.name
                break
            else:
                control.rejected += 1
                h = abs(length) * SHORTER
                if h < smallest:
                    reason = STUCK
                    control.kept.append(fitted.course)
                    break
                continue
        length = fitted.piece.trial.length
        new = _end_state(problem, fitted.piece)
        if not np.isfinite(new).all():
            reason = STUCK if stop is None else stop.name
            break
        control.kept.append(fitted.course)
        pieces.append(fitted.piece)
        values = fitted.piece.series(chebyshev(16, plan.device), 1)[0]
        peak = np.maximum(peak, values.abs().amax(0).cpu().numpy())
        z, t = new, t + length if abs(plan.end - t - length) > 1e-12 * span else plan.end
        h = abs(length)
        if fitted.excess <= 1.0 or not settled:
            h *= LONGER if fitted.iterations <= EASY and not missed else _pace(fitted.iterations)
        missed.clear()
        if control.progress is not None and plan.edges is None and len(control.pieces) + 1 in HINTS:
            seen = compared(plan, Evidence(), [*control.pieces, fitted.piece])
            control.hint = control.hint or narrow(seen)
        control.accepted(fitted.piece, 1 - abs(plan.end - t) / span)
        if stop is not None:
            reason = stop.name
            break
    return Leg(reason, tuple(piece.moved(plan.home, torch.device("cpu")) for piece in pieces), t, z, h)


def compared(plan: Plan, evidence: Evidence, pieces: Sequence[Piece]) -> Evidence:
    """`evidence`, and the number of windows beside what Collocation takes on that part of the span.

    It is left alone where windows are short for another reason: first-order steps, kinks, rounding.
    """
    if not plan.exact or max(plan.rhs.coarse, ROUNDED) > plan.rtol or len(pieces) < MANY:
        return evidence
    most = math.ceil(len(pieces) / SHORT)  # more of them, and the network is large enough
    atol = plan.rtol * plan.size_floor.cpu().numpy()
    outcome = Collocation(max_windows=most).run(plan.problem, rtol=plan.rtol, atol=atol)
    ends = [(piece.trial.start, piece.trial.start + piece.trial.length) for piece in pieces]
    left, right = min(map(min, ends)), max(map(max, ends))
    slack = 1e-9 * (right - left)
    if outcome.reached[0] > left + slack or outcome.reached[1] < right - slack:
        return evidence
    windows = outcome.windows
    here = (windows.left < right - slack) & (windows.left + np.abs(windows.length) > left + slack)
    length = float(np.median([abs(piece.trial.length) for piece in pieces]))
    return replace(evidence, windows=len(pieces), needed=int(here.sum()), length=length)


def fit_window(
    plan: Plan, t: float, z: Array, length: float, peak: Array, warm: Tensor | None, control: RunControl
) -> Fitted:
    """Train the networks of the window from t over `length`, starting in the states z (N,)."""
    orders = plan.problem.orders
    scale, size = _scales(plan, t, z, length, peak)
    trial = InitialTrial(start=t, length=length, values=plan.problem.by_component(z), scale=scale, decay=plan.decay)
    weight = size.new_tensor([abs(length) ** k for k in orders]) / (size + plan.size_floor)
    piece = Piece(trial, ())
    generator = torch.Generator("cpu").manual_seed(plan.seed)
    excess, iterations, goal = math.inf, 0, plan.rtol
    course: tuple[Record, ...] = ()
    before = math.inf, piece  # what the stages so far leave, in tolerances, and the solution with them
    for stage in range(plan.stages):
        goal = plan.rtol * (1.0 if stage == plan.stages - 1 else FIRST_STAGE)
        w = warm if warm is not None and stage == 0 else plan.starts[stage]
        x = _sample(plan.sampling, plan.points * (stage + 1), generator, plan.device)
        best: tuple[float, Piece, Tensor] | None = None
        for _ in range(ROUNDS):
            objective = ResidualObjective(plan.rhs, orders, piece, plan.network, scale, weight, x)
            fit = _run(plan, objective, w, AIM * goal, (t, length, stage, x.numel(), *z), control)
            course = fit.history
            trained = Piece(trial, (*piece.stages, Stage(plan.network, fit.w, scale)))
            fresh = chebyshev(2 * x.numel() + 1, plan.device)
            r = weight[:, None] * defect_of(trained, plan.rhs, orders, fresh)
            excess, iterations = _local_error(r) / goal, max(iterations, fit.iterations)
            if best is None or excess < best[0]:
                best = excess, trained, r.abs().amax(1)
            enough = not (fit.largest <= AIM * goal and 1.0 < excess < OVERFITTED)
            if enough or control.stopped() is not None:
                break
            w, x = (w if plan.optimizer.paired else fit.w), _denser(plan.sampling, x, fresh, r, generator)
        assert best is not None
        excess, piece, left = best
        stopped = control.stopped() is not None
        if stopped and excess * goal > before[0] * plan.rtol:  # a network that was hardly begun does not help
            excess, piece = before[0] * plan.rtol / goal, before[1]
        if stopped or (plan.edges is None and not excess <= 10.0):
            break
        before = excess * goal / plan.rtol, piece
        # The next network learns what is left. That swings fast, which takes large weights; at a scale well above what
        # is left they hardly have to move (see `PAIRED_SCALE`), and rounding does not matter at so small a scale.
        scale = (ROOM * left).clamp(min=1e-14) * (size + plan.size_floor)
    return Fitted(piece, excess * goal / plan.rtol, iterations, course)


def starts(network: Trainable, *, paired: bool, stages: int, seed: int) -> list[Tensor]:
    """Weights to begin with, of each stage; time is scaled, so they serve all windows."""
    generator = torch.Generator("cpu").manual_seed(seed)
    if not (paired and isinstance(network, MLPWeights)):
        return [network.start(generator, paired=paired, frequency=FASTER**stage) for stage in range(stages)]
    # A stage has to follow what swings about once for every point that the stage before was trained on.
    return [
        flexible_start(network, generator, DEGREE * max(2 * stage, 1), frequency=FASTER**stage)
        for stage in range(stages)
    ]


def _run(
    plan: Plan, objective: ResidualObjective, w: Tensor, goal: float, place: tuple[float, ...], control: RunControl
) -> Fit:
    def trained(w: Tensor) -> Piece:
        return Piece(objective.piece.trial, (*objective.piece.stages, Stage(plan.network, w, objective.scale)))

    if plan.sampling == "random" and isinstance(plan.optimizer, TorchOptimiser):
        target = _Resampled(objective, plan.seed)
        generators = [target.generator]
    else:
        target, generators = objective, ()
    return control.train(
        plan.optimizer.minimise, target, w, goal=goal, place=place, trained=trained, generators=generators
    )


class _Resampled:
    """The objective on new random points at every evaluation, for stochastic optimisers."""

    def __init__(self, objective: ResidualObjective, seed: int) -> None:
        self.objective = objective
        self.blocks = objective.blocks
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def residual(self, w: Tensor) -> Tensor:
        return self._drawn().residual(w)

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return self._drawn().linearise(w)

    def _drawn(self) -> ResidualObjective:
        x = self.objective.x
        return replace(self.objective, x=_sample("random", x.numel(), self.generator, x.device))


def _sample(sampling: str, points: int, generator: torch.Generator, device: torch.device) -> Tensor:
    if sampling == "uniform":
        return torch.linspace(-1.0, 1.0, points, dtype=torch.float64, device=device)
    if sampling == "random":  # drawn on the CPU: the same points on every device
        drawn = torch.empty(points, dtype=torch.float64, device="cpu").uniform_(-1, 1, generator=generator)
        return torch.sort(drawn).values.to(device)
    return chebyshev(points, device)


def _denser(sampling: str, x: Tensor, fresh: Tensor, r: Tensor, generator: torch.Generator) -> Tensor:
    """Half as many points again: where the residual is largest ("adaptive"), else everywhere."""
    if sampling != "adaptive":
        return _sample(sampling, x.numel() + x.numel() // 2, generator, x.device)
    worst = torch.topk(r.abs().amax(0), max(x.numel() // 2, 1)).indices
    return torch.sort(torch.cat((x, fresh[worst]))).values


def _local_error(r: Tensor) -> float:
    """What residuals (n, k) at Chebyshev points add to the solution: the largest of their integrals from the start.

    Residuals of a trained network change sign between its points, and most of them cancels; `GUARD` of the largest is
    kept for what the quadrature misses.
    """
    integral = r @ _integration(r.shape[1]).to(r.device)
    error = max(float(integral.abs().max()), GUARD * float(r.abs().max()))
    return error if math.isfinite(error) else math.inf


@lru_cache(maxsize=16)
def _integration(points: int) -> Tensor:
    """(k, k): values at the Chebyshev points -> integral over s in [0, 1] from 0 to each, exact for polynomials."""
    nodes = (chebyshev(points, torch.device("cpu")).numpy() + 1) / 2
    values = np.linalg.solve(features(nodes, points), np.eye(points)).T @ integrated_features(nodes, points).T
    return torch.tensor(values, device="cpu")


def _scales(plan: Plan, t: float, z: Array, length: float, peak: Array) -> tuple[Tensor, Tensor]:
    """What the network adds to each component over the window, and the component's size; from the slopes at its start
    and at an Euler step's end."""
    problem, n = plan.problem, plan.problem.n
    with np.errstate(all="ignore"):
        slopes = problem.first_order(t, z)
        ahead = z + length * slopes
        here, there = problem.rhs([t], z)[:, 0], problem.rhs([t + length], ahead)[:, 0]
    there = np.where(np.isfinite(there), there, here)
    power = np.array([abs(length) ** k / math.factorial(k) for k in problem.orders])
    added = power * np.maximum(np.abs(here), np.abs(there))
    size = np.maximum(peak, np.abs(z[:n]))
    moved = np.abs(z[:n]) + sum(
        (
            abs(length) ** level / math.factorial(level) * _level(problem, z, level)
            for level in range(1, max(problem.orders))
        ),
        np.zeros(n),
    )
    size = np.maximum(size, moved + added)
    size = np.where(size > 0, size, max(float(size.max()), 1e-300))
    scale = np.maximum(added, LEAST_SCALE * size)
    return torch.tensor(scale, device=plan.device), torch.tensor(size, device=plan.device)


def _level(problem: IVP, z: Array, level: int) -> Array:
    """(n,) sizes of the derivatives of that level; zero for components of lower order."""
    out = np.zeros(problem.n)
    has = np.array(problem.orders) > level
    lo, hi = problem.layout.offsets[level], problem.layout.offsets[level] + has.sum()
    out[has] = np.abs(z[lo:hi])
    return out


def _end_state(problem: IVP, piece: Piece) -> Array:
    """(N,) states at the far end of the window."""
    end = np.array([piece.trial.start + piece.trial.length])
    return problem.states(piece.levels(end, max(problem.orders) - 1))[:, 0]


def _first_length(problem: IVP, span: float) -> float:
    """About one time scale of the linearised equation, each state measured by its own size."""
    z = np.abs(problem.initial)
    with np.errstate(all="ignore"):
        J = np.abs(problem.jacobian(float(problem.t0 or 0.0), problem.initial))
        added = np.minimum(span * np.abs(problem.first_order(float(problem.t0 or 0.0), problem.initial)), z.max())
        size = np.maximum(z, added)
        size = np.where(size > 0, size, z.max() or 1.0)
        speed = float((J * size / size[:, None]).sum(axis=1).max())
    return min(span, 2.0 / speed) if math.isfinite(speed) and speed > 0 else 0.1 * span


def _fitting(h: float, remaining: float) -> float:
    """The next length; two equal windows rather than a long one and a scrap."""
    return remaining if h >= 0.95 * remaining else remaining / 2 if h > 0.55 * remaining else h


def _excess(fitted: Fitted) -> float:
    return fitted.excess


def _pace(iterations: int) -> float:
    return LITTLE_SHORTER if iterations > HARD else 1.0
