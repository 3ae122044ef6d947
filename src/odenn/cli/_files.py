"""Files that are read and written: checked before the work begins, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import typer

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


def checked_output(path: Path | None) -> Path | None:
    """Refuse what could not be written after the work is done."""
    if path is None:
        return None
    folder = path.resolve().parent
    if path.is_dir():
        raise typer.BadParameter(f"{str(path)!r} is a directory: name a file in it.")
    if not folder.is_dir():
        raise typer.BadParameter(f"the directory {str(folder)!r} does not exist: create it, or write elsewhere.")
    if _special(path):
        return path
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise typer.BadParameter(f"{str(path)!r} cannot be written: permission denied.")
    return path


def checked_picture(path: Path | None) -> Path | None:
    """As `checked_output`; the ending says which kind of picture is meant."""
    path = checked_output(path)
    if path is not None and path.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"{str(path)!r} must end in one of {', '.join(PICTURES)}.")
    return path


def check_distinct(outputs: dict[str, Path | None], source: str) -> None:
    """Refuse to write two things to one file, or over the equations."""
    taken = {Path(source[1:]).resolve(): "the equations"} if source.startswith("@") else {}
    for option, path in outputs.items():
        if path is None or _special(path):
            continue
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise UsageError(f"{option} and {other} name the same file, {str(path)!r}: give each a file of its own")


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Path of a draft that takes the place of `path` when it is complete, and leaves no trace when it is not."""
    target = path.resolve()  # a symbolic link stays one
    draft = path if _special(path) else target.with_name(f".odenn-{os.getpid()}{target.suffix}")
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


def _special(path: Path) -> bool:
    """Whether the path is a device or a pipe, such as /dev/stdout."""
    return path.exists() and not path.is_file()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
