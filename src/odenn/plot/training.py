"""Picture of a training: what fell, what steered it, and where one network followed another."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from odenn.plot.style import COLOURS, QUIET, Array, blank, drawable, frame, legend
from odenn.solution import Solution
from odenn.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from odenn.optimise.objective import Record

NUMBERED = 12  # windows whose numbers fit above the picture
FEW = 50  # iterations of a network: up to so many are shown as points, since a line of one or two would not be seen


def plot_training(solution: Solution) -> Figure:
    """Loss, gradient norm, and damping or learning rate over the iterations of a training.

    The iterations of all networks stand one after the other, those of rejected ones included. Grey lines mark where
    the next window begins, dotted ones where a window is trained again or its next stage begins. The loss on samples
    that were kept out of training is drawn where there is one, the true error where a reference was given. Zeros and
    values beyond 1e200 are left out.

    Raises
    ------
    ValueError
        Nothing was trained.

    Examples
    --------
    >>> import odenn
    >>> problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    >>> solution = odenn.solve(problem, method=odenn.Residual(network=odenn.MLP([8])), rtol=1e-3)
    >>> [axes.get_ylabel() for axes in plot_training(solution).axes]
    ['loss', 'gradient norm', 'damping or\\nlearning rate']
    """
    if solution.training is None:
        raise ValueError(
            "nothing was trained: collocation solves for its weights; plot() draws the solution, "
            "and method=Residual(...) or DataFit(...) train"
        )
    history = solution.training.history
    if not history:
        raise ValueError(f"nothing was trained: the run ended before its first iteration ({solution.message})")
    rows = {
        "loss": [record.loss for record in history],
        "gradient norm": [record.gradient for record in history],
        "damping or\nlearning rate": [record.control for record in history],
    }
    if any(record.error is not None for record in history):
        rows["true error,\nrelative"] = [np.nan if record.error is None else record.error for record in history]
    figure = blank(8.0, 2.2 + 1.5 * len(rows))
    panels: list[Axes] = list(figure.subplots(len(rows), 1, sharex=True, height_ratios=[1.8, *[1.0] * (len(rows) - 1)]))
    networks = _networks(history)
    for panel, colour, (label, values) in zip(panels, COLOURS, rows.items(), strict=False):
        _draw_course(panel, networks, np.array(values), colour)
        panel.set_ylabel(label, fontsize=12)
    _draw_validation(panels[0], history)
    for panel in panels:
        _draw_borders(panel, history, networks)
        frame(panel)
    _number_windows(panels[0], history)
    panels[-1].set_xlabel("iteration, all networks one after the other", fontsize=12)
    windows = len({record.window for record in history})
    counts = (counted(windows, "window"), counted(len(networks), "network"), counted(len(history), "iteration"))
    figure.suptitle("Training: " + ", ".join(counts), fontsize=13)
    return figure


def _networks(history: tuple[Record, ...]) -> list[slice]:
    """The part of the history of each network: its iterations are counted from the beginning."""
    count = np.array([record.iteration for record in history])
    edges = [0, *(np.flatnonzero(np.diff(count) <= 0) + 1).tolist(), count.size]
    return [slice(first, last) for first, last in pairwise(edges)]


def _draw_course(panel: Axes, networks: list[slice], values: Array, colour: str) -> None:
    """One line for each network: from one to the next is no step of training."""
    x = np.arange(1, values.size + 1)
    shown = drawable(np.where(values > 0, values, np.nan))
    marker = "." if max(part.stop - part.start for part in networks) < FEW else ""
    for part in networks:
        panel.plot(x[part], shown[part], color=colour, linewidth=1.4, marker=marker)
    if np.isfinite(shown).any():
        panel.set_yscale("log")


def _draw_validation(panel: Axes, history: tuple[Record, ...]) -> None:
    known = [(k + 1, record.validation) for k, record in enumerate(history) if record.validation is not None]
    if not known:
        return
    (kept_out,) = panel.plot(*zip(*known, strict=True), ".", color=COLOURS[1], markersize=4)
    legend(panel, [panel.lines[0], kept_out], ["on the training samples", "on samples kept out of training"])


def _draw_borders(panel: Axes, history: tuple[Record, ...], networks: list[slice]) -> None:
    for part in networks[1:]:
        following = history[part.start].window != history[part.start - 1].window
        panel.axvline(part.start + 0.5, color=QUIET, linewidth=0.9, linestyle="-" if following else ":", zorder=0)


def _number_windows(panel: Axes, history: tuple[Record, ...]) -> None:
    """The windows' numbers above the picture, each in its middle."""
    window = np.array([record.window for record in history])
    numbers = np.unique(window)
    if not 1 < numbers.size <= NUMBERED or panel.get_legend() is not None:
        return
    top = panel.secondary_xaxis("top")
    middles = [float(np.flatnonzero(window == number).mean() + 1) for number in numbers]
    top.set_xticks(middles, [f"{number + 1}" for number in numbers])
    top.tick_params(length=0, labelsize=10, colors=QUIET)
    top.spines["top"].set_visible(False)
    top.set_xlabel("window", fontsize=10, color=QUIET)
