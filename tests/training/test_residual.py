"""Residual: the contract with its certificate, on problems of every kind."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import odenn
from odenn.methods.residual import Residual
from odenn.monitor import Trouble
from odenn.networks.mlp import MLP
from odenn.optimise.torch_optimiser import TorchOptimiser

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


def pair(end: float = 2.0) -> odenn.IVP:
    return odenn.parse(PAIR, span=(0, end))


def pair_exact(t):
    return np.stack([np.exp(t), np.cosh(t)])


def oscillator() -> odenn.IVP:
    return odenn.IVP(lambda t, y, dy: [-y[0]], y0=[[0], [1]], span=(0, 10), order=2)


def solve(problem, method=None, rtol=1e-6):
    outcome = (method or Residual()).run(problem, rtol=rtol, atol=None)
    return odenn.Solution(problem=problem, outcome=outcome, rtol=rtol)


def true_error(solution, exact, points=401):
    t = np.linspace(*solution.span, points)
    return np.abs(solution(t) - exact(t)), t


def test_numpy_functions_of_time():
    """They need no derivative by the states; NumPy warns of torch's protocol, which is not the user's business."""
    problem = odenn.IVP(lambda t, y: [-np.float64(2.0) * y[0] + np.exp(-t)], y0=[1.0], span=(0, 2))
    solution = solve(problem)
    assert solution.success
    error, _ = true_error(solution, lambda t: np.exp(-t)[None])
    assert error.max() < 1e-6


@pytest.mark.parametrize(
    ("problem", "exact", "rtol"),
    [
        (pair(), pair_exact, 1e-8),
        (pair(10.0), pair_exact, 1e-8),
        (oscillator(), lambda t: np.sin(t)[None], 1e-8),
        (odenn.parse("y''' = -y'; y(0) = 0, y'(0) = 1, y''(0) = 0", span=(0, 4)), lambda t: np.sin(t)[None], 1e-6),
        (odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(2, 0)), lambda t: np.exp(2 - t)[None], 1e-8),
        (odenn.IVP(lambda t, y: [-t * y[0]], y0=[1], span=(-1, 2), t0=0.0), lambda t: np.exp(-t * t / 2)[None], 1e-7),
        (odenn.parse("y'' = 0; y(0) = 0, y'(0) = 0", span=(0, 1)), lambda t: 0 * t[None], 1e-6),
    ],
    ids=["pair-2", "pair-10", "oscillator", "third-order", "backwards", "inner-start", "at-rest"],
)
def test_contract(problem, exact, rtol):
    """Success, the true error within the tolerance, the estimate right."""
    solution = solve(problem, rtol=rtol)
    assert solution.success, solution.message
    error, t = true_error(solution, exact)
    assert (error <= rtol * np.abs(exact(t)).max(axis=1, keepdims=True) + 1e-15).all()
    estimate = solution.error(t).max(axis=1)
    large = error.max(axis=1) > 1e-12 * np.maximum(np.abs(exact(t)).max(axis=1), 1e-6)
    assert (error.max(axis=1)[large] / estimate[large] > 0.2).all()
    assert (error.max(axis=1)[large] / estimate[large] < 2.0).all()


def test_text_of_mixed_orders_against_collocation():
    problem = odenn.parse("x'' = -x + y, y' = -y*x; x(0) = 1, x'(0) = 0, y(0) = 1", span=(0, 5))
    solution, reference = solve(problem, rtol=1e-7), odenn.solve(problem, rtol=1e-12)
    t = np.linspace(0, 5, 101)
    assert solution.success
    assert np.abs(solution(t) - reference(t)).max() < 1e-7


def test_second_stage_gains_digits():
    one, two = (solve(pair(), Residual(windows=1, stages=stages), rtol=1e-11) for stages in (1, 2))
    first, second = (true_error(s, pair_exact)[0].max() for s in (one, two))
    assert second < 0.1 * first


@pytest.mark.parametrize(
    "method",
    [
        Residual(network=MLP([16, 16], "sin")),
        Residual(network=MLP([24, 24], "gelu")),
        Residual(sampling="adaptive"),
        Residual(sampling="uniform"),
        Residual(sampling="random"),
        Residual(decay="exponential"),
        Residual(windows=[0.5, 1.0]),
        Residual(network=nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 2)), points=12),
    ],
)
def test_options(method):
    solution = solve(pair(), method, rtol=1e-5)
    assert solution.success, solution.message
    assert true_error(solution, pair_exact)[0].max() < 1e-5 * math.exp(2)


def test_same_seed_same_result():
    t = np.linspace(0, 2, 21)
    assert np.array_equal(solve(pair())(t), solve(pair())(t))


def test_bad_training_is_found_out():
    """Stopped early, one window over a growing solution, a kinked network: never a success that is none."""
    adam = TorchOptimiser(iterations=60, lr=3e-3)
    methods = [
        (pair(), Residual(network=MLP([16, 16]), windows=1, optimizer=adam)),
        (pair(10.0), Residual(windows=1)),
        (pair(), Residual(network=MLP([8], "elu"), windows=1)),
        (pair(), Residual(network=MLP([2]), windows=1, points=4)),
    ]
    for problem, method in methods:
        solution = solve(problem, method, rtol=1e-9)
        error, t = true_error(solution, pair_exact)
        assert not solution.success
        assert solution.training.diagnoses is not None
        ratio = error.max(axis=1) / solution.error(t).max(axis=1)
        assert ((ratio > 0.2) & (ratio < 5)).all()


def test_blow_up_has_its_status():
    solution = solve(odenn.parse("y' = y^2; y(0) = 1", span=(0, 2)), rtol=1e-4)
    assert solution.status is odenn.Status.BLOW_UP
    assert 0.99 < solution.span[1] < 1.01
    assert abs(solution(0.5)[0] - 2) < 1e-3


def test_nonsense_network_has_no_false_success():
    """An error that blows up on its own: y' = y^2 from a wrong curve."""
    problem = odenn.parse("y' = y^2 - 1; y(0) = 0.9", span=(0, 8))
    solution = solve(problem, Residual(network=MLP([4]), windows=1, optimizer=TorchOptimiser(iterations=5)), rtol=1e-3)
    assert not solution.success
    assert solution.error(np.linspace(0, 8, 9)).max() > 0.1


