"""`odenn solve` on problems that are stated well."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Call = Callable[..., Result]


def table(output: str) -> tuple[list[str], list[list[str]]]:
    """Head (one name a column) and cells of the table."""
    head, _, *lines = output.partition("\n\n")[0].splitlines()
    return head.split(), [line.split() for line in lines]


def test_the_linear_pair(odenn_cli: Call, pair: str) -> None:
    """Eleven rows, right to the digits that are shown, errors that say so, and how it ended."""
    result = odenn_cli("solve", pair, "--span", "0", "10", "--rtol", "1e-9")
    head, cells = table(result.stdout)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert head == ["x", "y1", "y2", "error", "y1", "error", "y2"]
    assert [row[0] for row in cells] == [str(k) for k in range(11)]
    for t, y1, y2, error1, error2 in cells:
        assert float(y1) == pytest.approx(math.exp(float(t)), rel=1e-9)
        assert float(y2) == pytest.approx(math.cosh(float(t)), rel=1e-9)
        assert float(error1) <= 1e-9 * math.exp(10)
        assert float(error2) <= 1e-9 * math.cosh(10)
    assert cells[1][1] == "2.7182818285"  # eleven digits for nine that were asked
    assert "Solved: the estimated error meets the tolerance" in result.stdout
    assert "windows" in result.stdout


def test_negative_numbers_as_values(odenn_cli: Call) -> None:
    """A span and an initial value below zero need no quoting; the initial point may lie inside."""
    result = odenn_cli("solve", "y' = y", "--span", "-5", "5", "--initial", "y(0) = -1", "--points", "3")
    assert [row[:2] for row in table(result.stdout)[1]] == [
        ["-5", "-0.0067379470"],
        ["0", "-1.0000000"],
        ["5", "-148.41316"],
    ]


def test_backwards(odenn_cli: Call) -> None:
    """The table runs in the direction of the span."""
    result = odenn_cli("solve", "y' = y; y(0) = 1", "--span", "0", "-1", "--points", "2")
    assert [row[:2] for row in table(result.stdout)[1]] == [["0", "1.0000000"], ["-1", "0.36787944"]]


def test_comments_and_products_as_people_write_them(odenn_cli: Call, tmp_path: Path) -> None:
    """A comment ends with its line, or with its option."""
    (tmp_path / "equations.txt").write_text("# an oscillator\nx'' = -k x/m  # stiffness, mass\n", encoding="utf-8")
    result = odenn_cli(
        "solve", "@equations.txt", "--param", "k=4", "--param", "m=1", "--initial", "x(0) = 1  # pulled", "--initial",
        "x'(0) = 0", "--span", "0", "1", "--points", "2",
    )  # fmt: skip
    assert float(table(result.stdout)[1][1][1]) == pytest.approx(math.cos(2.0), rel=1e-6)


def test_parameters_and_conditions_can_be_repeated(odenn_cli: Call) -> None:
    """x'' = -k x / m with k = 4, m = 1 is a cosine of 2 t."""
    result = odenn_cli(
        "solve", "x'' = -k*x/m", "--param", "k=4", "--param", "m = 1.0", "--initial", "x(0) = 1", "--initial",
        "x'(0) = 0", "--span", "0", "1", "--points", "2",
    )  # fmt: skip
    assert float(table(result.stdout)[1][1][1]) == pytest.approx(math.cos(2.0), rel=1e-6)


@pytest.mark.parametrize("extra", [["--network", "tanh"], ["--network", "sin"], ["--stiff"], ["--no-stiff"]])
def test_methods(odenn_cli: Call, extra: list[str]) -> None:
    """Networks and solvers can be picked."""
    result = odenn_cli("solve", "y' = -y; y(0) = 1", "--span", "0", "1", "--points", "2", *extra)
    assert result.exit_code == 0
    assert float(table(result.stdout)[1][1][1]) == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert ("stiff" in result.stdout) == (extra == ["--stiff"])


def test_options_reach_the_solver(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no mark in the output is handed on all the same."""
    import odenn

    seen: dict[str, object] = {}
    plain = odenn.solve

    def spy(problem: odenn.IVP, **options: object) -> odenn.Solution:
        seen.update(options)
        return plain(problem, rtol=1e-3)

    monkeypatch.setattr(odenn, "solve", spy)
    odenn_cli(
        "solve", "y' = -y; y(0) = 1", "--span", "0", "1", "--rtol", "1e-4", "--atol", "1e-7", "--seconds", "5",
        "--compile",
    )  # fmt: skip
    method = seen.pop("method")
    assert seen == {"rtol": 1e-4, "atol": 1e-7, "compile": True, "progress": None, "checkpoint": None}
    assert method == odenn.Collocation(max_seconds=5.0)


