"""Solving equations that are linear in the highest derivatives for these derivatives."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import sympy
from sympy.core.parameters import distribute

from odenn.equations.compiled import Problem, evaluate
from odenn.equations.typed import coefficient_of, negated, parts, symbols_in

# Cramer's rule on a symbolic matrix of m rows takes m^2 2^m products; mass matrices written by hand are smaller.
_MAX_SYMBOLIC = 6
_MAX_NUMERIC = 100
_SINGULAR = 1e-12  # of the product of the largest entries of the rows: what rounding leaves of a determinant of zero
_PROBES = 5


class NonlinearError(Exception):
    """The equation `row` is not linear in one of the unknowns."""

    def __init__(self, unknown: sympy.Symbol, row: int = -1) -> None:
        super().__init__(unknown)
        self.unknown, self.row = unknown, row


class UndeterminedError(Exception):
    """The equations `rows` do not determine the unknowns in them."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(rows)
        self.rows = rows


class CoupledError(Exception):
    """The equations `rows` couple more unknowns than can be solved for."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One equation: the sum of coefficients[h] * h over the unknowns h, plus rest, is zero."""

    index: int
    coefficients: dict[sympy.Symbol, sympy.Expr]
    rest: sympy.Expr


def solve_linear(
    residuals: Sequence[sympy.Expr], unknowns: Sequence[sympy.Symbol], values: dict[sympy.Symbol, float]
) -> dict[sympy.Symbol, sympy.Expr]:
    """Solve residuals = 0, linear in the unknowns, for the unknowns.

    Parameters
    ----------
    residuals : sequence of Expr
        As many as there are unknowns.
    unknowns : sequence of Symbol
        The highest derivatives.
    values : dict
        Values of the parameters, for judging whether a determinant is zero.

    Raises
    ------
    NonlinearError, UndeterminedError, CoupledError

    Examples
    --------
    >>> x, y, u, v = sympy.symbols("x y u v")
    >>> solve_linear([2*u + v + x, u + v + y], [u, v], {})
    {u: -x + y, v: x - 2*y}
    """
    with distribute(False):
        rows = [_row(index, residual, set(unknowns)) for index, residual in enumerate(residuals)]
        solved = _triangular(rows)
        remaining = [_substituted(row, solved) for row in rows if not (row.coefficients.keys() <= solved.keys())]
        for block in _blocks(remaining):
            solved |= _solve_block(block, values)
    if len(solved) < len(unknowns):
        raise UndeterminedError([row.index for row in rows])
    return {unknown: _expanded_sign(solved[unknown]) for unknown in unknowns}


def _expanded_sign(expression: sympy.Expr) -> sympy.Expr:
    """Write -(x - y) as y - x."""
    sign, rest = coefficient_of(expression)
    return sympy.Add(*(negated(term) for term in parts(rest))) if sign == -1 and rest.is_Add else expression


def _row(index: int, residual: sympy.Expr, unknowns: set[sympy.Symbol]) -> Row:
    try:
        coefficients, rest = _linear_parts(residual, unknowns)
    except NonlinearError as error:
        raise NonlinearError(error.unknown, index) from None
    return Row(index=index, coefficients={h: c for h, c in coefficients.items() if c != 0}, rest=rest)


def _linear_parts(
    expression: sympy.Expr, unknowns: set[sympy.Symbol]
) -> tuple[dict[sympy.Symbol, sympy.Expr], sympy.Expr]:
    """Return the coefficient of each unknown in an expression, and the rest."""
    if isinstance(expression, sympy.Symbol) and expression in unknowns:
        return {expression: sympy.S.One}, sympy.S.Zero
    occurring = symbols_in(expression) & unknowns
    if not occurring:
        return {}, expression
    if expression.is_Add:
        terms = [_linear_parts(term, unknowns) for term in parts(expression)]
        keys = dict.fromkeys(h for coefficients, _ in terms for h in coefficients)
        sums = {h: sympy.Add(*(coefficients.get(h, 0) for coefficients, _ in terms)) for h in keys}
        return sums, sympy.Add(*(rest for _, rest in terms))
    holding = [factor for factor in parts(expression) if symbols_in(factor) & unknowns]
    if not expression.is_Mul or len(holding) > 1:
        raise NonlinearError(min(occurring, key=str))
    others = sympy.Mul(*(factor for factor in parts(expression) if factor is not holding[0]))
    coefficients, rest = _linear_parts(holding[0], unknowns)
    return {h: others * coefficient for h, coefficient in coefficients.items()}, others * rest


def _triangular(rows: Sequence[Row]) -> dict[sympy.Symbol, sympy.Expr]:
    """Solve the equations that hold one unknown, put it into the others, and so on."""
    solved: dict[sympy.Symbol, sympy.Expr] = {}
    waiting = list(rows)
    progress = True
    while progress:
        progress = False
        for row in list(waiting):
            missing = [h for h in row.coefficients if h not in solved]
            if len(missing) != 1:
                continue
            [unknown] = missing
            reduced = _substituted(row, solved)
            solved[unknown] = _product(-1 / reduced.coefficients[unknown], reduced.rest)
            waiting.remove(row)
            progress = True
    if any(row.coefficients.keys() <= solved.keys() for row in waiting):
        raise UndeterminedError([row.index for row in rows if row.coefficients.keys() <= solved.keys()])
    return solved


