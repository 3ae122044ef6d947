"""The commands that set methods and structures side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

import odenn
from odenn import Report
from odenn.cli import _options as options
from odenn.cli._failures import INTERRUPTED, UNSOLVED, UsageError, reported, say, user_mistakes
from odenn.cli._figures import plain_number
from odenn.cli._files import check_outputs, whole
from odenn.cli._methods import MethodName, OptimizerName, windows_of
from odenn.cli._problems import file_of_equations, stated_problem
from odenn.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from odenn.searching import Tried

STRUCTURE = "Structures"
# What shells complete, known without importing torch or SciPy.
ACTIVATIONS = ("tanh", "sin", "silu", "gelu", "softplus", "elu", "relu")
METHODS = (
    "collocation", "collocation-tanh", "collocation-sin", "residual", "data-fit", "RK23", "RK45", "DOP853", "Radau",
    "BDF", "LSODA",
)  # fmt: skip


def _completed(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Completes the last of several names by commas.

    >>> _completed(("tanh", "sin", "silu"))("tanh,s")
    ['tanh,sin', 'tanh,silu']
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


Methods = Annotated[
    str | None,
    Option(
        metavar="NAMES",
        help="Some of collocation, collocation-tanh, collocation-sin, residual, data-fit, RK23, RK45, DOP853, Radau, "
        "BDF, LSODA, by commas.",
        show_default="all but sin, RK23, RK45, BDF",
        autocompletion=_completed(METHODS),
    ),
]
Rtols = Annotated[
    list[str] | None,
    Option(
        "--rtol",
        metavar="RTOL",
        help="Relative tolerances, by commas or by repeating it: a curve each.",
        show_default="1e-6",
    ),
]
Budget = Annotated[
    float | None, Option(metavar="SECONDS", help="Budget of each method, and of the reference.", show_default=False)
]
ErrorsPlot = Annotated[
    Path | None, Option(metavar="FILE", help="Picture of the errors over the span.", rich_help_panel=options.OUTPUT)
]
Counts = Annotated[str, Option(metavar="NUMBERS", help="By commas, or a range such as 1-6.", rich_help_panel=STRUCTURE)]
Activations = Annotated[
    str,
    Option(
        metavar="NAMES",
        help=f"Of {', '.join(ACTIVATIONS)}, by commas.",
        rich_help_panel=STRUCTURE,
        autocompletion=_completed(ACTIVATIONS),
    ),
]
Optimizers = Annotated[
    str,
    Option(
        metavar="NAMES",
        help=f"Of {', '.join(OptimizerName)}, by commas.",
        rich_help_panel=STRUCTURE,
        autocompletion=_completed(tuple(OptimizerName)),
    ),
]
Csv = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Write the table, all rows, in full precision.",
        show_default=False,
        rich_help_panel=options.OUTPUT,
    ),
]


def compare(
    equations: options.Equations,
    span: options.Span,
    initial: options.Initial = None,
    param: options.Param = None,
    methods: Methods = None,
    rtol: Rtols = None,
    seconds: Budget = None,
    device: options.Device = None,
    plot: options.Plot = None,
    plot_errors: ErrorsPlot = None,
    csv: Csv = None,
    json: options.Json = False,
) -> None:
    """Solve by several methods, SciPy's among them; print errors, times and work.

    [bold]Examples[/bold]

    odenn compare "y'' = -y; y(0) = 0, y'(0) = 1" --span 0 10 --methods collocation,residual,LSODA

    odenn compare "y' = -y; y(0) = 1" --span 0 5 --rtol 1e-4,1e-8 --plot work-precision.png

    [bold]Exit codes[/bold] 0 a method came to the end within its tolerance, by its own account (SciPy's is that of each
    step); 1 none did; 2 a mistake in the call; 130 interrupted, with what was done by then.
    """
    with reported():
        check_outputs(
            {"--plot": plot, "--plot-errors": plot_errors, "--csv": csv},
            {"the equations": file_of_equations(equations)},
        )
        tolerances = [
            plain_number(text, f"--rtol takes numbers by commas, such as 1e-4,1e-8, got {given!r}")
            for given in rtol or ["1e-6"]
            for text in given.split(",")
        ]
        problem = stated_problem(equations, span, initial, param)
        with user_mistakes(), _status() as show:
            show("looking for a reference")
            result = odenn.compare(
                problem,
                None if methods is None else _words(methods, "--methods", "collocation,LSODA"),
                rtol=tolerances,
                seconds=seconds,
                device=device,
                progress=lambda name, rtol, report: show(*_comparing(name, rtol, report)),
            )
        _write(csv, result.to_csv)
        _draw(plot, result.plot)
        _draw(plot_errors, result.plot_errors)
        _print(dumps(result.as_dict(), allow_nan=False) if json else str(result))
        if result.interrupted:
            say(f"interrupted after {len(result.entries)} of {counted(result.asked, 'run')}")
            raise Exit(INTERRUPTED)
        if not result.success:
            raise Exit(UNSOLVED)


def search(
    equations: options.Equations,
    span: options.Span,
    initial: options.Initial = None,
    param: options.Param = None,
    depth: Counts = "1-6",
    width: Counts = "8,16,32,64",
    activation: Activations = "tanh,sin",
    optimizer: Optimizers = "lm",
    method: Annotated[
        MethodName, Option(metavar="METHOD", help="residual or data-fit.", rich_help_panel=options.METHOD)
    ] = MethodName.residual,
    windows: options.Windows = None,
    device: options.Device = None,
    rtol: Annotated[float, Option(help="What the trainings aim at.", rich_help_panel=options.ACCURACY)] = 1e-8,
    trials: Annotated[
        int | None, Option(metavar="NUMBER", help="How many structures to try.", show_default="all")
    ] = None,
    seconds: Annotated[
        float | None, Option(metavar="SECONDS", help="Budget of all trainings together.", show_default=False)
    ] = None,
    processes: Annotated[int, Option(metavar="NUMBER", help="Trials at a time.")] = 1,
    storage: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="Journal file, or sqlite:///FILE: a search that was ended goes on from there.",
            show_default=False,
        ),
    ] = None,
    plot: options.Plot = None,
    csv: Csv = None,
    json: options.Json = False,
) -> None:
    """Train networks of many structures; say which does best, and what mattered.

    [bold]Example[/bold]

    odenn search "y'' = -y; y(0) = 0, y'(0) = 1" --span 0 10 --depth 1-3 --width 8,32 --processes 2 --storage s.journal
    """
    with reported():
        check_outputs({"--plot": plot, "--csv": csv}, {"the equations": file_of_equations(equations)})
        problem = stated_problem(equations, span, initial, param)
        if method is MethodName.collocation:
            raise UsageError("--method takes residual or data-fit here: collocation has no structure to search")
        kind = odenn.Residual if method is MethodName.residual else odenn.DataFit
        with user_mistakes(), _status() as show:
            show("looking for windows and a reference")
            found = odenn.search(
                problem,
                depth=_counts(depth, "--depth", "1-3"),
                width=_counts(width, "--width", "8,32"),
                activation=_words(activation, "--activation", "tanh,sin"),
                optimizer=_words(optimizer, "--optimizer", ",".join(OptimizerName)),
                method=kind(windows="auto" if windows is None else windows_of(windows), device=device or "auto"),
                rtol=rtol,
                trials=trials,
                seconds=seconds,
                storage=storage,
                processes=processes,
                progress=_Searching(show),
            )
        _write(csv, found.to_csv)
        _draw(plot, found.plot)
        _print(dumps(found.as_dict(), allow_nan=False) if json else str(found))
        if found.ended == "interrupted":
            go_on = f"the same command goes on from {storage}" if storage else "give --storage FILE to be able to go on"
            say(f"interrupted after {len(found.tried)} of {found.asked}; {go_on}")
            raise Exit(INTERRUPTED)


def _comparing(name: str, rtol: float, report: Report | None) -> tuple[str, str]:
    reached = "" if report is None else f", {100 * report.fraction:.0f} % of the span"
    return f"{name} at rtol {rtol:g}", reached


class _Searching:
    """Says how far a search is."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show

    def __call__(self, done: int, total: int, tried: Tried) -> None:
        reached = f"error {tried.error:.1e}" if math.isfinite(tried.error) else tried.status
        self.show(f"{done} of {total}: {tried.structure}, {reached}")


