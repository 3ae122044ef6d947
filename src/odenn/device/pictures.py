"""A picture of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odenn.device.benchmark import STEPS, Benchmark
from odenn.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_benchmark(found: Benchmark) -> Figure:
    """Time of a step against its work (`choice.work_of`), a panel for each kind of step, a mark at the crossover."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, step in zip(figure.subplots(1, len(STEPS), sharey=True), STEPS, strict=True):
        rows = [row for row in found.rows if row.case.step == step]
        work = [row.case.work for row in rows]
        axes.loglog(work, [1e3 * row.cpu for row in rows], "o", ms=4, label=f"CPU, {counted(found.threads, 'thread')}")
        if found.accelerator is not None:
            times = [1e3 * (row.accelerator or float("nan")) for row in rows]
            axes.loglog(work, times, "s", ms=4, label=found.accelerator)
            crossover = found.crossover(step)
            if crossover is not None:
                axes.axvline(crossover, color="0.6", lw=1)
        axes.set_title(step)
        axes.set_xlabel("work of a step")
        axes.grid(visible=True, which="major", alpha=0.3)
    figure.axes[0].set_ylabel("ms for one step")
    figure.axes[0].legend(fontsize="small")
    return figure
