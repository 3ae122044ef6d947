"""The engine: its order, its two iterations, its two ways of running."""

import os
import signal
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import odenn
from odenn import zoo
from odenn.layout import Layout
from odenn.methods.collocation import engine, loops
from odenn.methods.collocation import kernels as numpy_kernels
from odenn.networks.legendre import tables


def one_window(m: int, h: float, *, stiff: bool = False) -> float:
    """Error at the end of one window of y' = -y + t^2 (exactly solvable) with degree m."""
    layout, T = Layout.of((1,)), tables(m, m + 4, 4)
    control = engine.Control(1e-13, np.full((1, 1), 1e-13), 1.0, np.ones((1, 1)), 0.0, 1e9, 0)
    counts = np.zeros(8, dtype=np.int64)

    def rhs(t: Any, Z: Any, p: Any, out: Any) -> None:
        out[...] = t**2 - Z

    def jacobian(t: Any, z: Any, p: Any, out: Any) -> None:
        out[...] = -1.0

    z = np.ones(1)
    F = engine.start_slopes(rhs, np.empty(0), 0.0, z, 1, m, counts)
    w = engine.solve_window(
        rhs, jacobian, np.empty(0), 0.0, h, z, z, F[:, :1].copy(), F, np.empty((1, 1)), np.ones((1, 1)), stiff,
        T, layout, control, counts,
    )  # fmt: skip
    t = h * T.fine_nodes
    exact = t**2 - 2 * t + 2 - np.exp(-t)
    return float(np.abs(w.Y[0] - exact).max())


@pytest.mark.parametrize("stiff", [False, True])
@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_error_falls_with_the_order_of_the_method(m: int, stiff: bool) -> None:
    coarse, fine = one_window(m, 0.2, stiff=stiff), one_window(m, 0.1, stiff=stiff)
    slope = np.log2(coarse / fine)
    assert m + 0.7 < slope < m + 1.3  # order m + 1 inside the window


def test_raising_the_degree_converges_spectrally() -> None:
    errors = [one_window(m, 0.5) for m in (3, 5, 7, 9)]
    assert all(b < 0.02 * a for a, b in pairwise(errors))


@pytest.mark.parametrize("kernels", [numpy_kernels, loops])
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (2, 1), (3, 1, 2), (1,) * 12, (2, 1) * 6])
def test_stage_inverses_solve_the_newton_system(orders: tuple[int, ...], kernels: Any) -> None:
    """(I - h K x J) X = R against the assembled matrix."""
    rng = np.random.default_rng(0)
    T = tables(5, 7, 4)
    m, h = 5, 0.3
    K = T.integral.T
    layout = Layout.of(orders)
    n, N = len(orders), sum(orders)
    J, R = rng.normal(size=(n, N)), rng.normal(size=(n, m))
    A = np.eye(n * m)
    for r in range(N):
        power = int(layout.power[r])
        column = np.outer(J[:, r], layout.fold[r])  # component i <- component j
        A -= np.kron(column, np.linalg.matrix_power(h * K, power))
    inverses = kernels.stage_inverses(J, kernels.band(J, layout), h, layout, T.solver)
    X = kernels.solve_stages(inverses, T.solver, R.copy())
    np.testing.assert_allclose(A @ X.reshape(-1), R.reshape(-1), atol=1e-9)


@pytest.mark.parametrize("kernels", [numpy_kernels, loops])
@pytest.mark.parametrize("order", [1, 2])
def test_banded_stages_solve_what_dense_ones_do(order: int, kernels: Any) -> None:
    """Two diagonals below, one above, and small pivots, so that rows are exchanged."""
    rng = np.random.default_rng(1)
    n, h, T = 60, 0.7, tables(5, 7, 4)
    layout = Layout.of((order,) * n)
    J = np.zeros((n, order * n))
    for level in range(order):
        J[:, level * n : (level + 1) * n] = np.triu(np.tril(rng.normal(size=(n, n)), 1), -2)
    np.fill_diagonal(J, 1.0 / (h * T.solver.eigenvalues[0].real) ** order)
    R = rng.normal(size=(n, 5))
    stages = kernels.stage_inverses(J, kernels.band(J, layout), h, layout, T.solver)
    if order == 1 or kernels is loops:
        assert kernels.stage_work(stages) < n**3 / 10
    X = kernels.solve_stages(stages, T.solver, R.copy())
    hK = h * T.integral
    driven = sum(
        J[:, level * n : (level + 1) * n] @ X @ np.linalg.matrix_power(hK, order - level) for level in range(order)
    )
    np.testing.assert_allclose(X - driven, R, atol=1e-8)


