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
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebvander

from odenn.calling import Checked
from odenn.methods.collocation import Collocation
from odenn.methods.outcome import Outcome, Work
from odenn.networks.legendre import Legendre, LegendreUnits
from odenn.networks.tables import Array
from odenn.networks.windows import Windows
from odenn.problem import IVP
from odenn.rounding import rounding

ACCURACY = 3e-2  # of the estimate, relative to the largest error so far on its window; what comes out is far better
# What an evaluation of the network leaves open, in units of its noise; of this tolerance the engine gives a fiftieth to
# each of its windows.
NOISES = 20.0
ROUNDING = 2e-15  # likewise, of the solution's size: rounding in the equation itself
TERMS = (16, 32, 64, 128, 256)  # of the series that takes a smooth network's place
FLOOR = 3e-14  # of the estimate, relative, at the least
SPREAD = 2.0  # of the network's noise, in standard deviations
DEGREE = 24  # the defect swings as often as the window has points
MAX_WINDOWS = 2000  # per window of the network
SAMPLES = 24  # per window of the estimate, for the verdict
EPS = float(np.finfo(float).eps)


States = Callable[[Array], tuple[Array, Array]]
"""States (N, k) at times (k,), and their slopes."""


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
    stopped: bool = False  # by the caller, so that the error is unknown from there on


class StoppedError(Exception):
    """The caller has said stop."""


class Halt:
    """Whether the caller has said stop; once is enough."""

    def __init__(self, stop: Callable[[], bool] | None) -> None:
        self.stop, self.said = stop, False

    def __call__(self) -> bool:
        self.said = self.said or (self.stop is not None and self.stop())
        return self.said


def certify(
    problem: IVP,
    trained: Trained,
    *,
    rtol: float,
    atol: Array,
    stop: Callable[[], bool] | None = None,
    work: Work | None = None,
) -> Certificate:
    """Estimate the global error of `trained` on all its windows.

    rtol and atol (n,) are the contract |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|. `stop` is asked now and
    then; once it says True, the error of what is left is infinite: it is not known. `work` counts the evaluations.
    """
    work = work or Work()
    halt = Halt(stop)
    t0 = float(problem.t0 or 0.0)
    order = np.argsort(np.abs(trained.start - t0), kind="stable")
    parts: list[Windows] = []
    unbounded: float | None = None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Per direction: true states where it ended, whether they are still bounded, largest size of each state.
        ahead: dict[bool, tuple[Array, bool, Array]] = {}
        coarse = rounding(problem)
        noise = np.zeros((order.size, problem.n))
        for w in order:
            a, h = float(trained.start[w]), float(trained.length[w])
            true, bounded, peak = ahead.get(h > 0, (problem.initial, True, np.abs(problem.initial)))
            function, noise[w] = _function(problem, trained, int(w))
            e0 = true - function(np.array([a]))[0][:, 0]  # networks may jump between windows
            least = 1e-3 * float(atol.min())
            solved = None
            if bounded and not halt():
                solved = _window_error(problem, function, (a, h), e0, peak, least, coarse, halt, work)
            if solved is None:
                unbounded = a if unbounded is None else unbounded
                parts.append(_unknown(problem.n, a, h))
                ahead[h > 0] = (true, False, peak)
                continue
            outcome, reached = solved
            assert isinstance(outcome.windows, Windows)
            parts.append(_first_components(outcome.windows, problem.n))
            end = outcome.windows.derivative(np.array([reached]), 0)[:, 0] + function(np.array([reached]))[0][:, 0]
            complete = _complete(outcome, a, h)
            if not complete:
                unbounded = reached if unbounded is None else unbounded
                parts.append(_unknown(problem.n, reached, a + h - reached))
            ahead[h > 0] = (end, complete, peak)
        errors = _joined(parts, problem.n)
        worst, floor = _verdict(problem, trained, errors, noise, rtol, atol)
    return Certificate(errors=errors, worst=worst, floor=floor, unbounded_from=unbounded, stopped=halt.said)


def _function(problem: IVP, trained: Trained, w: int) -> tuple[States, Array]:
    """States and slopes of the network on window w, and the noise (n,) of its values, one standard deviation.

    Derivatives of a network carry its rounding many times magnified. Where the network is smooth, a series that agrees
    with its values to rounding takes its place: it has no noise of its own, and costs less.
    """

    def values(t: Array) -> Array:
        return problem.states(trained.levels_in(w, t, max(problem.orders) - 1))

    a, h = float(trained.start[w]), float(trained.length[w])
    t = a + h * (_chebyshev(24) + 1) / 2
    here, there = values(t), values(t + 4 * np.spacing(np.abs(t).max()))
    noise = np.sqrt(np.mean((there - here) ** 2, axis=1) / 2)
    for terms in TERMS:
        series = _Series.of(values, a, h, terms)
        apart = np.sqrt(np.mean((series(t)[0] - here) ** 2, axis=1))
        if (apart <= 3 * noise + EPS * np.abs(here).max(axis=1)).all():
            return series, np.maximum(noise, apart)[: problem.n]
        if not np.isfinite(apart).all():
            break
    return _network_states(problem, trained, w), noise[: problem.n]


