"""Processes of their own: start-up, encodings, pipes, terminals, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
DECAY = ("y' = -y; y(0) = 1", "--span", "0", "1")
LONG = ("y'' = -y; y(0) = 0, y'(0) = 1", "--span", "0", "1e7", "--points", "2")

unix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals and signals as Unix has them")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("solve", *DECAY), {"torch", "scipy", "matplotlib", "numba", "safetensors"}),
        (("solve", *DECAY, "--csv", "a.csv", "--json"), {"torch", "scipy", "matplotlib", "numba", "safetensors"}),
        (("--version",), {"torch", "scipy", "matplotlib", "numba", "sympy", "lark"}),
        (("zoo",), {"torch", "scipy", "matplotlib", "numba", "sympy", "lark"}),
    ],
)
def test_imports(arguments: tuple[str, ...], absent: set[str], environment: dict[str, str], tmp_path: Path) -> None:
    """Nothing is loaded that is not needed: this is what keeps the start short."""
    probe = (
        "import atexit, sys; sys.argv[0] = 'odenn'\n"
        "atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))\n"
        "from odenn.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, env=environment, cwd=tmp_path, check=True
    )
    loaded = set(done.stderr.decode().split())
    assert "odenn" in loaded
    assert not loaded & absent


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve", *DECAY),
        ("solve", *DECAY, "--method", "data-fit", "--network", "8x2", "--data", "rk4:0.02", "--rtol", "1e-4"),
        ("--help",),
        ("solve", "--help"),
        ("zoo",),
        ("zoo", "--json"),
        ("zoo", "kepler"),
    ],
)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_encodings(start: Start, arguments: tuple[str, ...], encoding: str) -> None:
    """Every console gets characters that it has."""
    process = start(*arguments, PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    out.decode(encoding)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize(
    "arguments", [("solve", *DECAY), ("solve", *DECAY, "--json"), ("zoo",), ("compare", *DECAY, "--methods", "LSODA")]
)
def test_a_full_disk_behind_stdout(arguments: tuple[str, ...], environment: dict[str, str], tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "odenn", *arguments],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=tmp_path,
        )
    assert (done.returncode, done.stderr.decode()) == (1, "odenn: stdout: No space left on device\n")


def test_a_home_that_cannot_be_written_to(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start("--install-completion", "bash", HOME=str(tmp_path / "file"))
    out, err = process.communicate()
    if b"Shell None" in out:  # Typer looks for a shell among the parents and takes no name where one could be found
        pytest.skip("started by no shell")
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"odenn: ")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_a_console_cannot_show(start: Start, encoding: str) -> None:
    """They become question marks, in answers and in complaints, and carets stay where they belong."""
    omega = "\N{GREEK SMALL LETTER OMEGA}"
    process = start("solve", f"{omega}' = -{omega}; {omega}(0) = 1", "--span", "0", "1", PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"error ?" in out
    process = start("solve", f"{omega}' = -{omega}*k; {omega}(0) = 1", "--span", "0", "1", PYTHONIOENCODING=encoding)
    out, err = process.communicate()
    assert process.returncode == 2
    shown = err.decode(encoding).splitlines()
    place = next(i for i, line in enumerate(shown) if line.strip() == "^")
    assert shown[place - 1][shown[place].index("^")] == "k"


@unix
def test_a_reader_that_leaves(start: Start, tmp_path: Path) -> None:
    """As in `odenn solve ... | head -1`: silence, files that are complete, and the exit code of the solve."""
    process = start("solve", *DECAY, "--points", "5000", "--csv", "a.csv")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 5001


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (DECAY, 0),
        (("y' = y^2; y(0) = 1", "--span", "0", "2"), 1),
        (("y' = z", "--span", "0", "2"), 2),
        (("y' = y; y(0) = 1", "--spam"), 2),
    ],
)
def test_exit_codes(start: Start, arguments: tuple[str, ...], code: int) -> None:
    """The shell sees them; errors are on stderr, and without colour in a pipe."""
    process = start("solve", *arguments)
    out, err = process.communicate()
    assert process.returncode == code
    assert bool(err) == (code == 2)
    assert bool(out) == (code != 2)
    assert b"\x1b" not in out + err


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, command: list[str], columns: int, environment: dict[str, str], directory: Path) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=directory, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def until(self, words: str | None, seconds: float = 60.0) -> str:
        """Read until `words` appear, or to the end."""
        end = time.monotonic() + seconds
        while words is None or words not in self.text:
            assert time.monotonic() < end, self.text
            try:
                piece = os.read(self.screen, 65536)
            except OSError:  # how Linux says that the other side is closed
                piece = b""
            if not piece:
                assert words is None, self.text
                break
            self.text += piece.decode()
        return self.text

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        self.until(None)
        os.close(self.screen)
        return self.process.wait()


def plain(text: str) -> str:
    """What a terminal was sent without its codes."""
    return re.sub(r"\x1b\[[0-9;?]*\w|\r", "", text)


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Callable[..., Terminal]:
    """Start odenn on a terminal; its progress bar does not wait for a second."""
    code = "import odenn.cli._progress as p; p.PATIENCE = 0.05; from odenn.cli import main; main()"

    def begin(*arguments: str, columns: int = 80, **variables: str) -> Terminal:
        command = [sys.executable, "-c", code, *arguments]
        return Terminal(command, columns, {**environment, **variables}, tmp_path)

    return begin


@unix
def test_progress_and_interrupt(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """A long solve shows how far it is; Ctrl-C ends it with a word, and nothing is written."""
    long = terminal("solve", *LONG, "--csv", "a.csv")
    assert "%" in long.until("ends at 1e+07")
    os.kill(long.process.pid, signal.SIGINT)
    assert long.wait() == 130
    assert long.text.rstrip().endswith("interrupted")
    assert "Traceback" not in long.text
    assert not list(tmp_path.iterdir())


@unix
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_plain_lines(terminal: Callable[..., Terminal], variables: dict[str, str]) -> None:
    """Without colours, or a cursor to move, what goes on is said line by line."""
    comparison = terminal("compare", *DECAY, "--methods", "LSODA,RK45", "--seconds", "1", **variables)
    assert comparison.wait() == 0
    assert "\x1b" not in comparison.text
    first = "looking for a reference\nSciPy LSODA at rtol 1e-06\nSciPy RK45 at rtol 1e-06\n"
    assert plain(comparison.text).startswith(first)
    long = terminal("solve", *LONG, **variables)
    long.until("ends at 1e+07")
    os.kill(long.process.pid, signal.SIGINT)
    assert long.wait() == 130
    assert not re.search(r"\x1b\[[0-9;?]*[^0-9;?m]", long.text)  # bold at most


@unix
def test_an_interrupted_training(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """The bar shows the loss; Ctrl-C ends the training with a table of what there is, the files, and exit code 1."""
    call = ("solve", "y'' = -y; y(0) = 0, y'(0) = 1", "--span", "0", "1e4", "--method", "residual", "--network", "8x2")
    long = terminal(*call, "--rtol", "1e-3", "--csv", "a.csv", "--points", "3")
    long.until(" windows, iteration ")
    assert "loss " in long.text
    os.kill(long.process.pid, signal.SIGINT)
    assert long.wait() == 1
    assert "Not solved to the tolerance: the run was stopped before the end" in " ".join(plain(long.text).split())
    assert "Traceback" not in long.text
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 4


@unix
def test_colour_on_a_terminal_and_none_where_it_is_not_wanted(terminal: Callable[..., Terminal]) -> None:
    """NO_COLOR is honoured: no colour codes, though bold may stay."""
    coloured, plain = terminal("solve", *DECAY), terminal("solve", *DECAY, NO_COLOR="1")
    assert (coloured.wait(), plain.wait()) == (0, 0)
    assert "\x1b[1;32mSolved" in coloured.text
    assert "\x1b[1;32m" not in plain.text


@unix
@pytest.mark.parametrize("columns", [30, 60, 100])
def test_a_table_fits_the_terminal(terminal: Callable[..., Terminal], columns: int) -> None:
    """Fewer components on a narrow one; figures are never cut."""
    text = ", ".join(f"z{i}' = -z{i}" for i in range(6)) + "; " + ", ".join(f"z{i}(0) = 1" for i in range(6))
    narrow = terminal("solve", text, "--span", "0", "1", "--points", "2", columns=columns)
    assert narrow.wait() == 0
    shown = narrow.text.rpartition("\x1b[2K")[2]  # on a busy machine a bar was there for a moment, and was erased
    lines = plain(shown).partition("\n\n")[0].splitlines()
    assert all(len(line) <= max(columns, 31) for line in lines[:4])
    assert lines[3].split()[1] == "0.36787944"
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow.text
