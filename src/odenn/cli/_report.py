"""A solution in words and figures, for people (tables) and for programs (JSON)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from odenn import Solution
from odenn.cli._console import Output
from odenn.cli._figures import aligned, digits_for, error_figure, figure, time_figure
from odenn.wording import counted

if TYPE_CHECKING:
    from odenn.methods.outcome import Training
    from odenn.verify import Verification
    from odenn.zoo import ZooProblem

MOST_COMPONENTS = 6  # columns of a table
MOST_ERRORS = 3  # up to here each component has a column for its error
_OPTIONS = (  # what Python calls it, and the command line
    ("LevenbergMarquardt()", "--optimizer lm"),
    ('windows="auto"', "--windows auto"),
    ("stages=2", "--stages 2"),
    ("(RK4, Reference())", "(--data rk4:STEP or reference)"),
    ("Reference()", "--data reference"),
    ("MLP([32] * 5)", "--network 32x5:tanh"),
    ("at least 16 `points`", "--training-points 16 or more"),
    ('activation "tanh" or "sin"', "tanh or sin in --network"),
    ("zoo.names() lists all", "`odenn zoo` lists all"),
    ("method=odenn.Residual(device=...)", "--method residual"),
    ("raise max_windows or max_seconds of the method", "raise --seconds"),
)
INDENT = 12  # of what a saved solution holds, beside its name

Array = NDArray[np.float64]


def covers_something(solution: Solution) -> bool:
    """Whether any part of the span was solved, so that there are values to show."""
    return solution.span[0] < solution.span[1]


def print_table(out: Output, solution: Solution, points: int, *, hint: str = "") -> None:
    """Times, components and estimated errors; as many components as a table and the terminal have room for.

    `hint` says where the others are.
    """
    t = solution.grid(points)
    y, error = solution(t), solution.error(t)
    columns = [aligned(_column(y[i], error[i], solution.rtol)) for i in range(min(solution.n, MOST_COMPONENTS))]
    table = Table()
    shown = 0
    for shown, errors in _layouts(solution.n):
        table = _table(solution, t, columns[:shown], error, errors)
        if not out.is_terminal or out.columns(table) <= out.width:
            break
    out.whole_table(table)
    if shown < solution.n:
        rest = solution.names[shown:]
        named = ", ".join(rest) if len(rest) <= 3 else f"{rest[0]} to {rest[-1]}"
        out.paragraph(f"and {len(rest)} more: {named}{hint}")


def print_verdict(out: Output, solution: Solution) -> None:
    """How it ended, and the work it took."""
    mark = ("Solved", "bold green") if solution.success else ("Not solved to the tolerance", "bold red")
    out.paragraph(Text.assemble(mark, f": {in_options(solution.message)}."))
    out.paragraph(_work(solution))
    if solution.training is not None:
        for found in solution.training.diagnoses:
            out.paragraph(
                Text.assemble(
                    ("Note: " if solution.success else "Why: ", "bold"), f"{found.trouble.value} ({found.evidence})"
                )
            )
            out.paragraph(Text.assemble(("Remedy: ", "bold"), in_options(found.trouble.remedy)))


def _work(solution: Solution) -> str:
    stats, training = solution.stats, solution.training
    if training is None:
        stiff = f" ({stats.stiff_windows} of them stiff)" if stats.stiff_windows else ""
        work = (
            f"right-hand side called {counted(stats.calls, 'time')} at {counted(stats.evaluations, 'point')}, "
            f"{stats.seconds:.3g} s"
        )
        return f"{counted(stats.windows, 'window')}{stiff}{_passes(solution)}, {work}"
    network = solution.outcome.windows
    loss = f", last loss {training.history[-1].loss:.2g}" if training.history else ""
    trained = f" of {network.kind} ({counted(network.size, 'weight')} in all)" if stats.windows else ""
    iterations = counted(stats.iterations, "iteration")
    windows = f"{counted(stats.windows, 'window')}{trained}{_passes(solution)}"
    return f"{windows}, {iterations}{loss}, {stats.seconds:.3g} s"


def _passes(solution: Solution) -> str:
    return f" in {solution.stats.attempts} passes" if solution.stats.attempts > 1 else ""


def in_options(text: str) -> str:
    """Advice that is written for Python, in words of the command line.

    >>> in_options('use windows="auto" or LevenbergMarquardt()')
    'use --windows auto or --optimizer lm'
    """
    for python, option in _OPTIONS:
        text = text.replace(python, option)
    return text


def print_contents(out: Output, solution: Solution) -> None:
    """What a solution is of, and what it is worth."""
    print_pairs(out, _contents(solution))


def print_pairs(out: Output, pairs: Iterable[tuple[str, str]]) -> None:
    """Names and, indented beside them, texts; on a terminal broken to its width."""
    room = max(out.width - INDENT, 30) if out.is_terminal else sys.maxsize
    for name, text in pairs:
        lines = [piece for line in text.splitlines() for piece in wrap(line, room)]
        out.verbatim(Text.assemble((f"{name:<{INDENT}}", "bold"), ("\n" + " " * INDENT).join(lines)))


def print_zoo(out: Output, problems: Sequence[ZooProblem]) -> None:
    """One line for each problem."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in ("name", "span", "problem"):
        table.add_column(header, no_wrap=True)
    for problem in problems:
        table.add_row(problem.name, _span(problem), problem.title)
    out.whole_table(table)


