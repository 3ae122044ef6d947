"""How well double precision can place the jumps of the Van der Pol oscillator with mu = 1000, and how well odenn does.

    python benchmarks/conditioning.py

The solution jumps at t = 807 and t = 1614 with |y'| = 1333, so a shift in time of 1.5e-12 is an error of 1e-9 times the
largest |y|. Along the slow arcs, where |y'| is 7e-4, half a unit in the last place of y is such a shift of 1.7e-13. All
figures are errors of y in the midst of the jumps, in units of 1e-9 max |y|:

1. The Radau collocation of make_references.py on windows that it chose itself in 80-bit floating point, solved again on
   the same windows with one thing rounded to double precision: the states at the ends of the windows, as solvers store
   them, or what goes into the right-hand side and what comes out. The difference to 80 bits throughout is what that
   rounding does. Twenty choices of windows for every degree; the scatter of their solutions is what 80 bits leave.
2. odenn, against the same collocation, at 16 tolerances from 0.8 to 1.25 times each: how many ended with success, how
   many of these wrongly, true error and estimate, median and largest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from make_references import Extended, Radau, collocation, judge, newton_matrix, solve_window
from numpy.polynomial import legendre
from scipy.linalg import lu_factor, lu_solve

import odenn
from odenn import zoo

PROBLEM = zoo.get("van-der-pol-1000")
UNIT = 1e-9 * 2.0  # max |y| = 2
JUMPS = (807.085709879, 1614.286277114)  # where |y'| is largest
NEAR = np.concatenate([np.linspace(jump - 0.005, jump + 0.005, 1001) for jump in JUMPS])
SEEDS = range(20)
Rounding = Callable[[Any], Any]


def exact(y: Any) -> Any:
    return y


def to_double(y: Any) -> Any:
    return np.asarray(y).astype(float).astype(Extended)


def choose_windows(rule: Radau, tolerance: float, seed: int) -> list[tuple[Any, Any]]:
    """Starts and lengths for the accuracy `tolerance`, shortened at random by up to a tenth."""
    random = np.random.default_rng(seed)
    t, end = Extended(0), Extended(JUMPS[-1] + 1)
    y = np.array(PROBLEM.y0, dtype=Extended)
    peak, h = np.abs(y), end * Extended(1e-10)
    windows: list[tuple[Any, Any]] = []
    while t < end:
        changes = solve_window(PROBLEM.f, rule, t, y, h)
        if changes is None:
            h /= 4
            continue
        stages = y[:, None] + changes
        tail, factor = judge(stages, stages @ rule.project.T, peak, tolerance)
        if tail <= tolerance:
            windows.append((t, h))
            t, y = t + h, stages[:, -1]
            peak = np.maximum(peak, np.abs(stages).max(axis=1))
        h *= Extended(factor * random.uniform(0.9, 1.0))
    return windows


def at_jumps(rule: Radau, windows: list[tuple[Any, Any]], states: Rounding, slopes: Rounding) -> Any:
    """y at JUMPS; `states` is applied at the end of every window, `slopes` to arguments and values of f."""
    y = np.array(PROBLEM.y0, dtype=Extended)
    found: list[Any] = []
    for t, h in windows:
        stages = solve_rounded(rule, t, y, h, slopes)
        while len(found) < len(JUMPS) and JUMPS[len(found)] <= t + h:
            x = 2 * (Extended(JUMPS[len(found)]) - t) / h - 1
            found.append((stages @ rule.project.T @ legendre.legvander(x, len(rule.nodes) - 1)[0])[0])
        y = states(stages[:, -1])
    return np.array(found)


def solve_rounded(rule: Radau, t: Any, y: Any, h: Any, rounding: Rounding) -> Any:
    """As `solve_window`, for an f whose rounding ends Newton's convergence early: it stops where changes fall no more.

    The matrix is that of the f without rounding, which differences would magnify.
    """
    at, integral = t + h / 2 * (rule.nodes + 1), h / 2 * rule.integral
    stages = np.repeat(y[:, None], len(rule.nodes), axis=1)
    factors, last = None, np.inf
    for _ in range(40):
        slopes = rounding(PROBLEM.f(at, rounding(stages)))
        residual = y[:, None] + slopes @ integral.T - stages
        if factors is None or last > 1e-4:
            smooth = np.array(PROBLEM.f(at, stages), dtype=Extended)
            factors = lu_factor(newton_matrix(PROBLEM.f, at, stages, smooth, integral), check_finite=False)
        update = lu_solve(factors, residual.astype(float).ravel(), check_finite=False).reshape(stages.shape)
        stages = stages + update
        size = np.abs(stages).max(axis=1) + 1e-6 * np.abs(stages).max()
        change = float((np.abs(update).max(axis=1) / size).max())
        if change < 1e-18 or (change < 1e-11 and change > 0.1 * last):
            return stages
        last = change
    raise RuntimeError(f"Newton's method does not converge at t = {t}")


def show_rounding() -> None:
    print(
        f"{'degree':>6} {'windows':>8} {'rounded to double':>20} {'jump 1, rms':>12} {'jump 2, rms':>12} {'largest':>9}"
    )
    for degree, tolerance in ((20, 1e-16), (16, 3e-16), (11, 1e-14)):
        rule = Radau.of_degree(degree)
        choices = [choose_windows(rule, tolerance, seed) for seed in SEEDS]
        plain = np.array([at_jumps(rule, windows, exact, exact) for windows in choices])
        for name, states, slopes in (("states at ends", to_double, exact), ("f", exact, to_double)):
            rounded = np.array([at_jumps(rule, windows, states, slopes) for windows in choices])
            error = ((rounded - plain) / UNIT).astype(float)
            rms = np.sqrt((error**2).mean(axis=0))
            count = round(np.mean([len(windows) for windows in choices]))
            print(
                f"{degree:6} {count:8} {name:>20} {rms[0]:12.4f} {rms[1]:12.4f} {np.abs(error).max():9.4f}", flush=True
            )
        scatter = float(np.std(plain, axis=0).max() / UNIT)
        print(f"{degree:6} {'':8} {'nothing: scatter':>20} {'':12} {scatter:12.4f}")


def show_odenn() -> None:
    reference = collocation(PROBLEM, np.concatenate([[0.0], NEAR]), degree=20, tolerance=1e-16)[0, 1:]
    print(f"{'rtol':>6} {'success':>8} {'false':>6} {'true, median':>13} {'largest':>9} {'estimate':>9} {'largest':>9}")
    for rtol in (1e-8, 1e-9, 3e-10, 1e-10):
        true, estimate, success, false = [], [], 0, 0
        for request in rtol * np.geomspace(0.8, 1.25, 16):
            solution = odenn.solve(PROBLEM.problem(), rtol=float(request))
            true.append(np.abs(solution(NEAR)[0] - reference).max() / UNIT)
            estimate.append(solution.error(NEAR)[0].max() / UNIT)
            success += solution.success
            false += solution.success and true[-1] > request / 1e-9
        print(
            f"{rtol:6.0e} {success:5}/16 {false:6} {np.median(true):13.3g} {max(true):9.3g} "
            f"{np.median(estimate):9.3g} {max(estimate):9.3g}",
            flush=True,
        )


if __name__ == "__main__":
    if np.finfo(Extended).eps > 1e-18:
        raise SystemExit("conditioning.py needs an 80-bit (or longer) numpy.longdouble: run it on x86 Linux.")
    show_rounding()
    show_odenn()