def test_many_components(odenn_cli: Call) -> None:
    """The first six, the largest error of all, and how many there are besides."""
    text = ", ".join(f"z{i}' = -z{i}" for i in range(40)) + "; " + ", ".join(f"z{i}(0) = {i + 1}" for i in range(40))
    result = odenn_cli("solve", text, "--span", "0", "1")
    head, cells = table(result.stdout)
    assert head == ["t", "z0", "z1", "z2", "z3", "z4", "z5", "largest", "error"]
    assert "and 34 more: z6 to z39" in result.stdout
    assert {len(row) for row in cells} - {8} == {6} or "and" in cells[-1]


def test_no_line_is_cut_off_in_a_pipe(odenn_cli: Call) -> None:
    """Long names and many digits make wide tables, not dots."""
    names = [f"concentration_of_species_{i}" for i in range(6)]
    text = ", ".join(f"{name}' = -{name}" for name in names) + "; " + ", ".join(f"{name}(0) = 1" for name in names)
    result = odenn_cli("solve", text, "--span", "0", "1", "--points", "2", "--rtol", "1e-12")
    assert table(result.stdout)[0][1:7] == names
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


def test_not_solved(odenn_cli: Call) -> None:
    """Blow-up: exit code 1, the part that was reached, and why."""
    result = odenn_cli("solve", "y' = y^2; y(0) = 1", "--span", "0", "2", "--points", "3")
    assert result.exit_code == 1
    assert "Not solved to the tolerance: the solution grows without bound at t = 1" in result.stdout
    assert len(table(result.stdout)[1]) == 3


def test_out_of_time(odenn_cli: Call) -> None:
    """A budget that is used up is no success either."""
    result = odenn_cli("solve", "y'' = -y; y(0) = 0, y'(0) = 1", "--span", "0", "5000", "--seconds", "0.001")
    assert result.exit_code == 1
    assert "the budget was used up" in result.stdout


def test_quiet(odenn_cli: Call, pair: str) -> None:
    """No table, but how it ended."""
    result = odenn_cli("solve", pair, "--span", "0", "1", "-q")
    assert result.stdout.startswith("Solved: ")


def test_json(odenn_cli: Call) -> None:
    """One object with everything in full precision."""
    result = odenn_cli("solve", "y' = -k*y; y(0) = 1", "--param", "k=2", "--span", "0", "1", "--points", "3", "--json")
    record = json.loads(result.stdout)
    assert record["equations"] == "y' = -k*y; y(0) = 1"
    assert record["parameters"] == {"k": 2.0}
    assert (record["success"], record["status"]) == (True, "success")
    assert record["t"] == [0.0, 0.5, 1.0]
    assert record["y"]["y"] == pytest.approx([1.0, math.exp(-1.0), math.exp(-2.0)], rel=1e-6)
    assert len(record["error"]["y"]) == 3
    assert record["stats"]["windows"] >= 1
    assert record["verification"] is None


def test_json_of_a_blow_up_is_json(odenn_cli: Call) -> None:
    """Numbers that are not finite become null."""
    result = odenn_cli("solve", "y' = y^2; y(0) = 1", "--span", "0", "2", "--json")
    record = json.loads(result.stdout, parse_constant=pytest.fail)
    assert result.exit_code == 1
    assert record["span"] == [0.0, 2.0]
    assert record["reached"] == pytest.approx([0.0, 1.0])


