"""The zoo's equations say what their formulas, texts and names say."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.polynomial import Chebyshev

from odenn import zoo

ALL = pytest.mark.parametrize("problem", zoo.all_problems(), ids=lambda problem: problem.name)
EXACT = pytest.mark.parametrize(
    "problem", [p for p in zoo.all_problems() if p.exact is not None], ids=lambda problem: problem.name
)


def some_states(problem, k):
    """Random times (k,) and states (N, k) of the size of the solution."""
    generator = np.random.default_rng(7)
    t = generator.uniform(*problem.span, size=k)
    return t, generator.uniform(0.1, 2.0, size=(len(problem.y0), k))


@ALL
def test_the_right_hand_side_has_one_row_a_state_and_takes_many_points(problem):
    t, y = some_states(problem, 4)
    together = np.array(problem.f(t, y))
    assert together.shape == y.shape
    for k in range(4):
        np.testing.assert_allclose(np.array(problem.f(t[k], y[:, k])), together[:, k], rtol=1e-14, atol=1e-13)


@ALL
def test_numba_compiles_the_right_hand_side(problem):
    numba = pytest.importorskip("numba")
    t, y = some_states(problem, 1)
    point = np.ascontiguousarray(y[:, 0])
    np.testing.assert_allclose(
        np.array(numba.njit(problem.f)(t[0], point)), np.array(problem.f(t[0], point)), rtol=1e-12, atol=1e-12
    )


@EXACT
def test_the_formula_starts_at_the_initial_values(problem):
    # The pendulum's half angle is taken apart and put together again: two roundings.
    np.testing.assert_allclose(problem.exact(problem.span[0]), problem.y0[: problem.components], rtol=1e-15, atol=1e-15)


@EXACT
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_the_formula_puts_components_first(problem, shape):
    assert problem.exact(np.full(shape, 0.5)).shape == (problem.components, *shape)


@EXACT
@pytest.mark.parametrize("place", [0.1, 0.4, 0.8])
def test_the_formula_solves_the_equation(problem, place):
    """Its derivative, from a polynomial through 17 of its points, is the right-hand side there."""
    n, order = problem.components, len(problem.y0) // problem.components
    start, end = problem.span
    # Stiff: between and after the transients, at 10^-7, 10^-4 and 10^-1 of the span or so, in intervals to suit.
    centre = start + (end - start) * (place if not problem.stiff else 10.0 ** (-10 * (0.8 - place)))
    radius = 0.02 * (centre - start)
    rows = [
        Chebyshev.interpolate(lambda t, i=i: problem.exact(t)[i], 16, domain=[centre - radius, centre + radius])
        for i in range(n)
    ]
    state = np.concatenate([[row.deriv(k)(centre) if k else row(centre) for row in rows] for k in range(order)])
    slope = np.array([row.deriv(order)(centre) for row in rows])
    size = np.abs(state[:n]) + 1e-3 * np.abs(state).max()
    expected = np.array(problem.f(centre, state))[-n:]
    # Differentiating costs 1/radius and degree squared, each time, of the 1e-16 that the values are good to.
    assert (np.abs(slope - expected) <= 1e-13 * size * (1.0 + (30.0 / radius) ** order) + 1e-9 * np.abs(slope)).all()


@ALL
def test_the_problem_is_complete(problem):
    assert len(problem.y0) % problem.components == 0
    assert problem.span[0] < problem.span[1]
    assert problem.title
    assert problem.source
    assert zoo.get(problem.name) is problem


@ALL
def test_the_text_says_what_the_function_says(problem):
    """`problem()` has the same equations, orders and initial values as the first-order form."""
    pytest.importorskip("odenn.problem")
    if problem.text is not None:
        pytest.importorskip("odenn.equations")
    stated = problem.problem()
    t, states = some_states(problem, 5)
    np.testing.assert_allclose(
        stated.rhs(t, states), np.array(problem.f(t, states))[-problem.components :], rtol=1e-12, atol=1e-9
    )
    np.testing.assert_array_equal(stated.initial, problem.y0)
    assert stated.span == problem.span


def test_names_are_unique_and_in_the_order_of_the_problems():
    assert zoo.names() == tuple(problem.name for problem in zoo.all_problems())
    assert len(set(zoo.names())) == 19


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'lorentz'.*Did you mean 'lorenz'"):
        zoo.get("lorentz")


def test_importing_the_zoo_loads_no_heavy_library():
    heavy = {"torch", "sympy", "matplotlib", "scipy", "numba"}
    script = f"import sys, odenn.zoo; print({heavy} & {{*sys.modules}} or 'none')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "none"
