"""The commands beside `solve`, the help and the version."""

from __future__ import annotations

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
