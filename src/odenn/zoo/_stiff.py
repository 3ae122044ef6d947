"""Nonlinear stiff problems, as the test sets of Hairer and Wanner and of Bari have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from odenn.zoo._problem import ZooProblem


def _van_der_pol(t: Any, y: Any) -> Any:
    return [y[1], 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]]


def _robertson(t: Any, y: Any) -> Any:
    slow = 0.04 * y[0]
    back = 1e4 * y[1] * y[2]
    fast = 3e7 * y[1] * y[1]
    return [back - slow, slow - back - fast, fast]


def _robertson_to(end: float, power: int) -> ZooProblem:
    return ZooProblem(
        name=f"robertson-1e{power}",
        title=f"Robertson kinetics to t = 1e{power}",
        text=(
            "y1' = -0.04*y1 + 1e4*y2*y3, y2' = 0.04*y1 - 1e4*y2*y3 - 3e7*y2^2, y3' = 3e7*y2^2; "
            "y1(0) = 1, y2(0) = 0, y3(0) = 0"
        ),
        f=_robertson,
        y0=(1.0, 0.0, 0.0),
        components=3,
        span=(0.0, end),
        stiff=True,
        transient=1e-6,
        source="Robertson (1966); Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.10 (ROBER)",
    )


_CELLS = 50
_EXCHANGE = (_CELLS + 1) ** 2 / 50.0  # alpha / dx^2 with alpha = 1/50


def _brusselator(t: Any, y: Any) -> Any:
    """Return u' and v' interleaved: u1, v1, u2, v2, ..., so that the Jacobian has two diagonals on either side."""
    z = np.empty((y.shape[0] + 4, *y.shape[1:]), dtype=y.dtype)  # with the values beyond either end: u = 1, v = 3
    z[2:-2] = y
    z[0] = z[-2] = 1.0
    z[1] = z[-1] = 3.0
    u, v = y[0::2], y[1::2]
    rate = np.empty_like(y)
    rate[0::2] = 1.0 + u * (u * v - 4.0) + _EXCHANGE * (z[0:-4:2] - 2.0 * u + z[4::2])
    rate[1::2] = u * (3.0 - u * v) + _EXCHANGE * (z[1:-4:2] - 2.0 * v + z[5::2])
    return rate


def _brusselator_start() -> tuple[float, ...]:
    y = np.full(2 * _CELLS, 3.0)
    y[0::2] = 1.0 + np.sin(2.0 * np.pi * np.arange(1, _CELLS + 1) / (_CELLS + 1))
    return tuple(y.tolist())


STIFF = (
    ZooProblem(
        name="van-der-pol-1000",
        title="Van der Pol oscillator, mu = 1000",
        text="y'' = 1000*(1 - y^2)*y' - y; y(0) = 2, y'(0) = 0",
        f=_van_der_pol,
        y0=(2.0, 0.0),
        components=1,
        span=(0.0, 2000.0),
        stiff=True,
        transient=1e-4,
        # About these times |y'| is up to 1333; at all others of the grid it is below 0.05, and solutions that jump too
        # early or late would seem right. In steps of 2e-4, from |y| = 0.5 before the jump to 1.98 after it.
        also=tuple(jump + 2e-4 * k for jump in (807.0857, 1614.2863) for k in range(-12, 9)),
        source="Mazzia, Magherini, Test Set for IVP Solvers (Bari, release 2.4), problem VDPOL",
    ),
    _robertson_to(1e4, 4),
    _robertson_to(1e8, 8),
    ZooProblem(
        name="brusselator",
        title="Brusselator with diffusion, 50 cells",
        text=None,
        f=_brusselator,
        y0=_brusselator_start(),
        components=2 * _CELLS,
        span=(0.0, 10.0),
        stiff=True,
        points=201,
        source="Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.10 (BRUSS), 50 cells",
    ),
)
