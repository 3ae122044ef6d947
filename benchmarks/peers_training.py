"""odenn's training methods beside DeepXDE and neurodiffeq: the error at equal budgets of time.

    python3 -m venv .venv-peers && .venv-peers/bin/pip install torch==2.13.0 . deepxde neurodiffeq
    .venv-peers/bin/python benchmarks/peers_training.py [--seeds 3] [--only SOLVER] [--table]

The peers need an environment of their own (the first line, in the root of a checkout, makes it). Four problems of
`odenn.zoo`; every solver has the settings of its documentation, the same for all problems: see the docstrings of
benchmarks/peers/run_*.py.

Time is CPU time of one thread, so that other work on the machine does not count; what a library imports when it is
first used, and the evaluation of the error, are not counted. A peer's error at a budget is that of its network when
the budget has passed; odenn may end earlier, and `time_s` says when. The error is the worst component of
max|y - reference| / max|reference| at 1001 points. One process for each solver, problem and seed.

Rows go to benchmarks/results/peers_training.csv as they are measured. A run that was cut short goes on where it
stopped: rows that exist are not measured again (delete the file for a fresh run). At the end, or at once with --table,
the table is printed and docs/images/peers-training.png drawn. The whole takes about 16 minutes of CPU time a seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers_training.csv"
PICTURE = HERE.parent / "docs" / "images" / "peers-training.png"
BUDGETS = (5.0, 20.0, 60.0)
PROBLEMS = {
    "linear-pair-2": "linear pair on [0, 2]",
    "linear-pair-10": "linear pair on [0, 10]",
    "harmonic": "y'' = -y on [0, 10]",
    "lotka-volterra": "Lotka-Volterra on [0, 10]",
}
COLUMNS = (
    "solver",
    "problem",
    "seed",
    "budget_s",
    "time_s",
    "error",
    "steps",
    "rtol",
    "estimate",
    "success",
    "version",
)

# script, its options, the solvers it measures, its problems, the package whose version is recorded
Job = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str]
LIKE = "DeepXDE's Lotka-Volterra example, Adam then L-BFGS"
JOBS: tuple[Job, ...] = (
    ("run_odenn.py", (), ("odenn Residual",), tuple(PROBLEMS), "odenn"),
    ("run_odenn.py", ("--kind", "two stages"), ("odenn Residual, stages=2",), tuple(PROBLEMS), "odenn"),
    ("run_odenn.py", ("--kind", "collocation"), ("odenn Collocation",), tuple(PROBLEMS), "odenn"),
    ("run_deepxde.py", (), ("DeepXDE, Adam", "DeepXDE, Adam then L-BFGS"), tuple(PROBLEMS), "deepxde"),
    ("run_neurodiffeq.py", (), ("neurodiffeq",), tuple(PROBLEMS), "neurodiffeq"),
    ("run_neurodiffeq.py", ("--sin",), ("neurodiffeq, sin",), tuple(PROBLEMS), "neurodiffeq"),
    ("run_deepxde.py", ("--like-lotka-volterra",), (LIKE,), ("lotka-volterra",), "deepxde"),
)
SOLVERS = tuple(solver for job in JOBS for solver in job[2])
Row = dict[str, Any]


def read() -> list[Row]:
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    numbers = ("budget_s", "time_s", "error")
    return [row | {"seed": int(row["seed"])} | {name: float(row[name]) for name in numbers} for row in rows]


def append(row: Row) -> None:
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def key(row: Row) -> tuple[Any, ...]:
    return row["solver"], row["problem"], row["seed"], row["budget_s"]


def measure(job: Job, problem: str, seed: int, budgets: tuple[float, ...]) -> None:
    """Run one process; append those of its rows that are missing."""
    script, options, solvers, _, package = job
    known = {key(row) for row in read()}
    if known.issuperset((solver, problem, seed, budget) for solver in solvers for budget in budgets):
        return
    command = [sys.executable, str(HERE / "peers" / script), problem, str(seed), *map(str, budgets), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            if not line.startswith("{"):  # what the libraries print
                continue
            row = json.loads(line) | {"problem": problem, "seed": seed, "version": f"{package} {version(package)}"}
            if key(row) not in known:
                append(row)
                print(
                    f"{row['solver']:52s} {problem:16s} seed {seed} {row['time_s']:6.1f} s {row['error']:.1e}",
                    flush=True,
                )
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")


def errors(rows: list[Row], solver: str, problem: str, budget: float, what: str = "error") -> list[float]:
    """Return the error (or another column) of each seed."""
    return [row[what] for row in rows if (row["solver"], row["problem"], row["budget_s"]) == (solver, problem, budget)]


def short(number: float) -> str:
    """Write one digit, 5e-9 for 0.000000005 and 1 for 1.0."""
    return f"{number:.0e}".replace("e-0", "e-").replace("e+00", "")


def table(rows: list[Row]) -> None:
    """Print the medians as Markdown; then, for every place, odenn's worst seed against the best of all peers."""
    present = [s for s in SOLVERS if all(errors(rows, s, problem, b) for problem in PROBLEMS for b in BUDGETS)]
    print(f"| median error after {' / '.join(f'{b:.0f}' for b in BUDGETS)} s | {' | '.join(present)} |")
    print("|---" * (len(present) + 1) + "|")
    for problem, title in PROBLEMS.items():
        cells = [" / ".join(short(median(errors(rows, s, problem, b))) for b in BUDGETS) for s in present]
        print(f"| {title} | {' | '.join(cells)} |")

    print("\nworst seed of odenn (CPU time, median), best seed of all peers, its multiple of the former")
    for ours in (solver for solver in present if solver.startswith("odenn")):
        for problem, title in PROBLEMS.items():
            for budget in BUDGETS:
                worst = max(errors(rows, ours, problem, budget))
                seconds = median(errors(rows, ours, problem, budget, "time_s"))
                peers = [(e, s) for s in SOLVERS if s[:5] != "odenn" for e in errors(rows, s, problem, budget)]
                best, peer = min(peers)
                mark = "" if worst < best else "   <-- odenn is behind"
                print(f"{ours:25s} {title:26s} {budget:3.0f} s: {worst:.1e} ({seconds:5.2f} s)", end="  ")
                print(f"{best:.1e} {best / worst:.0e} {peer}{mark}")
    for solver in SOLVERS:
        counts = [len(errors(rows, solver, problem, BUDGETS[-1])) for problem in PROBLEMS]
        print(f"seeds of {solver}, problem by problem: {counts}")


