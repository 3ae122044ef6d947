"""One network per window, together one function over the span."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odenn.networks.tables import Array, HiddenUnits

CHUNK = 2_000_000  # numbers gathered at once while evaluating; bounds the memory that a long list of times takes
FEW = 8  # points a window from which on a matrix product for each window pays


@dataclass(frozen=True, eq=False)
class Windows:
    """y(t) = value_w + length_w sum_j weights_wj psi_j((t - start_w) / length_w) on window w.

    Windows are ordered by time; a window that was solved backwards has a negative length and starts at its right end.
    """

    start: Array  # (W,)
    length: Array  # (W,)
    value: Array  # (W, n) at the start
    weights: Array  # (W, n, r)
    units: HiddenUnits
    compiled: bool = False
    """Whether values of Legendre networks come from a compiled loop, which is read from disk at the first call."""

    @property
    def left(self) -> Array:
        """(W,) left ends."""
        return np.minimum(self.start, self.start + self.length)

    @property
    def kind(self) -> str:
        """The network of a window in words."""
        name = getattr(self.units, "activation", type(self.units).__name__.removesuffix("Units"))
        return f"{name}, {self.weights.shape[2]} units"

    @property
    def size(self) -> int:
        """Output weights of all windows together."""
        return self.weights.size

    def locate(self, t: Array) -> NDArray[np.intp]:
        """The window in which each of the times t (k,) lies; beyond the ends, the nearest."""
        return np.searchsorted(self.left[1:], t, side="right")

    def derivative(self, t: Array, order: int = 0) -> Array:
        """(n, k): derivative of the given order at times t (k,); order 0 is the value."""
        if self.compiled and order == 0:
            from odenn.networks.compiled_values import legendre_values

            return legendre_values(self.left, self.start, self.length, self.value, self.weights, t)
        out = np.empty((self.value.shape[1], t.size))
        step = max(CHUNK // self.weights[0].size, 1)
        for lo in range(0, t.size, step):
            part = t[lo : lo + step]
            w = self.locate(part)
            h = self.length[w]
            psi = self.units.derivative((part - self.start[w]) / h, order)
            values = self._sums(w, psi)
            values *= h ** (1 - order)
            if order == 0:
                values += self.value[w].T
            out[:, lo : lo + step] = values
        return out

    def _sums(self, w: NDArray[np.intp], psi: Array) -> Array:
        """(n, k): sum_j weights_wj psi_j for each of the k points, which lie in windows w (k,) and have psi (k, r)."""
        k = w.size
        cuts = np.flatnonzero(w[1:] != w[:-1]) + 1
        if FEW * cuts.size > k:  # few neighbours in one window: a small product for every point
            return np.matmul(self.weights[w], psi[:, :, None])[:, :, 0].T
        # One matrix product for the points of each window.
        values = np.empty((self.value.shape[1], k))
        edges = [0, *cuts.tolist(), k]
        for lo, hi in pairwise(edges):
            np.matmul(self.weights[w[lo]], psi[lo:hi].T, out=values[:, lo:hi])
        return values

    def module(self) -> Any:
        """The same function as a torch.nn.Module from (k,) or (k, 1) to (k, n)."""
        from odenn.networks.modules import WindowedNetwork

        return WindowedNetwork(self)
