"""Make src/odenn/zoo/references.npz: the zoo's stored solutions, and how exact every reference is.

    python benchmarks/make_references.py [NAME ...]

Every problem is solved twice or more, by means that share nothing with odenn's engine and little with each other:

- `taylor`: power series of order 30 in mpmath with 32 digits, coefficient by coefficient, for problems that are
  polynomial and not stiff (Jorba and Zou, Experimental Mathematics 14 (2005) 99, for order and step);
- `collocation`: Radau IIA of high degree in 80-bit floating point, full Newton; stiff or not;
- SciPy: DOP853 or Radau in double precision, as a sanity check from outside that is itself good to 1e-11 or so, but
  for 2e-8 in the jumps of `van-der-pol-1000`.

The reference is the formula where there is one, else the Taylor series, else collocation of high degree. Its stated
accuracy is its distance, worst component of max|difference| / max|y|, from collocation of lower degree on other
windows. For the stiff references that is the same method twice; its witnesses from outside are SciPy, the values that
others have published, and how it meets the formulas and series of all other problems.
The equations are those of `f` as floating point has them: 8.0 / 3.0 is a double, not a fraction. What that makes of the
Lorenz system is printed at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
from numpy.polynomial import legendre
from scipy.integrate import solve_ivp
from scipy.linalg import lu_factor, lu_solve

from odenn import zoo
from odenn.zoo._problem import REFERENCES, ZooProblem

Extended = np.longdouble  # 64 bits of mantissa on x86; checked in main()

POLYNOMIAL = ("lotka-volterra", "van-der-pol-5", "lorenz", "fitzhugh-nagumo")

PUBLISHED = {
    # E. Hairer and G. Wanner's values, rescaled: they have (t / mu, y, mu y'). https://www.unige.ch/~hairer/testset/
    "van-der-pol-1000": {
        1000.0: [-1.863646254808130],
        2000.0: [1.706167732170456],  # ... 469 in the Bari test set, by RADAU in quadruple precision
    },
    "robertson-1e4": {1e4: [0.1073004285378040, 0.4800166972571660e-06, 0.8926990914454987]},
    "robertson-1e8": {1e8: [0.2082417512179460e-04, 0.8329841429908955e-10, 0.9999791757415798]},
}


class Series:
    """A power series whose coefficients are computed when they are asked for, from those of its operands."""

    def __init__(self, term: Callable[[int], Any]) -> None:
        self._term = term
        self._known: list[Any] = []

    def __getitem__(self, k: int) -> Any:
        while len(self._known) <= k:
            self._known.append(self._term(len(self._known)))
        return self._known[k]

    def __add__(self, other: Any) -> Series:
        if isinstance(other, Series):
            return Series(lambda k: self[k] + other[k])
        return Series(lambda k: self[k] + other if k == 0 else self[k])

    def __mul__(self, other: Any) -> Series:
        if isinstance(other, Series):

            def term(k: int) -> Any:
                return mpmath.fsum(self[i] * other[k - i] for i in range(k + 1))

            return Series(term)
        factor = mpmath.mpf(other)

        def scaled(k: int) -> Any:
            return self[k] * factor

        return Series(scaled)

    def __truediv__(self, number: float) -> Series:
        return Series(lambda k: self[k] / number)

    def __neg__(self) -> Series:
        return self * -1

    def __sub__(self, other: Any) -> Series:
        return self + -other

    def __rsub__(self, other: Any) -> Series:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__


def taylor(problem: ZooProblem, times: np.ndarray, order: int = 30) -> np.ndarray:
    """Solve in 32 digits by Taylor series; return all states (N, k) at `times`, rounded to double."""
    t, end = (mpmath.mpf(float(edge)) for edge in problem.span)
    state = [mpmath.mpf(value) for value in problem.y0]
    rows: list[list[Any]] = []
    while len(rows) < len(times):
        coefficients = taylor_coefficients(problem.f, t, state, order)
        # Radius of convergence from the last two coefficients. A step of radius / e^2 makes the remainder of order 30
        # smaller than the solution by e^-60 = 1e-26.
        size = max(abs(value) for value in state)
        h = min(
            (size / max(abs(c[k]) for c in coefficients)) ** (mpmath.mpf(1) / k) for k in (order - 1, order)
        ) / mpmath.exp(2)
        h = min(h, end - t)
        while len(rows) < len(times) and times[len(rows)] <= t + h:
            at = mpmath.mpf(float(times[len(rows)])) - t
            rows.append([mpmath.polyval(c[::-1], at) for c in coefficients])
        state = [mpmath.polyval(c[::-1], h) for c in coefficients]
        t += h
    return np.array([[float(value) for value in row] for row in rows]).T


def taylor_coefficients(f: Callable[..., Any], t: Any, state: list[Any], order: int) -> list[list[Any]]:
    """Return, for each state, the coefficients of order 0 .. `order` at t of the solution through `state`."""
    slopes: list[Series] = []

    def series(i: int) -> Series:
        return Series(lambda k: state[i] if k == 0 else slopes[i][k - 1] / k)

    unknown = [series(i) for i in range(len(state))]
    slopes += f(t, unknown)
    return [[y[k] for k in range(order + 1)] for y in unknown]


@dataclass(frozen=True, kw_only=True)
class Radau:
    """Radau IIA collocation with s nodes x in (-1, 1], in extended precision.

    project (s, s) takes values at the nodes to Legendre coefficients; integral (s, s) takes derivatives at the nodes to
    the integral from -1 to each node.
    """

    nodes: np.ndarray
    project: np.ndarray
    integral: np.ndarray

    @classmethod
    def of_degree(cls, s: int) -> Radau:
        difference = np.zeros(s + 1)
        difference[-2:] = -1.0, 1.0  # nodes: roots of P_s - P_(s-1)
        slope = legendre.legder(difference)
        with mpmath.workdps(32):  # rounding of the rule would be the same in all windows, and add up
            nodes = np.sort(legendre.legroots(difference).real) * mpmath.mpf(1)
            for _ in range(3):  # polish the roots found in double
                phi = legendre.legvander(nodes, s)
                nodes -= phi @ difference / (phi[:, :s] @ slope)
            nodes[-1] = mpmath.mpf(1)
            phi = legendre.legvander(nodes, s)
            weights = (1 + nodes) / (s * phi[:, s - 1]) ** 2
            degrees = np.arange(s) * mpmath.mpf(1)
            # The quadrature is exact to degree 2s - 2, so the projection is the exact inverse of phi.
            project = (degrees[:, None] + 0.5) * phi[:, :s].T * weights
            psi = np.empty((s, s), dtype=object)  # integral of P_j from -1: (P_(j+1) - P_(j-1)) / (2j + 1)
            psi[:, 0] = nodes + 1
            psi[:, 1:] = (phi[:, 2:] - phi[:, : s - 1]) / (2 * degrees[1:] + 1)
            return cls(nodes=extended(nodes), project=extended(project), integral=extended(psi @ project))


def extended(values: np.ndarray) -> np.ndarray:
    """Return mpmath's numbers in extended precision; their own way there would round them to double."""
    high = values.astype(float)
    return high.astype(Extended) + (values - high).astype(float)


