"""What a verification says."""

from dataclasses import replace

import numpy as np

import odenn
from odenn.verify import Verification


def test_report() -> None:
    t = np.array([0.0, 1.0])
    found = Verification(
        method="SciPy DOP853, rtol 1e-13",
        names=("y1", "y2"),
        independent="x",
        t=t,
        reference=np.ones((2, 2)),
        reference_accuracy=np.full((2, 2), 1e-12),
        true_error=np.array([[0, 2e-9], [0, 1e-13]]),
        estimate=np.array([[1e-15, 4e-9], [1e-15, 2e-12]]),
        tolerance=np.full((2, 2), 1e-8),
        notes=("A note.",),
    )
    assert str(found) == (
        "Compared at 2 points, x from 0 to 1, with\n"
        "  SciPy DOP853, rtol 1e-13\n"
        "    true error  relative  estimate  true / estimate\n"
        "y1       2e-09     2e-09     4e-09             0.50\n"
        "y2     < 1e-12   < 1e-12     2e-12           < 0.50\n"
        "The true error meets the tolerance; it is at most 0.2 times that, for y1 at x = 1\n"
        "A note."
    )
    assert repr(found) == (
        "<Verification with SciPy DOP853, rtol 1e-13: within tolerance; "
        "y1: relative error 2e-09, true / estimate 0.50; y2: relative error < 1e-12, true / estimate < 0.50>"
    )
    missed = replace(found, method="exact: " + 50 * "y = t, ", tolerance=np.full((2, 2), 1e-12))
    assert "...: beyond tolerance; " in repr(missed)
    uncertain = replace(found, tolerance=found.true_error + 1e-13)
    assert "too uncertain to tell" in repr(uncertain)


def test_a_component_that_is_zero_has_no_relative_error() -> None:
    solution = odenn.solve(odenn.parse("x' = 1, y' = 0*x; x(0) = 1, y(0) = 0", span=(0, 1)))
    row = next(line for line in str(solution.verify(seconds=60)).splitlines() if line.startswith("y "))
    assert row.split() == ["y", "0", "-", "0", "-"]


def test_repr_is_short_also_of_a_hundred_components() -> None:
    small = np.full((100, 201), 1e-9)
    found = Verification(
        method="SciPy DOP853, rtol 1e-13",
        names=tuple(f"y{i}" for i in range(100)),
        independent="t",
        t=np.linspace(0, 1, 201),
        reference=np.zeros((100, 201)),
        reference_accuracy=1e-3 * small,
        true_error=small,
        estimate=small,
        tolerance=1e3 * small,
    )
    assert len(repr(found)) < 300
    assert len(str(found).splitlines()) < 20
