"""Packages that odenn does without, and what to do where one of them is missing."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec


def need(what: str, extra: str, *modules: str) -> None:
    """Raise ImportError where modules of an extra are missing, with the command that installs the extra's packages.

    These are named one by one: that works for a checkout as for any index that odenn may come from.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        raise ImportError(f"{what} needs {names}: {remedy(extra)}", name=missing[0])


def remedy(extra: str) -> str:
    """The command, from what odenn's metadata say of the extra."""
    try:
        stated = requires("odenn") or []
    except PackageNotFoundError:
        stated = []
    pattern = re.compile(rf"(.+?)\s*;\s*extra == ['\"]{extra}['\"]")
    found = [f'"{match[1]}"' for text in stated if (match := pattern.fullmatch(text))]
    if not found:  # run from a folder, without being installed
        return f'pip install ".[{extra}]" in the folder of odenn'
    return f"pip install {' '.join(found)} (the extra [{extra}])"
