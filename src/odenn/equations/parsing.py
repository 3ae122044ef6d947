"""From what a user gives, text or SymPy equations, to a `System`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy.core.parameters import distribute

from odenn.equations.algebra import Scope, computable, expression
from odenn.equations.conditions import (
    Condition,
    Unknowns,
    as_condition,
    from_statement,
    initial_state,
    prime,
)
from odenn.equations.errors import EquationError, Source, equation_error, nearest
from odenn.equations.functions import CONSTANTS
from odenn.equations.reading import read
from odenn.equations.solving import CoupledError, NonlinearError, UndeterminedError, solve_linear
from odenn.equations.sympy_input import equations_text
from odenn.equations.syntax import At, Derivative, Name, Node, Statement, walk
from odenn.equations.system import System, checked_number, checked_parameters
from odenn.equations.typed import symbols_in
from odenn.wording import counted

MAX_ORDER = 10
MAX_COMPONENTS = 1000


def parse_system(
    equations: str | sympy.Eq | Sequence[sympy.Eq],
    *,
    initial: str | Mapping[str, float] | None = None,
    parameters: Mapping[str, float] | None = None,
) -> System:
    """Read a system of ordinary differential equations.

    Parameters
    ----------
    equations : str or sympy.Eq or sequence of sympy.Eq
        Equations and, if wanted, initial conditions, separated by commas, semicolons or newlines; what follows a `#`
        up to the end of its line is a comment. They must be linear in the highest derivatives, but need not be solved
        for them. Derivatives are written dy/dx, d2y/dx2, d^2y/dx^2, y', y'' or diff(y, x, 2). Factors may stand side
        by side, 2k y sin(t), where that can be read in one way only; a name before a parenthesis is a function. Where
        no notation names the independent variable, it is `t` if that name occurs or none does, `x` if only that
        occurs, without a derivative and without a value.
    initial : str or mapping, optional
        Further conditions: text such as "y(0) = 1, y'(0) = 0", or values by name, {"y": 1, "y'": 0}.
    parameters : mapping, optional
        Values of the other names in the equations.

    Raises
    ------
    EquationError
        If anything in this cannot be understood; the message points at the place.

    Examples
    --------
    >>> system = parse_system("dy1/dx = y1, dy2/dx = y1 – y2; y1(0) = 1, y2(0) = 1")
    >>> system.expressions, system.initial_point, system.initial_values
    ((y1, y1 - y2), 0.0, (1.0, 1.0))
    >>> parse_system("2*x'' + y'' = -x, x'' + y'' = -y").expressions
    (-x + y, x - 2*y)
    """
    try:
        text = equations if isinstance(equations, str) else equations_text(equations)
        return _parsed(text, initial, checked_parameters(parameters))
    except RecursionError:
        # The limit on nesting makes this rare: the caller is deep in a recursion of its own.
        raise equation_error("the equations are nested too deeply", "write them in smaller parts") from None


def reread_system(text: str, parameters: Mapping[str, float]) -> System:
    """Read the text of a `System` again, as files, copies and other processes do.

    Its parameters may have served initial conditions that were given besides the text: here they need not occur.

    Examples
    --------
    >>> system = parse_system("y'' = -y", initial="y(0) = a, y'(0) = 0", parameters={"a": 2})
    >>> reread_system(system.text, system.parameters).parameters
    {'a': 2.0}
    """
    return _parsed(text, None, checked_parameters(parameters), must_occur=False)


def _parsed(
    text: str,
    initial: str | Mapping[str, float] | None,
    parameters: dict[str, float],
    *,
    must_occur: bool = True,
) -> System:
    source = Source(text=text)
    statements = read(source, parameters)
    if not statements:
        raise source.error("there are no equations in the text", "write them as in: dy/dx = -y; y(0) = 1")
    independent = _independent(statements, source, parameters)
    read_as = [(statement, as_condition(statement, source, independent)) for statement in statements]
    equations = [statement for statement, condition in read_as if condition is None]
    inline = [condition for _, condition in read_as if condition]
    unknowns = _unknowns(equations, source, independent)
    conditions = (*inline, *_given(initial, parameters, independent))
    _check_parameters(parameters, unknowns)
    if must_occur:
        _check_use(parameters, unknowns, equations, conditions)
    right_sides = _Equations(source=source, statements=equations, unknowns=unknowns, parameters=parameters).solved()
    start = initial_state(conditions, unknowns, parameters)
    states = [sympy.Symbol(prime(name, level)) for name, level in unknowns.states()]
    return System(
        text=text,
        independent=independent,
        names=unknowns.names,
        orders=unknowns.orders,
        parameters=parameters,
        initial_point=start.point,
        initial_values=start.values,
        expressions=right_sides,
        symbols=(sympy.Symbol(independent), *states, *(sympy.Symbol(name) for name in parameters)),
        _conditions=conditions,
    )


def _nodes(statements: Iterable[Statement]) -> list[Node]:
    return [node for statement in statements for side in (statement.left, statement.right) for node in walk(side)]


def _independent(statements: Sequence[Statement], source: Source, parameters: Mapping[str, float]) -> str:
    """Return the name of the independent variable: named by a derivative, or else by y(x), or else t or x if free."""
    nodes = _nodes(statements)
    derivatives = [node for node in nodes if isinstance(node, Derivative)]
    named = [node for node in derivatives if node.variable is not None]
    for node in named:
        if node.variable != named[0].variable:
            raise source.error(
                f"two independent variables, `{named[0].variable}` and `{node.variable}`",
                "differentiate every component by the same variable",
                node.position,
            )
    if named and named[0].variable:
        return _checked_independent(named[0].variable, named[0], source, parameters)
    components = {node.name for node in derivatives}
    taken = components | parameters.keys() | CONSTANTS.keys()
    with_derivative = [s for s in statements if any(isinstance(node, Derivative) for node in _nodes([s]))]
    applied = {
        node.argument.name
        for node in _nodes(with_derivative)
        if isinstance(node, At) and isinstance(node.argument, Name) and node.argument.name not in taken
    }
    free = {node.name for node in nodes if isinstance(node, Name) and node.name not in taken}
    for candidates in (applied, free):
        for usual in ("t", "x"):
            if usual in candidates:
                return usual
        if candidates is applied and len(applied) == 1:
            return applied.pop()
    # Not a name that is taken: x' = t*x with a parameter t is an equation in another time.
    return next(name for name in ("t", "x", "s", "tau", *(f"t{i}" for i in range(len(taken) + 1))) if name not in taken)


def _checked_independent(name: str, node: Derivative, source: Source, parameters: Mapping[str, float]) -> str:
    if name in parameters:
        raise source.error(
            f"`{name}` is the independent variable and cannot be a parameter",
            f"leave out its value, or rename it in the derivatives: d{node.name}/dt",
            node.position,
        )
    return name


def _unknowns(equations: Sequence[Statement], source: Source, independent: str) -> Unknowns:
    """Return the components, with the highest order at which each occurs."""
    orders: dict[str, int] = {}
    for statement in equations:
        found = [node for node in _nodes([statement]) if isinstance(node, Derivative)]
        if not found:
            raise _without_derivative(statement, source)
        for node in found:
            _check_derivative(node, source, independent)
            orders[node.name] = max(node.order, orders.get(node.name, 1))
    if not orders:
        raise equation_error("there is no differential equation in the text", "write one, as in: dy/dx = -y")
    if len(orders) > MAX_COMPONENTS:
        raise equation_error(
            f"the system has {len(orders)} components, more than the {MAX_COMPONENTS} that text can hold",
            "write it as a Python function",
        )
    return Unknowns(independent=independent, names=tuple(orders), orders=tuple(orders.values()))


def _without_derivative(statement: Statement, source: Source) -> EquationError:
    remedy = "write it as dy/dx = ... or y' = ...; put the right-hand side of an algebraic equation where it is used"
    if isinstance(statement.left, At) and isinstance(statement.left.argument, Name):
        point = statement.left.argument.name
        remedy = f"if this is an initial condition, give `{point}` a value as a parameter, or write the number"
    return source.error("this equation has no derivative", remedy, statement.left.position)


def _check_derivative(node: Derivative, source: Source, independent: str) -> None:
    if node.order > MAX_ORDER:
        raise source.error(
            f"a derivative of order {node.order}: orders up to {MAX_ORDER} are solved",
            "check the order",
            node.position,
        )
    if node.name == independent:
        raise source.error(
            f"`{node.name}` is the independent variable and is differentiated as well",
            "use two names, as in dx/dt",
            node.position,
        )


def _given(
    initial: str | Mapping[str, float] | None, parameters: Mapping[str, float], independent: str
) -> list[Condition]:
    """Return the conditions that were given besides the equations."""
    if initial is None:
        return []
    if isinstance(initial, str):
        source = Source(text=initial)
        return [from_statement(statement, source, independent) for statement in read(source, parameters)]
    conditions: list[Condition] = []
    for key, value in initial.items():
        number = checked_number(value, f"the initial value of `{key}`")
        source = Source(text=f"{key} = {number!r}")
        conditions += [from_statement(statement, source, independent) for statement in read(source, parameters)]
    return conditions


def _check_parameters(parameters: Mapping[str, float], unknowns: Unknowns) -> None:
    """Refuse parameters that are components."""
    for name in parameters:
        if name in unknowns.names:
            raise equation_error(
                f"`{name}` is a component and cannot be a parameter", "leave out its value, or rename one of the two"
            )


def _check_use(
    parameters: Mapping[str, float],
    unknowns: Unknowns,
    equations: Sequence[Statement],
    conditions: Sequence[Condition],
) -> None:
    """Refuse parameters that nothing uses."""
    nodes = _nodes(equations)
    for condition in conditions:
        nodes += walk(condition.value) + (walk(condition.point) if condition.point else [])
    used = {node.name for node in nodes if isinstance(node, Name)}
    for name in parameters:
        if name not in used:
            near = nearest(name, used - parameters.keys() - {*unknowns.names})
            hint = f"; the nearest name in them is `{near}`" if near else ""
            error = equation_error(f"the parameter `{name}` does not occur in the equations{hint}", "leave it out")
            error.unused = name
            raise error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Equations:
    """The equations on their way to being solved for the highest derivatives."""

    source: Source
    statements: Sequence[Statement]
    unknowns: Unknowns
    parameters: Mapping[str, float]

    def solved(self) -> tuple[sympy.Expr, ...]:
        """Return the right-hand sides, in the order of the components."""
        with distribute(False):  # once: SymPy clears its cache each time
            sides = [(self._expression(s.left), self._expression(s.right)) for s in self.statements]
        explicit = self._explicit(sides)
        self._check_count(explicit)
        highest = self._highest()
        if len(explicit) == len(highest):
            return tuple(explicit[symbol] for symbol in highest)
        return self._solve([left - right for left, right in sides])

    def _highest(self) -> tuple[sympy.Symbol, ...]:
        pairs = zip(self.unknowns.names, self.unknowns.orders, strict=True)
        return tuple(sympy.Symbol(prime(name, order)) for name, order in pairs)

    def _expression(self, node: Node) -> sympy.Expr:
        return expression(node, self._scope)

    @cached_property
    def _scope(self) -> Scope:
        names = (self.unknowns.independent, *self.unknowns.names, *self.parameters)
        derivatives = {
            (name, level): sympy.Symbol(prime(name, level))
            for name, order in zip(self.unknowns.names, self.unknowns.orders, strict=True)
            for level in range(order + 1)
        }
        values = {name: sympy.Symbol(name) for name in names}
        return Scope(source=self.source, independent=self.unknowns.independent, values=values, derivatives=derivatives)

    def _explicit(self, sides: Sequence[tuple[sympy.Expr, sympy.Expr]]) -> dict[sympy.Symbol, sympy.Expr]:
        """Return the right-hand sides of the equations that are solved already: these need no algebra."""
        unknowns = set(self._highest())
        explicit: dict[sympy.Symbol, sympy.Expr] = {}
        for statement, (left, right) in zip(self.statements, sides, strict=True):
            alone, other = (left, right) if left in unknowns else (right, left)
            if not isinstance(alone, sympy.Symbol) or alone not in unknowns or symbols_in(other) & unknowns:
                continue
            if alone in explicit:
                raise self.source.error(
                    f"too many equations: `{alone}` has one already", "keep one of the two", statement.left.position
                )
            explicit[alone] = other
        return explicit

    def _check_count(self, explicit: Mapping[sympy.Symbol, sympy.Expr]) -> None:
        equations, components = len(self.statements), len(self.unknowns.names)
        if equations == components:
            return
        counts = f"{counted(equations, 'equation')} for {counted(components, 'component')}"
        if equations > components:
            raise self.source.error(
                f"too many equations: {counts} ({', '.join(self.unknowns.names[:10])})",
                "remove one, or differentiate the component that it is for",
                self.statements[-1].left.position,
            )
        without = [
            name for name, highest in zip(self.unknowns.names, self._highest(), strict=True) if highest not in explicit
        ]
        raise self.source.error(
            f"too few equations: {counts}; none is solved for {', '.join(f'`{name}`' for name in without[:10])}",
            "every component needs an equation for its highest derivative",
            self._position(range(equations), without[0]),
        )

    def _solve(self, residuals: Sequence[sympy.Expr]) -> tuple[sympy.Expr, ...]:
        highest = self._highest()
        values = {sympy.Symbol(name): value for name, value in self.parameters.items()}
        try:
            solution = solve_linear(residuals, highest, values)
        except NonlinearError as error:
            raise self.source.error(
                f"this equation is not linear in the highest derivative `{error.unknown}`",
                f"solve it for `{error.unknown}` by hand",
                self._position([error.row], error.unknown.name.rstrip("'")),
            ) from None
        except UndeterminedError as error:
            raise self.source.error(
                f"the highest derivatives are not determined by {counted(len(error.rows), 'equation')}",
                "check that no equation says the same as others, and that each holds a highest derivative",
                self.statements[error.rows[-1]].left.position,
            ) from None
        except CoupledError as error:
            raise self.source.error(
                f"{len(error.rows)} equations are coupled in their highest derivatives, more than can be solved here",
                "solve them for the derivatives, or write the system as a Python function",
                self.statements[error.rows[0]].left.position,
            ) from None
        with distribute(False):
            node = self.statements[0].left
            return tuple(computable(solution[symbol], node, self.source) for symbol in highest)

    def _position(self, rows: Iterable[int], name: str) -> int | None:
        """Return where the highest derivative of a component first stands in some equations."""
        order = self.unknowns.orders[self.unknowns.names.index(name)]
        for node in _nodes([self.statements[row] for row in rows]):
            if isinstance(node, Derivative) and (node.name, node.order) == (name, order):
                return node.position
        return None
