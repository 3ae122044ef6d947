"""Where text goes: terminals, pipes that close early, and consoles that cannot show every character."""

from __future__ import annotations

import io
import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Output(Console):
    """A console that shows text as it is and whose reader may leave (`| head`): the work goes on, in silence."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    @property
    def plain(self) -> bool:
        """Whether a terminal is to be written line by line: without colours (NO_COLOR), or without a cursor to move."""
        return self.no_color or self.is_dumb_terminal

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What Python still has in its buffer would fail again when it is flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    def paragraph(self, text: str | Text) -> None:
        """Print prose: broken between words on a terminal, whole in a pipe."""
        self.print(text, soft_wrap=not self.is_terminal)

    def verbatim(self, text: str | Text) -> None:
        """Print text that must stay as it is: commands, JSON, an equation with a caret under it."""
        self.print(text, soft_wrap=True)

    def columns(self, table: Table) -> int:
        """How wide a table is when nothing presses it."""
        return self.measure(table, options=self.options.update(width=100_000)).maximum

    def whole_table(self, table: Table) -> None:
        """Print a table in its full width: figures that are cut off are worse than lines that wrap."""
        self.width = max(self.width, self.columns(table))
        self.print(table, crop=False)


def tolerate_narrow_encodings() -> None:
    """Characters that the console cannot show become `?` instead of an exception."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
