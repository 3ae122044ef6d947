"""How a user's right-hand side wants to be called: found out once, so that the engine need not ask."""

from __future__ import annotations

import sys
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odenn.wording import counted

Array = NDArray[np.float64]
Rhs = Callable[[Array, Array, Array, Array], None]
"""fill(t (k,), Z (N, k), p (P,), out (n, k)): the highest derivatives, in place."""
Jacobian = Callable[[float, Array, Array, Array], None]
"""fill_jacobian(t, z (N,), p (P,), out (n, N)): their derivatives by the states, in place."""


BANDED = 16  # states from which on few diagonals are made use of
GOLDEN = 0.6180339887498949  # multiples of it, without their whole parts, are spread evenly and never repeat


@dataclass(frozen=True)
class Checked:
    """A right-hand side of first order that odenn made itself, with its derivatives: taken as it is, not tried out."""

    fill: Rhs
    fill_jacobian: Jacobian


class PerformanceWarning(UserWarning):
    """The problem can be solved as it stands, but a small change would make it many times faster."""


def positional(f: Callable[..., Any], n: int, order: int, params: Mapping[str, float] | None) -> Callable[..., Any]:
    """call(t, Z) that splits the states into y, dy, ... and appends the parameters."""
    extra = (parameters_of(params),) if params is not None else ()
    if order == 1 and not extra:
        return f
    slices = [slice(level * n, (level + 1) * n) for level in range(order)]

    def first_order(t: Any, Z: Any) -> Any:
        return f(t, Z, *extra)

    def higher_order(t: Any, Z: Any) -> Any:
        return f(t, *[Z[part] for part in slices], *extra)

    return first_order if order == 1 else higher_order


def parameters_of(params: Mapping[str, float]) -> Any:
    """The object from which a right-hand side reads `p.name`; a named tuple, which Numba understands too."""
    try:
        # The fields are known only here.
        return namedtuple("Parameters", params)(**params)  # pyright: ignore[reportUntypedNamedTuple]
    except (TypeError, ValueError) as error:
        raise ValueError(f"`params` must map names to values, got {params!r}: {error}") from None


def fill_numpy(call: Callable[..., Any], n: int) -> Rhs:
    def fill(t: Array, Z: Array, p: Array, out: Array) -> None:
        rows = call(t, Z)
        if isinstance(rows, list | tuple):
            for i in range(n):
                out[i] = rows[i]
        else:
            out[...] = rows

    return fill


def fill_torch(call: Callable[..., Any], n: int) -> Rhs:
    import torch

    def fill(t: Array, Z: Array, p: Array, out: Array) -> None:
        with torch.no_grad():
            rows = call(torch.from_numpy(t), torch.from_numpy(Z))
        for i in range(n):
            out[i] = rows[i]

    return fill


def fill_pointwise(call: Callable[..., Any], n: int) -> Rhs:
    def fill(t: Array, Z: Array, p: Array, out: Array) -> None:
        columns = np.ascontiguousarray(Z.T)
        for k in range(t.size):
            out[:, k] = np.asarray(call(t[k], columns[k]), dtype=float).reshape(n)

    return fill


def bandwidths(J: Array) -> tuple[int, int]:
    """Diagonals below and above the main one that hold all entries of J (n, n) other than zero."""
    i, j = np.nonzero(J)
    return max(int((i - j).max(initial=0)), 0), max(int((j - i).max(initial=0)), 0)


def difference_jacobian(fill: Rhs, n: int) -> Jacobian:
    """Forward differences, in one call of the right-hand side.

    Where the entries turn out to lie on a few diagonals, columns that share no row are stepped together (Curtis, Powell
    and Reid 1974). One more point, all states stepped at once, shows whether they still do; if not, each has its turn.
    """
    band = 0, n  # diagonals below and above the main one

    def one_by_one(t: float, z: Array, step: Array, p: Array, out: Array) -> None:
        N = z.size
        Z = np.repeat(z.reshape(-1, 1), N + 1, axis=1)
        Z[range(N), range(1, N + 1)] += step
        values = np.empty((n, N + 1))
        fill(np.full(N + 1, t), Z, p, values)
        out[...] = (values[:, 1:] - values[:, :1]) / step

    def together(t: float, z: Array, step: Array, p: Array, out: Array) -> bool:
        lower, upper = band
        groups = lower + upper + 1
        column = np.arange(n)
        Z = np.repeat(z.reshape(-1, 1), groups + 2, axis=1)
        Z[column, 1 + column % groups] += step
        # Steps without pattern, so that an entry outside the band does not look like another inside.
        uneven = step * (1.0 + GOLDEN * column * column % 1.0)
        Z[:, -1] += uneven
        values = np.empty((n, groups + 2))
        fill(np.full(groups + 2, t), Z, p, values)
        values = values[:, 1:] - values[:, :1]
        out[...] = 0.0
        for d in range(-lower, upper + 1):  # the diagonal of entries (i, i + d)
            i = np.arange(max(-d, 0), min(n, n - d))
            out[i, i + d] = values[i, (i + d) % groups] / step[i + d]
        expected = out @ uneven
        return bool((np.abs(values[:, -1] - expected) <= 1e-3 * (np.abs(out) @ step)).all())

    def fill_jacobian(t: float, z: Array, p: Array, out: Array) -> None:
        nonlocal band
        size = np.abs(z)
        # A state at zero is stepped by a millionth of the others' size: enough to be seen, small enough to be local.
        step = (z + 1.5e-8 * np.maximum(size, 1e-6 * (size.max() or 1.0))) - z
        if sum(band) < n // 4 and together(t, z, step, p, out):
            return
        one_by_one(t, z, step, p, out)
        if z.size == n >= BANDED and np.isfinite(out).all():
            band = bandwidths(out)

    return fill_jacobian


