"""The commands."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import odenn
from odenn import Solution
from odenn.cli import _options as options
from odenn.cli._command import EquationsCommand
from odenn.cli._doctor import bench_device, doctor
from odenn.cli._failures import UNSOLVED, UsageError, reported, say, user_mistakes
from odenn.cli._files import check_outputs, load_solution, whole
from odenn.cli._methods import Choice, MethodName, chosen_method, file_of
from odenn.cli._problems import file_of_equations, stated_problem
from odenn.cli._progress import watched
from odenn.cli._web import web
from odenn.cli._workshop import compare, search

if TYPE_CHECKING:
    from odenn.verify import Verification, VerificationError

app = typer.Typer(
    name="odenn",
    help="Solve systems of ordinary differential equations with neural networks, to the accuracy asked.",
    epilog='For example: odenn solve "y\' = -k*y; y(0) = 1" --param k=2 --span 0 10',
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command `odenn`."""
    from odenn.cli._console import tolerate_narrow_encodings

    # Nearly all that importing makes is there to stay: looking through it for garbage takes a sixth of the start-up.
    gc.set_threshold(100_000)
    tolerate_narrow_encodings()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:  # a full disk behind stdout, a home that cannot be written to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes again at its end
        if error.errno is None:  # not the system's word: a library that cannot be loaded
            raise
        say(f"{error.filename or 'stdout'}: {error.strerror}")
        sys.exit(UNSOLVED)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"odenn {odenn.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take the options that need no command."""


