"""What a worker process does: it reads, solves, verifies, loads and draws, one job after the other.

`python -m odenn.web.jobs` takes one JSON object a line from its standard input, {"job": 7, "kind": "solve", ...}, and
answers with lines of JSON: {"event": ...} for the page, and at last {"done": 7, ...}, which is for the server.
{"stop": 7} asks it to end job 7 and keep what it has. It ends when its input does: a worker never outlives the server.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odenn.deliberate import is_deliberate
from odenn.methods.csv_table import SEPARATORS, read_columns
from odenn.methods.outcome import Report
from odenn.web.specification import Limits, Specification

if TYPE_CHECKING:
    from odenn import IVP, Solution
    from odenn.verify import Verification

Array = NDArray[np.float64]
Event = dict[str, Any]

POINTS, FEWEST_POINTS, MOST_POINTS = 601, 101, 2001  # times of a curve
POINTS_OF_WINDOW = 20  # a curve of many windows has many bends
MOST_VALUES = 40_000  # of all components together
TABLE = 11
BETWEEN = 0.2  # seconds between two reports of progress
MOST_LOSSES = 1000
MOST_ENDS = 500  # of windows
MOST_COLUMNS, MOST_TRIED = 200, 10  # of a CSV file; that are looked at for numbers
MISSING = 30  # names that are offered as parameters at once
VERIFY_SECONDS = 10.0


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
    control.emit({"event": "read", **_read(**argument)})


def _read(equations: str, initial: str, params: dict[str, float], span: list[float]) -> Event:
    import odenn
    from odenn.equations import EquationError, parse_system

    given, missing = dict(params), list[str]()
    mathml: str | None = None
    while True:
        try:
            system = parse_system(equations, initial=initial or None, parameters=given)
            mathml = _mathml(system.latex())
            problem = odenn.IVP(system, span=(span[0], span[1]))
            mathml = _mathml(problem.latex())
        except EquationError as error:
            if error.unused in given:  # a parameter that is no longer there
                del given[error.unused]
                continue
            if error.unknown is not None and error.unknown not in given and len(missing) < MISSING:
                missing.append(error.unknown)
                given[error.unknown] = 1.0
                continue
            return {**_mistake(error, _blamed(error, equations, initial, given)), "missing": missing, "mathml": mathml}
        except (ValueError, TypeError) as error:
            if not is_deliberate(error):
                raise
            return {**_mistake(error, _field_of_problem(error)), "missing": missing, "mathml": mathml}
        if missing:
            named = ", ".join(missing)
            what = f"`{named}` has no value yet" if len(missing) == 1 else f"{named} have no values yet"
            return {"ok": False, "message": what, "line": None, "column": None, "missing": missing, "mathml": mathml}
        return {
            "ok": True,
            "mathml": mathml,
            "independent": system.independent,
            "names": list(system.names),
            "orders": list(system.orders),
            "parameters": dict(system.parameters),
            "ranges": {name: slider_range(value) for name, value in system.parameters.items()},
        }


def slider_range(value: float) -> list[float]:
    """Where a slider of a parameter begins and ends.

    >>> slider_range(2.0), slider_range(0.0), slider_range(-0.5)
    ([0.0, 4.0], [-1.0, 1.0], [-1.0, 0.0])
    """
    if value == 0 or not math.isfinite(2 * value):
        return [-1.0, 1.0]
    return [0.0, 2 * value] if value > 0 else [2 * value, 0.0]


def _mathml(latex: str) -> str:
    from latex2mathml.converter import convert

    return convert(latex.replace("{aligned}", "{align*}"), display="block")


def _mistake(error: Exception, field: str) -> Event:
    """What a mistake of the user looks like on the page."""
    where = {"line": getattr(error, "line", None), "column": getattr(error, "column", None)}
    return {"ok": False, "message": in_page_words(str(error)), "field": field, **where}


def _blamed(error: Exception, equations: str, initial: str, params: Mapping[str, float]) -> str:
    """The field that is wrong: conditions, where the equations alone do not make the same mistake."""
    from odenn.equations import EquationError, parse_system

    try:
        parse_system(equations, parameters=params)
    except EquationError as other:
        return "equations" if str(other) == str(error) else "initial"
    return "initial"


def _field_of_problem(error: Exception) -> str:
    """The field that makes no problem of equations that could be read."""
    if "`span`" in str(error):
        return "span"
    return "initial" if str(error).startswith("initial values") else "equations"


_WORDS = (  # what messages for Python and the command line say, and the page
    (r"give it a value as a parameter: params=\{.*?\} \(Python\) or --param \S+ \(command line\)", "give it a value"),
    (
        r"among the equations, or as initial='\.\.\.' \(Python\) or --initial '\.\.\.' \(command line\)",
        "among the equations, or as initial conditions",
    ),
    (r"raise max_windows or max_seconds of the method", "raise the time limit"),
    (r"read solution\.error\(t\) for what was reached", "see the error for what was reached"),
    (r"LevenbergMarquardt\(\)", "Levenberg-Marquardt"),
    (r"TorchOptimiser\(\)", "Adam"),
    (r"\(RK4, Reference\(\)\)", "(Runge-Kutta 4, the reference)"),
    (r"Reference\(\)", "the reference"),
)


def in_page_words(text: str) -> str:
    """A message that is written for Python and the command line, for readers of the page."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


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
        field = _blamed(error, specification.equations, specification.initial, specification.params)
        return _failed(control, error, field)
    except (ValueError, TypeError) as error:
        return _failed(control, error, _field_of_problem(error))
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
            progress=_Progress(control, started),
        )
    except (ValueError, TypeError) as error:
        return _failed(control, error, _field_of_option(str(error)), upload)
    solved = _covers_something(solution)
    if solved:
        control.emit(_curves(solution))
        solution.save(folder / "solution.odenn")
    code = script(specification, method, solution, None if upload is None else argument["upload_name"])
    (folder / "odenn_run.py").write_text(code, encoding="utf-8")
    control.emit(_summary(solution, seconds=time.perf_counter() - started))
    return {"solved": solved, "success": solution.success}


