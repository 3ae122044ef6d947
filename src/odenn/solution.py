"""The solution: a network, and the evidence for it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odenn.methods.outcome import Outcome, Stats, Training
from odenn.problem import IVP
from odenn.status import Status
from odenn.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.nn import Module

    from odenn.verify import Verification

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Solution of a problem with n components, as a function of time.

    `solution(t)` has the shape (n,) + t.shape: NumPy in, NumPy out; torch in, torch out and differentiable.

    Attributes
    ----------
    problem
        What was solved; None where a saved solution does not carry it (a Python function is not stored).
    rtol
        The relative tolerance that was asked for.
    success, status, message
        How it ended: `success` is True only where the estimated global error meets the tolerance on the whole span.
    stats
        The work it took.

    Examples
    --------
    >>> import odenn
    >>> solution = odenn.solve(odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10)), rtol=1e-9)
    >>> solution([0.0, np.pi]).shape
    (1, 2)
    >>> bool(abs(solution(np.pi / 2)[0] - 1) <= 2 * solution.error(np.pi / 2)[0] < 1e-9)
    True
    """

    problem: IVP | None
    outcome: Outcome
    rtol: float
    names: tuple[str, ...] = ()
    independent: str = ""

    def __post_init__(self) -> None:
        if self.problem is not None:
            object.__setattr__(self, "names", self.problem.names)
            object.__setattr__(self, "independent", self.problem.independent)

    @property
    def status(self) -> Status:
        return self.outcome.status

    @property
    def success(self) -> bool:
        return self.status is Status.SUCCESS

    @property
    def message(self) -> str:
        advice = self.status.advice
        return f"{self.outcome.message}; {advice}" if advice else self.outcome.message

    @property
    def stats(self) -> Stats:
        return self.outcome.stats

    @property
    def training(self) -> Training | None:
        """History, diagnoses and errors of a training run; None of Collocation, which does not train."""
        return self.outcome.training

    @property
    def n(self) -> int:
        """Number of components."""
        return self.outcome.windows.value.shape[1]

    @property
    def span(self) -> tuple[float, float]:
        """(left, right) ends of what was solved; shorter than the problem's span if solving ended early."""
        return self.outcome.reached

    @property
    def backwards(self) -> bool:
        """Whether the problem's span ends before its start; without the problem, whether all windows lead that way."""
        if self.problem is None or self.problem.span is None:
            return bool((self.outcome.windows.length < 0).all())
        start, end = self.problem.span
        return end < start

    def __repr__(self) -> str:
        mark = "success" if self.success else self.status.name.lower()
        left, right = self.span
        return (
            f"<Solution {', '.join(self.names[:4])}{', ...' if self.n > 4 else ''} on [{left:g}, {right:g}]: {mark}, "
            f"{counted(self.stats.windows, 'window')}, {self.stats.seconds:.3g} s>"
        )

    def _repr_html_(self) -> str:
        from odenn.notebook import solution_html

        return solution_html(self)

    def __call__(self, t: Any) -> Any:
        """Values (n,) + t.shape at times t within the span.

        Raises
        ------
        ValueError
            Where a time lies outside the span that was solved.
        """
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(t, torch.Tensor):
            return self._torch_value(t)
        return self.derivative(t, 0)

    def derivative(self, t: ArrayLike, order: int = 1) -> Array:
        """Derivative of the network, exact, (n,) + t.shape; for torch differentiate `solution(t)` or `network`."""
        if not (isinstance(order, int | np.integer) and order >= 0):
            raise ValueError(f"`order` must be a whole number, 0 or more, got {order!r}")
        return self._evaluate(t, lambda times: self.outcome.windows.derivative(times, order))

    def error(self, t: ArrayLike) -> Array:
        """Estimated global absolute error, (n,) + t.shape."""
        errors, floor = self.outcome.errors, self.outcome.floor
        return self._evaluate(t, lambda times: np.abs(errors.derivative(times, 0)) + floor[errors.locate(times)].T)

    def residual(self, t: ArrayLike) -> Array:
        """Defect y^(k)(t) - f(t, y(t), ...) of the network in the equation, (n,) + t.shape."""
        problem = self.problem
        if problem is None:
            raise ValueError("this solution was loaded without its equations (a Python function is not stored)")

        def defect(times: Array) -> Array:
            top = max(problem.orders)
            levels = [self.outcome.windows.derivative(times, k) for k in range(top + 1)]
            highest = np.stack([levels[k][i] for i, k in enumerate(problem.orders)])
            return highest - problem.rhs(times, problem.states(levels[:-1]))

        return self._evaluate(t, defect)

    @cached_property
    def network(self) -> Module:
        """The solution as a torch.nn.Module from (k,) or (k, 1) to (k, n), all windows included.

        Outside the span that was solved it gives NaN, as do its derivatives, where `solution(t)` raises an error: a
        module works under the transforms of torch.func, which do not let values be looked at.
        """
        # In a thread of its own: transforms of torch.func are a state of the thread, and would wrap the new weights.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(self.outcome.windows.module).result()

    def plot(self, points: int = 1000) -> Figure:
        """Solution, phase portrait (two components) and estimated error, as a matplotlib Figure."""
        from odenn.plot import plot_solution

        return plot_solution(self, points)

    def plot_training(self) -> Figure:
        """Loss, gradient norm, damping or learning rate over the iterations of a training, as a matplotlib Figure.

        ValueError where nothing was trained, as by Collocation.
        """
        from odenn.plot import plot_training

        return plot_training(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write to a file that `odenn.load` reads: safetensors and JSON, no pickle."""
        from odenn.storage.solutions import save

        save(self, path)

    def export_onnx(self, path: str | PathLike[str]) -> None:
        """Write the network as an ONNX model: times `t` (k, 1) to `y` (k, n), all windows included, float64.

        Needs the packages onnx and onnxscript.
        """
        from odenn.storage.export import export_onnx

        export_onnx(self, path)

    def to_csv(self, path: str | PathLike[str], points: int | ArrayLike = 101) -> None:
        """Write a table t, components, estimated errors; `points` is how many, or the times themselves."""
        t = (
            self.grid(int(points))
            if isinstance(points, int | np.integer)
            else np.asarray(points, dtype=float).reshape(-1)
        )
        y, error = self(t), self.error(t)
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([self.independent, *self.names, *(f"error_{name}" for name in self.names)])
            writer.writerows([float(v) for v in (t[k], *y[:, k], *error[:, k])] for k in range(t.size))

    def grid(self, points: int) -> Array:
        """`points` equally spaced times over what was solved, in the direction of the problem's span."""
        if points < 2:
            raise ValueError(f"`points` must be 2 or more, got {points!r}")
        left, right = self.span
        return np.linspace(right, left, points) if self.backwards else np.linspace(left, right, points)

    def verify(self, *, points: int = 201, seconds: float = 10.0) -> Verification:
        """Compare with the exact solution, or else with an independent solver at tight tolerance."""
        from odenn.verify import verify

        return verify(self, points=points, seconds=seconds)

    def _evaluate(self, t: ArrayLike, function: Callable[[Array], Array]) -> Array:
        times = np.asarray(t)
        if times.dtype.kind in "cSU":  # of which a cast to real numbers would make something
            raise TypeError(f"times must be real numbers, got {t!r}")
        precision = np.finfo(times.dtype).eps if times.dtype.kind == "f" else 0.0
        times = times.astype(float)
        self._check_times(times, float(precision))
        return function(np.ascontiguousarray(times.reshape(-1))).reshape((self.n, *times.shape))

    def _check_times(self, times: Array, precision: float) -> None:
        left, right = self.span
        if not self.outcome.windows.start.size:
            raise ValueError(f"nothing was solved: {self.message}")
        slack = max(1e-12, precision) * max(abs(left), abs(right))  # the ends may have been rounded
        if not times.size or (times.min() >= left - slack and times.max() <= right + slack):
            return
        bad = times[~((times >= left - slack) & (times <= right + slack))].flat[0]
        why = "" if self.success else f" (it ended there: {self.outcome.message})"
        raise ValueError(
            f"the solution covers {self.independent} from {left:.10g} to {right:.10g}{why}, got {bad:.10g}: "
            "evaluate it inside, or solve a longer span"
        )

    def _torch_value(self, t: Any) -> Any:
        import torch

        times = t if t.is_floating_point() else t.to(torch.float64)
        # Values cannot be looked at inside a transform; that one is under way, nothing public in torch 2.4 tells.
        core: Any = torch._C  # pyright: ignore[reportPrivateUsage]
        if not core._functorch.is_functorch_wrapped_tensor(t):
            self._check_times(times.detach().cpu().numpy().astype(float), torch.finfo(times.dtype).eps)
        network = self.network
        if t.device.type != "cpu":  # not `network.to(...)` always: moving a module inside torch.func is an error
            network = self.outcome.windows.module().to(t.device)
        values = network(times.reshape(-1))
        return values.T.reshape((self.n, *t.shape))
