"""What training and evaluation cost on the CPU and on the accelerator, by size."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from statistics import median

import torch

from odenn.device.choice import work_of
from odenn.device.facts import processor
from odenn.device.store import Measured
from odenn.methods.residual.objective import ResidualObjective, chebyshev
from odenn.methods.torch_rhs import torch_rhs
from odenn.methods.trained import Piece
from odenn.networks.mlp import MLP
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.problem import parse
from odenn.trial import InitialTrial

GAUSS_NEWTON, FIRST_ORDER, EVALUATION = "gauss-newton", "first-order", "evaluation"
STEPS = (GAUSS_NEWTON, FIRST_ORDER, EVALUATION)
NETWORKS = ((16,) * 2, (32,) * 5, (64,) * 5, (128,) * 5, (256,) * 5)
POINTS = (16, 64, 256, 1024, 4096)
LARGEST_JACOBIAN, MOST_WORK = 1 << 27, 5e9  # bytes; of a Gauss-Newton step, a second or so of a core
OUTPUTS = 2  # components of the problem
MOST_REPEATS = 7
EQUATIONS = "dx/dt = x - x*y, dy/dt = x*y - y; x(0) = 2, y(0) = 1"  # Lotka-Volterra


@dataclass(frozen=True, kw_only=True)
class Case:
    """One step of one size."""

    step: str
    hidden: tuple[int, ...]
    weights: int
    points: int  # or samples of a batch

    @property
    def work(self) -> int:
        return work_of(weights=self.weights, residuals=OUTPUTS * self.points, gauss_newton=self.step == GAUSS_NEWTON)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A case, measured: medians."""

    case: Case
    cpu: float  # seconds
    accelerator: float | None  # None where there is none, or not enough memory on it

    @property
    def faster(self) -> bool:
        """Whether the accelerator was."""
        return self.accelerator is not None and self.accelerator < self.cpu


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """All rows, and from which work on the accelerator pays."""

    cpu: str
    accelerator: str | None  # None where there is none
    date: str
    torch: str
    threads: int
    rows: tuple[Row, ...]

    def crossover(self, step: str) -> int | None:
        """Least work from which on the accelerator was faster in all cases; None where it was not at the largest."""
        rows = [row for row in self.rows if row.case.step == step]
        slower = max((row.case.work for row in rows if not row.faster), default=0)
        return min((row.case.work for row in rows if row.case.work > slower), default=None)

    def measured(self) -> Measured:
        """What `device="auto"` goes by."""
        assert self.accelerator is not None
        gauss_newton, first_order, evaluation = (self.crossover(step) for step in STEPS)
        return Measured(
            accelerator=self.accelerator, host=platform.node(), gauss_newton=gauss_newton, first_order=first_order,
            evaluation=evaluation, date=self.date, torch=self.torch,
        )  # fmt: skip


def cases(networks: Sequence[tuple[int, ...]] = NETWORKS, points: Sequence[int] = POINTS) -> tuple[Case, ...]:
    """All combinations whose Jacobian is not too large, the small ones first."""
    found: list[Case] = []
    for hidden in networks:
        weights = MLP(hidden).trainable(outputs=OUTPUTS).size
        for k in points:
            for step in STEPS:
                case = Case(step=step, hidden=hidden, weights=weights, points=k)
                fits = OUTPUTS * k * weights * 8 <= LARGEST_JACOBIAN and case.work <= MOST_WORK
                if fits or step != GAUSS_NEWTON:
                    found.append(case)
    return tuple(sorted(found, key=lambda case: case.weights * case.points))


def benchmark(
    *,
    seconds: float,
    wanted: Sequence[Case] | None = None,
    accelerator: torch.device | None = None,
    progress: Callable[[float], None] | None = None,
) -> Benchmark:
    """Measure as many cases as fit into `seconds`, the small ones first.

    One step of Levenberg-Marquardt (Jacobian, factors, a trial), one of Adam (residuals, gradient, update), one
    evaluation, for a residual of Lotka-Volterra's equations; medians of up to seven, after one to warm up.
    """
    begin = time.perf_counter()
    wanted = cases() if wanted is None else wanted
    rows: list[Row] = []
    for number, case in enumerate(wanted):
        left = seconds - (time.perf_counter() - begin)
        if left <= 0:
            break
        share = left / (len(wanted) - number) / (1 if accelerator is None else 2)
        there = None
        if accelerator is not None:
            with suppress(torch.cuda.OutOfMemoryError):
                there = seconds_of(case, accelerator, share)
        rows.append(Row(case=case, cpu=seconds_of(case, torch.device("cpu"), share), accelerator=there))
        if progress is not None:
            progress((number + 1) / len(wanted))
    return Benchmark(
        cpu=processor(),
        accelerator=None if accelerator is None else _name(accelerator),
        date=date.today().isoformat(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        rows=tuple(rows),
    )


def find_accelerator() -> torch.device | None:
    """The device to compare the CPU with: CUDA's current one. MPS has no float64."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else None


def seconds_of(case: Case, device: torch.device, share: float) -> float:
    """Median time of a step, measured for about `share` seconds."""
    step = _step(case, device)
    step()
    times: list[float] = []
    end = time.perf_counter() + share
    while not times or (len(times) < MOST_REPEATS and time.perf_counter() < end):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return median(times)


def _step(case: Case, device: torch.device) -> Callable[[], float]:
    """A step that ends in a number, which waits for the device."""
    problem = parse(EQUATIONS, span=(0, 1))
    network = MLP(case.hidden).trainable(outputs=OUTPUTS)
    generator = torch.Generator("cpu").manual_seed(0)
    w = network.start(generator, paired=case.step == GAUSS_NEWTON).to(device)
    x = chebyshev(case.points, device)
    ones = torch.ones(2, dtype=torch.float64, device=device)
    trial = InitialTrial(start=0.0, length=1.0, values=((2.0,), (1.0,)), scale=ones)
    objective = ResidualObjective(torch_rhs(problem, device), (1, 1), Piece(trial, ()), network, ones, ones, x)
    if case.step == EVALUATION:

        def evaluate() -> float:
            with torch.no_grad():
                return float(network.series(w, x, 0)[0, 0, 0])

        return evaluate
    if case.step == GAUSS_NEWTON:
        optimiser = LevenbergMarquardt()
        with torch.no_grad():
            state = optimiser.init(objective, w)

        def iterate() -> float:
            with torch.no_grad():
                return optimiser.step(objective, state).loss

        return iterate
    weights = w.requires_grad_()
    adam = torch.optim.Adam([weights], lr=1e-6)

    def descend() -> float:
        adam.zero_grad()
        loss = objective.residual(weights).square().mean()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return descend


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
