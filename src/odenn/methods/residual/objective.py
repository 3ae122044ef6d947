"""The residual of a trial solution in its equation, and its Jacobian by all weights in one sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from odenn.layout import states_of
from odenn.methods.torch_rhs import TorchRhs
from odenn.methods.trained import Piece
from odenn.networks.activations import product
from odenn.networks.mlp import Trainable
from odenn.trial import by_time, scaled_time


@dataclass(frozen=True, eq=False)
class ResidualObjective:
    """r_i(t) = weight_i (y_i^(k_i) - f_i(t, y, y', ...)) at the points x of one window.

    y is the piece's present solution plus scale factor(s) N(x; w), the network in training. Equations of any order are
    taken as they are, without reduction to first order.
    """

    rhs: TorchRhs
    orders: tuple[int, ...]
    piece: Piece  # conditions, and the stages trained before
    network: Trainable
    scale: Tensor  # (n,)
    weight: Tensor  # (n,)
    x: Tensor  # (k,)

    @property
    def blocks(self) -> int:
        return len(self.orders)

    @cached_property
    def terms(self) -> int:
        """C, Taylor coefficients that are needed."""
        return max(self.orders) + 1

    @cached_property
    def t(self) -> Tensor:
        return self.piece.trial.start + self.piece.trial.length * (self.x + 1) / 2

    @cached_property
    def states(self) -> tuple[list[int], list[int]]:
        """Level and component of the N states, derivative-major."""
        pairs = states_of(self.orders)
        return [level for level, _ in pairs], [i for _, i in pairs]

    @cached_property
    def offset(self) -> Tensor:
        """(C, k, n) what is there without the network."""
        return torch.stack(self.piece.series(self.x, self.terms))

    @cached_property
    def gain(self) -> list[Tensor]:
        """C tensors (k, n) that the network's series is multiplied with."""
        return [self.scale * part for part in self.piece.trial.factor(self.x, self.terms)]

    def residual(self, w: Tensor) -> Tensor:
        highest, Z = self._parts(self.network.series(w, self.x, self.terms - 1))
        return (self.weight[:, None] * (highest - self.rhs(self.t, Z))).reshape(-1)

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        N, pullback = self.network.linearise(w, self.x, self.terms - 1)
        highest, Z = self._parts(N)
        f, df = self.rhs.with_jacobian(self.t, Z)
        r = (self.weight[:, None] * (highest - f)).reshape(-1)
        n, C, k = len(self.orders), self.terms, self.x.numel()
        y_bar = r.new_zeros(n, C, k, n)
        levels, components = self.states
        y_bar[:, levels, :, components] = -df.permute(1, 0, 2)
        for i, order in enumerate(self.orders):
            y_bar[i, order, :, i] += 1.0
        y_bar = y_bar * self.weight[:, None, None, None]
        parts = by_time(y_bar.unbind(1), self.piece.trial.length)
        gain = self.gain
        N_bar = torch.stack(
            [sum((parts[q] * gain[q - c] for q in range(c + 1, C)), parts[c] * gain[0]) for c in range(C)], 1
        )
        return r, pullback(N_bar)

    def _parts(self, N: Tensor) -> tuple[Tensor, Tensor]:
        """Highest derivatives (n, k) and states (N, k)."""
        added = product(self.gain, list(N.unbind(0)))
        D = torch.stack(by_time([self.offset[j] + part for j, part in enumerate(added)], self.piece.trial.length))
        levels, components = self.states
        highest = D[list(self.orders), :, list(range(len(self.orders)))]
        return highest, D[levels, :, components]


def chebyshev(points: int, device: torch.device) -> Tensor:
    """Chebyshev points in (-1, 1), without the ends."""
    k = torch.arange(points, dtype=torch.float64, device=device)
    return -torch.cos(math.pi * (k + 0.5) / points)


def defect_of(piece: Piece, rhs: TorchRhs, orders: tuple[int, ...], x: Tensor) -> Tensor:
    """y^(k) - f(t, y, ...) of a piece, (n, k), at points x."""
    with torch.no_grad():
        top = max(orders)
        D = torch.stack(by_time(piece.series(x, top + 1), piece.trial.length))
        Z = torch.stack([D[level, :, i] for level, i in states_of(orders)])
        highest = torch.stack([D[k, :, i] for i, k in enumerate(orders)])
        return highest - rhs(piece.trial.start + piece.trial.length * (x + 1) / 2, Z)


__all__ = ["ResidualObjective", "chebyshev", "defect_of", "scaled_time"]
