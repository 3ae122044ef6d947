"""The structures to choose from, and the method object of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from odenn.methods.data_fit import DataFit
from odenn.methods.residual import Residual
from odenn.networks.activations import ACTIVATIONS
from odenn.networks.mlp import MLP
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.presets import preset
from odenn.optimise.torch_optimiser import TorchOptimiser

Trainer = Residual | DataFit
Optimiser = LevenbergMarquardt | TorchOptimiser

OPTIMISERS: dict[str, Optimiser] = {  # trials are short: Adam takes longer steps, L-BFGS fewer
    "lm": preset("lm"),
    "adam": preset("adam", lr=1e-2),
    "lbfgs": preset("lbfgs", iterations=200),
}


@dataclass(frozen=True, order=True)
class Structure:
    """One choice of each parameter."""

    depth: int
    width: int
    activation: str
    optimizer: str

    def __str__(self) -> str:
        return f"{self.depth}x{self.width} {self.activation}, {self.optimizer}"


@dataclass(frozen=True, kw_only=True)
class Space:
    """All structures: every combination."""

    depth: tuple[int, ...]
    width: tuple[int, ...]
    activation: tuple[str, ...]
    optimizer: tuple[tuple[str, Optimiser], ...]

    @classmethod
    def of(cls, depth: Any, width: Any, activation: Any, optimizer: Any) -> Space:
        """What the user named, checked.

        Raises
        ------
        ValueError, TypeError
            For widths or depths that are no positive whole numbers, and for unknown names.
        """
        activations = _several(activation, "activation")
        unknown = [name for name in activations if name not in ACTIVATIONS]
        if unknown:
            raise ValueError(f"`activation` has {unknown[0]!r}, known are {', '.join(ACTIVATIONS)}")
        return cls(
            depth=_counts(depth, "depth", 50),
            width=_counts(width, "width", 4096),
            activation=activations,
            optimizer=tuple(_optimiser(one) for one in _several(optimizer, "optimizer")),
        )

    @property
    def grid(self) -> dict[str, list[Any]]:
        """The choices of each parameter, by name."""
        return {
            "depth": list(self.depth),
            "width": list(self.width),
            "activation": list(self.activation),
            "optimizer": [name for name, _ in self.optimizer],
        }

    @property
    def structures(self) -> list[Structure]:
        return [Structure(*choice) for choice in product(*self.grid.values())]

    def method(self, structure: Structure, template: Trainer, share: float = 1.0) -> Trainer:
        """`template` with this structure; `share` of the optimiser's iterations."""
        optimiser = dict(self.optimizer)[structure.optimizer]
        if isinstance(optimiser, LevenbergMarquardt):
            optimiser = replace(optimiser, max_iterations=_share(optimiser.max_iterations, share))
        else:
            optimiser = replace(optimiser, iterations=_share(optimiser.iterations, share))
        network = MLP([structure.width] * structure.depth, structure.activation)
        return replace(template, network=network, optimizer=optimiser)


def _share(iterations: int, share: float) -> int:
    return max(round(share * iterations), 1)


def _several(values: Any, name: str) -> tuple[Any, ...]:
    found = (values,) if isinstance(values, str) or not isinstance(values, Iterable) else tuple(values)
    if not found:
        raise ValueError(f"`{name}` is empty: name at least one")
    if len({str(value) for value in found}) != len(found):
        raise ValueError(f"`{name}` names a choice twice: {list(found)!r}")
    return found


def _counts(values: Any, name: str, most: int) -> tuple[int, ...]:
    found = _several(values, name)
    bad = [value for value in found if not (isinstance(value, int) and 1 <= value <= most)]
    if bad:
        raise ValueError(f"`{name}` must be whole numbers from 1 to {most}, got {bad[0]!r}")
    return found


def _optimiser(one: Any) -> tuple[str, Optimiser]:
    if isinstance(one, str):
        if one not in OPTIMISERS:
            raise ValueError(f"`optimizer` has {one!r}, known are {', '.join(OPTIMISERS)}, or optimiser objects")
        return one, OPTIMISERS[one]
    if isinstance(one, LevenbergMarquardt):
        return "lm", one
    if isinstance(one, TorchOptimiser):
        return f"{one.name.lower()} lr={one.lr:g}", one
    raise TypeError(f"`optimizer` must hold names ({', '.join(OPTIMISERS)}) or optimiser objects, got {one!r}")
