"""What all pictures share: colours, legends, frames, and texts as matplotlib needs them.

Figures are made without pyplot: no window, no global state, nothing to close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# M. Okabe and K. Ito, "Color Universal Design" (2008), without the yellow, which is too faint for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
GOOD, BAD, QUIET = "#006D4F", "#A83E00", "#5F5F5F"
LARGEST = 1e200  # larger values are left out: matplotlib's ticks and margins beyond them would overflow


def blank(width: float, height: float) -> Figure:
    """A figure of this size in inches, with a canvas of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.08, h_pad=0.08)
    FigureCanvasAgg(figure)
    return figure


def frame(panel: Axes) -> None:
    """A quiet grid, and no lines where nothing is measured."""
    panel.tick_params(labelsize=10)
    panel.grid(visible=True, color="#E3E3E3", linewidth=0.7)
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def legend(panel: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Above the axes, where no line is."""
    panel.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(labels),
        frameon=False,
        fontsize=10.5,
        borderaxespad=0.2,
        handlelength=1.8,
        columnspacing=1.4,
    )


def drawable(values: Array) -> Array:
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def plain(name: str) -> str:
    """A name as it is: neither mathematics ($) nor a hidden label (leading underscore) to matplotlib."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def number(value: float) -> str:
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e+")