@app.command(no_args_is_help=True, cls=EquationsCommand)
def solve(
    equations: options.Equations,
    span: options.Span,
    initial: options.Initial = None,
    param: options.Param = None,
    rtol: options.Rtol = 1e-6,
    atol: options.Atol = None,
    verify: options.Verify = False,
    method: options.Method = MethodName.collocation,
    network: options.Network = None,
    seconds: options.Seconds = None,
    stiff: options.Stiff = None,
    compile: options.Compile = False,  # noqa: A002 - the word of odenn.solve
    device: options.Device = None,
    seed: options.Seed = None,
    optimizer: options.Optimizer = None,
    epochs: options.Epochs = None,
    lr: options.LearningRate = None,
    windows: options.Windows = None,
    stages: options.Stages = None,
    training_points: options.TrainingPoints = None,
    data: options.Data = None,
    checkpoint: options.Checkpoint = None,
    points: options.Points = 11,
    plot: options.Plot = None,
    save: options.Save = None,
    csv: options.Csv = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Solve equations; print a table with the estimated error.

    [bold]Examples[/bold]

    odenn solve "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1" --span 0 10 --rtol 1e-9

    odenn solve "x'' = mu*(1 - x^2)*x' - x; x(0) = 2, x'(0) = 0" --param mu=5 --span 0 20 --plot x.png

    odenn solve "y'' = -y; y(0) = 0, y'(0) = 1" --span 0 10 --method residual --network 32x5:tanh

    [bold]Exit codes[/bold] 0 solved, 1 not solved to the tolerance, 2 a mistake in the call.
    """
    choice = Choice(
        method=method, network=network, seconds=seconds, stiff=stiff, compile=compile or None, optimizer=optimizer,
        epochs=epochs, lr=lr, windows=windows, stages=stages, training_points=training_points, data=data, seed=seed,
        device=device, checkpoint=checkpoint,
    )  # fmt: skip
    with reported():
        check_outputs(
            {"--plot": plot, "--save": save, "--csv": csv, "--checkpoint": checkpoint},
            {"the equations": file_of_equations(equations), "the data": file_of(data)},
        )
        problem = stated_problem(equations, span, initial, param)
        absolute = atol[0] if atol is not None and len(atol) == 1 else atol
        with user_mistakes():
            how = chosen_method(choice)
            with watched(problem) as progress:
                solution = odenn.solve(
                    problem, rtol=rtol, atol=absolute, method=how, compile=compile, progress=progress,
                    checkpoint=checkpoint,
                )  # fmt: skip
        # Before anything is printed: a reader that leaves (`| head`) or a long --verify cannot keep them from the disk.
        written, failure = _write(solution, points, plot=plot, save=save, csv=csv)
        if json:
            verification = _print_json(solution, points, verify=verify)
        else:
            verification = _print(solution, points, verify=verify, table=not quiet, written=written)
            if checkpoint is not None and checkpoint.exists():  # it is removed when a training ends by itself
                typer.echo(f"To go on, give the same command again: {checkpoint} holds the state of the training.")
        if failure is not None:
            raise failure
        if not solution.success or _refutes(verification):
            raise typer.Exit(UNSOLVED)


def _write(
    solution: Solution, points: int, *, plot: Path | None, save: Path | None, csv: Path | None
) -> tuple[list[Path], UsageError | None]:
    """Write the files that were asked for, if there is anything to write; return the written ones, and what failed."""
    from odenn.cli._report import covers_something

    writers: list[tuple[Path | None, Callable[[Path], None]]] = [
        (save, solution.save),
        (csv, lambda path: solution.to_csv(path, points)),
        (plot, lambda path: solution.plot().savefig(path)),
    ]
    written: list[Path] = []
    for path, write in writers:
        if path is not None and covers_something(solution):
            try:
                with user_mistakes(), whole(path) as draft:
                    write(draft)
            except UsageError as failure:
                return written, failure
            written.append(path)
    return written, None


def _print(
    solution: Solution, points: int, *, verify: bool, table: bool, written: list[Path]
) -> Verification | VerificationError | None:
    """Print for people; return the verification, if there was one."""
    from odenn.cli._console import Output
    from odenn.cli._report import covers_something, print_table, print_verdict

    out = Output()
    if table and covers_something(solution):
        print_table(out, solution, points, hint=" (--csv and --json give all)")
        out.print()
    print_verdict(out, solution)
    if written:
        out.paragraph(f"Written: {', '.join(map(str, written))}")
    verification = _verification(solution) if verify else None
    if verification is not None:
        out.verbatim(f"\n{verification}")
    return verification


def _print_json(solution: Solution, points: int, *, verify: bool) -> Verification | VerificationError | None:
    """Print for programs; return the verification, if there was one."""
    from odenn.cli._console import Output
    from odenn.cli._report import as_json

    verification = _verification(solution) if verify else None
    Output().verbatim(as_json(solution, points, verification))
    return verification


def _verification(solution: Solution) -> Verification | VerificationError | None:
    """Compare with another solution; the error says that there is none, which says nothing against this one."""
    from odenn.cli._report import covers_something
    from odenn.verify import VerificationError

    if not covers_something(solution):
        return None
    try:
        return solution.verify()
    except VerificationError as error:
        return error


def _refutes(verification: Verification | VerificationError | None) -> bool:
    """Whether the error is known to be larger than was allowed."""
    if verification is None or isinstance(verification, Exception):
        return False
    return verification.conclusive and not verification.within_tolerance


@app.command(no_args_is_help=True)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `odenn solve --save` or `solution.save` wrote.")],
    points: options.Points = 5,
    json: options.Json = False,
) -> None:
    """Show what a saved solution holds.

    [bold]Example[/bold]

    odenn show orbit.odenn
    """
    from odenn.cli._console import Output
    from odenn.cli._report import covers_something, print_contents, print_table

    with reported():
        with user_mistakes():
            solution = load_solution(file)
        if json:
            _print_json(solution, points, verify=False)
            return
        out = Output()
        print_contents(out, solution)
        if covers_something(solution):
            out.print()
            print_table(out, solution, points)


def _zoo_names(incomplete: str) -> list[str]:
    from odenn import zoo as problems

    return [name for name in problems.names() if name.startswith(incomplete)]


@app.command()
def zoo(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="One of them, to see its equations.", show_default=False, autocompletion=_zoo_names
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """List problems with known solutions, to try odenn on.

    [bold]Example[/bold]

    odenn zoo kepler
    """
    from odenn import zoo as problems
    from odenn.cli._console import Output
    from odenn.cli._report import print_zoo, print_zoo_problem, zoo_json

    with reported():
        with user_mistakes():
            chosen = problems.all_problems() if name is None else [problems.get(name)]
        if json:
            Output().verbatim(zoo_json(chosen if name is None else chosen[0]))
        elif name is None:
            print_zoo(Output(), chosen)
        else:
            print_zoo_problem(Output(), chosen[0])


app.command(no_args_is_help=True, cls=EquationsCommand)(compare)
app.command(no_args_is_help=True, cls=EquationsCommand)(search)
app.command()(web)
app.command()(doctor)
app.command("bench-device")(bench_device)
