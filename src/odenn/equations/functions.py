"""The functions and constants of the language."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, cast

import sympy


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def _step(x: float) -> float:
    return 0.5 * (1.0 + _sign(x))


class AsWritten(sympy.Function):
    """A function that SymPy keeps as it was written.

    SymPy's own functions simplify themselves when they are built. That takes time (half a millisecond each), turns
    exp(x + 1000.5) into inf*exp(x) and abs(log(x)) into something with re() and im(), and on tan(2*(x - y)), where the
    product must not be multiplied out, it never ends. `doit()` turns these functions into SymPy's.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> Abs(Log(x)), Abs(Log(x)).doit()
    (abs(log(x)), Abs(log(x)))
    """

    spelling: ClassVar[str]
    number: ClassVar[Callable[..., float]]
    native: ClassVar[Callable[..., Any]]

    @classmethod
    def of(cls, *arguments: sympy.Expr) -> sympy.Expr:
        """Apply the function. (What SymPy declares for cls(...) is no expression.)"""
        return cast(sympy.Expr, cls(*arguments))

    @classmethod
    def eval(cls, *arguments: Any) -> Any:
        """Give the value where all arguments are numbers; nothing else is simplified."""
        if not all(argument.is_Number for argument in arguments):
            return None
        try:
            return sympy.Float(cls.number(*(float(argument) for argument in arguments)))
        except OverflowError:
            return sympy.oo
        except ValueError:
            return sympy.nan

    def doit(self, **hints: Any) -> Any:
        return type(self).native(*(argument.doit(**hints) for argument in self.args))

    def _sympystr(self, printer: Any) -> str:
        return f"{self.spelling}({', '.join(printer.doprint(argument) for argument in self.args)})"

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        arguments = ", ".join(printer.doprint(argument) for argument in self.args)
        text = _LATEX.get(self.spelling, rf"\operatorname{{{{{self.spelling}}}}}\left({{}}\right)").format(arguments)
        return text if exp is None else f"{text}^{{{exp}}}"


_LATEX = {
    **{
        name: rf"\{name}\left({{}}\right)"
        for name in ("sin", "cos", "tan", "exp", "log", "sinh", "cosh", "tanh", "max", "min")
    },
    **{f"a{name}": rf"\arc{name}\left({{}}\right)" for name in ("sin", "cos", "tan")},
    "abs": r"\left|{{{}}}\right|",
    "heaviside": r"\theta\left({}\right)",
}


class Sin(AsWritten):
    spelling, number, native = "sin", math.sin, sympy.sin


class Cos(AsWritten):
    spelling, number, native = "cos", math.cos, sympy.cos


class Tan(AsWritten):
    spelling, number, native = "tan", math.tan, sympy.tan


class Exp(AsWritten):
    spelling, number, native = "exp", math.exp, sympy.exp


class Log(AsWritten):
    spelling, number, native = "log", math.log, sympy.log


class Sinh(AsWritten):
    spelling, number, native = "sinh", math.sinh, sympy.sinh


class Cosh(AsWritten):
    spelling, number, native = "cosh", math.cosh, sympy.cosh


class Tanh(AsWritten):
    spelling, number, native = "tanh", math.tanh, sympy.tanh


class Asin(AsWritten):
    spelling, number, native = "asin", math.asin, sympy.asin


class Acos(AsWritten):
    spelling, number, native = "acos", math.acos, sympy.acos


class Atan(AsWritten):
    spelling, number, native = "atan", math.atan, sympy.atan


class Abs(AsWritten):
    spelling, number, native = "abs", math.fabs, sympy.Abs


class Sign(AsWritten):
    spelling, number, native = "sign", _sign, sympy.sign


class Heaviside(AsWritten):
    """0, 1/2 at zero, 1."""

    spelling, number, native = "heaviside", _step, sympy.Heaviside


class Max(AsWritten):
    """The larger of two."""

    spelling, number, native = "max", max, sympy.Max


class Min(AsWritten):
    """The smaller of two."""

    spelling, number, native = "min", min, sympy.Min


@dataclass(frozen=True, kw_only=True, eq=False)
class Elementary:
    """One function: its value at numbers, its symbolic form, and how many arguments it takes."""

    number: Callable[..., float]
    symbolic: Callable[..., Any]
    arity: int | None = 1  # None: two or more


def _of_two(function: type[AsWritten]) -> Elementary:
    """Let a function of two arguments take more."""
    return Elementary(
        number=function.number,
        symbolic=lambda *arguments: reduce(function.of, arguments),
        arity=None,
    )


_UNARY = (Sin, Cos, Tan, Exp, Log, Sinh, Cosh, Tanh, Asin, Acos, Atan, Abs, Sign, Heaviside)
FUNCTIONS: dict[str, Elementary] = {
    **{function.spelling: Elementary(number=function.number, symbolic=function.of) for function in _UNARY},
    "ln": Elementary(number=math.log, symbolic=Log.of),
    "sqrt": Elementary(number=math.sqrt, symbolic=sympy.sqrt),
    "arcsin": Elementary(number=math.asin, symbolic=Asin.of),
    "arccos": Elementary(number=math.acos, symbolic=Acos.of),
    "arctan": Elementary(number=math.atan, symbolic=Atan.of),
    "max": _of_two(Max),
    "min": _of_two(Min),
}

CONSTANTS: dict[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e}

# Not functions of numbers: diff(y, x) is one more way to write dy/dx.
RESERVED = frozenset(FUNCTIONS) | {"diff"}
