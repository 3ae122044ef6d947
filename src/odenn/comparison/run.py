"""The comparison itself: one reference, every method after the other, times measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odenn.comparison.competitors import Competitor, Run, competitors
from odenn.comparison.reference import Reference, find_reference, relative
from odenn.comparison.result import Comparison, Entry
from odenn.deliberate import is_deliberate
from odenn.methods.outcome import Method, Report
from odenn.problem import IVP
from odenn.status import Status
from odenn.verify import VerificationError

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

STOPPED = Status.INTERRUPTED.name.lower()  # of a training, which Ctrl-C ends with what it has
REPEATS, ENOUGH = 7, 0.5  # quick runs are repeated that often, or for so many seconds together
Watch = Callable[[str, float, Report | None], object]
"""Called with the competitor's name, the tolerance, and its report."""


def compare(
    problem: IVP,
    methods: str | Method | Iterable[str | Method] | Mapping[str, Any] | None = None,
    *,
    rtol: float | Sequence[float] = 1e-6,
    seconds: float | None = None,
    points: int = 1001,
    device: str | torch.device | None = None,
    progress: Watch | None = None,
) -> Comparison:
    """Solve a problem by several methods and say what each one reached, and in which time.

    The true error is taken against SymPy's formula where there is one, else against SciPy at tight tolerance (see
    `Solution.verify`), else against collocation at 1e-12, whose estimate is then shown. Errors are relative: for each
    component the largest error divided by its largest value, and of these the largest. A method that refuses the
    problem or fails on it has a row that says so, and the reason stands below the table; where a method ends early, its
    error is that of the part that it solved, in brackets.

    Parameters
    ----------
    methods
        Names and method objects, one or several, or a dict {label: method}. Names: "collocation", "collocation-tanh",
        "collocation-sin", "residual", "data-fit", and SciPy's "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA".
        Default: all of the first kind but sin, with DOP853, LSODA and Radau.
    rtol
        Relative tolerance, the same for all; several make curves in the work-precision picture. odenn's is that of the
        global error, SciPy's that of each step.
    seconds
        Budget of each method at each tolerance, and of the search for a reference; without one SciPy's methods end
        after 200,000 steps. References of problems given as text are kept: the next call does not search again.
    points
        Times at which the errors are taken.
    device
        Where "residual" and "data-fit" are trained; default "auto". Method objects have their own.
    progress
        Called with the competitor's name, the tolerance and, for odenn's methods, their `Report`.

    Returns
    -------
    Comparison
        A table as `str`, `plot()`, `plot_errors()`, `to_csv(path)`, `as_dict()`. Ctrl-C ends it with what is there:
        `interrupted` says so.

    Raises
    ------
    TypeError, ValueError
        For arguments that cannot be used.
    KeyboardInterrupt
        If Ctrl-C came before the first run was done.

    Examples
    --------
    >>> import odenn
    >>> result = compare(odenn.zoo.get("linear-pair-2").problem(), ["collocation", "DOP853"], rtol=1e-8)
    >>> [entry.error < 1e-6 for entry in result.entries]
    [True, True]
    """
    if not isinstance(problem, IVP):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody checks types
        raise TypeError(f"`problem` must be an odenn.IVP, got {type(problem).__name__}")
    if not (isinstance(points, int | np.integer) and points >= 2):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"`points` must be a whole number, 2 or more, got {points!r}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"`seconds` must be positive or None, got {seconds!r}")
    tolerances = _tolerances(rtol)
    field = competitors(methods, seconds, device)
    try:
        reference = find_reference(problem, points, seconds)
    except VerificationError as reason:
        reference = _nothing_known(problem, points, str(reason))
    runs = [(competitor, tolerance) for competitor in field for tolerance in tolerances]
    entries, interrupted = _entries(problem, runs, reference, progress)
    return Comparison(
        problem=problem,
        reference=reference.method,
        accuracy=reference.accuracy,
        reference_seconds=reference.seconds,
        reference_ends=reference.ends,
        t=reference.t,
        entries=tuple(entries),
        asked=len(runs),
        interrupted=interrupted,
    )


