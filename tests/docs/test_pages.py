"""Every page of docs/ does what it prints: Python, sessions with `>>>`, `odenn` commands, and the output shown."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from matplotlib import pyplot
from sybil import Sybil
from sybil.example import Example, SybilFailure
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from typer.testing import CliRunner

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "generated" not in path.parts)
PEERS = ("neurodiffeq", "deepxde")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What prepares an environment; .ci/run goes through it.
PREPARING = ("python3 -m venv", "pip install", "pip uninstall", "git clone", "jupyter", "nvidia-smi")


def run_commands(example: Example) -> None:
    """Lines of a console block, `odenn` in this process."""
    from odenn.cli import app

    for line in example.parsed.replace("\\\n", " ").strip().splitlines():
        if line.startswith(PREPARING):
            continue
        name, *arguments = shlex.split(line, comments=True)
        assert name == "odenn", f"{line!r} is no command that the tests know"
        result = CliRunner().invoke(app, arguments)
        failed = result.exit_code not in (0, 1) or not isinstance(result.exception, SystemExit | None)
        assert not failed, f"{line}: {result.output} {result.exception}"
        sys.stdout.write(result.output)


def compare_output(example: Example) -> str | None:
    """A text block is what the block before it printed; `...` stands for anything."""
    printed = example.namespace["capsys"].readouterr().out
    if doctest.OutputChecker().check_output(str(example.parsed), printed, FLAGS):
        return None
    return f"shown:\n{example.parsed}\nprinted:\n{printed}"


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=FLAGS),
        CodeBlockParser(language="console", evaluator=run_commands),
        CodeBlockParser(language="text", evaluator=compare_output),
    ]
)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty directory to work in, and no figure left open."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(DOCS.parent / "src"), os.environ.get("PYTHONPATH", "")]))
    yield
    pyplot.close("all")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_runs_as_printed(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = SYBIL.parse(page)
    document.namespace["capsys"] = capsys
    for example in document.examples():
        if missing_peer(str(example.parsed)):
            continue
        if example.region.evaluator is not compare_output:
            capsys.readouterr()
        example.evaluate()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "block",
    [
        "```python\nassert 1 == 2\n```",
        "```python\n>>> 1 + 1\n3\n```",
        "```python\nprint(2)\n```\n\n```text\n3\n```",
        '```console\nodenn solve "y = " --span 0 1\n```',
        "```console\nrm file\n```",
    ],
)
def test_wrong_pages_are_found(block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(block + "\n", encoding="utf-8")
    with pytest.raises((AssertionError, SybilFailure)):
        test_page_runs_as_printed(page, capsys)


def missing_peer(block: str) -> bool:
    """Whether it needs another library that is not here; benchmarks/peers_training.py says how to get them."""
    return any(re.search(f"(import|from) {peer}", block) and find_spec(peer) is None for peer in PEERS)
