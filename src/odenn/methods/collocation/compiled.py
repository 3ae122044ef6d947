"""The engine compiled by Numba: the same source, its kernels as loops, right-hand sides as C functions.

Right-hand sides enter the engine as function pointers of one signature, so it is compiled once, cached on disk, and
serves every problem from then on; only the right-hand side itself is compiled anew.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import math
import re
import types
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types as nt
from numba.core import cgutils
from numba.extending import intrinsic

from odenn.calling import BANDED, GOLDEN, parameters_of
from odenn.layout import Layout
from odenn.methods.collocation import engine, loops
from odenn.methods.collocation.engine import Control, Pace, State, Store
from odenn.networks.tables import Array, Tables
from odenn.problem import IVP

if TYPE_CHECKING:
    from odenn.equations import System

VECTOR, MATRIX = nt.float64[::1], nt.float64[:, ::1]
RHS = nt.void(VECTOR, MATRIX, VECTOR, MATRIX)  # (t, Z, p, out)
JACOBIAN = nt.void(nt.float64, VECTOR, VECTOR, MATRIX)  # (t, z, p, out)

LONGEST_REASON = 200  # characters
LIBRARIES = ("numpy", "scipy", "numba", "torch")

# In the order in which they call each other.
KERNELS = (
    "multiply_row", "multiply", "product", "add_rows", "assemble", "put_product", "distance", "norm", "excess",
    "row_peaks", "no_stages", "stage_work", "band", "power", "dense_inverses", "eliminate", "stage_inverses",
    "solve_banded", "solve_stages",
)  # fmt: skip
ENGINE = (
    "state_slopes", "sweep", "newton", "spread", "driven_scale", "start_slopes", "nearest_ratio", "shorter_place",
    "sweep_seconds", "newton_seconds", "growth", "caution", "solve_window", "is_smooth", "reconsider", "record", "blur",
    "advance", "stretch", "march",
)  # fmt: skip
ITERATIONS = {"sweep", "newton"}
# A call that hands over a few arrays takes as long as a small product, one that hands over all tables far longer.
INLINED = {
    "multiply_row", "multiply", "add_rows", "distance", "norm", "excess", "row_peaks", "spread", "record", "advance",
    "blur", "is_smooth", "reconsider",
}  # fmt: skip
# Compiled as one function: LLVM takes half a minute for these, and again for every function that calls them.
WHOLE = {"solve_window", "stretch", "march"}


def _function_at(signature: Any) -> Any:
    """Return fn(address): the C function of that signature at an address, for compiled code.

    Handing a `cfunc` itself to compiled code costs 8 us of looking up its type and address, an address nothing.
    """

    @intrinsic
    def at(typing_context: Any, address: Any) -> Any:
        function = nt.FunctionType(signature)

        def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            struct = cgutils.get_null_value(context.get_value_type(function))  # its first member is the address
            return builder.insert_value(struct, builder.inttoptr(arguments[0], cgutils.voidptr_t), 0)

        return function(address), code

    return at


rhs_at, jacobian_at = _function_at(RHS), _function_at(JACOBIAN)


def _without_count(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, nt.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()
    if isinstance(kind, nt.BaseTuple):
        items = zip(tuple[Any, ...](kind), cgutils.unpack_tuple(builder, value), strict=True)  # pyright: ignore[reportArgumentType]
        return context.make_tuple(builder, kind, [_without_count(context, builder, *item) for item in items])
    return value


@intrinsic
def _borrowed(typing_context: Any, x: Any) -> Any:
    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return _without_count(context, builder, x, arguments[0])

    return x(x), code


# An array or tuple of arrays without the reference count that Numba keeps for it. Counting is atomic; a count for every
# look at a table took a quarter of the time of a march. Who calls compiled code holds the arrays meanwhile.
borrowed: Any = _borrowed
engine_march: Callable[..., Any] = engine.march
iteration: Callable[..., Any] = engine.sweep


def with_borrowed(*arguments: Any) -> Any:
    """An iteration whose arrays are the caller's; its loop is short, and counting would take a third of its time."""
    return iteration(*borrowed(arguments))


