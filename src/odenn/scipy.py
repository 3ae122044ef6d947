"""The collocation engine as a solver class for `scipy.integrate.solve_ivp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import DenseOutput, OdeSolver
from scipy.integrate._ivp import common  # its helpers make options behave as those of SciPy's own solvers
from scipy.optimize._numdiff import group_columns
from scipy.sparse import csc_matrix, issparse, kron

from odenn.calling import Jacobian, Rhs
from odenn.layout import Layout
from odenn.methods.collocation import engine
from odenn.methods.collocation.engine import Control, State, Store
from odenn.methods.collocation.method import FINEST
from odenn.networks.legendre import Legendre, integrated_features
from odenn.networks.tables import Array, Tables

Values = NDArray[Any]  # real or complex
# Of the tolerance, for each window: a window is several steps of SciPy's solvers long, and a tenth, which costs a fifth
# more evaluations, mostly keeps the error along the whole solution below what was asked for a step.
LOCAL = 0.1
TINY = 1e-300  # least atol: keeps a component that stays at zero under atol=0 from 0/0


class OdennSolver(OdeSolver):
    """Collocation with Legendre networks, window by window, as a SciPy solver; stiff windows by Newton's method.

    Solves y'(t) = fun(t, y), y(t0) = y0. One step is one window: `step_size` is its length, the dense output is the
    network on it. Stiffness is found out while solving, as LSODA does.

    `rtol` and `atol` mean what they mean in SciPy: the local error of a step is kept below atol_i + rtol |y_i|. The
    error that adds up along the solution is estimated (`error_estimate`) but not controlled; `odenn.solve` controls it.

    Parameters
    ----------
    fun
        Right-hand side fun(t, y): t a number, y (n,), real or complex; returns (n,).
    t0, y0, t_bound
        Initial time and values (n,), and the time at which to stop, which may be infinite. Nothing is evaluated beyond.
    max_step, first_step
        Longest window, and the length of the first.
    rtol, atol
        Local tolerances: numbers or shape (n,). Of several `rtol` the smallest holds for all components.
    jac
        Derivatives (n, n) of `fun` by y, used on stiff windows only: a function jac(t, y), a constant array, either of
        them sparse or dense; None for finite differences.
    jac_sparsity
        Where the Jacobian may differ from zero, (n, n). Saves evaluations for finite differences; the linear algebra
        is dense.
    vectorized
        True if `fun` takes y of shape (n, k). If it also takes t of shape (k,), which is tried once, a window is
        evaluated in one call.
    stiff
        True solves every window by Newton's method, False none; None decides while solving.
    **extraneous
        Options of other solvers (`lband`, `uband`, `min_step`): a warning says that they have no effect.

    Attributes
    ----------
    nfev, njev, nlu
        Evaluations of `fun` at single points (not those for finite differences), of the Jacobian, and matrices
        inverted, of which a stiff window takes one for every eigenvalue of its integration matrices.

    Raises
    ------
    ValueError
        As SciPy's solvers do.

    Examples
    --------
    >>> from scipy.integrate import solve_ivp
    >>> result = solve_ivp(lambda t, y: [y[1], -y[0]], (0, 10), [0, 1], method=OdennSolver, rtol=1e-9, atol=1e-9,
    ...                    dense_output=True)
    >>> bool(abs(result.sol(5.0)[0] - np.sin(5.0)) < 1e-8)
    True
    """

    def __init__(
        self, fun: Callable[..., Any], t0: float, y0: ArrayLike, t_bound: float, *, max_step: float = np.inf,
        rtol: ArrayLike = 1e-3, atol: ArrayLike = 1e-6, jac: Any = None, jac_sparsity: Any = None,
        vectorized: bool = False, first_step: float | None = None, stiff: bool | None = None, **extraneous: Any,
    ) -> None:  # fmt: skip
        common.warn_extraneous(extraneous)
        super().__init__(fun, t0, y0, t_bound, vectorized, support_complex=True)
        self.max_step: float = common.validate_max_step(max_step)
        self.rtol, self.atol = common.validate_tol(np.asarray(rtol), atol, self.n)
        f = self.fun(self.t, self.y)
        if f.shape not in ((), (1,), self.y.shape):
            raise ValueError(f"`fun` is expected to return shape {self.y.shape}, but returned {f.shape}")
        local = max(LOCAL * float(np.min(self.rtol)), FINEST)
        # `fun` takes one time a call, so calls are the cost: a degree below that of `odenn.solve` takes a third less.
        digits = -np.log10(local)
        network = Legendre(
            degree=int(np.clip(round(digits) + 1, 4, 20)), stiff_degree=int(np.clip(round(0.7 * digits + 0.6), 4, 11))
        )
        explicit, implicit = network.tables(local, stiff=False), network.tables(local, stiff=True)
        self._first_step = None if first_step is None else float(common.validate_first_step(first_step, t0, t_bound))
        h = self._first_step or _first_length(self, f, explicit.order)
        self._output: WindowOutput | None = None
        self._lost = False  # whether the second solution, which the error estimate compares with, was given up
        if self.n == 0:
            return  # the base class finishes an empty system in one step
        z = _pack(self.y)
        absolute = np.maximum(LOCAL * np.resize(np.broadcast_to(self.atol, self.n), z.size), TINY)
        values = _evaluation(self, h)

        def rhs(t: Array, Z: Array, p: Array, out: Array) -> None:
            self.nfev += t.size
            out[...] = values(t, Z)

        jacobian = _jacobian(self, jac, jac_sparsity, values, absolute)
        counts = np.zeros(8, dtype=np.int64)
        self._machine = _Machine(
            rhs, jacobian, explicit, implicit, Layout.of((1,) * z.size), local, absolute.reshape(-1, 1), stiff, counts
        )
        self._state = engine.begin(float(t0), z, h, z.size, bool(stiff))
        # Two solutions further apart than this are on different branches, and one must not shorten the other's windows.
        self._peak = np.abs(z) + absolute / local

    @property
    def error_estimate(self) -> Array:
        """Estimated global absolute error of `y`, shape (n,), above rounding; infinite once it exceeded `y` itself."""
        if self._lost:
            return np.full(self.n, np.inf)
        if self.n == 0:
            return np.zeros(0)
        return np.abs(_unpack(self._state.second - self._state.z, self.n))

    def _step_impl(self) -> tuple[bool, str | None]:
        """One window, no longer than `max_step`; a length proposed below rounding is raised once, as SciPy does."""
        smallest = 10 * np.spacing(abs(self.t))
        h = self._state.h
        if h > self.max_step:
            h = self.max_step
        elif h < smallest:
            h = smallest
        end = float(self.t_bound)
        if self._first_step is not None:
            # The engine shapes its windows to the end that it is given, so this one gets its own.
            end = self.direction * min(self.direction * end, self.direction * self.t + h)
            self._first_step = None
        # Relative to |y| at the start of the window, as SciPy's solvers do; of a complex number its modulus counts.
        peak = np.resize(np.abs(self.y), self._state.z.size).reshape(-1, 1)
        before = self._state._replace(h=h, peak=peak)
        reason, state, window = self._window(end, before, smallest)
        self._peak = np.maximum(self._peak, np.abs(state.z))
        self._lost |= not (np.abs(state.second - state.z) <= self._peak).all()
        self._state = state._replace(second=state.z) if self._lost else state
        self.nlu = _inversions(self._machine)
        if reason == engine.TOO_SMALL:
            if not np.isfinite(self.fun(self.t, self.y)).all():
                return False, f"The right-hand side is not finite at t = {self.t:g}."
            return False, self.TOO_SMALL_STEP
        if self._lost:
            window = window._replace(error=np.full_like(window.error, np.inf))
        self._output = WindowOutput(self.t, state.t, window, self.n)
        self.t, self.y = state.t, _unpack(state.z, self.n)
        return True, None

    def _window(self, end: float, before: State, smallest: float) -> tuple[int, State, Store]:
        """One window; without the second solution, from then on, where that is what keeps it short.

        The second solution has to be solved on the same windows. Once it is far from the first, the estimate is worth
        little, and it may even have left the domain of `fun`.
        """
        rejected = self._machine.counts[engine.REJECTED]
        result = _march(self._machine, end, before, smallest)
        apart = np.abs(before.second - before.z) > 3 * (self._machine.rtol * before.peak + self._machine.atol)[:, 0]
        if self._machine.counts[engine.REJECTED] == rejected or not apart.any():
            return result
        alone = _march(self._machine, end, before._replace(second=before.z), smallest)
        if abs(alone[1].t - before.t) <= 2 * abs(result[1].t - before.t):
            return result
        self._lost = True
        return alone

    def _dense_output_impl(self) -> DenseOutput:
        assert self._output is not None, "the base class asks after a step only"
        return self._output


class WindowOutput(DenseOutput):
    """The Legendre network on one window.

    Examples
    --------
    >>> solver = OdennSolver(lambda t, y: -y, 0.0, [1.0], 10.0, rtol=1e-6)
    >>> solver.step()
    >>> output = solver.dense_output()
    >>> bool(abs(output(output.t)[0] - np.exp(-output.t)) < 1e-6), output.error([0.0]).shape
    (True, (1, 1))
    """

    def __init__(self, t_old: float, t: float, window: Store, n: int) -> None:
        super().__init__(t_old, t)
        self._window = window
        self._n = n
        # Weights that are rounding only do not matter on the window, but beyond it their polynomials grow fastest.
        weights = window.weights[0]
        self._weights = np.where(np.abs(weights) > 32 * engine.EPS * np.abs(weights).max(axis=1)[:, None], weights, 0.0)

    def error(self, t: ArrayLike) -> Array:
        """Estimated global absolute error, of the same shape as the values."""
        return np.abs(self._evaluate(np.asarray(t, dtype=float), self._window.error[0], self._window.error_weights[0]))

    def _call_impl(self, t: NDArray[Any]) -> Values:
        return self._evaluate(t, self._window.value[0], self._weights)

    def _evaluate(self, t: NDArray[Any], value: Array, weights: Array) -> Values:
        h = self.t - self.t_old
        psi = integrated_features((t.reshape(-1) - self.t_old) / h, weights.shape[1])
        y = _unpack(value[:, None] + h * (weights @ psi.T), self._n)
        return y.reshape((y.shape[0], *t.shape))


def _pack(y: Values) -> Array:
    """Real states of complex values: real parts, then imaginary parts."""
    return np.concatenate((np.real(y), np.imag(y))) if np.iscomplexobj(y) else np.asarray(y, dtype=float)


def _unpack(z: Array, n: int) -> Values:
    if z.shape[0] == n:
        return z
    y = z[:n].astype(complex)
    y.imag = z[n:]
    return y


def _first_length(solver: OdennSolver, f: Values, order: float) -> float:
    """Length over which two terms of the Taylor series predict a hundredth of the tolerance at the given order.

    Source: Hairer, Norsett and Wanner, Solving ODEs I, section II.4, as in SciPy's solvers.
    """
    longest = min(solver.max_step, abs(solver.t_bound - solver.t))
    if solver.n == 0 or longest == 0.0:
        return longest
    scale = solver.atol + np.abs(solver.y) * solver.rtol

    def norm(x: Values) -> float:
        """Root mean square in units of the tolerance, without components that have none."""
        return float(np.sqrt(np.mean(np.abs(np.where(scale > 0, x, 0) / np.where(scale > 0, scale, 1)) ** 2)))

    with np.errstate(all="ignore"):
        size, speed = norm(solver.y), norm(f)
        if not np.isfinite(speed):
            return min(1e-6, longest)  # `fun` is not finite here: the march ends at once and says so
        h = min(0.01 * size / speed if min(size, speed) > 1e-5 else 1e-6, longest)
        step = solver.direction * h
        fastest = max(speed, norm(solver.fun(solver.t + step, solver.y + step * f) - f) / h)
    ahead = (0.01 / fastest) ** (1.0 / order) if fastest > 1e-15 else max(1e-6, 1e-3 * h)
    return min(100 * h, ahead, longest) if np.isfinite(ahead) else h


def _evaluation(solver: OdennSolver, h: float) -> Callable[[Array, Array], Array]:
    """values(t (k,), Z (N, k)): the derivatives of the real states, never beyond `t_bound`, not counted."""
    n = solver.n
    latest = np.minimum if solver.direction > 0 else np.maximum
    at_once = bool(solver.vectorized) and _takes_times(solver, h)

    def values(t: Array, Z: Array) -> Array:
        t = latest(t, solver.t_bound)  # the sum of a start and a length may round to a number beyond
        Y = _unpack(Z, n)
        if at_once:
            return _pack(solver.fun_vectorized(t, Y))
        F = np.empty_like(Y)
        columns = np.ascontiguousarray(Y.T)
        for k in range(t.size):
            F[:, k] = solver.fun_single(t[k], columns[k])
        return _pack(F)

    return values


def _takes_times(solver: OdennSolver, h: float) -> bool:
    """Whether a vectorised function takes times of shape (k,) too; SciPy's solvers only promise it one time."""
    k = 2 if solver.n == 3 else 3  # other than n, so that an array that runs along the components does not fit
    far = min(h, abs(solver.t_bound - solver.t))
    t = solver.t + solver.direction * far * np.linspace(0.0, 1.0, k)
    Y = np.repeat(solver.y[:, None], k, axis=1)
    with np.errstate(all="ignore"):
        singles = np.stack([solver.fun(time, solver.y) for time in t], axis=1)
        solver.nfev += k
        try:
            together = solver.fun_vectorized(t, Y)
        except Exception:  # whatever it raises, it is called with one time from now on
            return False
    return together.shape == singles.shape and np.allclose(together, singles, rtol=1e-12, atol=0.0, equal_nan=True)


