"""How the states of a system of any and mixed order are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def states_of(orders: Sequence[int]) -> list[tuple[int, int]]:
    """Level of derivative and component of each of the N states, in their order.

    States are derivative-major: all n components, then the first derivatives of those of order two and more, and so on.

    >>> states_of((2, 1))
    [(0, 0), (0, 1), (1, 0)]
    """
    return [(level, i) for level in range(max(orders)) for i, order in enumerate(orders) if order > level]


class Layout(NamedTuple):
    """How the N states of a system hang together; their order is that of `states_of`."""

    n: int  # components
    # (N,) what state r integrates: highest derivative source[r] < n, else state source[r] - n
    source: NDArray[np.int64]
    offsets: NDArray[np.int64]  # (levels + 1,) where the states of each level begin
    power: Array  # (N,) how many integrations lie between state r and its component's highest derivative
    component: NDArray[np.int64]  # (N,) to which state r belongs
    fold: Array  # (N, n) 1 where state r belongs to component i

    @classmethod
    def of(cls, orders: Sequence[int]) -> Layout:
        """Layout of a system whose component i is of order orders[i]."""
        n = len(orders)
        states = states_of(orders)
        place = {state: r for r, state in enumerate(states)}
        source = [i if orders[i] == level + 1 else n + place[level + 1, i] for level, i in states]
        power = [float(orders[i] - level) for level, i in states]
        offsets = np.searchsorted([level for level, _ in states], range(max(orders) + 1))
        component = np.array([i for _, i in states])
        fold = (component[:, np.newaxis] == np.arange(n)).astype(float)
        return cls(n, np.array(source), offsets.astype(np.int64), np.array(power), component, fold)