def _substituted(row: Row, solved: dict[sympy.Symbol, sympy.Expr]) -> Row:
    known = [_product(coefficient, solved[h]) for h, coefficient in row.coefficients.items() if h in solved]
    coefficients = {h: coefficient for h, coefficient in row.coefficients.items() if h not in solved}
    return Row(index=row.index, coefficients=coefficients, rest=sympy.Add(row.rest, *known))


def _product(factor: sympy.Expr, expression: sympy.Expr) -> sympy.Expr:
    """Multiply; a number into each term of a sum, so that sums of sums of sums do not arise."""
    if factor.is_number and expression.is_Add:
        return sympy.Add(*(factor * term for term in parts(expression)))
    return factor * expression


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows that share unknowns, directly or through others."""
    blocks: list[tuple[set[sympy.Symbol], list[Row]]] = []
    for row in rows:
        unknowns, members = set(row.coefficients), [row]
        apart: list[tuple[set[sympy.Symbol], list[Row]]] = []
        for block in blocks:
            if block[0] & unknowns:
                unknowns |= block[0]
                members = block[1] + members
            else:
                apart.append(block)
        blocks = [*apart, (unknowns, members)]
    return [members for _, members in blocks]


def _solve_block(rows: Sequence[Row], values: dict[sympy.Symbol, float]) -> dict[sympy.Symbol, sympy.Expr]:
    indices = [row.index for row in rows]
    unknowns = list(dict.fromkeys(h for row in rows for h in row.coefficients))
    if len(unknowns) != len(rows):
        raise UndeterminedError(indices)
    A = [[row.coefficients.get(h, sympy.S.Zero) for h in unknowns] for row in rows]
    b = [_expanded_sign(negated(row.rest)) for row in rows]
    if len(rows) <= _MAX_SYMBOLIC:
        solution = _cramer(A, b, values)
    elif len(rows) <= _MAX_NUMERIC and all(entry.is_number for line in A for entry in line):
        solution = _inverted(A, b)
    else:
        raise CoupledError(indices)
    if solution is None:
        raise UndeterminedError(indices)
    return dict(zip(unknowns, solution, strict=True))


def _cramer(
    A: Sequence[Sequence[sympy.Expr]], b: Sequence[sympy.Expr], values: dict[sympy.Symbol, float]
) -> list[sympy.Expr] | None:
    """Solve A x = b by Cramer's rule; None if A is singular.

    Elimination would divide by pivots that can vanish where the determinant does not, as in a rotation by 90 degrees.
    """
    # Numbers as exact fractions, so that coefficients such as 1 and 2 give whole numbers.
    exact = [[sympy.Rational(float(entry)) if entry.is_number else entry for entry in line] for line in A]
    determinant = _determinant(exact)
    if _vanishes(determinant, exact, values):
        return None
    solution: list[sympy.Expr] = []
    for j in range(len(b)):
        replaced = [[*line[:j], rest, *line[j + 1 :]] for line, rest in zip(exact, b, strict=True)]
        solution.append(_with_floats(_determinant(replaced) / determinant))
    return solution


def _determinant(matrix: Sequence[Sequence[sympy.Expr]]) -> sympy.Expr:
    """Expand along the rows; the minors of the lower rows are computed once each."""

    @cache
    def minor(row: int, columns: tuple[int, ...]) -> sympy.Expr:
        if row == len(matrix):
            return sympy.S.One
        terms = [
            (-1) ** place * matrix[row][column] * minor(row + 1, columns[:place] + columns[place + 1 :])
            for place, column in enumerate(columns)
            if matrix[row][column] != 0
        ]
        return sympy.Add(*terms)

    return minor(0, tuple(range(len(matrix))))


def _with_floats(expression: sympy.Expr) -> sympy.Expr:
    """Replace fractions by floats, except in exponents' halves, which stay square roots."""
    fractions = {number: sympy.Float(float(number)) for number in expression.atoms(sympy.Rational) if number.q > 2}
    return cast(sympy.Expr, expression.xreplace(fractions))


def _vanishes(
    determinant: sympy.Expr, matrix: Sequence[Sequence[sympy.Expr]], values: dict[sympy.Symbol, float]
) -> bool:
    """Whether a determinant is zero everywhere, judged at a few points: for SymPy to prove it can take for ever."""
    entries = [entry for line in matrix for entry in line]
    free = sorted(set[sympy.Symbol]().union(*(symbols_in(entry) for entry in entries)), key=str)
    names = [symbol for symbol in free if symbol not in values]
    problem = Problem(
        expressions=(determinant, *entries),
        time=sympy.Dummy(),
        states=tuple(names),
        parameters=tuple(values),
    )
    generator = random.Random(0)
    for _ in range(_PROBES):
        point = [generator.uniform(0.5, 1.5) for _ in names]
        value, *numbers = evaluate(problem, 0.0, point, [*values.values()])
        sizes = np.abs(np.reshape(numbers, (len(matrix), len(matrix)))).max(axis=1)
        scale = math.prod(sizes.tolist())
        if not math.isfinite(value) or not math.isfinite(scale) or abs(value) > _SINGULAR * scale:
            return False
    return True


def _inverted(A: Sequence[Sequence[sympy.Expr]], b: Sequence[sympy.Expr]) -> list[sympy.Expr] | None:
    matrix = np.array([[float(entry) for entry in line] for line in A])
    if np.linalg.cond(matrix) * _SINGULAR > 1:
        return None
    inverse = np.linalg.inv(matrix)
    return [
        sympy.Add(*(sympy.Float(factor) * rest for factor, rest in zip(line, b, strict=True) if factor != 0))
        for line in inverse.tolist()
    ]