def enter(
    rhs: int, jacobian: int, p: Array, end: float, explicit: Tables, implicit: Tables, layout: Layout,
    control: Control, state: State, store: Store, filled: int, counts: Any, slopes: Array,
) -> Any:  # fmt: skip
    """`march` with functions by address; it returns numbers, the arrays of the new state are written over the old.

    Arrays that come back are made by calling Python, where Ctrl-C would raise in the midst of what cannot be unwound.
    """
    reason, filled, s = engine_march(
        rhs_at(rhs), jacobian_at(jacobian), borrowed(p), end, borrowed(explicit), borrowed(implicit), borrowed(layout),
        borrowed(control), borrowed(state), borrowed(store), filled, borrowed(counts),
    )  # fmt: skip
    state.z[:] = s.z
    state.second[:] = s.second
    state.rest[:] = s.rest
    state.peak[:] = s.peak
    slopes[: s.slopes.size] = s.slopes.ravel()
    pace = (s.pace.stiff, s.pace.streak, s.pace.patience, s.pace.rate, s.pace.tries)
    return reason, filled, s.t, s.h, s.slopes.shape[1], s.length, s.error, s.calm, pace, s.worst


@lru_cache(maxsize=1)
def _version() -> str:
    """Changes with the sources. Numba looks only at the file of the function itself, not of those that it calls."""
    sources = [Path(str(file)).read_bytes() for file in (loops.__file__, engine.__file__, __file__)]
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]


def _copy(function: Any, namespace: dict[str, Any], module: str) -> Callable[..., Any]:
    """The same function with other global names, and under a name that tells versions of the engine apart on disk."""
    copy = types.FunctionType(function.__code__, namespace, function.__name__)
    copy.__module__, copy.__qualname__ = module, f"{function.__name__}_{_version()}"
    return copy


@lru_cache(maxsize=1)
def march() -> Callable[..., tuple[int, int, State]]:
    """`engine.march`, compiled. The first call ever takes one to two minutes; later processes read it from disk."""
    namespace = {**vars(loops), **vars(engine)}
    for module, names in ((loops, KERNELS), (engine, ENGINE)):
        for name in names:
            source = _copy(getattr(module, name), namespace, module.__name__)
            fast = {"contract", "reassoc"} if module is loops else False  # sums may be vectorised; NaN stays NaN
            whole = "always" if name in WHOLE else "never"
            compiler = numba.njit(
                cache=True, error_model="numpy", fastmath=fast, forceinline=name in INLINED, inline=whole
            )
            namespace[name] = compiler(source)
            if name in ITERATIONS:
                around = {"iteration": namespace[name], "borrowed": borrowed}
                namespace[name] = numba.njit(cache=True, error_model="numpy")(_copy(with_borrowed, around, __name__))
    namespace.update(rhs_at=rhs_at, jacobian_at=jacobian_at, borrowed=borrowed, engine_march=namespace["march"])
    compiled = numba.njit(cache=True, error_model="numpy")(_copy(enter, namespace, __name__))
    entry = None

    def call(
        rhs: Any, jacobian: Any, p: Array, end: float, explicit: Tables, implicit: Tables, layout: Layout,
        control: Control, state: State, store: Store, filled: int, counts: Any,
    ) -> tuple[int, int, State]:  # fmt: skip
        nonlocal entry
        room = np.empty(layout.n * max(explicit.nodes.size, implicit.nodes.size))
        reason, filled, t, h, m, length, error, calm, pace, worst = (entry or compiled)(
            rhs.address, jacobian.address, p, end, explicit, implicit, layout, control, state, store, filled, counts,
            room,
        )  # fmt: skip
        if entry is None:
            # Every call has arguments of the same types. Numba would look at each of the fifty arrays in them again,
            # which takes as long as a short march.
            (result,) = compiled.overloads.values()
            entry = result.entry_point
        slopes = room[: layout.n * m].reshape(layout.n, m)
        z, second, rest, peak = state.z, state.second, state.rest, state.peak
        return reason, filled, State(t, h, z, second, rest, peak, slopes, length, error, calm, Pace(*pace), worst)

    return call


def functions(problem: IVP) -> tuple[Any, Any]:
    """Right-hand side and Jacobian of a problem as C functions.

    Raises
    ------
    ValueError
        If the right-hand side is a Python function that Numba cannot compile; with Numba's reason and what to do.
    """
    if problem.system is not None:
        return _from_system(problem.system)
    f = problem.f
    # Numbers are handed over in every call, so that other ones need no other code; what else there is, is part of it.
    params = tuple((name, None if isinstance(v, float) else v) for name, v in (problem.params or {}).items())
    if problem.order > 2:
        raise ValueError("compile=True takes functions of order 1 and 2; give higher orders as text")
    if not (inspect.isfunction(f) or hasattr(f, "py_func")):
        raise ValueError(
            f"`f` is a {type(f).__name__}, and Numba compiles only functions: wrap it in one that takes what it needs "
            "from numbers and arrays around it, give the equations as text, or leave out compile=True"
        )
    try:
        captured = _captured(f, set())
        return _from_function(f, problem.n, problem.order, params, captured, problem.vectorized, _diagonals(problem))
    except Exception as error:  # Numba raises its own, and TypeError, ValueError, AssertionError and more
        code = getattr(f, "py_func", f).__code__
        raise ValueError(
            f"`f` ({code.co_qualname}, line {code.co_firstlineno} of {Path(code.co_filename).name}) cannot be compiled "
            f"by Numba, which says: {_reason(error)}. Write it for one time, with plain arithmetic, math or NumPy "
            "functions, returning a tuple, list or array of floats (a branch as `a if t < 1 else b`); or give the "
            "equations as text; or leave out compile=True"
        ) from error


