"""The solution is a function, a network and its evidence."""

import csv
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch

import odenn
from odenn.networks.legendre import LegendreUnits


@pytest.fixture(scope="module")
def solution() -> odenn.Solution:
    return odenn.solve(odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 10)), rtol=1e-9)


@pytest.fixture(scope="module", params=["legendre", "tanh", "sin"])
def any_network(request: pytest.FixtureRequest) -> odenn.Solution:
    network = odenn.Legendre() if request.param == "legendre" else odenn.Features(activation=request.param)
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10))
    return odenn.solve(problem, rtol=1e-9, method=odenn.Collocation(network=network))


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (0,)])
def test_shapes_are_component_first(solution: odenn.Solution, shape: tuple[int, ...]) -> None:
    t = np.full(shape, 1.5)
    for values in (solution(t), solution.derivative(t), solution.error(t), solution.residual(t)):
        assert values.shape == (2, *shape)
    assert solution(torch.tensor(t)).shape == (2, *shape)


def test_integers_and_lists_are_times_too(solution: odenn.Solution) -> None:
    assert solution(3).shape == (2,)
    assert solution([0, 1, 2]).dtype == np.float64


def test_outside_the_span_is_an_error_that_says_so(solution: odenn.Solution) -> None:
    with pytest.raises(ValueError, match=r"covers x from 0 to 10, got 11"):
        solution([1.0, 11.0])
    with pytest.raises(ValueError, match="got nan"):
        solution(np.nan)
    with pytest.raises(ValueError, match="got -1"):
        solution(torch.tensor([-1.0]))


def test_the_initial_values_hold_exactly(solution: odenn.Solution) -> None:
    assert solution(0.0).tolist() == [1.0, 1.0]


def test_derivatives_are_those_of_the_network(any_network: odenn.Solution) -> None:
    t = np.linspace(0, 10, 101)
    # Random features are less smooth at the ends of their windows than Legendre polynomials are.
    digits = 8 if isinstance(any_network.outcome.windows.units, LegendreUnits) else 5
    for order, exact in ((0, np.sin(t)), (1, np.cos(t)), (2, -np.sin(t))):
        np.testing.assert_allclose(any_network.derivative(t, order)[0], exact, atol=10.0 ** (order - digits))
    with pytest.raises(ValueError, match="`order`"):
        any_network.derivative(t, -1)


def test_torch_agrees_with_numpy_and_differentiates(any_network: odenn.Solution) -> None:
    t = torch.linspace(0, 10, 57, dtype=torch.float64, requires_grad=True)
    y = any_network(t)
    np.testing.assert_allclose(y.detach().numpy(), any_network(t.detach().numpy()), rtol=1e-9, atol=1e-12)
    (slope,) = torch.autograd.grad(y.sum(), t, create_graph=True)
    np.testing.assert_allclose(slope.detach().numpy(), any_network.derivative(t.detach().numpy())[0], atol=1e-8)
    (curvature,) = torch.autograd.grad(slope.sum(), t)
    np.testing.assert_allclose(curvature.numpy(), any_network.derivative(t.detach().numpy(), 2)[0], atol=1e-6)


