"""Initial conditions: which value belongs to which state, at which point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy

from odenn.equations.algebra import Scope, constant
from odenn.equations.errors import EquationError, Source, nearest
from odenn.equations.syntax import At, Derivative, Name, Node, Statement, walk
from odenn.layout import states_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition:
    """The derivative `order` of component `name` has a value at a point; None is a point that was not given."""

    name: str
    order: int
    point: Node | None
    value: Node
    source: Source
    position: int | None

    @property
    def label(self) -> str:
        return prime(self.name, self.order)


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialState:
    """The point and the values there, in state order; both None where no condition was given."""

    point: float | None
    values: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Unknowns:
    """The components, the order of each, and the independent variable."""

    independent: str
    names: tuple[str, ...]
    orders: tuple[int, ...]

    def states(self) -> tuple[tuple[str, int], ...]:
        """Return (component, order of derivative) of each state, in their order."""
        return tuple((self.names[i], level) for level, i in states_of(self.orders))


def prime(name: str, order: int) -> str:
    """Return the name of a derivative.

    Examples
    --------
    >>> prime("y", 2)
    "y''"
    """
    return name + "'" * order


def as_condition(statement: Statement, source: Source, independent: str) -> Condition | None:
    """Return the condition that a statement is, None if it is an equation.

    y(0) = 1 is a condition, from either side; y(x) = 1 is not, where x is the independent variable.
    """
    for side, value in ((statement.left, statement.right), (statement.right, statement.left)):
        if not isinstance(side, At) or (isinstance(side.argument, Name) and side.argument.name == independent):
            continue
        if not any(isinstance(node, Derivative) for node in walk(value)):
            return _condition(side.target, side.argument, value, source, independent)
    return None


def from_statement(statement: Statement, source: Source, independent: str) -> Condition:
    """Return the condition that a statement is where only conditions may stand; y = 1 leaves the point open."""
    condition = as_condition(statement, source, independent)
    if condition:
        return condition
    if isinstance(statement.left, Name | Derivative):
        return _condition(statement.left, None, statement.right, source, independent)
    raise source.error(
        "this is not an initial condition", "write the value at a point, as in: y(0) = 1", statement.left.position
    )


def _condition(
    target: Name | Derivative, point: Node | None, value: Node, source: Source, independent: str
) -> Condition:
    order = target.order if isinstance(target, Derivative) else 0
    if isinstance(target, Derivative) and target.variable not in (None, independent):
        raise source.error(
            f"a derivative by `{target.variable}`, where the independent variable is `{independent}`",
            f"write {prime(target.name, order)}",
            target.position,
        )
    return Condition(name=target.name, order=order, point=point, value=value, source=source, position=target.position)


def initial_state(conditions: Sequence[Condition], unknowns: Unknowns, parameters: Mapping[str, float]) -> InitialState:
    """Collect the conditions into one state.

    Raises
    ------
    EquationError
        For a condition that is missing, given twice, about an unknown component, about a derivative that the equations
        determine, at a second point, or without a number as its value.
    """
    given: dict[tuple[str, int], Condition] = {}
    for condition in conditions:
        _check_target(condition, unknowns)
        key = (condition.name, condition.order)
        if key in given:
            raise condition.source.error(
                f"too many initial conditions: `{condition.label}` has one already",
                "keep one of the two (a condition in the text and one given besides it count alike)",
                condition.position,
            )
        given[key] = condition
    if not given:
        return InitialState(point=None, values=None)
    point = _common_point(conditions, unknowns, parameters)
    _check_complete(given, unknowns, point)
    values = [constant(given[key].value, _scope(given[key], unknowns, parameters)) for key in unknowns.states()]
    return InitialState(point=point, values=tuple(values))


def _check_target(condition: Condition, unknowns: Unknowns) -> None:
    if condition.name not in unknowns.names:
        near = nearest(condition.name, unknowns.names)
        hint = f"; the nearest is `{near}`" if near else ""
        raise condition.source.error(
            f"an initial condition for `{condition.name}`, which no equation differentiates{hint}",
            f"conditions are possible for {', '.join(unknowns.names)}; to multiply write {condition.name}*(...)",
            condition.position,
        )
    order = unknowns.orders[unknowns.names.index(condition.name)]
    if condition.order >= order:
        needed = ", ".join(prime(condition.name, level) for level in range(order))
        raise condition.source.error(
            f"too many initial conditions: `{condition.label}` follows from the equations",
            f"leave it out: the conditions for `{condition.name}` are on {needed}",
            condition.position,
        )


def _common_point(conditions: Sequence[Condition], unknowns: Unknowns, parameters: Mapping[str, float]) -> float | None:
    point: float | None = None
    for condition in conditions:
        if condition.point is None:
            continue
        here = constant(condition.point, _scope(condition, unknowns, parameters))
        if point is not None and here != point:
            raise condition.source.error(
                f"initial conditions at two points, {unknowns.independent} = {point:g} and {here:g}",
                "give all of them at one point: this is not a boundary value problem",
                condition.position,
            )
        point = here
    return point


def _check_complete(given: Mapping[tuple[str, int], Condition], unknowns: Unknowns, point: float | None) -> None:
    missing = [key for key in unknowns.states() if key not in given]
    if not missing:
        return
    names = ", ".join(f"`{prime(*key)}`" for key in missing[:10]) + (", ..." if len(missing) > 10 else "")
    where = 0.0 if point is None else point
    example = f"{prime(*missing[0])}({where:g}) = ..."
    raise EquationError(f"missing initial condition for {names}\n  add it: {example}")


def _scope(condition: Condition, unknowns: Unknowns, parameters: Mapping[str, float]) -> Scope:
    """Names in a condition: parameters are numbers; components are known, so that they can be refused by name."""
    components = {name: sympy.Symbol(name) for name in (*unknowns.names, unknowns.independent)}
    return Scope(source=condition.source, independent=unknowns.independent, values={**components, **parameters})
