"""A progress bar for whoever has to wait: how much of the span is covered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Timer

from odenn import IVP, Report

PATIENCE = 1.0  # seconds without a bar


class SpanBar:
    """The part of the span that is covered. A march that begins anew counts as another pass."""

    def __init__(self, problem: IVP) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from odenn.cli._console import Output

        assert problem.span is not None
        start, end = problem.span
        # Initial values at the end mean marching from there; those between the ends, marching both ways.
        self._from, self._to = (end, start) if problem.t0 == end else (start, end)
        self._one_way = problem.t0 in problem.span
        self._variable = problem.independent
        self._pass = 1
        self._fraction = 0.0
        self._progress = Progress(
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),  # last, since its width changes
            console=Output(stderr=True),
            refresh_per_second=5,
            transient=True,
        )
        self._task = self._progress.add_task(self._words(), total=1.0)

    def show(self) -> None:
        """Draw the bar from now on."""
        self._progress.start()

    def hide(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def __call__(self, report: Report) -> None:
        """Take note of the fraction that is covered."""
        fraction = report.fraction
        if fraction < self._fraction:
            self._pass += 1
        self._fraction = fraction
        self._progress.update(self._task, completed=fraction, description=self._words())

    def _words(self) -> str:
        at = f"{self._from + self._fraction * (self._to - self._from):.4g}" if self._one_way else f"{self._from:g}"
        again = f", pass {self._pass}" if self._pass > 1 else ""
        return f"{self._variable} = {at}, ends at {self._to:g}{again}"


@contextmanager
def span_bar(problem: IVP) -> Generator[Callable[[Report], None] | None]:
    """Give a callback for `odenn.solve`; its bar shows after a second, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = SpanBar(problem)
    timer = Timer(PATIENCE, bar.show)  # a clock of its own: the first call back may take long (compilation)
    timer.daemon = True
    timer.start()
    try:
        yield bar
    finally:
        timer.cancel()
        timer.join()
        bar.hide()
