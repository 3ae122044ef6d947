"""What the server keeps of runs and uploads: files in a temporary folder, under names that cannot be guessed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odenn.web.workers import Job, Lane

MOST = 500  # runs and uploads together
AGE = 6 * 3600.0  # seconds
LET_GO = 60.0  # seconds that a run stays which nobody asks for any more
BYTES = 2_000_000_000


@dataclass(eq=False)
class Kept:
    """A run, or an uploaded file, with a folder of its own."""

    id: str
    folder: Path
    kind: str
    """"run", "data" or "solution"."""
    name: str = ""
    """What the user calls an uploaded file; never a path."""
    used: float = field(default_factory=time.monotonic)
    size: int = 0
    """Bytes of its files, when they were last looked at."""
    job: Job | None = None
    """While it runs,"""
    lane: Lane | None = None
    """and where."""

    @property
    def solution(self) -> Path:
        """The file with its solution, which need not be there."""
        return self.folder / "solution.odenn"

    @property
    def upload(self) -> Path:
        """The uploaded file."""
        return self.folder / ("upload.csv" if self.kind == "data" else "upload.odenn")


class Shelf:
    """Runs and uploads by id; the oldest go when there are too many, or too many bytes."""

    def __init__(self, *, most: int = MOST, age: float = AGE, bytes: int = BYTES) -> None:  # noqa: A002
        self._most, self._age, self._bytes = most, age, bytes
        self._folder = Path(tempfile.mkdtemp(prefix="odenn-web-"))
        self._kept: dict[str, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def new(self, kind: str, name: str = "") -> Kept:
        """A place for a run or an upload."""
        self.tidy()
        key = secrets.token_urlsafe(24)
        folder = self._folder / key
        folder.mkdir()
        kept = Kept(id=key, folder=folder, kind=kind, name=name)
        self._kept[key] = kept
        return kept

    def get(self, key: str, *kinds: str) -> Kept | None:
        """What has this id and is of one of these kinds."""
        kept = self._kept.get(key)
        if kept is None or kept.kind not in kinds:
            return None
        kept.used = time.monotonic()
        return kept

    def weigh(self, kept: Kept) -> None:
        """Note how many bytes its files have; to be called when some were written."""
        kept.size = 0
        for file in kept.folder.glob("*"):
            with suppress(FileNotFoundError):  # a draft, of a run that was left and is about to end
                kept.size += file.stat().st_size

    def remove(self, kept: Kept) -> None:
        """Forget it, files included."""
        self._kept.pop(kept.id, None)
        shutil.rmtree(kept.folder, ignore_errors=True)

    def let_go(self, kept: Kept) -> None:
        """Let it be the next to go: its page shows another run, or is gone. It may be being written, or taken."""
        kept.used = min(kept.used, time.monotonic() - self._age + LET_GO)

    def tidy(self) -> None:
        """Make room for one more; what runs at the moment stays."""
        resting = sorted((kept for kept in self._kept.values() if kept.job is None), key=lambda kept: kept.used)
        held = sum(kept.size for kept in self._kept.values())
        for kept in resting:
            too_old = time.monotonic() - kept.used > self._age
            if not (too_old or len(self._kept) >= self._most or held > self._bytes):
                break
            held -= kept.size
            self.remove(kept)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._kept.clear()
