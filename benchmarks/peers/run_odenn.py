"""odenn's methods with their defaults.

    python benchmarks/peers/run_odenn.py PROBLEM SEED BUDGET... [--kind "two stages" | --kind collocation]

`Residual` with five layers of 32 tanh units. The tolerance belongs to the budget, whatever the problem: rtol 1e-8; for
two stages 1e-8 at budgets below 20 s and 1e-10 from there on; for collocation 1e-10. A run at the same tolerance that
ended within a smaller budget counts for that budget too; if it took longer it is run again and stopped when the budget
has passed. The time includes the error estimate.
"""

from __future__ import annotations

import argparse
import os
import warnings
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from shared import Clock, error, report

import odenn
from odenn import zoo


def tolerance(kind: str, budget: float) -> float:
    if kind == "collocation":
        return 1e-10
    return 1e-10 if kind == "two stages" and budget >= 20 else 1e-8


def method(kind: str, seed: int) -> odenn.Residual | odenn.Collocation:
    if kind == "collocation":
        return odenn.Collocation()
    stages = 2 if kind == "two stages" else 1
    return odenn.Residual(network=odenn.MLP([32] * 5, "tanh"), stages=stages, seed=seed)


def measured(name: str, seed: int, kind: str, rtol: float, limit: float) -> dict[str, Any]:
    problem, clock = zoo.get(name).problem(), Clock()
    clock.start()
    # Stopped by `progress`, since `max_seconds` is of wall time and the budget of CPU time.
    solution = odenn.solve(problem, rtol=rtol, method=method(kind, seed), progress=lambda _: clock.seconds > limit)
    clock.pause()
    times, reference = zoo.get(name).reference()
    row = {"rtol": rtol, "seconds": clock.seconds, "success": solution.success}
    if solution.span[1] < times[-1]:  # the budget ended before the span did
        return row | {"found": float("inf"), "estimate": float("inf")}
    estimate = (solution.error(times).max(axis=1) / np.abs(reference).max(axis=1)).max()
    return row | {"found": error(name, solution(times)), "estimate": float(estimate)}


def run(name: str, seed: int, budgets: list[float], kind: str) -> None:
    label = {"one stage": "odenn Residual", "two stages": "odenn Residual, stages=2"}.get(kind, "odenn Collocation")
    row = None
    for budget in sorted(budgets, reverse=True):
        rtol = tolerance(kind, budget)
        if row is None or row["rtol"] != rtol:
            row = measured(name, seed, kind, rtol, limit=max(budgets))
        if row["seconds"] > budget:
            row = measured(name, seed, kind, rtol, limit=budget)
        report(label, budget, steps="", **row)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # a warning is part of the outcome, which is reported
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem")
    parser.add_argument("seed", type=int)
    parser.add_argument("budgets", type=float, nargs="+")
    parser.add_argument("--kind", choices=("one stage", "two stages", "collocation"), default="one stage")
    options = parser.parse_args()
    easy = odenn.parse("y' = -y; y(0) = 1", span=(0, 0.1))  # what is imported when first used is not counted
    odenn.solve(easy, method=method(options.kind, 0))
    run(options.problem, options.seed, options.budgets, options.kind)


if __name__ == "__main__":
    main()
