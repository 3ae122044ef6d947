"""What a run is: the JSON that the page sends, checked, and the problem and the method that it describes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from odenn import CSV, IVP, MLP, RK4, Collocation, DataFit, Euler, Features, Legendre, Reference, Residual

METHODS = ("collocation", "residual", "data-fit")
UNITS = ("legendre", "tanh", "sin")
ACTIVATIONS = ("tanh", "sin", "silu", "gelu", "softplus", "elu", "relu")
OPTIMIZERS = ("lm", "adam", "lbfgs")
DATA = ("euler", "rk4", "reference", "csv")

Json = Mapping[str, Any]


class SpecificationError(ValueError):
    """A field of a specification that cannot be used."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may ask for."""

    seconds: float = 120.0
    """Of training or solving."""
    memory_mb: int = 2048
    equations: int = 20_000
    """Characters."""
    initial: int = 10_000
    parameters: int = 50
    components: int = 100
    layers: int = 10
    width: int = 256
    iterations: int = 100_000
    windows: int = 1000
    stages: int = 5
    points: int = 2000
    upload_bytes: int = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Units:
    """Hidden units of collocation."""

    kind: str = "legendre"


@dataclass(frozen=True, kw_only=True)
class Deep:
    """A network of any depth, for the methods that train."""

    hidden: tuple[int, ...] = (32, 32, 32)
    activation: str = "tanh"


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Of the methods that train; None stands for the optimiser's own default."""

    name: str = "lm"
    lr: float | None = None
    iterations: int | None = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """What data-fit is fitted to; `upload` is the id of a CSV file."""

    kind: str = "reference"
    step: float = 0.01
    upload: str | None = None