def parameters(problem: IVP) -> Array:
    """The array that the problem's C functions take as p."""
    if problem.system is not None:
        return problem.parameters
    return np.array([v for v in (problem.params or {}).values() if isinstance(v, float)])


def _reason(error: Exception) -> str:
    """The innermost reason, in one line, of a message that begins with the compiler's stages."""
    lines = [line.strip() for line in re.sub("\x1b\\[[0-9;]*m", "", str(error)).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failed in ")]
    reason = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1]) or type(error).__name__
    return shorten(reason.rstrip(". "), LONGEST_REASON, placeholder=" ...")


@lru_cache(maxsize=256)
def _from_system(system: System) -> tuple[Any, Any]:
    return _from_source(system.rhs_source(), system.jacobian_source())


@lru_cache(maxsize=256)
def _from_source(rhs: str, jacobian: str) -> tuple[Any, Any]:
    # The source is generated from SymPy expressions with names of our own; no text of the user's is in it.
    namespace: dict[str, Any] = {"math": math}
    exec(compile(rhs, "<odenn right-hand side>", "exec"), namespace)
    exec(compile(jacobian, "<odenn jacobian>", "exec"), namespace)
    compiled_rhs = numba.cfunc(RHS, error_model="numpy")(namespace["rhs"])
    return compiled_rhs, numba.cfunc(JACOBIAN, error_model="numpy")(namespace["jacobian"])


@lru_cache(maxsize=256)
def _diagonals(problem: IVP) -> tuple[int, int]:
    """Diagonals of the Jacobian below and above the main one, as seen at the start; (0, N) if they are not few."""
    N = problem.initial.size
    if problem.n != N or N < BANDED:
        return 0, N
    return problem.initial_band if np.isfinite(problem.initial_jacobian).all() else (0, N)


def _returned(function: Any, *types: Any) -> Any:
    """The type that a compiled function returns for arguments of these types; None where it does not take them."""
    try:
        function.compile(types)
    except Exception:  # Numba raises its own and many others; the caller has another way
        return None
    return function.overloads[types].signature.return_type


def _captured(f: Callable[..., Any], seen: set[int]) -> tuple[Any, ...]:
    """What f takes from around it, as a key: Numba freezes these values, so that other values need compiling anew."""
    function = getattr(f, "py_func", f)
    if id(function) in seen:  # functions can call each other in circles
        return (function.__code__,)
    seen.add(id(function))
    around = {name: function.__globals__[name] for name in _global_names(function.__code__) & set(function.__globals__)}
    found = sorted({**inspect.getclosurevars(function).nonlocals, **around}.items())
    return function.__code__, _key(function.__defaults__, seen), *((name, _key(value, seen)) for name, value in found)


@lru_cache(maxsize=256)
def _global_names(code: types.CodeType) -> frozenset[str]:
    """Of global variables only: a parameter read as `p.a` has nothing to do with a variable `a`."""
    names = frozenset(step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    return names.union(*(_global_names(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)))


def _key(value: Any, seen: set[int]) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, bool | int | float | complex | str | bytes):
        return type(value).__name__, value
    if isinstance(value, tuple | list):
        return tuple(_key(item, seen) for item in value)
    # A library's functions do not change, and lead to hundreds of others.
    own = (
        inspect.isfunction(getattr(value, "py_func", value))
        and str(value.__module__).partition(".")[0] not in LIBRARIES
    )
    return _captured(value, seen) if own else id(value)


