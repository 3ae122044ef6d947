"""The driver of the engine: starts it, gives it room, tightens it until the global estimate meets what was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odenn.device.choice import CPU_NAMES
from odenn.methods.collocation import engine
from odenn.methods.collocation.engine import Control, State, Store
from odenn.methods.collocation.kernels import LARGE
from odenn.methods.outcome import Outcome, Progress, Report, Stats
from odenn.networks.features import Features
from odenn.networks.legendre import Legendre, LegendreUnits
from odenn.networks.tables import Array, Tables
from odenn.networks.windows import Windows
from odenn.problem import IVP
from odenn.status import Status
from odenn.wording import counted

if TYPE_CHECKING:
    import torch

# Local tolerance as a fraction of the global one. The order is so high that a hundred times less error costs a fifth
# more windows, and what is over is room for growth along the solution, which otherwise would take a second attempt.
LOCAL = 0.02
# Estimates of up to this fraction of the tolerance count as met at once; above it another attempt is made, so that an
# estimate that is a little short is no false success.
MARGIN = 0.5
ATTEMPTS = 6
FINEST = 4e-15  # relative local tolerance; below it there is only rounding
GIVE_UP = 1e5  # estimate / tolerance at which an attempt is stopped and a tighter one begun
NEAR_OVERFLOW = 1e300  # a state or slope this large: the next window meets numbers past 1.8e308
CHUNK = 8  # windows of the first visit of the engine in plain Python; the driver looks at clock and progress in between
COMPILED_CHUNK = 64
FIRST = 2.0  # length of the first window, in which the equation, linearised, moves by so many times its own size
VISIT = 0.1  # seconds from which on visits do not get longer: for a clock and a progress that are looked at in time


@dataclass(frozen=True, kw_only=True)
class Collocation:
    """Solve window by window for the output weights of a network with fixed hidden units.

    Parameters
    ----------
    network
        `Legendre()` or `Features()`.
    stiff
        True solves every window by Newton's method, False none; None decides while solving.
    compile
        Compile the engine and the right-hand side with Numba (text problems and functions that Numba can compile).
        It pays from the second solve on.
    longest
        Length that no window exceeds; for right-hand sides with short pulses, which long windows could step over.
    max_windows, max_seconds
        Budget.
    device
        "auto" or "cpu": collocation computes in NumPy. Its solutions can be called with torch tensors on any device.

    Examples
    --------
    >>> Collocation(stiff=True).stiff
    True
    """

    network: Legendre | Features = field(default_factory=Legendre)
    stiff: bool | None = None
    compile: bool = False
    longest: float | None = None
    max_windows: int = 200_000
    max_seconds: float | None = None
    device: str | torch.device = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.network, Legendre | Features):
            raise TypeError(f"`network` must be Legendre() or Features(), got {self.network!r}")
        if isinstance(self.network, Features) and self.stiff:
            raise ValueError("`stiff=True` needs the Legendre network: feature networks have no implicit solver")
        if self.longest is not None and not self.longest > 0:
            raise ValueError(f"`longest` must be positive or None, got {self.longest!r}")
        if not (isinstance(self.max_windows, int) and self.max_windows >= 1):
            raise ValueError(f"`max_windows` must be a positive whole number, got {self.max_windows!r}")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"`max_seconds` must be positive or None, got {self.max_seconds!r}")
        if str(self.device) not in ("auto", *CPU_NAMES):
            raise ValueError(
                f"Collocation computes on the CPU, device='cpu', got {str(self.device)!r}: leave it out, or train a "
                "network there, method=odenn.Residual(device=...)"
            )

    def run(self, problem: IVP, *, rtol: float, atol: Array | None, progress: Progress | None = None) -> Outcome:
        """Solve `problem` to |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|; atol (n,), None for the default."""
        clock = time.perf_counter()
        machine = _compiled(problem) if self.compile else _plain(problem)
        if atol is None:
            atol = problem.default_atol(rtol)
        counts = np.zeros(8, dtype=np.int64)
        fraction = LOCAL
        best: list[_Leg] = []
        spent: Status | None = None  # why no more attempts may follow
        attempts, allowed = 0, 1.0
        with np.errstate(all="ignore"):
            while attempts < ATTEMPTS:
                attempts += 1
                legs: list[_Leg] = []
                for end in problem.ends:
                    legs.append(
                        _march(self, problem, machine, end, rtol, atol, fraction, counts, clock, progress, legs)
                    )
                    if legs[-1].interrupted:
                        break
                worst = max(leg.state.worst for leg in legs)
                finest = fraction * rtol <= FINEST
                if legs[-1].interrupted:
                    spent = Status.INTERRUPTED
                elif any(leg.reason == BUDGET for leg in legs):
                    spent = Status.BUDGET
                best = _better(best, legs, spent)
                # The finest attempt is mostly rounding, which an estimate can halve; none can follow that shows it.
                allowed = MARGIN if finest and best is legs else 1.0
                if worst <= MARGIN or finest or spent is not None:
                    break
                fraction *= max(0.3 * MARGIN / worst, 1e-5)
            return _outcome(self, problem, atol, best, spent, allowed, attempts, counts, time.perf_counter() - clock)


BUDGET, INTERRUPTED = 4, 5  # beside the engine's own reasons


class _Machine(NamedTuple):
    march: Callable[..., tuple[int, int, State]]
    rhs: Any
    jacobian: Any
    parameters: Array
    chunk: int


class _Leg(NamedTuple):
    """One march from the initial point towards one end of the span."""

    end: float
    reason: int
    store: Store
    filled: int
    state: State
    interrupted: bool = False  # by `progress`, be it after the last window


def _better(best: list[_Leg], legs: list[_Leg], spent: Status | None) -> list[_Leg]:
    """The new attempt, unless it was ended by budget or user before it came as far as an earlier one."""
    reach = [
        sum(abs(leg.state.t - float(leg.store.start[0])) for leg in attempt if leg.filled) for attempt in (best, legs)
    ]
    return best if best and spent is not None and reach[0] > reach[1] else legs


def _plain(problem: IVP) -> _Machine:
    return _Machine(engine.march, problem.fill, problem.fill_jacobian, problem.parameters, CHUNK)


def _compiled(problem: IVP) -> _Machine:
    from odenn.methods.collocation import compiled

    rhs, jacobian = compiled.functions(problem)
    return _Machine(compiled.march(), rhs, jacobian, compiled.parameters(problem), COMPILED_CHUNK)


def _empty_store(capacity: int, n: int, r: int, M: int) -> Store:
    return Store(
        np.empty(capacity),
        np.empty(capacity),
        np.empty((capacity, n)),
        np.empty((capacity, n, r)),
        np.empty((capacity, n)),
        np.empty((capacity, n, M)),
    )


def _march(
    method: Collocation, problem: IVP, machine: _Machine, end: float, rtol: float, atol: Array, fraction: float,
    counts: NDArray[np.int64], clock: float, progress: Progress | None, before: Sequence[_Leg],
) -> _Leg:  # fmt: skip
    """One march to `end`, with as much room as it needs and the budget allows; `before` are those that are done."""
    n, N = problem.n, problem.initial.size
    local = max(fraction * rtol, FINEST)
    explicit: Tables = method.network.tables(local, stiff=False)
    implicit: Tables = method.network.tables(local, stiff=True)
    can_be_stiff = implicit.solver.eigenvalues.size > 0
    t0 = float(problem.t0 or 0.0)
    span = abs(end - t0)
    overhead = 3e-7 if method.compile else (1e-5 if problem.vectorized else 1e-4)
    rate = 6e-9 if method.compile else 3e-8
    newton_is_cheap = can_be_stiff and _is_newton_cheap(problem, explicit, implicit, overhead, rate)
    if newton_is_cheap and problem.looks_linear:
        implicit = method.network.tables(local, stiff=True, constant=True)
    control = Control(
        rtol=local,
        atol=(fraction * problem.layout.fold @ atol).reshape(N, 1),
        global_rtol=rtol,
        global_atol=atol.reshape(n, 1),
        smallest=max(16 * engine.EPS * max(abs(t0), abs(end)), 1e-18 * span),
        give_up=GIVE_UP,
        largest=np.inf if method.longest is None else float(method.longest),
        overhead=overhead,
        rate=rate,
        newton=newton_is_cheap,
        stiff=0 if method.stiff is False or not can_be_stiff else (2 if method.stiff else 1),
    )
    # The Jacobian's entries depend on units; of a first window that is far too short nothing would be seen.
    speed = problem.initial_speed
    first = min(FIRST / speed, 0.5 * span) if speed > 0 else 0.1 * span
    first = max(first, min(100 * control.smallest, span))
    state = engine.begin(t0, problem.initial, first, n, bool(method.stiff) or (control.stiff == 1 and control.newton))
    r = max(explicit.weights.shape[1], implicit.weights.shape[1] if can_be_stiff else 0)
    M = max(explicit.fine_nodes.size, implicit.fine_nodes.size)
    visit = min(machine.chunk, method.max_windows)
    store, filled, reason = _empty_store(visit, n, r, M), 0, engine.FULL
    interrupted = False
    while reason == engine.FULL:
        began = time.perf_counter()
        reason, filled, state = machine.march(
            machine.rhs, machine.jacobian, machine.parameters, float(end), explicit, implicit, problem.layout, control,
            state, store, filled, counts,
        )  # fmt: skip
        if progress is not None:
            so_far = (*before, _Leg(end, reason, store, filled, state))
            build = partial(_windows_so_far, method, so_far)
            interrupted = progress(Report(fraction=abs(state.t - t0) / span, windows=filled, build=build)) is True
        if reason == engine.FULL and interrupted:
            reason = INTERRUPTED
        if reason == engine.FULL:
            late = method.max_seconds is not None and time.perf_counter() - clock > method.max_seconds
            if filled >= method.max_windows or late:
                reason = BUDGET
            else:
                short = time.perf_counter() - began < VISIT
                visit = min(2 * visit if short else max(visit // 2, 1), method.max_windows - filled)
                room = _empty_store(visit, n, r, M)
                store = Store(*(np.concatenate(pair) for pair in zip(store, room, strict=True)))
    return _Leg(end, reason, store, filled, state, interrupted)


def _is_newton_cheap(problem: IVP, explicit: Tables, implicit: Tables, overhead: float, rate: float) -> bool:
    """Whether a window by Newton's method takes little more than half the time of one by sweeps, stiff or not.

    That is so for many equations that hang together by few diagonals, as the Jacobian at the start shows them.
    """
    n = problem.n
    if n < LARGE or n < problem.initial.size:
        return False
    lower, upper = problem.initial_band
    if 2 * lower + upper >= n // 4:
        return False
    width = 2 * lower + upper + 1
    stages = n * width * (lower + 1) * (implicit.solver.eigenvalues.size + implicit.fine_solver.eigenvalues.size)
    # Steps and sweeps as they are usual once windows have their length.
    newton = engine.newton_seconds(4, 4, float(stages), n, implicit, overhead, rate)
    return newton < 0.55 * engine.sweep_seconds(18, 14, n, explicit, overhead, rate)


def _outcome(
    method: Collocation, problem: IVP, atol: Array, legs: list[_Leg], spent: Status | None, allowed: float,
    attempts: int, counts: NDArray[np.int64], seconds: float,
) -> Outcome:  # fmt: skip
    """Join the marches, in the order of time, and say how they ended."""
    joined, floor = _joined(legs)
    windows = _windows(method, joined)
    error_units = LegendreUnits(joined.error_weights.shape[2])
    status, message = _verdict(method, problem, legs, spent=spent, allowed=allowed)
    points = [float(problem.t0 or 0.0), *(leg.state.t for leg in legs)]
    return Outcome(
        windows=windows,
        errors=Windows(joined.start, joined.length, joined.error, joined.error_weights, error_units, windows.compiled),
        floor=floor,
        atol=atol,
        reached=(min(points), max(points)),
        status=status,
        message=message,
        stats=Stats(
            calls=int(counts[engine.CALLS]),
            evaluations=int(counts[engine.POINTS]),
            windows=joined.start.size,
            stiff_windows=int(counts[engine.STIFF_WINDOWS]),
            rejected=int(counts[engine.REJECTED]),
            sweeps=int(counts[engine.SWEEP]),
            newton_steps=int(counts[engine.STEP]),
            jacobians=int(counts[engine.JACOBIANS]),
            attempts=attempts,
            seconds=seconds,
        ),
    )


def _windows(method: Collocation, store: Store) -> Windows:
    units = method.network.hidden(store.weights.shape[2])
    compiled = method.compile and isinstance(units, LegendreUnits)
    return Windows(store.start, store.length, store.value, store.weights, units, compiled)


def _windows_so_far(method: Collocation, legs: Sequence[_Leg]) -> Windows | None:
    """What the marches have accepted; the engine adds windows to a store and changes none."""
    joined, _ = _joined(legs)
    return _windows(method, joined) if joined.start.size else None


def _joined(legs: Sequence[_Leg]) -> tuple[Store, Array]:
    """The windows of all marches in the order of time, and the rounding error (W, n) by the end of each.

    That is a unit in the last place for every window, adding up at random, counted outwards from the initial point.
    """
    stores, floors = [], []
    for leg in sorted(legs, key=lambda leg: leg.end):
        filled = leg.filled
        floor = _random_sums(filled) * np.maximum.accumulate(np.abs(leg.store.value[:filled]))
        order = slice(filled)
        if filled and leg.store.length[0] < 0:  # backwards
            order, floor = slice(filled - 1, None, -1), floor[::-1]
        stores.append(Store(*[array[order].copy() for array in leg.store]))  # there was room for more windows
        floors.append(floor)
    if len(stores) == 1:
        return stores[0], floors[0]
    return Store(*map(np.concatenate, zip(*stores, strict=True))), np.concatenate(floors)


@lru_cache(maxsize=8)
def _random_sums(count: int) -> Array:
    """(count, 1): how large sums of 1, 2, ... rounding errors are if their signs are random."""
    return engine.EPS * np.sqrt(np.arange(1.0, count + 1.0)).reshape(-1, 1)


def _verdict(
    method: Collocation, problem: IVP, legs: list[_Leg], *, spent: Status | None, allowed: float
) -> tuple[Status, str]:
    """How the marches ended; they met the tolerance if the estimated error is `allowed` times it or less."""
    worst = max(leg.state.worst for leg in legs)
    for leg in legs:
        if leg.reason == engine.DONE and spent is None:
            continue
        at = f"at {problem.independent} = {leg.state.t:.10g}"
        if leg.reason in (BUDGET, engine.TOO_SMALL) and _is_too_stiff(method, problem, leg.state):
            return Status.STIFF, f"{Status.STIFF.value}: stopped {at} after {counted(leg.filled, 'window')}"
        if leg.reason == INTERRUPTED:
            return Status.INTERRUPTED, f"{Status.INTERRUPTED.value}: {at} after {counted(leg.filled, 'window')}"
        if leg.reason == BUDGET:
            return Status.BUDGET, f"{Status.BUDGET.value}: stopped {at} after {counted(leg.filled, 'window')}"
        if leg.reason == engine.TOO_SMALL:
            status = _why_stuck(problem, leg.state, forwards=leg.end > float(problem.t0 or 0.0))
            return status, f"{status.value} {at}"
        if leg.reason == engine.TOO_FAR and _is_blowing_up(problem, leg.state):
            return Status.BLOW_UP, f"{Status.BLOW_UP.value} shortly after {at[3:]}"
        if spent is Status.INTERRUPTED and len(legs) < len(problem.ends):
            return spent, f"{spent.value}: {at} after {counted(leg.filled, 'window')}"
        if spent is not None and worst > 1.0:
            why = "the run was stopped" if spent is Status.INTERRUPTED else "the budget was used up"
            kept = f"{why} before a tighter attempt was finished than the one that ended {at}"
            return spent, f"{kept}; its estimated error is {worst:.2g} times the tolerance"
    if worst <= allowed:
        return Status.SUCCESS, f"{Status.SUCCESS.value} (at most {worst:.2g} times it)"
    unsure = ", but mostly rounding, which it can understate" if worst <= 1.0 else ""
    return (
        Status.PRECISION,
        f"{Status.PRECISION.value}: the estimated error is {worst:.2g} times what was asked{unsure}",
    )


def _is_too_stiff(method: Collocation, problem: IVP, state: State) -> bool:
    """Whether a network without implicit solver met rates of change thousands of times faster than the span."""
    assert problem.span is not None
    if not isinstance(method.network, Features) and method.stiff is not False:
        return False
    if _is_blowing_up(problem, state):
        return False
    speed = np.abs(problem.jacobian(state.t, state.z)).sum(axis=1).max()
    return bool(speed * abs(problem.span[1] - problem.span[0]) > 1e4 and np.isfinite(state.z).all())


def _is_blowing_up(problem: IVP, state: State) -> bool:
    """Whether the solution is large and grows so fast that the rest of the span would take it past all numbers."""
    assert problem.span is not None
    size = float(np.abs(state.z[: problem.n]).max())
    slope = np.abs(problem.first_order(state.t, state.z)[: problem.n]).max()
    return size > 1e3 * problem.size and slope * max(abs(end - state.t) for end in problem.span) > 1e3 * size


def _why_stuck(problem: IVP, state: State, forwards: bool) -> Status:
    """Why the windows shrank to nothing: look at the right-hand side where the march ended, and a little further."""
    slopes = problem.first_order(state.t, state.z)
    if max(np.abs(state.z).max(), np.abs(slopes).max()) > NEAR_OVERFLOW:
        return Status.OVERFLOW
    if _is_blowing_up(problem, state):
        return Status.BLOW_UP
    ahead = state.t + (1.0 if forwards else -1.0) * np.array([0.0, 1.0, 10.0]) * 4 * state.h
    slopes = problem.rhs(ahead, np.repeat(state.z.reshape(-1, 1), 3, axis=1))
    return Status.STALLED if np.isfinite(slopes).all() else Status.NON_FINITE
