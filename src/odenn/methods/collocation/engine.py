"""The collocation engine: windows in time, each solved for the slopes of a network at its nodes.

On a window [a, a + h] the unknowns are F = (n, m), the highest derivatives of the n components at the m nodes. The
states Z = (N, m), values and lower derivatives, follow by integration, so the initial values hold by construction:

    F = f(t, Z),    Z = z_a + h (F or the state one derivative higher) K.

A window that is not stiff is solved by fixed-point sweeps, one vectorised call of f each; a stiff one by simplified
Newton, organised by the eigenvalues of K as RADAU5 does it (Hairer and Wanner, Solving ODEs II, section IV.8), so that
the cost grows as m n^3. On the same windows a second solution with a higher degree runs along. The difference of the
two is the estimate of the GLOBAL error; the same finer nodes show the local error that chooses the next window.

This is one source for two engines: as it stands it serves right-hand sides that are Python functions; `compiled.py`
compiles it unchanged. So it keeps to the part of NumPy and Python that Numba compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.methods.collocation.kernels import distance, excess, row_peaks, solve_stages, stage_inverses
from odenn.networks.tables import Array, StageSolver, Tables
from odenn.problem import Layout

Rhs = Callable[[Array, Array, Array, Array], None]  # rhs(t (k,), Z (N, k), p, out (n, k))
Jacobian = Callable[[float, Array, Array, Array], None]  # jacobian(t, z (N,), p, out (n, N))

EPS = 2.220446049250313e-16
SWEEPS = 24  # of the fixed-point iteration before a window counts as too long
AIM_SWEEPS = 20.0
AIM_NEWTON = 8.0
NEWTON = 8  # iterations of simplified Newton, likewise
ITERATION_ERROR = 0.1  # of the local tolerance is left to the iterations; the error measured at the fine nodes sees it

# Why `march` returned.
DONE, FULL, TOO_SMALL, TOO_FAR = 0, 1, 2, 3
# Places in `counts`.
CALLS, POINTS, SWEEP, STEP, JACOBIANS, WINDOWS, REJECTED, STIFF_WINDOWS = 0, 1, 2, 3, 4, 5, 6, 7


class Control(NamedTuple):
    """Tolerances. The local ones choose the windows, the global ones are what was asked for."""

    rtol: float
    atol: Array  # (N, 1)
    global_rtol: float
    global_atol: Array  # (n, 1)
    smallest: float  # window length under which the march ends
    give_up: float  # the march ends where the estimate exceeds this multiple of the contract
    stiff: int  # 0 fixed-point only, 1 choose, 2 Newton only


class State(NamedTuple):
    """Where the march stands."""

    t: float
    h: float  # length of the next window, positive
    z: Array  # (N,) the solution
    second: Array  # (N,) the second solution, of higher degree
    peak: Array  # (N, 1) max |state| so far
    slopes: Array  # (n, m) of the previous window, for the first guess; (n, 0) if there is none
    length: float  # of the previous window
    implicit: bool
    streak: int  # windows in a row that spoke for the other iteration
    patience: int  # so many of them until Newton is tried
    rate: float  # time covered per work by the sweeps, when Newton was tried; 0 when there is nothing to compare
    worst: float  # largest estimate / contract so far


class Store(NamedTuple):
    """The windows that were accepted; the first axis is the window."""

    start: Array  # (W,)
    length: Array  # (W,) signed
    value: Array  # (W, n) at the start
    weights: Array  # (W, n, r)
    error: Array  # (W, n) estimated error at the start
    error_weights: Array  # (W, n, M)


def assemble(F: Array, za: Array, hK: Array, layout: Layout) -> Array:
    """States at the nodes from the slopes F; za (N, 1), hK = h K."""
    n = layout.n
    if layout.source.size == n:
        Z = F @ hK
        Z += za
        return Z
    W = np.empty((n + layout.source.size, F.shape[1]))
    W[:n] = F
    for level in range(layout.offsets.size - 2, -1, -1):
        lo, hi = layout.offsets[level], layout.offsets[level + 1]
        W[n + lo : n + hi] = za[lo:hi] + W[layout.source[lo:hi]] @ hK
    return np.ascontiguousarray(W[n:])


def state_slopes(F: Array, Z: Array, layout: Layout) -> Array:
    """(N, m): the derivative of every state at the nodes."""
    if layout.source.size == layout.n:
        return F
    return np.concatenate((F, Z))[layout.source]


def sweep(
    rhs: Rhs, p: Array, t: Array, za: Array, F: Array, hK: Array, layout: Layout, scale: Array, limit: float,
    counts: NDArray[np.int64],
) -> tuple[Array, int, bool]:  # fmt: skip
    """Fixed-point iteration F <- f(t, Z(F)) until F changes by less than `limit`; F, sweeps used, converged."""
    first = np.inf
    for k in range(SWEEPS):
        Z = assemble(F, za, hK, layout)
        G = np.empty_like(F)
        rhs(t, Z, p, G)
        counts[CALLS] += 1
        counts[POINTS] += t.size
        counts[SWEEP] += 1
        change = distance(G, F, scale)
        F = G
        if change <= limit:
            return F, k + 1, True
        if k == 0:
            first = change
        # Sweeps may first lose ground (by (hL)^k/k!) and win in the end; a factor of 1e6 is past hope, NaN too.
        if not change <= 1e6 * first:
            return F, k + 1, False
    return F, SWEEPS, False


def newton(
    rhs: Rhs, p: Array, t: Array, za: Array, F: Array, hK: Array, layout: Layout, inverses: Array, solver: StageSolver,
    scale: Array, limit: float, counts: NDArray[np.int64],
) -> tuple[Array, int, bool]:  # fmt: skip
    """Simplified Newton for F = f(t, Z(F)) with the stage matrices already inverted; as `sweep`.

    The change is measured in the states that F drives, h K dF: a stiff component's slope is mostly rounding.
    """
    last = np.inf
    zero = np.zeros((1, 1))
    for k in range(NEWTON):
        Z = assemble(F, za, hK, layout)
        G = np.empty_like(F)
        rhs(t, Z, p, G)
        counts[CALLS] += 1
        counts[POINTS] += t.size
        counts[STEP] += 1
        dF = solve_stages(inverses, solver, G - F)
        F = F + dF
        change = distance(dF @ hK, zero, scale)
        rate = change / last
        if change <= limit or (k > 0 and rate < 1 and change * rate / (1 - rate) <= limit):
            return F, k + 1, True
        if not (k == 0 or rate < 0.9):
            return F, k + 1, False
        last = change
    return F, NEWTON, False


def driven_scale(F: Array, h: float, z: Array, peak: Array, layout: Layout, control: Control) -> Array:
    """(n, 1): 1 / tolerance of the state that each component's highest derivative drives.

    A state that starts at zero is measured by what the window adds to it; no tolerance is finer than rounding.
    """
    scale = np.empty((layout.n, 1))
    for r in range(layout.source.size):
        i = layout.source[r]
        if i < layout.n:
            size = max(peak[r, 0], abs(z[r]), h * abs(F[i, -1]))
            scale[i, 0] = 1.0 / max(control.rtol * size + control.atol[r, 0], 2 * EPS * size + 1e-300)
    return scale


def start_slopes(rhs: Rhs, p: Array, t: float, z: Array, n: int, m: int, counts: NDArray[np.int64]) -> Array:
    """(n, m): the slope at the start of the window, the same at every node; the guess where there is none better."""
    out = np.empty((n, 1))
    rhs(np.full(1, t), np.ascontiguousarray(z.reshape(-1, 1)), p, out)
    counts[CALLS] += 1
    counts[POINTS] += 1
    return out * np.ones((1, m))


def nearest_ratio(ratio: float) -> int:
    """Place in RATIOS = 2^(j/4), j = -12..8, of the ratio nearest to the one given."""
    return int(min(max(np.round(4 * np.log2(ratio)) + 12, 0), 20))


def growth(error: float, m: int) -> float:
    """Factor for the next window's length: the error of degree m, in units of its tolerance, falls with h^(m+1)."""
    return min(max((0.3 / max(error, 1e-30)) ** (1.0 / (m + 1)), 0.25), 3.0)


