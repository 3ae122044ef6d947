"""The shape of a zoo problem, and where its reference solution comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from odenn.problem import IVP

Array = NDArray[np.float64]

REFERENCES = Path(__file__).with_name("references.npz")
"""Stored references, written by benchmarks/make_references.py. Keys: NAME.t (k,), NAME.y (n, k), NAME.accuracy ()."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZooProblem:
    """An initial value problem whose solution is known: by a formula, or to about 1e-13 by a stored reference.

    Attributes
    ----------
    name, title
        The handle for `odenn.zoo.get`, and the same in words.
    text
        The equations with their initial conditions in odenn's text form, of the order in which the problem is stated;
        None where a text would be too long to read.
    f
        First-order form: f(t, y) with y of shape (N,) and scalar t, or (N, k) and t of shape (k,); returns N rows.
        Plain arithmetic or NumPy; Numba compiles it for a single point.
    y0
        Initial state (N,), derivative-major: all components, then their first derivatives.
    components
        The first n of the N states are the solution; errors are measured on these.
    span
        Beginning and end of time.
    stiff, chaotic, smooth
        What a solver meets: fast transients beside slow solutions; errors that grow exponentially; a right-hand side
        with all derivatives.
    exact
        The solution t -> (n,) + t.shape, or None where there is no formula.
    transient
        Where to begin the log-spaced part of the reference grid (the shortest time scale that matters), or None for a
        uniform grid alone.
    points
        How many uniformly spaced points the reference grid has.
    also
        Further times of the reference grid, where the solution changes faster than the rest of the grid can show.
    source
        Where the problem is from.
    """

    name: str
    title: str
    text: str | None
    f: Callable[[Any, Any], Any]
    y0: tuple[float, ...]
    components: int
    span: tuple[float, float]
    stiff: bool = False
    chaotic: bool = False
    smooth: bool = True
    exact: Callable[[ArrayLike], Array] | None = None
    transient: float | None = None
    points: int = 1001
    also: tuple[float, ...] = ()
    source: str

    def problem(self) -> IVP:
        """Return the problem as `odenn.solve` takes it: from the text where there is one, else from the function."""
        from odenn import problem  # here, because the zoo is data and must load without the rest of odenn

        if self.text is None:
            return problem.IVP(self.f, y0=self.y0, span=self.span)
        return problem.parse(self.text, span=self.span)

    def grid(self) -> Array:
        """Return the times (k,) of the reference: uniform, from `transient` on log-spaced as well, and `also`."""
        start, end = self.span
        times = np.linspace(start, end, self.points)
        if self.transient is not None:
            # Robertson to 1e8 has fourteen decades; 28 points in each resolve its transients.
            later = start + np.geomspace(self.transient, end - start, 401)
            times = np.union1d(times, later[:-1])
        return np.union1d(times, self.also)

    def reference(self) -> tuple[Array, Array]:
        """Return times (k,) and the solution (n, k) there, right to `reference_accuracy`."""
        if self.exact is not None:
            t = self.grid()
            return t, self.exact(t)
        stored = _stored()
        return stored[f"{self.name}.t"].copy(), stored[f"{self.name}.y"].copy()

    @property
    def reference_accuracy(self) -> float:
        """Measured error of `reference()`: worst component of max|difference| / max|y| to an independent solution.

        How each was measured is said in, and printed by, benchmarks/make_references.py.
        """
        return float(_stored()[f"{self.name}.accuracy"])


@lru_cache(maxsize=1)
def _stored() -> dict[str, Array]:
    with np.load(REFERENCES, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
