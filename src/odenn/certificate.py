"""The certificate: how far a trained function is from the solution, by the equation of its error.

A function y that satisfies y' = f(t, y) only up to a defect has the error e = y_true - y, for which

    e' = f(t, y + e) - y',    e(t0) = 0,

(for higher orders in the states of the first-order form). The collocation engine solves it to two digits, window by
window, since y is smooth only within each. A small loss with a wrong curve is found out here: the defect is propagated
along the solution, and grows as the equation lets errors grow.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from odenn.methods.collocation import Collocation
from odenn.methods.outcome import Outcome
from odenn.networks.legendre import Legendre, LegendreUnits
from odenn.networks.tables import Array
from odenn.networks.windows import Windows
from odenn.problem import IVP

ACCURACY = 3e-2  # of the estimate, relative to the largest error so far on its window; what comes out is far better
# Errors below this fraction of the solution's size are rounding in the network, which a paired start magnifies.
ROUNDING = 2e-15
NOISES = 20.0  # windows of noise are resolved; of this tolerance the engine gives a fiftieth to each of its windows
FLOOR = 3e-13  # likewise, of the estimate itself: half of what a paired start makes of one rounding
DEGREE = 24  # the defect swings as often as the window has points
MAX_WINDOWS = 2000  # per window of the network
SAMPLES = 24  # per window of the estimate, for the verdict


class Trained(Protocol):
    """A trained function, window by window."""

    @property
    def start(self) -> Array: ...

    @property
    def length(self) -> Array: ...

    @property
    def left(self) -> Array: ...

    def levels(self, t: Array, top: int) -> list[Array]:
        """y, y', ..., y^(top), each (n, k)."""
        ...

    def levels_in(self, w: int, t: Array, top: int) -> list[Array]:
        """The same by the network of window w, whatever the times."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Certificate:
    """The signed error estimate and what it says."""

    errors: Windows  # (n components); infinite where the error could not be followed
    worst: float  # largest estimate / contract
    floor: Array  # (windows of errors, n)
    unbounded_from: float | None  # where the error equation left all bounds


def certify(problem: IVP, trained: Trained, *, rtol: float, atol: Array) -> Certificate:
    """Estimate the global error of `trained` on all its windows.

    rtol and atol (n,) are the contract |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|.
    """
    t0 = float(problem.t0 or 0.0)
    order = np.argsort(np.abs(trained.start - t0), kind="stable")
    parts: list[Windows] = []
    unbounded: float | None = None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peak = np.abs(problem.initial)
        ahead: dict[bool, tuple[Array, bool]] = {}  # per direction: true states where it ended, still bounded
        for w in order:
            a, h = float(trained.start[w]), float(trained.length[w])
            here = _states(problem, trained, int(w), a)
            true, bounded = ahead.get(h > 0, (problem.initial, True))
            e0 = true - here  # of a network whose derivatives jump between windows, the error does too
            solved = _window_error(problem, trained, int(w), e0, peak, 1e-3 * float(atol.min())) if bounded else None
            if solved is None:
                unbounded = a if unbounded is None else unbounded
                parts.append(_unknown(problem.n, a, h))
                ahead[h > 0] = (true, False)
                continue
            outcome, reached = solved
            assert isinstance(outcome.windows, Windows)
            parts.append(_first_components(outcome.windows, problem.n))
            end = outcome.windows.derivative(np.array([reached]), 0)[:, 0]
            end += _states(problem, trained, int(w), reached)
            complete = _complete(outcome, a, h)
            if not complete:
                unbounded = reached if unbounded is None else unbounded
                parts.append(_unknown(problem.n, reached, a + h - reached))
            ahead[h > 0] = (end, complete)
        errors = _joined(parts, problem.n)
        worst, floor = _verdict(problem, trained, errors, rtol, atol)
    return Certificate(errors=errors, worst=worst, floor=floor, unbounded_from=unbounded)


def _states(problem: IVP, trained: Trained, w: int, t: float) -> Array:
    """(N,) states at t of the network on window w."""
    levels = trained.levels_in(w, np.array([t]), max(problem.orders) - 1)
    orders = np.array(problem.orders)
    return np.concatenate([level[orders > j, 0] for j, level in enumerate(levels)])


def _window_error(
    problem: IVP, trained: Trained, w: int, e0: Array, peak: Array, least: float
) -> tuple[Outcome, float] | None:
    """Solve the error equation on one window; None where it cannot even start."""
    a, h = float(trained.start[w]), float(trained.length[w])
    network = _network_states(problem, trained, w)
    nodes = a + h * (1 - np.cos(np.pi * (np.arange(24) + 0.5) / 24)) / 2
    Z, slopes = network(nodes)
    np.maximum(peak, np.abs(Z).max(axis=1), out=peak)
    defect = slopes - problem.first_order(nodes, Z)
    if not np.isfinite(defect).all():
        return None
    # Moved by rounding, the nodes see the same defect: what differs is noise, which nobody can integrate.
    moved = nodes + 4 * np.spacing(np.abs(nodes).max())
    Z, slopes = network(moved)
    noise = np.abs(slopes - problem.first_order(moved, Z) - defect).max(axis=1)

    # IVP compares f at one time with f at three; of a defect near rounding that compares noise: the probe sees zeros.
    probed = False

    def f(t: Array, e: Array) -> Array:
        if not probed:
            return np.zeros(np.shape(e))
        Z, slopes = network(t)
        return problem.first_order(t, Z + e) - slopes

    # What the defect could add, less what its changes of sign take away, is the error to be resolved.
    atol = np.maximum(1e-3 * abs(h) * np.abs(defect).max(axis=1), ROUNDING * np.maximum(peak, 1e-3 * peak.max()))
    atol = np.maximum(np.maximum(atol, NOISES * abs(h) * noise), max(least, 1e-300))
    for r in reversed(range(atol.size)):  # a state that integrates another cannot be resolved finer than that
        if problem.layout.source[r] >= problem.n:
            atol[r] = max(atol[r], abs(h) * atol[problem.layout.source[r] - problem.n])
    equation = IVP(f, y0=e0, span=(a, a + h))
    probed = True
    solve = Collocation(network=Legendre(degree=DEGREE), max_windows=MAX_WINDOWS).run
    outcome = solve(equation, rtol=ACCURACY, atol=atol)
    if not _complete(outcome, a, h):  # noise may stop it; what was resolved too finely is tried again
        outcome = solve(equation, rtol=ACCURACY, atol=100 * atol)
    reached = outcome.reached[1] if h > 0 else outcome.reached[0]
    return (outcome, reached) if outcome.windows.start.size else None


def _complete(outcome: Outcome, a: float, h: float) -> bool:
    reached = outcome.reached[1] if h > 0 else outcome.reached[0]
    return abs(reached - (a + h)) <= 1e-9 * abs(h)


def _network_states(problem: IVP, trained: Trained, w: int) -> Callable[[Array], tuple[Array, Array]]:
    """States (N, k) of the network of one window, and their slopes; the sweeps of a window ask for them again."""
    orders = np.array(problem.orders)
    top = int(orders.max())
    known: dict[bytes, tuple[Array, Array]] = {}

    def states(t: Array) -> tuple[Array, Array]:
        key = t.tobytes()
        if key not in known:
            if len(known) > 64:
                known.clear()
            levels = trained.levels_in(w, t, top)
            Z = np.concatenate([level[orders > j] for j, level in enumerate(levels[:-1])])
            slopes = np.concatenate([level[orders > j] for j, level in enumerate(levels[1:])])
            known[key] = Z, slopes
        return known[key]

    return states


def _first_components(windows: Windows, n: int) -> Windows:
    return Windows(windows.start, windows.length, windows.value[:, :n], windows.weights[:, :n], windows.units)


def _unknown(n: int, a: float, h: float) -> Windows:
    return Windows(np.array([a]), np.array([h]), np.full((1, n), np.inf), np.zeros((1, n, 2)), LegendreUnits(2))


def _joined(parts: list[Windows], n: int) -> Windows:
    r = max((part.weights.shape[2] for part in parts), default=2)
    wide = [np.pad(part.weights, ((0, 0), (0, 0), (0, r - part.weights.shape[2]))) for part in parts]
    start = np.concatenate([np.empty(0), *(part.start for part in parts)])
    length = np.concatenate([np.empty(0), *(part.length for part in parts)])
    order = np.argsort(np.minimum(start, start + length), kind="stable")
    value = np.concatenate([np.empty((0, n)), *(part.value for part in parts)])
    weights = np.concatenate([np.empty((0, n, r)), *wide])
    return Windows(start[order], length[order], value[order], weights[order], LegendreUnits(r))


def _verdict(problem: IVP, trained: Trained, errors: Windows, rtol: float, atol: Array) -> tuple[float, Array]:
    """Largest estimate / contract, and the rounding error (W, n) by the end of each window of the estimate."""
    n, t0 = problem.n, float(problem.t0 or 0.0)
    floor = np.zeros((errors.start.size, n))
    worst = 0.0
    s = 0.999999 * (np.arange(SAMPLES) + 1) / SAMPLES
    for forward in (True, False):
        here = np.flatnonzero((errors.length > 0) == forward)
        if not here.size:
            continue
        here = here[np.argsort(np.abs(errors.start[here] - t0))]
        t = (errors.start[here, None] + errors.length[here, None] * s).reshape(-1)
        e = errors.derivative(t, 0)
        y = np.abs(trained.levels(t, 0)[0] + np.where(np.isfinite(e), e, 0.0))  # the best knowledge of the solution
        running = np.maximum.accumulate(np.maximum(y, np.abs(problem.initial[:n, None])), axis=1)
        ratio = np.abs(e) / (atol.reshape(n, 1) + rtol * running)
        worst = max(worst, float(np.nan_to_num(ratio, nan=np.inf, posinf=np.inf).max()))
        floor[here] = FLOOR * np.sqrt(np.arange(here.size) + 1.0)[:, None] * running[:, SAMPLES - 1 :: SAMPLES].T
    return worst, floor
