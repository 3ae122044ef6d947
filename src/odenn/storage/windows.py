"""The networks of Collocation in a file, and the order in time of any windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odenn.networks.features import ACTIVATIONS, FeatureUnits
from odenn.networks.legendre import LegendreUnits
from odenn.networks.tables import Array, HiddenUnits
from odenn.networks.windows import Windows
from odenn.storage.checks import Arrays, Content, damaged, take, take_array

# More than any network of odenn has. Evaluating a window takes time and memory that grow with the square of it, so that
# a small file could ask for terabytes.
MAX_UNITS = 1000


def store_windows(name: str, windows: Windows, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Description of the windows; their arrays are put into `arrays` under `name`."""
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


def restore_windows(name: str, network: Content, arrays: Arrays, n: int) -> Windows:
    """Windows of n components from their description."""
    weights = take_array(arrays, f"{name}.weights", (None, n, None))
    W, r = weights.shape[0], weights.shape[2]
    start, length = (take_array(arrays, f"{name}.{part}", (W,)) for part in ("start", "length"))
    check_sequence(name, start, length)
    value = take_array(arrays, f"{name}.value", (W, n))
    return Windows(start, length, value, weights, _units(name, network, arrays, r))


def check_sequence(name: str, start: Array, length: Array) -> None:
    """Windows must follow each other in time, without gaps."""
    left = np.minimum(start, start + length)
    right = left + np.abs(length)
    if not (np.isfinite(left).all() and np.isfinite(right).all() and (length != 0).all() and (np.diff(left) > 0).all()):
        raise damaged(f"the {name} do not follow each other in time")
    # Ends that should be equal differ by the rounding of start + length.
    if (np.abs(left[1:] - right[:-1]) > 1e-9 * np.maximum(np.abs(left[1:]), np.abs(right[:-1]))).any():
        raise damaged(f"the {name} have gaps or overlap")


def check_cover(start: Array, length: Array, reached: tuple[float, float]) -> None:
    """The windows must end where the solution does."""
    left, right = reached
    if not left <= right:
        raise damaged(f"it reaches from {left:g} to {right:g}")
    if not start.size:
        return
    first, last = min(start[0], start[0] + length[0]), max(start[-1], start[-1] + length[-1])
    if max(abs(first - left), abs(last - right)) > 1e-9 * max(abs(left), abs(right)):
        raise damaged(f"it reaches from {left:g} to {right:g}, its windows from {first:g} to {last:g}")


def _units(name: str, network: Content, arrays: Arrays, r: int) -> HiddenUnits:
    if not 1 <= r <= MAX_UNITS:
        raise damaged(f"the {name} have {r} units each, where 1 to {MAX_UNITS} are possible")
    kind = take(network, "network", str)
    if kind == "legendre":
        return LegendreUnits(r)
    if kind != "features" or network.get("activation") not in ACTIVATIONS:
        raise damaged(f"its network is {kind!r:.60} with activation {network.get('activation')!r:.60}")
    mix = take_array(arrays, f"{name}.mix", (None, r))
    slope, shift = (take_array(arrays, f"{name}.{part}", mix.shape[:1]) for part in ("slope", "shift"))
    if len(mix) > MAX_UNITS or not (np.isfinite(mix).all() and np.isfinite(shift).all() and np.isfinite(slope).all()):
        raise damaged(f"the hidden layer of the {name} is too large or not finite")
    if not slope.all():
        raise damaged(f"the hidden layer of the {name} has a slope of zero")
    return FeatureUnits(
        network["activation"], slope, shift, np.array(mix, order="F" if take(network, "transposed", bool) else "C")
    )
