"""The reference is chosen well, the time limit holds, and what cannot be verified says so."""

# What is private there is tested one by one.
# pyright: reportPrivateUsage=false

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odenn
from odenn import Solution
from odenn.storage.solutions import load
from odenn.verify import VerificationError, comparison
from odenn.verify.reference import Found, Reference


def circle(*, span: tuple[float, float] = (0, 10), t0: float = 0.0, rtol: float = 1e-6) -> Solution:
    return odenn.solve(odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=span, t0=t0), rtol=rtol)


def test_formula_on_another_branch_is_rejected() -> None:
    """2 atan(...) satisfies the equation at every point and jumps between them."""
    values = np.linspace(0, 9, 10)[np.newaxis]
    right = Reference(method="SciPy", values=values, accuracy=np.full((1, 10), 1e-12))
    jumps = Reference(
        method="exact: y = atan(t)", values=np.where(values > 5, values - 6, values), accuracy=right.accuracy
    )
    chosen = comparison._chosen(jumps, Found(right, ""))
    assert chosen is not None
    assert chosen.method == "SciPy"
    assert chosen.notes == ("SymPy's formula, y = atan(t), was rejected: it changes branches.",)
    exact = replace(right, method="exact: y = t")
    assert comparison._chosen(exact, Found(right, "")) is exact
    alone = comparison._chosen(exact, Found(None, "too slow"))
    assert alone is not None
    assert alone.notes == ("SciPy did not confirm the formula: too slow.",)


def test_slow_function() -> None:
    solution = odenn.solve(odenn.IVP(lambda t, y: (time.sleep(0.02), [y[1], -y[0]])[1], y0=[1, 0], span=(0, 9)))
    begin = time.monotonic()
    with pytest.raises(VerificationError, match=r"no reference within `seconds` = 0\.2.*the time was up"):
        solution.verify(seconds=0.2)
    assert time.monotonic() - begin < 5


class TestRefusals:
    """What cannot be verified says so."""

    @pytest.mark.parametrize("points", [1, 0, 2.5, "many"])
    def test_points(self, points: Any) -> None:
        with pytest.raises(ValueError, match="`points` must be a whole number, 2 or more"):
            circle().verify(points=points)

    @pytest.mark.parametrize("seconds", [0, -1, np.nan, np.inf])
    def test_seconds(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="`seconds` must be a positive number"):
            circle().verify(seconds=seconds)

    def test_without_equations(self, tmp_path: Path) -> None:
        circle().save(tmp_path / "s.odenn")
        with pytest.raises(ValueError, match="loaded without its equations"):
            load(tmp_path / "s.odenn").verify()

    def test_without_windows(self) -> None:
        solution = circle()
        windows = replace(
            solution.outcome.windows,
            **{name: getattr(solution.outcome.windows, name)[:0] for name in ("start", "length", "value", "weights")},
        )
        empty = replace(solution, outcome=replace(solution.outcome, windows=windows))
        with pytest.raises(ValueError, match="nothing was solved"):
            empty.verify()