def _jacobian(
    solver: OdennSolver, jac: Any, sparsity: Any, values: Callable[[Array, Array], Array], atol: Array
) -> Jacobian:
    """Fill the Jacobian of the real states from any of the forms that SciPy accepts."""
    if jac is None:
        return _difference_jacobian(solver, sparsity, values, atol)
    if not callable(jac):
        constant = _real_matrix(jac, solver)

        def fill_constant(t: float, z: Array, p: Array, out: Array) -> None:
            out[...] = constant

        return fill_constant

    def fill(t: float, z: Array, p: Array, out: Array) -> None:
        solver.njev += 1
        out[...] = _real_matrix(jac(t, _unpack(z, solver.n)), solver)

    return fill


def _real_matrix(J: Any, solver: OdennSolver) -> Array:
    """Derivatives of the real states; of a complex function it is the real form of multiplying by J."""
    dense = np.atleast_2d(np.asarray(J.toarray() if issparse(J) else J, dtype=solver.y.dtype))
    if dense.shape != (solver.n, solver.n):
        raise ValueError(f"`jac` is expected to have shape {(solver.n, solver.n)}, but actually has {dense.shape}.")
    if not np.iscomplexobj(dense):
        return dense
    A, B = np.real(dense), np.imag(dense)
    return np.block([[A, -B], [B, A]])


