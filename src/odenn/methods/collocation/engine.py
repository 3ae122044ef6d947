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

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.layout import Layout
from odenn.methods.collocation.kernels import (
    LEAST,
    assemble,
    band,
    distance,
    excess,
    no_stages,
    norm,
    product,
    put_product,
    row_peaks,
    solve_stages,
    stage_inverses,
    stage_work,
)
from odenn.networks.tables import SHORTER, Array, StageSolver, Tables

Rhs = Callable[[Array, Array, Array, Array], None]  # rhs(t (k,), Z (N, k), p, out (n, k))
Jacobian = Callable[[float, Array, Array, Array], None]  # jacobian(t, z (N,), p, out (n, N))

EPS = 2.220446049250313e-16
SWEEPS = 24  # of the fixed-point iteration before a window counts as too long
AIM_SWEEPS = 22.0
AIM_NEWTON = 8.0
NEWTON = 8  # iterations of simplified Newton, likewise
SHARP = 10  # nodes from which on slopes that are smooth look smooth
PATIENCE = 4  # windows of sweeps, smooth and yet slow, before Newton is tried
TRIES = 8  # windows that Newton gets to show that it is faster
SWEEP_ERROR = 0.1  # of the local tolerance is left to the iteration; the error measured at the fine nodes sees it
NEWTON_ERROR = 0.02  # likewise; the next step is dear, but a stiff equation magnifies what is left
CALM = 10  # windows after a failure in which a jump in the slopes is looked for
MANY = 8  # states from which on array operations beat a loop in Python

# Why `march` or `stretch` returned.
DONE, FULL, TOO_SMALL, TOO_FAR, SWITCH = 0, 1, 2, 3, -1
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
    largest: float = np.inf  # window length that is not exceeded
    overhead: float = 1e-5  # seconds that a sweep takes however small the system; Python's, or compiled code's
    rate: float = 3e-8  # seconds more for every component at every node, roughly, as measured
    newton: bool = False  # whether Newton's method takes so much less time that it stays where nothing is stiff


class Pace(NamedTuple):
    """What speaks for sweeps or for Newton's method, which are tried against each other."""

    stiff: bool  # Newton's method now
    streak: int  # windows in a row that spoke for the other
    patience: int  # so many of them until Newton is tried
    rate: float  # time covered per work by the sweeps when Newton was tried; 0: nothing to compare
    tries: int  # windows since the last change


class State(NamedTuple):
    """Where the march stands."""

    t: float
    h: float  # length of the next window, positive
    z: Array  # (N,) the solution
    second: Array  # (N,) the second solution, of higher degree
    rest: Array  # (2, N) what rounding left of either
    peak: Array  # (N, 1) max |state| so far
    slopes: Array  # (n, m) of the previous window, for the first guess; (n, 0) if there is none
    length: float  # of the previous window
    error: float  # its local error / local tolerance; 0 if there is none to go by
    calm: int  # windows that were accepted since one failed
    pace: Pace
    worst: float  # largest estimate / contract so far


def begin(t: float, z: Array, h: float, n: int, stiff: bool) -> State:
    """State of a march that starts at t from the states z (N,) with a first window of length h, n components."""
    pace = Pace(stiff, 0, PATIENCE, 0.0, 0)
    rest, peak = np.zeros((2, z.size)), np.abs(z).reshape(-1, 1)
    return State(t, h, z.copy(), z.copy(), rest, peak, np.empty((n, 0)), h, 0.0, CALM, pace, 0.0)


class Window(NamedTuple):
    """What solving one window gave."""

    good: bool  # the iterations converged
    error: float  # local error / local tolerance
    effort: int  # sweeps or Newton steps for the network
    work: float  # about how many seconds all of them took
    scale: Array  # (n, 1) 1 / tolerance of what the highest derivatives add to the states over the window
    F: Array  # (n, m) highest derivatives at the nodes
    S: Array  # (N, m) derivatives of all states at the nodes
    Y: Array  # (N, M) the network at the fine nodes
    fine_S: Array  # (N, M) derivatives of the second solution
    fine_Z: Array  # (N, M) the second solution


