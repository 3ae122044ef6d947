"""Methods as the command line names them: short words and spec strings become the options of a method."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import odenn
from odenn.cli._failures import UsageError
from odenn.cli._figures import plain_number
from odenn.cli._files import check_readable

if TYPE_CHECKING:
    from odenn import (
        CSV,
        MLP,
        RK4,
        Collocation,
        DataFit,
        Euler,
        LevenbergMarquardt,
        Reference,
        Residual,
        TorchOptimiser,
    )


class MethodName(StrEnum):
    """Methods."""

    collocation = "collocation"
    residual = "residual"
    data_fit = "data-fit"


class OptimizerName(StrEnum):
    """Optimisers of the methods that train."""

    lm = "lm"
    adam = "adam"
    lbfgs = "lbfgs"


HIDDEN_UNITS = ("legendre", "tanh", "sin")  # of collocation
TRAINING = (MethodName.residual, MethodName.data_fit)
LAYERS = re.compile(r"(?:(?P<width>\d+)x(?P<depth>\d+)|(?P<widths>\d+(?:-\d+)*))(?::(?P<activation>\w+))?")

_GOES_WITH = {  # the others go with every method
    "stiff": (MethodName.collocation,),
    "compile": (MethodName.collocation,),
    "optimizer": TRAINING,
    "epochs": TRAINING,
    "lr": TRAINING,
    "windows": TRAINING,
    "checkpoint": TRAINING,
    "stages": (MethodName.residual,),
    "training_points": (MethodName.residual,),
    "data": (MethodName.data_fit,),
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command line says about the method; None where it says nothing."""

    method: MethodName = MethodName.collocation
    network: str | None = None
    seconds: float | None = None
    stiff: bool | None = None
    compile: bool | None = None
    optimizer: OptimizerName | None = None
    epochs: int | None = None
    lr: float | None = None
    windows: str | None = None
    checkpoint: Path | None = None
    stages: int | None = None
    training_points: int | None = None
    data: str | None = None
    seed: int | None = None
    device: str | None = None


def chosen_method(choice: Choice) -> Collocation | Residual | DataFit:
    """The method with its options; refuses options that it does not have."""
    for name, methods in _GOES_WITH.items():
        if getattr(choice, name) is not None and choice.method not in methods:
            raise _misplaced(name, choice.method, methods)
    if choice.seed is not None and not 0 <= choice.seed < 2**63:
        raise UsageError(f"--seed takes a whole number, 0 or more, such as 7, got {choice.seed}")
    if choice.method is MethodName.collocation:
        return _collocation(choice)
    given = {
        "network": None if choice.network is None else deep_network(choice.network, choice.method),
        "optimizer": _optimizer(choice),
        "windows": None if choice.windows is None else windows_of(choice.windows),
        "max_seconds": choice.seconds,
        "seed": choice.seed,
        "device": choice.device,
        "stages": choice.stages,
        "points": choice.training_points,
        "data": None if choice.data is None else data_source(choice.data),
    }
    options: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    kind = odenn.Residual if choice.method is MethodName.residual else odenn.DataFit
    return kind(**options)  # pyright: ignore[reportArgumentType] - `given` keeps the names and types


def deep_network(spec: str, method: MethodName = MethodName.residual) -> MLP:
    """Hidden layers and their activation.

    >>> deep_network("32x5:tanh"), deep_network("64-32-16:sin")
    (MLP(hidden=(32, 32, 32, 32, 32), activation='tanh'), MLP(hidden=(64, 32, 16), activation='sin'))
    """
    if spec.lower() in HIDDEN_UNITS:
        raise UsageError(f"--network {spec} goes with --method collocation, not with {method}: {_LAYERS_TAKEN}")
    found = LAYERS.fullmatch(spec.strip().lower())
    if found is None:
        raise UsageError(f"--network takes hidden layers and an activation, got {spec!r}: {_LAYERS_TAKEN}")
    activation = found["activation"] or "tanh"
    if found["widths"] is not None:
        return odenn.MLP([int(width) for width in found["widths"].split("-")], activation)
    width, depth = int(found["width"]), int(found["depth"])
    if depth > width:  # in papers the depth comes first as often as not
        each = "-".join([str(width)] * min(depth, 3)) + ("-..." if depth > 3 else "")
        raise UsageError(
            f"--network {spec} means {depth} hidden layers of {width}: for {width} layers of {depth} write "
            f"{depth}x{width}, for {depth} of {width} write {each}"
        )
    return odenn.MLP([width] * depth, activation)


