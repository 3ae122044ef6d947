"""Pictures of a search."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from odenn.plot.scales import label_decades
from odenn.plot.style import COLOURS, blank, frame, plain
from odenn.searching.result import Search, Tried

MARKS = "osD^vP*"


def overview(search: Search) -> Figure:
    """Error against weights and time, coloured by activation, marked by optimiser; shares of the variance below."""
    figure = blank(10, 6)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    activations = sorted({tried.structure.activation for tried in search.judged})
    optimisers = sorted({tried.structure.optimizer for tried in search.judged})
    for column, (name, label) in enumerate((("weights", "weights of all windows"), ("seconds", "CPU time in s"))):
        axes: Any = figure.add_subplot(grid[0, column])
        for tried in search.judged:
            axes.plot(getattr(tried, name), max(tried.error, 1e-16), **_style(tried, activations, optimisers))
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="true relative error")
        label_decades(axes.xaxis)
        label_decades(axes.yaxis)
        frame(axes)
    legend: Any = figure.axes[-1]
    for k, activation in enumerate(activations):
        legend.plot([], [], "o", color=COLOURS[k % len(COLOURS)], label=activation)
    for k, optimiser in enumerate(optimisers if len(optimisers) > 1 else ()):
        legend.plot([], [], MARKS[k % len(MARKS)], color="grey", label=plain(optimiser))
    if any(tried.status == "pruned" for tried in search.judged):
        legend.plot([], [], "o", color="grey", markerfacecolor="none", label="pruned")
    legend.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    bars: Any = figure.add_subplot(grid[1, :])
    shares = sorted(search.shares.items(), key=lambda pair: pair[1])
    bars.barh([name for name, _ in shares], [share for _, share in shares], color=COLOURS[0])
    frame(bars)
    bars.set(xlim=(0, 1), xlabel="share of the variance of the log error" if shares else _why_no_shares(search))
    return figure


def _why_no_shares(search: Search) -> str:
    return (
        "all errors are the same" if search.means else "not every combination has an error: no shares of the variance"
    )


def _style(tried: Tried, activations: list[str], optimisers: list[str]) -> dict[str, Any]:
    colour = COLOURS[activations.index(tried.structure.activation) % len(COLOURS)]
    return {
        "marker": MARKS[optimisers.index(tried.structure.optimizer) % len(MARKS)],
        "color": colour,
        "markerfacecolor": "none" if tried.status == "pruned" else colour,
        "linestyle": "none",
    }
