"""Time compiled diffrax on the zoo: median of repeated calls and the error reached, for a ladder of tolerances.

    taskset -c 1 /path/to/jax-env/bin/python benchmarks/peers_diffrax.py [NAME ...] [--csv FILE]

Runs in an environment of its own with numpy, scipy, jax and diffrax; odenn need not be installed (its zoo is data and
loads without torch). float64, one thread. Solvers: Tsit5 and Dopri8 where the problem is not stiff, Kvaerno5 where it
is. The solution is saved at the points of the reference, as `SaveAt(ts=...)` does: by each solver's own interpolation.
That of Kvaerno5 is only of third order, so it is run a second time ("Kvaerno5-stepped") with steps that end at the
saved points.

Columns: error is the worst component of max|y - reference| / max|reference|; time_s the median of the calls after the
first, time in which other processes had the core not counted; first_call_s the first call of this problem and solver,
compilation included (tolerances are arguments of the compiled function, so it is paid once a ladder).
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

# Before jax is imported; together with taskset this leaves one thread.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import diffrax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from rows import write_rows  # noqa: E402

from odenn import zoo  # noqa: E402

RTOL = tuple(10.0**-k for k in range(4, 14))
MAX_STEPS = 1_000_000
PATIENCE = 10.0  # seconds: the ladder ends at the first call that takes longer


def chain(t: Any, y: Any) -> Any:
    return jnp.concatenate([-y[:1], y[:-2] - y[1:-1], y[-2:-1]])


def brusselator(t: Any, y: Any) -> Any:
    u, v = y[0::2], y[1::2]
    exchange = (u.size + 1) ** 2 / 50.0
    autocatalysis = u * u * v
    du = 1.0 + autocatalysis - 4.0 * u + exchange * jnp.diff(jnp.pad(u, 1, constant_values=1.0), 2)
    dv = 3.0 * u - autocatalysis + exchange * jnp.diff(jnp.pad(v, 1, constant_values=3.0), 2)
    return jnp.stack([du, dv], axis=1).ravel()


# Where the zoo's own function calls NumPy, which jax cannot trace.
IN_JAX: dict[str, Callable[[Any, Any], Any]] = {
    "forced-oscillator": lambda t, y: [y[1], jnp.cos(3.0 * t) - 0.4 * y[1] - 4.0 * y[0]],
    "pendulum": lambda t, y: [y[1], -jnp.sin(y[0])],
    "chain-50": chain,
    "brusselator": brusselator,
}


def solvers(problem: zoo.ZooProblem) -> dict[str, tuple[Any, bool]]:
    """Return name: (diffrax.AbstractSolver, whether steps end at saved points)."""
    explicit = {"Tsit5": (diffrax.Tsit5(), False), "Dopri8": (diffrax.Dopri8(), False)}
    implicit = {"Kvaerno5": (diffrax.Kvaerno5(), False), "Kvaerno5-stepped": (diffrax.Kvaerno5(), True)}
    if problem.name == "brusselator":  # stiff enough for the test sets, not for an explicit method to fail
        return explicit | implicit
    return implicit if problem.stiff else explicit


def compiled(problem: zoo.ZooProblem, solver: Any, stepped: bool) -> Callable[[float, float], Any]:
    """Return solve(rtol, atol) -> (y of shape (k, n), whether it succeeded), jitted."""
    f = IN_JAX.get(problem.name, problem.f)

    def slope(t: Any, y: Any, args: Any) -> Any:
        return jnp.asarray(f(t, y))

    term = diffrax.ODETerm(slope)
    times = jnp.asarray(problem.reference()[0])
    start = jnp.asarray(problem.y0)

    def solve(rtol: float, atol: float) -> tuple[Any, Any]:
        controller: Any = diffrax.PIDController(rtol=rtol, atol=atol)
        if stepped:
            controller = diffrax.ClipStepSizeController(controller, step_ts=times)
        solution = diffrax.diffeqsolve(
            term,
            solver,
            t0=problem.span[0],
            t1=problem.span[1],
            dt0=None,
            y0=start,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=controller,
            max_steps=MAX_STEPS,
            throw=False,
        )
        return solution.ys[:, : problem.components], solution.result == diffrax.RESULTS.successful

    return jax.jit(solve)


def measure(problem: zoo.ZooProblem, name: str, solver: Any, stepped: bool) -> list[dict[str, Any]]:
    """Run one ladder of tolerances; return its rows, without those that failed."""
    reference = problem.reference()[1]
    solve = compiled(problem, solver, stepped)
    first_call = timed(solve, RTOL[0])[0]
    rows: list[dict[str, Any]] = []
    for rtol in RTOL:
        seconds, (y, success) = timed(solve, rtol)
        if success:
            error = (np.abs(np.asarray(y).T - reference).max(axis=1) / np.abs(reference).max(axis=1)).max()
            repeats = int(np.clip(1.0 / seconds, 0 if seconds > 5.0 else 2, 50))
            times = [timed(solve, rtol)[0] for _ in range(repeats)] or [seconds]
            rows.append(
                {
                    "problem": problem.name,
                    "solver": name,
                    "rtol": f"{rtol:.0e}",
                    "atol": f"{1e-3 * rtol:.0e}",
                    "time_s": f"{median(times):.4g}",
                    "error": f"{error:.3g}",
                    "first_call_s": f"{first_call:.3g}",
                }
            )
            print("{problem:18} {solver:17} {rtol} {time_s:>10} s {error:>10}".format(**rows[-1]), flush=True)
        else:
            print(f"{problem.name:18} {name:17} {rtol:.0e} failed after {seconds:.1f} s", flush=True)
        if seconds > PATIENCE:
            break
    return rows


def timed(solve: Callable[[float, float], Any], rtol: float) -> tuple[float, Any]:
    """Return the seconds a call takes, those not counted in which another process had the core, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(solve(rtol, 1e-3 * rtol))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return min(wall, cpu), result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="zoo problems (default: all)")
    parser.add_argument("--csv", type=Path, default=ROOT / "benchmarks" / "results" / "diffrax.csv")
    options = parser.parse_args()
    print(f"diffrax {diffrax.__version__}, jax {jax.__version__}, {jax.devices()[0].device_kind}")
    rows: list[dict[str, Any]] = []
    for problem in map(zoo.get, options.names or zoo.names()):
        for name, (solver, stepped) in solvers(problem).items():
            rows += measure(problem, name, solver, stepped)
            write_rows(options.csv, rows)  # after every ladder: a run that is stopped keeps its rows


if __name__ == "__main__":
    main()
