"""Pictures of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from odenn.comparison.result import Comparison
from odenn.plot.style import COLOURS, blank

MARKS = "osD^vP*X<>hd"
FLOOR = 1e-16  # errors of zero are drawn here


def work_precision(comparison: Comparison) -> Figure:
    """Time against true error; better is lower left. Hollow: the method itself does not claim success."""
    figure = blank(8, 5)
    axes: Any = figure.add_subplot()
    for k, name in enumerate(_names(comparison)):
        entries = [entry for entry in comparison.entries if entry.name == name and np.isfinite(entry.error)]
        entries.sort(key=lambda entry: entry.rtol)
        x, y = [max(entry.error, FLOOR) for entry in entries], [entry.seconds for entry in entries]
        colour, mark = _style(k)
        axes.plot(x, y, "-", color=colour, linewidth=1)
        for entry, a, b in zip(entries, x, y, strict=True):
            fill = colour if entry.success else "none"
            axes.plot(a, b, mark, color=colour, markerfacecolor=fill, markersize=8)
        axes.plot([], [], mark, color=colour, markersize=8, label=name)
    axes.set(xscale="log", yscale="log", xlabel="true relative error", ylabel="time in s")
    axes.set_title("Time and error; lower left is better, hollow: tolerance missed", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def errors_over_span(comparison: Comparison) -> Figure:
    """True relative error over time, each method at the finest tolerance it was given."""
    figure = blank(8, 5)
    axes: Any = figure.add_subplot()
    finest = min(entry.rtol for entry in comparison.entries)
    order = np.argsort(comparison.t)
    for k, name in enumerate(_names(comparison)):
        entry = next(entry for entry in comparison.entries if entry.name == name and entry.rtol == finest)
        error = np.maximum(_envelope(entry.errors[order]), FLOOR)
        axes.plot(comparison.t[order], error, color=_style(k)[0], linewidth=1.2, label=name)
    axes.axhline(finest, color="grey", linewidth=1, linestyle="--", label=f"asked: {finest:g}")
    axes.set(yscale="log", xlabel=comparison.problem.independent, ylabel="true relative error")
    axes.set_title("True error over the span", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _envelope(error: Any, width: int = 9) -> Any:
    """Largest of neighbouring values: errors change sign all the time, and their dips to zero say nothing."""
    padded = np.pad(error, width // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, width).max(axis=1)


def _names(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(entry.name for entry in comparison.entries))


def _style(k: int) -> tuple[str, str]:
    return COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]
