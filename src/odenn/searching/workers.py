"""Where trials run: here, in local processes, or on a Dask cluster; all take `submit(function, argument)`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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
    """Local processes, started afresh (a copy of a process that has used torch's threads may hang)."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.pool = self._pool()

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.slots, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, function: Callable[[bytes], Reached], argument: bytes) -> Future[Reached]:
        try:
            return self.pool.submit(function, argument)
        except BrokenProcessPool:
            self.restart()
            return self.pool.submit(function, argument)

    def restart(self) -> None:
        """A pool with a dead process takes nothing more."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = self._pool()

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)


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
        self.executor.shutdown(wait=False)
