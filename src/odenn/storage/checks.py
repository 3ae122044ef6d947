"""A figure out of a file is taken only if it is what it has to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Content = Mapping[str, Any]
"""What JSON holds."""
Arrays = Mapping[str, NDArray[Any]]
"""What tensors hold, by name."""


class StorageError(ValueError):
    """A file that is not what odenn saved, or no longer; or a solution that cannot be saved."""


def damaged(what: str) -> StorageError:
    """The error for a file of odenn that says what it cannot say."""
    return StorageError(f"it is damaged: {what}. Make it again, or restore it from a copy")


def take(content: Content, name: str, kind: type) -> Any:
    """The entry `name`, of the type `kind`."""
    value = content.get(name)
    if not isinstance(value, kind):
        raise damaged(f"`{name}` is {value!r:.60}")
    return value


def take_number(content: Content, name: str) -> float:
    """The entry `name`, a finite number."""
    value = content.get(name)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise damaged(f"`{name}` is {value!r:.60}, not a finite number")


def take_count(content: Content, name: str) -> int:
    """The entry `name`, a whole number, 0 or more."""
    value = content.get(name)
    if type(value) is not int or value < 0:
        raise damaged(f"`{name}` is {value!r:.60}, not a count")
    return value


def take_pair(content: Content, name: str) -> tuple[float, float]:
    """The entry `name`, two finite numbers."""
    values = take(content, name, list)
    if len(values) != 2:
        raise damaged(f"`{name}` is {values!r:.60}, not two numbers")
    first, second = ({name: value} for value in values)
    return take_number(first, name), take_number(second, name)


def take_array(arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """The array `name` in memory of its own; None in `shape` allows any length. Its values may be anything."""
    array = arrays.get(name)
    if array is None:
        raise damaged(f"the array `{name}` is missing")
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise damaged(
            f"the array `{name}` has shape {array.shape} of {array.dtype}, expected ({wanted}) of {np.dtype(dtype)}"
        )
    return array.copy()  # out of the file's bytes, to memory that is aligned and can be written to
