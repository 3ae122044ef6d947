"""The search: structures are handed out, judged, and remembered by Optuna."""

from __future__ import annotations

import math
import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from odenn.comparison.reference import Reference, find_reference
from odenn.extras import need
from odenn.methods.control import end_at_once
from odenn.methods.data_fit import DataFit
from odenn.methods.residual import Residual
from odenn.problem import IVP
from odenn.searching.logging import quiet
from odenn.searching.memory import Memory, distributions, tried_of
from odenn.searching.result import FINISHED, INTERRUPTED, LATE, Ended, Search, Tried, without_error
from odenn.searching.space import Space, Structure, Trainer
from odenn.searching.trial import Reached, Task, packed, train
from odenn.searching.workers import LOSSES, Cluster, Here, Processes, Workers
from odenn.solve import solve
from odenn.wording import counted

if TYPE_CHECKING:
    from optuna.trial import Trial

POINTS = 401
FIRST_SHARE = 0.25  # of the iterations, after which hopeless trials end
Heard = Callable[[int, int, Tried], object]
"""Called with the number of trials done, of all, and the latest."""


def search(
    problem: IVP,
    *,
    depth: int | Iterable[int] = range(1, 7),
    width: int | Iterable[int] = (8, 16, 32, 64),
    activation: str | Iterable[str] = ("tanh", "sin"),
    optimizer: Any = ("lm",),
    method: Trainer | None = None,
    rtol: float = 1e-8,
    trials: int | None = None,
    seconds: float | None = None,
    storage: str | PathLike[str] | None = None,
    processes: int = 1,
    client: Any = None,
    seed: int = 0,
    progress: Heard | None = None,
) -> Search:
    """Train networks of many structures on one problem and say which does best, and what mattered.

    All trials get the same windows (where `method.windows` is "auto", those that the method finds with its own
    network), points, seed and number of iterations; what is minimised is the true relative error over the span. After
    a quarter of the iterations trials that are worse than two thirds of the others end.

    Parameters
    ----------
    depth, width, activation, optimizer
        Choices: numbers of hidden layers and their widths; names as in `odenn.MLP`; "lm", "adam", "lbfgs" or whatever
        `odenn.Residual` takes for its optimizer. Of those that are not odenn's own the iterations cannot be divided:
        they are not pruned.
    method
        `Residual(...)` (the default) or `DataFit(...)`, of which network and optimiser are replaced.
    rtol
        What the training aims at.
    trials
        How many structures; None tries all. Fewer than all are proposed by Optuna's tree-structured Parzen estimator.
    seconds
        Budget of the trainings: none starts or goes on afterwards.
    storage
        A journal file (any path) or a database ("sqlite:///search.db"): a search that was ended goes on from there,
        without repeating what is finished; the choices may be others. One search at a time writes to it.
    processes
        Trials at a time, in processes of their own.
    client
        A `dask.distributed.Client`, instead of `processes`: trials run on its cluster, one for each thread.
    seed
        Of the order of the trials, and of Optuna's proposals; the trainings use `method.seed`.
    progress
        Called after every trial with (number done, number of all, the trial).

    Returns
    -------
    Search
        Also after Ctrl-C, which ends all trainings at once (those on a Dask cluster run on for nobody), if any was
        finished; `ended` says so.

    Raises
    ------
    ValueError
        For choices that are no choices; for a storage that cannot be used or belongs to another problem or method;
        where the solution does not reach the end of the span; where no structure came to an error.
    KeyboardInterrupt
        If Ctrl-C came before anything was finished.
    ImportError
        Without Optuna, with the command that installs it.

    Examples
    --------
    >>> import odenn
    >>> problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    >>> found = search(problem, depth=(1, 2), width=8, activation="tanh", method=odenn.Residual(windows=1))
    >>> len(found.tried), found.tried[0].error <= found.tried[1].error
    (2, True)
    """
    _check(problem, method, trials, seconds, processes)
    space = Space.of(depth, width, activation, optimizer)
    given = Residual() if method is None else method
    with quiet(), _interruptible(), closing(_workers(processes, client)) as workers:
        reference = _reference(problem)
        memory = Memory.open(storage, problem, given, rtol, space, seed)
        template, notes = _with_fixed_windows(problem, given, rtol, memory)
        run = _Run(
            memory, space, template, Task(problem=problem, rtol=rtol, reference=reference), trials, seconds, progress,
            seed,
        )  # fmt: skip
        run.all_on(workers)
        tried = tuple(sorted(memory.tried(), key=lambda one: one.error))
        outside = memory.outside
    if not tried and run.ended == INTERRUPTED:
        raise KeyboardInterrupt
    if not tried:
        raise ValueError(f"no training was finished within {seconds:g} s: allow more `seconds`")
    if not math.isfinite(tried[0].error):
        raise ValueError(f"no structure came to an error: {without_error(tried, len(tried))}")
    if outside:
        notes += f" {outside} more in the storage lie outside this space."
    return Search(
        tried=tried,
        asked=run.total,
        ended=run.ended,
        best=space.method(tried[0].structure, template),
        study=memory.study,
        notes=f"{notes} Errors against {reference.method}.{f' ({reference.ends})' if reference.ends else ''}",
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A trial in training."""

    trial: Trial
    structure: Structure
    share: float  # of the iterations
    losses: int = 0  # workers that died over it
    cut: bool = False  # by what is left of the time, not by the method's own budget


class _Run:
    """The state of a search."""

    def __init__(
        self, memory: Memory, space: Space, template: Trainer, task: Task, trials: int | None, seconds: float | None,
        progress: Heard | None, seed: int,
    ) -> None:  # fmt: skip
        self.memory, self.study, self.space, self.template, self.task = memory, memory.study, space, template, task
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        self.progress = progress
        done = {tried.structure for tried in memory.tried()}
        open_ones = [structure for structure in space.structures if structure not in done]
        self.total = len(done) + len(open_ones) if trials is None else min(trials, len(done) + len(open_ones))
        self.left = max(self.total - len(done), 0)
        self.done = len(done)
        random.Random(seed).shuffle(open_ones)
        self.open = open_ones
        self.proposed = self.left < len(open_ones)
        self.waiting = memory.waiting
        self.running: dict[Future[Reached], _Job] = {}
        self.ended: Ended = FINISHED

    def all_on(self, workers: Workers) -> None:
        """Until nothing is left or the time is up; Ctrl-C ends it, too, and keeps what is finished."""
        try:
            while True:
                while self.left and self.open and len(self.running) < workers.slots and not self._late():
                    trial, structure = self._next()
                    # An optimiser whose iterations cannot be divided is not judged before its end.
                    share = FIRST_SHARE if self.space.divisible(structure) else 1.0
                    self._submit(workers, _Job(trial=trial, structure=structure, share=share))
                if not self.running:
                    break
                for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                    self._judge(workers, future)
            if self.done < self.total:
                self.ended = LATE
        except KeyboardInterrupt:
            self.ended = INTERRUPTED
        finally:
            self.memory.give_up_running()

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _next(self) -> tuple[Trial, Structure]:
        self.left -= 1
        proposed = self.proposed
        while True:
            if not (proposed or self.waiting):
                self.study.enqueue_trial(asdict(self.open[-1]))
            self.waiting = max(self.waiting - 1, 0)
            trial = self.study.ask(distributions(self.space))
            structure = Structure(**trial.params)
            if structure in self.open:
                self.open.remove(structure)
                return trial, structure
            self.memory.fail(trial.number)  # it was tried before: take the next one of the list
            proposed = False

    def _submit(self, workers: Workers, job: _Job) -> None:
        method = self.space.method(job.structure, self.template, job.share)
        own = math.inf if method.max_seconds is None else method.max_seconds
        left = max(self.deadline - time.monotonic(), 0.01)
        if left < own:
            method = replace(method, max_seconds=left)
        future = workers.submit(train, packed(self.task, method))
        self.running[future] = replace(job, cut=left < own)

    def _judge(self, workers: Workers, future: Future[Reached]) -> None:
        if future not in self.running:  # lost with its pool, and given out again
            return
        job = self.running.pop(future)
        error = future.exception()
        if error is not None:
            if isinstance(error, BrokenProcessPool) and job.losses < LOSSES:
                self._start_again(workers, job)
                return
            raise error
        reached = future.result()
        if job.cut and reached.status == "budget":  # the time is up, and this is not what the structure can do
            self.memory.fail(job.trial.number)
            self.deadline = -math.inf
            return
        job.trial.set_user_attr("reached", asdict(reached))
        job.trial.report(reached.score, 0 if job.share < 1 else 1)
        if job.share < 1 and reached.spent:
            if job.trial.should_prune():
                self._tell(job, reached, pruned=True)
            else:
                self._submit(workers, replace(job, share=1.0, losses=0))
        else:
            self._tell(job, reached, pruned=False)

    def _start_again(self, workers: Workers, lost: _Job) -> None:
        """A dead process takes its whole pool along: everything that was running starts again."""
        again = [lost, *self.running.values()]
        self.running.clear()
        workers.restart()
        for job in again:
            self._submit(workers, replace(job, losses=job.losses + 1))

    def _tell(self, job: _Job, reached: Reached, *, pruned: bool) -> None:
        from optuna.trial import TrialState

        if pruned:
            self.study.tell(job.trial, state=TrialState.PRUNED)
        else:
            self.study.tell(job.trial, reached.score)
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, tried_of(job.structure, reached, pruned=pruned))


def _check(problem: Any, method: Any, trials: Any, seconds: Any, processes: Any) -> None:
    if not isinstance(problem, IVP):
        raise TypeError(f"`problem` must be an odenn.IVP, got {type(problem).__name__}")
    if not (method is None or isinstance(method, Residual | DataFit)):
        raise TypeError(
            f"`method` must be odenn.Residual(...) or odenn.DataFit(...), which train networks, got {method!r}"
        )
    if trials is not None and not _is_count(trials):
        raise ValueError(f"`trials` must be a positive whole number or None, got {trials!r}")
    if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
        raise ValueError(f"`seconds` must be positive or None, got {seconds!r}")
    if not _is_count(processes):
        raise ValueError(f"`processes` must be a positive whole number, got {processes!r}")
    need("searching", "search", "optuna", "cloudpickle")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _workers(processes: int, client: Any) -> Workers:
    if client is None:
        return Processes(processes) if processes > 1 else Here()
    if processes > 1:
        raise ValueError(f"`client` and `processes={processes}` exclude each other: trials run in one place")
    if not hasattr(client, "get_executor"):
        raise TypeError(f"`client` must be a dask.distributed.Client, got {type(client).__name__}")
    if client.status != "running":
        raise ValueError(f"`client` is {client.status}: connect a new one")
    return Cluster(client)


@contextmanager
def _interruptible() -> Generator[None]:
    """Ctrl-C ends what is being trained at once, where the main thread trains and Ctrl-C is not ignored."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, end_at_once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _reference(problem: IVP) -> Reference:
    """What errors are taken against.

    Raises
    ------
    ValueError
        Where the solution ends before the span does: no structure can be trained on all of it.
    """
    reference = find_reference(problem, POINTS)
    if reference.ends:  # of the reference, or of the solution
        solution = solve(problem, rtol=1e-6)
        assert problem.span is not None
        if solution.span != (min(problem.span), max(problem.span)):
            raise ValueError(
                f"no structure can be trained on all of the span {problem.span}, for {reference.ends}: end the span "
                "before"
            )
    return reference


def _with_fixed_windows(problem: IVP, method: Trainer, rtol: float, memory: Memory) -> tuple[Trainer, str]:
    """The same windows for all structures, those of the storage if it has them, and words for it."""
    if method.windows != "auto":
        return method, "All trials have the windows of the method that was given."
    windows = memory.windows
    if windows is None:
        pilot = solve(problem, rtol=rtol, method=method).outcome.windows
        count = max(math.ceil(pilot.start.size / len(problem.ends)), 1)  # on either side of t0
        windows = pilot.left[1:].tolist() if isinstance(method, Residual) and pilot.start.size > 1 else count
        memory.keep_windows(windows)
    count = windows * len(problem.ends) if isinstance(windows, int) else len(windows) + 1
    words = f"All trials have the same {counted(count, 'window')}."
    if isinstance(windows, int):
        return replace(method, windows=windows), words
    assert isinstance(method, Residual)
    return replace(method, windows=tuple(windows)), words
