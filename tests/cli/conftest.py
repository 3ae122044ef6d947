"""How the tests call the command line: in this process, in one of its own, and on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"

Call = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def pair() -> str:
    """The linear pair with its initial conditions."""
    return PAIR


@pytest.fixture
def odenn_cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Call `odenn` in this process, in an empty directory; exceptions that are bugs come out."""
    from odenn.cli import app

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 - as in subprocess
        result = CliRunner().invoke(app, list(arguments), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment without what would change how a console is used."""
    changing = ("PYTHONIOENCODING", "PYTHONUTF8", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "GITHUB_ACTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in changing}
    return {**kept, "OMP_NUM_THREADS": "1", "TERM": "xterm"}


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """Start `python -m odenn` in an empty directory, with pipes."""

    def process(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "odenn", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**environment, **variables},
        )

    return process
