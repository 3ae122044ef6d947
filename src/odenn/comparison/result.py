"""What a comparison found: a table, pictures, files."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odenn.problem import IVP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

COLUMNS = ("method", "rtol", "error", "estimate", "seconds", "evaluations", "windows", "weights", "status")


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One method at one tolerance."""

    name: str
    rtol: float
    success: bool
    status: str
    message: str
    error: float
    """Largest true error, relative to the component's largest value; of the part that was covered."""
    estimate: float | None
    """Largest error that the method itself estimates, likewise; None where it estimates none."""
    covered: float
    """Fraction of the times that it came to."""
    seconds: float
    """Wall time, the median where a run is short enough to be repeated."""
    evaluations: int
    """Of the right-hand side, at single times."""
    windows: int | None
    weights: int | None
    errors: Array
    """(k,) relative error over the times of the comparison; NaN where it did not come to."""

    def row(self) -> dict[str, Any]:
        """The figures by name, for tables and files; None where there is none."""
        return {
            "method": self.name,
            "rtol": self.rtol,
            "error": self.error if math.isfinite(self.error) else None,
            "estimate": self.estimate if self.estimate is None or math.isfinite(self.estimate) else None,
            "seconds": self.seconds,
            "evaluations": self.evaluations,
            "windows": self.windows,
            "weights": self.weights,
            "status": self.status if self.covered == 1.0 else f"{self.status}, {100 * self.covered:.0f} % covered",
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods side by side; `print` shows the table.

    Attributes
    ----------
    reference, accuracy
        What the errors were taken against, and its own relative error, estimated.
    t
        (k,) times at which they were taken.
    entries
        One for each method and tolerance, in the order asked.
    """

    problem: IVP
    reference: str
    accuracy: float
    t: Array
    entries: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"<Comparison of {len({entry.name for entry in self.entries})} methods; print it for the table>"

    def __str__(self) -> str:
        rows = [COLUMNS, *(tuple(cells(entry)) for entry in self.entries)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        left = (0, len(COLUMNS) - 1)
        lines = [
            "  ".join(
                cell.ljust(width) if k in left else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", self.footnote()])

    def footnote(self) -> str:
        """What the errors were taken against."""
        return (
            f"Errors relative to each component's largest value, at {self.t.size} times, against {self.reference} "
            f"(itself good to {self.accuracy:.1g})."
        )

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "reference": self.reference,
            "reference_accuracy": self.accuracy,
            "entries": [{**entry.row(), "success": entry.success, "message": entry.message} for entry in self.entries],
        }

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table; empty cells where a method has no such figure."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(list(entry.row().values()) for entry in self.entries)

    def plot(self) -> Figure:
        """Work and precision: time against true error, one curve or point for each method."""
        from odenn.comparison.pictures import work_precision

        return work_precision(self)

    def plot_errors(self) -> Figure:
        """True relative errors over the span, at the finest tolerance."""
        from odenn.comparison.pictures import errors_over_span

        return errors_over_span(self)


def cells(entry: Entry) -> list[str]:
    """A row of the table as text."""
    row = entry.row()
    return [
        row["method"],
        f"{entry.rtol:.0e}",
        _figure(row["error"]),
        _figure(row["estimate"]),
        _seconds(entry.seconds),
        f"{entry.evaluations:,}" if entry.evaluations else "-",
        _count(entry.windows),
        _count(entry.weights),
        row["status"],
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