def collocation(problem: ZooProblem, times: np.ndarray, *, degree: int, tolerance: float) -> np.ndarray:
    """Solve in extended precision by Radau collocation; return all states (N, k) at `times`, rounded to double.

    A window is accepted when the last two Legendre coefficients of the states are below `tolerance` of their size.

    Windows end exactly where the next begin, and `rest` is what the state at an end cannot hold: where the solution is
    slow, its change is known to more digits than its value. Without either, y in the jumps of `van-der-pol-1000` is
    wrong by up to 6e-13 of its size; with both, by 6e-14.
    """
    rule = Radau.of_degree(degree)
    t, end = (Extended(edge) for edge in problem.span)
    y = np.array(problem.y0, dtype=Extended)
    rest = np.zeros_like(y)
    peak = np.abs(y)
    h = (end - t) * Extended(1e-10)
    out = np.empty((len(y), len(times)))
    out[:, 0] = problem.y0
    done = 1
    while t < end:
        stop = t + h if h < end - t else end
        h = stop - t
        changes = solve_window(problem.f, rule, t, y, h)
        if changes is None:
            h /= 4
            if h < 1e-18 * end:
                raise RuntimeError(f"{problem.name}: Newton's method fails at t = {t}.")
            continue
        stages = y[:, None] + changes
        coefficients = stages @ rule.project.T
        tail, factor = judge(stages, coefficients, peak, tolerance)
        if tail <= tolerance:
            while done < len(times) and times[done] <= stop:
                x = 2 * (Extended(times[done]) - t) / h - 1
                out[:, done] = coefficients @ legendre.legvander(x, degree - 1)[0]  # legval rounds to double inside
                done += 1
            t = stop
            y, rest = exact_sum(y, changes[:, -1] + rest)
            peak = np.maximum(peak, np.abs(stages).max(axis=1))
        h *= Extended(factor)
    return out


