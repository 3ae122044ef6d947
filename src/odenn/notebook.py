"""How problems and solutions are shown in notebooks: HTML, in which all text of a user is escaped."""

from __future__ import annotations

import base64
import io
from html import escape
from itertools import islice

import numpy as np

from odenn.problem import IVP
from odenn.solution import Solution
from odenn.wording import counted

DPI = 65  # of the figure inside a page
MOST_VALUES = 8
LONGEST = 120  # characters of a name


def problem_html(problem: IVP) -> str:
    """Equations as LaTeX, or the function's name and size; conditions and span."""
    assert problem.span is not None
    start, end = problem.span
    if problem.system is None:
        f = problem.f
        name = getattr(f, "__qualname__", None) or type(f).__name__
        components = f"{counted(problem.n, 'component')}, order {max(problem.orders)}"
        lines = [f"<code>{_text(name)}</code>, called as <code>{_text(problem.signature)}</code>: {components}"]
        values = ", ".join(f"{value:g}" for value in problem.initial[:MOST_VALUES])
        more = ", ..." if problem.initial.size > MOST_VALUES else ""
        derivatives = " and derivatives" if max(problem.orders) > 1 else ""
        lines.append(f"initial values{derivatives} at {_text(problem.independent)} = {problem.t0:g}: {values}{more}")
    else:
        lines = [f"$${escape(problem.latex())}$$"]
    parameters = dict(problem.params or {}) if problem.system is None else problem.system.parameters
    if parameters:
        shown = ", ".join(f"{_text(name)} = {value:g}" for name, value in islice(parameters.items(), MOST_VALUES))
        lines.append(f"parameters: {shown}{', ...' if len(parameters) > MOST_VALUES else ''}")
    lines.append(f"{_text(problem.independent)} from {start:g} to {end:g}")
    return "<div>" + "".join(f"<div>{line}</div>" for line in lines) + "</div>"


def solution_html(solution: Solution) -> str:
    """The figure, and the evidence: how it ended, the error that was asked for and the estimate, the work."""
    stats = solution.stats
    left, right = solution.span
    rows = [
        ("status", _text(solution.message, most=600)),
        ("solved", f"{_text(solution.independent)} from {left:g} to {right:g}"),
        ("error asked for", f"rtol = {solution.rtol:g}, atol = {_range(solution.outcome.atol)}"),
    ]
    figure = ""
    if solution.outcome.windows.start.size:
        error = solution.error(solution.grid(201)).max(axis=1)
        rows.append(("largest estimated error", _range(error)))
        figure = f'<img alt="solution and estimated error" src="data:image/png;base64,{_png(solution)}">'
    rows.append(("work", f"{counted(stats.windows, 'window')}, {stats.seconds:.3g} s"))
    table = "".join(
        f'<tr><th style="text-align: left">{name}</th><td style="text-align: left">{value}</td></tr>'
        for name, value in rows
    )
    return f"<div>{figure}<table>{table}</table></div>"


def _png(solution: Solution) -> str:
    picture = io.BytesIO()
    solution.plot().savefig(picture, format="png", dpi=DPI)
    return base64.b64encode(picture.getvalue()).decode("ascii")


def _text(text: str, most: int = LONGEST) -> str:
    return escape(text if len(text) <= most else text[:most] + "...")


def _range(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}, by component"
