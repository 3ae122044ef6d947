"""A solution beside a reference: its true errors, what they say of its estimate, and whether they were allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odenn.verify.reference import EPS

Array = NDArray[np.float64]

ROWS, ROWS_IN_REPR = 8, 3  # components in a report
LENGTH = 60  # of the method in a repr


def known_errors(errors: Array, accuracy: Array) -> tuple[Array, list[str]]:
    """Errors (n,) as far as a reference of this accuracy (n,) tells them, and what is to be written before each.

    The distance to a reference that is not accurate enough says only that the error is about as small as its own.

    >>> known_errors(np.array([2e-9, 1e-13]), np.array([1e-12, 1e-12]))
    (array([2.e-09, 1.e-12]), ['', '< '])
    """
    resolved = _resolved(errors, accuracy)
    return np.where(resolved, errors, accuracy), ["" if known else "< " for known in resolved]


def _resolved(errors: Array, accuracy: Array) -> NDArray[np.bool_]:
    return (errors > accuracy) | (accuracy == 0)  # of a component that is zero the reference is exact


class VerificationError(ValueError):
    """There is no reference to compare with, within the time limit."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Verification:
    """A solution with n components beside a reference at k times.

    Attributes
    ----------
    method
        Where the reference is from: "exact: y = sin(t)", "SciPy DOP853, rtol 1e-13", ...
    t
        (k,) times.
    reference
        (n, k) values of the reference.
    reference_accuracy
        (n, k) its own error, estimated.
    true_error
        (n, k) |solution - reference|.
    estimate
        (n, k) what `solution.error(t)` says.
    tolerance
        (n, k) the error that was allowed.
    complete
        False if the reference covers a part only of what was solved.
    notes
        What else is to be known of the reference.
    """

    method: str
    names: tuple[str, ...]
    independent: str
    t: Array
    reference: Array
    reference_accuracy: Array
    true_error: Array
    estimate: Array
    tolerance: Array
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def max_true(self) -> Array:
        """(n,) largest true error; see `resolved`."""
        return self.true_error.max(axis=1)

    @property
    def max_estimate(self) -> Array:
        """(n,) largest estimate."""
        return self.estimate.max(axis=1)

    @property
    def ratio(self) -> Array:
        """(n,) largest true error / largest estimate; below 1 the estimate is on the safe side."""
        with np.errstate(all="ignore"):
            return self.max_true / self.max_estimate

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """(n,) whether the reference is accurate enough to tell the true error."""
        return _resolved(self.max_true, self.reference_accuracy.max(axis=1))

    @property
    def within_tolerance(self) -> bool:
        """Whether the true error, measured against the reference, meets the tolerance at all these times."""
        return bool((self.true_error <= self._allowed).all())

    @property
    def conclusive(self) -> bool:
        """Whether `within_tolerance` would be the same for every reference within the accuracy of this one."""
        if self.within_tolerance:
            return self.complete and bool((self.true_error + self.reference_accuracy <= self._allowed).all())
        return bool((self.true_error - self.reference_accuracy > self._allowed).any())

    @property
    def _allowed(self) -> Array:
        # Solution and reference are both rounded to double precision.
        return self.tolerance + 2 * EPS * np.abs(self.reference)

    def __repr__(self) -> str:
        if self.conclusive:
            verdict = f"{'within' if self.within_tolerance else 'beyond'} tolerance"
        else:
            verdict = "too uncertain to tell whether within tolerance"
        method = self.method.split("\n")[0]
        errors = "; ".join(
            f"{name}: relative error {relative}, true / estimate {ratio}"
            for name, _, relative, _, ratio in self._rows(ROWS_IN_REPR)
        )
        more = "; ..." if len(self.names) > ROWS_IN_REPR else ""
        return (
            f"<Verification with {method[:LENGTH]}{'...' if len(method) > LENGTH else ''}: {verdict}; {errors}{more}>"
        )

    def __str__(self) -> str:
        x = self.independent
        lines = [
            f"Compared at {self.t.size} points, {x} from {self.t[0]:.10g} to {self.t[-1]:.10g}, with",
            *(f"  {line}" for line in self.method.split("\n")),
            *self._table(),
            self._verdict(),
            *self.notes,
        ]
        return "\n".join(lines)

    def _rows(self, most: int) -> list[tuple[str, str, str, str, str]]:
        """Name, true error, that relative, estimate, true / estimate of the components nearest to the tolerance."""
        with np.errstate(all="ignore"):
            worst = np.nan_to_num((self.true_error / self._allowed).max(axis=1))
            true, signs = known_errors(self.max_true, self.reference_accuracy.max(axis=1))
            relative = true / np.abs(self.reference).max(axis=1)
            ratio = true / self.max_estimate
        rows: list[tuple[str, str, str, str, str]] = []
        for i in sorted(np.argsort(-worst, kind="stable")[:most].tolist()):
            sign = signs[i]
            rows.append(
                (
                    self.names[i],
                    f"{sign}{true[i]:.2g}",
                    _known(float(relative[i]), sign, ".2g"),
                    f"{self.max_estimate[i]:.2g}",
                    _known(float(ratio[i]), sign, ".2f" if 0.1 <= ratio[i] < 100 else ".2g"),
                )
            )
        return rows

    def _table(self) -> list[str]:
        rows = [("", "true error", "relative", "estimate", "true / estimate"), *self._rows(ROWS)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        if len(self.names) > ROWS:
            lines.append(f"(the {ROWS} of {len(self.names)} components that come nearest to the tolerance)")
        return lines

    def _verdict(self) -> str:
        with np.errstate(all="ignore"):
            used = np.nan_to_num(self.true_error / self._allowed)
        i, k = np.unravel_index(int(used.argmax()), used.shape)
        where = f"for {self.names[i]} at {self.independent} = {self.t[k]:.6g}"
        if self.within_tolerance and not self.complete:
            return f"As far as the reference goes, the true error meets the tolerance: {used[i, k]:.2g} of it {where}"
        if not self.conclusive:
            return (
                "Whether the tolerance is met cannot be told: the reference itself is good to "
                f"{self.reference_accuracy[i, k]:.2g} only, {self.tolerance[i, k]:.2g} was asked {where}"
            )
        if self.within_tolerance:
            return f"The true error meets the tolerance; it is at most {used[i, k]:.2g} times that, {where}"
        return f"The true error MISSES the tolerance: it is {used[i, k]:.2g} times that {where}"


def _known(value: float, sign: str, digits: str) -> str:
    """A quotient; a dash for 0/0."""
    return "-" if math.isnan(value) else f"{sign}{value:{digits}}"
