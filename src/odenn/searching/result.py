"""What a search found: the best structure, what mattered, a table and pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from odenn.searching.logging import quiet
from odenn.searching.space import Structure, Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.study import Study

COLUMNS = ("depth", "width", "activation", "optimizer", "weights", "error", "seconds", "status")
ROWS = 12  # in the printed table
ALIKE = 0.5  # decades; smaller differences between medians are not called a difference


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One structure and what it reached."""

    structure: Structure
    weights: int
    error: float
    """Relative, true; of a pruned trial what it had reached by then."""
    seconds: float
    status: str
    pruned: bool

    def row(self) -> dict[str, Any]:
        """The figures by name; None where there is none."""
        return {
            "depth": self.structure.depth,
            "width": self.structure.width,
            "activation": self.structure.activation,
            "optimizer": self.structure.optimizer,
            "weights": self.weights,
            "error": self.error if math.isfinite(self.error) else None,
            "seconds": self.seconds,
            "status": "pruned" if self.pruned else self.status,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """Structures tried on a problem; `print` shows the table.

    Attributes
    ----------
    tried
        The best first.
    best
        The method with the best structure, ready for `odenn.solve(problem, method=search.best)`.
    study
        Optuna's study, for its own tools.
    notes
        How the trials were made alike.
    """

    tried: tuple[Tried, ...]
    best: Trainer
    study: Study
    notes: str

    def __repr__(self) -> str:
        return f"<Search: {len(self.tried)} structures, best {self.tried[0].structure}; print it for the table>"

    def __str__(self) -> str:
        rows = [COLUMNS, *(tuple(_cells(tried)) for tried in self.tried[:ROWS])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        if len(self.tried) > ROWS:
            lines.append(f"(the best {ROWS} of {len(self.tried)})")
        return "\n".join([*lines, "", self.sentence, self.notes])

    @property
    def medians(self) -> dict[str, dict[Any, float]]:
        """Of every parameter with more than one choice: median log10 error of each choice."""
        found: dict[str, dict[Any, float]] = {}
        for name in ("depth", "width", "activation", "optimizer"):
            groups: dict[Any, list[float]] = {}
            for tried in self.tried:
                groups.setdefault(getattr(tried.structure, name), []).append(_decades(tried))
            if len(groups) > 1:
                found[name] = {choice: float(np.median(values)) for choice, values in sorted(groups.items())}
        return found

    @property
    def sentence(self) -> str:
        """What mattered, from the medians: the parameter whose choices lie furthest apart."""
        medians = self.medians
        if not medians:
            return f"Only {self.tried[0].structure} was tried: nothing to compare."
        spread = {name: max(group.values()) - min(group.values()) for name, group in medians.items()}
        name = max(spread, key=lambda key: spread[key])
        if spread[name] < ALIKE:
            return (
                f"Nothing mattered much: between the choices of any parameter the median errors differ by at most "
                f"a factor of {10 ** spread[name]:.2g}."
            )
        group = medians[name]
        good, bad = min(group, key=lambda choice: group[choice]), max(group, key=lambda choice: group[choice])
        others = {other: value for other, value in spread.items() if other != name}
        rest = f"; {_listed(others)}" if others else ""
        best, worst = (f"{10 ** group[choice]:.1e} with {_choice(name, choice)}" for choice in (good, bad))
        return f"{name.capitalize()} mattered most: the median error is {best} and {worst}{rest}."

    @property
    def importances(self) -> Mapping[str, float]:
        """Share of the variance of log10(error) that each parameter explains, by Optuna's functional ANOVA.

        Of all trials, pruned ones with what they had reached. Empty where all reached the same, or only one is there.

        F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML
        2014.
        """
        from optuna import create_study, create_trial
        from optuna.distributions import CategoricalDistribution
        from optuna.importance import get_param_importances

        scores = [_decades(tried) for tried in self.tried]
        if len(set(scores)) < 2:
            return {}
        choices = {name: CategoricalDistribution(list(group)) for name, group in self.medians.items()}
        with quiet():
            study = create_study()
            for tried, score in zip(self.tried, scores, strict=True):
                params = {name: getattr(tried.structure, name) for name in choices}
                study.add_trial(create_trial(value=score, params=params, distributions={**choices}))
            return get_param_importances(study)

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "tried": [tried.row() for tried in self.tried],
            "medians": {name: {str(c): v for c, v in group.items()} for name, group in self.medians.items()},
            "importances": dict(self.importances),
            "sentence": self.sentence,
            "notes": self.notes,
        }

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write all trials, the best first."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(list(tried.row().values()) for tried in self.tried)

    def plot(self) -> Figure:
        """Error against weights and against time, and the parameters' importances."""
        from odenn.searching.pictures import overview

        return overview(self)


def _decades(tried: Tried) -> float:
    return math.log10(min(max(tried.error, 1e-16), 1e6))


def _choice(name: str, value: Any) -> str:
    return f"{name} {value}" if name in ("depth", "width") else str(value)


def _listed(spread: dict[str, float]) -> str:
    parts = [f"{name} a factor of {10**value:.2g}" for name, value in sorted(spread.items(), key=lambda kv: -kv[1])]
    return "the choices of " + ", of ".join(parts)


def _cells(tried: Tried) -> list[str]:
    row = tried.row()
    error = "-" if row["error"] is None else f"{row['error']:.1e}"
    return [
        str(row["depth"]), str(row["width"]), row["activation"], row["optimizer"], f"{tried.weights:,}", error,
        f"{tried.seconds:.3g}", row["status"],
    ]  # fmt: skip
