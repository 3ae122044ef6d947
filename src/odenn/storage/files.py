"""A file of odenn: arrays as safetensors, everything else as JSON in its header, no pickle.

A file can come from anywhere, so nothing in it is executed, and its lengths are checked before memory is taken. A
checksum over all of it finds damage that still looks like a number. What the figures mean is for the caller to check
(see `checks`): a file with the right checksum can still hold anything.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from odenn.storage.checks import Arrays, Content, StorageError, damaged

KEY = "odenn"  # of the one entry in the header's metadata, a JSON object
VERSION = 2  # 1: solutions of Collocation only
CHECKSUM = "sha256"
MAX_HEADER = 100_000_000  # bytes, the limit of safetensors itself
DTYPES = ("float64", "float32", "int64", "uint8", "bool")


def write(path: str | PathLike[str], content: Content, arrays: Arrays, *, kind: str = "solution") -> None:
    """Write a file in one step: what was there stays whole until the new file is complete.

    Parameters
    ----------
    content
        What JSON can hold, finite numbers only; `version`, `kind` and `sha256` are the format's own names.
    arrays
        Arrays by name, of float64, float32, int64, uint8 or bool; values may be anything, NaN included.
    kind
        What it is a file of, in a word; `read` asks for the same.

    Raises
    ------
    TypeError, ValueError
        If JSON cannot hold the content, or an array is of another type.
    OSError
        If the file cannot be written; it names `path`.
    """
    replace_file(path, _packed({"kind": kind, **content}, arrays))


def read(path: str | PathLike[str], *, kind: str = "solution") -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Content and arrays of a file that `write` wrote, whole and of the kind that is asked for.

    Raises
    ------
    StorageError
        A ValueError: the file is damaged, of another kind, or written by a later version. It does not name the file:
        see `naming`.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        content, arrays = _unpacked(file, kind)
    found = content.pop("kind", "solution")  # version 1 had no other
    if found != kind:
        raise StorageError(f"it holds a {found!s:.30} of odenn, not a {kind}")
    return content, arrays


@contextmanager
def naming(path: str | PathLike[str]) -> Generator[None]:
    """Put the file's name before the message of a StorageError.

    Around `read` and around all that is then made of the file.
    """
    try:
        yield
    except StorageError as error:
        raise StorageError(f"cannot load {os.fspath(path)!r}: {error}") from error.__cause__


def _packed(content: Content, arrays: Arrays) -> bytes:
    from safetensors.numpy import save as pack

    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"the array `{name}` is of {array.dtype}: only {', '.join(DTYPES)} can be stored")
    # safetensors takes the memory of an array as it lies.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {"version": VERSION, **content, CHECKSUM: _digest(content, arrays)}
    # One entry only: safetensors writes several in an order that changes from run to run.
    return pack(arrays, metadata={KEY: json.dumps(header, allow_nan=False)})


def _digest(content: Content, arrays: Arrays) -> str:
    from hashlib import sha256

    digest = sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def replace_file(path: str | PathLike[str], data: bytes) -> None:
    """Write beside the file, then put it in its place: it is never there in part."""
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


def _unpacked(file: IO[bytes], kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Content and arrays of a file, its checksum compared; nothing else is known of them yet."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    head, header = _header(file, kind)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise StorageError(f"it is a safetensors file, but {_foreign(kind)}")
    content = _json(metadata[KEY])
    _check_version(content.pop("version", None))
    try:
        arrays = unpack(head + file.read())
    except (SafetensorError, KeyError, ValueError, OverflowError, MemoryError) as error:
        raise damaged(str(error)) from error
    checksum = content.pop(CHECKSUM, None)
    if _digest(content, arrays) != checksum:
        raise damaged("its checksum does not match")
    return content, arrays


def _header(file: IO[bytes], kind: str) -> tuple[bytes, dict[str, Any]]:
    """Start of the file (8 bytes of length, then JSON) as it is and as it reads, before the rest is touched."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    head = start + file.read(1)
    if not size:
        raise StorageError("it is empty. Make it again, or restore it from a copy")
    if len(head) < 9 or length > MAX_HEADER or head[8:] != b"{":
        raise StorageError(f"it is {_foreign(kind)}")
    if 8 + length > size:
        raise damaged(f"it ends after {size} bytes")
    head += file.read(length - 1)
    return head, _json(head[8:])


def _foreign(kind: str) -> str:
    written = "what solution.save(path) wrote" if kind == "solution" else f"a {kind} that odenn wrote"
    return f"no {kind} of odenn. Only {written} can be loaded"


def _check_version(version: Any) -> None:
    if type(version) is not int or version < 1:
        raise damaged(f"its version is {version!r:.60}")
    if version > VERSION:
        raise StorageError(
            f"it was written by a later version of odenn (format {version}, this one reads up to {VERSION}). "
            "Install a later odenn to read it"
        )


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged("its description is not JSON") from error
    if not isinstance(value, dict):
        raise damaged("its description is not a JSON object")
    return value