def print_zoo_problem(out: Output, problem: ZooProblem) -> None:
    """What a problem is, and the command that solves it."""
    out.paragraph(f"{problem.title} ({problem.source})\n")
    if problem.text is None:
        out.paragraph(f"too long for text: use odenn.zoo.get({problem.name!r}).problem() in Python")
    else:
        out.verbatim(f'odenn solve "{problem.text}" --span {_span(problem)}')


def zoo_json(chosen: Sequence[ZooProblem] | ZooProblem) -> str:
    """One JSON object for a problem, a list of such objects for several."""
    if not isinstance(chosen, Sequence):
        return json.dumps(_zoo_record(chosen), indent=2)
    return json.dumps([_zoo_record(problem) for problem in chosen], indent=2)


def _zoo_record(problem: ZooProblem) -> dict[str, object]:
    return {
        "name": problem.name,
        "title": problem.title,
        "equations": problem.text,
        "span": problem.span,
        "stiff": problem.stiff,
        "source": problem.source,
    }


def as_json(solution: Solution, points: int, verification: Verification | Exception | None) -> str:
    """One JSON object: the problem, the table in full precision, the evidence."""
    solved = covers_something(solution)
    t = solution.grid(points) if solved else np.empty(0)
    y, error = (solution(t), solution.error(t)) if solved else (np.empty((solution.n, 0)),) * 2
    problem = solution.problem
    record = {
        "equations": None if problem is None or problem.system is None else problem.system.text.strip(),
        "variable": solution.independent,
        "components": list(solution.names),
        "parameters": _parameters(solution),
        "span": None if problem is None else problem.span,
        "reached": solution.span,
        "rtol": solution.rtol,
        "success": solution.success,
        "status": solution.status.name.lower(),
        "message": solution.message,
        "t": _plain(t),
        "y": {name: _plain(row) for name, row in zip(solution.names, y, strict=True)},
        "error": {name: _plain(row) for name, row in zip(solution.names, error, strict=True)},
        "network": {"kind": solution.outcome.windows.kind, "weights": solution.outcome.windows.size},
        "stats": asdict(solution.stats),
        "training": None if solution.training is None else _training_record(solution.training),
        "verification": None if verification is None else _verification_record(verification),
    }
    return json.dumps(record, indent=2, allow_nan=False)


def _parameters(solution: Solution) -> dict[str, float]:
    """Values of the parameters by name."""
    system = solution.problem.system if solution.problem is not None else None
    return dict(system.parameters) if system is not None else {}


