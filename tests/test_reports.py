"""What a report shows of a run that is under way."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import odenn
from odenn import MLP, RK4, Collocation, DataFit, Residual, TorchOptimiser
from odenn.methods.control import REFERENCE_TIMES
from odenn.networks.legendre import Legendre

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
ADAM = TorchOptimiser(iterations=10, lr=1e-2)
SMALL = MLP([8, 8])


def exact(t):
    return np.stack([np.exp(t), np.cosh(t)])


def covered(function) -> tuple[float, float]:
    return function.left[0], function.left[-1] + abs(function.length[-1])


def same_between(report, solution, left, right) -> bool:
    t = np.linspace(left, right, 40)[1:-1]
    return np.array_equal(report.solution.derivative(t), solution(t)) and np.array_equal(
        report.solution.derivative(t, 1), solution.derivative(t, 1)
    )


@pytest.mark.parametrize("method", [Collocation(), Collocation(network=Legendre(degree=8), compile=True)])
def test_collocation_shows_the_windows_that_it_has(method):
    """Read when all is over: a report keeps what was there when it was made, in both directions from t0."""
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(-200, 600))
    seen = []
    solution = odenn.solve(problem, method=method, progress=seen.append)
    assert solution.stats.attempts == 1
    ends = [covered(report.solution) for report in seen]
    assert len(ends) >= 3
    assert 0 in ends[0]
    assert all(narrow[0] >= wide[0] and narrow[1] <= wide[1] for narrow, wide in pairwise(ends))
    assert ends[-1] == problem.span
    assert all(same_between(report, solution, *covered(report.solution)) for report in seen)


def test_collocation_without_a_window_shows_nothing():
    seen = []
    problem = odenn.IVP(lambda t, y: [y[0] * np.sqrt(-t)], y0=[1.0], span=(0, 1))
    assert not odenn.solve(problem, progress=seen.append).success
    assert [report.solution for report in seen] == [None]


@pytest.mark.parametrize(
    "method",
    [
        Residual(windows=3),
        Residual(windows=2, network=SMALL, stages=2, optimizer=ADAM),
        DataFit(data=RK4(0.05), windows=3),
        DataFit(data=RK4(0.05), windows=2, network=SMALL, optimizer=ADAM),
    ],
    ids=["residual", "residual, Adam, two stages", "data-fit", "data-fit, Adam"],
)
def test_training_shows_accepted_windows_and_the_network_in_training(method):
    seen = []
    method = replace(method, reference=exact)
    solution = odenn.solve(odenn.parse(PAIR, span=(0, 2)), method=method, rtol=1e-4, progress=seen.append)
    assert solution.stats.attempts == 1
    trained = [report for report in seen if report.solution.left.size == report.windows + 1]
    assert [report.record for report in trained] == list(solution.training.history)
    angle = np.pi * (np.arange(REFERENCE_TIMES) + 0.5) / REFERENCE_TIMES
    for report in trained:
        start, end = report.solution.left[-1], covered(report.solution)[1]
        assert report.windows == 0 or same_between(report, solution, 0, start)
        # The error that the history knows is that of the network which is shown.
        t = start + (end - start) * (1 - np.cos(angle)) / 2
        off = np.abs(report.solution.derivative(t) - exact(t)).max(axis=1) / np.abs(exact(t)).max(axis=1)
        assert off.max() == pytest.approx(report.record.error, rel=1e-6, abs=1e-14)
    assert same_between(seen[-1], solution, 0, 2)
    t = torch.linspace(0, 2, 9, dtype=torch.float64)
    np.testing.assert_allclose(seen[-1].solution.module()(t).detach().numpy().T, solution(t.numpy()), rtol=1e-13)


@pytest.mark.parametrize("method", [Residual(), DataFit(data=RK4(0.05))], ids=["residual", "data-fit"])
def test_training_in_both_directions_and_with_automatic_windows(method):
    seen = []
    problem = odenn.IVP(lambda t, y: [-t * y[0]], y0=[1.0], span=(-2, 2), t0=0.0)
    solution = odenn.solve(problem, method=method, rtol=1e-5, progress=seen.append)
    assert solution.stats.attempts == 1
    for report in seen:
        left, right = covered(report.solution)
        assert left <= 0 <= right
        accepted = report.solution.left.size == report.windows
        here = left if accepted else left + abs(report.solution.length[0])  # backwards is what is marched last
        assert right < 2 or here >= 0 or same_between(report, solution, here, right)
    assert covered(seen[-1].solution) == (-2, 2)
    assert same_between(seen[-1], solution, -2, 2)


@pytest.mark.parametrize("method", [Collocation(), Residual(windows=1), DataFit(data=RK4(0.05), windows=1)])
def test_nothing_is_made_that_nobody_reads(method, monkeypatch):
    made = []
    for name in ("collocation.method._windows_so_far", "control._so_far"):
        monkeypatch.setattr(f"odenn.methods.{name}", lambda *_: made.append(True))
    seen = []
    odenn.solve(odenn.parse(PAIR, span=(0, 1)), method=method, rtol=1e-4, progress=seen.append)
    assert seen
    assert not made
    assert seen[0].solution is seen[0].solution is None
    assert made == [True]