class Store(NamedTuple):
    """The windows that were accepted; the first axis is the window."""

    start: Array  # (W,)
    length: Array  # (W,) signed
    value: Array  # (W, n) at the start
    weights: Array  # (W, n, r)
    error: Array  # (W, n) estimated error at the start
    error_weights: Array  # (W, n, M)


def state_slopes(F: Array, Z: Array, layout: Layout) -> Array:
    """(N, m): the derivative of every state at the nodes."""
    if layout.source.size == layout.n:
        return F
    return np.concatenate((F, Z))[layout.source]


def sweep(
    F: Array, rhs: Rhs, p: Array, t: Array, za: Array, hK: Array, layout: Layout, scale: Array, limit: float,
    floor: float, counts: NDArray[np.int64], Z: Array, room: Array,
) -> tuple[int, bool]:  # fmt: skip
    """Fixed-point iteration F <- f(t, Z(F)), in place, until F changes by less than `limit`; sweeps used, converged.

    Changes below `floor` that have fallen and fall no more are rounding, and good. Z (N, m) takes the states, `room`
    (n, m) every other iterate.
    """
    first = last = np.inf
    used, good = SWEEPS, False
    old, new = F, room
    for k in range(SWEEPS):
        assemble(old, za, hK, layout, Z)
        rhs(t, Z, p, new)
        change = distance(new, old, scale)
        old, new = new, old
        if change <= limit or (last < first and floor >= change >= last):
            used, good = k + 1, True
            break
        if k == 0:
            first = change
        last = change
        # Sweeps may first lose ground (by (hL)^k/k!) and win in the end; a factor of 1e6 is past hope, NaN too.
        if not change <= 1e6 * first:
            used = k + 1
            break
    counts[CALLS] += used
    counts[POINTS] += used * t.size
    counts[SWEEP] += used
    if used % 2 == 1:
        F[:] = room
    return used, good or last <= floor


def newton(
    F: Array, rhs: Rhs, p: Array, t: Array, za: Array, hK: Array, layout: Layout, inverses: Any,
    solver: StageSolver, scale: Array, limit: float, floor: float, rate: float, counts: NDArray[np.int64], Z: Array,
    room: Array,
) -> tuple[int, bool, float]:  # fmt: skip
    """Simplified Newton for F = f(t, Z(F)), in place, with the stage matrices already inverted; as `sweep`.

    The change is measured in the states that F drives, h K dF: a stiff component's slope is mostly rounding. Changes
    below `floor` that no longer fall are rounding too, and good. `rate` is the factor by which each change is smaller
    than the one before, as known from the same window, inf where it is not; the largest that was seen is returned.
    """
    last = np.inf
    used, good, seen = NEWTON, False, np.inf
    assemble(F, za, hK, layout, Z)
    for k in range(NEWTON):
        rhs(t, Z, p, room)
        room -= F
        dF = solve_stages(inverses, solver, room)
        F += dF
        dZ = product(dF, hK)
        change = norm(dZ, scale)
        if k > 0:
            rate = change / last
            seen = rate if k == 1 else max(seen, rate)
        if change <= limit or (rate < 1 and change * rate / (1 - rate) <= limit):
            used, good = k + 1, True
            break
        last = change
        if not (k == 0 or rate < 0.9):
            used = k + 1
            break
        if F.shape[0] == Z.shape[0]:
            Z += dZ
        else:
            assemble(F, za, hK, layout, Z)
    counts[CALLS] += used
    counts[POINTS] += used * t.size
    counts[STEP] += used
    return used, good or last <= floor, seen


def spread(column: Array, m: int) -> Array:
    """The column (N,) or (N, 1) repeated m times.

    Operands of one shape spare NumPy the broadcasting, its dearest part here.
    """
    out = np.empty((column.shape[0], m))
    out[:] = column.reshape(-1, 1)
    return out


