"""Trial solutions: functions that meet the conditions exactly, whatever the network in them is.

On a window from `start` over `length` (negative: backwards), x = 2 (t - start)/length - 1 runs from -1 to 1 and
s = (x + 1)/2 from 0 to 1. A trial solution is linear in the network's output,

    y_i(t) = base_i(t) + scale_i factor_i(s) N_i(x),

the base meets the conditions and the factor vanishes where they hold. Everything is computed as Taylor coefficients by
x, lists of C tensors (k, n) each, so that derivatives of any order come along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from odenn.networks.activations import Series, product

DECAYS = ("power", "exponential")


class Trial(Protocol):
    """What meets the conditions on one window."""

    @property
    def start(self) -> float: ...

    @property
    def length(self) -> float: ...

    @property
    def scale(self) -> Tensor:
        """(n,) sizes that the components get from the network."""
        ...

    def base(self, x: Tensor, terms: int) -> Series:
        """Taylor coefficients (k, n) by x of the part that meets the conditions."""
        ...

    def factor(self, x: Tensor, terms: int) -> Series:
        """Taylor coefficients (k, n) by x of what the network is multiplied with."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialTrial:
    """Values and lower derivatives at the start of a window, orders k_i from 1 up:

        y_i(t) = sum_{j < k_i} y0_i^(j) (t - start)^j / j! + scale_i g(s)^k_i N_i(x),

    with g(s) = s ("power") or 1 - exp(-s) ("exponential"); at s = 0 the lower derivatives are those of the sum.

    Attributes
    ----------
    values
        For each component its k_i numbers y0, y0', ...
    """

    start: float
    length: float
    values: tuple[tuple[float, ...], ...]
    scale: Tensor
    decay: str = "power"

    def __post_init__(self) -> None:
        _check_window(self.start, self.length, self.scale, len(self.values))
        if not self.values or not all(self.values):
            raise ValueError(
                "`values` must hold the initial values of every component: y0, then y0', ... up to order - 1"
            )
        if self.decay not in DECAYS:
            raise ValueError(f"`decay` must be one of {', '.join(DECAYS)}, got {self.decay!r}")

    def base(self, x: Tensor, terms: int) -> Series:
        s = _local_time(x, terms)
        columns: list[Tensor] = []
        for row in self.values:
            total = x.new_zeros(terms, x.numel())
            for j, value in enumerate(row):
                total = total + torch.stack(_power(s, j)) * (value * self.length**j / math.factorial(j))
            columns.append(total)
        return list(torch.stack(columns, -1).unbind(0))

    def factor(self, x: Tensor, terms: int) -> Series:
        s = _local_time(x, terms)
        g = s if self.decay == "power" else _one_minus_exp(s)
        powers = {order: torch.stack(_power(g, order)) for order in {len(row) for row in self.values}}
        return list(torch.stack([powers[len(row)] for row in self.values], -1).unbind(0))


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoPointTrial:
    """Values at both ends of a window,

        y_i(t) = left_i (1 - s) + right_i s + scale_i s (1 - s) N_i(x).

    A building block: with `trial_function`, `odenn.derivative` and an optimiser it solves boundary value problems.

    Examples
    --------
    y'' = -y, y(0) = 0, y(pi/2) = 1, whose solution is the sine:

    >>> import odenn
    >>> from odenn.optimise.objective import FunctionObjective
    >>> t = torch.linspace(0, math.pi / 2, 16, dtype=torch.float64)
    >>> trial = TwoPointTrial(start=0.0, length=math.pi / 2, left=(0.0,), right=(1.0,), scale=torch.ones_like(t[:1]))
    >>> network = odenn.MLP([12, 12], "tanh").trainable(outputs=1)
    >>> def solution(w):
    ...     return trial_function(trial, lambda x: network.series(w, x, 0)[0])
    >>> def residual(w):
    ...     return (odenn.derivative(solution(w), t, order=2) + solution(w)(t))[:, 0]
    >>> start = network.start(torch.Generator().manual_seed(0), paired=True)
    >>> fit = odenn.LevenbergMarquardt().minimise(FunctionObjective(residual), start, goal=1e-9)
    >>> bool((solution(fit.w)(t)[:, 0] - torch.sin(t)).abs().max() < 1e-9)
    True
    """

    start: float
    length: float
    left: tuple[float, ...]
    right: tuple[float, ...]
    scale: Tensor

    def __post_init__(self) -> None:
        _check_window(self.start, self.length, self.scale, len(self.left))
        if len(self.left) != len(self.right):
            raise ValueError(
                f"`left` has {len(self.left)} values and `right` {len(self.right)}: one for each component"
            )

    def base(self, x: Tensor, terms: int) -> Series:
        s = torch.stack(_local_time(x, terms))
        ahead = s[:, :, None] * (s.new_tensor(self.right) - s.new_tensor(self.left))
        return [ahead[0] + s.new_tensor(self.left), *ahead[1:].unbind(0)]

    def factor(self, x: Tensor, terms: int) -> Series:
        s = _local_time(x, terms)
        rest = [1 - s[0], *(-part for part in s[1:])]
        return [part[:, None].expand(-1, len(self.left)) for part in product(s, rest)]


def scaled_time(trial: Trial, t: Tensor) -> Tensor:
    """x in [-1, 1] of times t."""
    return 2 * (t - trial.start) / trial.length - 1


def trial_function(trial: Trial, network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The trial solution as a function of times t (k,) -> (k, n), from a network of x (k,) -> (k, n)."""

    def function(t: Tensor) -> Tensor:
        x = scaled_time(trial, t)
        return trial.base(x, 1)[0] + trial.scale * trial.factor(x, 1)[0] * network(x)

    return function


def trial_series(trial: Trial, N: Sequence[Tensor], x: Tensor) -> Series:
    """Taylor coefficients (k, n) by x of the trial solution, from those of the network."""
    terms = len(N)
    added = product(trial.factor(x, terms), [trial.scale * part for part in N])
    return [a + b for a, b in zip(trial.base(x, terms), added, strict=True)]


def by_time(series: Sequence[Tensor], length: float) -> Series:
    """Derivatives by t from Taylor coefficients by x: y^(j) = j! (2/length)^j c_j."""
    return [part * (math.factorial(j) * (2 / length) ** j) for j, part in enumerate(series)]


def _local_time(x: Tensor, terms: int) -> Series:
    s = [(x + 1) / 2, torch.full_like(x, 0.5)]
    return (s + [torch.zeros_like(x)] * terms)[:terms]


def _power(g: Series, exponent: int) -> Series:
    result = [torch.ones_like(g[0])] + [torch.zeros_like(part) for part in g[1:]]
    for _ in range(exponent):
        result = product(result, g)
    return result


def _one_minus_exp(s: Series) -> Series:
    """Series of 1 - exp(-s), s linear with slope 1/2."""
    return [-torch.expm1(-s[0])] + [-torch.exp(-s[0]) * ((-0.5) ** j / math.factorial(j)) for j in range(1, len(s))]


def _check_window(start: float, length: float, scale: Tensor, n: int) -> None:
    if not (math.isfinite(start) and math.isfinite(length) and length != 0):
        raise ValueError(f"a window needs a finite `start` and a `length` that is not 0, got {start!r} and {length!r}")
    if tuple(scale.shape) != (n,) or not bool((scale > 0).all()):
        raise ValueError(f"`scale` must be {n} positive numbers, one for each component, got {scale!r}")
