"""The process of a worker, which does one job after the other.

`python -m odenn.web.process` takes one JSON object a line from its standard input, {"job": 7, "kind": "solve", ...},
and answers with lines of JSON: {"event": ...} for the page, and at last {"done": 7, ...}, which is for the server.
{"stop": 7} asks it to end job 7 and keep what it has. It ends when its input does: a worker never outlives the server.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import IO

from odenn.web.jobs import JOBS, Control
from odenn.web.reading import Event


def main() -> None:
    """Do jobs until the input ends."""
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not get among the answers
    _limit(memory_mb=int(sys.argv[1]), niceness=int(sys.argv[2]))
    try:
        Worker(commands, answers).run()
    except BaseException:  # of the line itself: the server starts another worker
        traceback.print_exc()
    os._exit(1)  # an orderly end would wait for the thread that reads


class Worker:
    """Takes jobs from a stream of lines and writes answers to another."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._jobs: SimpleQueue[Event] = SimpleQueue()
        self._control: Control | None = None
        self._stops: deque[int] = deque(maxlen=1)

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            job = self._jobs.get()
            control = Control(job["job"], self._write)
            self._control = control
            control.stopped = job["job"] in self._stops
            self._write({"done": job["job"], **self._done(job, control)})

    def _done(self, job: Event, control: Control) -> Event:
        try:
            return JOBS[job["kind"]](job["argument"], control) or {}
        except Exception as error:  # said to the user, ours written down for us, and the next job is done
            if _is_out_of_memory(error):
                message = f"the run was ended: it needs more memory than {sys.argv[1]} MB, the limit of one run"
                return {"failure": {"event": "failed", "message": message, "kind": "limit"}}
            traceback.print_exc()
            message = f"an error of odenn's own, please report it: {type(error).__name__}: {error}"[:500]
            return {"failure": {"event": "failed", "message": message, "kind": "internal"}}

    def _listen(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if "stop" in command:
                self._stops.append(command["stop"])
                if self._control is not None and self._control.number == command["stop"]:
                    self._control.stopped = True
            else:
                self._jobs.put(command)
        os._exit(0)  # the server is gone

    def _write(self, event: Event) -> None:
        self._answers.write(json.dumps(event, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        self._answers.flush()


def _is_out_of_memory(error: Exception) -> bool:
    """NumPy raises MemoryError, torch a RuntimeError that only its words tell from others."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def _limit(*, memory_mb: int, niceness: int) -> None:
    """Refuse single allocations beyond the limit; what grows slowly is watched by the server."""
    try:
        import resource
    except ImportError:  # Windows
        return
    os.nice(niceness)
    size = memory_mb * 2**20
    with suppress(ValueError, OSError):  # a limit of the system's own is lower
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main()
