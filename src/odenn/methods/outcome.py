"""What a method hands back: the network, its evidence and the work it took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from odenn.networks.tables import Array
from odenn.networks.windows import Windows
from odenn.problem import IVP
from odenn.status import Status

Progress = Callable[[float], None]
"""Called now and then with the fraction of the span that is solved."""


class Method(Protocol):
    """How the weights are found: options, frozen, and `run`."""

    def run(self, problem: IVP, *, rtol: float, atol: Array | None, progress: Progress | None = None) -> Outcome:
        """Solve `problem` to |error_i(t)| <= atol_i + rtol max_{s <= t} |y_i(s)|; atol (n,), None for the default."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Work done. A call of the right-hand side evaluates it at many points at once."""

    calls: int
    evaluations: int
    windows: int
    stiff_windows: int
    rejected: int
    sweeps: int
    newton_steps: int
    jacobians: int
    attempts: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """A trained network on the part of the span that was reached."""

    windows: Windows
    errors: Windows  # the same for the estimated error, signed
    floor: Array  # (windows of errors, n) rounding error by the end of each: no estimate is smaller
    atol: Array  # (n,) absolute tolerance that was used
    reached: tuple[float, float]  # (left, right) ends of what was solved
    status: Status
    message: str
    stats: Stats