def _tolerances(rtol: float | Sequence[float]) -> tuple[float, ...]:
    try:
        if isinstance(rtol, str):  # whose letters float() would take one by one
            raise TypeError
        found = tuple(map(float, rtol if isinstance(rtol, Iterable) else [rtol]))
    except (TypeError, ValueError):
        raise TypeError(f"`rtol` must be a number or several, got {rtol!r}") from None
    if not found or not all(0 < value < 1 for value in found):
        raise ValueError(f"`rtol` must lie between 0 and 1, got {rtol!r}")
    return found


def _entries(
    problem: IVP, runs: Sequence[tuple[Competitor, float]], reference: Reference, progress: Watch | None
) -> tuple[list[Entry], bool]:
    """One for each run, and whether Ctrl-C ended them before the last was done."""
    entries: list[Entry] = []
    try:
        for competitor, rtol in runs:
            entries.append(_entry(problem, competitor, rtol, reference, progress))
            if entries[-1].status == STOPPED:
                return entries, True
    except KeyboardInterrupt:
        if not entries:
            raise
        return entries, True
    return entries, False


def _entry(problem: IVP, competitor: Competitor, rtol: float, reference: Reference, progress: Watch | None) -> Entry:
    def report(report: Report) -> object:
        return progress(competitor.name, rtol, report) if progress is not None else None

    if progress is not None:
        progress(competitor.name, rtol, None)
    start = time.perf_counter()
    try:
        competitor.prepare()
        run, seconds = _timed(lambda: competitor.run(problem, rtol, reference.t, None if progress is None else report))
    except Exception as error:  # whatever it is, the others go on
        run, seconds = _came_to_nothing(problem, reference.t, error), time.perf_counter() - start
    assert problem.span is not None
    error = reference.relative(np.abs(run.values - reference.values))
    solved = np.isfinite(run.values).all(axis=0)
    nothing = not (solved & (reference.t != problem.t0)).any()
    known = solved & np.isfinite(error)
    estimate = None
    if run.estimate is not None and not nothing:
        scale = run.values[:, solved] if np.isnan(reference.values).all() else reference.values
        estimate = float(relative(run.estimate[:, solved], scale).max())
    return Entry(
        name=competitor.name,
        rtol=rtol,
        success=run.success,
        status=run.status,
        message=run.message,
        error=float("nan") if nothing or not known.any() else float(error[known].max()),
        accuracy=reference.accuracy,
        estimate=estimate,
        reached=run.reached,
        span=problem.span,
        independent=problem.independent,
        seconds=seconds,
        evaluations=run.evaluations,
        windows=run.windows,
        weights=run.weights,
        errors=error,
    )


def _came_to_nothing(problem: IVP, t: Array, error: Exception) -> Run:
    refused = is_deliberate(error)
    t0 = float(problem.t0 or 0.0)
    return Run(
        values=np.full((problem.n, t.size), np.nan),
        estimate=None,
        reached=(t0, t0),
        status="refused" if refused else "failed",
        success=False,
        message=str(error) if refused else f"{type(error).__name__}: {error}",
        evaluations=0,
        windows=None,
        weights=None,
    )


def _nothing_known(problem: IVP, points: int, reason: str) -> Reference:
    """Where there is no reference: methods are run all the same, and tell their estimates."""
    assert problem.span is not None
    t = np.linspace(*problem.span, points)
    return Reference("", t, np.full((problem.n, points), np.nan), float("nan"), ends=reason)


def _timed(run: Callable[[], Run]) -> tuple[Run, float]:
    """The run, and the median of its wall times."""
    times: list[float] = []
    while True:
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
        if sum(times) >= ENOUGH or len(times) == REPEATS or result.status == STOPPED:
            return result, float(np.median(times))
