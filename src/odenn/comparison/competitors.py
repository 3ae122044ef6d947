"""Who takes part: odenn's methods, and SciPy's as they are."""

from __future__ import annotations

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


@dataclass(frozen=True, eq=False)
class Run:
    """What one competitor made of the problem."""

    values: Array
    """(n, k) at the times asked for; NaN where it did not come to."""
    estimate: Array | None
    """(n, k) its own estimate of its error, where it has one."""
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


def competitors(methods: Iterable[Any] | Mapping[str, Any] | None, seconds: float | None) -> tuple[Competitor, ...]:
    """What the user named; `seconds` limits each of odenn's own.

    Raises
    ------
    ValueError
        For an unknown or repeated name, or none at all.
    TypeError
        For what is neither a name nor a method.
    """
    if isinstance(methods, str):
        methods = [methods]
    chosen = DEFAULT if methods is None else methods
    pairs = chosen.items() if isinstance(chosen, Mapping) else [(None, method) for method in chosen]
    found = tuple(_competitor(cast(Any, name), method, seconds) for name, method in pairs)
    names = [competitor.name for competitor in found]
    if not names:
        raise ValueError(f"`methods` is empty: name at least one of {', '.join((*OWN, *SCIPY))}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"`methods` has {twice[0]!r} twice: give a dict of names and methods to tell them apart")
    return found


def _competitor(name: str | None, method: Any, seconds: float | None) -> Competitor:
    if isinstance(method, str):
        known = {known.lower(): known for known in (*OWN, *SCIPY)}
        if method.lower() not in known:
            near = get_close_matches(method.lower(), known, n=1)
            hint = f"; did you mean {known[near[0]]}?" if near else ""
            raise ValueError(f"`methods` has {method!r}, known are {', '.join(known.values())}{hint}")
        exact = known[method.lower()]
        if exact in SCIPY:
            return Competitor(name or f"SciPy {exact}", _scipy(exact), "scipy.integrate")
        return Competitor(name or exact, _own(OWN[exact](), seconds))
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
            status=solution.status.name.lower(),
            success=solution.success,
            message=solution.message,
            evaluations=solution.stats.evaluations,
            windows=solution.stats.windows,
            weights=solution.outcome.windows.size,
        )

    return run


def _scipy(name: str) -> Callable[[IVP, float, Array, Progress | None], Run]:
    def run(problem: IVP, rtol: float, t: Array, progress: Progress | None) -> Run:
        from scipy.integrate import solve_ivp

        t0 = float(problem.t0 or 0.0)
        atol = problem.layout.fold @ problem.default_atol(rtol)
        values = np.full((problem.n, t.size), np.nan)
        values[:, t == t0] = problem.initial[: problem.n, None]
        evaluations, failures = 0, list[str]()
        rhs = problem.pointwise()
        with np.errstate(all="ignore"):
            for end in problem.ends:
                places = np.flatnonzero((t - t0) * (end - t0) > 0)
                places = places[np.argsort(np.abs(t[places] - t0), kind="stable")]
                done: Any = solve_ivp(rhs, (t0, end), problem.initial, name, t_eval=t[places], rtol=rtol, atol=atol)
                values[:, places[: done.t.size]] = done.y[: problem.n]
                evaluations += int(done.nfev)
                if not done.success:
                    failures.append(str(done.message))
        return Run(
            values=values,
            estimate=None,
            status="failed" if failures else "done",
            success=not failures,
            message="; ".join(failures),
            evaluations=evaluations,
            windows=None,
            weights=None,
        )

    return run