def driven_scale(F: Array, h: float, z: Array, peak: Array, layout: Layout, control: Control) -> Array:
    """(n, 1): 1 / tolerance of what a component's highest derivative adds to the state that it drives.

    All states of the component have to meet their tolerances: what is added to y' is h times as much in y, and where
    y' was large once its own tolerance says nothing about y. A state that starts at zero is measured by what the window
    adds to it; no tolerance is finer than rounding.
    """
    if layout.n == layout.source.size and layout.n > MANY:
        size = np.maximum(np.maximum(peak[:, 0], np.abs(z)), h * np.abs(F[:, -1]))
        return (1.0 / np.maximum(control.rtol * size + control.atol[:, 0], 2 * EPS * size + LEAST)).reshape(-1, 1)
    scale = np.zeros((layout.n, 1))
    added = np.empty(z.size)
    for r in range(z.size - 1, -1, -1):  # the state that is this one's slope comes behind it
        i, above = layout.component[r], layout.source[r] - layout.n
        added[r] = h * (abs(F[i, -1]) if above < 0 else abs(z[above]) + added[above])
        extent = max(peak[r, 0], abs(z[r]), added[r])
        tolerance = max(control.rtol * extent + control.atol[r, 0], 2 * EPS * extent + LEAST)
        scale[i, 0] = max(scale[i, 0], h ** (layout.power[r] - 1.0) / tolerance)
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
    return int(min(max(round(4 * math.log2(ratio)) + 12, 0), 20))


def shorter_place(factor: float) -> int:
    """Place in SHORTER of the largest entry that is at most `factor`, else the last."""
    for k in range(len(SHORTER)):
        if SHORTER[k] <= factor:
            return k
    return len(SHORTER) - 1


def sweep_seconds(sweeps: int, fine: int, n: int, tables: Tables, overhead: float, rate: float) -> float:
    """About how long so many sweeps for the network and for the finer one take."""
    return (sweeps + fine) * overhead + (sweeps * tables.nodes.size + fine * tables.fine_nodes.size) * n * rate


def newton_seconds(steps: int, fine: int, stages: float, n: int, tables: Tables, overhead: float, rate: float) -> float:
    """Likewise steps of Newton's method, with stage matrices that take `stages` multiplications to make."""
    return 2.5 * sweep_seconds(steps, fine, n, tables, overhead, rate) + 12.0 * overhead + 1e-9 * stages


def growth(error: float, order: float) -> float:
    """Factor for the next window's length: the error, in units of its tolerance, falls with h^order."""
    return min(max((0.3 / max(error, 1e-30)) ** (1.0 / order), 0.25), 3.0)


def caution(error: float, before: float, ratio: float, order: float) -> float:
    """Factor for the next window's length, below 1 where windows become harder.

    This one was `ratio` times as long as the one before. Had its error only followed h^order from there, it would have
    come out smaller, and so will the next: a predictive controller expects the trend once more (Gustafsson, ACM TOMS 20
    (1994) 496-517). At orders as high as here half of it does better.
    """
    if before == 0.0:
        return 1.0
    trend = ratio * (before / max(error, 1e-30)) ** (1.0 / order)
    return min(max(math.sqrt(trend), 0.5), 1.0)