def picture(rows: list[Row]) -> None:
    """Draw the error at each budget: a line for the median, a bar from the best to the worst seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    styles = {
        "odenn Residual": ("#0b5394", "o", "-"),
        "odenn Residual, stages=2": ("#3d9be9", "s", "-"),
        "DeepXDE, Adam": ("#b45f06", "^", "--"),
        "DeepXDE, Adam then L-BFGS": ("#e69138", "v", "--"),
        "neurodiffeq": ("#6a6a6a", "D", ":"),
        "neurodiffeq, sin": ("#a6a6a6", "P", ":"),
    }
    figure, axes = plt.subplots(1, len(PROBLEMS), figsize=(12, 4.2), sharey=True)
    for axis, (problem, title) in zip(axes, PROBLEMS.items(), strict=True):
        for place, (solver, (colour, marker, line)) in enumerate(styles.items()):
            found = [errors(rows, solver, problem, budget) for budget in BUDGETS]
            if not all(found):
                continue
            middle = [median(cell) for cell in found]
            spread = [[m - min(c) for m, c in zip(middle, found, strict=True)],
                      [max(c) - m for m, c in zip(middle, found, strict=True)]]  # fmt: skip
            x = [
                budget * 1.05 ** (place - 2.5) for budget in BUDGETS
            ]  # side by side, or the bars would hide each other
            axis.errorbar(
                x, middle, spread, color=colour, marker=marker, ls=line, ms=5, lw=1.4, elinewidth=1, label=solver
            )
        axis.set(xscale="log", yscale="log", title=title, xlabel="budget of CPU time, s")
        axis.set_xticks(BUDGETS, [f"{budget:.0f}" for budget in BUDGETS])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("largest relative error, median and range")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=SOLVERS, help="one solver (and what is measured in the same process)")
    parser.add_argument("--table", action="store_true", help="measure nothing: table and picture of what there is")
    options = parser.parse_args()
    if not options.table:
        for seed in range(options.seeds):
            for job in JOBS:
                for problem in job[3]:
                    if options.only in (None, *job[2]):
                        measure(job, problem, seed, BUDGETS)
    rows = read()
    table(rows)
    picture(rows)


if __name__ == "__main__":
    main()
