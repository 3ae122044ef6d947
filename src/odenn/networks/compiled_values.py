"""The values of a Legendre network on many windows as one compiled loop, for solutions of the compiled engine."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from odenn.networks.tables import Array

BLOCK = 256  # points of one window that are computed together: the innermost loops run over them and are vectorised


@numba.njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def legendre_values(left: Array, start: Array, length: Array, value: Array, weights: Array, t: Array) -> Any:
    """What `Windows.derivative(t, 0)` returns; left (W,) are the left ends of the windows in order."""
    n, r = weights.shape[1:]
    out = np.empty((n, t.size))
    x, before, now, after, psi = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    sums = np.empty((n, BLOCK))
    first = 0
    while first < t.size:
        w = np.searchsorted(left[1:], t[first], side="right")
        end = np.inf if w + 1 == left.size else left[w + 1]
        begin = -np.inf if w == 0 else left[w]
        size = 1
        while size < BLOCK and first + size < t.size and begin <= t[first + size] < end:
            size += 1
        for b in range(size):
            s = (t[first + b] - start[w]) / length[w]
            x[b] = 2 * s - 1
            before[b] = 1.0
            now[b] = x[b]
            psi[b] = s
        for j in range(r):
            if j > 0:  # before, now, after = P_{j-1}, P_j, P_{j+1}
                a, c, factor = (2 * j + 1) / (j + 1), j / (j + 1), 0.5 / (2 * j + 1)
                for b in range(size):
                    after[b] = a * x[b] * now[b] - c * before[b]
                    psi[b] = factor * (after[b] - before[b])
                before, now, after = now, after, before
            for i in range(n):
                weight = weights[w, i, j]
                if j == 0:
                    for b in range(size):
                        sums[i, b] = weight * psi[b]
                elif weight != 0.0:  # windows by Newton's method leave room for the others' higher degree
                    for b in range(size):
                        sums[i, b] += weight * psi[b]
        for i in range(n):
            for b in range(size):
                out[i, first + b] = value[w, i] + length[w] * sums[i, b]
        first += size
    return out
