"""The functions and constants of the language."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, ClassVar, cast

import sympy


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def _step(x: float) -> float:
    return 0.5 * (1.0 + _sign(x))


class AsWritten(sympy.Function):
    """A function that SymPy must not touch.

    SymPy's own Abs, sign, Heaviside, Max and Min ask for assumptions when they are built: slowly, and with answers in
    re() and im() that no real computation can use. Its exp turns exp(x + 1000.5) into inf*exp(x). `doit()` turns these
    into SymPy's.
    """

    number: ClassVar[Callable[..., float]]
    native: ClassVar[Callable[..., Any]]
    written: ClassVar[str]  # LaTeX, with the arguments in place of {}

    @classmethod
    def eval(cls, *arguments: Any) -> Any:
        """Give the value where all arguments are numbers."""
        if not all(argument.is_Number for argument in arguments):
            return None
        try:
            return sympy.Float(cls.number(*(float(argument) for argument in arguments)))
        except OverflowError:
            return sympy.oo

    def doit(self, **hints: Any) -> Any:
        return type(self).native(*(argument.doit(**hints) for argument in self.args))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        text = self.written.format(", ".join(printer.doprint(argument) for argument in self.args))
        return text if exp is None else f"{text}^{{{exp}}}"


class Exponential(AsWritten):
    number, native, written = math.exp, sympy.exp, r"\exp\left({}\right)"


class Absolute(AsWritten):
    number, native, written = math.fabs, sympy.Abs, r"\left|{{{}}}\right|"


class Sign(AsWritten):
    number, native, written = _sign, sympy.sign, r"\operatorname{{sign}}\left({}\right)"


class Step(AsWritten):
    """Heaviside's step, 1/2 at zero."""

    number, native, written = _step, sympy.Heaviside, r"\theta\left({}\right)"


class Larger(AsWritten):
    """The larger of two."""

    number, native, written = max, sympy.Max, r"\max\left({}\right)"


class Smaller(AsWritten):
    """The smaller of two."""

    number, native, written = min, sympy.Min, r"\min\left({}\right)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Elementary:
    """One function: its value at numbers, its SymPy form, and how many arguments it takes."""

    number: Callable[..., float]
    symbolic: Callable[..., Any]
    arity: int | None = 1  # None: two or more


def _as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function without SymPy's simplifications, which take half a millisecond each."""
    return partial(function, evaluate=False)


def _larger(*arguments: sympy.Expr) -> sympy.Expr:
    return reduce(lambda a, b: cast(sympy.Expr, Larger(a, b)), arguments)


def _smaller(*arguments: sympy.Expr) -> sympy.Expr:
    return reduce(lambda a, b: cast(sympy.Expr, Smaller(a, b)), arguments)


FUNCTIONS: dict[str, Elementary] = {
    "sin": Elementary(number=math.sin, symbolic=_as_written(sympy.sin)),
    "cos": Elementary(number=math.cos, symbolic=_as_written(sympy.cos)),
    "tan": Elementary(number=math.tan, symbolic=_as_written(sympy.tan)),
    "exp": Elementary(number=math.exp, symbolic=Exponential),
    "log": Elementary(number=math.log, symbolic=_as_written(sympy.log)),
    "ln": Elementary(number=math.log, symbolic=_as_written(sympy.log)),
    "sqrt": Elementary(number=math.sqrt, symbolic=sympy.sqrt),
    "tanh": Elementary(number=math.tanh, symbolic=_as_written(sympy.tanh)),
    "sinh": Elementary(number=math.sinh, symbolic=_as_written(sympy.sinh)),
    "cosh": Elementary(number=math.cosh, symbolic=_as_written(sympy.cosh)),
    "asin": Elementary(number=math.asin, symbolic=_as_written(sympy.asin)),
    "acos": Elementary(number=math.acos, symbolic=_as_written(sympy.acos)),
    "atan": Elementary(number=math.atan, symbolic=_as_written(sympy.atan)),
    "arcsin": Elementary(number=math.asin, symbolic=_as_written(sympy.asin)),
    "arccos": Elementary(number=math.acos, symbolic=_as_written(sympy.acos)),
    "arctan": Elementary(number=math.atan, symbolic=_as_written(sympy.atan)),
    "abs": Elementary(number=math.fabs, symbolic=Absolute),
    "sign": Elementary(number=_sign, symbolic=Sign),
    "heaviside": Elementary(number=_step, symbolic=Step),
    "min": Elementary(number=min, symbolic=_smaller, arity=None),
    "max": Elementary(number=max, symbolic=_larger, arity=None),
}

CONSTANTS: dict[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e}

# Not functions of numbers: diff(y, x) is one more way to write dy/dx.
RESERVED = frozenset(FUNCTIONS) | {"diff"}