@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (3, 1, 2), (1,) * 12, (2, 1) * 6])
def test_the_loops_assemble_the_states_that_array_operations_do(orders: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    layout, K = Layout.of(orders), tables(5, 7, 4).integral
    F, za = rng.normal(size=(len(orders), 5)), rng.normal(size=(sum(orders), 5))
    states = [np.empty_like(za), np.empty_like(za)]
    for kernels, Z in zip((numpy_kernels, loops), states, strict=True):
        kernels.assemble(F, za, 0.3 * K, layout, Z)
    np.testing.assert_allclose(states[0], states[1], atol=1e-14)
    # The derivative of a state is the state above it: integrated again it is the state.
    slopes = np.concatenate((F, states[0]))[layout.source]
    np.testing.assert_allclose(za + slopes @ (0.3 * K), states[0], atol=1e-14)


def test_the_difference_jacobian_follows_a_coupling_that_appears_later() -> None:
    n = 40

    def f(t: Any, y: Any) -> Any:
        far = np.zeros_like(y)
        far[0] = y[-1] * (t > 1)
        return np.concatenate((y[1:], y[:1] * 0)) - y**2 + far

    problem = odenn.IVP(f, y0=np.linspace(1.0, 2.0, n), span=(0, 2))
    y = problem.initial
    expected = np.diag(-2 * y) + np.eye(n, k=1)
    for t, corner in ((0.0, 0.0), (0.5, 0.0), (1.5, 1.0), (1.6, 1.0), (0.5, 0.0)):
        expected[0, -1] = corner
        np.testing.assert_allclose(problem.jacobian(t, y), expected, atol=1e-6)


def test_a_compiled_banded_problem_is_solved_as_the_plain_one() -> None:
    problem = zoo.get("brusselator").problem()
    plain, compiled = (odenn.solve(problem, rtol=1e-6, compile=choice) for choice in (False, True))
    assert plain.success
    assert compiled.success
    t = np.linspace(0, problem.ends[0], 300)
    shuffled = np.random.default_rng(2).permutation(t)
    np.testing.assert_allclose(compiled(t), plain(t), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(compiled(shuffled)[:, np.argsort(shuffled)], compiled(t), rtol=1e-13)


def test_a_stiff_problem_switches_by_itself_and_back() -> None:
    # Stiff while t < 1, then not: the relaxation is switched off smoothly.
    problem = odenn.parse("y' = -5000*(1 - tanh(20*(t - 1)))*(y - cos(t)) - sin(t); y(0) = 1", span=(0, 40))
    solution = odenn.solve(problem, rtol=1e-8)
    assert solution.success, solution.message
    assert 0 < solution.stats.stiff_windows < solution.stats.windows
    assert abs(solution(40.0)[0] - np.cos(40.0)) < 1e-8


def test_both_iterations_find_the_same_solution() -> None:
    problem = odenn.parse("x' = 1.5*x - x*y, y' = -3*y + x*y; x(0) = 1, y(0) = 1", span=(0, 5))
    sweeps = odenn.solve(problem, rtol=1e-10, method=odenn.Collocation(stiff=False))
    newton = odenn.solve(problem, rtol=1e-10, method=odenn.Collocation(stiff=True))
    t = np.linspace(0, 5, 50)
    np.testing.assert_allclose(sweeps(t), newton(t), rtol=1e-9)
    assert sweeps.stats.newton_steps == 0
    assert newton.stats.sweeps == 0


def test_second_order_equals_its_first_order_form() -> None:
    direct = odenn.IVP(lambda t, y, dy: [-np.sin(y[0])], y0=[[2], [0]], span=(0, 10), order=2)
    reduced = odenn.IVP(lambda t, y: [y[1], -np.sin(y[0])], y0=[2, 0], span=(0, 10))
    t = np.linspace(0, 10, 50)
    a, b = odenn.solve(direct, rtol=1e-10), odenn.solve(reduced, rtol=1e-10)
    np.testing.assert_allclose(a(t)[0], b(t)[0], atol=1e-9)
    np.testing.assert_allclose(a.derivative(t)[0], b(t)[1], atol=1e-8)


def test_mixed_orders() -> None:
    problem = odenn.parse("x'' = -x, y' = x; x(0) = 0, x'(0) = 1, y(0) = 0", span=(0, 10))
    t = np.linspace(0, 10, 50)
    solution = odenn.solve(problem, rtol=1e-9)
    np.testing.assert_allclose(solution(t), [np.sin(t), 1 - np.cos(t)], atol=1e-9)


@pytest.fixture(scope="module")
def compiled() -> odenn.Collocation:
    return odenn.Collocation(compile=True)


@pytest.mark.parametrize(
    "text",
    [
        "x' = 1.5*x - x*y, y' = -3*y + x*y; x(0) = 1, y(0) = 1",
        "x'' = -x, y' = x; x(0) = 0, x'(0) = 1, y(0) = 0",
        "a' = -0.04*a + 1e4*b*c, b' = 0.04*a - 1e4*b*c - 3e7*b^2, c' = 3e7*b^2; a(0) = 1, b(0) = 0, c(0) = 0",
    ],
    ids=["sweeps", "mixed-orders", "newton"],
)
def test_compiled_and_plain_engines_agree(text: str, compiled: odenn.Collocation) -> None:
    problem = odenn.parse(text, span=(0, 10))
    plain, fast = odenn.solve(problem, rtol=1e-8), odenn.solve(problem, rtol=1e-8, method=compiled)
    t = np.linspace(0, 10, 40)
    np.testing.assert_allclose(fast(t), plain(t), rtol=1e-9, atol=1e-12)
    # Not the same: Newton's method is tried a window sooner or later where sweeps cost something else.
    assert abs(fast.stats.windows - plain.stats.windows) <= 0.1 * plain.stats.windows + 1


def test_jittable_functions_compile_and_others_say_why_not(compiled: odenn.Collocation) -> None:
    def oscillator(t: Any, y: Any, dy: Any, p: Any) -> Any:
        return (-p.k * y[0],)

    problem = odenn.IVP(oscillator, y0=[[0], [2]], span=(0, 10), order=2, params={"k": 4.0})
    solution = odenn.solve(problem, rtol=1e-9, method=compiled)
    assert abs(solution(10.0)[0] - np.sin(20.0)) < 1e-8

    table = {"rate": object()}
    unjittable = odenn.IVP(lambda t, y: [-y[0] if table else 0.0], y0=[1.0], span=(0, 1))
    with pytest.raises(ValueError, match="cannot be compiled by Numba"):
        odenn.solve(unjittable, method=compiled)


def test_changed_surroundings_of_a_function_are_compiled_anew(compiled):
    rate = 2.0

    def decay(t, y):
        return (-rate * y[0],)

    assert abs(odenn.solve(odenn.IVP(decay, y0=[1], span=(0, 1)), method=compiled)(1.0)[0] - np.exp(-2)) < 1e-6
    rate = 3.0
    assert abs(odenn.solve(odenn.IVP(decay, y0=[1], span=(0, 1)), method=compiled)(1.0)[0] - np.exp(-3)) < 1e-6


def test_ctrl_c_ends_a_compiled_solve_cleanly(compiled):
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 1e6))
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        odenn.solve(problem, rtol=1e-9, method=compiled)
    timer.cancel()
