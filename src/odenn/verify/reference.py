"""A reference: values that were found in another way, and how accurate these are themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    method: str
    values: Array  # (n, k), NaN where it does not reach
    accuracy: Array  # (n, k)
    notes: tuple[str, ...] = ()

    @property
    def covered(self) -> NDArray[np.bool_]:
        return np.atleast_1d(np.isfinite(self.values).all(axis=0))


class Found(NamedTuple):
    reference: Reference | None
    reason: str  # why there is none, or not all of it

    @property
    def reaches(self) -> int:
        """How many of the times."""
        return 0 if self.reference is None else int(self.reference.covered.sum())
