"""The values of a Legendre network on many windows as one compiled loop, for solutions of the compiled engine."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from odenn.networks.tables import Array

BLOCK = 128  # points of one window that are computed together: the innermost loops run over them and are vectorised


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def legendre_values(left: Array, start: Array, length: Array, value: Array, weights: Array, t: Array) -> Any:
    """What `Windows.derivative(t, 0)` returns; left (W,) are the left ends of the windows in order."""
    n, r = weights.shape[1:]
    out, sums = np.empty((n, t.size)), np.empty((n, BLOCK))
    x, before, now, psi, next_psi = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    first = 0
    while first < t.size:
        w = np.searchsorted(left[1:], t[first], side="right")
        end = np.inf if w + 1 == left.size else left[w + 1]
        begin = -np.inf if w == 0 else left[w]
        size = 1
        while size < BLOCK and first + size < t.size and begin <= t[first + size] < end:
            size += 1
        a, h = start[w], length[w]
        for b in range(size):
            psi[b] = (t[first + b] - a) / h
            x[b] = 2 * psi[b] - 1
            before[b] = 1.0
            now[b] = x[b]
        for i in range(n):
            weight = weights[w, i, 0]
            for b in range(size):
                sums[i, b] = weight * psi[b]
        # Two degrees in one pass over the points, which halves what goes to memory and back.
        for j in range(1, r, 2):  # before, now, p, q = P_{j-1}, P_j, P_{j+1}, P_{j+2}
            p_now, p_before, factor = (2 * j + 1) / (j + 1), j / (j + 1), 0.5 / (2 * j + 1)
            q_now, q_before, next_factor = (2 * j + 3) / (j + 2), (j + 1) / (j + 2), 0.5 / (2 * j + 3)
            for b in range(size):
                p = p_now * x[b] * now[b] - p_before * before[b]
                q = q_now * x[b] * p - q_before * now[b]
                psi[b] = factor * (p - before[b])
                next_psi[b] = next_factor * (q - now[b])
                before[b] = p
                now[b] = q
            for i in range(n):
                weight, next_weight = weights[w, i, j], weights[w, i, j + 1] if j + 1 < r else 0.0
                # Windows by Newton's method leave room for the others' higher degree.
                if weight != 0.0 or next_weight != 0.0:
                    for b in range(size):
                        sums[i, b] += weight * psi[b] + next_weight * next_psi[b]
        for i in range(n):
            y = value[w, i]
            for b in range(size):
                out[i, first + b] = y + h * sums[i, b]
        first += size
    return out