@dataclass(frozen=True, kw_only=True)
class Specification:
    """One run: what to solve, and how. Options of other methods than the chosen one are kept but not used."""

    equations: str
    span: tuple[float, float]
    initial: str = ""
    params: Mapping[str, float] = field(default_factory=dict[str, float])
    rtol: float = 1e-6
    atol: float | None = None
    method: str = "collocation"
    network: Units | Deep = field(default_factory=Units)
    optimizer: Optimizer = field(default_factory=Optimizer)
    windows: str | int = "auto"
    stages: int = 1
    points: int | None = None
    data: Data = field(default_factory=Data)
    seed: int = 0
    seconds: float = 30.0
    verify: bool = True
    stiff: bool | None = None

    @classmethod
    def of(cls, content: Any, limits: Limits | None = None) -> Specification:
        """The specification in a JSON object of which nothing is known yet.

        Raises
        ------
        SpecificationError
            For a field that is missing, unknown, of another type or beyond its limit; it names the field.

        Examples
        --------
        >>> Specification.of({"equations": "y' = -y; y(0) = 1", "span": [0, 5]}).span
        (0.0, 5.0)
        >>> Specification.of({"equations": "y' = -y", "span": [0, float("nan")]})
        Traceback (most recent call last):
            ...
        odenn.web.specification.SpecificationError: `span` must be two finite numbers, such as [0, 10], got [0, nan]
        """
        limits = limits or Limits()
        given = _object(content, "", [each.name for each in fields(cls)])
        for name in ("equations", "span"):
            if name not in given:
                raise SpecificationError(f"`{name}` is missing", name)
        method = _word(given.get("method", cls.method), "method", METHODS)
        values: dict[str, Any] = {
            "equations": _text(given["equations"], "equations", limits.equations),
            "span": _span(given["span"]),
            "initial": _text(given.get("initial", ""), "initial", limits.initial),
            "params": _params(given.get("params", {}), limits.parameters),
            "method": method,
            "network": _network(given.get("network"), method, limits),
            "optimizer": _optimizer(given.get("optimizer", {}), limits),
            "data": _data(given.get("data", {})),
            "windows": _windows(given.get("windows", "auto"), limits.windows),
        }
        readers: dict[str, Callable[[Any], Any]] = {
            "rtol": lambda value: _number(value, "rtol", 1e-14, 0.5),
            "atol": lambda value: None if value is None else _number(value, "atol", 0.0, 1e300),
            "stages": lambda value: _whole(value, "stages", 1, limits.stages),
            "points": lambda value: None if value is None else _whole(value, "points", 4, limits.points),
            "seed": lambda value: _whole(value, "seed", 0, 2**53 - 1),
            "seconds": lambda value: _number(value, "seconds", 0.1, limits.seconds),
            "verify": lambda value: _flag(value, "verify"),
            "stiff": lambda value: None if value is None else _flag(value, "stiff"),
        }
        values |= {name: read(given[name]) for name, read in readers.items() if name in given}
        values.setdefault("seconds", min(cls.seconds, limits.seconds))
        if method == "data-fit" and values["data"].kind == "csv" and values["data"].upload is None:
            raise SpecificationError("`data.upload` is missing: choose a CSV file", "data.upload")
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """What `of` reads."""
        network: dict[str, Any] = asdict(self.network)
        if isinstance(self.network, Deep):
            network["hidden"] = list(self.network.hidden)
        return {**asdict(self), "span": list(self.span), "params": dict(self.params), "network": network}

    @property
    def trains(self) -> bool:
        """Whether a network is trained, which needs torch and takes its time."""
        return self.method != "collocation"

    def problem(self) -> IVP:
        """The problem; EquationError or ValueError where there is none."""
        import odenn

        return odenn.parse(self.equations, span=self.span, initial=self.initial or None, params=self.params or None)

    def chosen(self, upload: Path | None = None) -> Collocation | Residual | DataFit:
        """The method with its options, but without a limit on time; `upload` is the CSV file, if there is one."""
        import odenn

        if not self.trains:
            return odenn.Collocation(network=self._units(), stiff=self.stiff)
        from odenn.optimise.presets import preset

        common: dict[str, Any] = {
            "network": self._deep(),
            "optimizer": preset(self.optimizer.name, lr=self.optimizer.lr, iterations=self.optimizer.iterations),
            "windows": self.windows,
            "seed": self.seed,
            # Networks of this size gain little by a GPU, which the runs would have to share.
            "device": "cpu",
        }
        if self.method == "residual":
            if self.points is not None:
                common["points"] = self.points
            return odenn.Residual(**common, stages=self.stages)
        return odenn.DataFit(**common, data=self._source(upload))

    def _units(self) -> Legendre | Features:
        import odenn

        assert isinstance(self.network, Units)
        if self.network.kind == "legendre":
            return odenn.Legendre()
        return odenn.Features(activation=self.network.kind, seed=self.seed)

    def _deep(self) -> MLP:
        import odenn

        assert isinstance(self.network, Deep)
        return odenn.MLP(self.network.hidden, self.network.activation)

    def _source(self, upload: Path | None) -> Euler | RK4 | Reference | CSV:
        import odenn

        if self.data.kind == "csv":
            assert upload is not None
            return odenn.CSV(upload)
        if self.data.kind == "reference":
            return odenn.Reference()
        return odenn.Euler(self.data.step) if self.data.kind == "euler" else odenn.RK4(self.data.step)


def read_equations_request(content: Any, limits: Limits) -> dict[str, Any]:
    """What the page sends while equations are typed, checked: equations, initial, params, span."""
    given = _object(content, "", ["equations", "initial", "params", "span"])
    if "equations" not in given:
        raise SpecificationError("`equations` is missing", "equations")
    return {
        "equations": _text(given["equations"], "equations", limits.equations),
        "initial": _text(given.get("initial", ""), "initial", limits.initial),
        "params": _params(given.get("params", {}), limits.parameters),
        "span": list(_span(given.get("span", [0, 1]))),
    }


