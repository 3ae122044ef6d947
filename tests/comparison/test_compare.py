"""Methods side by side: figures that are true, on problems whose solution is known."""

import csv
import json
import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest

import odenn
from odenn import compare
from odenn.comparison.competitors import Competitor, Run
from odenn.comparison.reference import find_reference
from odenn.comparison.result import cells
from odenn.comparison.run import _entry

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
    finest = [entry for entry in result.entries if entry.rtol == 1e-7]
    for entry, line in zip(finest, span.lines, strict=False):  # as they are, broken where they are zero
        assert np.array_equal(line.get_ydata(), np.where(entry.errors > 0, entry.errors, np.nan), equal_nan=True)


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


def test_a_method_that_stops_early_is_shown_as_such(tmp_path):
    stopped = odenn.Collocation(max_windows=2)
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 100))
    result = compare(problem, {"short": stopped, "whole": odenn.Collocation()}, rtol=1e-5)
    entry = result.entries[0]
    assert entry.name == "short"
    assert entry.partial
    assert entry.reached[0] == 0
    assert entry.covered == entry.reached[1] / 100
    assert 0 < entry.covered < 0.5
    assert math.isfinite(entry.error)
    text = str(result)
    assert f"({entry.error:.1e})" in text.splitlines()[1]
    assert f"budget, up to t = {entry.reached[1]:.6g}" in text.splitlines()[1]
    assert "In brackets: of the part that was solved." in text
    assert "\nshort, rtol 1e-05: the budget" in text
    figures = result.as_dict()["entries"][0]
    assert (figures["covered"], figures["reached"]) == (entry.covered, entry.reached)
    result.to_csv(tmp_path / "table.csv")
    row = next(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert float(row["covered"]) == entry.covered
    points = [line for line in result.plot().axes[0].lines if line.get_marker() != "None" and len(line.get_xdata())]
    assert [line.get_markerfacecolor() == "none" for line in points] == [True, False]


@pytest.mark.parametrize(
    ("equations", "span", "methods"),
    [
        ("y' = y^2; y(0) = 1", (0, 2), ["collocation", "RK45", "Radau", "BDF"]),  # times that are equal to rounding
        ("y' = -sqrt(y); y(0) = 1", (0, 3), ["collocation", "Radau", "BDF", "LSODA"]),  # NaN inside SciPy's LU
    ],
)
def test_solutions_that_end(equations: str, span: tuple[float, float], methods: list[str]):
    result = compare(odenn.parse(equations, span=span), methods)
    end = span[1] - 1
    assert (np.diff(result.t) > 0).all()
    assert result.t[-1] == pytest.approx(end, abs=1e-4)
    assert f"from t = 0 to {end}," in result.footnote()
    assert "Beyond, errors are not known: the " in result.footnote()
    assert not result.success
    for entry in result.entries:
        assert not entry.success
        assert entry.message
        assert entry.covered < 0.7
        assert "up to t = " in entry.ended


def test_chaos_is_compared_as_far_as_it_is_known():
    lorenz = "x' = 10*(y - x), y' = x*(28 - z) - y, z' = x*y - 8/3*z; x(0) = 1, y(0) = 1, z(0) = 1"
    result = compare(odenn.parse(lorenz, span=(0, 40)), ["LSODA"], seconds=10)
    assert (np.diff(result.t) > 0).all()
    assert 20 < result.t[-1] < 35
    assert "Beyond, errors are not known: the tolerance is beyond double precision" in str(result)


def test_budgets_hold_for_scipy_and_the_reference():
    pole = odenn.parse("y' = y^2; y(0) = 1", span=(0, 2))  # before which LSODA takes ever smaller steps
    start = time.monotonic()
    result = compare(pole, ["LSODA"], seconds=1.0)
    assert time.monotonic() - start < 6
    assert result.reference_seconds < 4
    assert result.entries[0].status == "budget"
    assert re.search(r"found in [0-9.]+ m?s\)", str(result))


def test_the_reference_of_a_text_is_kept(monkeypatch):
    problem = odenn.parse("y' = -3*y; y(0) = 2", span=(0, 1))
    compare(problem, ["collocation"])
    monkeypatch.setattr("odenn.comparison.reference.solve", None)  # is not needed again
    assert compare(odenn.parse("y' = -3*y; y(0) = 2", span=(0, 1)), ["collocation"]).entries[0].success
    with pytest.raises(TypeError):
        compare(odenn.parse("y' = -3*y; y(0) = 3", span=(0, 1)), ["collocation"])


def test_who_refuses_or_fails_has_a_row():
    def pendulum(t, y):
        return [y[1], -np.sin(y[0])]

    class Broken:
        def run(self, problem, **options):
            raise RuntimeError("out of order")

    problem = odenn.IVP(pendulum, y0=[1, 0], span=(0, 3))
    result = compare(problem, {"mine": Broken(), "trained": odenn.Residual(), "scipy": "lsoda"})
    assert [entry.status for entry in result.entries] == ["failed", "refused", "done"]
    assert [math.isnan(entry.error) for entry in result.entries] == [True, True, False]
    assert "mine, rtol 1e-06: RuntimeError: out of order." in str(result)
    assert "trained, rtol 1e-06: `f` cannot be evaluated with torch tensors" in str(result)
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["entries"][0]["covered"] == 0
    assert len(result.plot().axes[0].get_legend().get_texts()) == 3


def test_a_reference_where_collocation_does_not_start():
    problem = odenn.parse("y' = sign(cos(3*t)); y(0) = 0", span=(0, 3))
    reference = find_reference(problem, 101)
    assert reference.method.startswith("SciPy DOP853")
    assert reference.t[-1] == 3
    assert np.allclose(reference.values, np.arcsin(np.sin(3 * reference.t)) / 3, atol=1e-11)


def test_without_any_reference():
    def late(t, y):
        return [np.where(t > 0, np.nan, 1.0) * y[0]]

    result = compare(odenn.IVP(late, y0=[1.0], span=(0, 1)), ["collocation", "LSODA"])
    assert "The errors are not known: " in str(result)
    assert [entry.covered for entry in result.entries] == [0, 0]
    assert result.as_dict()["reference"] is None
    json.dumps(result.as_dict(), allow_nan=False)


def test_nothing_solved_is_no_error_of_zero():
    problem = odenn.parse(PAIR, span=(0, 2))
    reference = find_reference(problem, 51)
    values = np.where(reference.t == 0, reference.values, np.nan)
    run = Run(values, values, (0.0, 6e-7), "budget", False, "the time was up", 9, 1, 8)
    entry = _entry(problem, Competitor("slow", lambda *_: run), 1e-13, reference, None)
    assert math.isnan(entry.error)
    assert entry.estimate is None
    assert cells(entry)[2:4] == ["-", "-"]
    assert entry.ended == "budget, up to x = 6e-07"


def test_errors_below_the_accuracy_of_the_reference_are_bounds():
    entry = compare(odenn.parse(PAIR, span=(0, 2)), ["collocation"], rtol=1e-6, points=51).entries[0]
    assert cells(entry)[2] == f"{entry.error:.1e}"
    assert cells(replace(entry, accuracy=6e-7))[2] == "< 6.0e-07"


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


def test_one_method_and_one_tolerance_need_no_list():
    problem = odenn.parse(PAIR, span=(0, 2))
    result = compare(problem, odenn.Collocation(), rtol=np.float32(1e-4), points=51)
    assert [entry.name for entry in result.entries] == ["Collocation"]
    assert repr(result).startswith("<Comparison of 1 method;")


def test_any_label_is_shown_as_it_is():
    """Neither taken for mathematics ($) nor hidden (leading underscore) by matplotlib; a number is a label, too."""
    labels = {"$\\frac$": "LSODA", "_hidden": "RK45", 3: "Radau"}
    result = compare(odenn.parse(PAIR, span=(0, 2)), labels, points=51)
    assert str(result).splitlines()[3].startswith("3 ")
    for figure in (result.plot(), result.plot_errors()):
        figure.canvas.draw()
        shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert shown[:3] == ["\\$\\frac\\$", " _hidden", "3"]


def stopping(name: str, iteration: int | None):
    """Ctrl-C before a run, or in one that trains; a training ends with what it has."""

    def progress(running: str, rtol: float, report: object) -> None:
        record = None if report is None else report.record
        if running == name and rtol == 1e-6 and (record.iteration if record else None) == iteration:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    ("iteration", "runs"),
    [(None, ["collocation", "collocation", "residual"]), (3, ["collocation"] * 2 + ["residual"] * 2)],
)
def test_ctrl_c_ends_a_comparison_with_what_is_there(iteration, runs):
    problem = odenn.parse(PAIR, span=(0, 2))
    names, rtols = ["collocation", "residual", "LSODA"], (1e-3, 1e-6)
    result = compare(problem, names, rtol=rtols, points=51, progress=stopping("residual", iteration))
    assert [entry.name for entry in result.entries] == runs
    assert (result.entries[-1].status == "interrupted") == (iteration is not None)
    assert result.interrupted
    assert str(result).endswith(f"Interrupted: {len(runs)} of 6 runs were made.")
    assert result.as_dict()["asked"] == 6
    assert len(result.plot_errors().axes[0].lines) == 3
    with pytest.raises(KeyboardInterrupt):
        compare(problem, ["residual"], progress=stopping("residual", None))


def test_mistakes():
    problem = odenn.parse(PAIR, span=(0, 2))
    for rtol in (None, "1e-6", ["fine"]):
        with pytest.raises(TypeError, match="`rtol` must be a number or several, got"):
            compare(problem, rtol=rtol)
    with pytest.raises(TypeError, match=r"got 3"):
        compare(problem, 3)
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
