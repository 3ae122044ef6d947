"""Solutions as files: arrays as safetensors, everything else as JSON in its header, no pickle.

A file can come from anywhere. So nothing in it is executed: equations are read by the closed grammar, the hidden units
are arrays, and every figure is checked before it is used. A checksum over all of it finds damage that still looks like
a number.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from odenn._version import __version__
from odenn.methods.outcome import Outcome, Stats
from odenn.networks.features import ACTIVATIONS, FeatureUnits
from odenn.networks.legendre import LegendreUnits
from odenn.networks.tables import HiddenUnits
from odenn.networks.windows import Windows
from odenn.problem import IVP
from odenn.solution import Solution
from odenn.status import Status

Array = NDArray[np.float64]

KEY = "odenn"  # of the one entry in the header's metadata, a JSON object
VERSION = 1
CHECKSUM = "sha256"
NO_FUNCTION = "function not stored"
MAX_HEADER = 100_000_000  # bytes, the limit of safetensors itself
# More than any network of odenn has. Evaluating a window takes time and memory that grow with the square of it, so that
# a small file could ask for terabytes.
MAX_UNITS = 1000


class StorageError(ValueError):
    """A file that is no saved solution, or no longer one."""


def save(solution: Solution, path: str | PathLike[str]) -> None:
    """Write a solution to a file, by convention `*.odenn`.

    A file that was there is replaced in one step, once the new one is complete. The equations go with it if they were
    given as text; of a Python function only the solution is stored.

    Raises
    ------
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
    content, arrays = _content(solution)
    _replace_file(path, _packed(content, arrays))


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
    with open(path, "rb") as file:
        try:
            return _solution(*_unpacked(file))
        except StorageError as error:
            raise StorageError(f"cannot load {os.fspath(path)!r}: {error}") from error.__cause__


def _content(solution: Solution) -> tuple[dict[str, Any], dict[str, Array]]:
    """What JSON holds, and what tensors hold."""
    outcome = solution.outcome
    if not isinstance(outcome.windows, Windows):
        raise StorageError(
            "only solutions of Collocation can be saved so far: keep a trained network by "
            "torch.save(solution.network.state_dict(), ...), its values by solution.to_csv(...)"
        )
    arrays: dict[str, Array] = {"floor": outcome.floor, "atol": outcome.atol}
    content = {
        "odenn": __version__,
        "names": list(solution.names),
        "independent": solution.independent,
        "rtol": solution.rtol,
        "reached": list(outcome.reached),
        "status": outcome.status.name,
        "message": outcome.message,
        "stats": asdict(outcome.stats),
        "windows": _store_windows("windows", outcome.windows, arrays),
        "errors": _store_windows("errors", outcome.errors, arrays),
        "problem": _store_problem(solution.problem, arrays),
    }
    return content, arrays


def _store_windows(name: str, windows: Windows, arrays: dict[str, Array]) -> dict[str, Any]:
    for part in ("start", "length", "value", "weights"):
        arrays[f"{name}.{part}"] = getattr(windows, part)
    units = windows.units
    if isinstance(units, LegendreUnits):
        return {"network": "legendre"}
    if isinstance(units, FeatureUnits):
        for part in ("slope", "shift", "mix"):
            arrays[f"{name}.{part}"] = getattr(units, part)
        # How a matrix lies in memory decides the order in which BLAS adds, and so the last bit of a value.
        transposed = not units.mix.flags.c_contiguous
        return {"network": "features", "activation": units.activation, "transposed": transposed}
    raise TypeError(f"a network of {type(units).__name__} cannot be stored: only Legendre and Features can")


def _store_problem(problem: IVP | None, arrays: dict[str, Array]) -> dict[str, Any] | None:
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


