"""From the syntax tree to SymPy expressions: names get a meaning, constants become one number.

Numbers are folded in float64, so that 9^9^9^9 is an overflow and not an integer that fills the memory; a result that is
a whole number becomes a SymPy Integer again, so that y^2 stays a square.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import sympy
from sympy.core.parameters import distribute

from odenn.equations.errors import EquationError, Source, nearest
from odenn.equations.functions import CONSTANTS, FUNCTIONS, RESERVED, AsWritten, Exp
from odenn.equations.syntax import At, Call, Derivative, Name, Node, Number, Power, Product, Sum
from odenn.equations.typed import coefficient_of, negated, parts

Value = float | sympy.Expr

_EXACT = 2.0**53  # whole numbers up to here are exact in float64
_LARGEST_INTEGER_EXPONENT = 1_000_000  # beyond, SymPy must not be given the chance to multiply out
_REAL = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Symbol, sympy.Integer, sympy.Rational, sympy.Float, AsWritten)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the names in a text mean.

    `values` maps the independent variable, components and parameters to symbols or numbers; `derivatives` maps
    (component, order) to its symbol.
    """

    source: Source
    independent: str | None
    values: Mapping[str, Value]
    derivatives: Mapping[tuple[str, int], sympy.Symbol] = field(default_factory=dict[tuple[str, int], sympy.Symbol])

    def is_euler(self, node: Node) -> bool:
        """Whether a node is the number e: a component or parameter of that name comes first."""
        return isinstance(node, Name) and node.name == "e" and "e" not in self.values


def expression(node: Node, scope: Scope) -> sympy.Expr:
    """Return the SymPy expression of a node.

    Raises
    ------
    EquationError
        For an unknown name, a division by zero, or a number that is too large or not real.

    Examples
    --------
    >>> from odenn.equations.reading import read
    >>> source = Source(text="y = 2x^2/(1 + 3)")
    >>> scope = Scope(source=source, independent="x", values={"x": sympy.Symbol("x")})
    >>> expression(read(source)[0].right, scope)
    0.5*x**2
    """
    with distribute(False):  # 2*(x + y) must not become 2*x + 2*y: more operations, and more rounding
        return computable(_symbolic(_build(node, scope)), node, scope.source)


def constant(node: Node, scope: Scope) -> float:
    """Return the number that a node is; a component or the independent variable in it is an error."""
    with distribute(False):
        value = _build(node, scope)
    if isinstance(value, float):
        return value
    raise scope.source.error(
        "a number is needed here", "only numbers, parameters and constants can be used in a condition", node.position
    )


def _build(node: Node, scope: Scope) -> Value:
    match node:
        case Number():
            value = node.value
        case Name():
            value = _named(node, scope)
        case Derivative():
            value = _derivative(node, scope)
        case At():
            value = _at(node, scope)
        case Call():
            value = _call(node, scope)
        case Sum():
            value = _sum(node, scope)
        case Product():
            value = _product(node, scope)
        case Power():
            value = _power(node, scope)
        case _:
            raise AssertionError(node)
    return _as_float(value) if isinstance(value, sympy.Number) and value.is_finite else value


def _named(node: Name, scope: Scope) -> Value:
    if node.name in scope.values:
        return scope.values[node.name]
    if node.name in CONSTANTS:
        return CONSTANTS[node.name]
    raise unknown_name(node, scope)


def unknown_name(node: Name, scope: Scope) -> EquationError:
    """Return the error for a name that is neither component, parameter, constant nor independent variable."""
    near = nearest(node.name, [*scope.values, *CONSTANTS, *RESERVED])
    known = ", ".join(f"`{name}`" for name in list(scope.values)[:8])
    hint = f"the nearest known name is `{near}`" if near else f"known are {known}"
    error = scope.source.error(
        f"unknown name `{node.name}`; {hint}",
        f'give it a value as a parameter: params={{"{node.name}": ...}} (Python) or --param {node.name}=... '
        "(command line)",
        node.position,
    )
    error.unknown = node.name
    return error


