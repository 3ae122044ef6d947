"""Legendre functional-link network: hidden units are Legendre polynomials on the window.

Source: S. Mall and S. Chakraverty, "Application of Legendre neural network for solving ordinary differential
equations", Applied Soft Computing 43 (2016) 347-356.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.polynomial import legendre

from odenn.networks.tables import RATIOS, SHORTER, Array, StageSolver, Tables


@lru_cache(maxsize=64)
def radau_nodes(m: int) -> Array:
    """Right Radau points on (0, 1]: the zeros of P_m(x) - P_{m-1}(x) with x = 2 s - 1; the last is exactly 1.

    Divided by x - 1 these are the zeros of the Jacobi polynomial P_{m-1}^{(1, 0)}, found as the eigenvalues of its
    symmetric tridiagonal matrix (Golub and Welsch 1969), which is accurate to rounding at every degree.
    """
    if m == 1:
        return np.ones(1)
    k = np.arange(m - 1, dtype=float)
    diagonal = -1.0 / ((2 * k + 1) * (2 * k + 3))
    k = k[1:]
    beside = np.sqrt(k * (k + 1) / (2 * k + 1) ** 2)
    x = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return np.append((x + 1) / 2, 1.0)


def polynomials(x: Array, count: int) -> Array:
    """P_0 .. P_{count-1} at x (k,), shape (count, k); j P_j = (2 j - 1) x P_{j-1} - (j - 1) P_{j-2}."""
    P = np.empty((count, x.size), dtype=x.dtype)
    P[0] = 1.0
    if count > 1:
        P[1] = x
    for j in range(2, count):
        np.multiply(P[j - 1], (2 * j - 1) * x, out=P[j])
        P[j] -= (j - 1) * P[j - 2]
        P[j] /= j
    return P


def features(s: Array, degree: int) -> Array:
    """phi_j(s) = P_j(2 s - 1), j < degree, at s (k,); shape (k, degree)."""
    return polynomials(2 * s - 1, degree).T


def integrated_features(s: Array, degree: int) -> Array:
    """psi_j(s) = integral_0^s P_j(2 u - 1) du = (P_{j+1} - P_{j-1})/(2 (2 j + 1)); psi_0 = s; shape (k, degree)."""
    P = polynomials(2 * s - 1, degree + 1)
    psi = np.empty((degree, s.size), dtype=s.dtype)
    psi[0] = s
    np.subtract(P[2:], P[:-2], out=psi[1:])
    psi[1:] /= 2 * (2 * np.arange(1, degree) + 1)[:, np.newaxis]
    return psi.T


def _weights(nodes: Any) -> Any:
    """(m, m): slopes at the nodes -> Legendre coefficients of their interpolant, in the precision of `nodes`."""
    V = features(nodes, nodes.size)
    w = np.linalg.inv(V.astype(float)).astype(nodes.dtype)
    return (w + w @ (np.eye(nodes.size) - V @ w)).T.copy()  # a step of Newton's method for the inverse


def _rounded(matrix: Any) -> Array:
    return np.ascontiguousarray(matrix, dtype=float)


def stage_solver(integral: Array) -> StageSolver:
    """Eigen-decomposition of K; `integral` is K transposed, as in Tables."""
    eigenvalues, V = cast("tuple[Any, Any]", np.linalg.eig(integral.T))  # complex, or real where all of them are
    inverse = np.linalg.inv(V)
    keep = eigenvalues.imag >= 0
    factor = np.where(eigenvalues[keep].imag > 0, 2.0, 1.0)
    left = np.ascontiguousarray(inverse[keep].T, dtype=complex).view(float)
    back = np.ascontiguousarray(np.conj(V[:, keep] * factor), dtype=complex)  # Re(x w) = Re x Re w - Im x Im w
    return StageSolver(left, np.ascontiguousarray(back.view(float).T), eigenvalues[keep].astype(complex))


def _extrapolation(nodes: Array, weights: Array, ratio: float, keep: int) -> Array:
    """(m, m): slopes on a window -> slopes at the nodes of the next one, `ratio` times as long.

    Only the first `keep` coefficients are used: those behind them grow like (3 + sqrt 8)^j one window on.
    """
    ahead = 1.0 + ratio * nodes
    return np.ascontiguousarray(weights[:, :keep] @ features(ahead, keep).T)


@lru_cache(maxsize=64)
def tables(m: int, M: int, keep: int) -> Tables:
    """Tables of the network with m Legendre units, its error measured by one with M."""
    nodes, fine = radau_nodes(m), radau_nodes(M)
    # Where NumPy has more digits (80 bits on x86), they make the matrices right to the last bit of a double. A weight
    # sum that is wrong by 4e-16 makes all windows longer by this fraction: a shift in time, the same at every window.
    exact: Any = nodes.astype(np.longdouble)
    exact_fine: Any = fine.astype(np.longdouble)
    w, fine_w = _weights(exact), _weights(exact_fine)
    integral = _rounded(w @ integrated_features(exact, m).T)
    fine_integral = _rounded(fine_w @ integrated_features(exact_fine, M).T)
    value_at_fine = _rounded(w @ integrated_features(exact_fine, m).T)
    w, fine_w = _rounded(w), _rounded(fine_w)
    return Tables(
        order=m + 1.0,
        nodes=nodes,
        integral=integral,
        weights=w,
        tail=np.ascontiguousarray(w[:, m // 2 :]),
        guess=np.stack([_extrapolation(nodes, w, r, min(keep, m)) for r in RATIOS]),
        shorter=np.stack([np.ascontiguousarray(w @ features(part * nodes, m).T) for part in SHORTER]),
        fine_nodes=fine,
        fine_integral=fine_integral,
        fine_weights=fine_w,
        slope_at_fine=np.ascontiguousarray(w @ features(fine, m).T),
        slope_at_start=np.ascontiguousarray(w @ features(np.zeros(1), m).T),
        value_at_fine=value_at_fine,
        solver=stage_solver(integral),
        fine_solver=stage_solver(fine_integral),
    )


@dataclass(frozen=True)
class LegendreUnits:
    """Legendre polynomials P_0 .. P_{size-1} of 2 s - 1."""

    size: int

    def derivative(self, s: Array, order: int) -> Array:
        if order == 0:
            return integrated_features(s, self.size)
        if order > self.size:
            return np.zeros((s.size, self.size))
        # Columns of D: the derivative of each P_j, written in Legendre polynomials again.
        D = legendre.legder(np.eye(self.size), order - 1)
        return features(s, D.shape[0]) @ D * 2.0 ** (order - 1)

    def module(self) -> Any:
        from odenn.networks.modules import LegendreModule

        return LegendreModule(self.size)


@dataclass(frozen=True, kw_only=True)
class Legendre:
    """Legendre functional-link network.

    Parameters
    ----------
    degree
        Number of hidden units on a window that is not stiff; None chooses it from the tolerance.
    stiff_degree
        Likewise on a stiff one.
    """

    degree: int | None = None
    stiff_degree: int | None = None

    def __post_init__(self) -> None:
        for name, value, most in (("degree", self.degree, 64), ("stiff_degree", self.stiff_degree, 13)):
            if value is not None and not (isinstance(value, int) and 2 <= value <= most):
                raise ValueError(f"`{name}` must be a whole number from 2 to {most} or None, got {value!r}")

    def tables(self, rtol: float, *, stiff: bool, constant: bool = False) -> Tables:
        """Tables for a local relative tolerance.

        Where the Jacobian is constant, Newton's method converges at once on windows of any length, so that a higher
        degree pays. Degrees for Newton's method are even: the eigenvalues of K are pairs then, and the single one of an
        odd degree is as much work as a pair.
        """
        digits = -math.log10(rtol)
        if stiff:
            wanted = digits + 3.5 if constant else 0.7 * digits + 2.6
            m = self.stiff_degree or min(max(2 * round(wanted / 2), 4), 12)
            return tables(m, m + 2, 6)
        m = self.degree or min(max(round(digits + 6), 10), 24)
        return tables(m, m + m // 2, 6)

    def hidden(self, size: int) -> LegendreUnits:
        return LegendreUnits(size)