def _failed(control: Control, error: Exception, field: str | None, upload: Path | None = None) -> Event:
    if not is_deliberate(error):
        raise error
    message = in_page_words(str(error))
    if upload is not None:
        message = message.replace(repr(str(upload)), "the CSV file")
    where = {name: getattr(error, name, None) for name in ("line", "column")}
    control.emit({"event": "failed", "message": message, "field": field, "kind": "input", **where})
    return {}


def _field_of_option(message: str) -> str | None:
    """The field whose option a method refused."""
    options = {"`step`": "data.step", "data": "data", "`network`": "network", "`windows`": "windows"}
    return next((field for word, field in options.items() if word in message), None)


class _Progress:
    """Passes on what a run reports, a few times a second, and asks it to stop."""

    def __init__(self, control: Control, started: float) -> None:
        self._control, self._started = control, started
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
            losses, self._losses = _thinned(self._losses, 50), []
            self._control.emit(
                {
                    "event": "progress",
                    "fraction": report.fraction,
                    "windows": report.windows,
                    "seconds": now - self._started,
                    "losses": [[k, _number(loss)] for k, loss in losses],
                    "hint": None if report.hint is None else in_page_words(str(report.hint)),
                    **_so_far(report),
                }
            )
        return self._control.stop_asked()


def _so_far(report: Report) -> Event:
    """The solution on the part of the span that is covered, and where its windows end."""
    windows = report.solution
    if windows is None:
        return {}
    right = float(windows.left[-1] + abs(windows.length[-1]))
    t = np.linspace(float(windows.left[0]), right, 201)
    with np.errstate(all="ignore"):
        y = windows.derivative(t, 0)
    return {"ends": _thinned([*_numbers(windows.left[1:]), right], MOST_ENDS), "t": _numbers(t), "y": _rows(y)}


