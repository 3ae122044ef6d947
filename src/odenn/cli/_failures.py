"""What becomes of exceptions: mistakes of the user are said in a paragraph, ours stay tracebacks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from odenn.deliberate import is_deliberate

if TYPE_CHECKING:
    from odenn.cli._console import Output

UNSOLVED = 1  # exit codes
USAGE = 2
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended


class UsageError(Exception):
    """Something the user can put right, in words for the user."""


@contextmanager
def reported() -> Generator[None]:
    """Turn failures and Ctrl-C inside into a message on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except UsageError as failure:
        say(str(failure))
        raise typer.Exit(USAGE) from None


@contextmanager
def user_mistakes() -> Generator[None]:
    """Turn errors with which odenn refuses what it was given, or misses an extra, into `UsageError`."""
    try:
        yield
    except (ValueError, TypeError, ImportError) as error:
        if not is_deliberate(error):
            raise
        from odenn.cli._report import in_options

        raise UsageError(in_options(str(error))) from error


def say(message: str, *, kind: str = "", err: Output | None = None) -> None:
    """Print a message of odenn's on stderr."""
    from rich.text import Text

    from odenn.cli._console import Output

    err = err or Output(stderr=True)
    first, *others = message.splitlines() or [""]
    err.paragraph(Text.assemble((f"odenn: {kind}", "bold yellow" if kind else "bold red"), first))
    for line in others:
        # What is indented twice is an equation, or the caret under it.
        (err.verbatim if line.startswith("    ") else err.paragraph)(line)
