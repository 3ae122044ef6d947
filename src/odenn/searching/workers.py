"""Where trials run: here, in local processes, or on a Dask cluster; all take `submit(function, argument)`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from threading import Thread
from typing import Any, Protocol

from odenn.searching.trial import Reached

LOSSES = 3  # workers that may die over one trial


class Workers(Protocol):
    """A pool; `slots` trials at a time."""

    @property
    def slots(self) -> int: ...

    def submit(self, function: Callable[[bytes], Reached], argument: bytes) -> Future[Reached]: ...

    def restart(self) -> None:
        """Replace workers that died."""
        ...

    def close(self) -> None:
        """Let the workers go, whatever they are at."""
        ...


class Here:
    """This process, one trial after the other."""

    slots = 1

    def submit(self, function: Callable[[bytes], Reached], argument: bytes) -> Future[Reached]:
        future: Future[Reached] = Future()
        future.set_result(function(argument))
        return future

    def restart(self) -> None:
        """Nothing to replace."""

    def close(self) -> None:
        """Nobody to let go."""


class Processes:
    """Local processes, started afresh (a copy of a process that has used torch's threads may hang).

    They hold the reading end of a pipe to which nothing is ever written. It ends when this process closes it or is no
    more, however it came to its end, and they end with it, in mid-trial if need be.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._begin()

    def _begin(self) -> None:
        reader, self.alive = multiprocessing.Pipe(duplex=False)
        self.pool = ProcessPoolExecutor(
            self.slots, mp_context=multiprocessing.get_context("spawn"), initializer=_follow, initargs=(reader,)
        )

    def submit(self, function: Callable[[bytes], Reached], argument: bytes) -> Future[Reached]:
        with _deaf_children():
            try:
                return self.pool.submit(function, argument)
            except BrokenProcessPool:
                self.restart()
                return self.pool.submit(function, argument)

    def restart(self) -> None:
        """A pool with a dead process takes nothing more."""
        self.close()
        self._begin()

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.alive.close()


def _follow(alive: Connection) -> None:
    """Of a worker: leave Ctrl-C to the process that started it, and end when that one lets go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end() -> None:
        with suppress(EOFError, OSError):
            alive.recv_bytes()
        os._exit(1)

    Thread(target=end, daemon=True).start()


@contextmanager
def _deaf_children() -> Generator[None]:
    """Processes that are started meanwhile do not hear a terminal's Ctrl-C, which is sent to them as well."""
    if sys.platform == "win32":
        yield
        return
    ensure_running()  # multiprocessing's own process: starting it would undo the next line
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Cluster:
    """A Dask cluster, which itself gives the trials of a dead worker to another."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.executor = client.get_executor(pure=False)

    @property
    def slots(self) -> int:
        return max(sum(self.client.nthreads().values()), 1)

    def submit(self, function: Callable[[bytes], Reached], argument: bytes) -> Future[Reached]:
        return self.executor.submit(function, argument)

    def restart(self) -> None:
        """Dask's nanny does."""

    def close(self) -> None:
        """What is running there runs to its end, for nobody."""
        self.executor.shutdown(wait=False)