def test_network_is_a_module_that_works_under_torch_func(any_network: odenn.Solution) -> None:
    network = any_network.network
    assert isinstance(network, torch.nn.Module)
    t = torch.tensor([0.5, 7.3], dtype=torch.float64)

    def first(s: torch.Tensor) -> torch.Tensor:
        return network(s)[0, 0]

    def total(w: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(network, w, (t,)).sum()

    slope = torch.func.vmap(torch.func.jacfwd(first))(t)
    np.testing.assert_allclose(slope.detach().numpy(), np.cos(t.numpy()), atol=1e-7)
    weights: dict[str, torch.Tensor] = dict(network.named_parameters())
    gradient = torch.func.grad(total)(weights)
    assert all(torch.isfinite(g).all() for g in gradient.values())
    assert network(t[:, None]).shape == (2, 1)


def test_error_is_small_at_the_start_and_covers_the_truth(solution: odenn.Solution) -> None:
    t = np.linspace(0, 10, 201)
    true = np.abs(solution(t) - [np.exp(t), np.cosh(t)])
    assert solution.error(0.0).max() < 1e-15
    assert true.max() < 2 * solution.error(t).max() < 1e-9 * np.exp(10)


def test_residual_is_the_defect_in_the_equation(solution: odenn.Solution) -> None:
    t = np.linspace(0, 10, 201)
    y, slope = solution(t), solution.derivative(t)
    np.testing.assert_allclose(solution.residual(t), slope - [y[0], y[0] - y[1]], atol=1e-12)
    assert np.abs(solution.residual(t)).max() < 1e-6 * np.exp(10)


def test_csv_holds_what_the_solution_says(solution: odenn.Solution, tmp_path: Path) -> None:
    solution.to_csv(tmp_path / "out.csv", points=5)
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert rows[0] == ["x", "y1", "y2", "error_y1", "error_y2"]
    table = np.array(rows[1:], dtype=float)
    assert table[:, 0].tolist() == [0.0, 2.5, 5.0, 7.5, 10.0]
    np.testing.assert_array_equal(table[:, 1:3].T, solution(table[:, 0]))


@pytest.mark.parametrize("t0", [0.0, 0.5, 1.0])
def test_problems_print_in_their_own_direction(t0: float) -> None:
    """That of the span, wherever the initial values hold: with these at its end all windows lead the other way."""
    backward = odenn.solve(odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(1, 0), t0=t0))
    assert backward.grid(3).tolist() == [1.0, 0.5, 0.0]
    assert backward.span == (0.0, 1.0)
    forward = odenn.solve(odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 1), t0=t0))
    assert forward.grid(3).tolist() == [0.0, 0.5, 1.0]


def test_how_many_rows_may_be_a_number_of_numpy(solution: odenn.Solution, tmp_path: Path) -> None:
    solution.to_csv(tmp_path / "out.csv", points=np.int64(5))
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6


def test_many_times_are_evaluated_in_bounded_memory(solution: odenn.Solution) -> None:
    t = np.linspace(0, 10, 200_001)
    assert np.isfinite(solution(t)).all()


def test_a_time_just_beyond_the_end_is_told_from_it() -> None:
    """Not "covers t from 0 to 1.75616, got 1.75616"."""
    growing = odenn.solve(odenn.parse("y' = 400*y; y(0) = 1", span=(0, 17)))
    end = growing.span[1]
    with pytest.raises(
        ValueError, match=rf"covers t from 0 to {end:.10g} \(it ended there: .*\), got {end + 1e-8:.10g}:"
    ):
        growing(end + 1e-8)


@pytest.mark.parametrize("t", [1j, [1.0, 2 + 1e-3j], "1"])
def test_times_that_are_no_real_numbers(solution: odenn.Solution, t: Any) -> None:
    """Not those of their real part."""
    for function in (solution, solution.error, solution.derivative):
        with pytest.raises(TypeError, match="times must be real numbers, got"):
            function(t)


def test_repr_names_the_outcome(solution: odenn.Solution) -> None:
    assert "y1, y2 on [0, 10]: success" in repr(solution)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"rtol": 0}, ValueError, "`rtol` must lie between"),
        ({"rtol": "x"}, TypeError, "`rtol` must be a number"),
        ({"rtol": True}, TypeError, "`rtol` must be a number, got True"),
        ({"rtol": "1e-6"}, TypeError, "`rtol` must be a number"),
        ({"atol": "1e-6"}, TypeError, "`atol` must be one number or 2 numbers"),
        ({"atol": True}, TypeError, "`atol` must be one number or 2 numbers"),
        ({"atol": [1e-6]}, ValueError, "`atol` must be one number or 2 numbers"),
        ({"atol": [[1e-6, 1e-6]]}, ValueError, "`atol` must be one number or 2 numbers"),
        ({"atol": {}}, TypeError, "`atol` must be one number or 2 numbers"),
        ({"rtol": float("nan")}, ValueError, "`rtol`"),
        ({"atol": -1}, ValueError, "`atol` must be finite and not negative"),
        ({"atol": [1, 2, 3]}, ValueError, "`atol` must be one number or 2 numbers"),
    ],
)
def test_bad_tolerances_are_named(options: dict[str, Any], error: type[Exception], words: str) -> None:
    problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[0, 1], span=(0, 1))
    with pytest.raises(error, match=words):
        odenn.solve(problem, **options)