def solve_window(
    rhs: Rhs, jacobian: Jacobian, p: Array, t: float, h: float, z: Array, second: Array, edge: Array, F: Array,
    J: Array, peak: Array, stiff: bool, tables: Tables, layout: Layout, control: Control, counts: NDArray[np.int64],
) -> Window:  # fmt: skip
    """Solve the window [t, t + h], h of either sign, from the guess F, in place; fills J where stiff.

    The network is solved from z, where the slopes are `edge` (n, 1). The second solution is solved from `second`, at
    finer nodes; first, though, its first iterate starts from z, where it says what error the window itself made.
    """
    n, N = layout.n, layout.source.size
    M = tables.fine_nodes.size
    scale = driven_scale(F, abs(h), z, peak, layout, control)
    by_slope = abs(h) * scale
    if not stiff:
        scale = by_slope  # sweeps are compared by slopes, Newton steps by the states that they change
    node_scale, fine_scale = spread(scale, F.shape[1]), spread(scale, M)
    za, fine_za, drift = spread(z, F.shape[1]), spread(z, M), spread(second, M)
    Z, fine_Z, room, fine_room = np.empty_like(za), np.empty_like(fine_za), np.empty_like(F), np.empty((n, M))
    hK, fine_hK = h * tables.integral, h * tables.fine_integral
    node_t, fine_t = t + h * tables.nodes, t + h * tables.fine_nodes
    floor = 4 * EPS / control.rtol  # rounding, in units of the local tolerance
    if stiff:
        # From the middle of the window, as the guess has it, the Jacobian changes half as much as from its start.
        middle = F.shape[1] // 2
        assemble(F, za, hK, layout, Z)
        jacobian(float(node_t[middle]), Z[:, middle].copy(), p, J)
        counts[JACOBIANS] += 1
        width = band(J, layout)
        inverses = stage_inverses(J, width, h, layout, tables.solver)
        effort, good, rate = newton(
            F, rhs, p, node_t, za, hK, layout, inverses, tables.solver, node_scale, NEWTON_ERROR, floor, np.inf, counts,
            Z, room,
        )  # fmt: skip
    else:
        width, inverses, rate = (0, 0), no_stages(), np.inf
        effort, good = sweep(F, rhs, p, node_t, za, hK, layout, node_scale, SWEEP_ERROR, floor, counts, Z, room)
    if not good:
        return Window(False, np.inf, effort, 0.0, by_slope, F, F, za, F, za)
    if n < N:
        assemble(F, za, hK, layout, Z)
    S = state_slopes(F, Z, layout)
    Y = h * product(S, tables.value_at_fine)
    Y += fine_za
    # The local error: what the equation, evaluated between the nodes, would rather have.
    fine_F = np.empty((n, M))
    rhs(fine_t, Y, p, fine_F)
    counts[CALLS] += 1
    counts[POINTS] += M
    if stiff:
        inverses = stage_inverses(J, width, h, layout, tables.fine_solver)
        at_fine = product(F, tables.slope_at_fine)
        fine_F = at_fine + solve_stages(inverses, tables.fine_solver, fine_F - at_fine)
    assemble(fine_F, fine_za, fine_hK, layout, fine_Z)
    error = excess(fine_Z - Y, Y, peak, control.rtol, control.atol)
    # No node lies at the start. A jump before the first one leaves every node on its far side and shows only there.
    hidden = np.abs((product(F, tables.slope_at_start) - edge) * by_slope).max() * tables.fine_nodes[0]
    error = max(error, hidden)
    if not error <= 1.0:
        return Window(True, error, effort, 0.0, by_slope, F, S, Y, F, Y)
    # The second solution, to a thousandth of what this window adds to the difference: shares of the whole difference
    # would add up over a thousand windows, and where chaos amplifies what the windows add and their sum happens to be
    # small, a hundredth of the largest was all that the difference showed (Lorenz to t = 25: a sixtieth of the error).
    # Newton's steps end at the rounding of stiff slopes before that: for them a hundredth it is.
    drifted = excess(drift - fine_za, fine_za, peak, control.rtol, control.atol)
    limit = max((0.01 if stiff else 0.001) * error, floor / 16)
    if stiff:
        extra, good, _ = newton(
            fine_F, rhs, p, fine_t, drift, fine_hK, layout, inverses, tables.fine_solver, fine_scale, limit, floor,
            rate, counts, fine_Z, fine_room,
        )  # fmt: skip
        work = newton_seconds(effort, extra, stage_work(inverses), n, tables, control.overhead, control.rate)
    else:
        extra, good = sweep(
            fine_F, rhs, p, fine_t, drift, fine_hK, layout, fine_scale, limit, floor, counts, fine_Z, fine_room
        )
        work = sweep_seconds(effort, extra + 3, n, tables, control.overhead, control.rate)
    assemble(fine_F, drift, fine_hK, layout, fine_Z)
    # On a long window the first iterate understates the error: the equation amplifies it. What the two solutions drift
    # apart beyond what they were apart at the start is this window's own doing.
    apart = excess((fine_Z - Y) - (drift - fine_za), Y, peak, control.rtol, control.atol)
    error = max(error, apart - 3.0 * drifted)
    return Window(good, error, effort, work, by_slope, F, S, Y, state_slopes(fine_F, fine_Z, layout), fine_Z)


def is_smooth(w: Window, tables: Tables) -> bool:
    """Whether half the degree would do: the upper half of the Legendre coefficients is below the tolerance."""
    tail = product(w.F, tables.tail)
    return norm(tail, spread(w.scale, tail.shape[1])) * math.sqrt(tail.shape[1]) < 1.0


