"""Mistakes of the user: exit code 2, words on stderr, nothing on stdout. Mistakes of ours: a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import odenn

Call = Callable[..., Result]
DECAY = ("y' = -y; y(0) = 1", "--span", "0", "1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("y' = z; y(0) = 1", "--span", "0", "1"), "unknown name `z`"),
        (("y' = ", "--span", "0", "1"), "odenn: "),
        (("y' = y", "--span", "0", "1"), "initial values are missing"),
        (("", "--span", "0", "1"), "there are no equations"),
        (("y' = y; y(0) = 1", "--span", "0", "inf"), "`span` must be finite"),
        (("y' = y; y(0) = 1", "--span", "1", "1"), "`span` has no length"),
        (("y' = y; y(0) = 1", "--span", "1", "2"), "outside the span"),
        (("y' = y; y(0) = 1", "--span", "1"), "--span"),
        (("y' = y; y(0) = 1",), "--span"),
        (("y' = y; y(0) = 1", "--span", "0", "x"), "--span takes two numbers, such as 0 10, got 'x'"),
        (("y' = y; y(0) = 1", "--span", "0", "01"), "got '01': write 1 or 0.1"),
        (("y' = y; y(0) = 1", "--span", "0", "1_0"), "--span takes two numbers"),
        (("y' = y; y(0) = 1", "--span", "0", "nan"), "`span` must be finite"),
        (("y' = y", "--span", "0", "1", "--initial", "y(0 = 1"), "never closed"),
        (("y' = y", "--span", "0", "1", "--initial", "1"), "not an equation"),
        (("y' = y", "--span", "0", "1", "--initial", "z(0) = 1"), "an initial condition for `z`"),
        (("y' = y", "--span", "0", "1", "--inital", "y(0) = 1"), "--initial"),
        (("y' = sqrt(y); y(0) = -1", "--span", "0", "1"), "right-hand side of `y` is nan"),
        ((*DECAY, "--rtol", "2"), "`rtol` must lie between 0 and 1"),
        ((*DECAY, "--rtol", "nan"), "`rtol` must lie between 0 and 1"),
        ((*DECAY, "--atol", "1", "--atol", "2"), "`atol`"),
        ((*DECAY, "--network", "tanh", "--stiff"), "Legendre network"),
        ((*DECAY, "--network", "relu"), "--network takes legendre, tanh or sin with --method collocation"),
        ((*DECAY, "--seconds", "0"), "`max_seconds` must be positive"),
        ((*DECAY, "--points", "1"), "--points"),
        ((*DECAY, "--initial", "y(0) = 2"), "too many initial conditions"),
        ((*DECAY, "--param", "k"), "--param takes a name and a number"),
        ((*DECAY, "--param", "=1"), "--param takes a name and a number"),
        ((*DECAY, "--param", "k=01"), "write 1 or 0.1"),
        ((*DECAY, "--param", "k=1/2"), "--param takes a name and a number"),
        ((*DECAY, "--param", "k=1", "--param", "k=2"), "twice"),
        ((*DECAY, "--param", "k=1"), "`k`"),
        (("@missing.txt", "--span", "0", "1"), "cannot read the equations from 'missing.txt': No such file"),
        (("@.", "--span", "0", "1"), "cannot read the equations from '.'"),
        ((*DECAY, "--csv", "missing/a.csv"), "does not exist"),
        ((*DECAY, "--save", "."), "is a directory"),
        ((*DECAY, "--plot", "picture"), "must end in"),
        ((*DECAY, "--plot", "picture.doc"), "must end in"),
        ((*DECAY, "--csv", "a", "--save", "./a"), "name the same file"),
    ],
)
def test_a_mistake_is_named(odenn_cli: Call, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """Every one is said in words, and leaves no file."""
    result = odenn_cli("solve", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in " ".join(result.stderr.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_place_of_a_mistake_is_shown(odenn_cli: Call) -> None:
    """The caret is below the name that is not known."""
    lines = odenn_cli("solve", "y' = -speed*y; y(0) = 1", "--span", "0", "1").stderr.splitlines()
    caret = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert lines[caret - 1][lines[caret].index("^") :].startswith("speed")


@pytest.mark.parametrize("option", ["--csv", "--save", "--plot"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("missing/a.png", "does not exist"),
        ("folder.png", "is a directory"),
        ("a.png/b.png", "does not exist"),
        (f"{'long' * 100}.png", "too long"),
        ("locked/a.png", "ermission denied"),
        ("/proc/a.png", ""),
    ],
)
def test_files_are_checked_before_the_work(
    odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, file: str, words: str
) -> None:
    """Nobody waits for a solution that cannot be written."""
    monkeypatch.setattr(odenn, "solve", lambda *_, **__: pytest.fail("solved"))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "a.png").touch()
    if file.startswith("locked") and os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("nothing is locked to this user")
    if file.startswith("/proc") and sys.platform != "linux":
        pytest.skip("no /proc")
    result = odenn_cli("solve", *DECAY, option, file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert option in result.stderr
    assert words in result.stderr


def test_checking_a_file_leaves_it_alone(odenn_cli: Call, tmp_path: Path) -> None:
    """An old one keeps its content and its time, a new one is not made, until there is something to write."""
    (tmp_path / "old.csv").write_text("old")
    os.utime(tmp_path / "old.csv", (1, 1))
    result = odenn_cli("solve", "y' = z", "--span", "0", "1", "--csv", "old.csv", "--save", "new.odenn")
    assert result.exit_code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"
    assert (tmp_path / "old.csv").stat().st_mtime == 1


def test_the_equations_are_not_written_over(odenn_cli: Call, tmp_path: Path) -> None:
    """A slip of the hand would lose them."""
    (tmp_path / "a.txt").write_text(DECAY[0])
    result = odenn_cli("solve", "@a.txt", "--span", "0", "1", "--csv", "a.txt")
    assert result.exit_code == 2
    assert (tmp_path / "a.txt").read_text() == DECAY[0]


def test_a_disk_that_fills_up(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An old file is left as it was, no part of the new one is there, and what was solved is printed all the same."""
    (tmp_path / "a.csv").write_text("old")

    def to_csv(self: odenn.Solution, path: Path, points: int) -> None:
        path.write_text("t,")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(odenn.Solution, "to_csv", to_csv)
    result = odenn_cli("solve", *DECAY, "--csv", "a.csv")
    assert result.exit_code == 2
    assert "Solved: " in result.stdout
    assert result.stderr == "odenn: cannot write 'a.csv': No space left on device\n"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.csv", "old")]


