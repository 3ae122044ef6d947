"""Nonlinear problems that are not stiff."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odenn.zoo._problem import Array, ZooProblem


def _riccati(t: Any, y: Any) -> Any:
    return [1.0 + 2.0 * y[0] - y[0] * y[0]]


def _riccati_exact(t: ArrayLike) -> Array:
    """1 + sqrt(2) tanh(sqrt(2) t - artanh(1/sqrt(2))), the tanh of the difference expanded so that y(0) = 0 exactly."""
    tangent = np.tanh(np.sqrt(2.0) * np.asarray(t, dtype=np.float64))
    return (tangent / (np.sqrt(2.0) - tangent))[np.newaxis]


def _predator_prey(t: Any, y: Any) -> Any:
    return [1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3.0 * y[1]]


def _van_der_pol(t: Any, y: Any) -> Any:
    return [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]]


_ECCENTRICITY = 0.6


def _kepler(t: Any, y: Any) -> Any:
    cube = (y[0] * y[0] + y[1] * y[1]) ** 1.5
    return [y[2], y[3], -y[0] / cube, -y[1] / cube]


def _kepler_exact(t: ArrayLike) -> Array:
    """x = cos E - e, y = sqrt(1 - e^2) sin E with Kepler's equation E - e sin E = t."""
    t = np.asarray(t, dtype=np.float64)
    anomaly = t + _ECCENTRICITY * np.sin(t)
    for _ in range(10):  # Newton from within 0.3 of the root: rounding is reached after five
        excess = anomaly - _ECCENTRICITY * np.sin(anomaly) - t
        anomaly = anomaly - excess / (1.0 - _ECCENTRICITY * np.cos(anomaly))
    return np.stack([np.cos(anomaly) - _ECCENTRICITY, 0.8 * np.sin(anomaly)])


_AMPLITUDE = 3.0


def _pendulum(t: Any, y: Any) -> Any:
    return [y[1], -np.sin(y[0])]


def _pendulum_exact(t: ArrayLike) -> Array:
    """tan(y/2) = tan(y0/2) cn(t | m) with m = sin(y0/2)^2, which keeps the digits that arcsin loses where y turns."""
    from scipy.special import ellipj

    half = _AMPLITUDE / 2.0
    cn = ellipj(np.asarray(t, dtype=np.float64), np.sin(half) ** 2)[1]
    return 2.0 * np.arctan(np.tan(half) * cn)[np.newaxis]


def _lorenz(t: Any, y: Any) -> Any:
    return [10.0 * (y[1] - y[0]), y[0] * (28.0 - y[2]) - y[1], y[0] * y[1] - 8.0 / 3.0 * y[2]]


def _nerve(t: Any, y: Any) -> Any:
    return [y[0] - y[0] * y[0] * y[0] / 3.0 - y[1] + 0.5, 0.08 * (y[0] + 0.7 - 0.8 * y[1])]


NONLINEAR = (
    ZooProblem(
        name="riccati",
        title="Riccati equation",
        text="y' = 1 + 2*y - y^2; y(0) = 0",
        f=_riccati,
        y0=(0.0,),
        components=1,
        span=(0.0, 4.0),
        exact=_riccati_exact,
        source="Odibat, Momani, Chaos, Solitons & Fractals 36 (2008) 167, with order one",
    ),
    ZooProblem(
        name="lotka-volterra",
        title="Lotka-Volterra predator and prey",
        text="x' = 1.5*x - x*y, y' = x*y - 3*y; x(0) = 1, y(0) = 1",
        f=_predator_prey,
        y0=(1.0, 1.0),
        components=2,
        span=(0.0, 10.0),
        source="parameters (1.5, 1, 3, 1), as in the tutorials of most ODE libraries",
    ),
    ZooProblem(
        name="van-der-pol-5",
        title="Van der Pol oscillator, mu = 5",
        text="y'' = 5*(1 - y^2)*y' - y; y(0) = 2, y'(0) = 0",
        f=_van_der_pol,
        y0=(2.0, 0.0),
        components=1,
        span=(0.0, 15.0),
        source="Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, section I.16",
    ),
    ZooProblem(
        name="kepler",
        title="Kepler orbit, eccentricity 0.6, two periods",
        text=("x'' = -x/(x^2 + y^2)^1.5, y'' = -y/(x^2 + y^2)^1.5; x(0) = 0.4, y(0) = 0, x'(0) = 0, y'(0) = 2"),
        f=_kepler,
        y0=(0.4, 0.0, 0.0, 2.0),
        components=2,
        span=(0.0, 4.0 * np.pi),
        exact=_kepler_exact,
        source="Hairer, Lubich, Wanner, Geometric Numerical Integration, section I.2",
    ),
    ZooProblem(
        name="pendulum",
        title="Pendulum swinging to 3 radians",
        text="y'' = -sin(y); y(0) = 3, y'(0) = 0",
        f=_pendulum,
        y0=(_AMPLITUDE, 0.0),
        components=1,
        span=(0.0, 20.0),
        exact=_pendulum_exact,
        source="textbook",
    ),
    ZooProblem(
        name="lorenz",
        title="Lorenz attractor to t = 10",
        text=("x' = 10*(y - x), y' = x*(28 - z) - y, z' = x*y - 8/3*z; x(0) = 1, y(0) = 1, z(0) = 1"),
        f=_lorenz,
        y0=(1.0, 1.0, 1.0),
        components=3,
        span=(0.0, 10.0),
        chaotic=True,
        source="Lorenz, J. Atmos. Sci. 20 (1963) 130",
    ),
    ZooProblem(
        name="fitzhugh-nagumo",
        title="FitzHugh-Nagumo nerve model, firing",
        text="v' = v - v^3/3 - w + 0.5, w' = 0.08*(v + 0.7 - 0.8*w); v(0) = -1, w(0) = 1",
        f=_nerve,
        y0=(-1.0, 1.0),
        components=2,
        span=(0.0, 100.0),
        source="FitzHugh, Biophys. J. 1 (1961) 445, current 0.5",
    ),
)
