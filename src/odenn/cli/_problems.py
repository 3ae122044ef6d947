"""The problem that a command line states."""

from __future__ import annotations

import odenn
from odenn import IVP
from odenn.cli._failures import UsageError, user_mistakes
from odenn.cli._figures import plain_number
from odenn.cli._files import read_equations


def stated_problem(equations: str, span: tuple[str, str], initial: list[str] | None, param: list[str] | None) -> IVP:
    """Read equations (text, `-` or @FILE), span, initial conditions and parameters."""
    start, end = (plain_number(text, f"--span takes two numbers, such as 0 10, got {text!r}") for text in span)
    text, params = read_equations(equations), _parameters(param or [])
    with user_mistakes():
        return odenn.parse(text, span=(start, end), initial="\n".join(initial or ()) or None, params=params or None)


def file_of_equations(equations: str) -> str | None:
    """The file that the equations are read from, if they are."""
    return equations[1:] if equations.startswith("@") else None


def _parameters(given: list[str]) -> dict[str, float]:
    params: dict[str, float] = {}
    for item in given:
        name, _, value = (part.strip() for part in item.partition("="))
        number = plain_number(
            value if name else "",
            f"--param takes a name and a number, such as k=2, got {item!r}; repeat --param for further ones",
        )
        if name in params:
            raise UsageError(f"--param gives {name!r} twice: {params[name]:g} and {number:g}")
        params[name] = number
    return params
