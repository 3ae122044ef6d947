"""OdennSolver in solve_ivp: what SciPy promises of a method, and what only this one has."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.sparse import csr_matrix

from odenn.scipy import OdennSolver


def turn(t, y):
    return [y[1], -y[0]]


def solve(f, span, y0, **options):
    return solve_ivp(f, span, y0, method=OdennSolver, **options)


def van_der_pol(t, y):
    return [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]]


def van_der_pol_jacobian(t, y):
    return np.array([[0, 1], [-2000 * y[0] * y[1] - 1, 1000 * (1 - y[0] ** 2)]])


VAN_DER_POL_END = [1.706167732170483, -0.8928097010247975e-3]  # at t = 2000; Mazzia and Magherini, Test Set for IVP


@pytest.mark.parametrize("span", [(0, 10), (10, 0), (-3.5, 2), (7, -5)])
@pytest.mark.parametrize("stiff", [None, True, False])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9, 1e-12])
def test_dense_output_is_as_accurate_as_asked(span, stiff, rtol):
    y0 = [math.sin(span[0]), math.cos(span[0])]
    result = solve(turn, span, y0, rtol=rtol, atol=rtol, stiff=stiff, dense_output=True)
    assert result.success
    assert result.t[-1] == span[1]
    t = np.linspace(*span, 201)
    assert np.abs(result.sol(t) - [np.sin(t), np.cos(t)]).max() < 10 * rtol
    np.testing.assert_allclose(result.sol(result.t), result.y, rtol=1e-14, atol=1e-14)
    assert result.sol(0.5 * sum(span)).shape == (2,)


def test_times_asked_for_are_evaluations_of_the_dense_output():
    t = np.linspace(0, 10, 57)
    result = solve(turn, (0, 10), [0, 1], t_eval=t, dense_output=True, rtol=1e-8, atol=1e-8)
    assert result.t.tolist() == t.tolist()
    assert np.array_equal(result.y, result.sol(t))
    assert np.abs(result.y[0] - np.sin(t)).max() < 1e-7


def test_events_are_found_on_the_network():
    def height(t, y):
        return y[0]

    def landing(t, y):
        return y[0]

    landing.terminal, landing.direction = 2, -1
    result = solve(turn, (0, np.inf), [0.1, 1], events=[height, landing], rtol=1e-10, atol=1e-10)
    assert result.status == 1
    shift = math.atan(0.1)
    np.testing.assert_allclose(result.t_events[0], np.pi * np.arange(1, 4) - shift, atol=1e-9)
    np.testing.assert_allclose(result.t_events[1], np.array([1, 3]) * np.pi - shift, atol=1e-9)
    assert result.t[-1] == result.t_events[1][-1]


def test_first_and_longest_window_are_kept():
    result = solve(turn, (0, 10), [0, 1], first_step=0.03, max_step=0.25)
    lengths = np.diff(result.t)
    assert lengths[0] == pytest.approx(0.03)
    assert lengths.max() == pytest.approx(0.25)
    assert solve(turn, (0, 10), [0, 1], first_step=10.0, rtol=0.1, atol=10.0).success


def test_more_arguments_reach_function_jacobian_and_events():
    result = solve(
        lambda t, y, k, c: -k * y + c,
        (0, 5),
        [2.0],
        args=(3.0, 6.0),
        jac=lambda t, y, k, c: [[-k]],
        events=lambda t, y, k, c: y[0] - c,
        stiff=True,
    )
    assert result.success
    np.testing.assert_allclose(result.y, 2.0, rtol=1e-12)


@pytest.mark.parametrize("stiff", [None, True])
@pytest.mark.parametrize(
    "jac",
    [
        van_der_pol_jacobian,
        lambda t, y: csr_matrix(van_der_pol_jacobian(t, y)),
        lambda t, y: van_der_pol_jacobian(t, y).tolist(),
        None,
    ],
    ids=["array", "sparse", "list", "differences"],
)
def test_stiff_problem_with_every_form_of_jacobian(stiff, jac):
    result = solve(van_der_pol, (0, 2000), [2, 0], rtol=1e-7, atol=1e-10, jac=jac, stiff=stiff)
    np.testing.assert_allclose(result.y[:, -1], VAN_DER_POL_END, rtol=1e-6)
    assert 0 < result.njev < 1000
    assert result.nlu > result.njev
    assert result.t.size < 1000


DECAY = np.array([[-1000.0, 1.0, 0.0], [0.0, -50.0, 1.0], [0.0, 0.0, -0.5]])


@pytest.mark.parametrize("form", [np.asarray, csr_matrix, np.ndarray.tolist], ids=["array", "sparse", "list"])
def test_constant_jacobian_is_never_evaluated(form):
    result = solve(lambda t, y: DECAY @ y, (0, 10), [1, 1, 1], jac=form(DECAY), rtol=1e-8, atol=1e-10, stiff=True)
    assert result.njev == 0
    assert result.nlu > 0
    assert result.y[2, -1] == pytest.approx(math.exp(-5), rel=1e-7)


def test_sparsity_saves_evaluations_for_the_differences():
    calls = []

    def chain(t, y):
        calls.append(t)
        d = np.diff(y, prepend=0.0, append=0.0)
        return 100 * (d[1:] - d[:-1])

    n = 30
    band = np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)
    results, used = [], []
    for sparsity in (None, band, csr_matrix(band)):
        calls.clear()
        results.append(solve(chain, (0, 1), np.ones(n), jac_sparsity=sparsity, stiff=True))
        used.append(len(calls) - results[-1].nfev)
    np.testing.assert_allclose(results[1].y[:, -1], results[0].y[:, -1], rtol=1e-6)
    assert used[1] == used[2] < 0.2 * used[0]
    assert results[0].njev > 0


@pytest.mark.parametrize("stiff", [None, True])
@pytest.mark.parametrize("jac", [None, lambda t, y: [[1j - 2]], np.array([[1j - 2]])], ids=["none", "call", "constant"])
def test_complex_solution(stiff, jac):
    result = solve(
        lambda t, y: (1j - 2) * y, (0, 3), [1 + 2j], jac=jac, stiff=stiff, rtol=1e-9, atol=1e-12, dense_output=True
    )
    t = np.linspace(0, 3, 50)
    exact = (1 + 2j) * np.exp((1j - 2) * t)
    assert result.y.dtype == np.complex128
    assert np.abs(result.sol(t)[0] - exact).max() < 1e-8
    assert abs(result.sol(1.0)[0] - (1 + 2j) * np.exp(1j - 2)) < 1e-8


def test_complex_function_need_not_be_analytic():
    # The real part decays; the imaginary part would grow, but starts and stays at zero.
    result = solve(lambda t, y: -500 * np.conj(y) + 500, (0, 0.02), [3 + 0j], rtol=1e-9, atol=1e-12, stiff=True)
    assert result.success
    assert result.njev < 40
    assert abs(result.y[0, -1] - (1 + 2 * math.exp(-10))) < 1e-8


def test_jacobian_of_complex_function_need_not_be_analytic():
    # y' = -a Re(y) - b i Im(y), a = 300, b = 100: only derivatives along both axes make Newton's method converge.
    result = solve(lambda t, y: -300 * y.real - 100j * y.imag, (0, 0.1), [1 + 1j], rtol=1e-9, atol=1e-12, stiff=True)
    assert abs(result.y[0, -1] - (math.exp(-30) + 1j * math.exp(-10))) < 1e-10


def test_evaluations_are_counted_one_by_one():
    calls = []

    def f(t, y):
        calls.append(t)
        assert np.ndim(t) == 0
        assert y.shape == (2,)
        return turn(t, y)

    result = solve(f, (0, 10), [0, 1])
    assert result.nfev == len(calls)
    assert (result.njev, result.nlu) == (0, 0)
    assert min(calls) >= 0
    assert max(calls) <= 10


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_vectorised_function_of_many_times_is_called_once_for_all_of_them(n):
    calls = []

    def f(t, y):
        assert y.ndim == 2
        calls.append(np.size(t))
        return -y * np.cos(t)

    result = solve(f, (0, 5), np.arange(1.0, n + 1), vectorized=True, rtol=1e-8)
    plain = solve(lambda t, y: -y * np.cos(t), (0, 5), np.arange(1.0, n + 1), rtol=1e-8)
    np.testing.assert_allclose(result.y, plain.y, rtol=1e-12)
    assert result.nfev == sum(calls)
    assert len(calls) < 0.3 * result.nfev


@pytest.mark.parametrize(
    "factor",
    [
        lambda t: 1.0 if t < 2 else -1.0,
        math.cos,
        np.max,  # takes several times but mixes them
    ],
    ids=["branch", "math", "mixing"],
)
def test_vectorised_function_of_one_time_is_called_with_one_time(factor):
    result = solve(lambda t, y: factor(t) * y, (0, 5), [1.0, 2.0], vectorized=True, rtol=1e-6)
    plain = solve(lambda t, y: factor(t) * y, (0, 5), [1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(result.y, plain.y, rtol=1e-12)


def test_smallest_of_several_tolerances_holds():
    several = solve(turn, (0, 10), [0, 1], rtol=[1e-3, 1e-8], atol=[1e-8, 1e-8])
    one = solve(turn, (0, 10), [0, 1], rtol=1e-8, atol=1e-8)
    assert np.array_equal(several.y, one.y)


def test_component_that_stays_zero_needs_no_absolute_tolerance():
    result = solve(lambda t, y: [-y[0], 0.0], (0, 3), [1.0, 0.0], rtol=1e-6, atol=0.0)
    assert result.success
    assert result.y[1].tolist() == [0.0] * result.t.size


def test_error_estimate_follows_the_global_error():
    solver = OdennSolver(lambda t, y: np.cos(t) * y, 0.0, [1.0], 20.0, rtol=1e-5, atol=1e-8)
    while solver.status == "running":
        solver.step()
        error = abs(solver.y[0] - math.exp(math.sin(solver.t)))
        output = solver.dense_output()
        assert output.error(solver.t) == pytest.approx(solver.error_estimate, rel=1e-6, abs=1e-14)
        assert error < 3 * solver.error_estimate[0] + 1e-12
    assert output.error([19.0, 20.0]).shape == (1, 2)
    assert 0 < solver.error_estimate[0] < 1e-4


def test_error_estimate_of_a_complex_number_is_a_distance():
    solver = OdennSolver(lambda t, y: 1j * y, 0.0, [1.0 + 0j], 20.0)
    solver.step()
    assert solver.error_estimate.dtype == np.float64
    assert solver.error_estimate.shape == (1,)


def test_chaos_is_followed_although_no_estimate_can_be_given():
    def lorenz(t, y):
        return np.array([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    solver = OdennSolver(lorenz, 0.0, [1.0, 1, 1], 60.0, rtol=1e-4, atol=1e-6)
    while solver.status == "running":
        solver.step()
    assert solver.status == "finished"
    assert np.abs(solver.y).max() < 60
    assert np.isinf(solver.error_estimate).all()
    assert np.isinf(solver.dense_output().error(60.0)).all()
    assert solver.nfev < 200_000


def test_second_solution_that_leaves_the_domain_takes_only_the_estimate_with_it():
    solver = OdennSolver(lambda t, y: np.sqrt(y) - y, 0.0, [0.5], 10.0, rtol=1e-6)
    solver.step()
    solver._state = solver._state._replace(second=np.array([-1.0]))
    while solver.status == "running":
        solver.step()
    assert solver.status == "finished"
    assert solver.y[0] == pytest.approx((1 - (1 - math.sqrt(0.5)) * math.exp(-5)) ** 2, rel=1e-5)
    assert np.isinf(solver.error_estimate)


@pytest.mark.parametrize(("rtol", "most"), [(1e-3, 30_000), (1e-6, 60_000)])
def test_second_solution_does_not_shorten_the_windows_of_the_first(rtol, most):
    # Oregonator: small errors before a jump become large ones in it, so the two solutions part there for a while.
    def oregonator(t, y):
        a, b, c = y
        return [77.27 * (b + a * (1 - 8.375e-6 * a - b)), (c - (1 + a) * b) / 77.27, 0.161 * (a - c)]

    result = solve(oregonator, (0, 360), [1, 2, 3], rtol=rtol, atol=1e-3 * rtol)
    exact = [0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3]
    np.testing.assert_allclose(result.y[:, -1], exact, rtol=rtol)
    assert result.nfev < most


def test_blow_up_ends_with_a_message():
    result = solve(lambda t, y: y**2, (0, 2), [1.0], rtol=1e-6)
    assert result.status == -1
    assert "step size" in result.message
    assert result.t[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_function_that_is_not_finite_at_the_start_ends_with_a_message(bad):
    result = solve(lambda t, y: [bad, 0.0], (0, 2), [1.0, 1.0])
    assert result.status == -1
    assert "not finite at t = 0" in result.message


def test_function_that_stops_being_finite_ends_there():
    def f(t, y):
        return -y if t < 1 else np.full(1, np.nan)

    result = solve(f, (0, 2), [1.0])
    assert result.status == -1
    assert result.t[-1] == pytest.approx(1, abs=1e-6)


def test_jump_of_the_right_hand_side_is_passed():
    result = solve(lambda t, y: [1.0 if t < 1 / 3 else -1.0], (0, 1), [0.0], rtol=1e-6, atol=1e-9)
    assert result.success
    assert result.y[0, -1] == pytest.approx(-1 / 3, abs=1e-6)


def test_what_the_function_raises_is_passed_on():
    def f(t, y):
        if t > 1:
            raise RuntimeError("no further")
        return -y

    with pytest.raises(RuntimeError, match="no further"):
        solve(f, (0, 2), [1.0])


@pytest.mark.parametrize("span", [(4, 4), (0, 10), (0, np.inf)])
def test_nothing_to_integrate(span):
    y0 = [] if span[0] != span[1] else [2.0, 3.0]
    result = solve(lambda t, y: -y, span, y0, dense_output=True)
    assert result.success
    assert result.sol([4, 4]).shape == (len(y0), 2)
    assert OdennSolver(lambda t, y: -y, span[0], y0, span[1]).error_estimate.tolist() == [0.0] * len(y0)


@pytest.mark.parametrize("name", ["lband", "uband", "min_step", "spline"])
def test_options_of_other_solvers_have_no_effect_and_say_so(name):
    with pytest.warns(UserWarning, match=f"no effect for a chosen solver: `{name}`"):
        assert solve(turn, (0, 1), [0, 1], **{name: 1}).success


def test_too_small_a_tolerance_is_raised():
    with pytest.warns(UserWarning, match="rtol"):
        assert solve(turn, (0, 1), [0, 1], rtol=1e-17, atol=0.0).success


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_step": 0}, "`max_step` must be positive"),
        ({"first_step": -1}, "`first_step` must be positive"),
        ({"first_step": 2}, "`first_step` exceeds bounds"),
        ({"atol": -1.0}, "`atol` must be positive"),
        ({"atol": [1.0, 1.0, 1.0]}, "`atol` has wrong shape"),
        ({"jac": np.eye(3)}, r"`jac` is expected to have shape \(2, 2\), but actually has \(3, 3\)"),
        ({"jac": lambda t, y: np.eye(3), "stiff": True}, r"`jac` is expected to have shape \(2, 2\)"),
        ({"jac_sparsity": np.eye(3)}, r"`jac_sparsity` is expected to have shape \(2, 2\), got \(3, 3\)"),
    ],
)
def test_options_that_cannot_be_meant(options, message):
    with pytest.raises(ValueError, match=message):
        solve(turn, (0, 1), [0, 1], **options)


@pytest.mark.parametrize("y0", [[np.nan, 1.0], [[1.0, 2.0]]])
def test_initial_values_that_cannot_be_meant(y0):
    with pytest.raises(ValueError, match=r"`y0`|initial state"):
        solve(turn, (0, 1), y0)


def test_function_that_returns_another_number_of_components():
    with pytest.raises(ValueError, match=r"`fun` is expected to return shape \(2,\), but returned \(3,\)"):
        solve(lambda t, y: [1.0, 2.0, 3.0], (0, 1), [0, 1])
