"""The commands that the README prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result


def test_commands_of_the_readme(odenn_cli: Callable[..., Result]) -> None:
    """Each does what it is there to show, in the order in which they stand."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = text.partition("## On the command line")[2].partition("```console")[2].partition("```")[0]
    commands = [shlex.split(line) for line in block.strip().splitlines()]
    assert len(commands) == 5
    for name, *arguments in commands:
        result = odenn_cli(*arguments)
        assert (name, result.exit_code, result.stderr) == ("odenn", 0, ""), (arguments, result.output)