def file_of(data: str | None) -> str | None:
    """The file that --data names, if it names one. A colon may belong to a path of Windows."""
    return data if data is not None and (data.lower().endswith(".csv") or os.path.isfile(data)) else None


def data_source(spec: str) -> Euler | RK4 | Reference | CSV:
    """Where the data come from.

    >>> data_source("euler:0.01"), data_source("rk4:0.05")
    (Euler(step=0.01), RK4(step=0.05))
    """
    name, colon, argument = spec.partition(":")
    name = name.strip().lower()
    if name in ("euler", "rk4"):
        step = plain_number(argument, f"--data {name} takes a step, such as {name}:0.01, got {spec!r}")
        return odenn.Euler(step) if name == "euler" else odenn.RK4(step)
    if name == "reference" and not colon:
        return odenn.Reference()
    if file_of(spec) is not None:
        check_readable(Path(spec), "the data")
        return odenn.CSV(spec)
    raise UsageError(
        f"--data takes euler:STEP, rk4:STEP, reference or a file that ends in .csv, such as rk4:0.05 or "
        f"measured.csv, got {spec!r}"
    )


def windows_of(spec: str) -> str | int:
    """How the span is cut: by error control, or into equal parts.

    >>> windows_of("auto"), windows_of("12")
    ('auto', 12)
    """
    text = spec.strip().lower()
    if text == "auto":
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--windows takes auto or a positive whole number, such as 12, got {spec!r}")


def _collocation(choice: Choice) -> Collocation:
    name = (choice.network or "legendre").strip().lower()
    if name not in HIDDEN_UNITS:
        if LAYERS.fullmatch(name):
            raise UsageError(
                f"--network {choice.network} goes with --method residual or data-fit, not with collocation (the "
                f"default), which takes {_listed(HIDDEN_UNITS)}: choose a method that trains"
            )
        raise UsageError(
            f"--network takes {_listed(HIDDEN_UNITS)} with --method collocation (the default), such as "
            f"--network tanh, got {choice.network!r}"
        )
    if name == "legendre":
        if choice.seed is not None:
            raise UsageError("--seed goes with networks that are drawn at random, and legendre is not: leave it out")
        units = odenn.Legendre()
    else:
        units = odenn.Features(activation=name, seed=choice.seed or 0)
    return odenn.Collocation(
        network=units, stiff=choice.stiff, max_seconds=choice.seconds, device=choice.device or "auto"
    )


def _optimizer(choice: Choice) -> LevenbergMarquardt | TorchOptimiser | None:
    """What was asked for; None where the method's own default is meant."""
    if choice.optimizer in (None, OptimizerName.lm) and choice.lr is not None:
        raise UsageError(
            "--lr goes with --optimizer adam or lbfgs, not with lm (the default), which finds its steps itself: "
            "leave it out, or choose another optimizer"
        )
    if choice.optimizer is None and choice.epochs is None:
        return None
    from odenn.optimise.presets import preset

    return preset(choice.optimizer or OptimizerName.lm, lr=choice.lr, iterations=choice.epochs)


def _misplaced(name: str, method: MethodName, methods: tuple[MethodName, ...]) -> UsageError:
    option, default = f"--{name.replace('_', '-')}", " (the default)" if method is MethodName.collocation else ""
    return UsageError(
        f"{option} goes with --method {_listed(methods)}, not with {method}{default}: leave it out, or choose "
        f"--method {methods[0]}"
    )


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


_LAYERS_TAKEN = (
    "give WIDTHxLAYERS:ACTIVATION or WIDTH-WIDTH-...:ACTIVATION, such as 32x5:tanh (five hidden layers of 32) or "
    "64-32-16:sin"
)
