"""Methods side by side: figures that are true, on problems whose solution is known."""

import csv
import json
import math

import numpy as np
import pytest

import odenn
from odenn import compare

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


@pytest.fixture(scope="module")
def result() -> odenn.Comparison:
    return compare(odenn.parse(PAIR, span=(0, 2)), rtol=(1e-4, 1e-7), points=201)


def test_every_method_has_its_rows(result: odenn.Comparison):
    names = [entry.name for entry in result.entries]
    own = ["collocation", "collocation-tanh", "residual", "data-fit"]
    assert list(dict.fromkeys(names)) == [*own, "SciPy DOP853", "SciPy LSODA", "SciPy Radau"]
    assert len(names) == 14
    for entry in result.entries:
        assert entry.covered == 1.0
        assert entry.success
        assert entry.seconds > 0
        if entry.name in own:
            assert entry.error < entry.rtol
            assert entry.weights > 0
            assert 0.2 < entry.error / entry.estimate < 5 or entry.error < 1e-11
        else:
            assert entry.error < 1e3 * entry.rtol
            assert entry.estimate is None


def test_errors_are_those_of_the_exact_solution(result: odenn.Comparison):
    assert result.reference.startswith("exact: y1 = exp(x)")
    t = result.t
    solution = odenn.solve(odenn.parse(PAIR, span=(0, 2)), rtol=1e-4)
    exact = np.stack((np.exp(t), np.cosh(t)))
    relative = (np.abs(solution(t) - exact) / exact.max(axis=1, keepdims=True)).max(axis=0)
    assert result.entries[0].error == pytest.approx(relative.max(), rel=1e-3)
    assert np.allclose(result.entries[0].errors, relative, atol=1e-15)


def test_table_and_files(result: odenn.Comparison, tmp_path):
    text = str(result)
    assert len(text.splitlines()) == 1 + 14 + 2
    assert "against exact: y1 = exp(x)" in text
    assert "14" not in repr(result)
    result.to_csv(tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [float(row["error"]) for row in rows] == [entry.error for entry in result.entries]
    figures = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert figures["entries"][0]["method"] == "collocation"


def test_pictures(result: odenn.Comparison):
    work = result.plot().axes[0]
    assert work.get_xlabel() == "true relative error"
    assert len(work.get_legend().get_texts()) == 7
    span = result.plot_errors().axes[0]
    assert span.get_xlabel() == "x"
    assert len(span.lines) == 8


def test_both_sides_of_the_initial_point_and_backwards():
    inside = odenn.IVP(lambda t, y: [-y[0]], y0=[1.0], span=(-1, 2), t0=0.5)
    for problem in (inside, odenn.IVP(lambda t, y: [-y[0]], y0=[1.0], span=(2, -1))):
        for entry in compare(problem, ["collocation", "LSODA"], rtol=1e-8).entries:
            assert entry.covered == 1.0
            assert entry.error < 1e-5


def test_second_order_without_reduction_by_the_user():
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10))
    for entry in compare(problem, ["collocation", "DOP853"], rtol=1e-8).entries:
        assert entry.error < 1e-5


def test_a_method_that_stops_early_is_shown_as_such():
    problem = odenn.parse("y' = y^2; y(0) = 1", span=(0, 2))
    entry = compare(problem, ["collocation"], rtol=1e-6).entries[0]
    assert not entry.success
    assert entry.status == "blow_up"
    stopped = odenn.Collocation(max_windows=2)
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 100))
    entry = compare(problem, {"short": stopped}).entries[0]
    assert entry.name == "short"
    assert 0 < entry.covered < 0.5
    assert "% covered" in entry.row()["status"]
    assert math.isfinite(entry.error)


def test_a_budget_holds_for_training():
    adam = odenn.TorchOptimiser(iterations=1_000_000)
    method = odenn.Residual(network=odenn.MLP([8]), optimizer=adam, windows=1)
    entry = compare(odenn.parse(PAIR, span=(0, 2)), [method], seconds=1.0).entries[0]
    assert entry.name == "Residual"
    assert entry.seconds < 4


def test_progress():
    seen: list[tuple[str, float, bool]] = []
    compare(
        odenn.parse(PAIR, span=(0, 2)),
        ["collocation", "LSODA"],
        progress=lambda name, rtol, report: seen.append((name, rtol, report is None)),
    )
    assert ("collocation", 1e-6, True) in seen
    assert ("collocation", 1e-6, False) in seen
    assert seen[-1] == ("SciPy LSODA", 1e-6, True)


def test_mistakes():
    problem = odenn.parse(PAIR, span=(0, 2))
    with pytest.raises(ValueError, match=r"'colocation'.*did you mean collocation\?"):
        compare(problem, ["colocation"])
    with pytest.raises(ValueError, match="twice"):
        compare(problem, ["LSODA", "lsoda"])
    with pytest.raises(ValueError, match="empty"):
        compare(problem, [])
    with pytest.raises(TypeError, match=r"got 3"):
        compare(problem, [3])
    with pytest.raises(TypeError, match=r"such as odenn.Residual\(\), got <class"):
        compare(problem, {"mine": odenn.Residual})
    with pytest.raises(ValueError, match="between 0 and 1"):
        compare(problem, rtol=(1e-3, 2.0))
    with pytest.raises(ValueError, match="seconds"):
        compare(problem, seconds=0)
    with pytest.raises(TypeError, match=r"odenn\.IVP"):
        compare("y' = y")
