"""Tables for the documentation from benchmarks/results/*.csv, written between markers in Markdown.

python benchmarks/tables.py            rewrites the pages
python benchmarks/tables.py --check    only says which page would change; exit code 1 if one would
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from ivp import HERE, Row, geometric_mean, load, time_at

from odenn import zoo

ROOT = HERE.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "choosing.md", ROOT / "docs" / "performance.md")
SCIPY = ("DOP853", "LSODA", "Radau", "BDF")
ERRORS = (1e-4, 1e-6, 1e-9, 1e-11)
NEVER = float("inf")
WORDS = ("problem", "solver", "in")  # columns beside the first that hold words

Ladders = dict[str, dict[str, list[Row]]]  # rows by problem and solver


def ladders(name: str) -> Ladders:
    found: defaultdict[str, dict[str, list[Row]]] = defaultdict(dict)
    for row in load(HERE / "results" / f"{name}.csv"):
        if row["time_s"] == row["time_s"] and row["error"] == row["error"]:  # neither is NaN
            found[row["problem"]].setdefault(row["solver"], []).append(row)
    return {entry.name: found[entry.name] for entry in zoo.all_problems() if entry.name in found}


def milliseconds(seconds: float) -> str:
    if seconds == NEVER:
        return ""
    return f"{1e3 * seconds:.1f}" if seconds < 0.00995 else f"{1e3 * seconds:.0f}"


def short(error: float) -> str:
    return f"{error:.0e}".replace("e-0", "e-").replace("e+00", "")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    sides = ["---" if name in WORDS else "---:" for name in head[1:]]
    lines = [head, ["---", *sides], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bold_least(times: list[float]) -> list[str]:
    return [f"**{milliseconds(t)}**" if t == min(times) < NEVER else milliseconds(t) for t in times]


def title(name: str) -> str:
    if name not in zoo.names():
        return name[:1].upper() + name[1:]
    entry = zoo.get(name)
    return entry.title if "tiff" in entry.title or not entry.stiff else f"{entry.title} (stiff)"


def all_solvers() -> str:
    """Times at a relative error of 1e-9."""
    rows: list[list[str]] = []
    for name, by in ladders("ivp").items():
        times = [time_at(by.get(solver, []), 1e-9) for solver in ("odenn", *SCIPY)]
        compiled = time_at(by.get("odenn compiled", []), 1e-9)
        rows.append([title(name), *bold_least(times), milliseconds(compiled)])
    return table(["ms to reach 1e-9", "odenn", *SCIPY, "odenn compiled"], rows)


def fastest() -> str:
    """The fastest at four errors, with odenn's time where that is another; compiled engines apart."""
    rows: list[list[str]] = []
    for name, by in ladders("ivp").items():
        row = [title(name)]
        for error in ERRORS:
            times = {solver: time_at(by.get(solver, []), error) for solver in ("odenn", *SCIPY)}
            best = min(times, key=lambda solver: times[solver])
            text = f"{best} {milliseconds(times[best])}" if times[best] < NEVER else "none"
            if best != "odenn":
                text += f" (odenn {milliseconds(times['odenn']) or 'never'})"
            row.append(text)
        rows.append(row)
    return table(["fastest, ms", *(f"at {short(error)}" for error in ERRORS)], rows)


def ratios() -> str:
    """Geometric means of the time of the fastest SciPy method over odenn's."""
    rows: list[list[str]] = []
    for stiff in (False, True):
        cells: list[str] = []
        for error in ERRORS:
            found: list[float] = []
            for name, by in ladders("ivp").items():
                mine = time_at(by["odenn"], error)
                other = min(time_at(by.get(solver, []), error) for solver in SCIPY)
                if zoo.get(name).stiff == stiff and NEVER not in (mine, other):
                    found.append(other / mine)
            cells.append(f"{geometric_mean(found):.2f} ({len(found)})")
        rows.append([f"{'stiff' if stiff else 'not stiff'}", *cells])
    return table(
        ["time of the fastest SciPy method / time of odenn", *(f"at {short(error)}" for error in ERRORS)], rows
    )


SHOWN = (
    "linear-pair-10", "harmonic", "lotka-volterra", "kepler", "pendulum", "van-der-pol-5", "chain-50",
    "robertson-1e4", "van-der-pol-1000", "brusselator",
)  # fmt: skip


def readme() -> str:
    """Ten of the problems, and the geometric means over all."""
    measured = ladders("ivp")
    times = {
        name: {solver: time_at(by.get(solver, []), 1e-9) for solver in ("odenn", *SCIPY)}
        for name, by in measured.items()
    }
    best = {name: min(SCIPY, key=lambda solver: by[solver]) for name, by in times.items()}
    rows: list[list[str]] = []
    for name in SHOWN:
        by = times[name]
        least = by[best[name]]
        fastest = f"{milliseconds(least)} ({best[name]})" if least < NEVER else "not reached"
        own, radau = (milliseconds(by[solver]) or "not reached" for solver in ("odenn", "Radau"))
        rows.append([title(name), own, fastest, radau])
    for stiff in (False, True):
        names = [name for name, by in times.items() if zoo.get(name).stiff == stiff and by[best[name]] < NEVER]
        means = [
            geometric_mean([other / by["odenn"] for by, other in pairs if NEVER not in (other, by["odenn"])])
            for pairs in (
                [(times[name], times[name][best[name]]) for name in names],
                [(times[name], times[name]["Radau"]) for name in names],
            )
        ]
        what = f"**geometric mean of the ratios, {len(names)} {'stiff' if stiff else 'non-stiff'} problems**"
        rows.append([what, "1", f"{means[0]:.2f}", f"{means[1]:.2g}"])
    return table(["ms to reach a relative error of 1e-9", "odenn", "fastest SciPy method", "Radau"], rows)


