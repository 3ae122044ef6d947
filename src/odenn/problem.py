"""The problem: right-hand side, order, span, initial values and parameters; checked once, then frozen."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odenn.calling import Checked, Jacobian, Rhs, bandwidths, difference_jacobian, positional, probe
from odenn.layout import Layout, states_of

if TYPE_CHECKING:
    from sympy import Eq

    from odenn.equations import System

Array = NDArray[np.float64]
# f(t, y); f(t, y, dy) or f(t, y, p); f(t, y, dy, p). What else is taken (text, SymPy, higher orders) is checked while
# running; spelling these out lets type checkers read the parameters of a lambda.
Equations = Callable[[Any, Any], Any] | Callable[[Any, Any, Any], Any] | Callable[[Any, Any, Any, Any], Any] | Any


MOST_SHOWN = 80  # characters of the equations in a `repr`


@dataclass(frozen=True, eq=False)
class IVP:
    """Initial value problem of order k for n components,

        y_i^(k_i) = f_i(t, y, y', ...),    y(t0), y'(t0), ... given.

    Parameters
    ----------
    f
        Equations as text (see `parse`), or a function `f(t, y)`; for order 2 `f(t, y, dy)`, and so on; with `params`
        one more argument at the end. It is evaluated at k times at once: `t` has shape (k,), `y` and `dy` have shape
        (n, k), `y[0]` is the first component. It returns n rows, each of shape (k,) or a number. Plain arithmetic,
        NumPy and torch functions all work.
    y0
        Initial values: shape (n,) for order 1, (order, n) above it (values, then first derivatives, ...).
    span
        (start, end); an end before the start means backwards.
    order
        Order of every component of a function; text brings its own orders.
    params
        Values by name; `f` receives them as `p` and reads `p.name`.
    t0
        Where the initial values hold, within the span; default its start.
    names
        Names of the components, for tables and plots.
    vectorized
        False if `f` takes one time only: t a number, y of shape (n,), as SciPy's solvers call it. Slower.

    Raises
    ------
    ValueError, TypeError
        With what was given, what is accepted and what to do.

    Examples
    --------
    >>> problem = IVP(lambda t, y: [y[0], y[0] - y[1]], y0=[1, 1], span=(0, 10))
    >>> problem.n, problem.orders
    (2, (1, 1))
    """

    f: Equations
    _: KW_ONLY
    y0: ArrayLike | None = None
    span: tuple[float, float] | None = None
    order: int = 1
    params: Mapping[str, float] | None = None
    t0: float | None = None
    names: tuple[str, ...] = ()
    vectorized: bool = True
    orders: tuple[int, ...] = field(init=False)
    initial: Array = field(init=False, repr=False)
    """(N,) initial states, derivative-major."""
    layout: Layout = field(init=False, repr=False)
    system: System | None = field(init=False, repr=False)
    """The symbolic equations, where the problem was given as text."""
    parameters: Array = field(init=False, repr=False)
    """(P,) values handed to the right-hand side of a text problem."""
    fill: Rhs = field(init=False, repr=False)
    """fill(t, Z, p, out): the highest derivatives at k states, in place; what the engine calls."""
    fill_jacobian: Jacobian = field(init=False, repr=False)
    """fill_jacobian(t, z, p, out): their derivatives by the states, shape (n, N)."""

    def __post_init__(self) -> None:

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)  # the dataclass is frozen

        span = _checked_span(self.span)
        put("span", span)
        if isinstance(self.f, str) or _is_sympy(self.f):
            from odenn.equations import parse_system

            put("f", parse_system(self.f, parameters=self.params))
        if _is_system(self.f):
            system = self.f
            put("system", system)
            put("orders", system.orders)
            put("names", system.names)
            put("parameters", np.array(list(system.parameters.values()), dtype=float))
            put("t0", _checked_t0(system.initial_point if self.t0 is None else self.t0, span))
            values = system.initial_values if self.y0 is None else self.y0
            if values is None:
                raise ValueError(
                    f"initial values are missing: give {_wanted_conditions(system)} among the equations, or as "
                    "initial='...' (Python) or --initial '...' (command line)"
                )
            put("initial", _checked_states(values, system.orders))
            put("layout", Layout.of(system.orders))
            entries = system.jacobian_numpy()
            put("fill", system.fill_numpy())

            def fill_jacobian(t: float, z: Array, p: Array, out: Array) -> None:
                out[...] = entries(t, z, p)

            put("fill_jacobian", fill_jacobian)
            _check_finite(self)
            return
        put("system", None)
        put("t0", _checked_t0(self.t0, span))
        initial, orders = _checked_initial(self.y0, self.order)
        put("initial", initial)
        put("order", int(self.order))
        put("orders", orders)
        put("layout", Layout.of(orders))
        put("parameters", np.empty(0))
        put("names", _checked_names(self.names, len(orders)))
        if isinstance(self.f, Checked):
            put("fill", self.f.fill)
            put("fill_jacobian", self.f.fill_jacobian)
            return
        if not callable(self.f):
            raise TypeError(f"`f` must be a function f(t, y), text or SymPy equations, got {type(self.f).__name__}")
        call = positional(self.f, len(orders), self.order, self.params)
        fill, vectorized = probe(
            call, len(orders), float(self.t0 or 0.0), span[1], initial, self.signature, vectorized=self.vectorized
        )
        put("fill", fill)
        put("vectorized", vectorized)
        put("fill_jacobian", difference_jacobian(fill, len(orders)))
        _check_finite(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was made from; the functions made of that are made anew."""
        if self.system is not None:
            return _remake_text, (self.system.text, dict(self.system.parameters), self.initial, self.span, self.t0)
        options = {name: getattr(self, name) for name in ("y0", "span", "order", "params", "t0", "names", "vectorized")}
        return _remake, (self.f, options)

    @property
    def signature(self) -> str:
        """How a function `f` is called."""
        arguments = ["t", "y", *(f"d{level if level > 1 else ''}y" for level in range(1, self.order))]
        return f"f({', '.join([*arguments, 'p'] if self.params is not None else arguments)})"

    @property
    def n(self) -> int:
        """Number of components."""
        return len(self.orders)

    @property
    def ends(self) -> list[float]:
        """Where a march from t0 goes: the end of the span, and its start if t0 lies inside."""
        assert self.span is not None
        start, end = self.span
        return [point for point in (end, start) if point != self.t0]

    @property
    def size(self) -> float:
        """Size of the solution at its start: of the values; if all are zero, of what the slopes add over the span."""
        assert self.span is not None
        values = float(np.abs(self.initial[: self.n]).max())
        if values == 0.0:
            slopes = self.first_order(self.t0 or 0.0, self.initial)
            values = float(np.abs(slopes).max()) * abs(self.span[1] - self.span[0])
        return values or 1.0

    @cached_property
    def initial_jacobian(self) -> Array:
        """`jacobian` at the start."""
        with np.errstate(all="ignore"):
            return self.jacobian(self.t0 or 0.0, self.initial)

    @cached_property
    def initial_band(self) -> tuple[int, int]:
        """Diagonals below and above the main one that hold all entries of `initial_jacobian` other than zero."""
        return bandwidths(self.initial_jacobian)

    @cached_property
    def looks_linear(self) -> bool:
        """Whether f(t, z) = J z + g(t), as far as values near the initial ones show it.

        A state that starts at zero shows nothing: what depends on this must be right for any f.
        """
        assert self.span is not None
        z = self.initial.reshape(-1, 1)
        step = 0.01 * z * (0.5 + 0.5 * np.sin(1.0 + np.arange(z.size) ** 2)).reshape(-1, 1)
        start, middle = (np.full(3, (self.t0 or 0.0) + part * (self.span[1] - self.span[0])) for part in (0.0, 0.37))
        with np.errstate(all="ignore"):
            first, second = self.rhs(start, z + step * [-1, 0, 1]), self.rhs(middle, z + step * [-1, 0, 1])
        changes = np.column_stack((np.diff(first), np.diff(second)))  # all four are J step
        return bool(np.ptp(changes, axis=1).max() <= 1e-9 * np.abs(first).max())

    @cached_property
    def initial_speed(self) -> float:
        """Row sum norm of the first-order system's Jacobian at the start; 0 if it is not finite."""
        speed = float(np.abs(self.initial_jacobian).sum(axis=1).max())
        return speed if math.isfinite(speed) else 0.0

    def default_atol(self, rtol: float) -> Array:
        """(n,) absolute tolerance where none is asked for: only components that start at zero feel it."""
        return 1e-6 * rtol * self.initial_sizes

    @cached_property
    def initial_sizes(self) -> Array:
        """(n,) the size by which the first values of each component are to be judged.

        It is the value that it starts with; if that is zero, or no more than rounding beside the others, what its
        slope adds over the span, if that is less than the size of the others.
        """
        assert self.span is not None
        values, size = np.abs(self.initial[: self.n]), self.size
        small = values <= 1e-13 * size
        if small.any():
            slopes = np.abs(self.first_order(self.t0 or 0.0, self.initial)[: self.n])
            added = np.maximum(values, np.minimum(slopes * abs(self.span[1] - self.span[0]), size))
            values = np.where(small, np.where(added > 0, added, size), values)
        return values

    @property
    def independent(self) -> str:
        """Name of the independent variable."""
        return self.system.independent if self.system is not None else "t"

    def latex(self) -> str:
        """The equations and their initial values as LaTeX; of text and SymPy equations."""
        if self.system is None:
            raise ValueError("a function has no LaTeX: give the equations as text")
        from odenn.equations.latex import equations_latex

        return equations_latex(self.system, self.initial.tolist(), self.t0 or 0.0)

    def __repr__(self) -> str:
        left, right = self.span or (np.nan, np.nan)
        what = self.signature if self.system is None else " ".join(re.sub("#.*", "", self.system.text).split())
        what = what if len(what) <= MOST_SHOWN else what[: MOST_SHOWN - 4] + " ..."
        names = ", ".join(self.names[:4]) + (", ..." if self.n > 4 else "")
        return f"<IVP {names} on [{left:g}, {right:g}]: {what}>"

    def _repr_latex_(self) -> str | None:
        return None if self.system is None else f"$${self.latex()}$$"

    def _repr_html_(self) -> str:
        from odenn.notebook import problem_html

        return problem_html(self)

    def rhs(self, t: ArrayLike, Z: ArrayLike) -> Array:
        """Highest derivatives (n, k) at times t (k,) and states Z (N, k)."""
        t, Z = np.atleast_1d(np.asarray(t, dtype=float)), np.asarray(Z, dtype=float)
        out = np.empty((self.n, t.size))
        self.fill(t, np.ascontiguousarray(Z.reshape(self.initial.size, t.size)), self.parameters, out)
        return out

    def first_order(self, t: ArrayLike, Z: ArrayLike) -> Array:
        """Derivatives of all N states: the equivalent first-order system, as SciPy's solvers want it.

        t of shape () with Z (N,), or t (k,) with Z (N, k); the result has the shape of Z.
        """
        shape = np.shape(Z)
        t = np.broadcast_to(np.asarray(t, dtype=float), shape[1:] or (1,)).copy()
        states = np.asarray(Z, dtype=float).reshape(shape[0], -1)
        return np.concatenate((self.rhs(t, states), states))[self.layout.source].reshape(shape)

    def states(self, levels: Sequence[Array]) -> Array:
        """(N, k): states from y, y', ..., each (n, k), as far as each component's order goes."""
        orders = np.array(self.orders)
        return np.concatenate([level[orders > j] for j, level in enumerate(levels)])

    def by_component(self, z: Array) -> tuple[tuple[float, ...], ...]:
        """Of every component its value and derivatives, from states z (N,)."""
        return tuple(tuple(z[belongs > 0].tolist()) for belongs in self.layout.fold.T)

    def pointwise(self) -> Callable[[float, Array], Array]:
        """`first_order` for one time and z (N,), with little around the equations: what SciPy's solvers call."""
        fill, parameters, source = self.fill, self.parameters, self.layout.source
        times, slopes = np.empty(1), np.empty((self.n, 1))

        def rhs(t: float, z: Array) -> Array:
            times[0] = t
            fill(times, z.reshape(-1, 1), parameters, slopes)
            return np.concatenate((slopes[:, 0], z))[source]

        return rhs

    def jacobian(self, t: float, z: ArrayLike) -> Array:
        """Derivatives (N, N) of `first_order` by the states at one point; exact for text, else by differences."""
        n, N = self.n, self.initial.size
        full = np.zeros((n + N, N))
        self.fill_jacobian(float(t), np.asarray(z, dtype=float), self.parameters, full[:n])
        full[n:] = np.eye(N)
        return full[self.layout.source]

    def with_params(self, **values: float) -> IVP:
        """The same problem with other parameter values."""
        if self.system is not None:
            return replace(self, f=self.system.replace_parameters(values), y0=self.initial, params=None, names=())
        return replace(self, params={**(self.params or {}), **values})


def parse(
    equations: str | Eq | Sequence[Eq],
    *,
    span: tuple[float, float],
    initial: str | Mapping[str, float] | None = None,
    params: Mapping[str, float] | None = None,
) -> IVP:
    """Problem from equations as people write them.

    The text names its independent variable and accepts `dy/dx`, `y'`, `y''`, `d2y/dx2`, `^` and `**`, any dash for
    minus, factors side by side (`-2k y`), equations separated by comma, semicolon or newline, comments from `#` to the
    end of a line, initial conditions among the equations (`y(0) = 1, y'(0) = 0`) or as `initial`, and equations that
    are linear in their highest derivatives but not solved for them. It is read by a closed grammar and never evaluated
    as code. SymPy equations are accepted as well.

    Raises
    ------
    EquationError
        A ValueError with the place in the text and what to do.

    Examples
    --------
    >>> parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 10)).names
    ('y1', 'y2')
    >>> parse("y'' = -k*y; y(0) = 0, y'(0) = 1", span=(0, 10), params={"k": 4}).orders
    (2,)
    """
    from odenn.equations import parse_system

    return IVP(parse_system(equations, initial=initial, parameters=params), span=span)


def _remake_text(text: str, params: dict[str, float], initial: Array, span: tuple[float, float], t0: float) -> IVP:
    from odenn.equations import reread_system

    return IVP(reread_system(text, params), y0=initial, span=span, t0=t0)


def _remake(f: Any, options: dict[str, Any]) -> IVP:
    return IVP(f, **options)


def _is_system(f: Any) -> TypeGuard[System]:
    module = sys.modules.get("odenn.equations")  # a System can only be there once its module is
    return module is not None and isinstance(f, module.System)


def _is_sympy(f: Any) -> TypeGuard[Eq | Sequence[Eq]]:
    sympy = sys.modules.get("sympy")
    first = f[0] if isinstance(f, list | tuple) and f else f
    return sympy is not None and isinstance(first, sympy.Eq)


def _wanted_conditions(system: System) -> str:
    from odenn.equations.conditions import prime

    return ", ".join(f"{prime(system.names[i], level)}(...)" for level, i in states_of(system.orders))


def _checked_span(span: Any) -> tuple[float, float]:
    wanted = f"`span` must be two numbers (start, end), as in span=(0, 10), got {span!r}"
    if span is None:
        raise ValueError(wanted)
    if isinstance(span, str | bytes | Set | Mapping):  # a set has no order, a mapping hands out its keys
        raise TypeError(wanted)
    try:
        values = tuple(span)
        if any(isinstance(value, str | bytes | bool) for value in values):  # float() takes these
            raise TypeError
        start, end = map(float, values)
    except TypeError:
        raise TypeError(wanted) from None
    except ValueError:
        raise ValueError(wanted) from None
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"`span` must be finite, got ({start:g}, {end:g})")
    if start == end:
        raise ValueError(f"`span` has no length: it starts and ends at {start:g}")
    if abs(end - start) < 1e-12 * max(abs(start), abs(end)):
        raise ValueError(f"`span` = ({start!r}, {end!r}) is too short for double precision; move the origin of time")
    return start, end