def _words(text: str, option: str, example: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"{option} takes names by commas, such as {example}, got {text!r}")
    return words


def _counts(text: str, option: str, example: str) -> list[int]:
    """
    >>> _counts("1-3", "--depth", ""), _counts("8,32", "--width", "")
    ([1, 2, 3], [8, 32])
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else True)) or len(first) > 4 or len(last) > 4:
            raise UsageError(f"{option} takes whole numbers by commas or a range, such as {example}, got {text!r}")
        if dash and int(first) > int(last):
            raise UsageError(f"{option} takes ranges from the smaller to the larger number, got {part.strip()!r}")
        found.extend(range(int(first), int(last or first) + 1))
    return found


@contextmanager
def _status() -> Generator[Callable[..., None]]:
    """Says on a terminal what is going on, and as a second text how far it is: in one line, or one after the other.

    The latter where colours are not wanted (NO_COLOR) or the terminal cannot move its cursor.
    """
    from odenn.cli._console import Output

    console, said = Output(stderr=True), ""
    status = None if console.plain or not console.is_terminal else console.status("")

    def show(text: str, detail: str = "") -> None:
        nonlocal said
        if status is not None:
            status.update(text + detail)
        elif console.is_terminal and text != said:
            console.paragraph(text)
        said = text

    with status or nullcontext():
        yield show


def _write(path: Path | None, write: Callable[[Path], None]) -> None:
    if path is not None:
        with user_mistakes(), whole(path) as draft:
            write(draft)


def _draw(path: Path | None, figure: Callable[[], Figure]) -> None:
    _write(path, lambda draft: figure().savefig(draft))


def _print(text: str) -> None:
    from odenn.cli._console import Output

    Output().verbatim(text)
