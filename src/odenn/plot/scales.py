"""Which axis shows values and times best: linear, logarithmic, or logarithmic on both sides of zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from odenn.plot.style import Array
from odenn.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

PEAKED = 1e3  # largest over typical value: from here on a linear axis shows a line along zero and a spike
SPIKED = 1e8  # the same for what changes sign: logarithms on both sides of zero are hard to read, spikes are not
FIRST_WINDOW = 1e-4  # of the span: a shorter one is a fast transient ...
CROWDED = 0.4  # ... and it is what the picture is about if so many of the windows lie in the span's first hundredth


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How an axis shows a component."""

    kind: str  # "linear", "log", "negative log" or "symlog"
    low: float = 0.0  # size at which logarithms begin
    decades: float = 0.0

    @classmethod
    def of(cls, values: Array) -> Scale:
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(kind="linear")
        size = np.abs(values)
        peak, typical = float(size.max()), float(np.median(size))
        if typical == 0.0 or peak < PEAKED * typical:
            return cls(kind="linear")
        low = float(np.percentile(values, 1))
        if values.min() >= 0 and low > 0:  # a value of zero at the start is left out
            return cls(kind="log", low=low)
        if values.max() < 0:
            return cls(kind="negative log", low=float(np.percentile(size, 1)))
        if peak < SPIKED * typical:
            return cls(kind="linear")
        return cls(kind="symlog", low=typical, decades=float(np.log10(peak / typical)))

    def apply(self, panel: Axes, axis: str) -> None:
        """Set the scale of the "x" or "y" axis."""
        if self.kind == "linear":
            return
        from matplotlib.ticker import SymmetricalLogLocator

        set_scale, set_limits = (
            (panel.set_xscale, panel.set_xlim) if axis == "x" else (panel.set_yscale, panel.set_ylim)
        )
        if self.kind == "log":
            set_scale("log")
            set_limits(self.low / 2, None)
            return
        # The linear part is as wide as the ticks need to keep apart.
        set_scale("symlog", linthresh=self.low, linscale=max(0.1 * self.decades, 1.0))
        locator = SymmetricalLogLocator(base=10.0, linthresh=self.low)
        locator.set_params(numticks=7)
        (panel.xaxis if axis == "x" else panel.yaxis).set_major_locator(locator)
        if self.kind == "negative log":
            set_limits(None, -self.low)


def label_decades(axis: Axis) -> None:
    """Label 1, 2, 5 of each decade on a logarithmic axis of fewer than two, where matplotlib's own labels overlap."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high < 100 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def is_transient(solution: Solution, t0: float) -> bool:
    """Whether the solution is one fast transient at its start and a long decay: then time is best logarithmic."""
    left, right = solution.span
    windows = solution.outcome.windows
    if t0 not in (left, right):
        return False
    lengths = np.abs(windows.length)
    first = lengths[0] if t0 == left else lengths[-1]
    away = np.abs(windows.left + lengths / 2 - t0)
    early = np.count_nonzero(away < 0.01 * (right - left))
    return bool(first < FIRST_WINDOW * (right - left) and early > CROWDED * lengths.size)


def log_times(solution: Solution, t0: float, points: int) -> Array:
    """Times at distances from t0 that grow by a constant factor, from within the first window on."""
    left, right = solution.span
    lengths = np.abs(solution.outcome.windows.length)
    first = float(lengths[0] if t0 == left else lengths[-1])
    away = np.geomspace(0.1 * first, right - left, points)
    return np.clip(t0 + away if t0 == left else t0 - away, left, right)


def missing(solution: Solution, t0: float, shifted: bool) -> list[tuple[float, float]]:
    if solution.problem is None or solution.problem.span is None:
        return []
    (left, right), (reached_left, reached_right) = sorted(solution.problem.span), solution.span
    parts = [(left, reached_left), (reached_right, right)]
    slack = 1e-9 * (right - left)
    parts = [part for part in parts if part[1] - part[0] > slack]
    return [(abs(a - t0), abs(b - t0)) for a, b in parts] if shifted else parts
