"""The Python script that reproduces a run."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odenn._version import __version__
from odenn.status import Status
from odenn.web.specification import Specification

if TYPE_CHECKING:
    from odenn import Solution


def script(specification: Specification, method: Any, solution: Solution, upload_name: str | None = None) -> str:
    """Python that solves the same problem in the same way and prints the solution at eleven times.

    Parameters
    ----------
    upload_name
        What the user calls the CSV file that was fitted.
    """
    arguments = [f"    {specification.equations!r},", f"    span={specification.span!r},"]
    if specification.initial:
        arguments.append(f"    initial={specification.initial!r},")
    if specification.params:
        arguments.append(f"    params={dict(specification.params)!r},")
    options = [f"rtol={specification.rtol!r}"]
    if specification.atol is not None:
        options.append(f"atol={specification.atol!r}")
    options.append(f"method={source(method, upload_name)}")
    lines = [
        f"# Made by odenn {__version__}, odenn web.",
        *_remarks(specification, solution),
        "import odenn",
        "",
        "problem = odenn.parse(",
        *arguments,
        ")",
        f"solution = odenn.solve(problem, {', '.join(options)})",
        *_ending(),
    ]
    return "\n".join(lines)


def loading_script(name: str) -> str:
    """Python that opens the solution in a file."""
    return "\n".join(["import odenn", "", f"solution = odenn.load({name!r})", *_ending()])


def _ending() -> list[str]:
    return [
        "print(solution.message)",
        "t = solution.grid(11)",
        "for row in zip(t, *solution(t)):",
        "    print(*map(float, row))",
        "",
    ]


def _remarks(specification: Specification, solution: Solution) -> list[str]:
    if solution.status is Status.BUDGET:
        return [f"# On the page its time limit of {specification.seconds:g} s ended the run; here it has none."]
    if solution.status is Status.INTERRUPTED:
        return ["# On the page the run was stopped before its end; here it goes on to its end."]
    return []


def source(value: Any, upload_name: str | None = None) -> str:
    """Python that makes an object of odenn's options, its defaults left out.

    Examples
    --------
    >>> import odenn
    >>> source(odenn.Residual(network=odenn.MLP([16, 16]), seed=3))
    'odenn.Residual(network=odenn.MLP(hidden=(16, 16)), seed=3)'
    """
    if isinstance(value, Path):
        return repr(upload_name)
    if not is_dataclass(value) or isinstance(value, type):
        assert not (isinstance(value, float) and not math.isfinite(value))
        return repr(value)
    given: list[str] = []
    for each in fields(value):
        part = getattr(value, each.name)
        factory = each.default_factory
        default = factory() if factory is not MISSING else each.default
        if part != default:
            given.append(f"{each.name}={source(part, upload_name)}")
    return f"odenn.{type(value).__name__}({', '.join(given)})"
