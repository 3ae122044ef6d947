"""Worker processes: who does a job, how long and with how much memory, and what happens when it is too much.

A worker is a Python of its own (`odenn.web.process`) that is kept for the next job, whoever asks for it. A job that
goes past its limits ends with its process, which gives back whatever it held; a fresh one takes its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

LINE = 2**26  # bytes of one answer, at most
LOOK = 0.1  # seconds between two looks at a worker
STOP_SECONDS = 2.0  # for a job to notice that it is to stop
WIND_UP = 30.0  # seconds for a job that has noticed, to make the error estimate of what it has
START_SECONDS = 60.0  # for a worker to import what its jobs need
JOBS = 2000  # of one worker, before a fresh one takes its place
UNREAD = 20_000_000  # bytes of answers that wait for the page, at most
GROWN = 2.5  # times the memory that a worker had after its first job

Event = dict[str, Any]


class WorkerError(RuntimeError):
    """A worker does not start."""


class BusyError(RuntimeError):
    """The queue is full."""


@dataclass(eq=False)
class Job:
    """One thing to do, from the queue to its last answer."""

    kind: str
    argument: Mapping[str, Any]
    seconds: float
    """Limit; the process ends with it."""
    memory_mb: int
    run: str = ""
    """Id of the run, told to the page with its place in the queue and when it begins."""
    number: int = 0
    """Given when it is handed to a worker."""
    turn: asyncio.Future[None] | None = None
    """Its place in the queue, while it waits."""
    stopped: float | None = None
    """When it was asked to stop,"""
    noticed: bool = False
    """and whether it has seen that."""
    abandoned: bool = False
    """Nobody listens any more."""
    failure: Event | None = None
    """Why it was ended, as the page is told."""
    result: Event | None = None
    """What it has for the server; None if it was ended."""

    @property
    def patience(self) -> float:
        """Seconds that it has to end once it is asked to."""
        return WIND_UP if self.noticed and not self.abandoned else STOP_SECONDS


@dataclass(eq=False)
class _Worker:
    process: asyncio.subprocess.Process
    ps: psutil.Process
    jobs: int = 0
    first_memory: int = 0
    job: Job | None = None

    def send(self, message: Event) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def kill(self) -> None:
        """End the process and those that it has started."""
        with suppress(psutil.Error):
            for child in self.ps.children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
        # Not `process.kill()`, which first looks whether it has ended and so takes its exit code from asyncio.
        with suppress(psutil.Error):
            self.ps.kill()


@dataclass(eq=False)
class Lane:
    """Workers for one kind of work, and the queue before them.

    Parameters
    ----------
    slots
        Jobs at a time.
    longest_queue
        Jobs that may wait.
    memory_mb
        That a worker may hold, at most.
    niceness
        How far its workers stand back for others.
    torch
        Whether its workers import torch before their first job.
    """

    slots: int
    longest_queue: int = 64
    memory_mb: int = 2048
    niceness: int = 0
    torch: bool = False
    _idle: list[_Worker] = field(default_factory=list[_Worker])
    _all: set[_Worker] = field(default_factory=set[_Worker])
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])
    _busy: int = 0
    _numbers: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    closed: bool = False

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self.longest_queue

    @property
    def pids(self) -> list[int]:
        """Of its workers."""
        return [worker.process.pid for worker in self._all]

    async def start(self, workers: int) -> None:
        """Have so many workers ready."""
        await asyncio.gather(*(self._warm() for _ in range(workers)))

    async def _warm(self) -> None:
        """Have one more worker ready; it takes a slot while it starts. Where none is free, jobs bring their own."""
        if self._busy >= self.slots or self._waiting:
            return
        self._busy += 1
        try:
            if not self.closed and len(self._all) < self.slots:
                self._idle.append(await self._new())
        except WorkerError:
            pass  # the next job tries again, and says so
        finally:
            self._release()

    def job(self, kind: str, argument: Mapping[str, Any], *, seconds: float, run: str = "") -> Job:
        return Job(kind=kind, argument=argument, seconds=seconds, memory_mb=self.memory_mb, run=run)

    async def lines(self, job: Job) -> AsyncGenerator[bytes]:
        """Do a job; yields its events as lines of JSON, how many are ahead of it while it waits included.

        Leaving early asks the job to stop. At the end `job.result` or `job.failure` is set; a failure is an event as
        well and has been yielded.

        Raises
        ------
        BusyError
            If too many wait already.
        """
        if self._busy >= self.slots and self.full:
            raise BusyError("too many runs are waiting: try again in a moment")
        answers = _Answers()
        task = self._spawn(self._do(job, answers))
        try:
            while (line := await answers.next()) is not None:
                yield line
        finally:
            if not task.done():
                job.abandoned = True
                await self.stop(job)

    async def _do(self, job: Job, answers: _Answers) -> None:
        """A job from its place in the queue to its end; it does not wait for whoever reads the answers."""
        worker: _Worker | None = None
        has_slot = False
        try:
            has_slot = await self._turn(job, answers)
            if job.stopped is not None:
                job.failure = _stopped()
            elif not self.closed:
                worker = await self._take()
                await self._watched(worker, job, answers)
        except WorkerError:
            pass  # which has no result
        finally:
            if job.result is None and job.failure is None:
                job.failure = _lost(closed=self.closed)
            if job.failure is not None:
                answers.add(_line(job.failure))
            answers.end()
            if has_slot:
                await self._give_back(worker, job)

    async def _watched(self, worker: _Worker, job: Job, answers: _Answers) -> None:
        """Let a worker do a job, within its limits."""
        self._numbers += 1
        job.number, worker.job, worker.jobs = self._numbers, job, worker.jobs + 1
        if job.run:
            answers.add(_line({"event": "started", "run": job.run}))
        worker.send({"job": job.number, "kind": job.kind, "argument": dict(job.argument)})
        if job.stopped is not None:  # while its worker started
            worker.send({"stop": job.number})
        watch = asyncio.create_task(self._watch(worker, job, answers))
        try:
            await _listen(worker, job, answers)
        finally:
            watch.cancel()

    async def stop(self, job: Job) -> None:
        """Ask a job to end and keep what it has; one that does not notice is ended with its process.

        One that waits leaves the queue at once.
        """
        if job.stopped is None:
            job.stopped = time.monotonic()
            if job.turn is not None:
                job.turn.cancel()
            for worker in self._all:
                if worker.job is job:
                    worker.send({"stop": job.number})

    async def close(self) -> None:
        """End all workers; what runs or waits ends with a message."""
        self.closed = True
        for task in list(self._tasks):
            task.cancel()
        for worker in list(self._all):
            worker.kill()
        for worker in list(self._all):
            await worker.process.wait()
        self._all.clear()
        self._idle.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # else nobody holds it, and it may vanish
        task.add_done_callback(self._tasks.discard)
        return task

    async def _turn(self, job: Job, answers: _Answers) -> bool:
        """Wait for a slot, and tell how many are ahead when that changes; False for a job that is stopped meanwhile."""
        if self._busy < self.slots and not self._waiting:
            self._busy += 1
            return True
        job.turn = turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        told = -1
        try:
            while not turn.done():
                ahead = self._waiting.index(turn)
                if ahead != told:
                    told = ahead
                    answers.add(_line({"event": "queued", "ahead": ahead, "run": job.run}))
                await asyncio.wait([turn], timeout=0.5)
        except BaseException:  # the server ends
            if turn.done() and not turn.cancelled():
                self._release()
            raise
        finally:
            job.turn = None
            if turn in self._waiting:
                self._waiting.remove(turn)
        return not turn.cancelled()

    def _release(self) -> None:
        """Hand the slot to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1

    async def _take(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.returncode is None:
                return worker
            self._all.discard(worker)
        return await self._new()

    async def _new(self) -> _Worker:
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "odenn.web.process", str(self.memory_mb), str(self.niceness),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE,
            # Several workers share the cores, and small systems gain nothing by threads.
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                 "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
            # Ctrl-C in the terminal reaches the server, which ends its workers itself.
            start_new_session=os.name == "posix",
        )  # fmt: skip
        worker = _Worker(process=process, ps=psutil.Process(process.pid))
        self._all.add(worker)
        first = Job(kind="warm", argument={}, seconds=START_SECONDS, memory_mb=self.memory_mb)
        try:
            worker.send({"job": first.number, "kind": first.kind, "argument": {"torch": self.torch}})
            async with asyncio.timeout(START_SECONDS):
                await _listen(worker, first, _Answers())
        except BaseException as error:
            await self._end(worker)
            if isinstance(error, TimeoutError):
                raise WorkerError(f"a worker did not start within {START_SECONDS:g} s") from None
            raise
        if first.result is None:
            await self._end(worker)
            raise WorkerError("a worker ended while it started")
        return worker

    async def _end(self, worker: _Worker) -> None:
        worker.kill()
        await worker.process.wait()
        self._all.discard(worker)

    async def _watch(self, worker: _Worker, job: Job, answers: _Answers) -> None:
        """End the process of a job that goes past its limits."""
        began = time.monotonic()
        looks = 0
        while job.failure is None:
            await asyncio.sleep(LOOK)
            looks += 1
            now = time.monotonic()
            try:
                memory = worker.ps.memory_info().rss
                if looks % 5 == 0:  # going through all processes takes longer
                    memory += sum(_memory(child) for child in worker.ps.children(recursive=True))
            except psutil.Error:
                return  # it is gone, which its reader will notice
            if memory > job.memory_mb * 2**20:
                job.failure = _too_much(f"it held more than {job.memory_mb} MB of memory, the limit of one run")
            elif now - began > job.seconds:
                job.failure = _too_much(f"it took longer than {job.seconds:g} s, its limit in time")
            elif job.stopped is not None and now - job.stopped > job.patience:
                job.failure = _stopped()
            elif answers.bytes > UNREAD:
                job.failure = _too_much(f"more than {UNREAD // 10**6} MB of its answers were not taken by the page")
        worker.kill()

    async def _give_back(self, worker: _Worker | None, job: Job) -> None:
        """Keep the worker for the next job, or end it and start a new one; the slot is free."""
        try:
            if worker is not None:
                worker.job = None
                if job.result is not None and not self.closed and not self._worn(worker):
                    self._idle.append(worker)
                else:
                    await self._end(worker)
        finally:
            self._release()
            if worker is not None and not self.closed and len(self._all) < self.slots and not self._waiting:
                self._spawn(self._warm())

    def _worn(self, worker: _Worker) -> bool:
        try:
            memory = worker.ps.memory_info().rss
        except psutil.Error:
            return True
        worker.first_memory = worker.first_memory or memory
        return worker.jobs >= JOBS or memory > GROWN * worker.first_memory + 200 * 2**20


