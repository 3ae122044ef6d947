"""The control of a training run: clock and budget, interruption, reports, history, checkpoints.

A method trains its networks through `RunControl.train` and asks `stopped` in between; everything else is done here.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from odenn.certificate import Certificate, certify
from odenn.device.choice import check_device
from odenn.methods.checkpoint import Entry, Journal, Pending
from odenn.methods.outcome import Progress, Report, SpanFunction, Work
from odenn.methods.trained import Piece, TrainedNetworks
from odenn.monitor import Diagnosis
from odenn.networks.mlp import MLP, Trainable
from odenn.networks.tables import Array
from odenn.optimise.objective import Fit, Objective, Record, Snapshot, check_optimiser
from odenn.problem import IVP
from odenn.status import Status
from odenn.storage.checks import StorageError
from odenn.wording import counted

RESERVE = 0.2  # of the budget, for the certificate: it took a seventh of the training of Lotka-Volterra
REFERENCE_TIMES = 33  # per window

Curve = Callable[[Array], Any]
"""A solution t (k,) -> (n, k) that is known from elsewhere."""


class Options(Protocol):
    """Options that every method that trains has."""

    @property
    def network(self) -> Any: ...

    @property
    def optimizer(self) -> Any: ...

    @property
    def reference(self) -> Curve | None: ...

    @property
    def max_seconds(self) -> float | None: ...

    @property
    def device(self) -> Any: ...


def check_training(method: Options) -> None:
    """Raise TypeError or ValueError for an option that is none, with what it must be."""
    if not isinstance(method.network, MLP | torch.nn.Module):
        raise TypeError(f"`network` must be odenn.MLP(...) or a torch.nn.Module, got {method.network!r}")
    check_optimiser(method.optimizer)
    if method.reference is not None and not callable(method.reference):
        raise TypeError(f"`reference` must be a function of time, such as a Solution, got {method.reference!r}")
    if method.max_seconds is not None and not method.max_seconds > 0:
        raise ValueError(f"`max_seconds` must be positive or None, got {method.max_seconds!r}")
    check_device(method.device)


def end_at_once(number: int, frame: FrameType | None) -> None:
    """A handler of Ctrl-C that a training leaves in place: for callers who want none of what it has reached so far."""
    raise KeyboardInterrupt


class RunControl:
    """One training run, from its first window to its certificate; a context, in which Ctrl-C is asked to wait.

    The first Ctrl-C only sets a mark, so that an iteration is finished and the state is whole; the second one is passed
    on.
    """

    def __init__(
        self,
        *,
        clock: float,
        home: Trainable,  # the network on the CPU, where solutions live
        max_seconds: float | None = None,
        progress: Progress | None = None,
        reference: Curve | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.progress, self.reference, self.journal = progress, reference, journal
        self.home = home
        self.history: list[Record] = []
        self.kept: list[tuple[Record, ...]] = []  # of it, what belongs to the last network of every accepted window
        self.rejected = 0
        self.work = Work()  # of the right-hand side, in data, training and certificate
        self.pieces: tuple[Piece, ...] = ()  # windows accepted in this attempt
        self.fraction = 0.0
        self.hint: Diagnosis | None = None
        self.first_window: float | None = None  # seconds that it took, once it is accepted
        self._clock = clock - (journal.seconds if journal is not None else 0.0)
        self._max_seconds = max_seconds
        self._interrupted = self._noticed = False
        self._before: Any = None
        self._fits = 0
        self._began: float | None = None  # to train
        self._waits = journal is not None and journal.pending is not None  # a network in training, to be taken up
        self._written = time.perf_counter()

    def __enter__(self) -> Self:
        # Signals reach the main thread only; where Ctrl-C is ignored (a background job) or ends the process, it may.
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler) and handler is not end_at_once:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._before is None:
            return
        signal.signal(signal.SIGINT, self._before)
        if self._interrupted and not self._noticed and kind is None:
            signal.raise_signal(signal.SIGINT)  # it came too late for anybody to see the mark

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            self._before(number, frame)
        self._interrupted = True

    @property
    def seconds(self) -> float:
        """That the run has taken, those before it was resumed included."""
        return time.perf_counter() - self._clock

    def begin_attempt(self) -> None:
        """From the start of the span, with a finer tolerance."""
        self.pieces, self.fraction = (), 0.0
        self.kept.clear()

    def stopped(self) -> Status | None:
        """Why training has to end now, if it has to."""
        if self.journal is not None and (self._fits < len(self.journal.entries) or self._waits):
            return None  # what was trained before is not lost
        if self._interrupted:
            self._noticed = True
            return Status.INTERRUPTED
        return Status.BUDGET if self._is_late() else None

    def _is_late(self) -> bool:
        return self._max_seconds is not None and self.seconds > (1 - RESERVE) * self._max_seconds

    def where(self, t: float, windows: int, independent: str) -> str:
        """How far a run came that ends early, and what its time went into."""
        at = f"at {independent} = {t:.10g} after {counted(windows, 'window')}"
        if not self._is_late():
            return at
        first = f", {self.first_window:.2g} s by the first window" if self.first_window is not None else ""
        return f"{at}; {self.seconds:.2g} s were used of the {self._max_seconds:g} s that max_seconds allows{first}"

    def accepted(self, piece: Piece, fraction: float) -> None:
        """A window is done, and with it this part of the span."""
        if self.first_window is None:
            self.first_window = time.perf_counter() - (self._began or 0.0)
        self.pieces = (*self.pieces, piece)
        self.fraction = fraction
        self._report(self.history[-1] if self.history else None)

    def train(
        self,
        minimise: Callable[..., Fit],
        objective: Objective,
        w: Tensor,
        *,
        goal: float,
        place: Sequence[float],
        trained: Callable[[Tensor], Piece],
        generators: Sequence[torch.Generator] = (),
    ) -> Fit:
        """Train one network, by an optimiser's `minimise`, or look up what a checkpoint has of it.

        Parameters
        ----------
        place
            What the training depends on, so that a checkpoint of another run is found out.
        trained
            The solution on the window that weights w (P,) stand for.
        generators
            That are drawn from while it trains.
        """
        self._began = self._began or time.perf_counter()
        journal, place = self.journal, tuple(float(part) for part in (goal, *place))
        if journal is not None and self._fits < len(journal.entries):
            return self._looked_up(journal, w, place, generators)
        pending = journal.pending if journal is not None else None
        begin = len(self.history)
        self._waits = False
        if pending is not None:
            self._check_place(pending.place, place)
            _set_states(generators, pending.generators)
            self.history.extend(pending.history)
        error = self._true_error(trained(w)) if self.reference is not None else None

        def watch(record: Record, w: Tensor, snapshot: Callable[[], Snapshot]) -> bool:
            record = replace(record, window=len(self.pieces), error=error(trained(w)) if error is not None else None)
            self.history.append(record)
            self._report(record, partial(trained, w.detach().clone()))
            stop = self.stopped() is not None
            if journal is not None and (stop or time.perf_counter() - self._written > journal.checkpoint.seconds):
                states = [generator.get_state() for generator in generators]
                history = tuple(self.history[begin:])
                journal.pending = Pending(place=place, snapshot=snapshot(), history=history, generators=states)
                self._write(journal)
            return stop

        resume = None if pending is None else pending.snapshot
        fit = minimise(objective, w, goal=goal, watch=watch, resume=resume)
        fit = replace(fit, history=tuple(self.history[begin:]))
        if journal is not None and fit.stop != "stopped":
            journal.pending = None
            journal.entries.append(Entry(place=place, fit=fit))
            journal.generators = [generator.get_state() for generator in generators]
            self._fits += 1
        return fit

    def certify(self, problem: IVP, trained: TrainedNetworks, *, rtol: float, atol: Array) -> Certificate:
        """The certificate within what is left of the budget; a run that was stopped still gets it."""
        # Where the mark came after the last window, there was nothing left to stop.
        stopped = self._noticed = self._interrupted
        if self.journal is not None:
            self._write(self.journal)

        def stop() -> bool:
            if not stopped:
                self._report(self.history[-1] if self.history else None)
                if self._interrupted:
                    self._noticed = True
                    return True
            return self._max_seconds is not None and self.seconds > self._max_seconds

        return certify(problem, trained, rtol=rtol, atol=atol, stop=stop, work=self.work)

    def why_uncertified(self) -> Status:
        """Why the certificate was not finished."""
        return Status.INTERRUPTED if self._interrupted else Status.BUDGET

    def worst(self, attempt: int) -> float | None:
        """Estimate / tolerance of an attempt (from 1), where a checkpoint knows it."""
        known = self.journal.worst if self.journal is not None else []
        return known[attempt - 1] if attempt <= len(known) else None

    def note_worst(self, attempt: int, worst: float) -> None:
        """Another attempt follows."""
        if self.journal is not None and attempt > len(self.journal.worst):
            self.journal.worst.append(worst)

    def finish(self, status: Status) -> None:
        """The checkpoint of a run that can go on is kept, that of a finished one removed."""
        if self.journal is None:
            return
        if status in (Status.INTERRUPTED, Status.BUDGET):
            self._write(self.journal)
        else:
            self.journal.remove()

    def _report(self, record: Record | None, training: Callable[[], Piece] | None = None) -> None:
        """Tell how far it is; `training` makes the solution on the window in training."""
        if self.progress is None or self._interrupted:
            return
        build = partial(_so_far, self.pieces, training, self.home)
        try:
            answer = self.progress(
                Report(fraction=self.fraction, windows=len(self.pieces), record=record, hint=self.hint, build=build)
            )
        except KeyboardInterrupt:
            answer = True
        self._interrupted = self._interrupted or answer is True

    def _write(self, journal: Journal) -> None:
        journal.seconds = self.seconds
        journal.write()
        self._written = time.perf_counter()

    def _looked_up(
        self, journal: Journal, w: Tensor, place: tuple[float, ...], generators: Sequence[torch.Generator]
    ) -> Fit:
        entry = journal.entries[self._fits]
        self._check_place(entry.place, place)
        self._fits += 1
        if self._fits == len(journal.entries):
            _set_states(generators, journal.generators)
        self.history.extend(entry.fit.history)
        return replace(entry.fit, w=entry.fit.w.to(w))

    def _check_place(self, found: tuple[float, ...], place: tuple[float, ...]) -> None:
        if found != place:
            assert self.journal is not None
            raise StorageError(
                f"cannot resume from {self.journal.checkpoint.path!s}: the run does not go the way it went when this "
                "was written. The right-hand side, or the number of threads (torch.set_num_threads), may have changed. "
                "Put that back, or delete the file to start anew"
            )

    def _true_error(self, piece: Piece) -> Callable[[Piece], float]:
        """Largest error of a piece on its window, relative to the largest value of each component there."""
        assert self.reference is not None
        n = len(piece.trial.values)
        angle = np.pi * (np.arange(REFERENCE_TIMES) + 0.5) / REFERENCE_TIMES
        t = piece.trial.start + piece.trial.length * (1 - np.cos(angle)) / 2
        exact = np.asarray(self.reference(t), dtype=float)
        if exact.shape != (n, t.size):
            raise ValueError(
                f"`reference` returned shape {exact.shape} for {t.size} times: it must return ({n}, {t.size}), one row "
                "for each component"
            )
        size = np.maximum(np.abs(exact).max(axis=1, keepdims=True), np.finfo(float).tiny)
        return lambda piece: float((np.abs(piece.levels(t, 0)[0] - exact) / size).max())


def _so_far(pieces: tuple[Piece, ...], training: Callable[[], Piece] | None, home: Trainable) -> SpanFunction | None:
    """Accepted windows and the one in training as one function, on the CPU."""
    found = pieces if training is None else (*pieces, training())
    moved = (piece.moved(home, torch.device("cpu")) for piece in found)
    return TrainedNetworks.of(moved, len(found[0].trial.values)) if found else None


def _set_states(generators: Sequence[torch.Generator], states: Sequence[Tensor]) -> None:
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)
