"""Trained networks, one per window, together one function over the span."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from odenn.networks.activations import Series, product
from odenn.networks.mlp import Trainable
from odenn.networks.modules import inside
from odenn.networks.tables import Array
from odenn.trial import InitialTrial, by_time, scaled_time


@dataclass(frozen=True, eq=False)
class Stage:
    """One network of a window: adds scale factor(s) N(x) to the trial solution."""

    network: Trainable
    w: Tensor  # (P,)
    scale: Tensor  # (n,)


@dataclass(frozen=True, eq=False)
class Piece:
    """The solution on one window: a trial solution with one network, or several, each for the error of those before."""

    trial: InitialTrial
    stages: tuple[Stage, ...]

    def series(self, x: Tensor, terms: int) -> Series:
        """Taylor coefficients (k, n) by x."""
        total = self.trial.base(x, terms)
        factor = self.trial.factor(x, terms)
        for stage in self.stages:
            N = stage.network.series(stage.w, x, terms - 1).unbind(0)
            added = product(factor, [stage.scale * part for part in N])
            total = [a + b for a, b in zip(total, added, strict=True)]
        return total

    def moved(self, network: Trainable, device: torch.device) -> Piece:
        """The same on another device; `network` is what its stages have in common, there."""
        trial = replace(self.trial, scale=self.trial.scale.to(device))
        return Piece(trial, tuple(Stage(network, each.w.to(device), each.scale.to(device)) for each in self.stages))

    def levels(self, t: Array, top: int) -> list[Array]:
        """y, y', ..., y^(top), each (n, k), at times t (k,)."""
        with torch.no_grad():
            x = scaled_time(self.trial, torch.tensor(t, dtype=torch.float64, device=self.trial.scale.device))
            parts = by_time(self.series(x, top + 1), self.trial.length)
        return [np.ascontiguousarray(part.cpu().numpy().T) for part in parts]


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """Pieces in the order of time; meets `methods.outcome.SpanFunction`."""

    pieces: tuple[Piece, ...]
    n: int

    start: Array = field(init=False)
    length: Array = field(init=False)
    value: Array = field(init=False)

    def __post_init__(self) -> None:
        trials = [piece.trial for piece in self.pieces]
        values = [[row[0] for row in trial.values] for trial in trials]
        object.__setattr__(self, "start", np.array([trial.start for trial in trials], dtype=float))
        object.__setattr__(self, "length", np.array([trial.length for trial in trials], dtype=float))
        object.__setattr__(self, "value", np.array(values, dtype=float).reshape(len(trials), self.n))

    @classmethod
    def of(cls, pieces: Iterable[Piece], n: int) -> TrainedNetworks:
        """Pieces in any order."""
        return cls(tuple(sorted(pieces, key=lambda p: min(p.trial.start, p.trial.start + p.trial.length))), n)

    @property
    def kind(self) -> str:
        """The network of a window in words."""
        stages = self.pieces[0].stages if self.pieces else ()
        return (f"{len(stages)} stages of " if len(stages) > 1 else "") + (stages[0].network.kind if stages else "none")

    @property
    def size(self) -> int:
        """Weights of all windows together."""
        return sum(stage.w.numel() for piece in self.pieces for stage in piece.stages)

    @property
    def left(self) -> Array:
        return np.minimum(self.start, self.start + self.length)

    @property
    def right(self) -> Array:
        return np.maximum(self.start, self.start + self.length)

    def levels(self, t: Array, top: int) -> list[Array]:
        """y, y', ..., y^(top), each (n, k), at times t (k,); one pass for all of them."""
        out = [np.empty((self.n, t.size)) for _ in range(top + 1)]
        window = np.searchsorted(self.left[1:], t, side="right")
        for w in np.unique(window):
            here = window == w
            for level, part in enumerate(self.pieces[w].levels(t[here], top)):
                out[level][:, here] = part
        return out

    def levels_in(self, w: int, t: Array, top: int) -> list[Array]:
        """The same by the network of window w, whatever the times."""
        return self.pieces[w].levels(t, top)

    def derivative(self, t: Array, order: int = 0) -> Array:
        """(n, k): derivative of the given order at times t (k,); order 0 is the value."""
        return self.levels(t, order)[order]

    def module(self) -> nn.Module:
        """The same function as a torch.nn.Module from (k,) or (k, 1) to (k, n)."""
        return PiecewiseNetwork(self)


class _PieceModule(nn.Module):
    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self.trial = piece.trial
        for place, stage in enumerate(piece.stages):
            self.register_buffer(f"scale_{place}", stage.scale, persistent=False)
        self.networks = nn.ModuleList(stage.network.module(stage.w) for stage in piece.stages)

    def forward(self, t: Tensor) -> Tensor:
        x = scaled_time(self.trial, t)
        y, factor = self.trial.base(x, 1)[0], self.trial.factor(x, 1)[0]
        for place, network in enumerate(self.networks):
            y = y + self.get_buffer(f"scale_{place}") * factor * network(x[:, None])
        return y


class PiecewiseNetwork(nn.Module):
    """All windows as one module from (k,) or (k, 1) to (k, n); outside them values and derivatives are NaN.

    Differentiable by t and by the weights, also under torch.func.
    """

    edges: Tensor

    def __init__(self, networks: TrainedNetworks) -> None:
        super().__init__()
        edges = torch.tensor(networks.left[1:], dtype=torch.float64, device="cpu")
        self.register_buffer("edges", edges, persistent=False)
        self.pieces = nn.ModuleList(_PieceModule(piece) for piece in networks.pieces)
        self.n = networks.n
        self.span = float(networks.left[0]), float(networks.right[-1])

    def forward(self, t: Tensor) -> Tensor:
        t = t.reshape(-1)
        return self._extrapolated(t.to(torch.float64)) * inside(t, *self.span)

    def _extrapolated(self, t: Tensor) -> Tensor:
        # Inside a transform of torch.func values cannot be looked at: all windows are evaluated and one is kept.
        if torch._C._functorch.is_functorch_wrapped_tensor(t):  # pyright: ignore
            y = self.pieces[0](t)
            for edge, piece in zip(self.edges, self.pieces[1:], strict=True):
                y = torch.where((t >= edge)[:, None], piece(t), y)
            return y
        window = torch.searchsorted(self.edges, t.detach(), right=True)
        y = t.new_zeros(t.numel(), self.n)
        for w in window.unique().tolist():
            here = (window == w).nonzero()[:, 0]
            y = y.index_put((here,), self.pieces[w](t[here]))
        return y
