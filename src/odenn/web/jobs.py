"""What a worker process does for a run: read, solve, verify, load, draw. Jobs send events and return their results."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from odenn.deliberate import is_deliberate
from odenn.methods.csv_table import SEPARATORS, read_columns
from odenn.methods.outcome import Report
from odenn.web.events import covers_something, curves, number, so_far, stated, summary, thinned, verified
from odenn.web.reading import Event, blamed, field_of_option, field_of_problem, in_page_words, read_equations
from odenn.web.specification import Limits, Specification

if TYPE_CHECKING:
    from odenn import IVP

BETWEEN = 0.2  # seconds between two reports of progress
MOST_COLUMNS, MOST_TRIED = 200, 10  # of a CSV file; that are looked at for numbers
VERIFY_SECONDS = 10.0
CSV_POINTS = 501


class Control:
    """A job's line to the page: sends events, and knows whether it is to stop."""

    def __init__(self, number: int, write: Callable[[Event], None]) -> None:
        self.number = number
        self.emit = write
        self.stopped = False
        self._acknowledged = False

    def stop_asked(self) -> bool:
        """Whether to stop; that the job has seen this is told the server, which else ends the process."""
        if self.stopped and not self._acknowledged:
            self._acknowledged = True
            self.emit({"stopping": self.number})
        return self.stopped


def read(argument: Event, control: Control) -> None:
    """Read equations as they are typed: their mathematics, or what is wrong with them."""
    control.emit({"event": "read", **read_equations(**argument)})


def solve(argument: Event, control: Control) -> Event:
    """Solve, and send progress, the curves and the summary; keep the solution in a file."""
    import odenn
    from odenn.equations import EquationError
    from odenn.web.script import script

    specification = Specification.of(argument["specification"], Limits(**argument["limits"]))
    folder = Path(argument["folder"])
    upload = None if argument.get("upload") is None else Path(argument["upload"])
    started = time.perf_counter()
    try:
        problem = specification.problem()
    except EquationError as error:
        field = blamed(error, specification.equations, specification.initial, specification.params)
        return _failed(control, error, field)
    except (ValueError, TypeError) as error:
        return _failed(control, error, field_of_problem(error))
    if problem.n > argument["limits"]["components"]:
        most = argument["limits"]["components"]
        message = f"{problem.n} equations: the page takes at most {most}; odenn in Python takes more"
        control.emit({"event": "failed", "message": message, "field": "equations", "kind": "limit"})
        return {}
    try:
        method = specification.chosen(upload)
        solution = odenn.solve(
            problem,
            rtol=specification.rtol,
            atol=specification.atol,
            method=replace(method, max_seconds=specification.seconds),
            progress=_Progress(control, problem, started),
        )
    except (ValueError, TypeError) as error:
        return _failed(control, error, field_of_option(str(error)), upload)
    solved = covers_something(solution)
    if solved:
        control.emit(curves(solution))
        solution.save(folder / "solution.odenn")
    code = script(specification, method, solution, None if upload is None else argument["upload_name"])
    (folder / "odenn_run.py").write_text(code, encoding="utf-8")
    control.emit(summary(solution, seconds=time.perf_counter() - started))
    return {"solved": solved}


def _failed(control: Control, error: Exception, field: str | None, upload: Path | None = None) -> Event:
    if not is_deliberate(error):
        raise error
    message = in_page_words(str(error))
    if upload is not None:
        message = message.replace(repr(str(upload)), "the CSV file")
    where = {name: getattr(error, name, None) for name in ("line", "column")}
    control.emit({"event": "failed", "message": message, "field": field, "kind": "input", **where})
    return {}


class _Progress:
    """Passes on what a run reports, a few times a second, and asks it to stop."""

    def __init__(self, control: Control, problem: IVP, started: float) -> None:
        self._control, self._problem, self._started = control, problem, started
        self._sent = started
        self._losses: list[tuple[int, float]] = []
        self._iterations = 0

    def __call__(self, report: Report) -> bool:
        if report.record is not None:
            self._iterations += 1
            self._losses.append((self._iterations, report.record.loss))
        now = time.perf_counter()
        if now - self._sent >= BETWEEN:
            self._sent = now
            losses, self._losses = thinned(self._losses, 50), []
            self._control.emit(
                {
                    "event": "progress",
                    "fraction": report.fraction,
                    "windows": report.windows,
                    "seconds": now - self._started,
                    "losses": [[k, number(loss)] for k, loss in losses],
                    "hint": None if report.hint is None else in_page_words(str(report.hint)),
                    **so_far(report, self._problem),
                }
            )
        return self._control.stop_asked()