def reconsider(pace: Pace, w: Window, h: float, J: Array, tables: Tables, layout: Layout, control: Control) -> Pace:
    """Sweeps or Newton's method for the next window, after one of length h was accepted.

    Sweeps that are long at their limit although the solution is smooth have Newton tried; it stays if, some windows on,
    it covers more time for its work. Newton is left where h J is small: there sweeps converge at once.
    """
    stiff, streak, patience, rate, tries = pace
    if control.stiff != 1 or (stiff and control.newton):
        return pace
    if not stiff:
        tries += 1
        streak = streak + 1 if w.effort >= 0.3 * AIM_SWEEPS and is_smooth(w, tables) else max(streak - 1, 0)
        # Evidence can be missed; a trial now and then costs little, and nobody is left to crawl for ever.
        if streak >= patience or tries >= 60 * patience:
            return Pace(True, 0, patience, h / w.work, 0)
        return Pace(False, streak, patience, rate, tries)
    size = (h**layout.power * np.abs(J).sum(axis=0)).max()
    streak = streak + 1 if size < 1.0 else 0
    tries += 1
    if streak >= 3:
        return Pace(False, 0, PATIENCE, 0.0, 0)
    if tries == TRIES and h / w.work < rate:
        return Pace(False, 0, min(2 * patience, 1000), 0.0, 0)
    return Pace(True, streak, patience, rate, tries)


def record(
    store: Store, k: int, t: float, h: float, z: Array, second: Array, w: Window, tables: Tables, n: int
) -> None:
    """Write an accepted window to place k of the store, as output weights."""
    store.start[k] = t
    store.length[k] = h
    store.value[k] = z[:n]
    put_product(w.S[:n], tables.weights, store.weights, k)
    store.error[k] = (second - z)[:n]
    put_product(w.fine_S[:n] - product(w.S[:n], tables.slope_at_fine), tables.fine_weights, store.error_weights, k)