@dataclass(frozen=True, eq=False)
class _Series:
    """The states of one window as Chebyshev series."""

    start: float
    length: float
    coefficients: Array  # (m, N)

    @classmethod
    def of(cls, values: Callable[[Array], Array], start: float, length: float, terms: int) -> _Series:
        """The best fit to four times as many Chebyshev points, where their polynomials are orthogonal."""
        x = _chebyshev(4 * terms)
        C = _polynomials(x, terms).T @ values(start + length * (x + 1) / 2).T / (2 * terms)
        C[0] /= 2
        return cls(start, length, C)

    @cached_property
    def slopes(self) -> Array:
        """(m, N) coefficients of the derivatives by time."""
        D = np.zeros_like(self.coefficients)
        D[:-1] = chebder(self.coefficients) * (2 / self.length)
        return D

    def __call__(self, t: Array) -> tuple[Array, Array]:
        """Values and slopes (N, k)."""
        V = _polynomials(2 * (t - self.start) / self.length - 1, len(self.coefficients))
        return (V @ self.coefficients).T, (V @ self.slopes).T


def _polynomials(x: Array, terms: int) -> Array:
    """(k, terms): Chebyshev polynomials at x (k,)."""
    return np.asarray(chebvander(x, terms - 1), dtype=np.float64)


def _chebyshev(points: int) -> Array:
    """(points,) in (-1, 1)."""
    return np.asarray(-np.cos(np.pi * (np.arange(points) + 0.5) / points), dtype=np.float64)


def _window_error(
    problem: IVP,
    function: States,
    window: tuple[float, float],
    e0: Array,
    peak: Array,
    least: float,
    coarse: float,
    halt: Halt,
    work: Work,
) -> tuple[Outcome, float] | None:
    """Solve the error equation on one window; None where it cannot even start.

    `coarse` is the relative rounding error of a right-hand side in less than double precision.
    """
    a, h = window
    nodes = a + h * (_chebyshev(24) + 1) / 2
    Z, slopes = function(nodes)
    np.maximum(peak, np.abs(Z).max(axis=1), out=peak)
    defect = slopes - problem.first_order(nodes, Z)
    if not np.isfinite(defect).all():
        return None
    # Moved by rounding, the nodes see the same defect: what differs is noise, which nobody can integrate.
    moved = nodes + 4 * np.spacing(np.abs(nodes).max())
    Z, slopes = function(moved)
    noise = np.abs(slopes - problem.first_order(moved, Z) - defect).max(axis=1)
    noise = np.maximum(noise, coarse * np.abs(slopes).max(axis=1))  # of which so small a move shows nothing

    def fill(t: Array, e: Array, p: Array, out: Array) -> None:
        if halt():
            raise StoppedError
        work.add(t.size)
        Z, slopes = function(t)
        np.subtract(problem.first_order(t, Z + e), slopes, out=out)

    def fill_jacobian(t: float, e: Array, p: Array, out: Array) -> None:
        out[...] = problem.jacobian(t, function(np.array([t]))[0][:, 0] + e)

    # What the defect could add, less what its changes of sign take away, is the error to be resolved.
    atol = np.maximum(1e-3 * abs(h) * np.abs(defect).max(axis=1), ROUNDING * np.maximum(peak, 1e-3 * peak.max()))
    atol = np.maximum(np.maximum(atol, NOISES * abs(h) * noise), max(least, 1e-300))
    for r in reversed(range(atol.size)):  # a state that integrates another cannot be resolved finer than that
        if problem.layout.source[r] >= problem.n:
            atol[r] = max(atol[r], abs(h) * atol[problem.layout.source[r] - problem.n])
    equation = IVP(Checked(fill, fill_jacobian), y0=e0, span=(a, a + h))
    solve = Collocation(network=Legendre(degree=DEGREE), max_windows=MAX_WINDOWS).run
    try:
        outcome = solve(equation, rtol=ACCURACY, atol=atol)
        if not _complete(outcome, a, h):  # noise may stop it; what was resolved too finely is tried again
            outcome = solve(equation, rtol=ACCURACY, atol=100 * atol)
    except StoppedError:
        return None
    reached = outcome.reached[1] if h > 0 else outcome.reached[0]
    return (outcome, reached) if outcome.windows.start.size else None


def _complete(outcome: Outcome, a: float, h: float) -> bool:
    reached = outcome.reached[1] if h > 0 else outcome.reached[0]
    return abs(reached - (a + h)) <= 1e-9 * abs(h)


def _network_states(problem: IVP, trained: Trained, w: int) -> States:
    """States (N, k) of the network of one window, and their slopes; the sweeps of a window ask for them again."""
    top = max(problem.orders)
    known: dict[bytes, tuple[Array, Array]] = {}

    def states(t: Array) -> tuple[Array, Array]:
        key = t.tobytes()
        if key not in known:
            if len(known) > 64:
                known.clear()
            levels = trained.levels_in(w, t, top)
            known[key] = problem.states(levels[:-1]), problem.states(levels[1:])
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


def _verdict(
    problem: IVP, trained: Trained, errors: Windows, noise: Array, rtol: float, atol: Array
) -> tuple[float, Array]:
    """Largest estimate / contract, and the rounding error (W, n) by the end of each window of the estimate.

    noise (windows of the network, n) is that of its values.
    """
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
        rounding = FLOOR * np.sqrt(np.arange(here.size) + 1.0)[:, None] * running[:, SAMPLES - 1 :: SAMPLES].T
        middle = errors.start[here] + errors.length[here] / 2
        floor[here] = np.maximum(rounding, SPREAD * noise[np.searchsorted(trained.left[1:], middle, side="right")])
    return worst, floor
