"""The tables are exact where mathematics says so."""

from typing import Any

import numpy as np
import pytest
from numpy.polynomial import legendre as npl

from odenn.networks.features import Features
from odenn.networks.legendre import Legendre, LegendreUnits, radau_nodes, tables
from odenn.networks.windows import Windows


def test_radau_nodes_are_those_of_the_literature() -> None:
    # Hairer and Wanner, Solving ODEs II, Table IV.5.6 (Radau IIA, order 5).
    np.testing.assert_allclose(radau_nodes(3), [(4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0], rtol=1e-14)
    assert radau_nodes(1).tolist() == [1.0]


@pytest.mark.parametrize("m", [2, 5, 8, 16, 24, 64])
def test_polynomials_below_the_degree_are_integrated_exactly(m: int) -> None:
    T = tables(m, m + 2, min(m, 4))
    for k in (0, 1, m - 1):
        np.testing.assert_allclose((T.nodes**k) @ T.integral, T.nodes ** (k + 1) / (k + 1), atol=2e-15)
        np.testing.assert_allclose((T.nodes**k) @ T.value_at_fine, T.fine_nodes ** (k + 1) / (k + 1), atol=2e-15)
        np.testing.assert_allclose((T.nodes**k) @ T.slope_at_fine, T.fine_nodes**k, atol=2e-13)


def test_radau_quadrature_is_exact_to_degree_2m_minus_2() -> None:
    T = tables(5, 7, 4)
    assert abs((T.nodes**8) @ T.integral[:, -1] - 1 / 9) < 1e-15
    assert abs((T.nodes**9) @ T.integral[:, -1] - 1 / 10) > 1e-8


@pytest.mark.parametrize("m", [4, 7, 9, 11])
def test_stage_solver_decomposes_the_integration_matrix(m: int) -> None:
    T = tables(m, m + 2, 4)
    left = T.solver.left.view(complex)
    rebuilt = (left * T.solver.eigenvalues).view(float) @ T.solver.right
    np.testing.assert_allclose(rebuilt, T.integral, atol=1e-11)
    assert (T.solver.eigenvalues.real > 0).all()  # A-stability of Radau IIA


@pytest.mark.parametrize("order", [0, 1, 2, 3, 6])
def test_legendre_units_differentiate_exactly(order: int) -> None:
    s, c = np.linspace(0, 1, 9), np.arange(1.0, 6.0)
    slope = npl.Legendre(c, domain=[0, 1])
    wanted = slope.integ(lbnd=0)(s) if order == 0 else (slope.deriv(order - 1)(s) if order > 1 else slope(s))
    np.testing.assert_allclose(LegendreUnits(5).derivative(s, order) @ c, wanted, atol=1e-11)


@pytest.mark.parametrize("activation", ["tanh", "sin"])
def test_feature_units_differentiate_exactly(activation: str) -> None:
    units = Features(activation=activation).hidden(0)
    s, eps = np.linspace(0.1, 0.9, 5), 1e-5
    c = np.cos(np.arange(units.mix.shape[1])) * 0.1 ** np.arange(units.mix.shape[1])
    for order in (0, 1, 2):
        difference = (units.derivative(s + eps, order) - units.derivative(s - eps, order)) @ c / (2 * eps)
        np.testing.assert_allclose(units.derivative(s, order + 1) @ c, difference, rtol=1e-5, atol=1e-4)
    assert np.abs(units.derivative(np.zeros(1), 0)).max() == 0.0


@pytest.mark.parametrize("activation", ["tanh", "sin"])
def test_feature_network_reproduces_a_smooth_function(activation: str) -> None:
    network = Features(activation=activation)
    T, s = network.tables(1e-9, stiff=False), np.linspace(0, 1, 101)
    c = np.exp(T.nodes) @ T.weights
    np.testing.assert_allclose(network.hidden(0).derivative(s, 0) @ c, np.expm1(s), atol=1e-11)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Legendre(degree=1), "`degree`"),
        (lambda: Legendre(stiff_degree=20), "`stiff_degree`"),
        (lambda: Features(activation="relu"), "tanh, sin"),
        (lambda: Features(units=2), "`units`"),
        (lambda: Features(slopes=(3.0, 1.0)), "`slopes`"),
    ],
)
def test_bad_options_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("units", [1, 2, 3, 6])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_compiled_values_are_those_of_the_windows(units: int, direction: float) -> None:
    rng = np.random.default_rng(units)
    start = np.array([0.0, 0.5, 2.0]) if direction > 0 else np.array([0.5, 2.0, 3.0])
    length = direction * np.array([0.5, 1.5, 1.0])
    value, weights = rng.standard_normal((3, 2)), rng.standard_normal((3, 2, units))
    t = np.concatenate((rng.uniform(0, 3, 50), np.linspace(0, 3, 1001), [0.5, 2.0]))
    plain, compiled = (Windows(start, length, value, weights, LegendreUnits(units), flag) for flag in (False, True))
    np.testing.assert_allclose(compiled.derivative(t), plain.derivative(t), rtol=1e-12, atol=1e-14)
