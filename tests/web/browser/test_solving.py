"""Typing, solving, dragging and stopping in the page; figures against Python's."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import odenn

from .conftest import Workshop, running

PAIR = "dy1/dx = y1\ndy2/dx = y1 - y2"
INITIAL = "y1(0) = 1, y2(0) = 1"


def pair(span: tuple[float, float]) -> odenn.IVP:
    return odenn.parse(PAIR, initial=INITIAL, span=span)


def typed(workshop: Workshop, span: tuple[str, str]) -> None:
    workshop.fill(equations=PAIR, initial=INITIAL, span_from=span[0], span_to=span[1])


def same(workshop: Workshop, solution: odenn.Solution) -> None:
    """The page's table holds Python's values (ten digits) and error estimates (two)."""
    table = np.array(workshop.table())
    t = solution.grid(11)
    np.testing.assert_allclose(table[:, 0], t, rtol=1e-9)
    np.testing.assert_allclose(table[:, 1::2].T, solution(t), rtol=1e-9)
    np.testing.assert_allclose(table[:, 2::2].T, solution.error(t), rtol=0.06, atol=1e-300)


def test_ready(browser: Browser) -> None:
    """The page can be used within five seconds of the command; the best of three, as others may use the machine."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        with running() as address, browser.new_context() as context, context.new_page() as page:
            page.goto(address)
            page.wait_for_selector("body[data-page=ready]")
            page.fill("#equations", "y' = -y")
            page.fill("#initial", "y(0) = 1")
            expect(page.locator("#mathematics mtr")).to_have_count(2)
            seconds.append(time.monotonic() - began)
        if seconds[-1] < 5:
            break
    assert min(seconds) < 5, seconds


def test_collocation(workshop: Workshop) -> None:
    """The linear pair, typed: mathematics while typing, the curve within a second, and the figures of odenn.solve."""
    typed(workshop, ("0", "10"))
    workshop.fill(rtol="1e-8")
    expect(workshop.page.locator("#mathematics mtr")).to_have_count(3)
    workshop.page.wait_for_function("() => window.Plotly")
    workshop.solve()
    assert workshop.durations("odenn:curve")[-1] < 1.0

    solution = odenn.solve(pair((0, 10)), rtol=1e-8)
    same(workshop, solution)
    assert workshop.status.startswith("Solved.")
    assert workshop.figure("Result") == "solved"
    assert workshop.number("Error asked") == 1e-8
    assert workshop.number("Error reached") < 1e-8
    assert "against" in workshop.figure("True error")
    assert 0.5 < workshop.number("True error") / workshop.number("Error reached") < 2
    assert workshop.number("Time") > 0
    assert f"{solution.stats.windows} windows" in workshop.figure("Work")
    assert f"{solution.stats.evaluations:,} evaluations" in workshop.figure("Work")
    assert [trace["name"] for trace in workshop.traces()] == ["y<sub>1</sub>", "y<sub>2</sub>"]


@pytest.mark.parametrize("method", ["residual", "data-fit"])
def test_training(workshop: Workshop, method: str) -> None:
    """A small network, trained by the page and by Python alike, weight by weight."""
    typed(workshop, ("0", "2"))
    workshop.without_comparison()
    workshop.choose(method)
    workshop.fill(rtol="1e-3", hidden="12, 12")
    workshop.solve()
    kind = odenn.Residual if method == "residual" else odenn.DataFit
    options = {} if method == "residual" else {"data": odenn.Reference()}
    solution = odenn.solve(pair((0, 2)), rtol=1e-3, method=kind(network=odenn.MLP((12, 12), "tanh"), **options))
    table = np.array(workshop.table())
    t = solution.grid(11)
    # Sums of a network are taken in another order in a process with other threads: digits that training amplifies.
    np.testing.assert_allclose(table[:, 1::2].T, solution(t), rtol=1e-5)
    assert solution.success == (workshop.figure("Result") == "solved")
    workshop.tab("training")
    assert workshop.traces()[0]["points"] == len(solution.training.history)
    assert f"{solution.stats.iterations} iterations" in workshop.figure("Work")