def _derivative(node: Derivative, scope: Scope) -> Value:
    symbol = scope.derivatives.get((node.name, node.order))
    if symbol is None:
        raise scope.source.error(
            "a derivative cannot be used here", "only numbers, parameters and constants can be used", node.position
        )
    return symbol


def _at(node: At, scope: Scope) -> Value:
    """y(x) is y; y(0) belongs into a condition; k(x + 1) is a product without its sign."""
    name = node.target.name
    if isinstance(node.target, Name) and (name not in scope.values or (name, 0) not in scope.derivatives):
        raise _not_applicable(node, scope)
    if isinstance(node.argument, Name) and node.argument.name == scope.independent:
        return _build(node.target, scope)
    remedy = (
        f"write `{name}` for its value at every `{scope.independent}`, or `{name}(0) = 1` as a condition of its own"
    )
    if isinstance(node.target, Name) and not isinstance(node.argument, Number):
        remedy = f"{_to_multiply(node, scope)}; {remedy}"
    raise scope.source.error(f"a value of `{name}` at a point cannot be used in an equation", remedy, node.position)


def _not_applicable(node: At, scope: Scope) -> EquationError:
    name = node.target.name
    if name in scope.values or name in CONSTANTS:
        return scope.source.error(f"`{name}` is not a function", _to_multiply(node, scope), node.position)
    near = nearest(name, [*RESERVED, *(component for component, _ in scope.derivatives)])
    return scope.source.error(
        f"unknown function `{name}`" + (f"; the nearest known is `{near}`" if near else ""),
        f"{_to_multiply(node, scope)}; the functions are {', '.join(sorted(RESERVED))}",
        node.position,
    )


def _to_multiply(node: At, scope: Scope) -> str:
    """Say how a product of a name and a parenthesis is written, with the text that has the sign."""
    name, text = node.target.name, scope.source.text or ""
    parenthesis = text.index("(", node.position or 0)
    end = len(text[:parenthesis].rstrip())
    return f"to multiply write {name}*(...): {scope.source.multiplied(end, parenthesis)}"


def _call(node: Call, scope: Scope) -> Value:
    function = FUNCTIONS[node.function]
    arguments = [_build(argument, scope) for argument in node.arguments]
    numbers = [argument for argument in arguments if isinstance(argument, float)]
    if len(numbers) == len(arguments):
        return _folded(lambda: function.number(*numbers), f"{node.function}(...)", node, scope)
    return function.symbolic(*(_symbolic(argument) for argument in arguments))


def _sum(node: Sum, scope: Scope) -> Value:
    number = 0.0
    terms: list[sympy.Expr] = []
    for sign, term in node.terms:
        value = _build(term, scope)
        if isinstance(value, sympy.Expr):
            terms.append(value if sign > 0 else negated(value))
        else:
            number += sign * value
    _check_finite(number, node, scope)
    if not terms:
        return number
    return sympy.Add(*terms, _symbolic(number))


def _product(node: Product, scope: Scope) -> Value:
    number = 1.0
    factors: list[sympy.Expr] = []
    for exponent, factor in node.factors:
        value = _build(factor, scope)
        if exponent < 0 and value == 0.0:
            raise scope.source.error("division by zero", "remove it: this has no value anywhere", factor.position)
        if isinstance(value, sympy.Expr):
            factors.append(value if exponent > 0 else _raised(value, -1.0, factor, scope))
        else:
            number = number * value if exponent > 0 else number / value
    _check_finite(number, node, scope)
    if not factors:
        return number
    product = sympy.Mul(_symbolic(number), *factors)
    _check_finite(_as_float(coefficient_of(product)[0]), node, scope)
    return product


