"""An exact solution by SymPy, in a process of its own: `python -m odenn.verify.exact`, JSON in, JSON out.

SymPy can take for ever, fill the memory, or return something that is no solution. So it runs where it can be ended, and
what it returns is believed only if, put into the initial conditions and the equations, it meets them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy
from sympy.core.function import AppliedUndef

from odenn.equations import System, reread_system
from odenn.layout import states_of

Expr = Any  # a SymPy expression; what its methods return is typed too loosely to be of use

DIGITS = 30
CLOSE = 1e-18  # a value is real and an initial condition met to this fraction of the largest value
SATISFIED = 1e-12  # an equation likewise; its terms may cancel, which costs digits of the 30
CHECKS = 25  # points at which the equations are checked
MEMORY = 4 << 30  # bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked: the equations, the N initial states at t0, and the times of the answer."""

    text: str
    parameters: dict[str, float]
    initial: list[float]
    t0: float
    times: list[float]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Formulas and their values (n, k); or, without them, why there is none."""

    formulas: list[str]
    values: list[list[float]]
    reason: str = ""


class _RejectedError(Exception):
    """Not a solution, or not one that can be evaluated."""


def solve_exactly(request: Request) -> Answer:
    """The first formula of SymPy that is a solution."""
    system = reread_system(request.text, request.parameters)
    equations = _Equations(system, request)
    reason = "SymPy finds no formula"
    for candidate in equations.candidates():
        try:
            values = equations.evaluated(candidate)
        except _RejectedError as rejected:
            reason = f"SymPy's formula {rejected}"
            continue
        formulas = [
            f"{name} = {_abbreviated(expression)}" for name, expression in zip(system.names, candidate, strict=True)
        ]
        return Answer(formulas=formulas, values=values)
    return Answer(formulas=[], values=[], reason=reason)


class _Equations:
    """The equations with functions of the independent variable in place of symbols, and exact numbers."""

    def __init__(self, system: System, request: Request) -> None:
        self.system = system
        self.times = request.times
        self.x = sympy.Symbol(system.independent, real=True)
        self.t0 = _exact(request.t0)
        self.unknowns = [sympy.Function(f"u{i}")(self.x) for i in range(len(system.names))]
        self.states = states_of(system.orders)
        self.initial = [_exact(value) for value in request.initial]
        time, *rest = system.symbols
        symbols, parameters = rest[: len(self.states)], rest[len(self.states) :]
        self.symbols = symbols
        given: Any = dict(zip(parameters, map(_exact, system.parameters.values()), strict=True))
        self.right_sides = [
            _without_floats(expression.doit().subs(given)).subs(time, self.x) for expression in system.expressions
        ]

    def candidates(self) -> Iterator[list[Expr]]:
        """What SymPy offers, with the initial conditions put in by SymPy, then with these solved for here."""
        functions = {
            symbol: self.unknowns[i].diff(self.x, level) if level else self.unknowns[i]
            for symbol, (level, i) in zip(self.symbols, self.states, strict=True)
        }
        equations = [
            sympy.Eq(unknown.diff(self.x, order), right.subs(functions))
            for unknown, order, right in zip(self.unknowns, self.system.orders, self.right_sides, strict=True)
        ]
        conditions = {
            functions[symbol].subs(self.x, self.t0): value
            for symbol, value in zip(self.symbols, self.initial, strict=True)
        }
        yield from self._solved(equations, conditions)
        for general in self._solved(equations, None):
            yield from self._fitted(general)

    def _solved(self, equations: list[Any], conditions: dict[Any, Any] | None) -> Iterator[list[Expr]]:
        one = len(equations) == 1
        try:
            found: Any = sympy.dsolve(
                equations[0] if one else equations, self.unknowns[0] if one else self.unknowns, ics=conditions
            )
        except Exception:  # dsolve raises whatever its many methods come across
            return
        # One equation: a formula, or a list of branches. Several: a list of formulas, or a list of such lists.
        branches: Any = found if isinstance(found, list) else [found]
        if one:
            branches = [[branch] for branch in branches]
        elif not isinstance(branches[0], list):
            branches = [branches]
        for branch in branches:
            expressions = self._explicit(branch)
            if expressions is not None:
                yield expressions

    def _explicit(self, branch: Sequence[Any]) -> list[Expr] | None:
        by_unknown = {equation.lhs: equation.rhs for equation in branch if isinstance(equation, sympy.Eq)}
        expressions = [by_unknown.get(unknown) for unknown in self.unknowns]
        if any(expression is None or expression.atoms(AppliedUndef, sympy.Derivative) for expression in expressions):
            return None
        return [expression for expression in expressions if expression is not None]

    def _fitted(self, general: list[Expr]) -> Iterator[list[Expr]]:
        """General solution -> the constants that the initial conditions fix."""
        constants = sorted(set().union(*(e.free_symbols for e in general)) - {self.x}, key=str)
        conditions = [
            general[i].diff(self.x, level).subs(self.x, self.t0) - value
            for (level, i), value in zip(self.states, self.initial, strict=True)
        ]
        try:
            solutions = sympy.solve(conditions, constants, dict=True)
        except Exception:  # as for dsolve
            return
        yield from ([expression.subs(solution) for expression in general] for solution in solutions)

    def evaluated(self, candidate: list[Expr]) -> list[list[float]]:
        """Values at the times, once it is sure that this is a solution."""
        if any(expression.free_symbols - {self.x} for expression in candidate):
            raise _RejectedError("has constants that the initial conditions do not fix")
        self._check(candidate)
        return [[float(value) for value in self._values(expression, self.times)] for expression in candidate]

    def _check(self, candidate: list[Expr]) -> None:
        """Put the formulas into the initial conditions, and into the equations at some of the times."""
        times = [_number(self.t0), *self.times[:: max(len(self.times) // CHECKS, 1)], self.times[-1]]
        # levels[i][k]: k-th derivative of component i at these times
        levels = [
            [self._values(expression.diff(self.x, k), times) for k in range(order + 1)]
            for expression, order in zip(candidate, self.system.orders, strict=True)
        ]
        size = max(abs(value) for rows in levels for row in rows for value in row)
        for (k, i), wanted in zip(self.states, self.initial, strict=True):
            if abs(levels[i][k][0] - _number(wanted)) > CLOSE * (size + abs(_number(wanted))):
                raise _RejectedError("misses the initial conditions")
        for j, t in enumerate(times):
            point = {s: _float(levels[i][k][j]) for s, (k, i) in zip(self.symbols, self.states, strict=True)}
            local = max(abs(row[j]) for rows in levels for row in rows) + CLOSE * size
            for rows, right in zip(levels, self.right_sides, strict=True):
                wanted = self._value(right.subs(point), t)
                if abs(rows[-1][j] - wanted) > SATISFIED * (local + abs(wanted)):
                    raise _RejectedError(f"does not satisfy the equations at {self.x} = {_figure(t)}")

    def _values(self, expression: Expr, times: Sequence[Any]) -> list[Any]:
        values = [self._value(expression, t) for t in times]
        size = max(map(abs, values))
        for t, value in zip(times, values, strict=True):
            if abs(value.imag) > CLOSE * size:
                raise _RejectedError(f"is complex at {self.x} = {_figure(t)}")
        return [value.real for value in values]

    def _value(self, expression: Expr, t: Any) -> Any:
        value = expression.evalf(DIGITS, subs={self.x: _float(t)}, maxn=200)
        try:
            number = mpmath.mpc(*map(mpmath.mpf, value.as_real_imag())) if value.is_number else mpmath.nan
        except (TypeError, ValueError):
            number = mpmath.nan
        if not mpmath.isfinite(number):
            raise _RejectedError(f"has no value at {self.x} = {_figure(t)}")
        return number


def _figure(t: Any) -> str:
    return f"{float(t):.6g}"


def _float(value: Any) -> sympy.Float:
    return sympy.Float(value, DIGITS + 10)


def _number(value: Any) -> Any:
    return mpmath.mpf(value.p) / value.q


def _exact(value: float) -> Any:
    """The decimal number that was most likely meant: 0.1 is 1/10, and differs from it by less than rounding."""
    return sympy.Rational(repr(float(value)))


def _without_floats(expression: Expr) -> Expr:
    return expression.xreplace({number: _exact(float(number)) for number in expression.atoms(sympy.Float)})


def _abbreviated(expression: Expr) -> str:
    text = str(expression)
    return text if len(text) <= 200 else text[:200] + " ..."


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # not on every system
        pass


def main() -> None:
    """Answer the request on stdin."""
    _limit_memory()
    mpmath.mp.dps = DIGITS + 10
    answer_to, sys.stdout = sys.stdout, sys.stderr  # SymPy must not write into the answer
    answer = solve_exactly(Request(**json.load(sys.stdin)))
    json.dump(answer.__dict__, answer_to, allow_nan=False)


if __name__ == "__main__":
    main()