def test_plots(workshop: Workshop) -> None:
    """Every tab draws what it says; components can be left out; runs that are kept are told apart by what differs."""
    workshop.fill(equations="x' = a*x - x*y\ny' = x*y - 3*y", initial="x(0) = 1, y(0) = 1")
    workshop.solve_alone(parameter_a="1.5")
    assert {trace["name"] for trace in workshop.traces()} == {"x", "y"}
    workshop.page.click("#pin")
    workshop.page.check("#verify")
    workshop.fill(parameter_a="2")
    workshop.solve()
    assert {(trace["name"], trace["dash"]) for trace in workshop.traces()} == {
        ("x · run 1: a = 1.5", "dash"), ("y · run 1: a = 1.5", "dash"),
        ("x · run 2: a = 2", "solid"), ("y · run 2: a = 2", "solid"),
    }  # fmt: skip
    workshop.page.uncheck("#component-1")
    expect(workshop.page.locator("#plot")).to_have_attribute("data-traces", "2")
    workshop.tab("error")
    assert {"tolerance", "true error", "x · run 2: a = 2"} <= {trace["name"] for trace in workshop.traces()}
    workshop.page.check("#logarithmic")
    workshop.page.wait_for_function("() => document.getElementById('plot')._fullLayout.xaxis.type === 'log'")
    workshop.tab("defect")
    assert [trace["name"] for trace in workshop.traces()] == ["x · run 1: a = 1.5", "x · run 2: a = 2"]
    workshop.tab("comparison")
    assert "x reference · run 2: a = 2" in {trace["name"] for trace in workshop.traces()}
    workshop.tab("phase")
    assert [trace["name"] for trace in workshop.traces()][::2] == ["run 1: a = 1.5", "run 2: a = 2"]
    workshop.page.select_option("#axis-y", "d0")  # x against its derivative
    workshop.page.check("#three")
    workshop.page.wait_for_function("() => document.getElementById('plot').data[0].type === 'scatter3d'")
    buttons = workshop.page.eval_on_selector_all("#plot .modebar-btn", "all => all.map(each => each.dataset.title)")
    assert buttons
    assert not [name for name in buttons if "hare" in name or "loud" in name]  # no picture leaves the page
    workshop.page.click("#clear-runs")
    expect(workshop.page.locator("#runs li")).to_have_count(1)


def test_slider(workshop: Workshop) -> None:
    """From a move of the slider to the curve in less than 300 ms; the last value is the one that stays."""
    page = workshop.page
    page.select_option("#gallery", "damped-oscillator")
    expect(page.locator("#values tbody tr")).to_have_count(11)
    workshop.without_comparison()
    slider = page.locator("#parameter-k-slider")
    slider.focus()
    for moves in range(1, 6):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("n => performance.getEntriesByName('odenn:drag').length >= n", arg=moves)
    assert median(workshop.durations("odenn:drag")[:5]) < 0.3

    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    for k in range(30):  # faster than it can be solved: values in between are left out
        page.mouse.move(box["x"] + (0.4 + 0.01 * k) * box["width"], middle)
    page.mouse.up()
    workshop.finished()
    k = float(page.input_value("#parameter-k"))
    assert 6 < k < 8
    solution = odenn.solve(
        odenn.parse("y'' = -c*y' - k*y; y(0) = 1, y'(0) = 0", span=(0, 20), params={"c": 0.4, "k": k})
    )
    same(workshop, solution)


def test_unknown_names_become_parameters(workshop: Workshop) -> None:
    """Each with a slider that has a range of its own; one that is no longer in the equations goes."""
    workshop.fill(equations="y' = -rate*y + inflow", initial="y(0) = 1")
    expect(workshop.page.locator(".parameter")).to_have_count(2)
    workshop.fill(**{"parameter-rate-high": "50"})
    workshop.page.keyboard.press("Tab")
    assert workshop.page.get_attribute("#parameter-rate-slider", "max") == "50"
    workshop.fill(equations="y' = -rate*y")
    expect(workshop.page.locator(".parameter")).to_have_count(1)
    workshop.solve_alone(**{"parameter-rate": "70"})
    assert workshop.page.get_attribute("#parameter-rate-slider", "max") == "200"  # room on both sides
    np.testing.assert_allclose(workshop.table()[1][1], np.exp(-70.0), atol=1e-6)


def test_stop(workshop: Workshop) -> None:
    """A training that would take its 30 s is stopped: live curves before, the best so far afterwards."""
    workshop.fill(equations="y'' = 5*(1 - y^2)*y' - y", initial="y(0) = 2, y'(0) = 0", span_to="20")
    workshop.choose("residual")
    workshop.page.select_option("#optimizer", "adam")
    workshop.fill(rtol="1e-9", hidden="16, 16")
    workshop.without_comparison()
    workshop.advanced(iterations="100000", windows="1")
    began = time.monotonic()
    workshop.started()
    workshop.page.wait_for_selector("#live-loss .trace")
    expect(workshop.page.locator("#live-text")).to_contain_text("loss")
    workshop.page.click("#stop")
    workshop.finished(20)
    assert time.monotonic() - began < 28
    assert workshop.figure("Result").startswith("not solved")
    assert "topped" in workshop.page.inner_text("#diagnoses")
    assert workshop.table()[0][1] == 2


def test_keyboard_alone(workshop: Workshop) -> None:
    """Choose, type, solve and look, without a mouse; where the focus is can be seen."""
    page = workshop.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "equations":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Control+a")
    page.keyboard.type("y' = -2*y")
    page.keyboard.press("Control+Enter")
    expect(
        page.locator("[data-field=initial] .error, [data-field=equations] .error").locator("visible=true")
    ).to_have_count(1)
    page.focus("#equations")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "initial":
            break
    page.keyboard.press("Control+a")
    page.keyboard.type("y(0) = 3")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#values tbody tr")).to_have_count(11)
    assert workshop.table()[0][1] == 3
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "tab-solution":
            break
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-phase", "aria-selected") == "true"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.id") == "tab-training"