def _packed(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    from safetensors.numpy import save as pack

    # safetensors takes the memory of an array as it lies.
    arrays = {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in arrays.items()}
    header = {"version": VERSION, **content, CHECKSUM: _digest(content, arrays)}
    # One entry only: safetensors writes several in an order that changes from run to run.
    return pack(arrays, metadata={KEY: json.dumps(header, allow_nan=False)})


def _digest(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    from hashlib import sha256

    digest = sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _replace_file(path: str | PathLike[str], data: bytes) -> None:
    """Write beside the file, then put it in its place: what was there stays whole whatever happens on the way."""
    target = os.path.realpath(path)  # a link is to keep pointing at the file
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        with open(path, "wb") as file:  # a pipe or a device has no beside
            file.write(data)
        return
    draft = os.path.join(os.path.dirname(target), f".odenn-{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(draft, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if os.path.isfile(target):
                shutil.copymode(target, draft)
            os.replace(draft, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    except OSError as error:
        # The user knows the file by its own name, not by that of the draft.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _unpacked(file: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Content and arrays of a file, its checksum compared; nothing else is known of them yet."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    head, header = _header(file)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise StorageError(
            "it is a safetensors file, but no solution of odenn. Only what solution.save(path) wrote can be loaded"
        )
    content = _json(metadata[KEY])
    _check_version(content.pop("version", None))
    try:
        arrays: dict[str, Array] = unpack(head + file.read())
    except (SafetensorError, KeyError, ValueError, OverflowError, MemoryError) as error:
        raise _damaged(str(error)) from error
    checksum = content.pop(CHECKSUM, None)
    if _digest(content, arrays) != checksum:
        raise _damaged("its checksum does not match")
    return content, arrays


def _header(file: IO[bytes]) -> tuple[bytes, dict[str, Any]]:
    """Start of the file (8 bytes of length, then JSON) as it is and as it reads, before the rest is touched."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    head = start + file.read(1)
    if not size:
        raise StorageError("it is empty. Solve and save again, or restore the file from a copy")
    if len(head) < 9 or length > MAX_HEADER or head[8:] != b"{":
        raise StorageError("it is no solution of odenn. Only what solution.save(path) wrote can be loaded")
    if 8 + length > size:
        raise _damaged(f"it ends after {size} bytes")
    head += file.read(length - 1)
    return head, _json(head[8:])


def _check_version(version: Any) -> None:
    if type(version) is not int or version < 1:
        raise _damaged(f"its version is {version!r:.60}")
    if version > VERSION:
        raise StorageError(
            f"it was written by a later version of odenn (format {version}, this one reads up to {VERSION}). "
            "Install a later odenn to read it"
        )


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged("its description is not JSON") from error
    if not isinstance(value, dict):
        raise _damaged("its description is not a JSON object")
    return value


def _damaged(what: str) -> StorageError:
    return StorageError(f"it is damaged: {what}. Solve and save again, or restore the file from a copy")


def _solution(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> Solution:
    """The solution of a content of which nothing is known yet."""
    names = tuple(_get(content, "names", list))
    if not (names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)):
        raise _damaged("`names` must be different texts")
    windows, errors = (_windows(name, content, arrays, len(names)) for name in ("windows", "errors"))
    reached = _pair(content, "reached")
    for part in (windows, errors):
        _check_cover(part, reached)
    status = Status.__members__.get(_get(content, "status", str))
    if status is None:
        raise _damaged(f"`status` is {content['status']!r}")
    rtol = _number(content, "rtol")
    if not 0 < rtol < 1:
        raise _damaged(f"`rtol` is {rtol:g}")
    outcome = Outcome(
        windows=windows,
        errors=errors,
        floor=_array(arrays, "floor", (errors.start.size, len(names))),
        atol=_array(arrays, "atol", (len(names),)),
        reached=reached,
        status=status,
        message=_get(content, "message", str),
        stats=_stats(_get(content, "stats", dict)),
    )
    independent = _get(content, "independent", str)
    problem = _problem(content, arrays)
    if problem is not None and (problem.names, problem.independent) != (names, independent):
        raise _damaged(f"its equations are for {', '.join(problem.names)}, its solution is for {', '.join(names)}")
    return Solution(problem=problem, outcome=outcome, rtol=rtol, names=names, independent=independent)


def _windows(name: str, content: Mapping[str, Any], arrays: Mapping[str, Array], n: int) -> Windows:
    weights = _array(arrays, f"{name}.weights", (None, n, None))
    W, r = weights.shape[0], weights.shape[2]
    start, length = (_array(arrays, f"{name}.{part}", (W,)) for part in ("start", "length"))
    windows = Windows(start, length, _array(arrays, f"{name}.value", (W, n)), weights, _units(name, content, arrays, r))
    left = windows.left
    right = left + np.abs(length)
    if not (np.isfinite(left).all() and np.isfinite(right).all() and (length != 0).all() and (np.diff(left) > 0).all()):
        raise _damaged(f"the {name} do not follow each other in time")
    # Ends that should be equal differ by the rounding of start + length.
    if (np.abs(left[1:] - right[:-1]) > 1e-9 * np.maximum(np.abs(left[1:]), np.abs(right[:-1]))).any():
        raise _damaged(f"the {name} have gaps or overlap")
    return windows


def _units(name: str, content: Mapping[str, Any], arrays: Mapping[str, Array], r: int) -> HiddenUnits:
    if not 1 <= r <= MAX_UNITS:
        raise _damaged(f"the {name} have {r} units each, where 1 to {MAX_UNITS} are possible")
    network = _get(content, name, dict)
    kind = _get(network, "network", str)
    if kind == "legendre":
        return LegendreUnits(r)
    if kind != "features" or network.get("activation") not in ACTIVATIONS:
        raise _damaged(f"its network is {kind!r} with activation {network.get('activation')!r}")
    mix = _array(arrays, f"{name}.mix", (None, r))
    slope, shift = (_array(arrays, f"{name}.{part}", mix.shape[:1]) for part in ("slope", "shift"))
    if len(mix) > MAX_UNITS or not (np.isfinite(mix).all() and np.isfinite(shift).all() and np.isfinite(slope).all()):
        raise _damaged(f"the hidden layer of the {name} is too large or not finite")
    if not slope.all():
        raise _damaged(f"the hidden layer of the {name} has a slope of zero")
    return FeatureUnits(
        network["activation"], slope, shift, np.array(mix, order="F" if _get(network, "transposed", bool) else "C")
    )


def _check_cover(windows: Windows, reached: tuple[float, float]) -> None:
    left, right = reached
    if not left <= right:
        raise _damaged(f"it reaches from {left:g} to {right:g}")
    if not windows.start.size:
        return
    ends = windows.left[0], windows.left[-1] + abs(windows.length[-1])
    if max(abs(ends[0] - left), abs(ends[1] - right)) > 1e-9 * max(abs(left), abs(right)):
        raise _damaged(f"it reaches from {left:g} to {right:g}, its windows from {ends[0]:g} to {ends[1]:g}")


def _stats(content: Mapping[str, Any]) -> Stats:
    counts: dict[str, Any] = {}
    for field in fields(Stats):
        value = _number(content, field.name)
        if value < 0 or (field.name != "seconds" and type(content[field.name]) is not int):
            raise _damaged(f"`{field.name}` is {value:g}")
        counts[field.name] = content[field.name]
    return Stats(**counts)


def _problem(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> IVP | None:
    if content.get("problem") is None:
        return None
    problem = _get(content, "problem", dict)
    if problem.get("equations") == NO_FUNCTION:
        return None
    from odenn.equations import parse_system

    equations = _get(problem, "equations", dict)
    parameters = _get(equations, "parameters", dict)
    orders = _get(problem, "orders", list)
    try:
        system = parse_system(
            _get(equations, "text", str), parameters={name: _number(parameters, name) for name in parameters}
        )
        if list(system.orders) != orders:
            raise _damaged(f"its equations have the orders {system.orders}, not {orders}")
        initial = _array(arrays, "initial", (sum(system.orders),))
        return IVP(system, y0=initial, span=_pair(problem, "span"), t0=_number(problem, "t0"))
    except StorageError:
        raise
    except ValueError as error:
        raise _damaged(f"its equations cannot be read: {error}") from error


def _array(arrays: Mapping[str, Array], name: str, shape: tuple[int | None, ...]) -> Array:
    """A tensor of float64; None in `shape` allows any length."""
    array = arrays.get(name)
    if array is None:
        raise _damaged(f"the array `{name}` is missing")
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.float64:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise _damaged(f"the array `{name}` has shape {array.shape} of {array.dtype}, expected ({wanted}) of float64")
    return array.copy()  # out of the file's bytes, to memory that is aligned and can be written to


def _get(content: Mapping[str, Any], name: str, kind: type) -> Any:
    value = content.get(name)
    if not isinstance(value, kind):
        raise _damaged(f"`{name}` is {value!r:.60}")
    return value


def _number(content: Mapping[str, Any], name: str) -> float:
    value = content.get(name)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise _damaged(f"`{name}` is {value!r:.60}, not a finite number")


def _pair(content: Mapping[str, Any], name: str) -> tuple[float, float]:
    values = _get(content, name, list)
    if len(values) != 2:
        raise _damaged(f"`{name}` is {values!r:.60}, not two numbers")
    first, second = ({name: value} for value in values)
    return _number(first, name), _number(second, name)