def diffrax() -> str:
    """Compiled odenn beside diffrax's compiled solvers, at the error that odenn reaches for rtol 1e-6 and 1e-10."""
    theirs, rows = ladders("diffrax"), []
    for name, by in ladders("ivp").items():
        cells = [title(name)]
        for asked in (1e-6, 1e-10):
            mine = next((row for row in by.get("odenn compiled", []) if row["rtol"] == asked), None)
            if mine is None or name not in theirs:
                cells += ["", "", ""]
                continue
            error = max(mine["error"], 1e-15)
            times = {solver: time_at(rows_, error) for solver, rows_ in theirs[name].items()}
            best = min(times, key=lambda solver: times[solver])
            reached = times[best] < NEVER
            cells += [short(mine["error"]), f"{1e3 * mine['time_s']:.2f}"]
            cells += [f"{1e3 * times[best]:.2f} ({best})" if reached else "not reached"]
        rows.append(cells)
    head = [
        "compiled, ms",
        *(f"{what}, rtol {asked}" for asked in ("1e-6", "1e-10") for what in ("error", "odenn", "diffrax")),
    ]
    return table(head, rows)


def diffrax_ratios() -> str:
    """Geometric means of the time of diffrax's fastest solver over that of compiled odenn, at several errors."""
    theirs, cells = ladders("diffrax"), ["not stiff and stiff"]
    for error in ERRORS:
        found: list[float] = []
        for name, by in ladders("ivp").items():
            mine = time_at(by.get("odenn compiled", []), error)
            other = min(time_at(rows, error) for rows in theirs[name].values())
            if NEVER not in (mine, other):
                found.append(other / mine)
        ahead = sum(ratio > 1.0 for ratio in found)
        cells.append(f"{geometric_mean(found):.2f} (ahead on {ahead} of {len(found)})")
    return table(
        ["time of the fastest of diffrax / time of odenn", *(f"at {short(error)}" for error in ERRORS)], [cells]
    )


def training() -> str:
    """The training methods at their defaults: median and worst over the seeds."""
    groups: defaultdict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (HERE / "results" / "training.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups[row["what"], row["problem"]].append(row)
    rows: list[list[str]] = []
    for (what, problem), runs in groups.items():
        errors, seconds = [float(run["error"]) for run in runs], [float(run["time_s"]) for run in runs]
        figures = [short(median(errors)), short(max(errors)), f"{median(seconds):.1f}", f"{max(seconds):.1f}"]
        rows.append([what, title(problem), *figures, str(len(runs))])
    return table(["method", "problem", "error, median", "worst", "s, median", "worst", "seeds"], rows)


def peers() -> str:
    """Errors of the training methods at equal budgets of time, medians over the seeds."""
    found: defaultdict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (HERE / "results" / "peers_training.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            error = float(row["error"]) if row["error"] else float("nan")
            found[row["problem"], row["solver"]][float(row["budget_s"])].append(error)
    budgets = sorted({budget for by in found.values() for budget in by})
    order = {entry.name: k for k, entry in enumerate(zoo.all_problems())}
    rows = [
        [title(problem), solver, *(short(median(by[budget])) for budget in budgets), str(len(by[budgets[-1]]))]
        for (problem, solver), by in sorted(found.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]
    return table(["error after", "solver", *(f"{budget:g} s" for budget in budgets), "seeds"], rows)


def short_number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"


def web() -> str:
    """The page: how soon it is there, how fast it answers, and its users at once."""
    with (HERE / "results" / "web.csv").open(newline="", encoding="utf-8") as file:
        rows = [[row["measure"], short_number(float(row["value"])), row["unit"]] for row in csv.DictReader(file)]
    return table(["odenn web", "measured", "in"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "readme": readme,
    "all-solvers": all_solvers,
    "fastest": fastest,
    "ratios": ratios,
    "diffrax": diffrax,
    "diffrax-ratios": diffrax_ratios,
    "training": training,
    "peers": peers,
    "web": web,
}


def filled(text: str) -> str:
    """The page with every table made anew."""

    def fresh(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]]()}\n\n<!-- end of table -->"

    return re.sub(r"<!-- table: ([\w-]+) -->.*?<!-- end of table -->", fresh, text, flags=re.DOTALL)


def main() -> None:
    stale: list[Path] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if filled(text) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(filled(text), encoding="utf-8")
    for page in stale:
        print(
            f"{page.relative_to(ROOT)}: tables {'differ from' if '--check' in sys.argv else 'made from'} the CSV files"
        )
    if stale and "--check" in sys.argv:
        sys.exit("run python benchmarks/tables.py, and read whether the text around the tables still holds")


if __name__ == "__main__":
    main()
