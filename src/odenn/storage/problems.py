"""A problem in a file: equations in text form, read again by the closed grammar; a Python function is not stored."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from odenn.problem import IVP
from odenn.storage.checks import Arrays, Content, StorageError, damaged, take, take_array, take_number, take_pair

NO_FUNCTION = "function not stored"


def store_problem(problem: IVP | None, arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """Description of a problem; its initial values are put into `arrays`."""
    if problem is None:
        return None
    arrays["initial"] = problem.initial
    system = problem.system
    return {
        "span": list(problem.span or ()),
        "t0": problem.t0,
        "orders": list(problem.orders),
        "equations": NO_FUNCTION if system is None else {"text": system.text, "parameters": dict(system.parameters)},
    }


def restore_problem(content: Content | None, arrays: Arrays) -> IVP | None:
    """The problem, None where there is no text of it."""
    if content is None or content.get("equations") == NO_FUNCTION:
        return None
    from odenn.equations import reread_system

    equations = take(content, "equations", dict)
    parameters = take(equations, "parameters", dict)
    orders = take(content, "orders", list)
    try:
        system = reread_system(
            take(equations, "text", str), {name: take_number(parameters, name) for name in parameters}
        )
        if list(system.orders) != orders:
            raise damaged(f"its equations have the orders {system.orders}, not {orders}")
        initial = take_array(arrays, "initial", (sum(system.orders),))
        return IVP(system, y0=initial, span=take_pair(content, "span"), t0=take_number(content, "t0"))
    except StorageError:
        raise
    except ValueError as error:
        raise damaged(f"its equations cannot be read: {error}") from error
