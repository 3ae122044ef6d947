"""Equations as they are typed on the page: their mathematics, or what is wrong with them and in which field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from odenn.deliberate import is_deliberate

Event = dict[str, Any]

MISSING = 30  # names that are offered as parameters at once


def read_equations(equations: str, initial: str, params: dict[str, float], span: list[float]) -> Event:
    """What the page is told of equations: mathematics, names and parameters, or the mistake and names without value."""
    import odenn
    from odenn.equations import EquationError, parse_system

    given, missing = dict(params), list[str]()
    mathml: str | None = None
    while True:
        try:
            system = parse_system(equations, initial=initial or None, parameters=given)
            mathml = _mathml(system.latex())
            problem = odenn.IVP(system, span=(span[0], span[1]))
            mathml = _mathml(problem.latex())
        except EquationError as error:
            if error.unused in given:  # a parameter that is no longer there
                del given[error.unused]
                continue
            if error.unknown is not None and error.unknown not in given and len(missing) < MISSING:
                missing.append(error.unknown)
                given[error.unknown] = 1.0
                continue
            return {**_mistake(error, blamed(error, equations, initial, given)), "missing": missing, "mathml": mathml}
        except (ValueError, TypeError) as error:
            if not is_deliberate(error):
                raise
            return {**_mistake(error, field_of_problem(error)), "missing": missing, "mathml": mathml}
        if missing:
            named = ", ".join(f"`{name}`" for name in missing)
            what = f"{named} has no value yet" if len(missing) == 1 else f"{named} have no values yet"
            return {"ok": False, "message": what, "line": None, "column": None, "missing": missing, "mathml": mathml}
        return {
            "ok": True,
            "mathml": mathml,
            "independent": system.independent,
            "names": list(system.names),
            "orders": list(system.orders),
            "parameters": dict(system.parameters),
            "ranges": {name: slider_range(value) for name, value in system.parameters.items()},
        }


def slider_range(value: float) -> list[float]:
    """Where a slider of a parameter begins and ends.

    >>> slider_range(2.0), slider_range(0.0), slider_range(-0.5)
    ([0.0, 4.0], [-1.0, 1.0], [-1.0, 0.0])
    """
    if value == 0 or not math.isfinite(2 * value):
        return [-1.0, 1.0]
    return [0.0, 2 * value] if value > 0 else [2 * value, 0.0]


def _mathml(latex: str) -> str:
    from latex2mathml.converter import convert

    return convert(latex.replace("{aligned}", "{align*}"), display="block")


def _mistake(error: Exception, field: str) -> Event:
    """What a mistake of the user looks like on the page."""
    where = {"line": getattr(error, "line", None), "column": getattr(error, "column", None)}
    return {"ok": False, "message": in_page_words(str(error)), "field": field, **where}


def blamed(error: Exception, equations: str, initial: str, params: Mapping[str, float]) -> str:
    """The field that is wrong: conditions, where the equations alone do not make the same mistake."""
    from odenn.equations import EquationError, parse_system

    try:
        parse_system(equations, parameters=params)
    except EquationError as other:
        return "equations" if str(other) == str(error) else "initial"
    return "initial"


def field_of_problem(error: Exception) -> str:
    """The field that makes no problem of equations that could be read."""
    if "`span`" in str(error):
        return "span"
    return "initial" if str(error).startswith("initial values") else "equations"


def field_of_option(message: str) -> str | None:
    """The field whose option a method refused."""
    options = {"`step`": "data.step", "data": "data", "`network`": "network", "`windows`": "windows"}
    return next((field for word, field in options.items() if word in message), None)


_WORDS = (  # what messages for Python and the command line say, and the page
    (r"give it a value as a parameter: params=\{.*?\} \(Python\) or --param \S+ \(command line\)", "give it a value"),
    (
        r"among the equations, or as initial='\.\.\.' \(Python\) or --initial '\.\.\.' \(command line\)",
        "among the equations, or as initial conditions",
    ),
    (r"raise max_windows or max_seconds of the method", "raise the time limit"),
    (r"read solution\.error\(t\) for what was reached", "see the error for what was reached"),
    (r"LevenbergMarquardt\(\)", "Levenberg-Marquardt"),
    (r"TorchOptimiser\(\)", "Adam"),
    (r"\(RK4, Reference\(\)\)", "(Runge-Kutta 4, the reference)"),
    (r"Reference\(\)", "the reference"),
)


def in_page_words(text: str) -> str:
    """A message that is written for Python and the command line, for readers of the page."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text