def _named(params: tuple[tuple[str, Any], ...]) -> Any:
    """Compiled p -> the object in which a right-hand side finds `p.name`; a value of None stands for the next of p."""
    names = [name for name, _ in params]
    namespace: dict[str, Any] = {"Parameters": type(parameters_of(dict.fromkeys(names, 0.0)))}
    arguments: list[str] = []
    place = 0
    for i, (_, value) in enumerate(params):
        if value is None:
            arguments.append(f"p[{place}]")
            place += 1
        else:
            arguments.append(f"value_{i}")
            namespace[f"value_{i}"] = value
    # The source consists of these words alone; no text of the user's is in it.
    exec(f"def named(p): return Parameters({', '.join(arguments)})", namespace)
    return numba.njit(error_model="numpy")(namespace["named"])


@lru_cache(maxsize=256)
def _from_function(
    f: Callable[..., Any], n: int, order: int, params: tuple[tuple[str, Any], ...], captured: tuple[Any, ...],
    vectorized: bool, diagonals: tuple[int, int],
) -> tuple[Any, Any]:  # fmt: skip
    """Wrap f(t, y[, dy][, p]) as C functions; the Jacobian by forward differences.

    It is called at one point with y (n,); if it makes arrays of many components, at many points with y (n, k).
    """
    lower, upper = diagonals

    inner = f if hasattr(f, "py_func") else numba.njit(error_model="numpy")(f)
    named = _named(params)
    N = n * order

    if params and order == 1:

        def call(t: float, z: Any, p: Any) -> Any:
            return inner(t, z, named(p))
    elif order == 1:

        def call(t: float, z: Any, p: Any) -> Any:
            return inner(t, z)
    elif params:

        def call(t: float, z: Any, p: Any) -> Any:
            return inner(t, z[:n], z[n:], named(p))
    else:

        def call(t: float, z: Any, p: Any) -> Any:
            return inner(t, z[:n], z[n:])

    point = numba.njit(error_model="numpy")(call)

    @numba.njit(error_model="numpy")
    def value(t: float, z: Any, p: Any, out: Any) -> None:
        row = point(t, z, p)
        for i in range(n):
            out[i] = row[i]

    def one_by_one(t: Any, Z: Any, p: Any, out: Any) -> None:
        column = np.empty(n)
        for k in range(t.size):
            value(t[k], Z[:, k].copy(), p, column)
            out[:, k] = column

    def together(t: Any, Z: Any, p: Any, out: Any) -> None:
        out[:] = point(t, Z, p)

    @numba.njit(error_model="numpy")
    def in_groups(t: float, z: Any, p: Any, step: Any, out: Any, base: Any, moved: Any) -> bool:
        # As `calling.difference_jacobian` does it.
        shifted, uneven = z.copy(), np.empty(n)
        out[:] = 0.0
        for group in range(lower + upper + 1):
            shifted[:] = z
            for r in range(group, n, lower + upper + 1):
                shifted[r] = z[r] + step[r]
            value(t, shifted, p, moved)
            for r in range(group, n, lower + upper + 1):
                for i in range(max(r - upper, 0), min(r + lower + 1, n)):
                    out[i, r] = (moved[i] - base[i]) / step[r]
        for r in range(n):
            part = GOLDEN * r * r
            uneven[r] = step[r] * (1.0 + part - math.floor(part))
            shifted[r] = z[r] + uneven[r]
        value(t, shifted, p, moved)
        for i in range(n):
            expected, size = 0.0, 0.0
            for r in range(max(i - lower, 0), min(i + upper + 1, n)):
                expected += out[i, r] * uneven[r]
                size += abs(out[i, r]) * step[r]
            if not abs(moved[i] - base[i] - expected) <= 1e-3 * size:
                return False
        return True

    def jacobian(t: float, z: Any, p: Any, out: Any) -> None:
        base, moved, shifted, step = np.empty(n), np.empty(n), z.copy(), np.empty(N)
        value(t, z, p, base)
        largest = np.abs(z).max()
        if largest == 0.0:
            largest = 1.0
        for r in range(N):
            step[r] = (z[r] + 1.5e-8 * max(abs(z[r]), 1e-6 * largest)) - z[r]
        if lower + upper < N // 4 and in_groups(t, z, p, step, out, base, moved):
            return
        for r in range(N):
            shifted[r] = z[r] + step[r]
            value(t, shifted, p, moved)
            out[:, r] = (moved - base) / step[r]
            shifted[r] = z[r]

    whole = vectorized and n > loops.FEW and isinstance(_returned(point, VECTOR, MATRIX, VECTOR), nt.Array)
    rhs = together if whole else one_by_one
    return numba.cfunc(RHS, error_model="numpy")(rhs), numba.cfunc(JACOBIAN, error_model="numpy")(jacobian)
