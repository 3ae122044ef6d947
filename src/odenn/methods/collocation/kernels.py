"""The few array operations that NumPy does best in one call and compiled code does best in a loop.

The engine calls them by name; `compiled.py` replaces each with its loop. All of them are plain mathematics without
state.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from odenn.networks.tables import Array, StageSolver

LARGE = 40  # components from which on a factorisation pays

product = np.dot  # of two matrices


def distance(A: Array, B: Array, scale: Array) -> float:
    """Root mean square over the nodes and components of scale * (A - B), all of one shape."""
    D = A - B
    D *= scale
    d = D.ravel()
    return math.sqrt(d.dot(d) / d.size)


def excess(E: Array, Y: Array, peak: Array, rtol: float, atol: Array) -> float:
    """max over rows i and nodes k of |E_ik| / (atol_i + rtol * max(peak_i, |Y_i0|, ..., |Y_ik|)).

    E, Y (n, k) in the order in which the solution is computed; peak, atol (n, 1). NaN counts as infinity.
    """
    bound = np.maximum.accumulate(np.abs(Y), axis=1)
    np.maximum(bound, peak, out=bound)
    bound *= rtol
    bound += atol
    largest = float((np.abs(E) / bound).max())
    return np.inf if math.isnan(largest) else largest


def row_peaks(Y: Array, peak: Array) -> Array:
    """max(peak_i, max_k |Y_ik|), shape (n, 1)."""
    return np.maximum(np.abs(Y).max(axis=1).reshape(-1, 1), peak)


def stage_inverses(J: Array, h: float, power: Array, fold: Array, solver: StageSolver) -> Any:
    """What `solve_stages` needs to solve with I - sum_r (h lambda)^power_r J[:, r] fold[r, :], for every eigenvalue.

    `fold` (N, n) sends the column of a state to the component whose highest derivative drives it. Small systems are
    inverted, which spares calls; large ones are factorised, which is three times less work.
    """
    hl = h * solver.eigenvalues
    blocks = J * (hl.reshape(-1, 1, 1) ** power)
    if power.size > J.shape[0]:  # else every state is a component, and `fold` is the identity
        blocks = blocks @ fold
    matrices = np.eye(J.shape[0]) - blocks
    if J.shape[0] < LARGE:
        return np.linalg.inv(matrices)
    from scipy.linalg import lu_factor

    return [lu_factor(matrix, overwrite_a=True, check_finite=False) for matrix in matrices]


def solve_stages(inverses: Any, solver: StageSolver, R: Array) -> Array:
    """(I - h K x J)^-1 R for all nodes at once, through the eigenvectors of K; R and the result (n, m)."""
    X = (R @ solver.left).T
    if isinstance(inverses, list):
        from scipy.linalg import lu_solve

        X = np.array([lu_solve(factors, x, check_finite=False) for factors, x in zip(inverses, X, strict=True)])
    else:
        X = (inverses @ X[:, :, None])[:, :, 0]
    return np.ascontiguousarray((X.T @ solver.right).real)