class _Answers:
    """Lines on their way to the page, which may take its time."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.bytes = 0

    def add(self, line: bytes) -> None:
        self.bytes += len(line)
        self._lines.put_nowait(line)

    def end(self) -> None:
        self._lines.put_nowait(None)

    async def next(self) -> bytes | None:
        """The next line; None where there will be no more."""
        line = await self._lines.get()
        self.bytes -= len(line or b"")
        return line


async def _listen(worker: _Worker, job: Job, answers: _Answers) -> None:
    """Pass on what a worker says, until the job is done or its process is gone."""
    assert worker.process.stdout is not None
    while line := await worker.process.stdout.readline():
        if line.startswith(b'{"event"'):
            if not job.abandoned:
                answers.add(line)
            continue
        answer = json.loads(line)
        if answer.get("stopping") == job.number:
            job.noticed = True
        elif answer.get("done") == job.number:
            job.failure = answer.get("failure", job.failure)
            job.result = answer
            return


def _line(event: Event) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _too_much(why: str) -> Event:
    return {"event": "failed", "message": f"the run was ended: {why}", "kind": "limit"}


def _stopped() -> Event:
    message = "the run was stopped; there was nothing yet that could be kept"
    return {"event": "failed", "message": message, "kind": "stopped"}


def _lost(*, closed: bool) -> Event:
    what = "odenn web was ended" if closed else "the process of this run ended unexpectedly: try again"
    return {"event": "failed", "message": what, "kind": "internal"}


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0