def verify(argument: Event, control: Control) -> None:
    """Compare a run with the exact solution, or with an independent solver."""
    import odenn
    from odenn.verify import VerificationError

    solution = odenn.load(argument["path"])
    try:
        verification = solution.verify(seconds=VERIFY_SECONDS)
    except VerificationError as error:
        control.emit({"event": "verified", "source": None, "message": in_page_words(str(error))})
        return
    control.emit(verified(verification))


def load(argument: Event, control: Control) -> Event:
    """Show an uploaded solution like a finished run."""
    import odenn
    from odenn.web.script import loading_script

    try:
        solution = odenn.load(argument["path"])
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) and not is_deliberate(error):
            raise
        message = str(error).replace(repr(argument["path"]), f"`{argument['name']}`")
        control.emit({"event": "failed", "message": message, "field": "upload", "kind": "input"})
        return {}
    if "folder" not in argument:  # it is only to be looked at
        return {}
    solved = covers_something(solution)
    if solved:
        control.emit(curves(solution))
    folder = Path(argument["folder"])
    solution.save(folder / "solution.odenn")
    (folder / "odenn_run.py").write_text(loading_script(argument["name"]), encoding="utf-8")
    control.emit({**summary(solution, seconds=solution.stats.seconds), "problem": stated(solution)})
    return {"solved": solved}


def table(argument: Event, control: Control) -> Event:
    """Look at an uploaded CSV file: its columns, and whether any of them holds numbers.

    Which ones are needed is not known before there are equations; other columns may hold what they like.
    """
    path = argument["path"]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = sum(1 for line in file if line.strip())
            file.seek(0)
            start = file.readline().lstrip("\ufeff")
        headers = [next(csv.reader([start], delimiter=separator), []) for separator in SEPARATORS]
    except (UnicodeDecodeError, csv.Error) as error:
        return {"message": f"this is no CSV file in UTF-8: {error}"}
    columns = [name.strip() for name in max(headers, key=len)]
    if lines < 2:
        return {"message": "this CSV file has no rows below its header"}
    if not 2 <= len(columns) <= MOST_COLUMNS:
        return {"message": f"a CSV file needs a column for the time and one for each component, got {len(columns)}"}
    refusals: list[str] = []
    for name in columns[1 : 1 + MOST_TRIED]:
        try:
            t, values = read_columns(path, [name], [])
        except csv.Error as error:
            return {"message": f"this is no CSV file: {error}"}
        except ValueError as error:
            refusals.append(str(error).replace(repr(path), "this CSV file"))
            continue
        if np.isfinite([t, values[name]]).all():
            return {"columns": columns, "rows": lines - 1}
        refusals.append(f"column {name!r} of this CSV file holds numbers that are not finite")
    return {"message": refusals[0]}


def export(argument: Event, control: Control) -> Event:
    """Write a solution in another format."""
    import odenn

    solution, path = odenn.load(argument["path"]), Path(argument["target"])
    draft = path.with_stem(f"draft-{control.number}")  # two may ask at once: the file appears when it is complete
    if path.suffix == ".csv":
        solution.to_csv(draft, CSV_POINTS)
    elif path.suffix == ".onnx":
        try:
            solution.export_onnx(draft)
        except (ValueError, ImportError) as error:
            if not is_deliberate(error):
                raise
            return {"message": str(error)}
    else:
        solution.plot().savefig(draft)
    draft.replace(path)
    return {"written": True}


def warm(argument: Event, control: Control) -> None:
    """Import what the first job would wait for."""
    read_equations("y' = -k*y; y(0) = 1", "", {"k": 1.0}, [0.0, 1.0])
    if argument["torch"]:
        from importlib import import_module

        import_module("odenn.methods.residual")
        import_module("odenn.methods.data_fit")


JOBS: dict[str, Callable[[Event, Control], Event | None]] = {
    "read": read,
    "solve": solve,
    "verify": verify,
    "load": load,
    "table": table,
    "export": export,
    "warm": warm,
}
