"""odenn against SciPy's solvers on the zoo, at equal achieved error.

One process, one thread, interleaved repeats, medians of CPU time (these machines are shared; with one thread CPU time
is wall time on an idle one). Every solver runs a ladder of tolerances; the time of a SciPy method at odenn's error is
interpolated on its own ladder. Times include the values at the reference points (1001 on most problems) and, for odenn,
the error estimate. Making the problem (parsing) is not counted, nor is anybody's compilation. Compiled odenn, which is
for solving again and again, is timed in calls one after the other, as peers_diffrax.py times diffrax.

    python benchmarks/ivp.py [--repeats 5] [--only NAME ...] [--draw]

Writes benchmarks/results/ivp.csv (all runs), prints the ratios, and draws docs/images/work-precision.png.
`--only` measures these problems anew, `--draw` repeats the last two from the CSV. Compiled odenn is compared with
benchmarks/results/diffrax.csv, where there.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from rows import write_rows
from scipy.integrate import solve_ivp

import odenn
from odenn import zoo

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ivp.csv"
PICTURE = HERE.parent / "docs" / "images" / "work-precision.png"
ASKED = (1e-6, 1e-10)
LEVELS = (1e-6, 1e-9, 1e-11)
ODENN_LADDER = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
SCIPY_LADDER = tuple(10.0**-k for k in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13))
NON_STIFF_METHODS, STIFF_METHODS = ("DOP853", "LSODA", "Radau", "BDF"), ("LSODA", "Radau", "BDF")
SLOW = 0.6  # seconds; a ladder is not climbed beyond a rung that took longer

Array = NDArray[np.float64]
Row = dict[str, Any]


def timed(run: Callable[[], Array | None]) -> tuple[float, Array | None]:
    start = time.process_time()
    values = run()
    return time.process_time() - start, values


def relative_error(values: Array | None, reference: Array) -> float:
    if values is None or values.shape != reference.shape or not np.isfinite(values).all():
        return float("nan")
    return float((np.abs(values - reference).max(axis=1) / np.abs(reference).max(axis=1)).max())


def odenn_run(problem: odenn.IVP, rtol: float, t: Array, compile: bool) -> Array | None:  # noqa: A002
    solution = odenn.solve(problem, rtol=rtol, compile=compile)
    return solution(t) if solution.success else None


def scipy_run(entry: zoo.ZooProblem, method: Any, rtol: float, t: Array, size: float) -> Array | None:
    atol = rtol * size * (1e-6 if entry.stiff else 1e-3)
    done = solve_ivp(entry.f, entry.span, entry.y0, method, t_eval=t, rtol=rtol, atol=atol)
    return done.y[: entry.components] if done.success else None


def jittable(entry: zoo.ZooProblem) -> odenn.IVP:
    """The zoo's problem in the form that compiles best: its text, or its function, which Numba takes as it is."""
    return entry.problem()


def measure(entry: zoo.ZooProblem, repeats: int) -> list[Row]:
    """Rows (problem, solver, rtol, time, error) of all solvers on one problem."""
    t, reference = entry.reference()
    problem = jittable(entry)
    size = float(np.abs(reference).max())
    methods = STIFF_METHODS if entry.stiff else NON_STIFF_METHODS
    runs: dict[tuple[str, float], Callable[[], Array | None]] = {}
    for rtol in ODENN_LADDER:
        runs["odenn", rtol] = partial(odenn_run, problem, rtol, t, False)
    for method in methods:
        for rtol in SCIPY_LADDER:
            runs[method, rtol] = partial(scipy_run, entry, method, rtol, t, size)
    times: defaultdict[tuple[str, float], list[float]] = defaultdict(list)
    errors: dict[tuple[str, float], float] = {}
    for rtol in ODENN_LADDER:
        run = partial(odenn_run, problem, rtol, t, True)
        errors["odenn compiled", rtol] = relative_error(run(), reference)
        repeated = int(np.clip(1.0 / timed(run)[0], 3, 50))
        times["odenn compiled", rtol] = [timed(run)[0] for _ in range(repeated)]
    given_up: set[str] = set()
    skipped: set[tuple[str, float]] = set()
    for repeat in range(repeats + 1):
        for (solver, rtol), run in runs.items():
            if repeat == 0 and solver in given_up:
                skipped.add((solver, rtol))
            if (solver, rtol) in skipped or (repeat > 1 and np.median(times[solver, rtol]) > 0.5):
                continue  # long runs are repeated less
            seconds, values = timed(run)
            if repeat == 0:  # warms up caches, compiles; not counted unless it is long anyway
                errors[solver, rtol] = relative_error(values, reference)
                if seconds > SLOW and "odenn" not in solver:
                    given_up.add(solver)
            if repeat > 0 or seconds > SLOW:
                times[solver, rtol].append(seconds)
    return [
        {
            "problem": entry.name,
            "stiff": entry.stiff,
            "solver": s,
            "rtol": r,
            "time_s": np.median(v),
            "error": errors[s, r],
        }
        for (s, r), v in times.items()
        if v and np.isfinite(errors[s, r])
    ]


