"""Picture of a solution: components, phase portrait and error estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from odenn.plot.scales import Scale, is_transient, log_times, missing
from odenn.plot.style import BAD, COLOURS, GOOD, QUIET, Array, blank, drawable, frame, legend, number, plain
from odenn.solution import Solution
from odenn.status import Status
from odenn.verify import origin, times, tolerance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SEPARATE = 4  # up to so many components get axes of their own where their sizes differ
SIZES_DIFFER = 100.0
MOST_POINTS = 20_000


def plot_solution(solution: Solution, points: int = 1000) -> Figure:
    """Solution, phase portrait and estimated error.

    The phase portrait is drawn for two components, or for one of second or higher order (y' over y). Time is
    logarithmic where the solution is one fast transient and a long decay. The error is drawn with its tolerance,
    atol + rtol max |y|. What was asked for and not reached is shaded; values beyond 1e200 are left out.

    Parameters
    ----------
    points
        At how many times at least; more are taken where there are many windows.

    Raises
    ------
    ValueError
        Nothing was solved.

    Examples
    --------
    >>> import odenn
    >>> solution = odenn.solve(odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10)), rtol=1e-9)
    >>> figure = plot_solution(solution)
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['y', 'estimated error', "y'"]
    """
    if not (isinstance(points, int | np.integer) and points >= 2):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"`points` must be a whole number, 2 or more, got {points!r}")
    if not solution.outcome.windows.start.size:
        raise ValueError(f"nothing was solved that could be drawn: {solution.message}")
    data = _Data.of(solution, min(max(points, 4 * solution.outcome.windows.start.size), max(points, MOST_POINTS)))
    phase = _phase(data)
    stacked = _separate(data)
    rows = data.n if stacked else 1
    figure = blank(11.0 if phase else 8.0, 3.9 + 1.9 * max(rows, 1.5))
    left: Any = figure
    right: SubFigure | None = None
    if phase:
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.45, 1.0))
        left, right = halves
    heights = [*([1.0] * rows if stacked else [1.6]), 1.0]
    axes: list[Axes] = list(left.subplots(rows + 1, 1, sharex=True, height_ratios=heights))
    if stacked:
        for i, panel in enumerate(axes[:-1]):
            _draw_components(panel, data, [i])
    elif data.n > len(COLOURS):
        _draw_many(axes[0], data, data.y)
        _draw_colours(axes, data)
    else:
        _draw_components(axes[0], data, range(data.n))
    _draw_error(axes[-1], data)
    for panel in axes:
        _draw_time(panel, data)
    _note_missing(axes[0], data)
    axes[-1].set_xlabel(data.time_label, fontsize=12)
    if phase and right is not None:
        _draw_phase(right.subplots(), data, phase)
    _draw_title(figure, solution)
    return figure


@dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    """What is drawn, at k times."""

    solution: Solution
    names: list[str]
    t: Array  # (k,)
    x: Array  # (k,) what the time axis shows: t, or the distance from t0 where that is logarithmic
    y: Array  # (n, k)
    error: Array  # (n, k)
    tolerance: Array  # (n, k)
    logarithmic: bool
    time_label: str
    missing: list[tuple[float, float]]  # parts of the time axis that were asked for and not reached

    @property
    def n(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, solution: Solution, points: int) -> _Data:
        t0 = origin(solution)
        logarithmic = is_transient(solution, t0)
        t = log_times(solution, t0, points) if logarithmic else np.sort(times(solution, points))
        y = solution(t)
        x, label = t, plain(solution.independent)
        shifted = logarithmic and (t0 != 0.0 or t[-1] < t0)
        if shifted:
            x = np.abs(t - t0)
            label = f"{label} − {t0:g}" if t[-1] > t0 else (f"−{label}" if t0 == 0.0 else f"{t0:g} − {label}")
        order = np.argsort(x, kind="stable")
        return cls(
            solution=solution,
            names=[plain(name) for name in solution.names],
            t=t[order],
            x=x[order],
            y=drawable(y[:, order]),
            error=drawable(solution.error(t[order])),
            tolerance=drawable(tolerance(solution, t[order])),
            logarithmic=logarithmic,
            time_label=label,
            missing=missing(solution, t0, shifted),
        )


def _separate(data: _Data) -> bool:
    """Whether the components are too different for one axis."""
    if not 1 < data.n <= SEPARATE:
        return False
    peaks = np.nanmax(np.abs(data.y), axis=1)
    peaks = peaks[peaks > 0]
    return peaks.size > 1 and float(peaks.max() / peaks.min()) > SIZES_DIFFER


def _draw_components(panel: Axes, data: _Data, shown: Sequence[int]) -> None:
    lines = [panel.plot(data.x, data.y[i], color=COLOURS[i], linewidth=1.6)[0] for i in shown]
    if len(shown) == 1:
        panel.set_ylabel(data.names[shown[0]], fontsize=12)
    else:
        legend(panel, lines, [data.names[i] for i in shown])
        panel.set_ylabel("solution", fontsize=12)
    _common_scale(data, shown).apply(panel, "y")


def _common_scale(data: _Data, shown: Sequence[int]) -> Scale:
    """Logarithmic only where every component would be."""
    scales = [Scale.of(data.y[i]) for i in shown]
    if any(scale.kind == "linear" for scale in scales):
        return Scale(kind="linear")
    kinds = {scale.kind for scale in scales}
    kind = kinds.pop() if len(kinds) == 1 else "symlog"
    return Scale(kind=kind, low=min(scale.low for scale in scales), decades=max(scale.decades for scale in scales))


def _colours(n: int) -> Any:
    """More colours than can be told apart one by one: a scale from dark to light, which every eye can follow."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(0.0, 0.92, n)))  # its end is too light on white