def test_json_where_nothing_was_reached(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Empty lists, exit code 1, and no files."""
    import dataclasses

    import odenn

    plain = odenn.solve

    def nothing(problem: odenn.IVP, **options: object) -> odenn.Solution:
        solution = plain(problem)
        outcome = solution.outcome
        windows = dataclasses.replace(
            outcome.windows,
            **{name: getattr(outcome.windows, name)[:0] for name in ("start", "length", "value", "weights")},
        )
        outcome = dataclasses.replace(
            outcome, windows=windows, reached=(0.0, 0.0), status=odenn.Status.STALLED, message="stuck"
        )
        return dataclasses.replace(solution, outcome=outcome)

    monkeypatch.setattr(odenn, "solve", nothing)
    call = ("solve", "y' = -y; y(0) = 1", "--span", "0", "1", "--csv", "a.csv", "--verify")
    result = odenn_cli(*call, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["y"] == {"y": []}
    result = odenn_cli(*call)
    assert result.exit_code == 1
    assert result.stdout.startswith("Not solved to the tolerance: stuck")
    assert not list(tmp_path.iterdir())


def test_csv(odenn_cli: Call, pair: str, tmp_path: Path) -> None:
    """As many rows as the table has, in full precision."""
    result = odenn_cli("solve", pair, "--span", "0", "2", "--points", "5", "--csv", "out.csv")
    head, *cells = csv.reader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert head == ["x", "y1", "y2", "error_y1", "error_y2"]
    assert [float(row[0]) for row in cells] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert "Written: out.csv" in result.stdout


def test_save_and_plot(odenn_cli: Call, pair: str, tmp_path: Path) -> None:
    """The files are there, and nothing beside them."""
    odenn_cli("solve", pair, "--span", "0", "2", "--save", "s.odenn", "--plot", "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert {file.name for file in tmp_path.iterdir()} == {"s.odenn", "p.png"}


def test_verify(odenn_cli: Call, pair: str) -> None:
    """What an independent solution says comes after the table."""
    result = odenn_cli("solve", pair, "--span", "0", "2", "--verify")
    assert result.exit_code == 0
    assert "The true error meets the tolerance" in result.stdout.rpartition("Solved")[2]


def test_verify_in_json(odenn_cli: Call) -> None:
    """The verdict, and the figures it rests on."""
    result = odenn_cli("solve", "y' = -y; y(0) = 1", "--span", "0", "2", "--verify", "--json")
    record = json.loads(result.stdout)["verification"]
    assert record["method"]  # the formula, or SciPy where the machine has no time to find it
    assert (record["within_tolerance"], record["conclusive"]) == (True, True)
    assert 0 < record["largest_error"]["y"] <= 2 * record["largest_estimate"]["y"]


@pytest.mark.parametrize(("conclusive", "code"), [(True, 1), (False, 0)])
def test_a_refuted_solution_is_not_solved(
    odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, conclusive: bool, code: int
) -> None:
    """An error that is known to be too large counts more than an estimate that was too small."""
    import odenn

    class Verdict:
        within_tolerance = False

        def __init__(self) -> None:
            self.conclusive = conclusive

        def __str__(self) -> str:
            return "The true error MISSES the tolerance"

    monkeypatch.setattr(odenn.Solution, "verify", lambda self: Verdict())
    result = odenn_cli("solve", "y' = -y; y(0) = 1", "--span", "0", "2", "--verify")
    assert result.stdout.endswith("MISSES the tolerance\n")
    assert result.exit_code == code


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_nothing_to_verify_with(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, extra: list[str]) -> None:
    """Without a reference the solution stands, and that is said."""
    import odenn
    from odenn.verify import VerificationError

    def fail(self: odenn.Solution) -> None:
        raise VerificationError("no reference within 10 s")

    monkeypatch.setattr(odenn.Solution, "verify", fail)
    result = odenn_cli("solve", "y' = -y; y(0) = 1", "--span", "0", "2", "--verify", *extra)
    assert result.exit_code == 0
    assert "no reference within 10 s" in result.stdout


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_equations_from_stdin(odenn_cli: Call, newline: str) -> None:
    """One a line, as in a file."""
    text = newline.join(["y1' = y1", "y2' = y1 - y2", "y1(0) = 1", "y2(0) = 1", ""])
    result = odenn_cli("solve", "-", "--span", "0", "1", "--points", "2", input=text)
    assert table(result.stdout)[1][1][1:3] == ["2.7182818", "1.5430806"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_equations_from_a_file(odenn_cli: Call, tmp_path: Path, encoding: str) -> None:
    """As editors on all systems write it."""
    (tmp_path / "equations.txt").write_text("y' = 0 \N{EN DASH} y\ny(0) = 1\n", encoding=encoding)
    result = odenn_cli("solve", "@equations.txt", "--span", "0", "1", "--points", "2")
    assert table(result.stdout)[1][1][1] == "0.36787944"
