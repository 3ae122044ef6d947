"""Is the error estimate of trained networks right? True over estimated error of good networks and bad ones.

    python benchmarks/certificate.py [--quick]

Stopped early, too few points, kinked activations, one window over a growing solution, Euler data, two stages, second
order, stiff: each with several seeds. The ratio is that of the largest true error to the largest estimated one over the
span, component by component, the worst of them (farthest from 1). Prints the share within [0.2, 5] and the number of
successes that are none, and writes benchmarks/results/certificate.csv.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rows import write_rows

import odenn
from odenn import MLP, RK4, DataFit, Euler, Reference, Residual, TorchOptimiser

RESULTS = Path(__file__).parent / "results" / "certificate.csv"
Row = dict[str, Any]
Case = tuple[str, odenn.IVP, Any, float]  # what, problem, method, rtol

DEEP, SMALL = MLP([32] * 5, "tanh"), MLP([16, 16], "tanh")
EARLY = TorchOptimiser(iterations=150, lr=5e-3)


def pair(end: float) -> odenn.IVP:
    return odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, end))


def harmonic() -> odenn.IVP:
    return odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10))


def predators(end: float = 10.0) -> odenn.IVP:
    return odenn.parse("x' = 1.5x - x*y, y' = x*y - 3y; x(0) = 1, y(0) = 1", span=(0, end))


def pendulum() -> odenn.IVP:
    return odenn.parse("y'' = -sin(y) - 0.1y'; y(0) = 2, y'(0) = 0", span=(0, 6))


def relaxation() -> odenn.IVP:
    return odenn.parse("y' = -30(y - cos(t)); y(0) = 0", span=(0, 2))


def logistic() -> odenn.IVP:
    return odenn.parse("y' = y*(1 - y); y(0) = 0.01", span=(0, 12))


def cases() -> Iterator[Case]:
    """Good networks and bad ones."""
    for seed in (0, 1, 2):
        yield "defaults", pair(2.0), Residual(network=DEEP, seed=seed), 1e-8
        yield "defaults", pair(10.0), Residual(network=DEEP, seed=seed), 1e-6
        yield "defaults, second order", harmonic(), Residual(network=DEEP, seed=seed), 1e-8
        yield "defaults, nonlinear", predators(4.0), Residual(network=SMALL, seed=seed), 1e-6
        yield "two stages", pair(2.0), Residual(network=DEEP, stages=2, seed=seed), 1e-10
        yield "two stages, second order", harmonic(), Residual(network=DEEP, stages=2, seed=seed), 1e-10
        yield "nearly stiff", relaxation(), Residual(network=SMALL, seed=seed), 1e-6
        yield "pendulum", pendulum(), Residual(network=SMALL, seed=seed), 1e-7
        yield "logistic", logistic(), Residual(network=MLP([16, 16], "sin"), seed=seed), 1e-7
        yield "Adam stopped early", pair(2.0), Residual(network=SMALL, windows=1, optimizer=EARLY, seed=seed), 1e-6
        yield "Adam stopped early", predators(3.0), Residual(network=SMALL, windows=2, optimizer=EARLY, seed=seed), 1e-4
        yield "one window, growing", pair(10.0), Residual(network=SMALL, windows=1, seed=seed), 1e-6
        yield "one window, nonlinear", predators(6.0), Residual(network=SMALL, windows=1, seed=seed), 1e-6
        yield "too few points", harmonic(), Residual(network=MLP([8, 8]), windows=2, points=5, seed=seed), 1e-6
        yield "ELU", pair(2.0), Residual(network=MLP([12, 12], "elu"), windows=2, seed=seed), 1e-4
        yield "Euler data", pair(5.0), DataFit(network=SMALL, data=Euler(0.02), seed=seed), 1e-3
        yield "Euler data, ELU", pair(2.0), DataFit(network=MLP([16, 16], "elu"), data=Euler(0.02), seed=seed), 1e-3
        yield "RK4 data, second order", pendulum(), DataFit(network=SMALL, data=RK4(0.02), seed=seed), 1e-6
        yield "reference data", predators(3.0), DataFit(network=SMALL, data=Reference(), seed=seed), 1e-6
        yield "reference data, Adam", pair(2.0), DataFit(network=SMALL, data=Reference(), optimizer=EARLY), 1e-4


def measured(case: Case) -> Row:
    """True and estimated error of one training run."""
    what, problem, method, rtol = case
    start = time.process_time()
    solution = odenn.solve(problem, method=method, rtol=rtol)
    seconds = time.process_time() - start
    t = np.linspace(*solution.span, 801)
    reference = odenn.solve(problem, rtol=1e-12, atol=1e-13)(t)
    size = np.abs(reference).max(axis=1)
    true, estimate = np.abs(solution(t) - reference).max(axis=1), solution.error(t).max(axis=1)
    with np.errstate(invalid="ignore"):
        ratios = true / estimate
    worst = float(ratios[np.argmax(np.abs(np.log(np.where(ratios > 0, ratios, 1e-300))))])
    running = np.maximum.accumulate(np.abs(reference), axis=1)
    kept = bool((np.abs(solution(t) - reference) <= solution.outcome.atol[:, None] + rtol * running).all())
    return {
        "what": what, "problem": ", ".join(problem.names), "end": solution.span[1], "rtol": rtol,
        "true": float((true / size).max()), "estimate": float((estimate / size).max()), "ratio": worst,
        "success": solution.success, "false_success": solution.success and not kept, "time_s": seconds,
    }  # fmt: skip


def run(these: Callable[[], Iterator[Case]] = cases) -> list[Row]:
    """Rows of all cases, printed as they come."""
    rows: list[Row] = []
    for case in these():
        row = measured(case)
        rows.append(row)
        mark = "FALSE SUCCESS" if row["false_success"] else "success" if row["success"] else ""
        print(f"{row['what']:26s} true {row['true']:.1e} estimate {row['estimate']:.1e} ", end="")
        print(f"ratio {row['ratio']:6.2f} {mark}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every third case; writes nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = run(lambda: (case for k, case in enumerate(cases()) if not options.quick or k % 3 == 0))
    ratios = np.array([row["ratio"] for row in rows])
    good = int(((ratios >= 0.2) & (ratios <= 5)).sum())
    print(f"{good} of {len(rows)} ratios within [0.2, 5], median {np.median(ratios):.2f}", end="")
    print(f", {sum(row['success'] for row in rows)} successes, of them false: {sum(r['false_success'] for r in rows)}")
    if not options.quick:
        write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
