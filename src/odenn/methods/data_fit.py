"""DataFit: train a network on a trajectory, and say which of the two limits the result, the data or the fit."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from odenn.certificate import Certificate
from odenn.device.choice import chosen
from odenn.methods.checkpoint import Checkpoint, Journal, describe
from odenn.methods.conclusion import Run, conclude
from odenn.methods.control import Curve, RunControl, check_training
from odenn.methods.data import CSV, FEWEST, RK4, Euler, Reference, Samples, Source, Trajectory
from odenn.methods.outcome import Outcome, Progress
from odenn.methods.trained import Piece, Stage, TrainedNetworks
from odenn.monitor import Evidence
from odenn.networks.activations import product
from odenn.networks.mlp import MLP, Trainable, smoothness, trainable
from odenn.networks.tables import Array
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.objective import Fit, Optimiser, limit
from odenn.optimise.torch_optimiser import TorchOptimiser
from odenn.problem import IVP
from odenn.status import Status
from odenn.trial import InitialTrial, scaled_time

Indices = NDArray[np.intp]

AIM = 0.05  # of rtol: the largest misfit in a window, relative to the component's size
FEW, MANY = 48, 192  # samples of a window that take part in Levenberg-Marquardt, at first and at most; the others check
SHORTEST = 12  # samples in a window that is not split further
# Between its samples a kinked network runs wild over distances that a smooth one bridges, and more iterations, shorter
# windows or a finer goal do not change that: it gets all samples it can take, and a goal that it can reach.
KINKED_SHORTEST, KINKED_GOAL = 60, 2e-5
CHECKED = 400  # samples of a window that check the fit
TRIES = 5  # halvings of one window
EASY = 12  # iterations up to which the next window may be longer


@dataclass(frozen=True, kw_only=True)
class DataFit:
    """Fit networks to data, window by window in time; the equation only judges the result.

    Parameters
    ----------
    network
        `MLP(hidden, activation)`, or any torch.nn.Module from (k, 1) to (k, n).
    data
        `Euler(step)`, `RK4(step)`, `Reference()`, `Samples(t, y, dy)` or `CSV(path)`. Samples must cover the span, but
        for a tenth of their length or two of their steps at either end; where the reference ends, so does the fit.
    slopes
        Fit the derivatives as well, where the data have them.
    windows
        "auto" halves a window until its misfit is small; a number divides the span evenly, on either side of t0.
    validation
        Fraction of the samples of every window that is kept out of training and checks it; the loss on them decides
        where `TorchOptimiser(patience=...)` ends.
    batch
        Samples per step of a first-order optimiser; None takes all.
    optimizer
        `LevenbergMarquardt()`, `TorchOptimiser(name="Adam", ...)`, or an `odenn.optimise.objective.Optimiser` of your
        own.
    seed
        Of the generator that draws weights and batches.
    max_seconds
        Budget, for the data, the training and the error estimate together. Of windows whose number is given the best
        network so far is kept, as it is of the first window in any case.
    reference
        The solution t (k,) -> (n, k), where it is known, such as another `Solution`: the history then has the true
        error of every iteration, relative, over the window in training, at the price of one evaluation.
    device
        "auto" (a CUDA device where that pays, see `odenn.device.choice`), "cpu", "cuda", or a torch.device. The
        trained networks come back to the CPU.

    Examples
    --------
    >>> DataFit(network=MLP([32] * 5, "elu"), data=Euler(0.01)).validation
    0.2
    """

    network: MLP | torch.nn.Module = field(default_factory=MLP)
    data: Euler | RK4 | Reference | Samples | CSV = field(default_factory=Reference)
    slopes: bool = False
    windows: str | int = "auto"
    validation: float = 0.2
    batch: int | None = None
    optimizer: Optimiser = field(default_factory=LevenbergMarquardt)
    seed: int = 0
    max_seconds: float | None = None
    reference: Curve | None = field(default=None, compare=False)
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        check_training(self)
        if not isinstance(self.data, Euler | RK4 | Reference | Samples | CSV):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"`data` must be Euler, RK4, Reference, Samples or CSV, got {self.data!r}")
        if not (self.windows == "auto" or (isinstance(self.windows, int) and self.windows >= 1)):
            raise ValueError(f'`windows` must be "auto" or a positive whole number, got {self.windows!r}')
        if not 0 <= self.validation <= 0.8:
            raise ValueError(f"`validation` must lie between 0 and 0.8, got {self.validation!r}")
        if self.batch is not None and not (isinstance(self.batch, int) and self.batch >= 1):
            raise ValueError(f"`batch` must be a positive whole number or None, got {self.batch!r}")
        if self.batch is not None and isinstance(self.optimizer, LevenbergMarquardt):
            raise ValueError(
                "`batch` needs a first-order optimizer, such as TorchOptimiser(): LevenbergMarquardt takes all samples"
            )

    def run(
        self,
        problem: IVP,
        *,
        rtol: float,
        atol: Array | None,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Outcome:
        """Fit the data of `problem`; the contract on the global error is judged by the certificate."""
        clock = time.perf_counter()
        source: Source = self.data
        trajectory = source.trajectory(problem)
        if self.slopes and trajectory.dy is None:
            raise ValueError("`slopes=True` needs data with derivatives: give `dy`, or leave it out")
        if atol is None:
            atol = problem.default_atol(rtol)
        journal = None
        if checkpoint is not None:
            samples = [part for part in (trajectory.t, trajectory.y, trajectory.dy) if part is not None]
            journal = Journal.open(checkpoint, describe(problem, self, rtol=rtol, atol=atol, data=samples))
        control = RunControl(
            clock=clock, home=trainable(self.network, problem.n), max_seconds=self.max_seconds, progress=progress,
            reference=self.reference, journal=journal,
        )  # fmt: skip
        control.work.calls += trajectory.calls
        control.work.evaluations += trajectory.evaluations
        with control:
            march = _March(self, problem, trajectory, rtol, control)
            stopped = march.run()
            where = control.where(march.reached[-1], len(march.pieces), problem.independent)
            ended = trajectory.ended if stopped is None else (stopped, where)
            trained = TrainedNetworks.of(march.pieces, problem.n)
            certificate = control.certify(problem, trained, rtol=rtol, atol=atol)
            if certificate.stopped and ended is None:
                ended = control.why_uncertified(), "the error estimate was not finished"
            fit_error, data_error = _gaps(trajectory, trained, certificate)
            run = Run(
                trained=trained,
                reached=march.reached,
                ended=ended,
                history=control.history,
                kept=control.kept,
                complete=march.complete and trajectory.ended is None,
                rejected=control.rejected,
                attempts=1,
                work=control.work,
                clock=clock,
                data_error=data_error,
                fit_error=fit_error,
            )
            evidence = _evidence(self, problem, march.goal)
            outcome = conclude(problem, run, certificate, atol=atol, evidence=evidence)
            control.finish(outcome.status)
        return outcome


@dataclass(frozen=True, eq=False)
class DataObjective:
    """r = (y(t) - data) / size at samples, and length (y'(t) - data') / size where slopes are fitted."""

    piece: Piece
    network: Trainable
    scale: Tensor  # (n,)
    size: Tensor  # (k, n) of the solution so far
    x: Tensor  # (k,)
    y: Tensor  # (k, n)
    dy: Tensor | None  # (k, n) by x

    @property
    def blocks(self) -> int:
        return self.y.shape[1] * (self.order + 1)

    @property
    def order(self) -> int:
        return 0 if self.dy is None else 1

    @cached_property
    def base(self) -> list[Tensor]:
        return self.piece.series(self.x, self.order + 1)

    @cached_property
    def gain(self) -> list[Tensor]:
        return [self.scale * part for part in self.piece.trial.factor(self.x, self.order + 1)]

    def residual(self, w: Tensor) -> Tensor:
        return self._residual(self.network.series(w, self.x, self.order))

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        N, pullback = self.network.linearise(w, self.x, self.order)
        n, C = self.y.shape[1], self.order + 1
        rows: list[Tensor] = []
        for level in range(C):  # residuals of this level; seeds on the network's coefficients c <= level
            for i in range(n):
                seed = self.y.new_zeros(1, C, self.x.numel(), n)
                for c in range(level + 1):
                    seed[0, c, :, i] = self.gain[level - c][:, i] / self.size[:, i]
                rows.append(pullback(seed))
        return self._residual(N), torch.cat(rows)

    def _residual(self, N: Tensor) -> Tensor:
        added = product(self.gain, list(N.unbind(0)))
        parts = [(self.base[0] + added[0] - self.y) / self.size]
        if self.dy is not None:
            parts.append((self.base[1] + added[1] - self.dy) / self.size)
        return torch.cat([part.T.reshape(-1) for part in parts])


class _Batches:
    """The objective on random samples, drawn anew at every evaluation."""

    def __init__(self, objective: DataObjective, batch: int, generator: torch.Generator) -> None:
        self.objective, self.batch, self.generator = objective, batch, generator
        self.blocks = objective.blocks

    def residual(self, w: Tensor) -> Tensor:
        return self._drawn().residual(w)

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return self._drawn().linearise(w)

    def _drawn(self) -> DataObjective:
        ob = self.objective
        picked = torch.randperm(ob.x.numel(), generator=self.generator, device="cpu")[: self.batch].to(ob.x.device)
        return replace(
            ob, x=ob.x[picked], y=ob.y[picked], size=ob.size[picked], dy=None if ob.dy is None else ob.dy[picked]
        )


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A window after training."""

    piece: Piece
    misfit: float  # largest |network - data| / size, at samples that it was trained on and at others
    fit: Fit


