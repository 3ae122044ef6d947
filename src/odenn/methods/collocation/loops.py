"""The kernels of `kernels.py` as loops, for the compiled engine; each does what its namesake there says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.networks.tables import Array, ComplexArray, StageSolver

FEW = 8  # rows up to which loops beat the call of a library


def product(A: Array, B: Array) -> Array:
    if A.shape[0] > FEW:
        return np.dot(A, B)
    out = np.empty((A.shape[0], B.shape[1]))
    multiply(A, B, out)
    return out


def multiply(A: Array, B: Array, out: Array) -> None:
    """out = A B."""
    n, m = A.shape
    k = B.shape[1]
    # Four rows of B at a time: an inner loop that is vectorised, and a quarter of the traffic to `out`.
    for i in range(n):
        j = m % 4
        a0, a1, a2 = A[i, 0] if j > 0 else 0.0, A[i, 1] if j > 1 else 0.0, A[i, 2] if j > 2 else 0.0
        if j == 0:
            for c in range(k):
                out[i, c] = 0.0
        elif j == 1:
            for c in range(k):
                out[i, c] = a0 * B[0, c]
        elif j == 2:
            for c in range(k):
                out[i, c] = a0 * B[0, c] + a1 * B[1, c]
        else:
            for c in range(k):
                out[i, c] = a0 * B[0, c] + a1 * B[1, c] + a2 * B[2, c]
        while j < m:
            a0, a1, a2, a3 = A[i, j], A[i, j + 1], A[i, j + 2], A[i, j + 3]
            for c in range(k):
                out[i, c] += a0 * B[j, c] + a1 * B[j + 1, c] + a2 * B[j + 2, c] + a3 * B[j + 3, c]
            j += 4


def integrate(A: Array, B: Array, start: Array, out: Array) -> None:
    n, k = out.shape
    if n <= FEW:
        multiply(A, B, out)
    else:
        np.dot(A, B, out)
    for i in range(n):  # at the end, so that the large start is rounded once
        for c in range(k):
            out[i, c] += start[i, c]


def put_product(A: Array, B: Array, out: Array, k: int) -> None:
    P = product(A, B)
    columns = P.shape[1]
    for i in range(P.shape[0]):
        for c in range(columns):
            out[k, i, c] = P[i, c]
        for c in range(columns, out.shape[2]):
            out[k, i, c] = 0.0


def distance(A: Array, B: Array, scale: Array) -> float:
    total = 0.0
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            d = (A[i, k] - B[i, k]) * scale[i, k]
            total += d * d
    return np.sqrt(total / A.size)


def excess(E: Array, Y: Array, peak: Array, rtol: float, atol: Array) -> float:
    largest = 0.0
    for i in range(E.shape[0]):
        bound = peak[i, 0]
        for k in range(E.shape[1]):
            bound = max(bound, abs(Y[i, k]))
            ratio = abs(E[i, k]) / (atol[i, 0] + rtol * bound)
            if not ratio <= largest:
                largest = np.inf if np.isnan(ratio) else ratio
    return largest


def row_peaks(Y: Array, peak: Array) -> Array:
    out = peak.copy()
    for i in range(Y.shape[0]):
        for k in range(Y.shape[1]):
            out[i, 0] = max(out[i, 0], abs(Y[i, k]))
    return out


class Stages(NamedTuple):
    """Inverses (q, n, n) of the stage matrices; where these are banded, their LU factors instead."""

    inverses: ComplexArray
    bands: ComplexArray  # (q, n, 2 lower + upper + 1): entry (i, j) at [i, j - i + lower]
    pivots: NDArray[np.int64]  # (q, n) row that step k of the elimination exchanges with row k
    lower: int


def no_stages() -> Stages:
    return Stages(np.empty((0, 0, 0), np.complex128), np.empty((0, 0, 0), np.complex128), np.empty((0, 0), np.int64), 0)


def stage_work(stages: Stages) -> float:
    q, n, _ = stages.inverses.shape
    return float(q * n * n * n + stages.bands.size * (stages.lower + 1))


def stage_inverses(J: Array, h: float, power: Array, fold: Array, solver: StageSolver) -> Stages:
    n, N = J.shape
    q = solver.eigenvalues.size
    lower, upper = 0, 0
    if n == N:
        for i in range(n):
            for j in range(n):
                if J[i, j] != 0.0:
                    lower, upper = max(lower, i - j), max(upper, j - i)
        if n >= FEW and 2 * lower + upper < n // 4:
            return banded_stages(J, h * solver.eigenvalues, lower, upper)
    out = np.empty((q, n, n), dtype=np.complex128)
    for e in range(q):
        A = np.zeros((n, n), dtype=np.complex128)
        for r in range(N):
            factor = (h * solver.eigenvalues[e]) ** power[r]
            for j in range(n):
                if fold[r, j] != 0.0:
                    for i in range(n):
                        A[i, j] -= factor * J[i, r]
        for i in range(n):
            A[i, i] += 1.0
        out[e] = np.linalg.inv(A)
    return Stages(out, np.empty((0, 0, 0), np.complex128), np.empty((0, 0), np.int64), 0)


def banded_stages(J: Array, hl: ComplexArray, lower: int, upper: int) -> Stages:
    """LU factors of I - hl_e J by elimination with row exchanges, which widen the upper triangle by `lower`."""
    n, q = J.shape[0], hl.size
    width = 2 * lower + upper + 1
    bands = np.zeros((q, n, width), dtype=np.complex128)
    pivots = np.empty((q, n), dtype=np.int64)
    for e in range(q):
        A = bands[e]
        for i in range(n):
            for j in range(max(i - lower, 0), min(i + upper + 1, n)):
                A[i, j - i + lower] = -hl[e] * J[i, j]
            A[i, lower] += 1.0
        for k in range(n):
            below, end = min(k + lower + 1, n), min(k + lower + upper + 1, n)
            p, largest = k, 0.0
            for i in range(k, below):
                size = abs(A[i, k - i + lower].real) + abs(A[i, k - i + lower].imag)
                if size > largest:
                    p, largest = i, size
            pivots[e, k] = p
            if p != k:
                for j in range(k, end):
                    A[k, j - k + lower], A[p, j - p + lower] = A[p, j - p + lower], A[k, j - k + lower]
            inverse = 1.0 / A[k, lower]
            A[k, lower] = inverse
            for i in range(k + 1, below):
                factor = A[i, k - i + lower] * inverse
                A[i, k - i + lower] = factor
                if factor != 0.0:
                    for j in range(k + 1, end):
                        A[i, j - i + lower] -= factor * A[k, j - k + lower]
    return Stages(np.empty((0, 0, 0), np.complex128), bands, pivots, lower)


def solve_stages(stages: Stages, solver: StageSolver, R: Array) -> Array:
    n, m = R.shape
    q = solver.eigenvalues.size
    out = np.zeros((n, m))
    x = np.empty(n, dtype=np.complex128)
    solved = np.empty(n, dtype=np.complex128)
    for e in range(q):
        for i in range(n):
            total = 0.0 + 0.0j
            for k in range(m):
                total += R[i, k] * solver.left[k, e]
            x[i] = total
        if stages.inverses.size > 0:
            for i in range(n):
                total = 0.0 + 0.0j
                for j in range(n):
                    total += stages.inverses[e, i, j] * x[j]
                solved[i] = total
        else:
            solve_banded(stages.bands[e], stages.pivots[e], stages.lower, x)
            solved[:] = x
        for i in range(n):
            for k in range(m):
                w = solver.right[e, k]
                out[i, k] += solved[i].real * w.real - solved[i].imag * w.imag
    return out


def solve_banded(A: ComplexArray, pivots: NDArray[np.int64], lower: int, x: ComplexArray) -> None:
    """Solve in place with the factors of one matrix of `banded_stages`; its diagonal holds 1 / pivot."""
    n, width = A.shape
    for k in range(n):
        p = pivots[k]
        if p != k:
            x[k], x[p] = x[p], x[k]
        for i in range(k + 1, min(k + lower + 1, n)):
            x[i] -= A[i, k - i + lower] * x[k]
    for k in range(n - 1, -1, -1):
        total = x[k]
        for c in range(lower + 1, min(width, n - k + lower)):
            total -= A[k, c] * x[k + c - lower]
        x[k] = total * A[k, lower]
