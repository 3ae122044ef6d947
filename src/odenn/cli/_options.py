"""Arguments and options of `odenn solve`: what each takes, and its line in the help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from odenn.cli._files import checked_output, checked_picture

ACCURACY, METHOD, OUTPUT = "Accuracy", "Method", "Output"  # headings in the help


class NetworkName(StrEnum):
    """Hidden units that the command line offers."""

    legendre = "legendre"
    tanh = "tanh"
    sin = "sin"


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
    tuple[float, float],
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

Network = Annotated[NetworkName, Option(help="Hidden units of the network.", rich_help_panel=METHOD)]
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
MaxSeconds = Annotated[
    float | None,
    Option(metavar="SECONDS", help="Stop after this time.", show_default="never", rich_help_panel=METHOD),
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
        callback=checked_picture,
        help="Write a picture: .png, .pdf, .svg, ...",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Save = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        callback=checked_output,
        help="Write the solution as a file for `odenn show` and odenn.load.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Csv = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        callback=checked_output,
        help="Write times, components and errors in full precision.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[bool, Option("--json", help="Print one JSON object in place of the table.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print how it ended, but no table.", rich_help_panel=OUTPUT)]
