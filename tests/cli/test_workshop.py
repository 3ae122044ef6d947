"""`odenn compare` and `odenn search`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Call = Callable[..., Result]
DECAY = ("y' = -2*y; y(0) = 1", "--span", "0", "2")


def test_compare_prints_and_writes(odenn_cli: Call, tmp_path: Path) -> None:
    files = ("--csv", "table.csv", "--plot", "work.png", "--plot-errors", "errors.svg")
    result = odenn_cli("compare", *DECAY, "--methods", "collocation,lsoda", "--rtol", "1e-4", "--rtol", "1e-7", *files)
    assert result.exit_code == 0
    assert "SciPy LSODA" in result.stdout
    assert "Errors relative to each component's largest value" in result.stdout
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["collocation", "collocation", "SciPy LSODA", "SciPy LSODA"]
    assert all(float(row["error"]) < 1e-3 for row in rows)
    assert (tmp_path / "work.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "errors.svg").read_text()


def test_search_as_json(odenn_cli: Call) -> None:
    structures = ("--depth", "1-2", "--width", "4,8", "--activation", "tanh", "--windows", "2")
    result = odenn_cli("search", *DECAY, *structures, "--storage", "search.journal", "--json")
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert {(row["depth"], row["width"]) for row in figures["tried"]} == {(1, 4), (1, 8), (2, 4), (2, 8)}
    assert "mattered" in figures["sentence"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", *DECAY, "--methods", "colocation"), "did you mean collocation?"),
        (("compare", *DECAY, "--methods", "LSODA,,"), "--methods takes names by commas"),
        (("compare", *DECAY, "--rtol", "small"), "--rtol takes a number"),
        (("compare", *DECAY, "--plot", "missing/a.png"), "missing"),
        (("search", *DECAY, "--depth", "1-x"), "--depth takes whole numbers"),
        (("search", *DECAY, "--width", "0"), "`width` must be whole numbers"),
        (("search", *DECAY, "--activation", "tann"), "known are tanh"),
        (("search", *DECAY, "--method", "collocation"), "no structure to search"),
        (("search", *DECAY, "--processes", "0"), "`processes`"),
    ],
)
def test_mistakes(odenn_cli: Call, arguments: tuple[str, ...], words: str) -> None:
    result = odenn_cli(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_search_without_its_libraries(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odenn.searching.run.find_spec", lambda name: None)
    result = odenn_cli("search", *DECAY)
    assert result.exit_code == 2
    assert 'pip install "odenn[search]"' in " ".join(result.stderr.split())
