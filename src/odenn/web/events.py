"""What a run looks like to the page: curves, summary and comparison as JSON has them."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odenn.layout import states_of
from odenn.methods.outcome import Report
from odenn.web.reading import Event, in_page_words

if TYPE_CHECKING:
    from odenn import IVP, Solution
    from odenn.verify import Verification

Array = NDArray[np.float64]

POINTS, FEWEST_POINTS, MOST_POINTS = 601, 101, 2001  # times of a curve
POINTS_OF_WINDOW = 20  # a curve of many windows has many bends
MOST_VALUES = 40_000  # of all components together
TABLE = 11
MOST_LOSSES = 1000
MOST_ENDS = 500  # of windows
ROUNDING = float(np.finfo(float).eps)


def curves(solution: Solution) -> Event:
    """The solution, its error estimate and its defect at times that show fast transients as well."""
    from odenn.verify import times, tolerance

    windows, problem = solution.outcome.windows, solution.problem
    wanted = min(max(POINTS, POINTS_OF_WINDOW * windows.start.size), MOST_POINTS)
    t = times(solution, min(max(MOST_VALUES // solution.n, FEWEST_POINTS), wanted))
    with np.errstate(all="ignore"):
        defect = None if problem is None else rows(solution.residual(t))
        y, error = rows(solution(t)), rows(solution.error(t))
        slope, allowed = rows(solution.derivative(t)), rows(tolerance(solution, t))
    return {
        "event": "solution",
        "t": numbers(t),
        "y": y,
        "derivative": slope,
        "error": error,
        "tolerance": allowed,
        "residual": defect,
        "names": list(solution.names),
        "independent": solution.independent,
        "span": list(solution.span if problem is None or problem.span is None else problem.span),
        "windows": windows.start.size,
        "ends": thinned(numbers(windows.start + windows.length), MOST_ENDS),
    }


def summary(solution: Solution, *, seconds: float) -> Event:
    """The outcome in figures and words."""
    solved = covers_something(solution)
    network = solution.outcome.windows
    return {
        "event": "summary",
        "success": solution.success,
        "status": solution.status.name,
        "message": in_page_words(solution.message),
        "rtol": solution.rtol,
        "asked": solution.rtol,
        "reached": _reached(solution) if solved else None,
        "seconds": seconds,
        "stats": asdict(solution.stats),
        "network": network.kind if solved else None,
        "parameters": network.size,
        "training": _training(solution),
        "table": _table(solution) if solved else None,
        "downloads": downloads() if solved else ["py"],
    }


def downloads() -> list[str]:
    """Formats that a solution can be had in."""
    from importlib.util import find_spec

    onnx = ["onnx"] if find_spec("onnx") is not None and find_spec("onnxscript") is not None else []
    return ["csv", "png", "svg", "odenn", "py", *onnx]


def covers_something(solution: Solution) -> bool:
    left, right = solution.span
    return bool(left < right)


def _reached(solution: Solution) -> float | None:
    """The estimated error as a relative tolerance: what rtol would just have been met, but for rounding."""
    from odenn.verify import times, tolerance

    t = times(solution, 401)
    with np.errstate(all="ignore"):
        estimate = np.abs(solution.outcome.errors.derivative(t, 0))  # as success is judged: without the rounding floor
        return number(max(solution.rtol * float(np.max(estimate / tolerance(solution, t))), ROUNDING))


def _training(solution: Solution) -> Event | None:
    training = solution.training
    if training is None:
        return None
    losses = thinned([(k, record.loss) for k, record in enumerate(training.history, 1)], MOST_LOSSES)
    return {
        "diagnoses": [
            {
                "trouble": found.trouble.name.lower(),
                "description": found.trouble.value,
                "evidence": found.evidence,
                "remedy": in_page_words(found.trouble.remedy),
            }
            for found in training.diagnoses
        ],
        "data_error": number(training.data_error),
        "fit_error": number(training.fit_error),
        "losses": [[k, number(loss)] for k, loss in losses],
    }


def _table(solution: Solution) -> Event:
    t = solution.grid(TABLE)
    return {"t": numbers(t), "y": rows(solution(t)), "error": rows(solution.error(t))}


def stated(solution: Solution) -> Event | None:
    """The problem of a solution from a file as the page states it; None where it was a Python function."""
    problem = solution.problem
    if problem is None or problem.system is None or problem.span is None:
        return None
    system = problem.system
    return {
        "equations": system.text,
        "initial": _conditions(problem) if system.initial_values is None else "",
        "params": dict(system.parameters),
        "span": list(problem.span),
    }


def _conditions(problem: IVP) -> str:
    """Initial conditions as text, where the equations do not bring theirs."""
    place, values = _typed(problem.t0 or 0.0), problem.initial.tolist()
    states = [problem.names[i] + "'" * level for level, i in states_of(problem.orders)]
    return ", ".join(f"{state}({place}) = {_typed(value)}" for state, value in zip(states, values, strict=True))


def _typed(value: float) -> str:
    """A number as people type it, with all its digits."""
    return repr(float(value)).removesuffix(".0")


def verified(verification: Verification) -> Event:
    """The comparison with a reference."""
    order = slice(None) if verification.t[0] <= verification.t[-1] else slice(None, None, -1)
    t = verification.t[order]
    with np.errstate(all="ignore"):
        scale = np.abs(verification.reference).max(axis=1)
        relative = np.where(scale > 0, verification.max_true / scale, verification.max_true)
    return {
        "event": "verified",
        "source": verification.method,
        "true_error": number(float(relative.max())),
        "ratio": number(float(np.nanmax(verification.ratio))) if np.isfinite(verification.ratio).any() else None,
        "within_tolerance": verification.within_tolerance,
        "conclusive": verification.conclusive,
        "notes": list(verification.notes),
        "message": str(verification).splitlines()[-1 - len(verification.notes)],
        "t": numbers(t),
        "y": rows(verification.reference[:, order]),
        "difference": rows(verification.true_error[:, order]),
    }


def so_far(report: Report, problem: IVP) -> Event:
    """The solution on the part of the span that is covered, and where its windows end."""
    windows = report.solution
    if windows is None:
        return {}
    right = float(windows.left[-1] + abs(windows.length[-1]))
    t = np.linspace(float(windows.left[0]), right, 201)
    with np.errstate(all="ignore"):
        y = windows.derivative(t, 0)
    return {
        "ends": thinned([*numbers(windows.left[1:]), right], MOST_ENDS),
        "t": numbers(t),
        "y": rows(y),
        "names": list(problem.names),
        "independent": problem.independent,
    }


def thinned(items: list[Any], most: int) -> list[Any]:
    """At most so many, spread evenly, the last one included."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]


def numbers(row: Array) -> list[float | None]:
    """A row as JSON has it, which knows neither infinity nor NaN."""
    values: list[Any] = np.asarray(row, dtype=float).tolist()
    return values if np.isfinite(row).all() else [number(value) for value in values]


def rows(array: Array) -> list[list[float | None]]:
    return [numbers(row) for row in array]


def number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