def _training_record(training: Training) -> dict[str, object]:
    return {
        "loss": _number(training.history[-1].loss) if training.history else None,
        "iterations": len(training.history),
        "diagnoses": [
            {
                "trouble": found.trouble.name.lower(),
                "description": found.trouble.value,
                "evidence": found.evidence,
                "remedy": found.trouble.remedy,
            }
            for found in training.diagnoses
        ],
        "data_error": _number(training.data_error),
        "fit_error": _number(training.fit_error),
    }


def _verification_record(verification: Verification | Exception) -> dict[str, object]:
    if isinstance(verification, Exception):
        return {"method": None, "notes": [str(verification)]}
    names = verification.names
    return {
        "method": verification.method,
        "within_tolerance": verification.within_tolerance,
        "conclusive": verification.conclusive,
        "largest_error": dict(zip(names, _plain(verification.max_true), strict=True)),
        "largest_estimate": dict(zip(names, _plain(verification.max_estimate), strict=True)),
        "notes": list(verification.notes),
    }


def _contents(solution: Solution) -> Iterator[tuple[str, str]]:
    problem, stats, windows = solution.problem, solution.stats, solution.outcome.windows
    if problem is None or problem.system is None:
        yield "equations", "not stored (a Python function)"
    else:
        yield "equations", problem.system.text.strip()
    yield "components", ", ".join(solution.names)
    if values := _parameters(solution):
        yield "parameters", ", ".join(f"{name} = {value:.10g}" for name, value in values.items())
    asked = solution.span if problem is None or problem.span is None else problem.span
    reached = (
        "" if sorted(asked) == list(solution.span) else f", reached {solution.span[0]:.10g} to {solution.span[1]:.10g}"
    )
    yield "span", f"{solution.independent} = {asked[0]:.10g} to {asked[1]:.10g}{reached}"
    yield "status", in_options(solution.message)
    yield "error", f"{_relative_error(solution)} estimated, {solution.rtol:g} asked (relative to the largest value)"
    yield "network", f"{windows.kind} for each window, {counted(windows.size, 'weight')} in all"
    training = solution.training
    how = f", of which {stats.stiff_windows} stiff" if training is None else f", {stats.iterations} iterations"
    yield "windows", f"{stats.windows}{how}; solved in {stats.seconds:.3g} s"
    for found in () if training is None else training.diagnoses:
        yield "note" if solution.success else "why", f"{found.trouble.value} ({found.evidence})"
        yield "remedy", in_options(found.trouble.remedy)


def _relative_error(solution: Solution) -> str:
    """Largest estimated error, each component by its own largest value."""
    if not covers_something(solution):
        return "none"
    t = solution.grid(1001)
    with np.errstate(all="ignore"):
        return error_figure(float(np.max(solution.error(t).max(axis=1) / np.abs(solution(t)).max(axis=1))))


def _layouts(n: int) -> Iterator[tuple[int, bool]]:
    """How many components, and whether each has a column for its error: from the richest to the narrowest."""
    if n <= MOST_ERRORS:
        yield n, True
    for shown in range(min(n, MOST_COMPONENTS), 0, -1):
        yield shown, False


def _table(solution: Solution, t: Array, columns: list[list[str]], error: Array, errors: bool) -> Table:
    names = solution.names[: len(columns)]
    # Without a column for each, the largest of all components, also of those that are not shown.
    rows = error if errors else error.max(axis=0, keepdims=True)
    header = [solution.independent, *names, *([f"error {name}" for name in names] if errors else ["largest error"])]
    cells = [aligned([time_figure(value) for value in t]), *columns, *([error_figure(e) for e in row] for row in rows)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in header:
        table.add_column(name, justify="right", no_wrap=True)
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def _column(values: Array, error: Array, rtol: float) -> list[str]:
    return [figure(float(v), float(e), digits_for(rtol)) for v, e in zip(values, error, strict=True)]


def _plain(row: Array) -> list[float | None]:
    """Numbers that JSON knows."""
    return [_number(value) for value in row.tolist()]


def _number(value: float | None) -> float | None:
    """JSON has neither infinity nor NaN."""
    return value if value is not None and math.isfinite(value) else None


def _span(problem: ZooProblem) -> str:
    return " ".join(f"{end:.17g}" for end in problem.span)
