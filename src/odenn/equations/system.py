"""A system of equations that was read, and what can be computed from it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from odenn.equations import compiled
from odenn.equations.conditions import Condition, Unknowns, initial_state
from odenn.equations.errors import equation_error, nearest
from odenn.equations.syntax import spelled

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """Ordinary differential equations, solved for their highest derivatives.

    The state z holds the components and their derivatives below the highest, derivative by derivative: all components,
    then the first derivatives of those of second order or higher, and so on; N = sum(orders). The expressions say

        d^orders[i] names[i] / d independent^orders[i] = expressions[i](t, z, p),    i = 1..n

    Attributes
    ----------
    text : str
        The equations as they were given, or, for SymPy equations, text that says the same.
    independent : str
        Name of the independent variable.
    names : tuple of str
        Names of the n components, in the order in which their derivatives appear.
    orders : tuple of int
        Order of the highest derivative of each component.
    parameters : dict
        Values of the parameters by name.
    initial_point : float or None
        Where the initial values hold; None if that was not said.
    initial_values : tuple of float or None
        The N initial values in state order; None if there are none.
    expressions : tuple of Expr
        The n right-hand sides, in terms of `symbols`. Functions in them are kept as they were written: `doit()` turns
        them into SymPy's own.
    symbols : tuple of Symbol
        The independent variable, the N states, the parameters.

    Examples
    --------
    >>> from odenn.equations import parse_system
    >>> system = parse_system("y'' = -k*y; y(0) = 1, y'(0) = 0", parameters={"k": 4.0})
    >>> system.names, system.orders, system.initial_values, system.symbols
    (('y',), (2,), (1.0, 0.0), (t, y, y', k))
    """

    text: str
    independent: str
    names: tuple[str, ...]
    orders: tuple[int, ...]
    parameters: dict[str, float]
    initial_point: float | None
    initial_values: tuple[float, ...] | None
    expressions: tuple[sympy.Expr, ...]
    symbols: tuple[sympy.Symbol, ...]
    _conditions: tuple[Condition, ...] = field(default=(), repr=False)

    def rhs_numpy(self) -> Callable[[Array, Array, Array], list[Any]]:
        """Return fn(t, Z, p) -> rows of the highest derivatives at k points at once.

        t has shape (k,), Z (N, k), p (P,) in the order of `parameters`; there are n rows, arrays of shape (k,), or
        without dimensions where a row is constant. A row can be a view of Z.

        Examples
        --------
        >>> from odenn.equations import parse_system
        >>> rhs = parse_system("x' = 2*x*y, y' = -x").rhs_numpy()
        >>> rhs(np.zeros(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([]))
        [array([ 6., 16.]), array([-1., -2.])]
        """
        return compiled.rhs_numpy(self._problem())

    def fill_numpy(self) -> Callable[[Array, Array, Array, Array], None]:
        """Return fn(t, Z, p, out), which writes what `rhs_numpy` returns into out (n, k), faster.

        Equations of one shape, as a discretised partial differential equation has them, are computed all at once.

        Examples
        --------
        >>> from odenn.equations import parse_system
        >>> out = np.empty((2, 2))
        >>> fill = parse_system("x' = 2*x*y, y' = -x").fill_numpy()
        >>> fill(np.zeros(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([]), out)
        >>> out
        array([[ 6., 16.],
               [-1., -2.]])
        """
        return compiled.fill_numpy(self._problem())

    def rhs_torch(self) -> Callable[[Any, Any, Any], list[Any]]:
        """Return what `rhs_numpy` returns, for torch tensors: differentiable, usable under `torch.func`."""
        return compiled.rhs_torch(self._problem())

    def jacobian_numpy(self) -> Callable[[float, Array, Array], Array]:
        """Return fn(t, z, p) -> J of shape (n, N), J[i, j] = d expressions[i] / d z[j], at one point.

        The derivative of a jump (sign, heaviside) is taken as zero.
        """
        return compiled.jacobian_numpy(self._problem())

    def rhs_source(self) -> str:
        """Return the source of `def rhs(t, Z, p, out)`: a loop over points that Numba compiles; needs `math`.

        Examples
        --------
        >>> from odenn.equations import parse_system
        >>> print(parse_system("y' = -y^2").rhs_source())
        def rhs(t, Z, p, out):
            for i in range(t.size):
                ti = t[i]
                z0 = Z[0, i]
                out[0, i] = -z0 * z0
        """
        return compiled.rhs_source(self._problem())

    def jacobian_source(self) -> str:
        """Return the source of `def jacobian(t, z, p, out)` at one point, out of shape (n, N); needs `math`."""
        return compiled.jacobian_source(self._problem())

    def replace_parameters(self, values: Mapping[str, float]) -> "System":
        """Return the system with other values for some parameters; initial values that depend on them follow.

        Raises
        ------
        EquationError
            For a parameter that the system does not have.
        """
        changed = checked_parameters(values)
        for name in changed:
            if name not in self.parameters:
                near = nearest(name, self.parameters)
                hint = f"; the nearest is `{near}`" if near else ""
                known = ", ".join(self.parameters) or "none"
                raise equation_error(f"unknown parameter `{name}`{hint}", f"the parameters are: {known}")
        parameters = {**self.parameters, **changed}
        unknowns = Unknowns(independent=self.independent, names=self.names, orders=self.orders)
        initial = initial_state(self._conditions, unknowns, parameters)
        return dataclasses.replace(
            self, parameters=parameters, initial_point=initial.point, initial_values=initial.values
        )

    def latex(self) -> str:
        r"""Return the equations as LaTeX, one a line of an aligned block.

        Examples
        --------
        >>> from odenn.equations import parse_system
        >>> print(parse_system("dy1/dx = y1, dy2/dx = y1 - y2").latex())
        \begin{aligned}
        \frac{d y_{1}}{d x} &= y_{1} \\
        \frac{d y_{2}}{d x} &= y_{1} - y_{2}
        \end{aligned}
        """
        unknowns = Unknowns(independent=self.independent, names=self.names, orders=self.orders)
        states = self.symbols[1 : 1 + sum(self.orders)]
        written = {
            symbol: _latex_derivative(name, level, self.independent)
            for symbol, (name, level) in zip(states, unknowns.states(), strict=True)
        }
        lines = [
            f"{_latex_derivative(name, order, self.independent)} &= {sympy.latex(right, symbol_names=written)}"
            for name, order, right in zip(self.names, self.orders, self.expressions, strict=True)
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _problem(self) -> compiled.Problem:
        size = sum(self.orders)
        return compiled.Problem(
            expressions=self.expressions,
            time=self.symbols[0],
            states=self.symbols[1 : 1 + size],
            parameters=self.symbols[1 + size :],
        )


def checked_parameters(values: Mapping[str, float] | None) -> dict[str, float]:
    """Return parameters as finite floats."""
    return {spelled(name): checked_number(value, f"the parameter `{name}`") for name, value in (values or {}).items()}


def checked_number(value: Any, what: str) -> float:
    """Return a finite float, or say that `what` is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, str | bytes) or not np.isfinite(number):
        raise equation_error(f"{what} is {value!r}", "give a finite real number")
    return number


def _latex_derivative(name: str, order: int, independent: str) -> str:
    symbol, variable = sympy.latex(sympy.Symbol(name)), sympy.latex(sympy.Symbol(independent))
    if order == 0:
        return symbol
    if order == 1:
        return rf"\frac{{d {symbol}}}{{d {variable}}}"
    return rf"\frac{{d^{{{order}}} {symbol}}}{{d {variable}^{{{order}}}}}"
