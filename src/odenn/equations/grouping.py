"""Equations of one shape, to be computed together.

The equations of a discretised partial differential equation, or of a chain of compartments, differ in nothing but which
states and which numbers stand in them. Written one by one they cost an array operation for every sign; as one equation
for an array of rows, the same operations are done once for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sympy
from sympy.core.parameters import distribute

from odenn.equations.typed import parts

# From so many rows on an operation on all of them is cheaper than one for each, fetching the states included.
MIN_ROWS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Rows of one shape, and the expression for all of them, in the symbols of `Grouping`."""

    rows: tuple[int, ...]
    expression: sympy.Expr


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """Groups, and the rows that stand alone.

    `states` says which states a symbol stands for, one for each row of a group, `numbers` which numbers.
    """

    groups: list[Group] = field(default_factory=list[Group])
    alone: list[int] = field(default_factory=list[int])
    states: dict[sympy.Symbol, tuple[int, ...]] = field(default_factory=dict[sympy.Symbol, tuple[int, ...]])
    numbers: dict[sympy.Symbol, tuple[float, ...]] = field(default_factory=dict[sympy.Symbol, tuple[float, ...]])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shape:
    """An expression without its states and numbers: these are its leaves, in an order that equal shapes share."""

    key: int
    head: sympy.Expr
    children: tuple["_Shape", ...] = ()
    leaves: tuple[sympy.Expr, ...] = ()
    order: tuple[float, ...] = ()  # of the leaves: the place of a state, the value of a number


def group_rows(expressions: Sequence[sympy.Expr], states: Sequence[sympy.Symbol]) -> Grouping:
    """Find the expressions that have the same shape.

    Examples
    --------
    >>> y = sympy.symbols("y0:8")
    >>> grouping = group_rows([2 * y[i] - y[i - 1] for i in range(1, 8)] + [y[0] ** 2], y)
    >>> [group.rows for group in grouping.groups], grouping.alone
    ([(0, 1, 2, 3, 4, 5, 6)], [7])
    >>> sorted(grouping.states.values())
    [(0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7)]
    """
    place = {symbol: i for i, symbol in enumerate(states)}
    grouping = Grouping()
    if len(expressions) < MIN_ROWS:
        grouping.alone.extend(range(len(expressions)))
        return grouping
    keys: dict[tuple[object, ...], int] = {}
    shapes = [_shape(expression, place, keys) for expression in expressions]
    rows_of: dict[int, list[int]] = {}
    for row, shape in enumerate(shapes):
        rows_of.setdefault(shape.key, []).append(row)
    symbols: dict[tuple[object, ...], sympy.Symbol] = {}
    for rows in rows_of.values():
        if len(rows) < MIN_ROWS:
            grouping.alone.extend(rows)
        else:
            members = [shapes[row] for row in rows]
            leaves = [
                _leaf(column, place, symbols, grouping) for column in zip(*(s.leaves for s in members), strict=True)
            ]
            with distribute(False):
                expression = _rebuilt(members[0], iter(leaves))
            grouping.groups.append(Group(rows=tuple(rows), expression=expression))
    return grouping


def _shape(expression: sympy.Expr, place: Mapping[sympy.Symbol, int], keys: dict[tuple[object, ...], int]) -> _Shape:
    """Take an expression apart; `keys` numbers the shapes that were seen."""
    if isinstance(expression, sympy.Symbol) and expression in place:
        return _made(("state",), expression, keys, leaves=(expression,), order=(place[expression],))
    if isinstance(expression, sympy.Number):
        return _made(("number",), expression, keys, leaves=(expression,), order=(float(expression),))
    if not expression.args:
        return _made((expression,), expression, keys)
    if isinstance(expression, sympy.Pow) and parts(expression)[1].is_Number:
        base, exponent = parts(expression)  # the exponent decides which operations there are: no leaf
        children = (_shape(base, place, keys), _made((exponent,), exponent, keys))
    else:
        children = tuple(_shape(part, place, keys) for part in parts(expression))
    if expression.is_Add or expression.is_Mul:
        children = tuple(sorted(children, key=lambda child: (child.key, child.order)))
    return _made(
        (expression.func, *(child.key for child in children)),
        expression,
        keys,
        children=children,
        leaves=tuple(leaf for child in children for leaf in child.leaves),
        order=tuple(value for child in children for value in child.order),
    )


def _made(
    key: tuple[object, ...],
    head: sympy.Expr,
    keys: dict[tuple[object, ...], int],
    *,
    children: tuple[_Shape, ...] = (),
    leaves: tuple[sympy.Expr, ...] = (),
    order: tuple[float, ...] = (),
) -> _Shape:
    number = keys.setdefault(key, len(keys))
    return _Shape(key=number, head=head, children=children, leaves=leaves, order=order)


def _leaf(
    column: tuple[sympy.Expr, ...],
    place: Mapping[sympy.Symbol, int],
    symbols: dict[tuple[object, ...], sympy.Symbol],
    grouping: Grouping,
) -> sympy.Expr:
    """Return what stands for a leaf in all rows: the leaf itself where it is the same in all of them."""
    if len(set(column)) == 1:
        return column[0]
    if column not in symbols:
        symbol = symbols[column] = sympy.Dummy()
        if isinstance(column[0], sympy.Symbol):
            grouping.states[symbol] = tuple(place[leaf] for leaf in column if isinstance(leaf, sympy.Symbol))
        else:
            grouping.numbers[symbol] = tuple(float(leaf) for leaf in column)
    return symbols[column]


def _rebuilt(shape: _Shape, leaves: Iterator[sympy.Expr]) -> sympy.Expr:
    if shape.children:
        return shape.head.func(*[_rebuilt(child, leaves) for child in shape.children])
    return next(leaves) if shape.leaves else shape.head