def test_budget_and_interruption():
    assert solve(pair(10.0), Residual(max_windows=2), rtol=1e-6).status is odenn.Status.BUDGET
    assert solve(pair(10.0), Residual(max_seconds=1e-3), rtol=1e-6).status is odenn.Status.BUDGET

    def interrupt(report):
        raise KeyboardInterrupt

    for stop in (interrupt, lambda report: True):
        outcome = Residual().run(pair(10.0), rtol=1e-6, atol=None, progress=stop)
        assert outcome.status is odenn.Status.INTERRUPTED
        assert outcome.reached == (0.0, 1.0)
    assert outcome.windows.start.size == 1


def test_stiff_problems_where_windows_make_them_tractable():
    """Windows follow the transient and grow behind it."""
    problem = odenn.parse("x' = -1000x + y, y' = -y; x(0) = 1, y(0) = 1", span=(0, 1))
    solution, reference = solve(problem, Residual(network=MLP([24, 24])), rtol=1e-5), odenn.solve(problem, rtol=1e-10)
    t = np.linspace(0, 1, 201)
    assert solution.success, solution.message
    assert (np.abs(solution(t) - reference(t)).max(axis=1) < 1e-5).all()
    lengths = np.diff([*solution.outcome.windows.left, 1.0])
    assert lengths[0] < 0.01 < 0.1 < lengths[-1]


def test_a_stiff_problem_that_takes_too_many_windows_is_named():
    problem = odenn.parse("x' = -1e4*(x - cos(t)); x(0) = 0", span=(0, 5))
    solution = solve(problem, Residual(network=MLP([12, 12]), max_windows=3), rtol=1e-5)
    assert solution.status is odenn.Status.BUDGET
    assert "stiff" in solution.message
    assert "Collocation()" in solution.message


def test_progress_is_reported():
    seen = []
    Residual().run(pair(), rtol=1e-6, atol=None, progress=seen.append)
    assert seen[-1].fraction == 1.0
    assert seen[-1].record.loss < 1e-12
    fractions = [report.fraction for report in seen]
    assert fractions == sorted(fractions)


def test_solution_as_a_module():
    solution = solve(pair())
    t = torch.linspace(0, 2, 11, dtype=torch.float64, requires_grad=True)
    y = solution.network(t)
    np.testing.assert_allclose(y.detach().numpy().T, solution(t.detach().numpy()), rtol=1e-12)
    slope = torch.autograd.grad(y[:, 0].sum(), t)[0]
    np.testing.assert_allclose(slope.numpy(), solution.derivative(t.detach().numpy())[0], rtol=1e-9)
    forward = torch.func.jvp(solution.network, (t,), (torch.ones_like(t),))[1]
    np.testing.assert_allclose(forward[:, 0].detach().numpy(), slope.numpy(), rtol=1e-9)
    assert np.abs(solution.residual(np.linspace(0, 2, 50))).max() < 1e-4


