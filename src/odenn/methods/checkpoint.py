"""Checkpoints: what a training run has found so far, in a file, so that it can go on from there bit by bit.

Between two trainings of a network everything that a method does follows from what the first one found. So a checkpoint
holds the networks that were trained, in their order, and where the optimiser of the one in training stands. To resume
is to run again from the start, with trainings that are looked up instead of done.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from hashlib import sha256
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from odenn._version import __version__
from odenn.networks.tables import Array
from odenn.optimise.objective import Fit, Record, Snapshot
from odenn.problem import IVP
from odenn.storage import checks, files
from odenn.storage.checks import StorageError
from odenn.storage.training import restore_history, store_history

KIND = "checkpoint"
# Options that decide when a run ends or what is watched, not how it goes: they may differ when it is resumed.
FREE = ("max_seconds", "max_windows", "reference")
PROBES = np.array([0.0, 0.5, 1.0])  # parts of the span at which right-hand sides are compared


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a run is written down, and every how many seconds."""

    path: str | PathLike[str]
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | PathLike):
            raise TypeError(f"`checkpoint` must be the path of a file, got {self.path!r}")
        if not (isinstance(self.seconds, int | float) and self.seconds > 0):
            raise ValueError(f"`checkpoint_seconds` must be a positive number, got {self.seconds!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A network that was trained, and the place it was trained for."""

    place: tuple[float, ...]  # window, states at its start, goal, ...: what must be the same again
    fit: Fit


@dataclass(frozen=True, kw_only=True, eq=False)
class Pending:
    """The network in training."""

    place: tuple[float, ...]
    snapshot: Snapshot
    history: tuple[Record, ...]
    generators: Sequence[Tensor]  # their states


@dataclass(kw_only=True, eq=False)
class Journal:
    """A run so far."""

    checkpoint: Checkpoint
    run: Mapping[str, Any]  # which run it is: problem, method, tolerances
    entries: list[Entry] = field(default_factory=list[Entry])
    generators: Sequence[Tensor] = ()  # states after the last entry
    worst: list[float] = field(default_factory=list[float])  # estimates / tolerance of attempts that missed it
    pending: Pending | None = None
    seconds: float = 0.0  # that the run has taken

    @classmethod
    def open(cls, checkpoint: Checkpoint, run: Mapping[str, Any]) -> Journal:
        """The run that the file holds; where there is none, a new one, written at once to see that it can be.

        Raises
        ------
        StorageError
            A ValueError: the file is no checkpoint, damaged, of another version of odenn, or of another run.
        OSError
            If the file cannot be read or written.
        """
        if not os.path.exists(checkpoint.path):
            journal = cls(checkpoint=checkpoint, run=run)
            journal.write()
            return journal
        with files.naming(checkpoint.path):
            content, arrays = files.read(checkpoint.path, kind=KIND)
            _check_run(checks.take(content, "run", dict), run)
            try:
                return cls(checkpoint=checkpoint, run=run, **_restored(content, arrays))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise checks.damaged(str(error)) from error

    def write(self) -> None:
        """Replace the file in one step."""
        fits = [entry.fit for entry in self.entries]
        tensors: list[Tensor] = []
        pending = self.pending
        content = {
            "run": self.run,
            "seconds": self.seconds,
            "worst": encoded(self.worst, tensors),
            "fits": [[encoded(fit.largest, tensors), fit.iterations, fit.stop, len(fit.history)] for fit in fits],
            "pending": None if pending is None else encoded(pending.snapshot, tensors),
        }
        arrays: dict[str, NDArray[Any]] = {
            "w": _stacked([fit.w for fit in fits]),
            "places": np.array([entry.place for entry in self.entries], dtype=float),
            "generators": _stacked(self.generators),
            **{f"tensor.{i}": tensor.detach().cpu().numpy() for i, tensor in enumerate(tensors)},
        }
        store_history(tuple(record for fit in fits for record in fit.history), arrays)
        if pending is not None:
            arrays["pending.place"] = np.array(pending.place, dtype=float)
            arrays["pending.generators"] = _stacked(pending.generators)
            store_history(pending.history, arrays, "pending.history")
        files.write(self.checkpoint.path, content, arrays, kind=KIND)

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.checkpoint.path)


def describe(problem: IVP, method: Any, *, rtol: float, atol: Array, data: Sequence[Array] = ()) -> dict[str, Any]:
    """What makes a run this run and no other, as JSON has it; `data` are the samples of a fit."""
    options = {each.name: getattr(method, each.name) for each in fields(method) if each.name not in FREE}
    if data:
        options["data"] = digest(data)
    return {
        "odenn": __version__,
        "torch": torch.__version__,
        "problem": {
            "equations": "a Python function" if problem.system is None else problem.system.text,
            "orders": list(problem.orders),
            "initial values": problem.initial.tolist(),
            "t0": problem.t0,
            "span": list(problem.span or ()),
            "right-hand side": [encoded(value, []) for value in probed(problem).tolist()],
        },
        "method": {"name": type(method).__name__, **{name: _option(value) for name, value in options.items()}},
        "tolerances": {"rtol": rtol, "atol": atol.tolist()},
    }


