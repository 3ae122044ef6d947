"""Functions made of generated source. What is executed is written by codegen.py and holds no text of a user."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from odenn.equations.codegen import NUMPY, SCALAR, TORCH, Piece, Writer, symbol_piece
from odenn.equations.derivatives import gradients
from odenn.equations.grouping import group_rows
from odenn.equations.typed import symbols_in

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What source is generated from: the expressions, and the symbols that stand for t, Z[i] and p[j]."""

    expressions: tuple[sympy.Expr, ...]
    time: sympy.Symbol
    states: tuple[sympy.Symbol, ...]
    parameters: tuple[sympy.Symbol, ...]

    def pieces(self) -> dict[sympy.Expr, Piece]:
        """Return how the symbols are written: t, z0, z1, ..., p0, p1, ..."""
        pieces: dict[sympy.Expr, Piece] = {self.time: symbol_piece("t", varies=True)}
        pieces |= {state: symbol_piece(f"z{i}", varies=True) for i, state in enumerate(self.states)}
        return pieces | {parameter: symbol_piece(f"p{j}", varies=False) for j, parameter in enumerate(self.parameters)}

    def loads(self, expressions: Sequence[sympy.Expr], state: str, parameter: str) -> tuple[list[str], list[str]]:
        """Return the lines that load the states and the parameters that occur, from templates such as "Z[{0}]"."""
        used = set[sympy.Symbol]().union(*(symbols_in(expression) for expression in expressions))
        states = [f"z{i} = {state.format(i)}" for i, symbol in enumerate(self.states) if symbol in used]
        parameters = [f"p{j} = {parameter.format(j)}" for j, symbol in enumerate(self.parameters) if symbol in used]
        return states, parameters

    def jacobian(self) -> list[tuple[int, int, sympy.Expr]]:
        """Return row, column and value of the entries of the Jacobian that are not zero."""
        column = {symbol: j for j, symbol in enumerate(self.states)}
        return [
            (i, column[symbol], gradient[symbol])
            for i, gradient in enumerate(gradients(self.expressions, self.states))
            for symbol in sorted(gradient, key=column.__getitem__)
        ]


def rhs_numpy(problem: Problem) -> Callable[[Array, Array, Array], list[Any]]:
    """Return fn(t, Z, p) -> rows, with t (k,), Z (N, k) and p (P,) NumPy arrays."""
    return _rows(problem, problem.expressions)


def _rows(problem: Problem, expressions: Sequence[sympy.Expr]) -> Callable[[Array, Array, Array], list[Any]]:
    writer = Writer(dialect=NUMPY, pieces=problem.pieces())
    rows = writer.write(expressions)
    states, parameters = problem.loads(expressions, "Z[{0}]", "p[{0}, ...]")
    body = [*parameters, *states, *_assignments(writer.lines), f"return [{', '.join(row.text for row in rows)}]"]
    numbers = {name: np.array(value) for name, value in writer.numbers.items()}
    return _function("def rhs(t, Z, p):", body, {**_NUMPY, **numbers})


def fill_numpy(problem: Problem) -> Callable[[Array, Array, Array, Array], None]:
    """Return fn(t, Z, p, out), which writes the rows into out (n, k), equations of one shape all at once."""
    grouping = group_rows(problem.expressions, problem.states)
    pieces, loads, namespace = problem.pieces(), list[str](), dict[str, Any](_NUMPY)
    for i, (symbol, places) in enumerate(grouping.states.items()):
        pieces[symbol] = symbol_piece(f"s{i}", varies=True)
        loads.append(f"s{i} = {_selected('Z', f'i{i}', places, namespace)}")
    for i, (symbol, numbers) in enumerate(grouping.numbers.items()):
        pieces[symbol] = symbol_piece(f"w{i}", varies=False)
        namespace[f"w{i}"] = np.array(numbers)[:, np.newaxis]
    expressions = [
        *(group.expression for group in grouping.groups),
        *(problem.expressions[row] for row in grouping.alone),
    ]
    targets = [_selected("out", f"o{i}", group.rows, namespace) for i, group in enumerate(grouping.groups)]
    targets += [f"out[{row}]" for row in grouping.alone]
    writer = Writer(dialect=NUMPY, pieces=pieces)
    rows = writer.write(expressions)
    states, parameters = problem.loads(expressions, "Z[{0}]", "p[{0}, ...]")
    stores = [_store(target, row) for target, row in zip(targets, rows, strict=True)]
    namespace |= {name: np.array(value) for name, value in writer.numbers.items()}
    return _function(
        "def fill(t, Z, p, out):", [*parameters, *states, *loads, *_assignments(writer.lines), *stores], namespace
    )


