"""The networks as torch modules, for autograd, torch.func and reuse inside other models."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from odenn.networks.tables import Array
from odenn.networks.windows import Windows

ROUNDING = 1e-12  # of the size of time: so far outside still counts as the end of the span


def _buffer(module: nn.Module, name: str, values: Array) -> None:
    module.register_buffer(name, torch.tensor(values, dtype=torch.float64, device="cpu"))


class LegendreModule(nn.Module):
    """psi_j(s) = integral_0^s P_j(2 u - 1) du, j < size; from (k, 1) to (k, size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, s: Tensor) -> Tensor:
        x = 2 * s - 1
        P = [torch.ones_like(x), x]
        for j in range(1, self.size):
            P.append(((2 * j + 1) * x * P[j] - j * P[j - 1]) / (j + 1))
        psi = [s] + [(P[j + 1] - P[j - 1]) / (2 * (2 * j + 1)) for j in range(1, self.size)]
        return torch.cat(psi, dim=-1)


class FeatureModule(nn.Module):
    """psi(s) = integral_0^s activation(slope u + shift) du @ mix; from (k, 1) to (k, r)."""

    slope: Tensor
    shift: Tensor
    mix: Tensor

    def __init__(self, activation: str, slope: Array, shift: Array, mix: Array) -> None:
        super().__init__()
        self.activation = activation
        for name, values in (("slope", slope), ("shift", shift), ("mix", mix)):
            _buffer(self, name, values)

    def _integral(self, x: Tensor) -> Tensor:
        # log(2 cosh x) = softplus(2 x) - x; the threshold keeps softplus exact where its argument is large.
        return -torch.cos(x) if self.activation == "sin" else nn.functional.softplus(2 * x, threshold=40.0) - x

    def forward(self, s: Tensor) -> Tensor:
        x = s * self.slope + self.shift
        return ((self._integral(x) - self._integral(self.shift)) / self.slope) @ self.mix


def inside(t: Tensor, left: float, right: float) -> Tensor:
    """(k, 1): 1 at times t (k,) within [left, right], to rounding in the precision of t, and NaN outside.

    As a factor it leaves values and derivatives inside as they are and makes both NaN outside. An error cannot be
    raised instead: transforms of torch.func do not let values be looked at.
    """
    precision = torch.finfo(t.dtype).eps if t.is_floating_point() else 0.0
    slack = max(ROUNDING, precision) * max(abs(left), abs(right))
    within = (t - (left + right) / 2).abs() <= (right - left) / 2 + slack
    return torch.where(within, 1.0, math.nan)[:, None]


class WindowedNetwork(nn.Module):
    """The solution as a network: hidden units of the local time, linear output weights, one set for each window.

    forward(t) takes times (k,) or (k, 1) and returns (k, n). Outside the windows values and derivatives are NaN: there
    a network knows nothing. The output weights are parameters; everything is differentiable by t and by the weights,
    also under torch.func.
    """

    start: Tensor
    length: Tensor
    value: Tensor
    edges: Tensor

    def __init__(self, windows: Windows) -> None:
        super().__init__()
        self.units = windows.units.module()
        _buffer(self, "start", windows.start)
        _buffer(self, "length", windows.length)
        _buffer(self, "value", windows.value)
        _buffer(self, "edges", windows.left[1:])
        self.span = float(windows.left[0]), float(windows.left[-1] + abs(windows.length[-1]))
        self.weights = nn.Parameter(torch.tensor(windows.weights, dtype=torch.float64, device="cpu"))

    def forward(self, t: Tensor) -> Tensor:
        t = t.reshape(-1)
        w = torch.searchsorted(self.edges, t.detach().to(self.edges.dtype), right=True)
        length = self.length[w]
        s = ((t - self.start[w]) / length)[:, None]
        slopes = torch.matmul(self.weights[w], self.units(s)[:, :, None])[:, :, 0]
        return (self.value[w] + length[:, None] * slopes) * inside(t, *self.span)