class _March:
    """Windows from t0 to both ends of the data."""

    def __init__(self, method: DataFit, problem: IVP, data: Trajectory, rtol: float, control: RunControl) -> None:
        self.method, self.problem, self.data = method, problem, data
        kinked = smoothness(method.network) is not None
        self.goal = max(AIM * rtol, KINKED_GOAL) if kinked else AIM * rtol
        self.few = MANY if kinked else FEW
        self.shortest = KINKED_SHORTEST if kinked else SHORTEST
        self.home = control.home
        paired = method.optimizer.paired
        samples = min(data.t.size, self.few if paired else method.batch or data.t.size)
        self.device = chosen(method.device, weights=self.home.size, residuals=problem.n * samples, gauss_newton=paired)
        self.network = self.home.to(self.device)
        self.control = control
        self.size = _running_size(problem, data)
        self.pieces: list[Piece] = []
        self.complete = False
        self.generator = torch.Generator("cpu").manual_seed(method.seed)
        t0 = float(problem.t0 or 0.0)
        self.reached = [t0]
        self.ends = problem.ends
        if data.ended is not None:  # as far as the data come
            self.ends = [float(data.t[-1 if end > t0 else 0]) for end in problem.ends]

    def run(self) -> Status | None:
        """Fit the windows; why it ended early, if it did."""
        t0 = float(self.problem.t0 or 0.0)
        for end in self.ends:
            last = float(self.data.t[-1 if end > t0 else 0])
            t, levels = t0, self.problem.by_component(self.problem.initial)
            h = (end - t0) if self.method.windows == "auto" else (end - t0) / int(self.method.windows)
            while t != end:
                if abs(t + h - last) < 0.3 * abs(h) or abs(h) > abs(last - t):
                    h = end - t
                h = self._with_samples(t, h, end)
                window = self._window(t, h, levels)
                stopped = self.control.stopped()
                if window is None:
                    return stopped
                t, levels, h = window
                if abs(end - t) <= 1e-12 * abs(end - t0):
                    t = end  # t + (end - t) is that but for rounding
                self.reached.append(t)
                self.control.accepted(self.pieces[-1], abs(t - t0) / abs(end - t0))
                if stopped is not None:
                    self.complete = t == self.ends[-1]
                    return stopped
        self.complete = True
        return None

    def _with_samples(self, t: float, h: float, end: float) -> float:
        """The length of a window from t that has samples: they may leave gaps."""
        while not self._samples(t, h).size:
            if self.method.windows != "auto":
                raise ValueError(
                    f"`windows` = {self.method.windows} leaves a window without samples, from {t:.6g} to {t + h:.6g}: "
                    "take fewer, or give more samples"
                )
            h = 2 * h if abs(2 * h) < abs(end - t) else end - t
        return h

    def _window(
        self, t: float, h: float, values: tuple[tuple[float, ...], ...]
    ) -> tuple[float, tuple[tuple[float, ...], ...], float] | None:
        """Fit one window, halved as often as it takes; where it ends, its values there, and the next length.

        None where it was stopped far from its goal and there are others: they are what is kept.
        """
        best: _Fitted | None = None  # shorter windows have fewer samples: they may fit worse
        for attempt in range(TRIES + 1):
            samples = self._samples(t, h)
            few = self.few
            fitted = self._fit(t, h, values, samples, few)
            best = min(best or fitted, fitted, key=_misfit)
            while (
                self.control.stopped() is None
                and self.method.optimizer.paired
                and few < MANY
                and few < samples.size
                and fitted.misfit > self.goal
                and (not fitted.fit.history or fitted.fit.history[-1].loss < (0.3 * fitted.misfit) ** 2)
            ):
                few *= 2  # better at its own samples than between them
                fitted = self._fit(t, h, values, samples, few)
                best = min(best, fitted, key=_misfit)
            last = (
                attempt == TRIES
                or samples.size < 2 * self.shortest
                or not (self._samples(t, h / 2).size and self._samples(t + h / 2, h / 2).size)
                or self.method.windows != "auto"
                or not self.method.optimizer.paired
            )
            if best.misfit <= self.goal or last or self.control.stopped() is not None:
                break
            self.control.rejected += 1
            h *= 0.5
        assert best is not None
        automatic = self.method.windows == "auto"
        if self.control.stopped() is not None and best.misfit > self.goal and automatic and self.pieces:
            return None
        self.control.kept.append(best.fit.history)
        self.pieces.append(best.piece.moved(self.home, torch.device("cpu")))
        h = best.piece.trial.length
        end = best.piece.levels(np.array([t + h]), 0)[0][:, 0]
        easy = best.fit.iterations <= EASY and automatic
        return t + h, tuple((float(value),) for value in end), h * (1.5 if easy else 1.0)

    def _samples(self, t: float, h: float) -> Indices:
        """Indices of the samples in the window."""
        lo, hi = min(t, t + h), max(t, t + h)
        return np.flatnonzero((self.data.t >= lo - 1e-12 * abs(h)) & (self.data.t <= hi + 1e-12 * abs(h)))

    def _fit(self, t: float, h: float, values: tuple[tuple[float, ...], ...], samples: Indices, few: int) -> _Fitted:
        method, data = self.method, self.data
        training, check = _split(samples, method, few)
        start = np.array([row[0] for row in values])
        moved = np.abs(data.y[:, samples] - start[:, None]).max(axis=1)
        size = self.size[:, samples].max(axis=1)
        scale = torch.tensor(np.maximum(moved, 1e-3 * size), device=self.device)
        trial = InitialTrial(start=t, length=h, values=values, scale=scale)
        piece = Piece(trial, ())
        objective = self._objective(piece, training)
        minimise = method.optimizer.minimise
        if isinstance(method.optimizer, TorchOptimiser) and check.size and check is not training:
            held = self._objective(piece, check[:: max(1, check.size // CHECKED)])
            minimise = partial(method.optimizer.minimise, validation=lambda w: _mean_square(held.residual(w)))
        w = self.home.start(self.generator, paired=method.optimizer.paired).to(self.device)
        batched = method.batch is not None
        target = _Batches(objective, method.batch, self.generator) if method.batch is not None else objective
        fit = self.control.train(
            minimise,
            target,
            w,
            goal=0.5 * self.goal,
            place=(t, h, training.size, *(value for row in values for value in row)),
            trained=lambda w: Piece(trial, (Stage(self.network, w, scale),)),
            generators=[self.generator] if batched else (),
        )
        piece = Piece(trial, (Stage(self.network, fit.w, scale),))
        checked = np.union1d(training, check)[:: max(1, (training.size + check.size) // CHECKED)]
        misfit = np.abs(piece.levels(data.t[checked], 0)[0] - data.y[:, checked]) / self.size[:, checked]
        return _Fitted(piece, float(np.nan_to_num(misfit, nan=np.inf).max(initial=0.0)), fit)

    def _objective(self, piece: Piece, samples: Indices) -> DataObjective:
        """The misfit of a window at some of its samples."""
        data, trial = self.data, piece.trial
        slopes = data.dy if self.method.slopes else None

        def rows(values: Array) -> Tensor:
            return torch.tensor(values[:, samples].T.copy(), device=self.device)

        return DataObjective(
            piece=piece,
            network=self.network,
            scale=trial.scale,
            size=rows(self.size),
            x=scaled_time(trial, torch.tensor(data.t[samples], device=self.device)),
            y=rows(data.y),
            dy=None if slopes is None else rows(slopes) * (trial.length / 2),
        )


def _misfit(fitted: _Fitted) -> float:
    return fitted.misfit


def _mean_square(r: Tensor) -> float:
    return float((r * r).mean())


def _gaps(data: Trajectory, trained: TrainedNetworks, certificate: Certificate) -> tuple[float, float | None]:
    """Largest misfit of the network to the data and error of the data, relative to each component's largest value.

    Data whose error nobody knows (measured, or of another equation) are held against the network plus its estimated
    error, which is the solution as far as the certificate knows it.
    """
    if not trained.pieces:
        return math.inf, None
    reached = (data.t >= trained.left[0]) & (data.t <= trained.right[-1])
    t, y = data.t[reached], data.y[:, reached]
    peak = np.maximum(np.abs(data.y).max(axis=1, keepdims=True), np.finfo(float).tiny)
    values = trained.levels(t, 0)[0]
    misfit = float(np.nan_to_num(np.abs(values - y) / peak, nan=np.inf).max(initial=0.0))
    if data.error is not None:
        return misfit, float((data.error / peak).max())
    gap = np.abs(y - values - certificate.errors.derivative(t, 0)) / peak
    return misfit, float(gap.max()) if gap.size and np.isfinite(gap).all() else None


def _running_size(problem: IVP, data: Trajectory) -> Array:
    """(n, k): the largest value of each component between the initial point and each sample, as in the contract."""
    t0 = float(problem.t0 or 0.0)
    size = np.empty_like(data.y)
    for side in (data.t >= t0, data.t < t0):
        order = np.flatnonzero(side)[np.argsort(np.abs(data.t[side] - t0))]
        size[:, order] = np.maximum.accumulate(np.abs(data.y[:, order]), axis=1)
    # A component that starts at zero, up to rounding, is measured by a thousandth of its peak until it is larger.
    peak = np.abs(data.y).max(axis=1, keepdims=True)
    zero = np.abs(problem.initial[: problem.n, None]) <= np.finfo(float).eps * peak
    return np.maximum(size, np.maximum(1e-3 * peak * zero, 1e-300))


def _split(samples: Indices, method: DataFit, few: int) -> tuple[Indices, Indices]:
    """Samples for training and for checking.

    A Gauss-Newton method takes a few, denser towards the ends, where a fit runs away first; every fourth or so of the
    others checks, so that the network is never judged by what it has seen alone.
    """
    if samples.size <= FEWEST:
        return samples, samples
    inner = samples[1:-1]
    held = inner[np.diff(np.floor(method.validation * np.arange(-1, inner.size))) > 0]  # that share of them, spread out
    free = np.setdiff1d(samples, held)
    if method.optimizer.paired and free.size > few:
        places = (1 - np.cos(np.pi * (np.arange(few) + 0.5) / few)) / 2
        chosen = np.unique(np.round(places * (free.size - 1)).astype(int))
        return free[chosen], np.setdiff1d(samples, free[chosen])
    return free, held


def _evidence(method: DataFit, problem: IVP, goal: float) -> Evidence:
    kinks = smoothness(method.network)
    return Evidence(
        goal=goal,
        iterations=limit(method.optimizer),
        activation=kinks.activation if kinks else "",
        smooth=kinks.smooth if kinks else None,
        order=max(problem.orders),
    )


__all__ = ["CSV", "RK4", "DataFit", "DataObjective", "Euler", "Reference", "Samples"]