def _shown(value: Any) -> str:
    """A value as an error shows it: short, whatever was sent."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _object(value: Any, field: str, known: list[str]) -> Json:
    where = f"`{field}`" if field else "a run"
    if not isinstance(value, dict):
        raise SpecificationError(f"{where} must be a JSON object with {', '.join(known)}, got {_shown(value)}", field)
    for name in value:
        if name not in known:
            place = f"{field}.{name[:40]}" if field else name[:40]
            raise SpecificationError(f"`{place}` is unknown; {where} has {', '.join(known)}", place)
    return value


def _text(value: Any, field: str, most: int) -> str:
    if not isinstance(value, str):
        raise SpecificationError(f"`{field}` must be text, got {_shown(value)}", field)
    if len(value) > most:
        raise SpecificationError(f"`{field}` has {len(value)} characters: at most {most} are read", field)
    return value


def _word(value: Any, field: str, known: tuple[str, ...]) -> str:
    if not (isinstance(value, str) and value in known):
        raise SpecificationError(f"`{field}` must be one of {', '.join(known)}, got {_shown(value)}", field)
    return value


def _finite(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def _number(value: Any, field: str, least: float, most: float) -> float:
    number = _finite(value)
    if number is None or not least <= number <= most:
        raise SpecificationError(f"`{field}` must be a number from {least:g} to {most:g}, got {_shown(value)}", field)
    return number


def _whole(value: Any, field: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecificationError(f"`{field}` must be a whole number from {least} to {most}, got {_shown(value)}", field)
    return value


def _flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise SpecificationError(f"`{field}` must be true or false, got {_shown(value)}", field)
    return value


def _span(value: Any) -> tuple[float, float]:
    ends = [_finite(end) for end in value] if isinstance(value, list) and len(value) == 2 else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise SpecificationError(f"`span` must be two finite numbers, such as [0, 10], got {_shown(value)}", "span")
    if ends[0] == ends[1]:
        raise SpecificationError(f"`span` must have two different ends, got {_shown(value)}", "span")
    return ends[0], ends[1]


def _params(value: Any, most: int) -> dict[str, float]:
    if not isinstance(value, dict):
        raise SpecificationError(
            f'`params` must be an object of numbers, such as {{"k": 2}}, got {_shown(value)}', "params"
        )
    if len(value) > most:
        raise SpecificationError(f"`params` has {len(value)} parameters: at most {most} are taken", "params")
    found: dict[str, float] = {}
    for name, given in value.items():
        number, field = _finite(given), f"params.{name[:40]}"
        if number is None:
            raise SpecificationError(f"`{field}` must be a finite number, got {_shown(given)}", field)
        found[name] = number
    return found


def _network(value: Any, method: str, limits: Limits) -> Units | Deep:
    deep = method != "collocation"
    if value is None:
        return Deep() if deep else Units()
    given = _object(value, "network", ["kind", "hidden", "activation"])
    if not deep:
        if "hidden" in given or "activation" in given:
            raise SpecificationError(
                f"`network` of collocation is one of {', '.join(UNITS)}, as in {{'kind': 'tanh'}}, got "
                f"{_shown(value)}: choose one, or a method that trains",
                "network",
            )
        return Units(kind=_word(given.get("kind", "legendre"), "network.kind", UNITS))
    if "kind" in given:
        raise SpecificationError(
            f"`network` of {method} has `hidden` and `activation`, got {_shown(value)}: give the widths of its layers",
            "network",
        )
    hidden = given.get("hidden", list(Deep.hidden))
    if not isinstance(hidden, list) or not 1 <= len(hidden) <= limits.layers:
        raise SpecificationError(
            f"`network.hidden` must be a list of 1 to {limits.layers} widths, such as [32, 32], got {_shown(hidden)}",
            "network.hidden",
        )
    return Deep(
        hidden=tuple(_whole(width, "network.hidden", 1, limits.width) for width in hidden),
        activation=_word(given.get("activation", "tanh"), "network.activation", ACTIVATIONS),
    )


def _optimizer(value: Any, limits: Limits) -> Optimizer:
    given = _object(value, "optimizer", ["name", "lr", "iterations"])
    name = _word(given.get("name", "lm"), "optimizer.name", OPTIMIZERS)
    lr, iterations = given.get("lr"), given.get("iterations")
    if lr is not None and name == "lm":
        raise SpecificationError(
            "`optimizer.lr` goes with adam and lbfgs: lm finds its steps itself; leave it out", "optimizer.lr"
        )
    return Optimizer(
        name=name,
        lr=None if lr is None else _number(lr, "optimizer.lr", 1e-12, 1e3),
        iterations=None if iterations is None else _whole(iterations, "optimizer.iterations", 1, limits.iterations),
    )


def _data(value: Any) -> Data:
    given = _object(value, "data", ["kind", "step", "upload"])
    upload = given.get("upload")
    return Data(
        kind=_word(given.get("kind", "reference"), "data.kind", DATA),
        step=_number(given.get("step", 0.01), "data.step", 1e-12, 1e12),
        upload=None if upload is None else _text(upload, "data.upload", 100),
    )


def _windows(value: Any, most: int) -> str | int:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SpecificationError(
            f'`windows` must be "auto" or a whole number from 1 to {most}, got {_shown(value)}', "windows"
        )
    return value