def probe(
    call: Callable[..., Any], n: int, t0: float, end: float, initial: Array, signature: str, *, vectorized: bool
) -> tuple[Rhs, bool]:
    """Find the way in which the user's function wants to be called, by calling it at the initial point.

    Tried in turn: NumPy arrays over several times, torch tensors likewise (if torch is loaded), one time at once. What
    it returns at three times is compared with one at a time, so that a function that mixes its times is found out here.
    """
    # Three different times and states: a function that mixes its columns gives other values one at a time.
    t = t0 + (end - t0) * np.array([0.0, 0.37, 0.83])
    Z = np.repeat(initial.reshape(-1, 1), 3, axis=1) * np.array([1.0, 1.01, 0.99])
    several: Any = None
    failure: Exception | None = None
    fill: Rhs | None = None
    with np.errstate(all="ignore"):
        if vectorized:
            try:
                several, fill = call(t, Z), fill_numpy(call, n)
            except Exception as error:  # whatever the user's function raises is reported below
                failure = error
            if fill is None and "torch" in sys.modules:
                import torch

                try:
                    several, fill = call(torch.from_numpy(t), torch.from_numpy(Z)), fill_torch(call, n)
                    several = [row.detach().numpy() if isinstance(row, torch.Tensor) else row for row in several]
                except Exception as error:  # the first failure is the one that is reported
                    failure = failure or error
        try:
            single = call(t0, initial.copy()) if fill is None else None
        except Exception as error:
            raise _call_error(failure or error, n, signature) from (failure or error)
        if fill is None:
            _check_rows(single, n, 1)
            if vectorized:
                warnings.warn(
                    f"`f` cannot be evaluated at several times at once ({failure}); it is called once per time, which "
                    "is slow. Write it with NumPy functions (np.sin, np.where) instead of math and if, or pass "
                    "vectorized=False to accept this.",
                    PerformanceWarning,
                    stacklevel=4,
                )
            fill = fill_pointwise(call, n)
            vectorized = False
        else:
            _check_rows(several, n, 3)
            vectorized = True
        single_values, together = np.empty((n, 3)), np.empty((n, 3))
        fill(t, Z, np.empty(0), together)
        for k in range(3):
            column = np.empty((n, 1))
            fill(t[k : k + 1], np.ascontiguousarray(Z[:, k : k + 1]), np.empty(0), column)
            single_values[:, k] = column[:, 0]
        size = float(np.abs(together[np.isfinite(together)]).max(initial=0.0))
    if not np.allclose(single_values, together, rtol=1e-9, atol=1e-12 * size, equal_nan=True):
        raise ValueError(
            "`f` gives other values at three times at once than one at a time. Either it mixes the times, for instance "
            "by a sum, a maximum or a norm over all of `y`, whose shape is (n, k): work along axis 0, or pass "
            "vectorized=False. Or it does not give the same values twice: it must depend on its arguments only"
        )
    return fill, vectorized


def _call_error(error: Exception, n: int, signature: str) -> Exception:
    return ValueError(
        f"`f` failed when it was tried with the initial values, at the initial time and at times up to the end of the "
        f"span: {type(error).__name__}: {error}. It is called as {signature} with t of "
        f"shape (k,) and y of shape ({n}, k), and returns {counted(n, 'row')}"
    )


def _check_rows(rows: Any, n: int, k: int) -> None:
    """n rows, each a real number or k of them; or an array of that shape."""
    if rows is None:
        raise ValueError(f"`f` returned None: it must return {counted(n, 'row')} (is a `return` missing?)")
    if isinstance(rows, Mapping | str | set):
        raise TypeError(
            f"`f` returned a {type(rows).__name__}: it must return a list, tuple or array of {counted(n, 'row')}"
        )
    if n == 1 and not isinstance(rows, list | tuple) and np.shape(rows) in ((), (k,)):
        rows = [rows]  # one component needs no brackets
    if not isinstance(rows, list | tuple) and np.ndim(rows) == 0:
        raise ValueError(f"`f` returned a single number: it must return a list of {counted(n, 'row')}, [...]")
    if len(rows) != n:
        raise ValueError(
            f"`f` returned {counted(len(rows), 'row')}, but `y0` has {counted(n, 'component')}: one row for each is "
            "needed"
        )
    for i, row in enumerate(rows):
        array = np.asarray(row)
        if array.dtype.kind == "c":
            raise TypeError(f"`f` returned complex values in row {i}: split components into real and imaginary part")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"`f` returned {array.dtype} in row {i}, expected real numbers")
        if array.shape not in ((), (k,), (1,)):
            raise ValueError(f"`f` returned shape {array.shape} in row {i}, expected ({k},), one value for each time")