def test_solve_wants_a_problem() -> None:
    def function(t: Any, y: Any) -> Any:
        return y

    with pytest.raises(TypeError, match=r"odenn\.IVP"):
        odenn.solve(cast("Any", function))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: odenn.Collocation(network=cast("Any", "mlp")), "`network`"),
        (lambda: odenn.Collocation(network=odenn.Features(), stiff=True), "`stiff=True`"),
        (lambda: odenn.Collocation(max_windows=0), "`max_windows`"),
        (lambda: odenn.Collocation(max_seconds=-1), "`max_seconds`"),
    ],
)
def test_bad_options_are_named(make: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_transforms_of_torch_work_on_a_fresh_solution_and_leave_it_whole():
    fresh = odenn.solve(odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[0, 1], span=(0, 10)), rtol=1e-9)
    t = torch.tensor([0.5, 7.0], dtype=torch.float64)
    jacobian = torch.func.vmap(torch.func.jacrev(fresh))(t)
    np.testing.assert_allclose(jacobian[:, 0].detach().numpy(), np.cos(t.numpy()), atol=1e-7)
    np.testing.assert_allclose(fresh(t)[0].detach().numpy(), np.sin(t.numpy()), atol=1e-8)


@pytest.fixture(scope="module", params=["collocation", "residual"])
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    problem = odenn.parse("y' = -y; y(5) = 1", span=(0, 10))
    method = odenn.Residual(network=odenn.MLP([8]), windows=2, optimizer=odenn.LevenbergMarquardt(max_iterations=5))
    return odenn.solve(problem, method=method if request.param == "residual" else None).network


class TestOutside:
    """A module cannot raise an error about a value: it gives NaN where nothing was solved."""

    T: ClassVar[torch.Tensor] = torch.tensor([-1.0, -1e-13, 0.0, 5.0, 10.0, 10 + 1e-11, 10.1], dtype=torch.float64)
    OUTSIDE: ClassVar[list[bool]] = [True, False, False, False, False, False, True]

    def test_values_and_derivatives(self, network: torch.nn.Module) -> None:
        t = self.T.clone().requires_grad_()
        y = network(t)[:, 0]
        assert y.isnan().tolist() == self.OUTSIDE
        assert torch.autograd.grad(y.sum(), t)[0].isnan().tolist() == self.OUTSIDE

    def test_transforms(self, network: torch.nn.Module) -> None:
        def value(t: torch.Tensor) -> torch.Tensor:
            return network(t)[0, 0]

        for function in (value, torch.func.grad(value), torch.func.grad(torch.func.grad(value))):
            assert torch.func.vmap(function)(self.T).isnan().tolist() == self.OUTSIDE
        slope = torch.func.jvp(network, (self.T,), (torch.ones_like(self.T),))[1]
        assert slope[:, 0].isnan().tolist() == self.OUTSIDE

    def test_gradients_by_the_weights_at_times_inside_are_whole(self, network: torch.nn.Module) -> None:
        for parameter in network.parameters():
            parameter.requires_grad_()
        gradients = torch.autograd.grad(network(self.T[1:-1]).sum(), list(network.parameters()), allow_unused=True)
        used = [gradient for gradient in gradients if gradient is not None]
        assert used
        assert all(gradient.isfinite().all() for gradient in used)


def test_the_ends_of_the_span_are_inside_in_single_precision_too() -> None:
    solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 0.1)))
    end = torch.tensor([0.1], dtype=torch.float32)
    assert end.item() > 0.1
    assert solution.network(end).isfinite().all()
    assert torch.isfinite(solution(end)).all()
    assert np.isfinite(solution(np.float32(0.1))).all()
    assert solution.network(torch.tensor([0.11], dtype=torch.float32)).isnan().all()
    with pytest.raises(ValueError, match="covers t from"):
        solution(torch.tensor([0.1001], dtype=torch.float32))


@pytest.mark.parametrize("method", [odenn.Collocation, "residual"])
def test_method_must_be_an_object(method: object):
    with pytest.raises(TypeError, match=r"such as odenn\.Collocation\(\)"):
        odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 1)), method=method)
