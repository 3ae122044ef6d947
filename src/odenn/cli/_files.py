"""Files that are read and written: checked before the work begins, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from odenn import Solution
from odenn.cli._failures import UsageError

# What Matplotlib writes, known without importing it.
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps", ".svgz")


def read_equations(argument: str) -> str:
    """The text of the argument: as it stands, from stdin for `-`, from a file for `@file`."""
    if argument != "-" and not argument.startswith("@"):
        return argument
    place = "stdin" if argument == "-" else repr(argument[1:])
    try:
        return (
            sys.stdin.read().lstrip("\ufeff") if argument == "-" else Path(argument[1:]).read_text(encoding="utf-8-sig")
        )
    except OSError as error:
        raise UsageError(f"cannot read the equations from {place}: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read the equations from {place}: it is not text in {error.encoding.upper()}"
        ) from error


def load_solution(path: Path) -> Solution:
    """The solution in a file."""
    from odenn.storage.solutions import load

    try:
        return load(path)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {_reason(error)}") from error


def check_readable(path: Path, what: str) -> None:
    """Refuse a text file that cannot be read."""
    try:
        path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {what} from {str(path)!r}: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {what} from {str(path)!r}: it is not text in UTF-8") from error


def check_outputs(outputs: dict[str, Path | None], inputs: dict[str, str | None]) -> None:
    """Refuse what could not be written after the work is done, two things in one file, and a file that is read."""
    taken = {Path(file).resolve(): what for what, file in inputs.items() if file is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "--plot" and path.suffix.lower() not in PICTURES:
            raise UsageError(f"{option} {str(path)!r} must end in one of {', '.join(PICTURES)}")
        try:
            if _special(path):
                continue
            other = taken.setdefault(path.resolve(), option)
            if other != option:
                raise UsageError(f"{option} and {other} name the same file, {str(path)!r}: give each a file of its own")
            _try_to_write(path.resolve())
        except OSError as error:
            raise UsageError(f"{option} cannot write {str(path)!r}: {_reason(error)}") from error


def _try_to_write(target: Path) -> None:
    """Leave everything as it was, or raise OSError. What permissions say is not all: /proc, network drives, names that
    are too long or that Windows does not allow."""
    if target.is_dir():
        raise IsADirectoryError(0, "it is a directory: name a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            0, f"the directory {str(target.parent)!r} does not exist: create it, or write elsewhere"
        )
    new = not target.exists()
    with open(target, "ab"):  # the file itself: a name that cannot be, or a file that must not be changed
        pass
    if new:
        target.unlink()
    draft = _draft(target)  # and its place: the folder
    draft.touch()
    draft.unlink()


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Path of a draft that takes the place of `path` when it is complete, and leaves no trace when it is not."""
    target = path.resolve()  # a symbolic link stays one
    draft = path if _special(path) else _draft(target)
    try:
        yield draft
        if draft != path:
            if target.exists():
                shutil.copymode(target, draft)
            draft.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {_reason(error)}") from error
    finally:
        if draft != path:
            draft.unlink(missing_ok=True)


def _draft(target: Path) -> Path:
    return target.with_name(f".odenn-{os.getpid()}{target.suffix}")


def _special(path: Path) -> bool:
    """Whether the path is a device or a pipe, such as /dev/stdout."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