def _difference_jacobian(
    solver: OdennSolver, sparsity: Any, values: Callable[[Array, Array], Array], atol: Array
) -> Jacobian:
    """SciPy's finite differences; of a complex function along both axes, so that it need not be analytic."""
    pattern = None
    if sparsity is not None:
        structure: Any = csc_matrix(sparsity)
        if structure.shape != (solver.n, solver.n):
            raise ValueError(f"`jac_sparsity` is expected to have shape {(solver.n, solver.n)}, got {structure.shape}")
        if atol.size > solver.n:
            structure = csc_matrix(kron(np.ones((2, 2)), structure))
        pattern = structure, group_columns(structure)
    factor: Any = None

    def at_one_time(t: float, Z: Array) -> Array:
        return values(np.full(Z.shape[1], t), Z)

    def fill(t: float, z: Array, p: Array, out: Array) -> None:
        nonlocal factor
        solver.njev += 1
        threshold = np.maximum(atol, 1e-6 * (np.abs(z).max() or 1.0))
        slopes = at_one_time(t, z[:, None])[:, 0]
        matrix: Any
        matrix, factor = common.num_jac(at_one_time, t, z, slopes, threshold, factor, pattern)
        out[...] = matrix.toarray() if issparse(matrix) else matrix

    return fill


