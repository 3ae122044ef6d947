"""Partial derivatives of expressions, in code that can be generated: no DiracDelta, no Derivative, no Subs."""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import sympy
from sympy.core.parameters import distribute

from odenn.equations import functions
from odenn.equations.typed import parts

# d f(u) / d u. The derivative of a jump is taken as zero: the jump itself is a point that integration steps over.
_OUTER: dict[type[sympy.Expr], Callable[[sympy.Expr], Any]] = {
    functions.Sin: functions.Cos,
    functions.Cos: lambda u: -functions.Sin.of(u),
    functions.Tan: lambda u: 1 + functions.Tan.of(u) ** 2,
    functions.Exp: functions.Exp,
    functions.Log: lambda u: 1 / u,
    functions.Sinh: functions.Cosh,
    functions.Cosh: functions.Sinh,
    functions.Tanh: lambda u: 1 - functions.Tanh.of(u) ** 2,
    functions.Asin: lambda u: 1 / sympy.sqrt(1 - u**2),
    functions.Acos: lambda u: -1 / sympy.sqrt(1 - u**2),
    functions.Atan: lambda u: 1 / (1 + u**2),
    functions.Abs: functions.Sign,
    functions.Sign: lambda u: sympy.S.Zero,
    functions.Heaviside: lambda u: sympy.S.Zero,
}

Gradient = dict[sympy.Symbol, sympy.Expr]


def gradients(expressions: Sequence[sympy.Expr], symbols: Collection[sympy.Symbol]) -> list[Gradient]:
    """Return the partial derivatives of each expression by those of the symbols on which it depends.

    Examples
    --------
    >>> x, y, z = sympy.symbols("x y z")
    >>> [gradient] = gradients([x**2 * y + functions.Sin(y)], [x, y, z])
    >>> gradient[x], gradient[y], z in gradient
    (2*x*y, x**2 + cos(y), False)
    """
    known: dict[sympy.Expr, Gradient] = {symbol: {symbol: sympy.S.One} for symbol in symbols}
    with distribute(False):
        return [_gradient(expression, known) for expression in expressions]


def _gradient(expression: sympy.Expr, known: dict[sympy.Expr, Gradient]) -> Gradient:
    """Differentiate by all symbols at once; `known` holds what was differentiated before, since parts repeat."""
    if expression not in known:
        inner = [_gradient(part, known) for part in parts(expression)]
        if not any(inner):
            known[expression] = {}
        elif expression.is_Add:
            known[expression] = _sum(inner)
        else:
            known[expression] = _sum([_scaled(d, change) for d, change in zip(_outer(expression), inner, strict=True)])
    return known[expression]


def _sum(gradients: Sequence[Gradient]) -> Gradient:
    terms: dict[sympy.Symbol, list[sympy.Expr]] = {}
    for gradient in gradients:
        for symbol, value in gradient.items():
            terms.setdefault(symbol, []).append(value)
    sums = {symbol: sympy.Add(*values) for symbol, values in terms.items()}
    return {symbol: value for symbol, value in sums.items() if value != 0}


def _scaled(factor: Callable[[], Any], gradient: Gradient) -> Gradient:
    return {symbol: factor() * value for symbol, value in gradient.items()}


def _outer(expression: sympy.Expr) -> Sequence[Callable[[], Any]]:
    """Return the derivatives by the arguments; functions, because not all of them are needed or exist."""
    u = parts(expression)
    match expression:
        case sympy.Mul():
            outer = [partial(sympy.Mul, *u[:i], *u[i + 1 :]) for i in range(len(u))]
        case sympy.Pow():
            outer = [partial(_by_base, *u), partial(_by_exponent, *u)]
        case functions.Max():
            outer = [partial(functions.Heaviside, u[0] - u[1]), partial(functions.Heaviside, u[1] - u[0])]
        case functions.Min():
            outer = [partial(functions.Heaviside, u[1] - u[0]), partial(functions.Heaviside, u[0] - u[1])]
        case _:
            outer = [partial(_OUTER[type(expression)], u[0])]
    return outer


def _by_base(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    return exponent * base ** (exponent - 1)


def _by_exponent(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    logarithm = sympy.Float(math.log(float(base))) if base.is_Number else functions.Log.of(base)
    return base**exponent * logarithm
