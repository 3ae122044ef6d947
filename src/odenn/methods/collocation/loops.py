"""The kernels of `kernels.py` as loops, for the compiled engine; each does what its namesake there says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.layout import Layout
from odenn.methods.collocation.kernels import LEAST
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
    for i in range(A.shape[0]):
        multiply_row(A, i, B, out, i)


def multiply_row(A: Array, i: int, B: Array, out: Array, r: int) -> None:
    """Row r of `out` = row i of A times B."""
    m, k = B.shape
    # Four rows of B at a time: an inner loop that is vectorised, and a quarter of the traffic to `out`.
    j = m % 4
    a0, a1, a2 = A[i, 0] if j > 0 else 0.0, A[i, 1] if j > 1 else 0.0, A[i, 2] if j > 2 else 0.0
    if j == 0:
        for c in range(k):
            out[r, c] = 0.0
    elif j == 1:
        for c in range(k):
            out[r, c] = a0 * B[0, c]
    elif j == 2:
        for c in range(k):
            out[r, c] = a0 * B[0, c] + a1 * B[1, c]
    else:
        for c in range(k):
            out[r, c] = a0 * B[0, c] + a1 * B[1, c] + a2 * B[2, c]
    while j < m:
        a0, a1, a2, a3 = A[i, j], A[i, j + 1], A[i, j + 2], A[i, j + 3]
        for c in range(k):
            out[r, c] += a0 * B[j, c] + a1 * B[j + 1, c] + a2 * B[j + 2, c] + a3 * B[j + 3, c]
        j += 4


def assemble(F: Array, za: Array, hK: Array, layout: Layout, Z: Array) -> None:
    n, N = F.shape[0], Z.shape[0]
    if n <= FEW:
        for r in range(N - 1, -1, -1):  # the state that is the slope of another comes behind it
            source = layout.source[r]
            if source < n:
                multiply_row(F, source, hK, Z, r)
            else:
                multiply_row(Z, source - n, hK, Z, r)
            add_rows(za, r, r + 1, Z)
        return
    for level in range(layout.offsets.size - 2, -1, -1):
        lo, hi = layout.offsets[level], layout.offsets[level + 1]
        slopes = F if n == N else np.concatenate((F, Z))[layout.source[lo:hi]]
        np.dot(slopes, hK, Z[lo:hi])
        add_rows(za, lo, hi, Z)


def add_rows(start: Array, lo: int, hi: int, out: Array) -> None:
    for r in range(lo, hi):
        for c in range(out.shape[1]):
            out[r, c] += start[r, c]


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


def norm(A: Array, scale: Array) -> float:
    total = 0.0
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            d = A[i, k] * scale[i, k]
            total += d * d
    return np.sqrt(total / A.size)


def excess(E: Array, Y: Array, peak: Array, rtol: float, atol: Array) -> float:
    largest = 0.0
    for i in range(E.shape[0]):
        bound = peak[i, 0]
        for k in range(E.shape[1]):
            bound = max(bound, abs(Y[i, k]))
            tolerance = atol[i, 0] + rtol * bound + LEAST
            if not abs(E[i, k]) < largest * tolerance:  # so that few are divided, which takes longest
                ratio = abs(E[i, k]) / tolerance
                largest = np.inf if np.isnan(ratio) else max(ratio, largest)
    return largest


def row_peaks(Y: Array, peak: Array) -> Array:
    out = peak.copy()
    for i in range(Y.shape[0]):
        for k in range(Y.shape[1]):
            out[i, 0] = max(out[i, 0], abs(Y[i, k]))
    return out


class Stages(NamedTuple):
    """Stage matrices by bands, in their LU factors; where there are too many diagonals for that, their inverses."""

    bands: ComplexArray  # (n, q, 2 lower + upper + 1): entry (i, j) at [i, e, j - i + lower], 1 / pivot on the diagonal
    pivots: NDArray[np.int64]  # (n, q) row that step k of the elimination exchanges with row k
    lower: int
    upper: int  # diagonals of the upper factor beside its main one: row exchanges add `lower` of them
    inverses: ComplexArray  # (q, n, n)


def no_stages() -> Stages:
    none = np.empty((0, 0, 0), np.complex128)
    return Stages(none, np.empty((0, 0), np.int64), 0, 0, none)


def stage_work(stages: Stages) -> float:
    q, n, _ = stages.inverses.shape
    return float(q * n * n * n + stages.bands.size * (stages.lower + 1))


def band(J: Array, layout: Layout) -> tuple[int, int]:
    n, N = J.shape
    if n <= FEW:
        return n - 1, n - 1
    lower, upper = 0, 0
    for i in range(n):
        for r in range(N):
            if J[i, r] != 0.0:
                lower, upper = max(lower, i - layout.component[r]), max(upper, layout.component[r] - i)
    return lower, upper


def stage_inverses(J: Array, band: tuple[int, int], h: float, layout: Layout, solver: StageSolver) -> Stages:
    n, N = J.shape
    lower, upper = band
    none = np.empty((0, 0, 0), np.complex128)
    if n > FEW and 2 * lower + upper >= n // 4:
        return Stages(none, np.empty((0, 0), np.int64), 0, 0, dense_inverses(J, h, layout, solver))
    bands = np.zeros((n, solver.eigenvalues.size, 2 * lower + upper + 1), np.complex128)
    bands[:, :, lower] = 1.0
    for r in range(N):
        j = layout.component[r]
        for e in range(solver.eigenvalues.size):
            factor = power(h * solver.eigenvalues[e], layout.power[r])
            for i in range(max(j - upper, 0), min(j + lower + 1, n)):
                bands[i, e, j - i + lower] -= factor * J[i, r]
    pivots, upper = eliminate(bands, lower, upper)
    return Stages(bands, pivots, lower, upper, none)


def power(x: complex, whole: float) -> complex:
    out = x
    for _ in range(int(whole) - 1):
        out *= x
    return out


def dense_inverses(J: Array, h: float, layout: Layout, solver: StageSolver) -> ComplexArray:
    n, N = J.shape
    out = np.zeros((solver.eigenvalues.size, n, n), np.complex128)
    for e in range(solver.eigenvalues.size):
        for r in range(N):
            factor, j = power(h * solver.eigenvalues[e], layout.power[r]), layout.component[r]
            for i in range(n):
                out[e, i, j] -= factor * J[i, r]
        for i in range(n):
            out[e, i, i] += 1.0
        out[e] = np.linalg.inv(out[e])
    return out


def eliminate(bands: ComplexArray, lower: int, upper: int) -> tuple[NDArray[np.int64], int]:
    """LU factors in place: the rows exchanged, and the diagonals of the upper factor beside its main one.

    All matrices take a step before any takes the next: each waits for its own last result.
    """
    n, q, width = bands.shape
    pivots = np.empty((n, q), np.int64)
    for k in range(n):
        below = min(lower, n - 1 - k)
        for e in range(q):
            p, largest = 0, 0.0
            for i in range(below + 1):
                entry = bands[k + i, e, np.uintp(lower - i)]  # unsigned: it need not be asked whether it counts back
                extent = abs(entry.real) + abs(entry.imag)
                if extent > largest:
                    p, largest = i, extent
            pivots[k, e] = k + p
            if p > 0:
                upper = width - lower - 1
            right = min(upper, n - 1 - k)
            if p > 0:
                for c in range(lower, lower + right + 1):
                    high, low = bands[k, e, c], bands[k + p, e, c - p]
                    bands[k, e, c], bands[k + p, e, c - p] = low, high
            pivot = bands[k, e, lower]
            inverse = pivot.conjugate() * (1.0 / (pivot.real * pivot.real + pivot.imag * pivot.imag))
            bands[k, e, lower] = inverse
            for i in range(1, below + 1):
                first = np.uintp(lower - i)
                factor = bands[k + i, e, first] * inverse
                bands[k + i, e, first] = factor
                for c in range(1, right + 1):
                    bands[k + i, e, first + np.uintp(c)] -= factor * bands[k, e, lower + c]
    return pivots, upper


def solve_stages(stages: Stages, solver: StageSolver, R: Array) -> Array:
    X = product(R, solver.left)
    if stages.inverses.size == 0:
        solve_banded(stages, X.view(np.complex128))
    else:
        n, q = R.shape[0], solver.eigenvalues.size
        x = X.view(np.complex128).copy()
        for e in range(q):
            for i in range(n):
                total = 0.0 + 0.0j
                for j in range(n):
                    total += stages.inverses[e, i, j] * x[j, e]
                X[i, 2 * e], X[i, 2 * e + 1] = total.real, total.imag
    return product(X, solver.right)


def solve_banded(stages: Stages, X: ComplexArray) -> None:
    """Solve in place, X (n, q), with the factors that `eliminate` left."""
    bands, pivots, lower, upper, _ = stages
    n, q, width = bands.shape
    exchanged = upper > width - 2 * lower - 1
    for k in range(n):
        if exchanged:
            for e in range(q):
                p = pivots[k, e]
                X[k, e], X[p, e] = X[p, e], X[k, e]
        below = min(k + lower + 1, n)
        for e in range(q):
            x = X[k, e]
            for i in range(k + 1, below):
                X[i, e] -= bands[i, e, np.uintp(k - i + lower)] * x  # unsigned, as above
    for k in range(n - 1, -1, -1):
        right = min(upper, n - 1 - k)
        for e in range(q):
            total = X[k, e]
            for c in range(right, 0, -1):  # the nearest, which was finished last, is waited for last
                total -= bands[k, e, np.uintp(lower + c)] * X[np.uintp(k + c), e]
            X[k, e] = total * bands[k, e, lower]
