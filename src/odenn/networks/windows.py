"""One network per window, together one function over the span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odenn.networks.tables import Array, HiddenUnits

CHUNK = 2_000_000  # numbers gathered at once while evaluating; bounds the memory that a long list of times takes


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
        n, r = self.weights.shape[1:]
        out = np.empty((n, t.size))
        step = max(CHUNK // (n * r), 1)
        for lo in range(0, t.size, step):
            part = t[lo : lo + step]
            w = self.locate(part)
            h = self.length[w]
            psi = self.units.derivative((part - self.start[w]) / h, order)
            values = np.matmul(self.weights[w], psi[:, :, None])[:, :, 0] * (h ** (1 - order))[:, None]
            out[:, lo : lo + step] = (values + self.value[w]).T if order == 0 else values.T
        return out

    def module(self) -> Any:
        """The same function as a torch.nn.Module from (k,) or (k, 1) to (k, n)."""
        from odenn.networks.modules import WindowedNetwork

        return WindowedNetwork(self)