def encoded(value: Any, tensors: list[Tensor]) -> Any:
    """`value` as JSON has it; its tensors are appended to `tensors`, and their places stand for them."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"number": repr(float(value))}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [encoded(each, tensors) for each in value]
    if isinstance(value, Mapping):
        return {"map": [[key, encoded(each, tensors)] for key, each in value.items()]}
    raise TypeError(f"the optimiser's state holds a {type(value).__name__}, which a checkpoint cannot hold")


def decoded(value: Any, tensors: Sequence[Tensor]) -> Any:
    """The inverse of `encoded`."""
    if isinstance(value, list):
        return [decoded(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "number":
        return float(inner)
    if kind == "map":
        return {key: decoded(each, tensors) for key, each in inner}
    raise ValueError(f"it holds a {kind!r:.30}")


def _restored(content: checks.Content, arrays: checks.Arrays) -> dict[str, Any]:
    """Fields of a journal."""
    # Copied out of the file's bytes, to memory that is aligned: how it lies decides the last bit of a sum.
    count = sum(name.startswith("tensor.") for name in arrays)
    tensors = [torch.tensor(arrays[f"tensor.{i}"]) for i in range(count)]
    history = restore_history(arrays)
    entries: list[Entry] = []
    begin = 0
    for i, (largest, iterations, stop, length) in enumerate(checks.take(content, "fits", list)):
        fit = Fit(
            w=torch.tensor(arrays["w"][i]),
            largest=decoded(largest, tensors),
            iterations=int(iterations),
            stop=str(stop),
            history=history[begin : begin + length],
        )
        begin += length
        entries.append(Entry(place=tuple(arrays["places"][i].tolist()), fit=fit))
    snapshot = content.get("pending")
    return {
        "entries": entries,
        "generators": [torch.tensor(row) for row in arrays["generators"]],
        "worst": decoded(checks.take(content, "worst", list), tensors),
        "seconds": checks.take_number(content, "seconds"),
        "pending": None
        if snapshot is None
        else Pending(
            place=tuple(arrays["pending.place"].tolist()),
            snapshot=decoded(snapshot, tensors),
            history=restore_history(arrays, "pending.history"),
            generators=[torch.tensor(row) for row in arrays["pending.generators"]],
        ),
    }


def _check_run(found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run, and say in what it differs."""
    remedy = "Delete the file, or name another, to start anew"
    for name in ("odenn", "torch"):
        if found.get(name) != asked[name]:
            raise StorageError(
                f"its run was begun with {name} {found.get(name)!s:.30}, this is {asked[name]}, with which it would "
                f"not go on as it began. Resume it there. {remedy}"
            )
    asked = json.loads(json.dumps(asked))
    for part in ("problem", "method", "tolerances"):
        old, new = checks.take(found, part, dict), asked[part]
        for name in {**old, **new}:
            if not _same(old.get(name), new.get(name)):
                values = (
                    "" if name == "right-hand side" else f" ({old.get(name)!s:.60} there, {new.get(name)!s:.60} here)"
                )
                raise StorageError(f"it belongs to another run: the {part}'s {name} differs{values}. {remedy}")


def _same(old: Any, new: Any) -> bool:
    """Equal; numbers of the right-hand side but for rounding, which differs between machines."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return all(_same(*pair) for pair in zip(old, new, strict=True))
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-12)
    return old == new


def probed(problem: IVP) -> Array:
    """Right-hand sides at a few times and states near the initial one: what a function does instead of what it is."""
    first, last = problem.span or (0.0, 1.0)
    z = problem.initial
    states = z[:, None] * (1 + 1e-2 * PROBES) + 1e-2 * problem.size * PROBES
    with np.errstate(all="ignore"):
        return problem.rhs(first + (last - first) * PROBES, states).reshape(-1)


def _option(value: Any) -> str:
    if isinstance(value, nn.Module):
        state = value.state_dict()
        return f"{value!r} {digest([state[name].detach().cpu().numpy() for name in sorted(state)])}"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return repr(list(value) if isinstance(value, tuple) else value)  # pyright: ignore[reportUnknownArgumentType]


def digest(arrays: Sequence[NDArray[Any]]) -> str:
    """A fingerprint of their shapes and values."""
    found = sha256()
    for array in arrays:
        found.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _stacked(tensors: Sequence[Tensor]) -> NDArray[Any]:
    return torch.stack([tensor.detach().cpu() for tensor in tensors]).numpy() if tensors else np.empty((0, 0))