def blur(w: Window, edge: Array, tables: Tables, layout: Layout, h: float) -> Array:
    """(N,) what a jump in the slopes, somewhere between two nodes, leaves open; zero where the slopes are resolved.

    Between nodes a distance d apart the slope changes by D at an unknown place: the integral is off by h d D / 4
    in the mean, at most twice that. Before the first node, where the slopes are `edge` (n, 1), nothing sees how far
    the jump is from the start: h d D / 2 in the mean.
    Two solutions of different degree can agree by chance about such a window, so their difference does not count it.
    """
    N, m = w.S.shape
    out = np.zeros(N)
    c = np.abs(product(w.S, tables.weights))
    start = product(w.S, tables.slope_at_start)
    for r in range(N):
        source, some = layout.source[r], 0.05 * c[r, 1:].sum()
        if source < layout.n:
            jump = abs(start[r, 0] - edge[source, 0])
            if jump > some:
                out[r] = 0.5 * abs(h) * tables.nodes[0] * jump
        if c[r, c.shape[1] // 2 :].sum() > some:
            for k in range(m - 1):
                gap = tables.nodes[k + 1] - tables.nodes[k]
                out[r] = max(out[r], 0.25 * abs(h) * gap * abs(w.S[r, k + 1] - w.S[r, k]))
    return out


def advance(w: Window, tables: Tables, h: float, pair: Array, rest: Array) -> None:
    """Take both solutions, `pair` (2, N), over the window; what rounding leaves of the sums is kept in `rest` (2, N).

    Half a unit in the last place at the end of every window is what a problem may amplify most: of Van der Pol's
    oscillator with mu = 1000 it moves the next jump by 1.7e-13, in which the solution changes by 2e-10.
    """
    rest[0] += h * np.dot(w.S, tables.integral[:, -1].copy())
    rest[1] += h * np.dot(w.fine_S, tables.fine_integral[:, -1].copy())
    new = pair + rest
    part = new - pair
    rest -= part
    rest += pair - (new - part)  # exact (Knuth 1969, theorem 4.2.2 B)
    pair[:] = new


def march(
    rhs: Rhs, jacobian: Jacobian, p: Array, end: float, explicit: Tables, implicit: Tables, layout: Layout,
    control: Control, state: State, store: Store, filled: int, counts: NDArray[np.int64],
) -> tuple[int, int, State]:  # fmt: skip
    """Solve window after window until `end`, a full store or a failure; (reason, windows filled, state)."""
    reason = SWITCH
    while reason == SWITCH:
        tables = implicit if state.pace.stiff else explicit
        reason, filled, state = stretch(rhs, jacobian, p, end, tables, layout, control, state, store, filled, counts)
    return reason, filled, state


def stretch(
    rhs: Rhs, jacobian: Jacobian, p: Array, end: float, tables: Tables, layout: Layout, control: Control, state: State,
    store: Store, filled: int, counts: NDArray[np.int64],
) -> tuple[int, int, State]:  # fmt: skip
    """`march` as long as the windows are solved by one method, whose tables these are."""
    t, h, z, second, rest, peak, slopes, length, error, calm, pace, worst = state
    rest, pair = rest.copy(), np.empty_like(rest)
    n, m, stiff = layout.n, tables.nodes.size, pace.stiff
    direction = 1.0 if end >= t else -1.0
    J = np.empty((n, layout.source.size))
    empty = np.empty((n, 0))
    trial = empty  # slopes on a window that failed, the guess on its first part
    shrink = 0
    failures = 0
    reason = FULL
    while filled < store.start.size:
        remaining = abs(end - t)
        if remaining == 0.0:
            reason = DONE
            break
        if pace.stiff != stiff:
            reason, error = SWITCH, 0.0
            break
        h = min(h, control.largest)
        if h >= 0.99 * remaining:
            h = remaining
        elif h > 0.5 * remaining:
            h = 0.5 * remaining  # rather two windows of one length than a full one and a sliver
        if h < control.smallest and h < remaining:
            reason = TOO_SMALL
            break
        # The length that the rounded times really are apart: a shift of 1e-13 at every window would add up unseen.
        following = end if h == remaining else t + direction * h
        hs = following - t
        known = slopes.shape[1] > 0
        edge = np.ascontiguousarray(slopes[:, -1:]) if known else start_slopes(rhs, p, t, z, n, 1, counts)
        if trial.shape[1] == m:
            F = product(trial, tables.shorter[shrink])
        elif slopes.shape[1] == m:
            F = product(slopes, tables.guess[nearest_ratio(h / length)])
        else:
            F = start_slopes(rhs, p, t, z, n, m, counts)
        w = solve_window(rhs, jacobian, p, t, hs, z, second, edge, F, J, peak, stiff, tables, layout, control, counts)
        if not (w.good and w.error <= 1.0):
            counts[REJECTED] += 1
            failures += 1
            if w.good and failures < 3:
                # What was found is right but for its last digits: its first part is the guess on a shorter window.
                shrink = shorter_place(growth(w.error, tables.order))
                h *= SHORTER[shrink]
                trial = w.F
            else:
                h *= 0.5 if failures < 3 else 0.125
                trial = empty
            continue
        apart = (w.fine_Z - w.Y)[:n]
        worst = max(worst, excess(apart, w.Y[:n], peak[:n], control.global_rtol, control.global_atol))
        if worst > control.give_up:
            reason = TOO_FAR
            break
        record(store, filled, t, hs, z, second, w, tables, n)
        filled += 1
        counts[WINDOWS] += 1
        counts[STIFF_WINDOWS] += stiff
        # On to the next.
        peak = row_peaks(w.Y, peak)
        pair[0], pair[1] = z, second
        advance(w, tables, hs, pair, rest)
        z, second = pair[0].copy(), pair[1].copy()
        calm = 0 if failures > 0 else calm + 1
        if calm < CALM and m >= SHARP and not stiff:
            second += np.where(second >= z, 1.0, -1.0) * blur(w, edge, tables, layout, h)
        t = following
        careful = growth(w.error, tables.order) * caution(w.error, error, h / length, tables.order)
        slopes, length, error, trial, failures = w.F, h, w.error, empty, 0
        h *= min(careful, (AIM_NEWTON if stiff else AIM_SWEEPS) / w.effort)
        pace = reconsider(pace, w, length, J, tables, layout, control)
    return reason, filled, State(t, h, z, second, rest, peak, slopes, length, error, calm, pace, worst)