def _draw_many(panel: Axes, data: _Data, values: Array) -> None:
    colours = _colours(data.n)
    for i, row in enumerate(values):
        panel.plot(data.x, row, color=colours(i), linewidth=1.0)
    panel.set_ylabel("solution", fontsize=12)


def _draw_colours(panels: Sequence[Axes], data: _Data) -> None:
    """Which colour is which component."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mappable = ScalarMappable(Normalize(0.5, data.n + 0.5), _colours(data.n))
    bar = panels[0].figure.colorbar(mappable, ax=panels, pad=0.01, aspect=50)
    ticks = sorted({round(1 + share * (data.n - 1)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)})
    bar.set_ticks(ticks, labels=[data.names[tick - 1] for tick in ticks])
    bar.ax.tick_params(labelsize=10)


def _draw_error(panel: Axes, data: _Data) -> None:
    """Estimated error and tolerance on a logarithmic axis."""
    from matplotlib.lines import Line2D

    error = np.where(np.isfinite(data.error) & (data.error > 0), data.error, np.nan)
    several = data.n > SEPARATE
    many = data.n > len(COLOURS)
    if many:
        _draw_many(panel, data, error)
    else:
        for i in range(data.n):
            panel.plot(data.x, error[i], color=COLOURS[i], linewidth=1.2)
    # One line for many components: that of the component which comes nearest to its tolerance.
    with np.errstate(all="ignore"):
        nearest = int(np.nan_to_num(data.error / data.tolerance).max(axis=1).argmax())
    dashes = (0, (4, 2))
    for i in [nearest] if several else range(data.n):
        colour = "#202020" if several or data.n == 1 else COLOURS[i]
        panel.plot(data.x, data.tolerance[i], color=colour, linewidth=1.2, linestyle=dashes)
    which = f"of {data.names[nearest]}, nearest to it" if several else f"rtol = {number(data.solution.rtol)}"
    legend(
        panel,
        [Line2D([], [], color=QUIET, linewidth=1.4), Line2D([], [], color=QUIET, linewidth=1.2, linestyle=dashes)],
        ["estimated error", f"tolerance ({which})"],
    )
    panel.set_yscale("log")
    panel.set_ylabel("estimated error", fontsize=12)
    known = error[np.isfinite(error)]
    if known.size:
        # A component that starts at zero has next to no tolerance there: that must not stretch the axis.
        low = min(np.percentile(known, 2), np.nanpercentile(data.tolerance, 2))
        panel.set_ylim(low / 5, 5 * max(known.max(), np.nanmax(data.tolerance)))


def _draw_time(panel: Axes, data: _Data) -> None:
    """Time axis, grid, and what was not reached."""
    frame(panel)
    if data.logarithmic:
        panel.set_xscale("log")
    ends = [*data.x[[0, -1]], *(end for part in data.missing for end in part)]
    margin = 0.0 if data.logarithmic else 0.01 * (max(ends) - min(ends))
    panel.set_xlim(min(ends) - margin, max(ends) + margin)
    for start, end in data.missing:
        panel.axvspan(start, end, facecolor="#EFEFEF", edgecolor="#BDBDBD", hatch="//", linewidth=0.0, zorder=0)


def _note_missing(panel: Axes, data: _Data) -> None:
    """Say in the widest shaded part why it is empty."""
    from textwrap import fill

    if not data.missing:
        return
    start, end = max(data.missing, key=lambda part: part[1] - part[0])
    left, right = panel.get_xlim()
    share = (end - start) / (right - left)
    if share < 0.15:
        return
    panel.text(
        (start + end) / 2,
        0.5,
        fill(f"not reached: {data.solution.status.value}", max(int(60 * share), 12)),
        transform=panel.get_xaxis_transform(),
        ha="center",
        va="center",
        fontsize=10,
        color=QUIET,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "round,pad=0.4"},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Phase:
    x: Array  # (k,)
    y: Array  # (k,)
    start: tuple[float, float]
    labels: tuple[str, str]


def _phase(data: _Data) -> _Phase | None:
    """Two components, or one and its derivative."""
    solution, t0 = data.solution, origin(data.solution)
    # At times close enough for smooth curves, whatever the time axis of the other panels.
    t = np.sort(times(solution, data.t.size))
    if data.n == 2:
        y, start = drawable(solution(t)), solution(t0)
        return _Phase(x=y[0], y=y[1], start=(float(start[0]), float(start[1])), labels=(data.names[0], data.names[1]))
    if data.n == 1 and solution.problem is not None and solution.problem.orders[0] > 1:
        name = data.names[0]
        return _Phase(
            x=drawable(solution(t)[0]),
            y=drawable(solution.derivative(t)[0]),
            start=(float(solution(t0)[0]), float(solution.derivative(t0)[0])),
            labels=(name, f"{name}'"),
        )
    return None


def _draw_phase(panel: Axes, data: _Data, phase: _Phase) -> None:
    panel.plot(phase.x, phase.y, color=COLOURS[0], linewidth=1.4)
    (start,) = panel.plot(*phase.start, "o", color=COLOURS[1], markersize=7)
    legend(panel, [start], [f"start ({plain(data.solution.independent)} = {origin(data.solution):g})"])
    scales = Scale.of(phase.x), Scale.of(phase.y)
    scales[0].apply(panel, "x")
    scales[1].apply(panel, "y")
    widths = [np.nanmax(values) - np.nanmin(values) for values in (phase.x, phase.y)]
    if all(scale.kind == "linear" for scale in scales) and 0.5 * widths[0] < widths[1] < 2 * widths[0]:
        panel.set_aspect("equal", adjustable="box", anchor="N")
    panel.set_xlabel(phase.labels[0], fontsize=12)
    panel.set_ylabel(phase.labels[1], fontsize=12)
    frame(panel)


def _draw_title(figure: Figure, solution: Solution) -> None:
    from textwrap import fill

    good = solution.status is Status.SUCCESS
    if good:
        text = f"Solved to rtol = {number(solution.rtol)}"
    else:
        text = fill(plain(f"Not solved to rtol = {number(solution.rtol)}: {solution.outcome.message}"), 90)
    figure.suptitle(text, fontsize=13, color=GOOD if good else BAD)
