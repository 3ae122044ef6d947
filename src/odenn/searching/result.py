"""What a search found: the best structure, what mattered, a table and pictures."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from odenn.searching.space import NAMES, Structure, Trainer
from odenn.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.study import Study

Array = NDArray[np.float64]
Ended = Literal["", "interrupted", "the time was up"]
FINISHED, INTERRUPTED, LATE = "", "interrupted", "the time was up"

COLUMNS = (*NAMES, "weights", "error", "seconds", "status")
ROWS = 12  # in the printed table
ALIKE = 10**0.5  # errors within this factor are not called different
COMBINATIONS = "combinations"  # what no choice explains by itself


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One structure and what it reached."""

    structure: Structure
    weights: int
    error: float
    """Relative, true; of a pruned trial what it had reached by then; infinite where there is none."""
    seconds: float
    status: str
    """How the training ended; "pruned", or "refused" where it could not begin."""
    reason: str = ""
    """Of a refusal."""

    def row(self) -> dict[str, Any]:
        """The figures by name; None where there is none."""
        return {
            **{name: getattr(self.structure, name) for name in NAMES},
            "weights": self.weights,
            "error": self.error if math.isfinite(self.error) else None,
            "seconds": self.seconds,
            "status": self.status,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """Structures tried on a problem; `print` shows the table.

    Attributes
    ----------
    tried
        The best first; those without an error, which were refused or ended before the end of the span, come last.
    asked
        How many were to be tried.
    ended
        Why there are fewer: "interrupted" or "the time was up"; else empty.
    best
        The method with the best structure, ready for `odenn.solve(problem, method=search.best)`.
    study
        Optuna's study, for its own tools.
    notes
        How the trials were made alike.
    """

    tried: tuple[Tried, ...]
    asked: int
    ended: Ended
    best: Trainer
    study: Study
    notes: str

    def __repr__(self) -> str:
        return (
            f"<Search: {counted(len(self.tried), 'structure')}, best {self.tried[0].structure}; print it for the table>"
        )

    def __str__(self) -> str:
        rows = [COLUMNS, *(tuple(_cells(tried)) for tried in self.tried[:ROWS])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        if len(self.tried) > ROWS:
            lines.append(f"(the best {ROWS} of {len(self.tried)})")
        return "\n".join([*lines, "", *filter(None, (self.sentence, self.left_out, self.notes))])

    @property
    def judged(self) -> tuple[Tried, ...]:
        """Those that have an error."""
        return tuple(tried for tried in self.tried if math.isfinite(tried.error))

    @property
    def left_out(self) -> str:
        """What was not tried, or could not be, or was pruned, and why; empty where nothing was."""
        parts: list[str] = []
        if self.ended:
            when = "when it was interrupted" if self.ended == INTERRUPTED else "when the time was up"
            parts.append(f"{len(self.tried)} of {self.asked} structures were tried {when}.")
        if len(self.judged) < len(self.tried):
            parts.append(without_error([one for one in self.tried if one not in self.judged], len(self.tried)))
        pruned = sum(tried.status == "pruned" for tried in self.tried)
        if pruned:
            parts.append(f"{pruned} {_were(pruned)} pruned: their errors are those after a quarter of the iterations.")
        return " ".join(parts)

    @property
    def means(self) -> dict[str, dict[Any, float]]:
        """Of every parameter with several choices: geometric mean of the errors with each choice.

        Empty where not every combination of these choices has an error: the means would differ by the company, too.
        """
        table = self._table()
        if table is None:
            return {}
        choices, logs = table
        means = {name: 10 ** _mean_by(logs, axis) for axis, name in enumerate(NAMES)}
        return {
            name: dict(zip(choices[name], means[name].tolist(), strict=True)) for name in NAMES if means[name].size > 1
        }

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the variance of log10(error): of each parameter its main effect, the rest as "combinations".

        The analysis of variance of a full table: var(means over all else) / var(all). Empty where not every combination
        has an error, and where all errors are the same.
        """
        table = self._table()
        if table is None or not (variance := float(table[1].var())) > 0:
            return {}
        choices, logs = table
        shares = {
            name: float(_mean_by(logs, axis).var()) / variance
            for axis, name in enumerate(NAMES)
            if len(choices[name]) > 1
        }
        return {**shares, COMBINATIONS: max(1 - sum(shares.values()), 0.0)} if len(shares) > 1 else shares

    @property
    def pairs(self) -> dict[str, dict[str, float]]:
        """Of each parameter: by what `factor` the errors of two structures that differ in it alone differ (geometric
        mean), and of how many `pairs`."""
        found: dict[str, dict[str, float]] = {}
        for name in NAMES:
            groups: defaultdict[Structure, list[float]] = defaultdict(list)
            for tried in self.judged:
                groups[replace(tried.structure, **{name: None})].append(_decades(tried))
            gaps = [abs(a - b) for group in groups.values() for a, b in combinations(group, 2)]
            if gaps:
                found[name] = {"factor": float(10 ** np.mean(gaps)), "pairs": len(gaps)}
        return found

    @property
    def sentence(self) -> str:
        """What mattered, from `shares` and `means`; where not every combination has an error, from `pairs`."""
        errors = [tried.error for tried in self.judged]
        if len(errors) == 1:
            return f"Only {self.judged[0].structure} has an error: nothing to compare."
        ratio = 10 ** (_decades(self.judged[-1]) - _decades(self.judged[0]))
        if ratio < ALIKE:
            return f"Nothing mattered much: all errors lie within a factor of {_figure(ratio)}."
        return self._of_all(self.shares) if self.shares else self._of_pairs()

    def _of_all(self, shares: dict[str, float]) -> str:
        first, *others = sorted(shares, key=lambda name: -shares[name])
        rest = "".join(f", {name} for {_percent(shares[name])}" for name in others)
        account = f"accounts for {_percent(shares[first])} of the variance of the log error{rest}."
        if first == COMBINATIONS:
            return f"No choice mattered most by itself: how they are combined {account}"
        group = self.means[first]
        good, bad = min(group, key=lambda choice: group[choice]), max(group, key=lambda choice: group[choice])
        best, worst = (f"{group[choice]:.1e} with {_choice(first, choice)}" for choice in (good, bad))
        if not others:
            return f"Only choices of {first} are compared: the error is {best} and {worst}."
        return f"The {first} mattered most: it {account} The mean error (geometric) is {best} and {worst}."

    def _of_pairs(self) -> str:
        pairs = self.pairs
        if not pairs:
            return "No two of the structures differ in one choice only: what mattered cannot be told."
        parts = [
            f"{_figure(pairs[name]['factor'])} with {name} ({counted(int(pairs[name]['pairs']), 'pair')})"
            for name in sorted(pairs, key=lambda name: -pairs[name]["factor"])
        ]
        return (
            "Not every combination has an error, so only structures that differ in one choice are compared: the error "
            f"changes by a factor of {', '.join(parts)}."
        )

    def _table(self) -> tuple[dict[str, list[Any]], Array] | None:
        """The choices that have an error, and log10 of it with an axis for each parameter; None if it has gaps."""
        structures = [tried.structure for tried in self.judged]
        choices = {name: sorted({getattr(structure, name) for structure in structures}) for name in NAMES}
        logs = np.full([len(group) for group in choices.values()], np.nan)
        for tried in self.judged:
            logs[tuple(choices[name].index(getattr(tried.structure, name)) for name in NAMES)] = _decades(tried)
        return None if np.isnan(logs).any() else (choices, logs)

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON; see the properties of the same names."""
        return {
            "tried": [tried.row() for tried in self.tried],
            "asked": self.asked,
            "ended": self.ended,
            "means": {
                name: {str(choice): mean for choice, mean in group.items()} for name, group in self.means.items()
            },
            "shares": self.shares,
            "pairs": self.pairs,
            "sentence": self.sentence,
            "left_out": self.left_out,
            "notes": self.notes,
        }

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write all trials, the best first."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, "reason"])
            writer.writerows(list(tried.row().values()) for tried in self.tried)

    def plot(self) -> Figure:
        """Error against weights and against time, and each parameter's share of the variance of the log error."""
        from odenn.searching.pictures import overview

        return overview(self)


def without_error(failed: Sequence[Tried], total: int) -> str:
    """How many have no error, and why."""
    parts: list[str] = []
    refused = [tried for tried in failed if tried.status == "refused"]
    if refused:
        reasons = "; ".join(dict.fromkeys(tried.reason for tried in refused))
        parts.append(f"{len(refused)} of {total} structures could not be tried: {reasons}.")
    ended = Counter(tried.status for tried in failed if tried.status != "refused")
    if ended:
        words = ", ".join(f"{count} {status}" for status, count in ended.items())
        parts.append(f"{ended.total()} of {total} structures did not come to the end of the span: {words}.")
    return " ".join(parts)


def _decades(tried: Tried) -> float:
    return math.log10(max(tried.error, 1e-16))


def _mean_by(logs: Array, axis: int) -> Array:
    """Mean over all other axes."""
    return logs.mean(axis=tuple(other for other in range(logs.ndim) if other != axis))


def _choice(name: str, value: Any) -> str:
    return f"{name} {value}" if name in ("depth", "width") else str(value)


def _figure(factor: float) -> str:
    """
    >>> _figure(1.234), _figure(734.2), _figure(1.2e9)
    ('1.2', '730', '1.2e+09')
    """
    return f"{factor:.2g}" if not 10 <= factor < 1e6 else f"{float(f'{factor:.2g}'):,.0f}"


def _percent(share: float) -> str:
    """
    >>> _percent(0.7312), _percent(0.0071), _percent(0.0)
    ('73 %', '0.7 %', '0 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.095 or share < 5e-4 else f"{100 * share:.1f} %"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _cells(tried: Tried) -> list[str]:
    error = f"{tried.error:.1e}" if math.isfinite(tried.error) else "-"
    parameters = [str(getattr(tried.structure, name)) for name in NAMES]
    return [*parameters, f"{tried.weights:,}", error, f"{tried.seconds:.3g}", tried.status]
