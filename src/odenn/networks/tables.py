"""What the collocation engine has to know of a network: how its slopes at the nodes become values.

On a window, s = (t - a)/h runs over [0, 1]. A network is linear in its output weights c:

    y'(s) = sum_j c_j phi_j(s),    y(s) = y_a + h sum_j c_j psi_j(s),    psi_j(s) = integral_0^s phi_j.

Whatever the hidden units phi are, the engine meets them only as the matrices below, so a new kind of network is a new
way of filling this table and no new code in the engine.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

# Ratios h_new / h_old that the engine uses. A fixed grid lets the first guess on a new window (the old network,
# extrapolated) be a matrix made once.
RATIOS = 2.0 ** (np.arange(-12, 9) / 4.0)

# Likewise lengths of a window that is tried again, as fractions of the one that failed.
SHORTER = (0.9, 0.8, 0.7, 0.6, 0.5, 0.35, 0.25)


class HiddenUnits(Protocol):
    """The fixed part of a network on one window: hidden units of the local time s in [0, 1]."""

    def derivative(self, s: Array, order: int) -> Array:
        """d^(order-1) phi_j / ds^(order-1) at s (k,), shape (k, r); order 0 is psi_j, the integral from 0 to s."""
        ...

    def module(self) -> Any:
        """The units psi as a torch.nn.Module from (k, 1) to (k, r)."""
        ...


class StageSolver(NamedTuple):
    """Eigen-decomposition of an integration matrix, K = V diag(lambda) V^-1, one of each conjugate pair kept.

    `left` (m, 2q) takes residuals at the nodes to the eigenvectors: real and imaginary part of the first, of the
    second and so on, so that a complex product is a real one. `right` (2q, m) takes them back and drops the imaginary
    part; its rows carry the factor 2 of the pair that was left out. `eigenvalues` (q,). Empty (q = 0) where the network
    has no such solver.
    """

    left: Array
    right: Array
    eigenvalues: ComplexArray


class Tables(NamedTuple):
    """Matrices of one network with m nodes, r weights, and of the finer one with M nodes that measures its error.

    Rows are nodes of the source, columns those of the target: slopes F (n, m) are multiplied from the right.
    """

    order: float  # the error falls about with h^order
    nodes: Array  # (m,) collocation points in (0, 1], the last one is 1
    integral: Array  # (m, m) slopes at the nodes -> integral from 0 to each node
    weights: Array  # (m, r) slopes at the nodes -> output weights c
    tail: Array  # (m, m // 2 rounded up) its upper half: slopes that are smooth have little there
    guess: Array  # (len(RATIOS), m, m) slopes on the previous window -> slopes on the next, extrapolated
    shorter: Array  # (len(SHORTER), m, m) slopes on a window -> slopes at the nodes of its first part
    fine_nodes: Array  # (M,)
    fine_integral: Array  # (M, M)
    fine_weights: Array  # (M, M) slopes at the fine nodes -> Legendre coefficients of the error's slope
    slope_at_fine: Array  # (m, M) slopes at the nodes -> the network's slope at the fine nodes
    slope_at_start: Array  # (m, 1) slopes at the nodes -> the network's slope at s = 0, which is no node
    value_at_fine: Array  # (m, M) slopes at the nodes -> integral from 0 to the fine nodes
    solver: StageSolver
    fine_solver: StageSolver