def judge(stages: np.ndarray, coefficients: np.ndarray, peak: np.ndarray, tolerance: float) -> tuple[float, float]:
    """Return the last two Legendre coefficients in units of the states' size, and the factor for the next window."""
    size = np.maximum(np.abs(stages).max(axis=1), 1e-3 * peak)
    size = np.maximum(size, 1e-6 * size.max())
    tail = float((np.abs(coefficients[:, -2:]).max(axis=1) / size).max())
    # Rounding alone makes a tail of up to 5e-18 or so, which says nothing against a longer window.
    change = 0.8 * (tolerance / tail) ** (1.0 / stages.shape[1]) if tail > 5e-18 else 2.5
    return tail, min(max(change, 0.3), 2.5)


def exact_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a + b as rounded, and what rounding took from it (D. E. Knuth's TwoSum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def solve_window(f: Callable[..., Any], rule: Radau, t: Extended, y: np.ndarray, h: Extended) -> np.ndarray | None:
    """Return the stages less y (N, s) on [t, t + h], or None if Newton's method does not converge.

    The residual is in extended precision and its matrix in double: each solution with it gains at least eight digits.
    """
    s, n = len(rule.nodes), len(y)
    at, integral = t + h / 2 * (rule.nodes + 1), h / 2 * rule.integral
    changes = np.zeros((n, s), dtype=Extended)
    factors = None
    last = np.inf
    for iteration in range(40):
        stages = y[:, None] + changes
        slopes = np.array(f(at, stages), dtype=Extended)
        residual = slopes @ integral.T - changes
        if factors is None or last > 1e-4:  # far away: a Jacobian for each stage, anew
            factors = lu_factor(newton_matrix(f, at, stages, slopes, integral), check_finite=False)
        update = lu_solve(factors, residual.astype(float).ravel(), check_finite=False).reshape(n, s)
        changes = changes + update
        size = np.abs(y[:, None] + changes).max(axis=1)
        size += 1e-6 * size.max()
        correction = float((np.abs(update).max(axis=1) / size).max())
        if not correction < 1e6:
            return None
        if correction < 1e-18 or (correction < 1e-15 and correction > 0.1 * last):  # cannot get closer
            return changes
        if iteration > 5 and correction > 0.9 * last:
            return None
        last = correction
    return None


def newton_matrix(
    f: Callable[..., Any], at: np.ndarray, stages: np.ndarray, slopes: np.ndarray, integral: np.ndarray
) -> np.ndarray:
    """Return I - A J (N s, N s), unknowns as in stages.ravel(), A = `integral`; J by differences, to nine digits."""
    n, s = stages.shape
    matrix = np.zeros((n, s, n, s))
    for j in range(n):
        step = 1e-9 * np.maximum(np.abs(stages[j]), 1e-6)
        shifted = stages.copy()
        shifted[j] += step
        jacobian = ((np.array(f(at, shifted), dtype=Extended) - slopes) / step).astype(float)  # (n, s)
        matrix[:, :, j, :] = -jacobian[:, None, :] * integral.astype(float)
    matrix = matrix.reshape(n * s, n * s)
    matrix[np.diag_indices(n * s)] += 1.0
    return matrix


def distance(y: np.ndarray, other: np.ndarray) -> float:
    """Return the worst component of max|difference| / max|y|."""
    return float((np.abs(y - other).max(axis=1) / np.abs(y).max(axis=1)).max())


def scipy_solution(problem: ZooProblem, times: np.ndarray) -> np.ndarray:
    method, rtol = ("Radau", 1e-11) if problem.stiff else ("DOP853", 1e-13)
    run = solve_ivp(
        problem.f,
        problem.span,
        problem.y0,
        method=method,
        rtol=rtol,
        atol=rtol * 1e-6,
        t_eval=times,
        vectorized=True,
    )
    return run.y


def note_on_lorenz() -> str:
    """How far the solution moves if 8/3 is the fraction, and not the double nearest to it."""
    problem = zoo.get("lorenz")

    def f(t: Any, y: Any) -> Any:
        return [*problem.f(t, y)[:2], y[0] * y[1] - y[2] * 8 / 3]

    t, y = problem.reference()
    moved = distance(y, taylor(replace(problem, f=f), t)[: problem.components])
    return f"lorenz with the fraction 8/3 instead of the double: {moved:.1e} away"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="problems to make again (default: all)")
    chosen = parser.parse_args().names or zoo.names()
    if np.finfo(Extended).eps > 1e-18:
        raise SystemExit("make_references.py needs an 80-bit (or longer) numpy.longdouble: run it on x86 Linux.")
    mpmath.mp.dps = 32

    stored: dict[str, np.ndarray] = {}
    if REFERENCES.exists():
        with np.load(REFERENCES, allow_pickle=False) as archive:
            stored = {key: archive[key] for key in archive.files if key.rpartition(".")[0] in zoo.names()}
    print(f"{'problem':18} {'reference':16} {'accuracy':>9} {'to SciPy':>9} {'to print':>9} {'seconds':>8}")
    for problem in map(zoo.get, chosen):
        began = time.perf_counter()
        t, n = problem.grid(), problem.components
        other = collocation(problem, t, degree=12 if n > 20 else 16, tolerance=3e-16)[:n]
        if problem.exact is not None:
            how, y = "formula", problem.exact(t)
        elif problem.name in POLYNOMIAL:
            how, y = "taylor", taylor(problem, t)[:n]
        else:
            degree = 15 if n > 20 else 20
            how, y = f"collocation {degree}", collocation(problem, t, degree=degree, tolerance=1e-16)[:n]
        accuracy = distance(y, other)
        printed = PUBLISHED.get(problem.name, {})
        gap = max((distance(y[:, t == at], np.array(value)[:, None]) for at, value in printed.items()), default=np.nan)
        outside = distance(y, scipy_solution(problem, t)[:n])
        stored[f"{problem.name}.accuracy"] = np.array(accuracy)
        if problem.exact is None:
            stored[f"{problem.name}.t"], stored[f"{problem.name}.y"] = t, y
        seconds = time.perf_counter() - began
        print(f"{problem.name:18} {how:16} {accuracy:9.1e} {outside:9.1e} {gap:9.1e} {seconds:8.1f}", flush=True)
        np.savez_compressed(REFERENCES, allow_pickle=False, **stored)
    print(f"{REFERENCES}: {REFERENCES.stat().st_size / 1024:.0f} kB")
    if "lorenz" in chosen:
        print(note_on_lorenz())


if __name__ == "__main__":
    main()