def _thinned(items: list[Any], most: int) -> list[Any]:
    """At most so many, spread evenly, the last one included."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _curves(solution: Solution) -> Event:
    """The solution, its error estimate and its defect at times that show fast transients as well."""
    from odenn.verify import times, tolerance

    windows, problem = solution.outcome.windows, solution.problem
    wanted = min(max(POINTS, POINTS_OF_WINDOW * windows.start.size), MOST_POINTS)
    t = times(solution, min(max(MOST_VALUES // solution.n, FEWEST_POINTS), wanted))
    with np.errstate(all="ignore"):
        defect = None if problem is None else _rows(solution.residual(t))
        y, error = _rows(solution(t)), _rows(solution.error(t))
        slope, allowed = _rows(solution.derivative(t)), _rows(tolerance(solution, t))
    return {
        "event": "solution",
        "t": _numbers(t),
        "y": y,
        "derivative": slope,
        "error": error,
        "tolerance": allowed,
        "residual": defect,
        "names": list(solution.names),
        "independent": solution.independent,
        "span": list(solution.span if problem is None or problem.span is None else problem.span),
        "windows": _numbers(windows.start + windows.length),
    }


def _summary(solution: Solution, *, seconds: float) -> Event:
    solved = _covers_something(solution)
    network = solution.outcome.windows
    return {
        "event": "summary",
        "success": solution.success,
        "status": solution.status.name,
        "message": in_page_words(solution.message),
        "rtol": solution.rtol,
        "asked": solution.rtol,
        "reached": _reached(solution) if solved else None,
        "seconds": seconds,
        "stats": asdict(solution.stats),
        "network": network.kind if solved else None,
        "parameters": network.size,
        "training": _training(solution),
        "table": _table(solution) if solved else None,
        "problem": _stated(solution),
        "downloads": downloads() if solved else ["py"],
    }


def downloads() -> list[str]:
    """Formats that a solution can be had in."""
    from importlib.util import find_spec

    onnx = ["onnx"] if find_spec("onnx") is not None and find_spec("onnxscript") is not None else []
    return ["csv", "png", "svg", "odenn", "py", *onnx]


def _covers_something(solution: Solution) -> bool:
    left, right = solution.span
    return bool(left < right)


def _reached(solution: Solution) -> float | None:
    """The estimated error as a relative tolerance: what rtol would just have been met."""
    from odenn.verify import times, tolerance

    t = times(solution, 401)
    with np.errstate(all="ignore"):
        return _number(float(solution.rtol * np.max(solution.error(t) / tolerance(solution, t))))


def _training(solution: Solution) -> Event | None:
    training = solution.training
    if training is None:
        return None
    losses = _thinned([(k, record.loss) for k, record in enumerate(training.history, 1)], MOST_LOSSES)
    return {
        "diagnoses": [
            {
                "trouble": found.trouble.name.lower(),
                "description": found.trouble.value,
                "evidence": found.evidence,
                "remedy": in_page_words(found.trouble.remedy),
            }
            for found in training.diagnoses
        ],
        "data_error": _number(training.data_error),
        "fit_error": _number(training.fit_error),
        "losses": [[k, _number(loss)] for k, loss in losses],
    }


def _table(solution: Solution) -> Event:
    t = solution.grid(TABLE)
    return {"t": _numbers(t), "y": _rows(solution(t)), "error": _rows(solution.error(t))}


def _stated(solution: Solution) -> Event | None:
    """The problem as the page states it; None where it was a Python function."""
    problem = solution.problem
    if problem is None or problem.system is None or problem.span is None:
        return None
    system = problem.system
    return {
        "equations": system.text,
        "initial": _conditions(problem) if system.initial_values is None else "",
        "params": dict(system.parameters),
        "span": list(problem.span),
    }


def _conditions(problem: IVP) -> str:
    """Initial conditions as text, where the equations do not bring theirs."""
    assert problem.system is not None
    names, orders = problem.system.names, problem.system.orders
    states = [(i, level) for level in range(max(orders)) for i, order in enumerate(orders) if order > level]
    place = repr(float(problem.t0 or 0.0))
    values = problem.initial.tolist()
    texts = [
        f"{names[i]}{chr(39) * level}({place}) = {value!r}" for (i, level), value in zip(states, values, strict=True)
    ]
    return ", ".join(texts)


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
    control.emit(_verified(verification))


def _verified(verification: Verification) -> Event:
    order = slice(None) if verification.t[0] <= verification.t[-1] else slice(None, None, -1)
    t = verification.t[order]
    with np.errstate(all="ignore"):
        scale = np.abs(verification.reference).max(axis=1)
        relative = np.where(scale > 0, verification.max_true / scale, verification.max_true)
    return {
        "event": "verified",
        "source": verification.method,
        "true_error": _number(float(relative.max())),
        "ratio": _number(float(np.nanmax(verification.ratio))) if np.isfinite(verification.ratio).any() else None,
        "within_tolerance": verification.within_tolerance,
        "conclusive": verification.conclusive,
        "notes": list(verification.notes),
        "message": str(verification).splitlines()[-1 - len(verification.notes)],
        "t": _numbers(t),
        "y": _rows(verification.reference[:, order]),
        "difference": _rows(verification.true_error[:, order]),
    }


def load(argument: Event, control: Control) -> Event:
    """Show an uploaded solution like a finished run."""
    import odenn
    from odenn.web.script import loading_script

    try:
        solution = odenn.load(argument["path"])
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) and not is_deliberate(error):
            raise
        message = str(error).replace(repr(argument["path"]), argument["name"])
        control.emit({"event": "failed", "message": message, "field": "upload", "kind": "input"})
        return {}
    solved = _covers_something(solution)
    if "folder" not in argument:
        return {"components": solution.n}
    if solved:
        control.emit(_curves(solution))
    folder = Path(argument["folder"])
    solution.save(folder / "solution.odenn")
    (folder / "odenn_run.py").write_text(loading_script(argument["name"]), encoding="utf-8")
    control.emit(_summary(solution, seconds=solution.stats.seconds))
    return {"solved": solved, "success": solution.success, "stated": _stated(solution) is not None}


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
    if path.suffix == ".csv":
        solution.to_csv(path, argument.get("points", 501))
    elif path.suffix == ".onnx":
        try:
            solution.export_onnx(path)
        except (ValueError, ImportError) as error:
            if not is_deliberate(error):
                raise
            return {"message": str(error)}
    else:
        solution.plot().savefig(path)
        sys.modules["matplotlib.pyplot"].close("all") if "matplotlib.pyplot" in sys.modules else None
    return {"written": True}


def warm(argument: Event, control: Control) -> None:
    """Import what the first job would wait for."""
    _read("y' = -k*y; y(0) = 1", "", {"k": 1.0}, [0.0, 1.0])
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


def _numbers(row: Array) -> list[float | None]:
    """A row as JSON has it, which knows neither infinity nor NaN."""
    values: list[Any] = np.asarray(row, dtype=float).tolist()
    return values if np.isfinite(row).all() else [_number(value) for value in values]


def _rows(array: Array) -> list[list[float | None]]:
    return [_numbers(row) for row in array]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def main() -> None:
    """Do jobs until the input ends."""
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not get among the answers
    _limit(memory_mb=int(sys.argv[1]), niceness=int(sys.argv[2]))
    try:
        Worker(commands, answers).run()
    except BaseException:  # of the line itself: the server starts another worker
        traceback.print_exc()
    os._exit(1)  # an orderly end would wait for the thread that reads


class Worker:
    """Takes jobs from a stream of lines and writes answers to another."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._jobs: SimpleQueue[Event] = SimpleQueue()
        self._control: Control | None = None
        self._stops: deque[int] = deque(maxlen=1)

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            job = self._jobs.get()
            control = Control(job["job"], self._write)
            self._control = control
            control.stopped = job["job"] in self._stops
            self._write({"done": job["job"], **self._done(job, control)})

    def _done(self, job: Event, control: Control) -> Event:
        try:
            return JOBS[job["kind"]](job["argument"], control) or {}
        except Exception as error:  # said to the user, ours written down for us, and the next job is done
            if _is_out_of_memory(error):
                message = f"the run was ended: it needs more memory than {sys.argv[1]} MB, the limit of one run"
                return {"failure": {"event": "failed", "message": message, "kind": "limit"}}
            traceback.print_exc()
            message = f"an error of odenn's own, please report it: {type(error).__name__}: {error}"[:500]
            return {"failure": {"event": "failed", "message": message, "kind": "internal"}}

    def _listen(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if "stop" in command:
                self._stops.append(command["stop"])
                if self._control is not None and self._control.number == command["stop"]:
                    self._control.stopped = True
            else:
                self._jobs.put(command)
        os._exit(0)  # the server is gone

    def _write(self, event: Event) -> None:
        self._answers.write(json.dumps(event, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        self._answers.flush()


def _is_out_of_memory(error: Exception) -> bool:
    """NumPy raises MemoryError, torch a RuntimeError that only its words tell from others."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def _limit(*, memory_mb: int, niceness: int) -> None:
    """Refuse single allocations beyond the limit; what grows slowly is watched by the server."""
    try:
        import resource
    except ImportError:  # Windows
        return
    os.nice(niceness)
    size = memory_mb * 2**20
    with suppress(ValueError, OSError):  # a limit of the system's own is lower
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main()
