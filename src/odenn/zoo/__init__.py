"""Named initial value problems with known solutions: what odenn is tested, measured and shown on.

>>> from odenn import zoo
>>> orbit = zoo.get("kepler")
>>> t, y = orbit.reference()
>>> y.shape
(2, 1001)
>>> zoo.get("keppler")
Traceback (most recent call last):
    ...
ValueError: `name` is 'keppler', which the zoo does not have. Did you mean 'kepler'? zoo.names() lists all.
"""

from __future__ import annotations

from difflib import get_close_matches

from odenn.zoo._linear import LINEAR
from odenn.zoo._nonlinear import NONLINEAR
from odenn.zoo._problem import ZooProblem
from odenn.zoo._stiff import STIFF

__all__ = ["ZooProblem", "all_problems", "get", "names"]

_PROBLEMS = {problem.name: problem for problem in (*LINEAR, *NONLINEAR, *STIFF)}


def names() -> tuple[str, ...]:
    """Return the names of all problems."""
    return tuple(_PROBLEMS)


def all_problems() -> tuple[ZooProblem, ...]:
    """Return all problems: linear, then nonlinear, then nonlinear stiff ones."""
    return tuple(_PROBLEMS.values())


def get(name: str) -> ZooProblem:
    """Return the problem called `name`; raise ValueError, with names that are near, if there is none."""
    if name in _PROBLEMS:
        return _PROBLEMS[name]
    near = " or ".join(repr(close) for close in get_close_matches(name, _PROBLEMS))
    hint = f" Did you mean {near}?" if near else ""
    raise ValueError(f"`name` is {name!r}, which the zoo does not have.{hint} zoo.names() lists all.")
