"""SymPy's attributes with the types that they have for expressions: SymPy itself declares them for anything."""

from collections.abc import Sequence
from typing import cast

import sympy


def parts(expression: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Return the arguments of an expression."""
    return cast("tuple[sympy.Expr, ...]", expression.args)


def symbols_in(expression: sympy.Expr) -> set[sympy.Symbol]:
    """Return the symbols that occur in an expression."""
    return cast("set[sympy.Symbol]", expression.free_symbols)


def power_of(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return base and exponent; the exponent of what is no power is 1. exp(u) is no power here."""
    if isinstance(expression, sympy.Pow):
        return expression.args
    return expression, sympy.S.One


def coefficient_of(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return the number in front of a term, and the rest."""
    return expression.as_coeff_Mul()


def negated(expression: sympy.Expr) -> sympy.Expr:
    return -expression


def shared_parts(expressions: Sequence[sympy.Expr]) -> tuple[list[tuple[sympy.Symbol, sympy.Expr]], list[sympy.Expr]]:
    """Return the subexpressions that repeat, each with a symbol for it, and the expressions in terms of these."""
    symbols = sympy.numbered_symbols(cls=sympy.Dummy)
    shared, reduced = sympy.cse(expressions, symbols=symbols, order="none", list=True)
    return cast("list[tuple[sympy.Symbol, sympy.Expr]]", shared), cast("list[sympy.Expr]", reduced)
