"""What is kept of a search: Optuna's studies in a storage, one for each space, all on the same question."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from odenn.methods.checkpoint import digest, probed
from odenn.methods.data import CSV, Samples
from odenn.methods.data_fit import DataFit
from odenn.problem import IVP
from odenn.searching.result import Tried
from odenn.searching.space import Space, Structure, Trainer
from odenn.searching.trial import Reached

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

HOPEFUL, WARM_UP = 67.0, 6  # per cent that go on; not judged before so many trials are there
NAME = "odenn search "  # names of studies begin with it
NO_JOURNAL = "it is no journal of Optuna's, or a damaged one"
SHORT = 40  # characters of a value that a message shows


@dataclass(frozen=True, eq=False)
class Memory:
    """The study of the space that was asked for; what else the storage has of it was copied there."""

    study: Study
    outside: int
    """Structures in the storage that do not belong to the space."""

    @classmethod
    def open(
        cls, storage: str | PathLike[str] | None, problem: IVP, method: Trainer, rtol: float, space: Space, seed: int
    ) -> Memory:
        """The storage, new or as an earlier search has left it.

        Raises
        ------
        ValueError
            Where it cannot be read or written, or holds a search on something else.
        """
        import optuna

        try:
            opened = _opened(storage)
            names = [name for name in optuna.get_all_study_names(opened) if name.startswith(NAME)]
            others = [optuna.load_study(study_name=name, storage=opened) for name in names]
        except Exception as error:  # of the file system, of JSON, of any database, of Optuna
            raise ValueError(f"`storage` {storage!r} cannot be used: {_reason(error)}") from error
        about = _about(problem, method, rtol)
        for other in others:
            _check_same(storage, other.user_attrs["about"], about)
        grid = json.dumps(space.grid)
        study = optuna.create_study(
            storage=opened,
            study_name=f"{NAME}{hashlib.sha256(grid.encode()).hexdigest()[:16]}",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            pruner=optuna.pruners.PercentilePruner(HOPEFUL, n_startup_trials=WARM_UP),
        )
        study.set_user_attr("about", about)
        memory = cls(study, _copied(others, study, space))
        if others and memory.windows is None:
            memory.keep_windows(others[0].user_attrs.get("windows"))
        memory.give_up_running()  # of a search that was killed; what it was at has to be done again
        return memory

    def tried(self) -> list[Tried]:
        """What is finished."""
        return [
            tried_of(structure, Reached(**trial.user_attrs["reached"]), pruned=trial.state.name == "PRUNED")
            for structure, trial in _finished(self.study)
        ]

    @property
    def waiting(self) -> int:
        """Trials that were to be next."""
        return sum(trial.state.name == "WAITING" for trial in self.study.get_trials(deepcopy=False))

    @property
    def windows(self) -> int | list[float] | None:
        """Of all trials: their number, or the times between them."""
        return self.study.user_attrs.get("windows")

    def keep_windows(self, windows: int | list[float] | None) -> None:
        """Later searches in this storage have the same."""
        self.study.set_user_attr("windows", windows)

    def fail(self, number: int) -> None:
        """A trial that is not finished and counts for nothing."""
        from optuna.trial import TrialState

        self.study.tell(number, state=TrialState.FAIL)

    def give_up_running(self) -> None:
        """All that are not finished."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING":
                self.fail(trial.number)


def distributions(space: Space) -> dict[str, Any]:
    """The choices as Optuna wants them."""
    from optuna.distributions import CategoricalDistribution

    return {name: CategoricalDistribution(choices) for name, choices in space.grid.items()}


def tried_of(structure: Structure, reached: Reached, *, pruned: bool) -> Tried:
    return Tried(
        structure=structure,
        weights=reached.weights,
        error=reached.error,
        seconds=reached.seconds,
        status="pruned" if pruned else reached.status,
        reason=reached.reason,
    )


def _finished(study: Study) -> Iterator[tuple[Structure, FrozenTrial]]:
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        yield Structure(**trial.params), trial


def _copied(others: list[Study], study: Study, space: Space) -> int:
    """Copy finished trials of other spaces, as Optuna's choices are fixed for a study; how many lie outside."""
    from optuna import create_trial

    wanted, known = set(space.structures), {structure for structure, _ in _finished(study)}
    outside: set[Structure] = set()
    for structure, trial in (pair for other in others for pair in _finished(other)):
        if structure not in wanted:
            outside.add(structure)
        elif structure not in known:
            known.add(structure)
            study.add_trial(
                create_trial(
                    state=trial.state,
                    value=trial.value,
                    params=trial.params,
                    distributions=distributions(space),
                    user_attrs=trial.user_attrs,
                    intermediate_values=trial.intermediate_values,
                )
            )
    return len(outside)


def _opened(storage: str | PathLike[str] | None) -> Any:
    from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if storage is None:
        return InMemoryStorage()
    path = fspath(storage)
    if "://" in path:
        return RDBStorage(path)
    if os.path.exists(path):
        _check_journal(path)
    return JournalStorage(JournalFileBackend(path))


def _check_journal(path: str) -> None:
    """Refuse a file of something else, which Optuna would append to; drop a last line that a crash has cut short."""
    with open(path, "r+b") as file:
        content = file.read()
        entry = json.loads(content.partition(b"\n")[0] or "{}")
        if content and not (isinstance(entry, dict) and "op_code" in entry):
            raise ValueError(NO_JOURNAL)
        file.truncate(content.rfind(b"\n") + 1)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, ValueError):  # JSON's and Unicode's among them
        return NO_JOURNAL
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _about(problem: IVP, method: Trainer, rtol: float) -> dict[str, str]:
    """What a search is about, but for its choices, as texts to compare.

    Of a function that is what it gives at a few states, of samples a fingerprint.
    """
    system = problem.system
    names = [field.name for field in fields(method) if field.compare and field.name not in ("network", "optimizer")]
    options = {name: repr(getattr(method, name)) for name in names}
    if isinstance(method, DataFit) and isinstance(method.data, Samples | CSV):
        found = method.data.trajectory(problem)
        options["data"] = digest([part for part in (found.t, found.y, found.dy) if part is not None])
    return {
        "equations": system.text if system is not None else "a Python function",
        "right-hand side": "" if system is not None else " ".join(f"{value:.9g}" for value in probed(problem)),
        "parameters": str(dict(system.parameters) if system is not None else dict(problem.params or {})),
        "initial values": str(problem.initial.tolist()),
        "span": str(problem.span),
        "t0": str(problem.t0),
        "rtol": str(rtol),
        "method": type(method).__name__,
        **{f"{name} of the method": value for name, value in options.items()},
    }


def _check_same(storage: Any, before: dict[str, str], now: dict[str, str]) -> None:
    different = [
        f"{name} ({before[name]} there, {now[name]} now)" if len(before[name] + now[name]) < SHORT else name
        for name in now
        if name in before and before[name] != now[name]  # other methods have other options
    ]
    if different:
        raise ValueError(
            f"`storage` {storage!r} holds a search on something else (different: {', '.join(different)}): name another "
            "one"
        )