def test_a_link_stays_a_link(odenn_cli: Call, tmp_path: Path) -> None:
    """What it points to is written."""
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    odenn_cli("solve", *DECAY, "--csv", "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("t,y,error_y")


def _ours(code: str) -> Callable[..., None]:
    """A function that counts as part of odenn."""
    namespace: dict[str, object] = {"__name__": "odenn.somewhere"}
    exec(f"def function(*arguments, **options):\n    {code}", namespace)
    return namespace["function"]  # type: ignore[return-value]


def test_an_error_that_odenn_raises_is_the_users(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was raised with words for the user."""
    monkeypatch.setattr(odenn, "solve", _ours("raise ValueError('`rtol` is odd')"))
    result = odenn_cli("solve", *DECAY)
    assert (result.exit_code, result.stderr) == (2, "odenn: `rtol` is odd\n")


@pytest.mark.parametrize("code", ["None + 1", "float('x')", "[][0]", "raise RuntimeError", "(lambda: 0)(1)"])
def test_a_bug_is_not_the_users(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """An operation that went wrong shows its traceback."""
    monkeypatch.setattr(odenn, "solve", _ours(code))
    with pytest.raises((TypeError, ValueError, IndexError, RuntimeError)):
        odenn_cli("solve", *DECAY)


def test_unknown_commands_and_options(odenn_cli: Call) -> None:
    """The nearest one is proposed."""
    assert "solve" in odenn_cli("slove").stderr
    assert "--rtol" in odenn_cli("solve", *DECAY, "--rtoll", "1").stderr
