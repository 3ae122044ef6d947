"""The training methods at their defaults: error and time, over seeds.

    python benchmarks/training.py [--seeds 5]

One thread, CPU time. Residual: 5x32 tanh, one stage at rtol 1e-8, two stages at rtol 1e-10. DataFit: 5x32 ELU
and tanh, fitted to Euler's method with step 0.01 on the linear pair on [0, 10], errors against these data (the column
`estimate` holds the true error); 5x32 tanh fitted to RK4 of two coupled oscillators, second order, positions only and
with velocities.
Prints median and worst over the seeds and writes benchmarks/results/training.csv.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rows import write_rows

import odenn
from odenn import zoo

RESULTS = Path(__file__).parent / "results" / "training.csv"
PROBLEMS = ("linear-pair-2", "linear-pair-10", "harmonic", "lotka-volterra")
Row = dict[str, Any]


def relative(values: Any, reference: Any) -> float:
    return float((np.abs(values - reference).max(axis=1) / np.abs(reference).max(axis=1)).max())


def residual(name: str, seed: int, stages: int) -> Row:
    entry = zoo.get(name)
    t, reference = entry.reference()
    method = odenn.Residual(network=odenn.MLP([32] * 5, "tanh"), stages=stages, seed=seed)
    start = time.process_time()
    solution = odenn.solve(entry.problem(), rtol=1e-8 if stages == 1 else 1e-10, method=method)
    seconds = time.process_time() - start
    covered = solution.span[1] >= t[-1]
    error = relative(solution(t), reference) if covered else float("nan")
    estimate = float((solution.error(t).max(axis=1) / np.abs(reference).max(axis=1)).max()) if covered else float("nan")
    return {
        "what": f"residual, {stages} stage(s)", "problem": name, "seed": seed, "time_s": seconds, "error": error,
        "estimate": estimate, "success": solution.success,
    }  # fmt: skip


def euler_pair(steps: int, h: float) -> Any:
    y = np.ones((2, steps + 1))
    for k in range(steps):
        y[:, k + 1] = y[:, k] + h * np.array([y[0, k], y[0, k] - y[1, k]])
    return y


def data_fit(activation: str, seed: int) -> Row:
    data, t = euler_pair(1000, 0.01), np.linspace(0, 10, 1001)
    method = odenn.DataFit(network=odenn.MLP([32] * 5, activation), data=odenn.Euler(step=0.01), seed=seed)
    start = time.process_time()
    solution = odenn.solve(zoo.get("linear-pair-10").problem(), rtol=1e-6, method=method)
    seconds = time.process_time() - start
    exact = np.array([np.exp(t), np.cosh(t)])
    return {
        "what": f"data fit, {activation}, against its data", "problem": "linear-pair-10", "seed": seed,
        "time_s": seconds, "error": relative(solution(t), data), "estimate": relative(solution(t), exact),
        "success": solution.success,
    }  # fmt: skip


def oscillators(slopes: bool, seed: int) -> Row:
    """Two masses of 1 on springs of 2, coupled by a spring of 1: (cos(sqrt(2) t) +- cos(2 t)) / 2."""
    problem = odenn.parse("x'' = -3x + y, y'' = x - 3y; x(0) = 1, x'(0) = 0, y(0) = 0, y'(0) = 0", span=(0, 10))
    t = np.linspace(0, 10, 1001)
    slow, fast = np.cos(np.sqrt(2) * t), np.cos(2 * t)
    method = odenn.DataFit(network=odenn.MLP([32] * 5, "tanh"), data=odenn.RK4(step=0.01), slopes=slopes, seed=seed)
    start = time.process_time()
    solution = odenn.solve(problem, rtol=1e-6, method=method)
    seconds = time.process_time() - start
    return {
        "what": f"data fit, positions{' and velocities' if slopes else ''}", "problem": "coupled oscillators",
        "seed": seed, "time_s": seconds, "error": relative(solution(t), np.array([slow + fast, slow - fast]) / 2),
        "estimate": float(solution.error(t).max()), "success": solution.success,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    jobs: list[Any] = [(residual, name, (1,)) for name in PROBLEMS]
    jobs += [(residual, name, (2,)) for name in PROBLEMS]
    jobs += [(data_fit, activation, ()) for activation in ("elu", "tanh")]
    jobs += [(oscillators, slopes, ()) for slopes in (False, True)]
    rows: list[Row] = []
    for run, first, extra in jobs:
        mine = [run(first, seed, *extra) for seed in range(options.seeds)]
        errors, seconds = [row["error"] for row in mine], [row["time_s"] for row in mine]
        what = f"{mine[0]['what']:36s} {mine[0]['problem']:16s}"
        print(f"{what} error median {np.median(errors):.1e} worst {max(errors):.1e}", end="")
        print(f"   time median {np.median(seconds):6.1f} s worst {max(seconds):6.1f} s", flush=True)
        rows += mine
        write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
