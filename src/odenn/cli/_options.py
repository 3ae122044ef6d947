"""Arguments and options of the commands: what each takes, and its line in the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from odenn.cli._methods import MethodName, OptimizerName

# Headings in the help.
ACCURACY, METHOD, TRAINING, OUTPUT = "Accuracy", "Method", "Training (methods residual and data-fit)", "Output"

Equations = Annotated[
    str,
    Argument(
        metavar="EQUATIONS",
        help="Equations and initial conditions, between commas, semicolons or newlines. [bold]-[/bold] reads them from "
        "stdin, [bold]@FILE[/bold] from a file. If they begin with a minus, put [bold]--[/bold] before them.",
        show_default=False,
    ),
]
Span = Annotated[
    tuple[str, str],
    Option(metavar="START END", help="Where to solve; an end before the start means backwards.", show_default=False),
]
Initial = Annotated[
    list[str] | None,
    Option(
        metavar='"y(0)=1"',
        help="Initial conditions, if EQUATIONS has none; several by commas or by repeating it.",
        show_default=False,
    ),
]
Param = Annotated[
    list[str] | None,
    Option(metavar="NAME=VALUE", help="Value of a parameter, such as k=2. Repeatable.", show_default=False),
]

Rtol = Annotated[
    float, Option(help="Tolerance on the global error, relative to the solution.", rich_help_panel=ACCURACY)
]
Atol = Annotated[
    list[float] | None,
    Option(
        help="Absolute tolerance added to it, one, or repeated for each component.",
        show_default="next to none",
        rich_help_panel=ACCURACY,
    ),
]
Verify = Annotated[
    bool,
    Option("--verify", help="Compare with an exact or an independent solution as well.", rich_help_panel=ACCURACY),
]

Method = Annotated[
    MethodName,
    Option(
        metavar="METHOD",
        help="collocation solves for output weights; residual trains networks until the equation holds, data-fit until "
        "they meet data.",
        rich_help_panel=METHOD,
    ),
]
Network = Annotated[
    str | None,
    Option(
        metavar="NETWORK",
        help="For collocation legendre, tanh or sin; to train, hidden layers such as 32x5:tanh (five of 32) or "
        "64-32-16:sin.",
        show_default="legendre; 32x5:tanh",
        rich_help_panel=METHOD,
    ),
]
Seconds = Annotated[
    float | None,
    Option(
        metavar="SECONDS",
        help="Stop after this time, with what was reached.",
        show_default="never",
        rich_help_panel=METHOD,
    ),
]
Stiff = Annotated[
    bool | None,
    Option(
        "--stiff/--no-stiff",
        help="Solve all windows implicitly, or none.",
        show_default="decided on the way",
        rich_help_panel=METHOD,
    ),
]
Compile = Annotated[
    bool,
    Option("--compile", help="Compile with Numba: pays for long solves only.", rich_help_panel=METHOD),
]
Device = Annotated[
    str | None,
    Option(
        metavar="DEVICE",
        help="Where networks are trained: auto, cpu, cuda, cuda:1, ...",
        show_default="auto",
        rich_help_panel=METHOD,
    ),
]
Seed = Annotated[
    int | None,
    Option(metavar="N", help="Of the random weights.", show_default="0", rich_help_panel=METHOD),
]

Optimizer = Annotated[
    OptimizerName | None,
    Option(
        help="Levenberg-Marquardt, Adam or L-BFGS.",
        show_default="lm",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None,
    Option(
        min=1,
        metavar="N",
        help="Iterations for each network, at most.",
        show_default="100 of lm, 2000 of the others",
        rich_help_panel=TRAINING,
    ),
]
LearningRate = Annotated[
    float | None,
    Option("--lr", metavar="RATE", help="Of adam and lbfgs.", show_default="1e-3; 1", rich_help_panel=TRAINING),
]
Windows = Annotated[
    str | None,
    Option(
        metavar="auto|N",
        help="A network for each: lengths by error control, or N equal ones.",
        show_default="auto",
        rich_help_panel=TRAINING,
    ),
]
Stages = Annotated[
    int | None,
    Option(
        metavar="N",
        help="Networks for each window, each for the error of those before (residual).",
        show_default="1",
        rich_help_panel=TRAINING,
    ),
]
TrainingPoints = Annotated[
    int | None,
    Option(
        metavar="N",
        help="Where the equation must hold, for each window; more are added where needed (residual).",
        show_default="16",
        rich_help_panel=TRAINING,
    ),
]
Data = Annotated[
    str | None,
    Option(
        metavar="SOURCE",
        help="euler:STEP, rk4:STEP, reference, or a CSV file with the time first and columns named as the components "
        "(data-fit).",
        show_default="reference",
        rich_help_panel=TRAINING,
    ),
]

Checkpoint = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Where a training that is stopped can go on: the same command resumes it.",
        show_default=False,
        rich_help_panel=TRAINING,
    ),
]

Points = Annotated[
    int,
    Option(
        min=2,
        max=1_000_000,
        metavar="ROWS",
        help="Rows of the table, the CSV file and the JSON.",
        rich_help_panel=OUTPUT,
    ),
]
Plot = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Write a picture: .png, .pdf, .svg, ...",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Save = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Write the solution as a file for `odenn show` and odenn.load.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Csv = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Write times, components and errors in full precision.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[bool, Option("--json", help="Print one JSON object in place of the table.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print how it ended, but no table.", rich_help_panel=OUTPUT)]
