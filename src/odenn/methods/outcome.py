"""What a method hands back: the network, its evidence and the work it took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from odenn.networks.tables import Array
from odenn.networks.windows import Windows
from odenn.problem import IVP
from odenn.status import Status

if TYPE_CHECKING:  # names only: torch stays unloaded where nothing is trained
    from odenn.monitor import Diagnosis
    from odenn.optimise.objective import Record


@dataclass(frozen=True, kw_only=True)
class Report:
    """How far a run is."""

    fraction: float
    """Of the span that is solved; falls back where a run begins anew with a finer tolerance."""
    windows: int
    """Accepted so far."""
    record: Record | None = None
    """The latest iteration, where a network is being trained."""
    hint: Diagnosis | None = None
    """What can be told early: a network so small that it takes many times the windows that it should."""
    build: Callable[[], SpanFunction | None] | None = field(default=None, repr=False, compare=False)
    """Makes `solution`."""

    @cached_property
    def solution(self) -> SpanFunction | None:
        """The solution so far: the accepted windows and, where a network is being trained, that one on its window.

        It is made when it is first asked for, of what was there when the report was made, so it may be read later and
        in another thread. `solution.derivative(t, 0)` is (n, k); its windows cover
        [left[0], left[-1] + |length[-1]|], and beyond them it extrapolates. None where there is no window yet.
        """
        return None if self.build is None else self.build()


Progress = Callable[[Report], object]
"""Called now and then, by methods that train after every iteration; returning True stops the run, which keeps what it
has."""


class Method(Protocol):
    """How the weights are found: options, frozen, and `run`."""

    def run(self, problem: IVP, *, rtol: float, atol: Array | None, progress: Progress | None = None) -> Outcome:
        """Solve `problem` to |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|; atol (n,), None for the default."""
        ...


def is_method(value: object) -> bool:
    """Whether it can be run; a class such as `Residual`, without its brackets, cannot."""
    return hasattr(value, "run") and not isinstance(value, type)


class SpanFunction(Protocol):
    """A function on the span, window by window: what `Solution` has to know of a network.

    `networks.windows.Windows` (collocation) and `methods.trained.TrainedNetworks` meet it.
    """

    @property
    def start(self) -> Array:
        """(W,) where each window starts; ordered by time."""
        ...

    @property
    def length(self) -> Array:
        """(W,) signed."""
        ...

    @property
    def value(self) -> Array:
        """(W, n) at the starts."""
        ...

    @property
    def left(self) -> Array:
        """(W,) left ends."""
        ...

    @property
    def kind(self) -> str:
        """The network of a window in words."""
        ...

    @property
    def size(self) -> int:
        """Weights of all windows together."""
        ...

    def derivative(self, t: Array, order: int = 0) -> Array:
        """(n, k) at times t (k,)."""
        ...

    def module(self) -> Any:
        """The same as a torch.nn.Module from (k,) or (k, 1) to (k, n)."""
        ...


@dataclass(eq=False)
class Work:
    """Counts the evaluations of a right-hand side as they are made."""

    calls: int = 0
    evaluations: int = 0

    def add(self, points: int) -> None:
        """A call at so many points."""
        self.calls += 1
        self.evaluations += points


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Work done. A call of the right-hand side evaluates it at many points at once."""

    calls: int = 0
    evaluations: int = 0
    windows: int = 0
    stiff_windows: int = 0
    rejected: int = 0
    sweeps: int = 0
    newton_steps: int = 0
    jacobians: int = 0
    iterations: int = 0
    """Of an optimiser, all networks together."""
    attempts: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """The record of a training run and what it means.

    Examples
    --------
    The loss over all iterations, with the borders between windows:

    >>> import odenn
    >>> problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 5))
    >>> history = odenn.solve(problem, method=odenn.Residual(windows=2), rtol=1e-4).training.history
    >>> losses = [record.loss for record in history]  # for plt.semilogy
    >>> [k for k in range(1, len(history)) if history[k].window != history[k - 1].window]  # for plt.axvline
    [...]
    """

    history: tuple[Record, ...] = field(repr=False)
    """Every iteration, of all windows and networks in their order, those that were rejected included."""
    diagnoses: tuple[Diagnosis, ...]
    data_error: float | None = None
    """Error of these data, likewise; of measured ones as far as the error estimate tells."""
    fit_error: float | None = None
    """Largest misfit of the network to these data, relative to each component's largest value."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """A trained network on the part of the span that was reached."""

    windows: SpanFunction
    errors: Windows  # the same for the estimated error, signed
    floor: Array  # (windows of errors, n) rounding error by the end of each: no estimate is smaller
    atol: Array  # (n,) absolute tolerance that was used
    reached: tuple[float, float]  # (left, right) ends of what was solved
    status: Status
    message: str
    stats: Stats
    training: Training | None = None  # of methods that train