def _selected(array: str, index: str, places: Sequence[int], namespace: dict[str, Any]) -> str:
    """Return the source for some rows of an array: a slice, which is free, where their places are evenly spaced."""
    step = places[1] - places[0]
    if step > 0 and all(b - a == step for a, b in itertools.pairwise(places)):
        return f"{array}[{places[0]}:{places[-1] + 1}:{step}]"
    namespace[index] = np.array(places, dtype=np.intp)
    return f"{array}[{index}]"


def _store(target: str, row: Piece) -> str:
    """Return the source that puts a row in its place, by its last operation where that saves a copy."""
    if row.last is None or "[o" in target:  # a selection by index is a copy: nothing written into it arrives
        return f"{target} = {row.text}"
    operation, left, right = row.last
    return f"{operation}({left}, {right}, {target})"


def rhs_torch(problem: Problem) -> Callable[[Any, Any, Any], list[Any]]:
    """Return fn(t, Z, p) -> rows, with t (k,), Z (N, k) and p (P,) torch tensors; it can be differentiated."""
    writer = Writer(dialect=TORCH, pieces=problem.pieces())
    rows = writer.write(problem.expressions)
    states, parameters = problem.loads(problem.expressions, "Z[{0}]", "p[{0}]")
    if parameters:  # NumPy's numbers would turn tensors into arrays
        parameters.insert(0, "p = as_tensor(p, dtype=Z.dtype, device=Z.device)")
    body = [*parameters, *states, *_assignments(writer.lines), f"return [{', '.join(row.text for row in rows)}]"]
    return _function("def rhs(t, Z, p):", body, _torch_namespace())


def rhs_source(problem: Problem) -> str:
    """Return the source of rhs(t, Z, p, out) as a loop over points, with the `math` module: for Numba."""
    writer = Writer(dialect=SCALAR, pieces={**problem.pieces(), problem.time: symbol_piece("ti", varies=True)})
    rows = writer.write(problem.expressions)
    states, parameters = problem.loads(problem.expressions, "Z[{0}, i]", "p[{0}]")
    fixed = _assignments(line for line in writer.lines if not line.varies)
    varying = _assignments(line for line in writer.lines if line.varies)
    stores = [f"out[{row}, i] = {piece.text}" for row, piece in enumerate(rows)]
    loop = _indented(["ti = t[i]", *states, *varying, *stores])
    return _source("def rhs(t, Z, p, out):", [*parameters, *fixed, "for i in range(t.size):", *loop])


def jacobian_source(problem: Problem) -> str:
    """Return the source of jacobian(t, z, p, out) at one point, z (N,), out (n, N): for Numba."""
    entries = problem.jacobian()
    values = [value for _, _, value in entries]
    writer = Writer(dialect=SCALAR, pieces=problem.pieces())
    pieces = writer.write(values)
    states, parameters = problem.loads(values, "z[{0}]", "p[{0}]")
    stores = [f"out[{i}, {j}] = {piece.text}" for (i, j, _), piece in zip(entries, pieces, strict=True)]
    body = ["out[:, :] = 0.0", *parameters, *states, *_assignments(writer.lines), *stores]
    return _source("def jacobian(t, z, p, out):", body)


