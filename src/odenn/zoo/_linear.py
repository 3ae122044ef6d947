"""Linear problems: a pair, oscillators, chains and a stiff cascade; all have exact solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odenn.zoo._problem import Array, ZooProblem


def _pair(t: Any, y: Any) -> Any:
    return [y[0], y[0] - y[1]]


def _pair_exact(t: ArrayLike) -> Array:
    t = np.asarray(t, dtype=np.float64)
    return np.stack([np.exp(t), np.cosh(t)])


def _pair_on(end: float) -> ZooProblem:
    return ZooProblem(
        name=f"linear-pair-{end:g}",
        title=f"Linear pair on [0, {end:g}]",
        text="dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1",
        f=_pair,
        y0=(1.0, 1.0),
        components=2,
        span=(0.0, end),
        exact=_pair_exact,
        source="odenn's design, section 1: the pair on which published network solvers fail",
    )


def _harmonic(t: Any, y: Any) -> Any:
    return [y[1], -y[0]]


def _harmonic_exact(t: ArrayLike) -> Array:
    return np.sin(np.asarray(t, dtype=np.float64))[np.newaxis]


def _damped(t: Any, y: Any) -> Any:
    return [y[1], -0.4 * y[1] - 4.0 * y[0]]


_DAMPED_FREQUENCY = float(np.sqrt(3.96))  # roots of r^2 + 0.4 r + 4: -0.2 +- i sqrt(4 - 0.2^2)


def _damped_exact(t: ArrayLike) -> Array:
    t, w = np.asarray(t, dtype=np.float64), _DAMPED_FREQUENCY
    return (np.exp(-0.2 * t) * (np.cos(w * t) + 0.2 / w * np.sin(w * t)))[np.newaxis]


def _forced(t: Any, y: Any) -> Any:
    return [y[1], np.cos(3.0 * t) - 0.4 * y[1] - 4.0 * y[0]]


def _forced_exact(t: ArrayLike) -> Array:
    """Response from rest: a cos 3t + b sin 3t, less the decaying solution that has the same value and slope at 0."""
    t, w = np.asarray(t, dtype=np.float64), _DAMPED_FREQUENCY
    # (4 - 9) a + 1.2 b = 1 and (4 - 9) b - 1.2 a = 0
    a = -5.0 / 26.44
    b = 1.2 / 26.44
    steady = a * np.cos(3.0 * t) + b * np.sin(3.0 * t)
    decaying = np.exp(-0.2 * t) * (a * np.cos(w * t) + (3.0 * b + 0.2 * a) / w * np.sin(w * t))
    return (steady - decaying)[np.newaxis]


def _species(t: Any, y: Any) -> Any:
    return [-2.0 * y[0], 2.0 * y[0] - 0.5 * y[1], 0.5 * y[1]]


def _species_exact(t: ArrayLike) -> Array:
    t = np.asarray(t, dtype=np.float64)
    a = np.exp(-2.0 * t)
    b = -4.0 / 3.0 * np.exp(-0.5 * t) * np.expm1(-1.5 * t)
    c = -4.0 / 3.0 * np.expm1(-0.5 * t) + 1.0 / 3.0 * np.expm1(-2.0 * t)
    return np.stack([a, b, c])


_COMPARTMENTS = 50


def _chain(t: Any, y: Any) -> Any:
    rate = np.empty_like(y)
    rate[0] = -y[0]
    rate[1:-1] = y[:-2] - y[1:-1]
    rate[-1] = y[-2]
    return rate


def _chain_exact(t: ArrayLike) -> Array:
    """y_i = t^(i-1) e^-t / (i-1)!, a Poisson distribution, whose tail is what the last compartment has caught."""
    from scipy.special import gammainc  # late: SciPy takes longer to import than all the rest of the zoo

    t = np.asarray(t, dtype=np.float64)
    y = np.empty((_COMPARTMENTS, *t.shape))
    y[0] = np.exp(-t)
    for i in range(1, _COMPARTMENTS - 1):
        y[i] = y[i - 1] * t / i  # one rounding a factor; exp of logarithms would lose two digits
    y[-1] = gammainc(_COMPARTMENTS - 1, t)
    return y


_RATES = (1.0, 30.0, 1e3, 3e4, 1e6)
_CASCADE_START = (1.0, -1.0, 1.0, -1.0, 1.0)


def _cascade(t: Any, y: Any) -> Any:
    # Each row has rates of its own size only, and the fast ones forget: rounding in f stays rounding in y.
    return [
        -y[0],
        -30.0 * (y[1] - y[0]),
        -1e3 * (y[2] - y[1]),
        -3e4 * (y[3] - y[2]),
        -1e6 * (y[4] - y[3]),
    ]


def _cascade_modes() -> Array:
    """Return V (5, 5) with y_k = sum_j V_kj e^(-r_j t).

    Row k of the equation, y_k' = -r_k (y_k - y_(k-1)), gives V_kj = V_(k-1)j r_k / (r_k - r_j) for j < k, and V_kk
    is what is missing at t = 0.
    """
    V = np.zeros((len(_RATES), len(_RATES)))
    for k, rate in enumerate(_RATES):
        for j in range(k):
            V[k, j] = V[k - 1, j] * rate / (rate - _RATES[j])
        V[k, k] = _CASCADE_START[k] - V[k, :k].sum()
    return V


_CASCADE_MODES = _cascade_modes()


def _cascade_exact(t: ArrayLike) -> Array:
    t = np.asarray(t, dtype=np.float64)
    return np.tensordot(_CASCADE_MODES, np.exp(np.multiply.outer(-np.array(_RATES), t)), axes=1)


LINEAR = (
    _pair_on(2.0),
    _pair_on(10.0),
    ZooProblem(
        name="harmonic",
        title="Harmonic oscillator",
        text="y'' = -y; y(0) = 0, y'(0) = 1",
        f=_harmonic,
        y0=(0.0, 1.0),
        components=1,
        span=(0.0, 10.0),
        exact=_harmonic_exact,
        source="textbook",
    ),
    ZooProblem(
        name="damped-oscillator",
        title="Damped oscillator",
        text="y'' = -0.4*y' - 4*y; y(0) = 1, y'(0) = 0",
        f=_damped,
        y0=(1.0, 0.0),
        components=1,
        span=(0.0, 20.0),
        exact=_damped_exact,
        source="textbook",
    ),
    ZooProblem(
        name="forced-oscillator",
        title="Damped oscillator driven from rest",
        text="y'' = cos(3*t) - 0.4*y' - 4*y; y(0) = 0, y'(0) = 0",
        f=_forced,
        y0=(0.0, 0.0),
        components=1,
        span=(0.0, 20.0),
        exact=_forced_exact,
        source="textbook",
    ),
    ZooProblem(
        name="species-chain",
        title="Three-species chain A -> B -> C",
        text="a' = -2*a, b' = 2*a - 0.5*b, c' = 0.5*b; a(0) = 1, b(0) = 0, c(0) = 0",
        f=_species,
        y0=(1.0, 0.0, 0.0),
        components=3,
        span=(0.0, 10.0),
        exact=_species_exact,
        source="textbook: consecutive first-order reactions",
    ),
    ZooProblem(
        name="chain-50",
        title="Linear chain of 50 compartments",
        text=None,
        f=_chain,
        y0=(1.0,) + (0.0,) * (_COMPARTMENTS - 1),
        components=_COMPARTMENTS,
        span=(0.0, 50.0),
        exact=_chain_exact,
        source="Hull, Enright, Fellen, Sedgwick, Comparing numerical methods for ODEs (1972), problem C1, longer",
    ),
    ZooProblem(
        name="stiff-linear",
        title="Stiff linear cascade, eigenvalues -1e6 .. -1",
        text=(
            "y1' = -y1, y2' = -30*(y2 - y1), y3' = -1000*(y3 - y2), y4' = -30000*(y4 - y3), y5' = -1000000*(y5 - y4); "
            "y1(0) = 1, y2(0) = -1, y3(0) = 1, y4(0) = -1, y5(0) = 1"
        ),
        f=_cascade,
        y0=_CASCADE_START,
        components=5,
        span=(0.0, 10.0),
        stiff=True,
        exact=_cascade_exact,
        transient=1e-8,
        source="odenn: each component relaxes to the slower one before it; triangular, far from normal",
    ),
)
