"""Random tanh and sine features: a hidden layer that is drawn once and never trained.

Sources: G.-B. Huang, Q.-Y. Zhu and C.-K. Siew, "Extreme learning machine", Neurocomputing 70 (2006) 489-501; G.
Fabiani, F. Calabro, L. Russo and C. Siettos, "Numerical solution and bifurcation analysis of nonlinear partial
differential equations with extreme learning machines", J. Sci. Comput. 89 (2021) 44.

The units themselves are nearly linearly dependent. A fixed linear layer behind them, from the singular value
decomposition of the units at the nodes, makes them orthonormal; the trained weights belong to these combinations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from odenn.networks.legendre import stage_solver, tables
from odenn.networks.tables import Array, Tables

FINE = 40  # Legendre degree of the second solution that measures the network's error
ACTIVATIONS = ("tanh", "sin")
# Singular values below this fraction of the largest are left out: evaluating their combination of units loses as many
# digits as the fraction has, and smooth functions have next to nothing there.
CUTOFF = 1e-12


@dataclass(frozen=True, eq=False)
class FeatureUnits:
    """phi(s) = activation(slope s + shift) @ mix."""

    activation: str
    slope: Array  # (units,)
    shift: Array  # (units,)
    mix: Array  # (units, r)

    def derivative(self, s: Array, order: int) -> Array:
        x = np.multiply.outer(s, self.slope) + self.shift
        if order == 0:
            values = (_integral(self.activation, x) - _integral(self.activation, self.shift)) / self.slope
        else:
            values = _derivative(self.activation, x, order - 1) * self.slope ** (order - 1)
        return values @ self.mix

    def module(self) -> Any:
        from odenn.networks.modules import FeatureModule

        return FeatureModule(self.activation, self.slope, self.shift, self.mix)


def _integral(activation: str, x: Array) -> Array:
    if activation == "sin":
        return -np.cos(x)
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x)))  # log(2 cosh x), without overflow


def _derivative(activation: str, x: Array, order: int) -> Array:
    if activation == "sin":
        return np.sin(x + order * np.pi / 2)
    T = Polynomial([0.0, 1.0])
    for _ in range(order):
        T = T.deriv() * Polynomial([1.0, 0.0, -1.0])  # d tanh/dx = 1 - tanh^2
    return T(np.tanh(x))


@dataclass(frozen=True, kw_only=True)
class Features:
    """Network with one hidden layer of fixed tanh or sine units, orthonormalised.

    Parameters
    ----------
    activation
        "tanh" or "sin".
    units
        Width of the hidden layer.
    slopes
        Least and largest slope of a unit, per window.
    seed
        Of the generator that draws slopes and places.
    """

    activation: str = "tanh"
    units: int = 40
    slopes: tuple[float, float] = (2.0, 5.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        if not (isinstance(self.units, int) and 4 <= self.units <= 200):
            raise ValueError(f"`units` must be a whole number from 4 to 200, got {self.units!r}")
        if not 0 < self.slopes[0] <= self.slopes[1] <= 40:
            raise ValueError(f"`slopes` must be two numbers, 0 < least <= largest <= 40, got {self.slopes!r}")

    def tables(self, rtol: float, *, stiff: bool, constant: bool = False) -> Tables:
        """Tables; they do not depend on the tolerance. A stiff solver is not available: `solver` is empty."""
        return _feature_tables(self)[0]

    def hidden(self, size: int) -> FeatureUnits:
        """The hidden units behind the first `size` weights."""
        return _feature_tables(self)[1]


@lru_cache(maxsize=16)
def _feature_tables(network: Features) -> tuple[Tables, FeatureUnits]:
    points = 2 * network.units
    base = tables(points, FINE, 6)
    random = np.random.default_rng(network.seed)
    # Places spread evenly over the window and a little beyond, jittered; each unit's transition is at s = -shift/slope.
    places = np.linspace(-0.1, 1.1, network.units) + random.uniform(-0.5, 0.5, network.units) / network.units
    slope = random.uniform(*network.slopes, network.units)
    shift = -slope * places
    if network.activation == "sin":
        shift = random.uniform(0, 2 * np.pi, network.units)
    phi = FeatureUnits(network.activation, slope, shift, np.eye(network.units)).derivative(base.nodes, 1)
    U, S, Vt = np.linalg.svd(phi, full_matrices=False)
    rank = int((CUTOFF * S[0] < S).sum())
    U = np.ascontiguousarray(U[:, :rank])
    units = FeatureUnits(network.activation, slope, shift, Vt[:rank].T / S[:rank])
    # Slopes at the nodes are projected on the units; what follows is exact for polynomials of degree `points`, which
    # carry the units to rounding, and so needs no division by small singular values.
    P = U @ U.T
    nothing = stage_solver(np.empty((0, 0)))
    return base._replace(
        order=16.0,
        integral=P @ base.integral,
        weights=U,
        guess=P @ base.guess,
        shorter=P @ base.shorter,
        slope_at_fine=P @ base.slope_at_fine,
        slope_at_start=P @ base.slope_at_start,
        value_at_fine=P @ base.value_at_fine,
        solver=nothing,
        fine_solver=nothing,
    ), units