def jacobian_numpy(problem: Problem) -> Callable[[float, Array, Array], Array]:
    """Return fn(t, z, p) -> J of shape (n, N) at one point.

    Python's floats are many times faster than arrays of one point. Where they raise (an overflow, a division by zero),
    arrays give inf and nan.
    """
    constant = np.zeros((len(problem.expressions), len(problem.states)))
    varying: list[tuple[int, sympy.Expr]] = []
    for i, j, value in problem.jacobian():
        if value.is_number:
            constant[i, j] = float(value)
        else:
            varying.append((i * constant.shape[1] + j, value))
    index = np.array([position for position, _ in varying], dtype=np.intp)
    entries = [value for _, value in varying]
    fast, careful = _scalars(problem, entries), cache(lambda: _rows(problem, entries))

    def jacobian(t: float, z: Array, p: Array) -> Array:
        J = constant.copy()
        try:
            values = fast(float(t), z.tolist(), p.tolist())
        except (ArithmeticError, ValueError):
            values = _at_a_point(careful(), t, z, p)
        J.put(index, values)
        return J

    return jacobian


def evaluate(problem: Problem, t: float, z: Sequence[float], p: Sequence[float]) -> list[float]:
    """Return the values of the expressions at one point; inf or nan where they have none."""
    return _at_a_point(rhs_numpy(problem), t, np.array(z), np.array(p))


def _at_a_point(rhs: Callable[[Array, Array, Array], list[Any]], t: float, z: Array, p: Array) -> list[float]:
    with np.errstate(all="ignore"):
        rows = rhs(np.array([t]), z[:, np.newaxis], p)
    return [float(np.ravel(row)[0]) for row in rows]


def _scalars(problem: Problem, expressions: Sequence[sympy.Expr]) -> Callable[..., list[float]]:
    """Return fn(t, z, p) -> values of expressions, for floats and lists of floats."""
    writer = Writer(dialect=SCALAR, pieces=problem.pieces())
    pieces = writer.write(expressions)
    states, parameters = problem.loads(expressions, "z[{0}]", "p[{0}]")
    result = ", ".join(piece.text for piece in pieces)
    body = [*parameters, *states, *_assignments(writer.lines), f"return [{result}]"]
    return _function("def values(t, z, p):", body, {"math": math})


def _assignments(lines: Any) -> list[str]:
    return [f"{line.name} = {line.text}" for line in lines]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _source(head: str, body: Sequence[str]) -> str:
    return "\n".join([head, *_indented(body), ""])


def _function(head: str, body: Sequence[str], namespace: Mapping[str, Any]) -> Callable[..., Any]:
    scope = dict(namespace)
    exec(compile(_source(head, body), "<odenn equations>", "exec"), scope)
    return scope[head.removeprefix("def ").partition("(")[0]]


_ARRAY_FUNCTIONS = (
    "sin",
    "cos",
    "tan",
    "exp",
    "log",
    "tanh",
    "sinh",
    "cosh",
    "arcsin",
    "arccos",
    "arctan",
    "sqrt",
    "sign",
)
_NUMPY: dict[str, Any] = {
    name: getattr(np, name)
    for name in (
        *_ARRAY_FUNCTIONS,
        *("absolute", "heaviside", "maximum", "minimum", "power", "asarray", "add", "subtract", "multiply", "divide"),
    )
}


def _torch_namespace() -> dict[str, Any]:
    import torch  # only this function needs it, and it takes a second

    def like(number: Any, tensor: Any) -> Any:
        return number if isinstance(number, torch.Tensor) else torch.full_like(tensor, number)

    def larger(a: Any, b: Any) -> Any:
        return torch.maximum(like(a, b), like(b, a))

    def smaller(a: Any, b: Any) -> Any:
        return torch.minimum(like(a, b), like(b, a))

    names = {name: getattr(torch, name) for name in (*_ARRAY_FUNCTIONS, "as_tensor")}
    return {**names, "larger": larger, "smaller": smaller}
