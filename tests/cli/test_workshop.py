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
    errors = {(row["depth"], row["width"]): row["error"] for row in figures["tried"]}
    assert figures["means"]["depth"]["1"] == pytest.approx((errors[1, 4] * errors[1, 8]) ** 0.5)
    assert sum(figures["shares"].values()) == pytest.approx(1)


def test_a_search_that_is_interrupted(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished is shown; the same command goes on from the storage."""
    from odenn.searching import run

    train, calls = run.train, iter((False, True))

    def interrupted(packed: bytes) -> object:
        if next(calls):
            raise KeyboardInterrupt
        return train(packed)

    monkeypatch.setattr(run, "train", interrupted)
    search = ("search", *DECAY, "--depth", "1", "--width", "4,6,8", "--activation", "tanh", "--windows", "2")
    # A share of the iterations is the first training; all trials here end before it is used up.
    result = odenn_cli(*search, "--storage", "s.journal")
    assert result.exit_code == 130
    assert "1 of 3 structures were tried when it was interrupted" in result.stdout
    assert "interrupted after 1 of 3; the same command goes on from s.journal" in " ".join(result.stderr.split())
    monkeypatch.setattr(run, "train", train)
    resumed = odenn_cli(*search, "--storage", "s.journal")
    assert resumed.exit_code == 0
    assert "interrupted" not in resumed.stdout


def test_a_comparison_that_is_interrupted(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of what is done."""
    from odenn.comparison import run

    entry, calls = run._entry, iter((False, True))

    def interrupted(*arguments: object) -> object:
        if next(calls):
            raise KeyboardInterrupt
        return entry(*arguments)

    monkeypatch.setattr(run, "_entry", interrupted)
    result = odenn_cli("compare", *DECAY, "--methods", "collocation,LSODA,Radau")
    assert result.exit_code == 130
    assert "Interrupted: 1 of 3 runs were made." in result.stdout
    assert "interrupted after 1 of 3 runs" in result.stderr


def test_names_by_commas_are_completed() -> None:
    from odenn.cli import _workshop as workshop
    from odenn.comparison.competitors import OWN, SCIPY
    from odenn.networks.activations import ACTIVATIONS

    assert set(workshop.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(workshop.METHODS) == {*OWN, *SCIPY}


def test_compare_ends_with_1_where_no_method_solves_it(odenn_cli: Call) -> None:
    pole = ("y' = y^2; y(0) = 1", "--span", "0", "2", "--methods", "collocation,RK45", "--rtol", "1e-4,1e-6")
    result = odenn_cli("compare", *pole, "--json")
    assert result.exit_code == 1
    entries = json.loads(result.stdout)["entries"]
    assert [entry["rtol"] for entry in entries] == [1e-4, 1e-6, 1e-4, 1e-6]
    for entry in entries:
        assert not entry["success"]
        assert entry["message"]
        assert entry["covered"] == pytest.approx(0.5, abs=1e-3)


def test_compare_trains_on_the_device(odenn_cli: Call) -> None:
    result = odenn_cli("compare", *DECAY, "--methods", "residual,collocation", "--device", "meta")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert rows["residual"].endswith("refused")
    assert rows["collocation"].endswith("success")
    assert "residual, rtol 1e-06: device 'meta' cannot be used" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", *DECAY, "--methods", "colocation"), "did you mean collocation?"),
        (("compare", *DECAY, "--methods", "LSODA,,"), "--methods takes names by commas"),
        (("compare", *DECAY, "--rtol", "small"), "--rtol takes numbers by commas"),
        (("compare", *DECAY, "--rtol", "1e-4,"), "--rtol takes numbers by commas"),
        (("compare", "-y' = y; y(0) = 1", "--span", "0", "1"), "--span 0 1 --"),
        (("compare", *DECAY, "--plot", "missing/a.png"), "missing"),
        (("search", *DECAY, "--depth", "1-x"), "--depth takes whole numbers"),
        (("search", *DECAY, "--depth", "3-1"), "from the smaller to the larger number, got '3-1'"),
        (("search", *DECAY, "--storage", "missing/s.journal"), "`storage` 'missing/s.journal' cannot be used"),
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
    monkeypatch.setattr("odenn.extras.find_spec", lambda name: None)
    result = odenn_cli("search", *DECAY)
    assert result.exit_code == 2
    assert "searching needs optuna and cloudpickle: pip install " in " ".join(result.stderr.split())
