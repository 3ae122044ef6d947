"""Pictures of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from odenn.comparison.result import Comparison, Entry
from odenn.plot.scales import label_decades
from odenn.plot.style import COLOURS, blank, plain

MARKS = "osD^vP*X<>hd"
FLOOR = 1e-16  # smaller errors, and zero, are drawn here where one point stands for a run
LOWEST = 1e-17  # end of the axis: what is below says nothing in double precision


def work_precision(comparison: Comparison) -> Figure:
    """Time against true error; better is lower left. Lines join what was solved to the end.

    Hollow: a part of the span only, or the method itself does not claim success. What solved nothing is not drawn.
    """
    figure = blank(8, 5)
    axes: Any = figure.add_subplot()
    tiny = False
    for k, name in enumerate(_names(comparison)):
        entries = [entry for entry in comparison.entries if entry.name == name and np.isfinite(entry.error)]
        entries.sort(key=lambda entry: entry.rtol)
        colour, mark = _style(k)
        whole = [entry for entry in entries if not entry.partial]
        axes.plot([_place(entry)[0] for entry in whole], [entry.seconds for entry in whole], color=colour, linewidth=1)
        for entry in entries:
            tiny |= entry.error < FLOOR
            fill = colour if entry.success else "none"
            axes.plot(*_place(entry), mark, color=colour, markerfacecolor=fill, markersize=8)
        axes.plot([], [], mark, color=colour, markersize=8, label=plain(name))
    floor = f" ({FLOOR:g}: that or less)" if tiny else ""
    axes.set(xscale="log", yscale="log", xlabel=f"true relative error{floor}", ylabel="time in s")
    label_decades(axes.xaxis)
    label_decades(axes.yaxis)
    title = "Time and error; lower left is better; hollow: tolerance missed, or a part of the span only"
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def errors_over_span(comparison: Comparison) -> Figure:
    """True relative error over time, each method at the finest tolerance it was given."""
    figure = blank(8, 5)
    axes: Any = figure.add_subplot()
    order = np.argsort(comparison.t)
    for k, name in enumerate(_names(comparison)):
        entry = min((one for one in comparison.entries if one.name == name), key=lambda one: one.rtol)
        error = entry.errors[order]
        error[error == 0] = np.nan  # has no logarithm: the line is broken there
        axes.plot(comparison.t[order], error, color=_style(k)[0], linewidth=0.8, label=plain(name))
    finest = min(entry.rtol for entry in comparison.entries)
    axes.axhline(finest, color="grey", linewidth=1, linestyle="--", label=f"asked: {finest:g}")
    axes.set(yscale="log", xlabel=comparison.problem.independent, ylabel="true relative error")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], LOWEST))
    axes.set_title("True error over the span", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _place(entry: Entry) -> tuple[float, float]:
    return max(entry.error, FLOOR), entry.seconds


def _names(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(entry.name for entry in comparison.entries))


def _style(k: int) -> tuple[str, str]:
    return COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]