def _power(node: Power, scope: Scope) -> Value:
    exponent = _build(node.exponent, scope)
    if scope.is_euler(node.base) and isinstance(exponent, sympy.Expr):
        return Exp.of(exponent)
    base = _build(node.base, scope)
    if isinstance(exponent, sympy.Expr):
        return _exponential(base, exponent, node, scope)
    if isinstance(base, sympy.Expr):
        return _raised(base, exponent, node, scope)
    if base == 0.0 and exponent < 0:
        raise scope.source.error("division by zero", "remove it: this has no value anywhere", node.position)
    return _folded(lambda: math.pow(base, exponent), "this power", node, scope)


def _exponential(base: Value, exponent: sympy.Expr, node: Node, scope: Scope) -> sympy.Expr:
    if isinstance(base, sympy.Expr):
        return sympy.Pow(base, exponent)
    if base <= 0:
        raise scope.source.error(
            f"{base:g} to a varying power is not a real number",
            "use a positive base; (-1)^n for whole n is cos(pi*n)",
            node.position,
        )
    return sympy.Pow(sympy.Float(base), exponent, evaluate=False) if base != 1.0 else sympy.S.One


def _raised(base: sympy.Expr, exponent: float, node: Node, scope: Scope) -> sympy.Expr:
    """Return base**exponent for a constant exponent; SymPy raises the number in front of `base` as well."""
    number = abs(_as_float(coefficient_of(base)[0]))
    if number not in (0.0, 1.0) and abs(math.log2(number) * exponent) > 1000:  # float64 ends at 2^1024
        raise _too_large("this power", node, scope)
    return sympy.Pow(base, _exponent(exponent))


def _exponent(value: float) -> sympy.Expr:
    """Return an exponent in the form in which SymPy knows what it is: a whole number, a square root, or any other."""
    if abs(value) <= _LARGEST_INTEGER_EXPONENT and (2 * value).is_integer():
        return sympy.Rational(int(2 * value), 2)
    return sympy.Float(value)


def _symbolic(value: Value) -> sympy.Expr:
    if isinstance(value, sympy.Expr):
        return value
    return sympy.Integer(int(value)) if value % 1 == 0 and abs(value) <= _EXACT else sympy.Float(value)


def _folded(compute: Callable[[], float], what: str, node: Node, scope: Scope) -> float:
    try:
        value = float(compute())
    except OverflowError:
        raise _too_large(what, node, scope) from None
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if math.isnan(value):
        raise scope.source.error(
            f"{what} is not a real number here", "check the sign and the size of the argument", node.position
        )
    _check_finite(value, node, scope)
    return value


def _check_finite(value: float, node: Node, scope: Scope) -> None:
    if not math.isfinite(value):
        raise _too_large("this number", node, scope)


def _too_large(what: str, node: Node, scope: Scope) -> EquationError:
    return scope.source.error(f"{what} is too large to compute", "numbers go up to 1.7e308", node.position)


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def computable(result: sympy.Expr, node: Node, source: Source) -> sympy.Expr:
    """Refuse what cannot be computed in real floats, such as I*x; write floats that are whole numbers as such.

    (For SymPy 1.0*x is not x, and it would be computed as a product. A base stays a float: SymPy multiplies powers of
    integers out.)
    """
    pending, seen = [result], set[sympy.Expr]()
    whole, bases = dict[sympy.Basic, sympy.Basic](), set[sympy.Expr]()
    while pending:
        part = pending.pop()
        if part in seen:
            continue
        seen.add(part)
        if not isinstance(part, _REAL):
            raise source.error(
                "this expression has no real value", "check square roots, logarithms and divisions", node.position
            )
        if isinstance(part, sympy.Number):
            value = _as_float(part)
            if not math.isfinite(value):
                raise source.error("a number in this expression is too large", "the limit is 1.7e308", node.position)
            if isinstance(part, sympy.Float) and value % 1 == 0 and abs(value) <= _EXACT:
                whole[part] = sympy.Integer(int(value))
        if isinstance(part, sympy.Pow):
            bases.add(parts(part)[0])
        pending.extend(parts(part))
    whole = {number: integer for number, integer in whole.items() if number not in bases}
    return cast(sympy.Expr, result.xreplace(whole)) if whole else result
