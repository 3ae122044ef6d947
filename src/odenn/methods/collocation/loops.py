"""The kernels of `kernels.py` as loops, for the compiled engine; each does what its namesake there says."""

from __future__ import annotations

import numpy as np

from odenn.networks.tables import Array, ComplexArray, StageSolver

FEW = 8  # rows up to which loops beat the call of a library


def product(A: Array, B: Array) -> Array:
    n, m = A.shape
    k = B.shape[1]
    if n > FEW:
        return np.dot(A, B)
    out = np.zeros((n, k))
    # Four rows of B at a time: an inner loop that is vectorised, and a quarter of the traffic to `out`.
    for i in range(n):
        row = out[i]
        j = 0
        while j + 4 <= m:
            a0, a1, a2, a3 = A[i, j], A[i, j + 1], A[i, j + 2], A[i, j + 3]
            b0, b1, b2, b3 = B[j], B[j + 1], B[j + 2], B[j + 3]
            for c in range(k):
                row[c] += a0 * b0[c] + a1 * b1[c] + a2 * b2[c] + a3 * b3[c]
            j += 4
        while j < m:
            a, b = A[i, j], B[j]
            for c in range(k):
                row[c] += a * b[c]
            j += 1
    return out


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


def stage_inverses(J: Array, h: float, power: Array, fold: Array, solver: StageSolver) -> ComplexArray:
    n, N = J.shape
    q = solver.eigenvalues.size
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
    return out


def solve_stages(inverses: ComplexArray, solver: StageSolver, R: Array) -> Array:
    n, m = R.shape
    q = solver.eigenvalues.size
    out = np.zeros((n, m))
    x = np.empty(n, dtype=np.complex128)
    for e in range(q):
        for i in range(n):
            total = 0.0 + 0.0j
            for k in range(m):
                total += R[i, k] * solver.left[k, e]
            x[i] = total
        for i in range(n):
            total = 0.0 + 0.0j
            for j in range(n):
                total += inverses[e, i, j] * x[j]
            for k in range(m):
                w = solver.right[e, k]
                out[i, k] += total.real * w.real - total.imag * w.imag
    return out
