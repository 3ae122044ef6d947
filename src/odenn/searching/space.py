"""The structures to choose from, and the method object of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from odenn.methods.data_fit import DataFit
from odenn.methods.residual import Residual
from odenn.networks.activations import ACTIVATIONS
from odenn.networks.mlp import MLP
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.objective import Optimiser, check_optimiser
from odenn.optimise.presets import preset
from odenn.optimise.torch_optimiser import TorchOptimiser

Trainer = Residual | DataFit
NAMES = ("depth", "width", "activation", "optimizer")

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
        unknown = [name for name in activations if not isinstance(name, str) or name not in ACTIVATIONS]
        if unknown:
            raise ValueError(f"`activation` has {unknown[0]!r}, known are {', '.join(ACTIVATIONS)}")
        _check_different(activations, "activation")
        optimisers = tuple(_optimiser(one) for one in _several(optimizer, "optimizer"))
        _check_different([name for name, _ in optimisers], "optimizer")
        return cls(
            depth=_counts(depth, "depth", 50),
            width=_counts(width, "width", 4096),
            activation=activations,
            optimizer=optimisers,
        )

    @property
    def grid(self) -> dict[str, list[Any]]:
        """The choices of each parameter, by name, in order."""
        return {
            "depth": sorted(self.depth),
            "width": sorted(self.width),
            "activation": sorted(self.activation),
            "optimizer": sorted(name for name, _ in self.optimizer),
        }

    @property
    def structures(self) -> list[Structure]:
        return [Structure(*choice) for choice in product(*self.grid.values())]

    def method(self, structure: Structure, template: Trainer, share: float = 1.0) -> Trainer:
        """`template` with this structure; `share` of the optimiser's iterations, if it is one of odenn's own."""
        optimiser = dict(self.optimizer)[structure.optimizer]
        if isinstance(optimiser, LevenbergMarquardt):
            optimiser = replace(optimiser, max_iterations=_share(optimiser.max_iterations, share))
        elif isinstance(optimiser, TorchOptimiser):
            optimiser = replace(optimiser, iterations=_share(optimiser.iterations, share))
        network = MLP([structure.width] * structure.depth, structure.activation)
        return replace(template, network=network, optimizer=optimiser)

    def divisible(self, structure: Structure) -> bool:
        """Whether its optimiser can be given a share of its iterations."""
        return isinstance(dict(self.optimizer)[structure.optimizer], LevenbergMarquardt | TorchOptimiser)


def _share(iterations: int, share: float) -> int:
    return max(round(share * iterations), 1)


def _several(values: Any, name: str) -> tuple[Any, ...]:
    found = (values,) if isinstance(values, str) or not isinstance(values, Iterable) else tuple(values)
    if not found:
        raise ValueError(f"`{name}` is empty: name at least one")
    return found


def _check_different(found: Sequence[Any], name: str) -> None:
    if len(set(found)) != len(found):
        raise ValueError(f"`{name}` names a choice twice: {list(found)!r}")


def _counts(values: Any, name: str, most: int) -> tuple[int, ...]:
    found = _several(values, name)
    bad = [
        one for one in found if not isinstance(one, int | np.integer) or isinstance(one, bool) or not 1 <= one <= most
    ]
    if bad:
        raise ValueError(f"`{name}` must be whole numbers from 1 to {most}, got {bad[0]!r}")
    _check_different(found, name)
    return tuple(int(one) for one in found)


def _optimiser(one: Any) -> tuple[str, Optimiser]:
    if isinstance(one, str):
        if one not in OPTIMISERS:
            raise ValueError(f"`optimizer` has {one!r}, known are {', '.join(OPTIMISERS)}, or optimiser objects")
        return one, OPTIMISERS[one]
    check_optimiser(one)
    return next((name for name, known in OPTIMISERS.items() if known == one), None) or _described(one), one


def _described(one: Optimiser) -> str:
    """The class, and what differs from its defaults.

    >>> _described(LevenbergMarquardt(max_iterations=20))
    'LevenbergMarquardt(max_iterations=20)'
    """
    name = type(one).__name__
    if not is_dataclass(one):
        return name
    given = [
        f"{field.name}={getattr(one, field.name)!r}"
        for field in fields(one)
        if repr(getattr(one, field.name))
        != repr(field.default if field.default_factory is MISSING else field.default_factory())
    ]
    return f"{name}({', '.join(given)})" if given else name