class _Machine(NamedTuple):
    """What the engine needs beside its state."""

    rhs: Rhs
    jacobian: Jacobian
    explicit: Tables
    implicit: Tables
    layout: Layout
    rtol: float
    atol: Array  # (N, 1)
    stiff: bool | None
    counts: NDArray[np.int64]  # the engine's own


def _inversions(machine: _Machine) -> int:
    """Matrices inverted: for every stiff window that was tried, and again for the second solution on those accepted."""
    tried, accepted = machine.counts[engine.JACOBIANS], machine.counts[engine.STIFF_WINDOWS]
    implicit = machine.implicit
    return int(tried * implicit.solver.eigenvalues.size + accepted * implicit.fine_solver.eigenvalues.size)


def _march(machine: _Machine, end: float, state: State, smallest: float) -> tuple[int, State, Store]:
    """One window of the engine towards `end`; why it returned, its state, and the window."""
    explicit, implicit = machine.explicit, machine.implicit
    N = state.z.size
    control = Control(
        rtol=machine.rtol, atol=machine.atol, global_rtol=machine.rtol, global_atol=machine.atol, smallest=smallest,
        give_up=np.inf, stiff=1 if machine.stiff is None else 2 * machine.stiff,
    )  # fmt: skip
    r = max(explicit.weights.shape[1], implicit.weights.shape[1])
    M = max(explicit.fine_nodes.size, implicit.fine_nodes.size)
    store = Store(
        np.empty(1), np.empty(1), np.empty((1, N)), np.zeros((1, N, r)), np.empty((1, N)), np.zeros((1, N, M))
    )
    with np.errstate(all="ignore"):  # trial states may overflow; what is accepted is finite
        reason, filled, state = engine.march(
            machine.rhs, machine.jacobian, np.empty(0), end, explicit, implicit, machine.layout, control, state,
            store, 0, machine.counts,
        )  # fmt: skip
    if filled:
        # The difference as it was solved: what the engine allows for jumps of the slopes besides is found everywhere
        # where the degree is low. Beyond their first term the integrals of the error's slope vanish at the end.
        state = state._replace(second=state.z + store.error[0] + store.length[0] * store.error_weights[0, :, 0])
    return reason, state, store