def test_numpy_right_hand_side_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"torch\.sin instead of np\.sin"):
        solve(odenn.IVP(lambda t, y: [np.sin(y[0])], y0=[1.0], span=(0, 1)))


def test_torch_right_hand_side():
    problem = odenn.IVP(lambda t, y: [-torch.sin(y[0])], y0=[1.0], span=(0, 2))
    assert solve(problem).success


def test_activation_too_rough_for_the_order():
    with pytest.raises(ValueError, match="no second derivative"):
        solve(oscillator(), Residual(network=MLP([8], "relu")))
    with pytest.warns(UserWarning, match="kinks cap the accuracy"):
        solve(oscillator(), Residual(network=MLP([8], "elu"), windows=1), rtol=1e-2)


def test_mistakes_are_named():
    for options, words in [
        ({"points": 3}, "`points`"),
        ({"sampling": "sobol"}, "`sampling`"),
        ({"stages": 0}, "`stages`"),
        ({"windows": "many"}, "`windows`"),
        ({"windows": 0}, "`windows`"),
        ({"decay": "none"}, "`decay`"),
        ({"max_windows": 0}, "`max_windows`"),
        ({"max_seconds": 0}, "`max_seconds`"),
    ]:
        with pytest.raises(ValueError, match=words):
            Residual(**options)
    with pytest.raises(TypeError, match="`network`"):
        Residual(network="tanh")
    with pytest.raises(TypeError, match="`optimizer`"):
        Residual(optimizer="adam")
    with pytest.raises(ValueError, match="within the span"):
        solve(pair(), Residual(windows=[1.0, 5.0]))
    with pytest.raises(ValueError, match="2 component"):
        solve(pair(), Residual(network=nn.Linear(1, 3)))


@pytest.mark.parametrize(
    ("optimiser", "trouble"),
    [
        (TorchOptimiser(name="LBFGS", lr=1.0, iterations=40), Trouble.PLATEAU),
        (TorchOptimiser(lr=1e-2, iterations=60), Trouble.ITERATIONS),
    ],
    ids=["LBFGS", "Adam"],
)
def test_first_order_optimisers_come_to_the_end_with_what_they_reach(optimiser, trouble):
    """Two halvings show that shorter windows are no cure; from there on they stay as long as the best of the tries."""
    outcome = Residual(network=MLP([16, 16]), optimizer=optimiser).run(pair(), rtol=1e-6, atol=None)
    assert outcome.status is odenn.Status.TOLERANCE
    assert outcome.reached == (0.0, 2.0)
    assert outcome.stats.windows <= 9
    assert outcome.stats.rejected == 2
    assert [found.trouble for found in outcome.training.diagnoses] == [trouble]
    assert "LevenbergMarquardt" in trouble.remedy


def test_a_tolerance_below_the_right_hand_sides_precision():
    """What is computed in float32 is not resolved by ever shorter windows."""
    problem = odenn.IVP(lambda t, y: [(-y[0].float()).double()], y0=[1.0], span=(0, 1))
    solution = solve(problem, rtol=1e-9)
    assert solution.status is odenn.Status.TOLERANCE
    assert solution.stats.windows < 20
    assert [found.trouble for found in solution.training.diagnoses] == [Trouble.FLOAT32]
    error, t = true_error(solution, lambda t: np.exp(-t)[None])
    assert 0.2 < error.max() / solution.error(t).max() < 5


def test_an_initial_value_that_is_rounding():
    problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[np.sin(np.pi), -1.0], span=(0, 2))
    solution = odenn.solve(problem, rtol=1e-6, method=Residual(network=MLP([16, 16])))
    assert solution.success
    assert solution.stats.windows < 5


@pytest.mark.parametrize("k", [1.0, 1e4, 1e8])
def test_units_do_not_matter(k: float):
    """An oscillator in position and momentum, whose Jacobian has entries of k^2 and 1 / k^2."""
    problem = odenn.IVP(lambda t, y: [y[1] / k**2, -y[0] * k**2], y0=[1 / k, k], span=(0, 2))
    for method in (Residual(network=MLP([16, 16])), odenn.Collocation()):
        solution = odenn.solve(problem, rtol=1e-6, method=method)
        assert solution.success
        assert abs(solution(2.0)[0] * k - np.sin(2) - np.cos(2)) < 2e-6
