"""The commands beside `solve`, the help and the version."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import odenn
from odenn import zoo

Call = Callable[..., Result]


def test_version(odenn_cli: Call) -> None:
    """One line."""
    assert odenn_cli("--version").stdout == f"odenn {odenn.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("solve",), ("show",), ("solve", "--help"), ("zoo", "--help")])
def test_help(odenn_cli: Call, arguments: tuple[str, ...]) -> None:
    """Without arguments there is help, with an example."""
    result = odenn_cli(*arguments)
    assert "Usage" in result.output
    assert "odenn" in result.output
    assert result.output.isascii() or "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in result.output


def test_show(odenn_cli: Call) -> None:
    """What was solved, how well, and a small table."""
    text = "x'' = mu*(1 - x^2)*x' - x; x(0) = 2, x'(0) = 0"
    odenn_cli("solve", text, "--param", "mu=1.5", "--span", "0", "8", "--rtol", "1e-8", "--save", "pol.odenn")
    result = odenn_cli("show", "pol.odenn")
    assert result.exit_code == 0
    contents = dict(line.split(maxsplit=1) for line in result.stdout.split("\n\n")[0].splitlines())
    assert contents["equations"] == text
    assert contents["parameters"] == "mu = 1.5"
    assert contents["span"] == "t = 0 to 8"
    assert contents["status"].startswith("the estimated error meets the tolerance")
    assert contents["error"].endswith("estimated, 1e-08 asked (relative to the largest value)")
    assert float(contents["error"].split()[0]) <= 1e-8
    assert contents["network"].startswith("Legendre, ")
    assert int(contents["windows"].partition(",")[0]) >= 1
    assert len(result.stdout.split("\n\n")[1].splitlines()) == 2 + 5


def test_show_what_was_not_solved(odenn_cli: Call) -> None:
    """The part that was reached is told from the span."""
    odenn_cli("solve", "y' = y^2; y(0) = 1", "--span", "0", "2", "--save", "s.odenn", "--network", "sin")
    result = odenn_cli("show", "s.odenn", "--points", "2")
    assert "t = 0 to 2, reached 0 to 1" in result.stdout
    assert "grows without bound" in result.stdout
    assert "sin, " in result.stdout


def test_show_a_function(odenn_cli: Call) -> None:
    """A Python function is not in the file."""
    problem = odenn.IVP(lambda t, y: [-y[0]], y0=[1.0], span=(0, 1))
    odenn.solve(problem).save("s.odenn")
    assert "not stored" in odenn_cli("show", "s.odenn").stdout


@pytest.mark.parametrize("content", [None, b"", b"not a solution", b"PK\x03\x04" + bytes(100)])
def test_show_something_else(odenn_cli: Call, tmp_path: Path, content: bytes | None) -> None:
    """A file that is not there or holds something else is a mistake of the user."""
    if content is not None:
        (tmp_path / "s.odenn").write_bytes(content)
    result = odenn_cli("show", "s.odenn")
    assert result.exit_code == 2
    assert "s.odenn" in result.stderr
    assert result.stdout == ""


def test_zoo(odenn_cli: Call) -> None:
    """All of them, one a line, by names that can be asked for."""
    lines = odenn_cli("zoo").stdout.splitlines()[2:]
    assert tuple(line.split()[0] for line in lines) == zoo.names()


def test_json_of_the_zoo(odenn_cli: Call) -> None:
    """A list of all, an object for one."""
    records = json.loads(odenn_cli("zoo", "--json").stdout)
    assert tuple(record["name"] for record in records) == zoo.names()
    assert json.loads(odenn_cli("zoo", "kepler", "--json").stdout) in records
    assert all(len(record["span"]) == 2 and record["title"] and record["source"] for record in records)


def test_json_of_a_saved_solution(odenn_cli: Call) -> None:
    """The same as when it was solved."""
    call = ("solve", "y' = -y; y(0) = 1", "--span", "0", "1", "--points", "4", "--json", "--save", "s.odenn")
    assert odenn_cli("show", "s.odenn", "--points", "4", "--json").exit_code == 2
    solved = odenn_cli(*call).stdout
    assert odenn_cli("show", "s.odenn", "--points", "4", "--json").stdout == solved


def test_json_of_what_was_not_solved(odenn_cli: Call) -> None:
    """To show it is no failure: `show` did what it was asked."""
    odenn_cli("solve", "y' = y^2; y(0) = 1", "--span", "0", "2", "--save", "s.odenn", "-q")
    shown = odenn_cli("show", "s.odenn", "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["status"] == "blow_up"


@pytest.mark.parametrize(
    ("line", "word", "completions"),
    [
        ("odenn zoo kep", 2, {"kepler"}),
        ("odenn solve --method ", 3, {"collocation", "residual", "data-fit"}),
        ("odenn solve --csv missing/a.csv --optim", 4, {"--optimizer"}),
    ],
)
def test_completion(line: str, word: int, completions: set[str], environment: dict[str, str]) -> None:
    """Commands, options and their values."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['odenn']; from odenn.cli import main; main()"],
        env={**environment, "_ODENN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == completions
    assert done.stderr == ""


def test_a_prompt_of_old_windows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its fonts have the box characters of code page 437 and no others."""
    from odenn.cli._console import Output
    from odenn.cli._progress import SpanBar
    from odenn.cli._report import print_table, print_verdict

    monkeypatch.setattr("rich.console.detect_legacy_windows", lambda: True)
    solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 1)))
    assert solution.problem is not None
    out = Output()
    assert out.legacy_windows
    print_table(out, solution, 3)
    print_verdict(out, solution)
    bar = SpanBar(solution.problem, out)
    bar(odenn.Report(fraction=0.5, windows=2))
    out.print(bar.picture)
    shown = capsys.readouterr().out
    assert "\n----" in shown  # the bar
    shown.encode("cp437")


def test_a_zoo_problem_comes_with_its_command(odenn_cli: Call) -> None:
    """The command solves it."""
    import shlex

    command = odenn_cli("zoo", "kepler").stdout.splitlines()[-1]
    result = odenn_cli(*shlex.split(command)[1:], "--rtol", "1e-9")
    assert result.exit_code == 0


def test_a_zoo_problem_without_text(odenn_cli: Call) -> None:
    """Python is the way to it."""
    name = next(problem.name for problem in zoo.all_problems() if problem.text is None)
    assert f"odenn.zoo.get('{name}')" in odenn_cli("zoo", name).stdout


def test_a_zoo_problem_that_is_not_there(odenn_cli: Call) -> None:
    """The nearest name is proposed."""
    result = odenn_cli("zoo", "keplr")
    assert result.exit_code == 2
    assert "'kepler'" in result.stderr
