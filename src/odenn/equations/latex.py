"""Equations as LaTeX."""

import math
from collections.abc import Sequence
from fractions import Fraction

import sympy

from odenn.equations.system import System
from odenn.layout import states_of

MOST_EQUATIONS = 8
LONGEST = 1000  # characters of LaTeX in one right-hand side


def equations_latex(system: System, initial: Sequence[float], t0: float) -> str:
    """The equations and their initial values, an `aligned` environment; long systems are cut short.

    Examples
    --------
    >>> from odenn.equations import parse_system
    >>> print(equations_latex(parse_system("y1'' = -k*y1", parameters={"k": 2.0}), [1.0, 1e-5], 0.0))
    \\begin{aligned}
    y_{1}'' &= - k y_{1} \\\\
    y_{1}(0) &= 1,\\quad y_{1}'(0) = 10^{-5}
    \\end{aligned}
    """
    shown = range(min(len(system.names), MOST_EQUATIONS))
    states = states_of(system.orders)
    spelled = {
        symbol: _derivative(system.names[i], level)
        for symbol, (level, i) in zip(system.symbols[1:], states, strict=False)
    }
    lines = [
        f"{_derivative(system.names[i], system.orders[i])} &= {_right(system.expressions[i], spelled)}" for i in shown
    ]
    values = [
        f"{_derivative(system.names[i], level)}({number(t0)}) = {number(value)}"
        for (level, i), value in zip(states, initial, strict=True)
        if i in shown
    ]
    if len(system.names) > len(shown):
        lines.append(rf"&\;\;\vdots \quad \text{{({len(system.names)} equations)}}")
        values = [*values[:MOST_EQUATIONS], r"\ldots"]
    lines.append(r",\quad ".join(values).replace(" = ", " &= ", 1))
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def number(value: float) -> str:
    """Six digits, as 2.5 \\cdot 10^{-7}."""
    digits, _, exponent = f"{value:.6g}".partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return {"1": power, "-1": f"-{power}"}.get(digits, rf"{digits} \cdot {power}")


def _exact(value: sympy.Float) -> sympy.Expr:
    """The fraction, or multiple of pi, that a long decimal number stands for; else the number.

    >>> _exact(sympy.Float(8 / 3)), _exact(sympy.Float(math.pi / 2)), _exact(sympy.Float(0.1))
    (8/3, pi/2, 0.100000000000000)
    """
    number = float(value)
    if len(repr(number)) > 12 and math.isfinite(number):
        for unit, symbol in ((1.0, sympy.Integer(1)), (math.pi, sympy.pi)):
            fraction = Fraction(number / unit).limit_denominator(1000)
            if float(fraction) * unit == number:
                return sympy.Rational(fraction.numerator, fraction.denominator) * symbol
    return value


def _derivative(name: str, level: int) -> str:
    symbol: str = sympy.latex(sympy.Symbol(name))
    return symbol + ("'" * level if level <= 3 else f"^{{({level})}}")


def _right(expression: sympy.Expr, spelled: dict[sympy.Symbol, str]) -> str:
    exact = {value: _exact(value) for value in expression.atoms(sympy.Float)}
    text: str = sympy.latex(expression.xreplace(exact), symbol_names=spelled)
    return text if len(text) <= LONGEST else r"\ldots"
