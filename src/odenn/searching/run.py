"""The search: structures are handed out, judged, and remembered by Optuna."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from odenn.comparison.reference import find_reference
from odenn.extras import need
from odenn.methods.residual import Residual
from odenn.problem import IVP
from odenn.searching.logging import quiet
from odenn.searching.result import Search, Tried
from odenn.searching.space import Space, Structure, Trainer
from odenn.searching.trial import Reached, Task, packed, train
from odenn.searching.workers import LOSSES, Cluster, Here, Processes, Workers
from odenn.solve import solve

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

POINTS = 401
FIRST_SHARE = 0.25  # of the iterations, after which hopeless trials end
HOPEFUL, WARM_UP = 67.0, 6  # per cent that go on; not judged before so many trials are there
NAME = "odenn"  # of the study and of its attribute that says what it is about
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
        Choices: numbers of hidden layers and their widths; names as in `odenn.MLP`; "lm", "adam", "lbfgs" or optimiser
        objects.
    method
        `Residual(...)` (the default) or `DataFit(...)`, of which network and optimiser are replaced.
    rtol
        What the training aims at.
    trials
        How many structures; None tries all. Fewer than all are proposed by Optuna's tree-structured Parzen estimator.
    seconds
        Budget: no trial starts or goes on afterwards.
    storage
        A journal file (any path) or a database ("sqlite:///search.db"): a search that was ended goes on from there,
        without repeating what is finished. One search at a time writes to it.
    processes
        Trials at a time, in processes of their own.
    client
        A `dask.distributed.Client`, instead of `processes`: trials run on its cluster, one for each thread.
    seed
        Of the order of the trials, and of Optuna's proposals; the trainings use `method.seed`.
    progress
        Called after every trial with (number done, number of all, the trial).

    Raises
    ------
    ValueError
        For choices that are no choices; for a storage that belongs to another problem or method.
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
    _check(problem, trials, seconds, processes)
    space = Space.of(depth, width, activation, optimizer)
    template, notes = _with_fixed_windows(problem, method or Residual(), rtol)
    reference = find_reference(problem, POINTS)
    task = Task(problem=problem, rtol=rtol, reference=reference)
    # A storage remembers what it is about, but for the choices: these may be added to.
    with quiet():
        study = _study(storage, seed, _about(problem, template, rtol))
    run = _Run(study, space, template, task, trials, seconds, progress, seed)
    with quiet(), closing(_workers(processes, client)) as workers:
        run.all_on(workers)
    tried = tuple(sorted((_tried(trial) for trial in _finished(study)), key=lambda one: one.error))
    if not tried:
        raise ValueError(f"no trial was finished within {seconds:g} s: allow more `seconds`")
    return Search(
        tried=tried,
        best=space.method(tried[0].structure, template),
        study=study,
        notes=f"{notes} Errors against {reference.method}.",
    )


class _Run:
    """The state of a search."""

    def __init__(
        self, study: Study, space: Space, template: Trainer, task: Task, trials: int | None, seconds: float | None,
        progress: Heard | None, seed: int,
    ) -> None:  # fmt: skip
        from optuna.trial import TrialState

        self.study, self.space, self.template, self.task = study, space, template, task
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds
        self.progress = progress
        done = {_structure(trial.params) for trial in _finished(study)}
        open_ones = [structure for structure in space.structures if structure not in done]
        self.total = len(done) + len(open_ones) if trials is None else min(trials, len(done) + len(open_ones))
        self.left = max(self.total - len(done), 0)
        self.done = len(done)
        random.Random(seed).shuffle(open_ones)
        self.open = open_ones
        self.proposed = self.left < len(open_ones)
        self.waiting = sum(trial.state is TrialState.WAITING for trial in study.get_trials(deepcopy=False))
        self.running: dict[Future[Reached], tuple[Trial, Structure, float, int]] = {}

    def all_on(self, workers: Workers) -> None:
        """Until nothing is left or the time is up; Ctrl-C ends it, too, and keeps what is finished."""
        try:
            while True:
                while self.left and self.open and len(self.running) < workers.slots and not self._late():
                    trial, structure = self._next()
                    self._submit(workers, trial, structure, FIRST_SHARE, 0)
                if not self.running:
                    return
                for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                    self._judge(workers, future)
        except KeyboardInterrupt:
            pass
        finally:
            self._give_up_running()

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _next(self) -> tuple[Trial, Structure]:
        from optuna.distributions import CategoricalDistribution

        distributions: dict[str, Any] = {
            name: CategoricalDistribution(choices) for name, choices in self.space.grid.items()
        }
        self.left -= 1
        proposed = self.proposed
        while True:
            if not (proposed or self.waiting):
                self.study.enqueue_trial(asdict(self.open[-1]))
            self.waiting = max(self.waiting - 1, 0)
            trial = self.study.ask(distributions)
            structure = _structure(trial.params)
            if structure in self.open:
                self.open.remove(structure)
                return trial, structure
            _fail(self.study, trial.number)  # it was tried before: take the next one of the list
            proposed = False

    def _submit(self, workers: Workers, trial: Trial, structure: Structure, share: float, losses: int) -> None:
        method = self.space.method(structure, self.template, share)
        if self.deadline < math.inf:
            rest = max(self.deadline - time.monotonic(), 0.01)
            method = replace(method, max_seconds=min(rest, method.max_seconds or math.inf))
        future = workers.submit(train, packed(self.task, method))
        self.running[future] = trial, structure, share, losses

    def _judge(self, workers: Workers, future: Future[Reached]) -> None:
        if future not in self.running:  # lost with its pool, and given out again
            return
        trial, structure, share, losses = self.running.pop(future)
        error = future.exception()
        if error is not None:
            if isinstance(error, BrokenProcessPool) and losses < LOSSES:
                self._start_again(workers, (trial, structure, share, losses))
                return
            _fail(self.study, trial.number)
            self._give_up_running()
            raise error
        reached = future.result()
        if self._late() and reached.status == "budget":  # cut short: not what the structure can do
            _fail(self.study, trial.number)
            return
        trial.set_user_attr("reached", asdict(reached))
        trial.report(reached.score, 0 if share < 1 else 1)
        if share < 1 and reached.spent:
            if not trial.should_prune():
                self._submit(workers, trial, structure, 1.0, 0)
                return
            self._tell(trial, structure, reached, pruned=True)
        else:
            self._tell(trial, structure, reached, pruned=False)

    def _start_again(self, workers: Workers, lost: tuple[Trial, Structure, float, int]) -> None:
        """A dead process takes its whole pool along: everything that was running starts again."""
        again = [lost, *self.running.values()]
        self.running.clear()
        workers.restart()
        for trial, structure, share, losses in again:
            self._submit(workers, trial, structure, share, losses + 1)

    def _tell(self, trial: Trial, structure: Structure, reached: Reached, *, pruned: bool) -> None:
        from optuna.trial import TrialState

        if pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, reached.score)
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total, _tried_of(structure, reached, pruned=pruned))

    def _give_up_running(self) -> None:
        for trial, *_ in self.running.values():
            _fail(self.study, trial.number)
        self.running.clear()


def _check(problem: Any, trials: Any, seconds: Any, processes: Any) -> None:
    if not isinstance(problem, IVP):
        raise TypeError(f"`problem` must be an odenn.IVP, got {type(problem).__name__}")
    if trials is not None and not (isinstance(trials, int) and trials >= 1):
        raise ValueError(f"`trials` must be a positive whole number or None, got {trials!r}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"`seconds` must be positive or None, got {seconds!r}")
    if not (isinstance(processes, int) and processes >= 1):
        raise ValueError(f"`processes` must be a positive whole number, got {processes!r}")
    need("searching", "search", "optuna", "cloudpickle")


def _workers(processes: int, client: Any) -> Workers:
    if client is not None:
        if not hasattr(client, "get_executor"):
            raise TypeError(f"`client` must be a dask.distributed.Client, got {type(client).__name__}")
        return Cluster(client)
    return Processes(processes) if processes > 1 else Here()


def _with_fixed_windows(problem: IVP, method: Trainer, rtol: float) -> tuple[Trainer, str]:
    """The same windows for all structures, and words for it."""
    if method.windows != "auto":
        return method, "All trials have the windows of the method that was given."
    pilot = solve(problem, rtol=rtol, method=method).outcome.windows
    count = max(pilot.start.size, 1)
    if isinstance(method, Residual) and count > 1:
        return replace(method, windows=tuple(pilot.left[1:].tolist())), f"All trials have the same {count} windows."
    return replace(method, windows=count), f"All trials have the same {count} window{'s' if count > 1 else ''}."


def _about(problem: IVP, template: Trainer, rtol: float) -> str:
    """What a study is about, as text to compare."""
    system = problem.system
    return json.dumps(
        {
            "equations": system.text if system is not None else "a Python function",
            "parameters": dict(system.parameters) if system is not None else dict(problem.params or {}),
            "initial": problem.initial.tolist(),
            "span": problem.span,
            "rtol": rtol,
            "method": repr(replace(template, network=Residual().network, optimizer=Residual().optimizer)),
        }
    )


def _study(storage: str | PathLike[str] | None, seed: int, about: str) -> Study:
    import optuna
    from optuna.trial import TrialState

    study = optuna.create_study(
        storage=_opened(storage),
        study_name=NAME,
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        pruner=optuna.pruners.PercentilePruner(HOPEFUL, n_startup_trials=WARM_UP),
    )
    known = study.user_attrs.get(NAME)
    if known is None:
        study.set_user_attr(NAME, about)
    elif known != about:
        before, now = json.loads(known), json.loads(about)
        different = ", ".join(key for key in now if before.get(key) != now[key])
        raise ValueError(
            f"`storage` {storage!r} holds a search on something else (different: {different}): name another one"
        )
    # Of a search that was killed; what it was at has to be done again.
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        _fail(study, trial.number)
    return study


def _opened(storage: str | PathLike[str] | None) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if storage is None or "://" in fspath(storage):
        return storage
    return JournalStorage(JournalFileBackend(fspath(storage)))


def _fail(study: Study, number: int) -> None:
    from optuna.trial import TrialState

    study.tell(number, state=TrialState.FAIL)


def _finished(study: Study) -> Iterator[FrozenTrial]:
    from optuna.trial import TrialState

    yield from study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _structure(params: dict[str, Any]) -> Structure:
    return Structure(**params)


def _tried(trial: FrozenTrial) -> Tried:
    from optuna.trial import TrialState

    reached = Reached(**trial.user_attrs["reached"])
    return _tried_of(_structure(trial.params), reached, pruned=trial.state is TrialState.PRUNED)


def _tried_of(structure: Structure, reached: Reached, *, pruned: bool) -> Tried:
    return Tried(
        structure=structure,
        weights=reached.weights,
        error=reached.error,
        seconds=reached.seconds,
        status=reached.status,
        pruned=pruned,
    )