def time_at(rows: Sequence[Row], error: float) -> float:
    """Time at which a ladder reaches `error`, interpolated log-log; infinite where it never does."""
    points = sorted((row["error"], row["time_s"]) for row in rows if row["error"] > 0)
    # A rung that a cheaper and more accurate one beats is no choice that a user would make.
    front = [(e, s) for e, s in points if not any(e2 <= e and s2 < s for e2, s2 in points)]
    reached = [(e, s) for e, s in front if e <= error]
    if not reached:
        return float("inf")
    above = [(e, s) for e, s in front if e > error]
    if not above:
        return min(s for _, s in reached)
    (e0, s0), (e1, s1) = above[0], reached[-1]
    weight = (np.log(e0) - np.log(error)) / (np.log(e0) - np.log(e1))
    return float(np.exp(np.log(s0) + weight * (np.log(s1) - np.log(s0))))


def load(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    for row in rows:
        for key in ("rtol", "time_s", "error"):
            row[key] = float(row[key]) if row[key] not in ("", "nan") else float("nan")
    return rows


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def report_levels(rows: Sequence[Row]) -> None:
    """Print who is how fast at the same error, every ladder interpolated there: the comparison that is fair to all."""
    by: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by[row["problem"], row["solver"]].append(row)
    for error in LEVELS:
        print(f"\nat an error of {error:g}: times in ms, ratio = time of the fastest SciPy method / time of odenn")
        ratios: defaultdict[str, list[float]] = defaultdict(list)
        for entry in zoo.all_problems():
            mine = time_at(by[entry.name, "odenn"], error)
            others = {m: time_at(by[entry.name, m], error) for m in NON_STIFF_METHODS if (entry.name, m) in by}
            if not others:
                continue
            best = min(others, key=lambda m: others[m])
            print(
                f"{entry.name:20s} odenn {mine * 1e3:8.2f}   {best:6s} {others[best] * 1e3:9.2f}   "
                f"{others[best] / mine:7.2f}   Radau {others['Radau'] * 1e3:9.2f}   {others['Radau'] / mine:7.2f}"
            )
            kind = "stiff" if entry.stiff else "non-stiff"
            for name, other in ((kind, others[best]), (f"{kind}, Radau", others["Radau"])):
                if np.isfinite(other) and np.isfinite(mine):
                    ratios[name].append(other / mine)
        for kind, values in ratios.items():
            print(f"  geometric mean, {kind} ({len(values)} problems that both reach): {geometric_mean(values):.2f}")


def report(rows: Sequence[Row]) -> None:
    """Print a table per asked tolerance: error and time of odenn, the fastest SciPy method at that error, the ratio."""
    by: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by[row["problem"], row["solver"]].append(row)
    diffrax: defaultdict[str, defaultdict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    if (HERE / "results" / "diffrax.csv").exists():
        for row in load(HERE / "results" / "diffrax.csv"):
            if np.isfinite(row["error"]) and np.isfinite(row["time_s"]):
                diffrax[row["problem"]][row["solver"]].append(row)
    names = [name for name in zoo.names() if (name, "odenn") in by]
    for asked in ASKED:
        print(f"\nrtol {asked:g} asked of odenn; times in ms; ratio = time of the other / time of odenn")
        print(
            f"{'problem':20s} {'error':>8s} {'odenn':>8s} {'fastest SciPy':>20s} {'ratio':>7s} {'Radau':>9s} "
            f"{'ratio':>7s} | {'compiled':>9s} {'error':>8s} {'diffrax':>26s} {'ratio':>7s}"
        )
        ratios: defaultdict[str, list[float]] = defaultdict(list)
        for name in names:
            stiff = zoo.get(name).stiff
            mine = next((r for r in by[name, "odenn"] if r["rtol"] == asked), None)
            if mine is None:
                print(f"{name:20s} odenn did not reach the tolerance and says so")
                continue
            error = max(mine["error"], 1e-15)
            others = {m: time_at(by[name, m], error) for m in NON_STIFF_METHODS if (name, m) in by}
            best, least = min(others.items(), key=itemgetter(1))
            ratio = least / mine["time_s"]
            radau = others.get("Radau", float("inf")) / mine["time_s"]
            line = f"{name:20s} {error:8.1e} {mine['time_s'] * 1e3:8.2f} {best:>8s} {least * 1e3:11.2f} {ratio:7.2f}"
            line += f" {others.get('Radau', float('inf')) * 1e3:9.2f} {radau:7.2f}"
            if np.isfinite(ratio):
                ratios["stiff" if stiff else "non-stiff"].append(ratio)
            if stiff and np.isfinite(radau):
                ratios["stiff, Radau"].append(radau)
            fast = next((r for r in by[name, "odenn compiled"] if r["rtol"] == asked), None)
            if fast is not None and diffrax[name]:
                error = max(fast["error"], 1e-15)
                their = {s: time_at(r, error) for s, r in diffrax[name].items()}
                solver, least = min(their.items(), key=itemgetter(1))
                r = least / fast["time_s"]
                line += f" | {fast['time_s'] * 1e3:9.3f} {error:8.1e} {solver:>16s} {least * 1e3:9.2f} {r:7.2f}"
                if np.isfinite(r):
                    ratios["compiled, diffrax"].append(r)
            print(line)
        for kind, values in ratios.items():
            mean = geometric_mean(values)
            print(f"  geometric mean, {kind} ({len(values)} problems where both reach the error): {mean:.2f}")


def draw(rows: Sequence[Row]) -> None:
    from matplotlib.figure import Figure

    chosen = ["linear-pair-10", "lotka-volterra", "van-der-pol-5", "kepler", "pendulum", "robertson-1e4"]
    colours = {
        "odenn": "#d55e00",
        "odenn compiled": "#cc79a7",
        "DOP853": "#0072b2",
        "LSODA": "#009e73",
        "Radau": "#56b4e9",
        "BDF": "#999999",
    }
    figure = Figure(figsize=(11, 6), layout="constrained")
    for axis, name in zip(figure.subplots(2, 3).flat, chosen, strict=True):
        for solver, colour in colours.items():
            points = sorted(
                (r["error"], r["time_s"] * 1e3) for r in rows if r["problem"] == name and r["solver"] == solver
            )
            points = [(max(e, 1e-16), s) for e, s in points]
            if points:
                bold = solver.startswith("odenn")
                axis.loglog(
                    *zip(*points, strict=True),
                    "o-",
                    color=colour,
                    label=solver,
                    ms=5 if bold else 3,
                    lw=2 if bold else 1,
                )
        axis.invert_xaxis()
        axis.set_title(zoo.get(name).title, fontsize=10)
        axis.grid(alpha=0.3)
        axis.set_xlabel("relative error reached")
        axis.set_ylabel("time / ms")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--draw", action="store_true", help="report and draw from the CSV, measure nothing")
    options = parser.parse_args()
    if not options.draw:
        rows: list[Row] = []
        for entry in zoo.all_problems():
            if not options.only or entry.name in options.only:
                print(entry.name, flush=True)
                rows += measure(entry, options.repeats)
        if options.only:  # the others stay as they were measured
            rows += [row for row in load(RESULTS) if row["problem"] not in options.only]
            rows.sort(key=lambda row: zoo.names().index(row["problem"]))
        write_rows(RESULTS, rows)
    rows = load(RESULTS)
    report(rows)
    report_levels(rows)
    draw(rows)


if __name__ == "__main__":
    main()
