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
from odenn.verify import known_errors
from odenn.wording import counted

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
    """Largest true error, relative to the component's largest value, of the part that was solved; NaN if none was."""
    accuracy: float
    """The reference's own error, likewise: a smaller `error` says only that the true one is about as small as that."""
    estimate: float | None
    """Largest error that the method itself estimates, likewise; None where it estimates none."""
    reached: tuple[float, float]
    """(left, right) ends of what it solved."""
    span: tuple[float, float]
    """What was asked."""
    independent: str
    seconds: float
    """Wall time, the median where a run is short enough to be repeated."""
    evaluations: int
    """Of the right-hand side, at single times."""
    windows: int | None
    weights: int | None
    errors: Array
    """(k,) relative error over the times of the comparison; NaN where it did not come to."""

    @property
    def covered(self) -> float:
        """Share of the span, in time, that it solved."""
        return (self.reached[1] - self.reached[0]) / abs(self.span[1] - self.span[0])

    @property
    def partial(self) -> bool:
        """Whether a part of the span was left out."""
        return self.covered < 1 - 1e-12

    @property
    def ended(self) -> str:
        """Status, and how far it came if not to the end."""
        if self.covered == 0 or not self.partial:
            return self.status
        (left, right), (start, end), x = self.reached, self.span, self.independent
        if start in self.reached:
            return f"{self.status}, up to {x} = {right if end > start else left:.6g}"
        return f"{self.status}, {x} = {left:.6g} to {right:.6g}"

    def row(self) -> dict[str, Any]:
        """The figures by name, for tables and files; None where there is none."""
        return {
            "method": self.name,
            "rtol": self.rtol,
            "error": _finite(self.error),
            "estimate": _finite(self.estimate),
            "seconds": self.seconds,
            "evaluations": self.evaluations,
            "windows": self.windows,
            "weights": self.weights,
            "status": self.status,
            "covered": self.covered,
            "reference_accuracy": _finite(self.accuracy),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Methods side by side; `print` shows the table.

    Attributes
    ----------
    reference, accuracy
        What the errors were taken against, and its own relative error, estimated; "" and NaN where nothing was found.
    reference_seconds, reference_ends
        What it took to find it, and why it does not cover the whole span, if so.
    t
        (k,) times at which they were taken.
    entries
        One for each method and tolerance, in the order asked.
    asked, interrupted
        How many were to be made, and whether Ctrl-C ended it before.
    """

    problem: IVP
    reference: str
    accuracy: float
    reference_seconds: float
    reference_ends: str
    t: Array
    entries: tuple[Entry, ...]
    asked: int
    interrupted: bool = False

    def __repr__(self) -> str:
        return (
            f"<Comparison of {counted(len({entry.name for entry in self.entries}), 'method')}; print it for the table>"
        )

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
        ended = [f"Interrupted: {len(self.entries)} of {self.asked} runs were made."] if self.interrupted else []
        return "\n".join([*lines, "", self.footnote(), *self.reasons(), *ended])

    @property
    def success(self) -> bool:
        """Whether any method came to the end within its tolerance, by its own account."""
        return any(entry.success for entry in self.entries)

    def footnote(self) -> str:
        """What the errors were taken against, and where."""
        if not self.reference:
            return f"The errors are not known: {self.reference_ends}."
        x, (start, end) = self.problem.independent, (self.t[0], self.t[-1])
        where = f"at {self.t.size} times from {x} = {start:.6g} to {end:.6g}"
        lines = [
            f"Errors relative to each component's largest value, {where}, against {self.reference} "
            f"(itself good to {self.accuracy:.1g}, found in {_seconds(self.reference_seconds)})."
        ]
        if self.reference_ends:
            lines.append(f"Beyond, errors are not known: {self.reference_ends}.")
        if any(entry.partial and math.isfinite(entry.error) for entry in self.entries):
            lines.append("In brackets: of the part that was solved.")
        return "\n".join(lines)

    def reasons(self) -> list[str]:
        """Why methods did not succeed, the same reason once."""
        return list(
            dict.fromkeys(
                f"{entry.name}, rtol {entry.rtol:.0e}: {entry.message.rstrip('.')}."
                for entry in self.entries
                if not entry.success and entry.message
            )
        )

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "span": self.problem.span,
            "compared": [float(self.t.min()), float(self.t.max())] if self.reference else None,
            "reference": self.reference or None,
            "reference_accuracy": _finite(self.accuracy),
            "reference_seconds": self.reference_seconds,
            "reference_ends": self.reference_ends or None,
            "asked": self.asked,
            "interrupted": self.interrupted,
            "entries": [
                {**entry.row(), "reached": entry.reached, "success": entry.success, "message": entry.message}
                for entry in self.entries
            ],
        }

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table; empty cells where a method has no such figure."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.entries[0].row())
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
        _error(entry),
        _figure(row["estimate"]),
        _seconds(entry.seconds),
        f"{entry.evaluations:,}" if entry.evaluations else "-",
        _count(entry.windows),
        _count(entry.weights),
        entry.ended,
    ]


def _error(entry: Entry) -> str:
    """The true error as far as the reference tells it; in brackets if it is that of a part of the span."""
    if not math.isfinite(entry.error):
        return "-"
    (error,), (sign,) = known_errors(np.array([entry.error]), np.array([entry.accuracy]))
    return f"({sign}{error:.1e})" if entry.partial else f"{sign}{error:.1e}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