def march(
    rhs: Rhs, jacobian: Jacobian, p: Array, end: float, explicit: Tables, implicit: Tables, layout: Layout,
    control: Control, state: State, store: Store, filled: int, counts: NDArray[np.int64],
) -> tuple[int, int, State]:  # fmt: skip
    """Solve window after window until `end`, a full store or a failure; (reason, windows filled, state)."""
    t, h, z, second, peak, slopes, length, is_stiff, streak, patience, rate, worst = state
    n = layout.n
    N = layout.source.size
    direction = 1.0 if end >= t else -1.0
    J = np.empty((n, N))
    failures = 0
    trial = 0
    reason = FULL
    while filled < store.start.size:
        remaining = abs(end - t)
        if remaining == 0.0:
            reason = DONE
            break
        if h >= 0.99 * remaining:
            h = remaining
        elif h > 0.5 * remaining:
            h = 0.5 * remaining  # rather two windows of one length than a full one and a sliver
        if h < control.smallest and h < remaining:
            reason = TOO_SMALL
            break
        tables = implicit if is_stiff else explicit
        m = tables.nodes.size
        hs = direction * h
        za = np.ascontiguousarray(z.reshape(-1, 1))
        if slopes.shape[1] == m:
            F = slopes @ tables.guess[nearest_ratio(h / length)]
        else:
            F = start_slopes(rhs, p, t, z, n, m, counts)
        scale = driven_scale(F, h, z, peak, layout, control)
        hK = hs * tables.integral
        fine_hK = hs * tables.fine_integral
        fine_t = t + hs * tables.fine_nodes
        # The network on this window.
        if is_stiff:
            jacobian(t, z, p, J)
            counts[JACOBIANS] += 1
            inverses = stage_inverses(J, hs, layout.power, layout.fold, tables.solver)
            F, effort, good = newton(
                rhs, p, t + hs * tables.nodes, za, F, hK, layout, inverses, tables.solver, scale, ITERATION_ERROR, counts
            )  # fmt: skip
        else:
            inverses = np.empty((0, 0, 0), dtype=np.complex128)
            F, effort, good = sweep(
                rhs, p, t + hs * tables.nodes, za, F, hK, layout, h * scale, ITERATION_ERROR, counts
            )  # fmt: skip
        error = np.inf
        fine_F = F
        Y = za
        S = F
        if good:
            # Its local error: what the equation, evaluated between the nodes, would rather have.
            S = state_slopes(F, assemble(F, za, hK, layout) if N > n else F, layout)
            Y = hs * (S @ tables.value_at_fine)
            Y += za
            fine_F = np.empty((n, tables.fine_nodes.size))
            rhs(fine_t, Y, p, fine_F)
            counts[CALLS] += 1
            counts[POINTS] += fine_t.size
            if is_stiff:
                inverses = stage_inverses(J, hs, layout.power, layout.fold, tables.fine_solver)
                at_fine = F @ tables.slope_at_fine
                fine_F = at_fine + solve_stages(inverses, tables.fine_solver, fine_F - at_fine)
            error = excess(assemble(fine_F, za, fine_hK, layout) - Y, Y, peak, control.rtol, control.atol)
        if not error <= 1.0:
            counts[REJECTED] += 1
            failures += 1
            if good and failures < 3:
                h *= min(growth(error, m), 0.9)
            else:
                h *= 0.5 if failures < 3 else 0.125
            streak += not good
            if is_stiff and not good:
                rate = 0.0  # Newton struggles where the sweeps did: no ground for a comparison
            continue
        # The second solution, from its own start.
        drift = np.ascontiguousarray(second.reshape(-1, 1))
        limit = max(0.05 * max(error, excess(drift - za, za, peak, control.rtol, control.atol)), 4 * EPS / control.rtol)
        if is_stiff:
            fine_F, fine_effort, _ = newton(
                rhs, p, fine_t, drift, fine_F, fine_hK, layout, inverses, tables.fine_solver, scale, limit, counts
            )  # fmt: skip
        else:
            fine_F, fine_effort, _ = sweep(rhs, p, fine_t, drift, fine_F, fine_hK, layout, h * scale, limit, counts)
        fine_Z = assemble(fine_F, drift, fine_hK, layout)
        worst = max(
            worst, excess((fine_Z - Y)[:n], Y[:n], peak[:n], control.global_rtol, control.global_atol)
        )  # fmt: skip
        fine_S = state_slopes(fine_F, fine_Z, layout)
        store.start[filled] = t
        store.length[filled] = hs
        store.value[filled] = z[:n]
        store.weights[filled, :, : tables.weights.shape[1]] = S[:n] @ tables.weights
        store.error[filled] = (second - z)[:n]
        store.error_weights[filled, :, : fine_t.size] = (fine_S - S @ tables.slope_at_fine)[:n] @ tables.fine_weights
        filled += 1
        counts[WINDOWS] += 1
        if is_stiff:
            counts[STIFF_WINDOWS] += 1
        # On to the next.
        peak = row_peaks(Y, peak)
        z = Y[:, -1].copy()
        second = fine_Z[:, -1].copy()
        slopes = F
        length = h
        t = end if h == remaining else t + hs
        failures = 0
        by_error = growth(error, m)
        by_effort = (AIM_NEWTON if is_stiff else AIM_SWEEPS) / effort
        h *= min(by_error, by_effort)
        if control.stiff != 1:
            continue
        if is_stiff:
            work = 2.5 * (effort + fine_effort) + 10.0 + 1e-4 * m * n**3
            size = 0.0
            for r in range(N):
                size = max(size, length ** layout.power[r] * np.abs(J[:, r]).sum())
            streak = streak + 1 if size < 1.0 else 0
            trial += 1
            if streak >= 3 or (trial == 5 and length / work < rate):
                patience = 6 if streak >= 3 else min(2 * patience, 1000)
                is_stiff = False
                streak = 0
        else:
            work = effort + fine_effort + 3.0
            streak = streak + 1 if effort >= 0.7 * AIM_SWEEPS else 0
            rate = length / work
        if not is_stiff and streak >= patience:
            is_stiff = True
            streak = 0
            trial = 0
        if worst > control.give_up:
            reason = TOO_FAR
            break
    return reason, filled, State(t, h, z, second, peak, slopes, length, is_stiff, streak, patience, rate, worst)
