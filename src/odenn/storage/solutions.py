"""Solutions as files: the network with its evidence, and the equations where they are text."""

from __future__ import annotations

from dataclasses import asdict, fields
from os import PathLike
from typing import Any

from numpy.typing import NDArray

from odenn._version import __version__
from odenn.methods.outcome import Outcome, SpanFunction, Stats, Training
from odenn.networks.windows import Windows
from odenn.solution import Solution
from odenn.status import Status
from odenn.storage.checks import (
    Arrays,
    Content,
    damaged,
    take,
    take_array,
    take_count,
    take_number,
    take_pair,
)
from odenn.storage.files import naming, read, write
from odenn.storage.problems import restore_problem, store_problem
from odenn.storage.windows import check_cover, restore_windows, store_windows


def save(solution: Solution, path: str | PathLike[str]) -> None:
    """Write a solution to a file, by convention `*.odenn`.

    A file that was there is replaced in one step, once the new one is complete. The equations go with it if they were
    given as text; of a Python function only the solution is stored.

    Raises
    ------
    StorageError
        If a network was trained that is a module of the user's own: its class cannot be stored.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import odenn, tempfile
    >>> solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 5)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(solution, f"{folder}/decay.odenn")
    ...     again = load(f"{folder}/decay.odenn")
    >>> again(2.0) == solution(2.0), again.problem.system.text
    (array([ True]), "y' = -y; y(0) = 1")
    """
    if not isinstance(solution, Solution):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody checks types
        raise TypeError(f"`solution` must be an odenn.Solution, got {type(solution).__name__}")
    write(path, *store_solution(solution))


def load(path: str | PathLike[str]) -> Solution:
    """Read a solution that `save` wrote; it evaluates to the same bits.

    Where the problem was a Python function, `problem` is None: values, derivatives and errors are there, but residuals
    and verification need the equation.

    Raises
    ------
    StorageError
        A ValueError: the file is damaged, of another kind, or written by a later version.
    OSError
        If the file cannot be read.
    """
    with naming(path):
        return restore_solution(*read(path))


def store_solution(solution: Solution) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What JSON holds, and what tensors hold."""
    outcome = solution.outcome
    arrays: dict[str, NDArray[Any]] = {"floor": outcome.floor, "atol": outcome.atol}
    content = {
        "odenn": __version__,
        "names": list(solution.names),
        "independent": solution.independent,
        "rtol": solution.rtol,
        "reached": list(outcome.reached),
        "status": outcome.status.name,
        "message": outcome.message,
        "stats": asdict(outcome.stats),
        "windows": _store_network(outcome.windows, arrays),
        "errors": store_windows("errors", outcome.errors, arrays),
        "problem": store_problem(solution.problem, arrays),
        "training": _store_training(outcome.training, arrays),
    }
    return content, arrays


def restore_solution(content: Content, arrays: Arrays) -> Solution:
    """The solution of a content of which nothing is known yet."""
    names = tuple(take(content, "names", list))
    if not (names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)):
        raise damaged("`names` must be different texts")
    n = len(names)
    windows = _restore_network(take(content, "windows", dict), arrays, n)
    errors = restore_windows("errors", take(content, "errors", dict), arrays, n)
    reached = take_pair(content, "reached")
    for part in (windows, errors):
        check_cover(part.start, part.length, reached)
    status = Status.__members__.get(take(content, "status", str))
    if status is None:
        raise damaged(f"`status` is {content['status']!r:.60}")
    rtol = take_number(content, "rtol")
    if not 0 < rtol < 1:
        raise damaged(f"`rtol` is {rtol:g}")
    outcome = Outcome(
        windows=windows,
        errors=errors,
        floor=take_array(arrays, "floor", (errors.start.size, n)),
        atol=take_array(arrays, "atol", (n,)),
        reached=reached,
        status=status,
        message=take(content, "message", str),
        stats=_stats(take(content, "stats", dict)),
        training=_restore_training(content, arrays),
    )
    independent = take(content, "independent", str)
    stored = None if content.get("problem") is None else take(content, "problem", dict)
    problem = restore_problem(stored, arrays)
    if problem is not None and (problem.names, problem.independent) != (names, independent):
        raise damaged(f"its equations are for {', '.join(problem.names)}, its solution is for {', '.join(names)}")
    return Solution(problem=problem, outcome=outcome, rtol=rtol, names=names, independent=independent)


# Trained networks need torch: what deals with them is opened for them only.


def _store_network(network: SpanFunction, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    if isinstance(network, Windows):
        return store_windows("windows", network, arrays)
    from odenn.methods.trained import TrainedNetworks
    from odenn.storage.trained import store_trained

    assert isinstance(network, TrainedNetworks)
    return store_trained("windows", network, arrays)


def _restore_network(content: Content, arrays: Arrays, n: int) -> SpanFunction:
    if content.get("network") != "mlp":
        return restore_windows("windows", content, arrays, n)
    from odenn.storage.trained import restore_trained

    return restore_trained("windows", content, arrays, n)


def _store_training(training: Training | None, arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    if training is None:
        return None
    from odenn.storage.training import store_training

    return store_training(training, arrays)


def _restore_training(content: Content, arrays: Arrays) -> Training | None:
    if content.get("training") is None:
        return None
    from odenn.storage.training import restore_training

    return restore_training(take(content, "training", dict), arrays)


def _stats(content: Content) -> Stats:
    content = {"iterations": 0, **content}  # files of version 1: Collocation makes none
    counts = {field.name: take_count(content, field.name) for field in fields(Stats) if field.name != "seconds"}
    seconds = take_number(content, "seconds")
    if seconds < 0:
        raise damaged(f"`seconds` is {seconds:g}")
    return Stats(**counts, seconds=seconds)
