"""The few array operations that NumPy does best in one call and compiled code does best in a loop.

The engine calls them by name; `compiled.py` replaces each with its loop. All of them are plain mathematics without
state.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from odenn.calling import bandwidths
from odenn.layout import Layout
from odenn.networks.tables import Array, ComplexArray, StageSolver

LEAST = 1e-300  # added to tolerances: a state that is zero throughout, with atol = 0, has none
LARGE = 40  # components from which on a factorisation pays

product = np.dot  # of two matrices


def assemble(F: Array, za: Array, hK: Array, layout: Layout, Z: Array) -> None:
    """Fill Z (N, m), the states at the nodes, from the slopes F.

    za (N, m) is their start, the same at every node, hK = h K.
    """
    n, N = layout.n, layout.source.size
    if n == N:
        _integrate(F, hK, za, Z)
        return
    levels = layout.offsets.size - 1
    if n * levels == N:  # all components of one order: level by level, each the slope of the one below
        G = F
        for level in range(levels - 1, -1, -1):
            rows = Z[level * n : (level + 1) * n]
            _integrate(G, hK, za[level * n : (level + 1) * n], rows)
            G = rows
        return
    for level in range(levels - 1, -1, -1):
        lo, hi = layout.offsets[level], layout.offsets[level + 1]
        W = np.concatenate((F, Z))
        _integrate(W[layout.source[lo:hi]], hK, za[lo:hi], Z[lo:hi])


def _integrate(A: Array, B: Array, start: Array, out: Array) -> None:
    """out = start + A B; `out` is none of the others."""
    np.dot(A, B, out=out)
    out += start  # at the end, so that the large start is rounded once


def put_product(A: Array, B: Array, out: Array, k: int) -> None:
    """The product A B into the first columns of out[k], zeros into the others."""
    out[k, :, : B.shape[1]] = np.dot(A, B)
    out[k, :, B.shape[1] :] = 0.0


def distance(A: Array, B: Array, scale: Array) -> float:
    """Root mean square over the nodes and components of scale * (A - B), all of one shape."""
    D = A - B
    D *= scale
    return _root_mean_square(D)


def norm(A: Array, scale: Array) -> float:
    """Root mean square of scale * A, both of one shape."""
    return _root_mean_square(A * scale)


def _root_mean_square(A: Array) -> float:
    a = A.ravel()
    return math.sqrt(a.dot(a) / a.size)


def excess(E: Array, Y: Array, peak: Array, rtol: float, atol: Array) -> float:
    """max over rows i and nodes k of |E_ik| / (atol_i + rtol * max(peak_i, |Y_i0|, ..., |Y_ik|)).

    E, Y (n, k) in the order in which the solution is computed; peak, atol (n, 1). NaN counts as infinity.
    """
    bound = np.maximum.accumulate(np.abs(Y), axis=1)
    np.maximum(bound, peak, out=bound)
    bound *= rtol
    bound += atol + LEAST
    largest = float((np.abs(E) / bound).max())
    return np.inf if math.isnan(largest) else largest


def row_peaks(Y: Array, peak: Array) -> Array:
    """max(peak_i, max_k |Y_ik|), shape (n, 1)."""
    return np.maximum(np.abs(Y).max(axis=1).reshape(-1, 1), peak)


class Banded(NamedTuple):
    """LU factors of banded matrices, one below the other on the diagonal of one banded matrix: one call serves all."""

    lu: Any
    pivots: Any
    lower: int
    upper: int


def no_stages() -> Any:
    """What stands for `stage_inverses` where there is nothing to solve."""
    return None


def stage_work(inverses: Any) -> float:
    """Multiplications that making them took, about."""
    if isinstance(inverses, Banded):
        return float(inverses.lu.size * (inverses.lower + 1))
    return float(len(inverses) * len(inverses[0][0]) ** 3)


def band(J: Array, layout: Layout) -> tuple[int, int]:
    """Diagonals below and above the main one that the stage matrices have; all of them where that is of no use."""
    n, N = J.shape
    return bandwidths(J) if n == N >= LARGE else (n, n)


def stage_inverses(J: Array, band: tuple[int, int], h: float, layout: Layout, solver: StageSolver) -> Any:
    """What `solve_stages` needs to solve with I - sum_r (h lambda)^power_r J[:, r] fold[r, :], for every eigenvalue.

    `fold` (N, n) sends the column of a state to the component whose highest derivative drives it. Small systems are
    inverted, which spares calls; large ones are factorised, which is three times less work, by bands if they have them.
    """
    n, N = J.shape
    hl = h * solver.eigenvalues
    lower, upper = band
    if 2 * lower + upper < n // 4:
        return _banded_stages(J, hl, lower, upper)
    blocks = J * (hl.reshape(-1, 1, 1) ** layout.power)
    if n < N:  # else every state is a component, and `fold` is the identity
        blocks = blocks @ layout.fold
    matrices = np.eye(n) - blocks
    if n < LARGE:
        return np.linalg.inv(matrices)
    from scipy.linalg import lu_factor

    return [lu_factor(matrix, overwrite_a=True, check_finite=False) for matrix in matrices]


def _banded_stages(J: Array, hl: ComplexArray, lower: int, upper: int) -> Banded:
    """LU factors of I - hl_e J for every eigenvalue; J (n, n) has `lower` and `upper` diagonals beside its main one."""
    from scipy.linalg.lapack import zgbtrf  # pyright: ignore[reportAttributeAccessIssue] - made while importing

    n = J.shape[0]
    # LAPACK keeps entry (i, j) at [lower + upper + i - j, j]; the first rows are room for pivoting.
    diagonals = np.zeros((2 * lower + upper + 1, n))
    for d in range(-lower, upper + 1):
        diagonals[lower + upper - d, max(d, 0) : n + min(d, 0)] = np.diagonal(J, d)
    bands = -diagonals[:, np.newaxis] * hl[:, np.newaxis]
    bands[lower + upper] += 1.0
    lu, pivots, _ = zgbtrf(bands.reshape(-1, hl.size * n), lower, upper)
    return Banded(lu, pivots, lower, upper)


def solve_stages(inverses: Any, solver: StageSolver, R: Array) -> Array:
    """(I - h K x J)^-1 R for all nodes at once, through the eigenvectors of K; R and the result (n, m)."""
    X = np.dot(R, solver.left).view(complex).T
    if isinstance(inverses, Banded):
        from scipy.linalg.lapack import zgbtrs  # pyright: ignore[reportAttributeAccessIssue] - made while importing

        lu, pivots, lower, upper = inverses
        X = zgbtrs(lu, lower, upper, X.reshape(-1), pivots)[0].reshape(X.shape)
    elif isinstance(inverses, list):
        from scipy.linalg import lu_solve

        X = np.array([lu_solve(factors, x, check_finite=False) for factors, x in zip(inverses, X, strict=True)])
    else:
        X = (inverses @ X[:, :, None])[:, :, 0]
    return np.dot(np.ascontiguousarray(X.T).view(float), solver.right)