def _checked_t0(t0: float | None, span: tuple[float, float]) -> float:
    if t0 is None:
        return span[0]
    if not min(span) <= t0 <= max(span):
        raise ValueError(
            f"the initial values are given at {t0:g}, outside the span from {span[0]:g} to {span[1]:g}: "
            "let the span contain that point"
        )
    return float(t0)


def _real(values: Any, name: str) -> Array:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError(f"`{name}` is complex: split every component into real and imaginary part")
        kind = array.dtype.kind
        if kind not in "fiuO" or (kind == "O" and not all(isinstance(v, SupportsFloat) for v in array.flat)):
            raise TypeError(f"`{name}` must be numbers, got {values!r}")
        array = array.astype(float)
    except ValueError:
        raise ValueError(f"`{name}` must be numbers in rows of equal length, got {values!r}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {values!r}")
    return array


def _checked_initial(y0: Any, order: Any) -> tuple[Array, tuple[int, ...]]:
    if not (isinstance(order, int | np.integer) and 1 <= order <= 10):
        raise ValueError(f"`order` must be a whole number from 1 to 10, got {order!r}")
    if y0 is None:
        raise ValueError("`y0` is missing: give the initial values, shape (n,), or (order, n) for order above 1")
    values = _real(y0, "y0")
    if order == 1 and values.ndim <= 1 and values.size:
        values = values.reshape(1, -1)
    elif order > 1 and values.ndim == 1 and values.size == order:
        values = values.reshape(order, 1)
    if values.ndim != 2 or values.shape[0] != order or not values.size:
        wanted = "(n,)" if order == 1 else f"({order}, n): values, then derivatives"
        raise ValueError(f"`y0` has shape {np.shape(y0)}, but order {order} takes shape {wanted}")
    return values.reshape(-1), (int(order),) * values.shape[1]


def _checked_states(values: Any, orders: tuple[int, ...]) -> Array:
    states = _real(values, "y0").reshape(-1)
    if states.size != sum(orders):
        raise ValueError(f"`y0` has {states.size} numbers, but the equations need {sum(orders)} (orders {orders})")
    return states


def _checked_names(names: Any, n: int) -> tuple[str, ...]:
    names = tuple(str(name) for name in names)
    if not names:
        return ("y",) if n == 1 else tuple(f"y{i + 1}" for i in range(n))
    if len(names) != n or len(set(names)) != n:
        raise ValueError(f"`names` must be {n} different names, one for each component, got {names!r}")
    return names


def _check_finite(problem: IVP) -> None:
    with np.errstate(all="ignore"):
        values = problem.rhs([problem.t0 or 0.0], problem.initial)[:, 0]
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        name = problem.names[bad[0]]
        raise ValueError(
            f"the right-hand side of `{name}` is {values[bad[0]]} at the initial point t = {problem.t0:g}: the "
            "equation cannot start there. Check for a division by zero, a root or logarithm of a negative number, or "
            "start beside it"
        )
