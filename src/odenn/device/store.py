"""What `odenn bench-device` measured on this machine, kept in the user's cache folder."""

from __future__ import annotations

import json
import math
import platform
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """From how much work on (`choice.work_of`) the accelerator is faster than the CPU; None: never was."""

    accelerator: str  # its name
    host: str
    gauss_newton: float | None
    first_order: float | None
    evaluation: float | None
    date: str = ""
    torch: str = ""


def place() -> Path:
    """The file of this machine: home folders may be shared by several."""
    import platformdirs

    name = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "machine"
    return platformdirs.user_cache_path("odenn") / f"bench-device-{name}.json"


def find() -> Measured | None:
    """What was measured on this machine; None where nothing was, or the file cannot be read as what it should be."""
    return _found(place())


@lru_cache(maxsize=4)
def _found(path: Path) -> Measured | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            return None
        measured = Measured(**content["measured"])
    except (OSError, ValueError, TypeError, KeyError):  # a cache: whatever is wrong with it, there is none
        return None
    limits = (measured.gauss_newton, measured.first_order, measured.evaluation)
    if measured.host != platform.node() or not all(_is_limit(limit) for limit in limits):
        return None
    return measured


def keep(measured: Measured) -> Path:
    """Write it down, in place of what was there before; the file's path."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"version": VERSION, "measured": asdict(measured)}, indent=2), encoding="utf-8")
    draft.replace(path)
    _found.cache_clear()
    return path


def _is_limit(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and math.isfinite(value) and value > 0)
