"""Who takes part: odenn's methods, and SciPy's as they are."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from odenn.methods.collocation import Collocation
from odenn.methods.outcome import Method, Progress, is_method
from odenn.networks.features import Features
from odenn.problem import IVP
from odenn.solve import solve

Array = NDArray[np.float64]

SCIPY = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
STEPS = 200_000  # of SciPy's: LSODA goes on for ever before a pole
SPENT = f"it was stopped by its budget (`seconds`, or {STEPS:,} steps)"
DEFAULT = ("collocation", "collocation-tanh", "residual", "data-fit", "DOP853", "LSODA", "Radau")


def _residual() -> Method:
    from odenn.methods.residual import Residual

    return Residual()


def _data_fit() -> Method:
    from odenn.methods.data_fit import DataFit

    return DataFit()


OWN: dict[str, Callable[[], Method]] = {
    "collocation": Collocation,
    "collocation-tanh": lambda: Collocation(network=Features(activation="tanh")),
    "collocation-sin": lambda: Collocation(network=Features(activation="sin")),
    "residual": _residual,
    "data-fit": _data_fit,
}
TRAINED = ("residual", "data-fit")


@dataclass(frozen=True, eq=False)
class Run:
    """What one competitor made of the problem."""

    values: Array
    """(n, k) at the times asked for; NaN where it did not come to."""
    estimate: Array | None
    """(n, k) its own estimate of its error, where it has one."""
    reached: tuple[float, float]
    """(left, right) ends of what it solved."""
    status: str
    success: bool
    message: str
    evaluations: int
    """Of the right-hand side, at single times."""
    windows: int | None
    weights: int | None


@dataclass(frozen=True, eq=False)
class Competitor:
    """A name, and how it solves a problem to a relative tolerance with the values at times t (k,)."""

    name: str
    run: Callable[[IVP, float, Array, Progress | None], Run]
    module: str = ""
    """To be loaded before the clock starts."""

    def prepare(self) -> None:
        """Load what the run needs."""
        if self.module:
            import_module(self.module)


def competitors(methods: Any, seconds: float | None, device: Any = None) -> tuple[Competitor, ...]:
    """What the user named; `seconds` limits each of them, and those that train are given the device.

    Raises
    ------
    ValueError
        For an unknown or repeated name, or none at all.
    TypeError
        For what is neither a name nor a method.
    """
    chosen: Any = DEFAULT if methods is None else methods
    if isinstance(chosen, Mapping):
        pairs = [(str(name), method) for name, method in chosen.items()]
    else:
        several = isinstance(chosen, Iterable) and not isinstance(chosen, str)
        pairs = [(None, method) for method in (chosen if several else [chosen])]
    found = tuple(_competitor(name, method, seconds, device) for name, method in pairs)
    names = [competitor.name for competitor in found]
    if not names:
        raise ValueError(f"`methods` is empty: name at least one of {', '.join((*OWN, *SCIPY))}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"`methods` has {twice[0]!r} twice: give a dict of names and methods to tell them apart")
    return found


def _competitor(name: str | None, method: Any, seconds: float | None, device: Any) -> Competitor:
    if isinstance(method, str):
        known = {known.lower(): known for known in (*OWN, *SCIPY)}
        if method.lower() not in known:
            near = get_close_matches(method.lower(), known, n=1)
            hint = f"; did you mean {known[near[0]]}?" if near else ""
            raise ValueError(f"`methods` has {method!r}, known are {', '.join(known.values())}{hint}")
        exact = known[method.lower()]
        if exact in SCIPY:
            return Competitor(name or f"SciPy {exact}", _scipy(exact, seconds), "scipy.integrate")
        own = OWN[exact]()
        if device is not None and exact in TRAINED:
            own = replace(cast(Any, own), device=device)
        return Competitor(name or exact, _own(own, seconds))
    if not is_method(method):
        raise TypeError(
            f"`methods` must hold names ({', '.join((*OWN, *SCIPY))}) or methods such as odenn.Residual(), "
            f"got {method!r}"
        )
    return Competitor(name or type(method).__name__, _own(method, seconds))


def _own(method: Method, seconds: float | None) -> Callable[[IVP, float, Array, Progress | None], Run]:
    if seconds is not None and hasattr(method, "max_seconds"):
        options: Any = method
        method = replace(options, max_seconds=min(seconds, options.max_seconds or seconds))

    def run(problem: IVP, rtol: float, t: Array, progress: Progress | None) -> Run:
        solution = solve(problem, rtol=rtol, method=method, progress=progress)
        values, estimate = np.full((problem.n, t.size), np.nan), np.full((problem.n, t.size), np.nan)
        left, right = solution.span
        inside = (t >= left) & (t <= right) & (right > left)
        if inside.any():
            values[:, inside], estimate[:, inside] = solution(t[inside]), solution.error(t[inside])
        return Run(
            values=values,
            estimate=estimate,
            reached=solution.span,
            status=solution.status.name.lower(),
            success=solution.success,
            message=solution.message,
            evaluations=solution.stats.evaluations,
            windows=solution.stats.windows,
            weights=solution.outcome.windows.size,
        )

    return run


def _scipy(name: str, seconds: float | None) -> Callable[[IVP, float, Array, Progress | None], Run]:
    def run(problem: IVP, rtol: float, t: Array, progress: Progress | None) -> Run:
        from scipy import integrate

        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        t0 = float(problem.t0 or 0.0)
        atol = problem.layout.fold @ problem.default_atol(rtol)
        values = np.full((problem.n, t.size), np.nan)
        values[:, t == t0] = problem.initial[: problem.n, None]
        reached, reasons, evaluations = [t0], list[str](), 0
        for end in problem.ends:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what goes wrong is said by the reason
                solver: Any = getattr(integrate, name)(
                    problem.pointwise(), t0, problem.initial, end, rtol=rtol, atol=atol
                )
                last, reason = _march(solver, t, values, deadline)
            reached.append(last)
            evaluations += int(solver.nfev)
            if reason:
                reasons.append(reason)
        return Run(
            values=values,
            estimate=None,
            reached=(min(reached), max(reached)),
            status="budget" if SPENT in reasons else "failed" if reasons else "done",
            success=not reasons,
            message="; ".join(reasons),
            evaluations=evaluations,
            windows=None,
            weights=None,
        )

    return run


def _march(solver: Any, t: Array, values: Array, deadline: float) -> tuple[float, str]:
    """Fill in the values (n, k) at the times on this side, as `solve_ivp` does with `t_eval`.

    Returns how far it came, and why no farther.
    """
    t0, sign = solver.t, solver.direction
    places = np.flatnonzero((t - t0) * sign > 0)
    places = places[np.argsort(t[places] * sign, kind="stable")]
    ordered, done = t[places] * sign, 0
    for _ in range(STEPS):
        before = float(solver.t)
        if time.monotonic() > deadline:
            break
        try:
            message = solver.step()
        except Exception as error:  # of the user's function, or of linear algebra inside SciPy
            return before, f"{type(error).__name__}: {error}"
        if solver.status == "failed":
            return before, message
        if not np.isfinite(solver.y).all():
            return before, f"its values stop being finite after {before:.6g}"
        next_ = int(np.searchsorted(ordered, solver.t * sign, side="right"))
        if next_ > done:
            inside = places[done:next_]
            values[:, inside] = solver.dense_output()(t[inside])[: values.shape[0]]
            done = next_
        if solver.status == "finished":
            return float(solver.t), ""
    return float(solver.t), SPENT
