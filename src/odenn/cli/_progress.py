"""A progress bar for whoever has to wait: how much of the span is covered, and how a training goes; and warnings."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, TextIO

import odenn
from odenn import IVP, Report
from odenn.cli._failures import say
from odenn.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from odenn.cli._console import Output

PATIENCE = 1.0  # seconds without a bar
PAUSE = 5.0  # seconds between two lines, where there is no bar
WIDEST = 40  # columns of the bar
WORDS = 68  # columns that percentage, time and words take


class SpanBar:
    """The part of the span that is covered. A march that begins anew counts as another pass."""

    def __init__(self, problem: IVP, console: Output) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        assert problem.span is not None
        start, end = problem.span
        # Initial values at the end mean marching from there; those between the ends, marching both ways.
        self._from, self._to = (end, start) if problem.t0 == end else (start, end)
        self._one_way = problem.t0 in problem.span
        self._variable = problem.independent
        self._pass = 1
        self._latest = Report(fraction=0.0, windows=0)
        self._console = console
        self._progress = Progress(
            BarColumn(bar_width=min(WIDEST, max(console.width - WORDS, 6))),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),  # last, since its width changes
            console=console,
            refresh_per_second=5,
            transient=True,
        )
        self._task = self._progress.add_task(self.words, total=1.0)

    @property
    def picture(self) -> RenderableType:
        """What is drawn."""
        return self._progress.get_renderable()

    def show(self) -> None:
        """Draw the bar from now on."""
        self._progress.start()

    def hide(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def __call__(self, report: Report) -> None:
        """Take note of what is reached."""
        if report.fraction < self._latest.fraction:
            self._pass += 1
        if report.hint is not None and self._latest.hint is None:
            from odenn.cli._report import in_options

            say(in_options(str(report.hint)), kind="hint: ", err=self._console)
        self._latest = report
        self._progress.update(self._task, completed=report.fraction, description=self.words)

    @property
    def words(self) -> str:
        """What stands beside the bar."""
        fraction, record = self._latest.fraction, self._latest.record
        at = f"{self._from + fraction * (self._to - self._from):.4g}" if self._one_way else f"{self._from:g}"
        again = f", pass {self._pass}" if self._pass > 1 else ""
        if record is None:
            return f"{self._variable} = {at}, ends at {self._to:g}{again}"
        windows = counted(self._latest.windows, "window")
        return f"{self._variable} = {at}{again}, {windows}, iteration {record.iteration}, loss {record.loss:.1e}"


class PlainLines(SpanBar):
    """The words of the bar, a line every few seconds."""

    _said = math.inf

    def show(self) -> None:
        self._said = 0.0

    def hide(self) -> None:
        self._said = math.inf

    def __call__(self, report: Report) -> None:
        super().__call__(report)
        now = time.monotonic()
        if now - self._said >= PAUSE:
            self._console.paragraph(f"{report.fraction:.0%}: {self.words}")
            self._said = now


@contextmanager
def watched(problem: IVP) -> Generator[Callable[[Report], None] | None]:
    """Give a callback for `odenn.solve`; its bar shows after a second, on a terminal only. Warnings go by it."""
    if not sys.stderr.isatty():
        with _spoken_warnings(None):
            yield None
        return
    from odenn.cli._console import Output

    console = Output(stderr=True)
    bar = (PlainLines if console.plain else SpanBar)(problem, console)
    timer = Timer(PATIENCE, bar.show)  # a clock of its own: the first call back may take long (compilation)
    timer.daemon = True
    timer.start()
    try:
        with _spoken_warnings(console):
            yield bar
    finally:
        timer.cancel()
        timer.join()
        bar.hide()


@contextmanager
def _spoken_warnings(console: Output | None) -> Generator[None]:
    """Say odenn's own warnings as odenn says things, without the line of its source."""
    plain = warnings.showwarning
    home = Path(odenn.__file__).parent

    def say_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if home in Path(filename).parents:
            say(str(message), kind="warning: ", err=console)
        else:
            plain(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = say_warning
        yield
