"""SymPy equations as text in the language of this package, so that there is one way in."""

import math
import re
from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from odenn.equations.errors import EquationError, equation_error

_FUNCTIONS: dict[type[sympy.Basic], str] = {
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.tanh: "tanh",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.asin: "asin",
    sympy.acos: "acos",
    sympy.atan: "atan",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.Heaviside: "heaviside",
    sympy.Max: "max",
    sympy.Min: "min",
}
_NAME = re.compile(r"[^\W\d]\w*")


def equations_text(equations: sympy.Eq | Sequence[sympy.Eq]) -> str:
    """Return the text of SymPy equations.

    Raises
    ------
    EquationError
        For functions, constants and derivatives that the language does not have.

    Examples
    --------
    >>> x, k = sympy.symbols("x k")
    >>> y = sympy.Function("y")
    >>> equations_text(sympy.Eq(y(x).diff(x, 2), -k * y(x) ** 2))
    'diff(y, x, 2) = (-1)*k*(y(x))^2'
    """
    listed: Sequence[Any] = [equations] if isinstance(equations, sympy.Basic) else list(equations)
    for equation in listed:
        if not isinstance(equation, sympy.Eq):
            raise equation_error(
                f"expected equations as text or sympy.Eq, got {type(equation).__name__}: {equation}",
                "write sympy.Eq(y(x).diff(x), ...); an equation that SymPy finds true or false says nothing",
            )
    return "\n".join(f"{_text(equation.lhs)} = {_text(equation.rhs)}" for equation in listed)


def _text(expression: Any) -> str:
    match expression:
        case sympy.Symbol():
            text = _checked_name(expression.name)
        case sympy.Number() | sympy.NumberSymbol():
            text = _number(expression)
        case sympy.Add():
            text = "(" + " + ".join(_text(term) for term in expression.args) + ")"
        case sympy.Mul():
            text = "*".join(_text(factor) for factor in expression.args)
        case sympy.Pow():
            text = f"{_operand(expression.base)}^{_operand(expression.exp)}"
        case sympy.Derivative():
            text = _derivative(expression)
        case sympy.Subs():
            text = _derivative_at(expression)
        case AppliedUndef():
            text = f"{_component(expression)}({_text(expression.args[0])})"
        case _:
            text = _function(expression)
    return text


def _operand(expression: Any) -> str:
    text = _text(expression)
    return text if text.isalnum() or text.startswith("(") else f"({text})"


def _number(expression: Any) -> str:
    if expression.is_Rational and not expression.is_Integer:
        return f"({_number(sympy.Integer(expression.p))}/{expression.q})"
    if expression.is_Integer and abs(expression) < 10**15:
        return str(expression) if expression >= 0 else f"({expression})"
    value = float(expression) if expression.is_finite else math.nan
    if not math.isfinite(value):
        raise _unsupported(expression)
    return repr(value) if value >= 0 else f"({value!r})"


def _derivative(expression: Any) -> str:
    function, variables = expression.expr, expression.variable_count
    if not isinstance(function, AppliedUndef) or len(variables) != 1:
        raise equation_error(
            f"cannot read the derivative {expression}",
            "only derivatives of functions of one variable can be solved: y(x).diff(x)",
        )
    variable, order = variables[0]
    name = _component(function)
    if function.args != (variable,):
        raise equation_error(f"cannot read the derivative {expression}", f"write {function.func}({variable})")
    return f"diff({name}, {_text(variable)}, {order})"


def _derivative_at(expression: Any) -> str:
    """y(x).diff(x).subs(x, 0): the left-hand side of a condition."""
    derivative, points = expression.expr, expression.point
    if not isinstance(derivative, sympy.Derivative) or len(points) != 1:
        raise _unsupported(expression)
    order = derivative.derivative_count
    return f"{_component(derivative.expr)}{chr(39) * order}({_text(points[0])})"


def _component(expression: Any) -> str:
    if len(expression.args) != 1:
        raise equation_error(
            f"`{expression}` is a function of {len(expression.args)} variables",
            "only ordinary differential equations can be solved: functions of one variable",
        )
    return _checked_name(expression.func.__name__)


def _function(expression: Any) -> str:
    name = _FUNCTIONS.get(type(expression))
    if name is None:
        raise _unsupported(expression)
    arguments = expression.args[:1] if name == "heaviside" else expression.args
    return f"{name}({', '.join(_text(argument) for argument in arguments)})"


def _unsupported(expression: Any) -> EquationError:
    if expression.has(sympy.I) or expression.is_Number:
        return equation_error(f"`{expression}` is not a real number", "only real equations can be solved")
    return equation_error(
        f"`{type(expression).__name__}` in `{expression}` is not supported",
        "the functions are " + ", ".join(sorted(set(_FUNCTIONS.values()))),
    )


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise equation_error(
            f"the name `{name}` cannot be written in an equation", "use letters, digits and _, a letter first"
        )
    return name
