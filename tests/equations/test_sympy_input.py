"""Equations given as SymPy objects."""

import math

import pytest
import sympy

from odenn.equations import EquationError, parse_system

x, k = sympy.symbols("x k")
y, z = sympy.Function("y"), sympy.Function("z")


def test_one_equation() -> None:
    system = parse_system(sympy.Eq(y(x).diff(x, 2), -(k**2) * y(x) + sympy.sin(x) / 3), parameters={"k": 2})
    assert (system.names, system.orders, system.independent) == (("y",), (2,), "x")
    assert sympy.simplify(system.expressions[0].doit() + k**2 * sympy.Symbol("y") - sympy.sin(x) / 3) == 0


def test_a_system_with_conditions() -> None:
    system = parse_system(
        [
            sympy.Eq(2 * y(x).diff(x, 2) + z(x).diff(x), -y(x)),
            sympy.Eq(y(x).diff(x, 2) + z(x).diff(x), sympy.exp(z(x))),
            sympy.Eq(y(0), 1),
            sympy.Eq(y(x).diff(x).subs(x, 0), -sympy.Rational(1, 4)),
            sympy.Eq(z(0), sympy.pi),
        ]
    )
    assert (system.names, system.orders) == (("y", "z"), (2, 1))
    assert (system.initial_point, system.initial_values) == (0.0, (1.0, math.pi, -0.25))


def test_the_text_gives_the_same_system() -> None:
    right = (
        sympy.sqrt(y(x)) + sympy.Abs(y(x)) + sympy.Max(x, y(x), 2) * sympy.Heaviside(x) - 1.5e-7 / (1 + y(x) ** 3)
        + sympy.asin(x) ** sympy.Rational(-1, 3) + sympy.Integer(3) ** 40 + sympy.sign(x) + sympy.E
    )  # fmt: skip
    system = parse_system(sympy.Eq(y(x).diff(x), right))
    again = parse_system(system.text)
    assert again.expressions == system.expressions
    assert (again.names, again.orders, again.symbols) == (system.names, system.orders, system.symbols)


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (lambda: sympy.Eq(y(x).diff(x), sympy.I * y(x)), "`I` is not a real number"),
        (lambda: sympy.Eq(y(x).diff(x), sympy.gamma(y(x))), "`gamma` in `gamma(y(x))` is not supported"),
        (lambda: sympy.Eq(y(x).diff(x), sympy.Piecewise((1, x > 0), (2, True))), "`Piecewise` in"),
        (lambda: sympy.Eq(y(x, k).diff(x), 1), "`y(x, k)` is a function of 2 variables"),
        (lambda: sympy.Eq(y(x, k).diff(x, k), 1), "only derivatives of functions of one variable"),
        (lambda: sympy.Eq(y(x).diff(x), sympy.Symbol("a b")), "the name `a b` cannot be written"),
        (lambda: sympy.Eq(y(x).diff(x), sympy.oo), "`oo` is not a real number"),
        (lambda: [y(x).diff(x)], "expected equations as text or sympy.Eq, got Derivative"),
        (lambda: sympy.true, "expected equations as text or sympy.Eq, got BooleanTrue"),
        (lambda: [], "there are no equations"),
        (lambda: sympy.Eq(y(x).diff(x), k), "unknown name `k`"),
    ],
)
def test_what_is_refused(equations: object, message: str) -> None:
    with pytest.raises(EquationError) as caught:
        parse_system(equations())  # type: ignore[operator]
    assert message in str(caught.value)
