"""Another problem, another span, another value: what the page shows belongs to what it says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from .conftest import Workshop

RUNS = re.compile(r"/api/runs(\?|$)")


def time_axis(workshop: Workshop) -> list[float]:
    """The range that the plot shows."""
    return workshop.page.evaluate("document.getElementById('plot')._fullLayout.xaxis.range")


def scripted(workshop: Workshop, events: list[dict[str, object]]) -> None:
    """The next runs are these events, as a training over several windows sends them, and at once."""
    body = "".join(json.dumps(event) + "\n" for event in events)

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="application/x-ndjson", body=body)

    workshop.page.route(RUNS, answer)


def partial(end: float) -> dict[str, object]:
    t = [end * k / 50 for k in range(51)]
    y = [[math.cos(time) for time in t], [-math.sin(time) for time in t]]
    return {
        "event": "progress",
        "fraction": end / 20,
        "windows": 2,
        "seconds": 1.0,
        "losses": [],
        "t": t,
        "y": y,
        "names": ["u", "v"],
        "independent": "t",
        "ends": [end],
    }


def test_time_axis_after_training(workshop: Workshop) -> None:
    """While it trains the axis is the span, and it stays so; the next run has its own, also where one was enlarged."""
    page = workshop.page
    workshop.fill(equations="u' = v\nv' = -u", initial="u(0) = 1, v(0) = 0", span_to="20")
    workshop.without_comparison()
    page.wait_for_function("() => document.getElementById('plot')._fullLayout")  # the empty plot has a range of its own
    whole = {**partial(20.0), "event": "solution", "span": [0, 20], "windows": 1}
    summary = {
        "event": "summary",
        "success": True,
        "status": "SUCCESS",
        "message": "",
        "rtol": 1e-6,
        "reached": 1e-7,
        "seconds": 2,
    }
    scripted(workshop, [{"event": "started", "run": "x"}, partial(2.0), partial(9.0), partial(16.0), whole, summary])
    workshop.choose("residual")
    workshop.solve()
    assert time_axis(workshop) == [0, 20]
    page.unroute(RUNS)
    workshop.choose("collocation")
    workshop.fill(span_to="50")
    workshop.solve()
    assert time_axis(workshop) == [0, 50]
    page.evaluate("Plotly.relayout('plot', {'xaxis.range': [1, 2]})")
    workshop.fill(span_to="30")
    workshop.solve()
    assert time_axis(workshop) == [0, 30]


def test_lost_server_leaves_the_curve(workshop: Workshop) -> None:
    """A connection that ends in mid-training: a message, and the curve that was there by then."""
    workshop.fill(equations="u' = v\nv' = -u", initial="u(0) = 1, v(0) = 0", span_to="20")
    scripted(workshop, [{"event": "started", "run": "x"}, partial(9.0)])
    workshop.choose("residual")
    workshop.started()
    workshop.finished()
    assert "The curve that was found by then stays" in workshop.status
    assert [trace["points"] for trace in workshop.traces()] == [51, 51]
    assert workshop.page.is_hidden("#downloads-part")


def test_earlier_equations(workshop: Workshop) -> None:
    """Results beside equations that were changed say so, until the text comes back; a new run starts without them."""
    page = workshop.page
    workshop.solve_alone(equations="y' = -y", initial="y(0) = 1", span_to="3")
    notes = page.locator(".earlier >> visible=true")
    expect(notes).to_have_count(0)
    workshop.fill(equations="y' = -2*y", span_to="4")
    expect(notes).to_have_count(3)
    expect(notes.first).to_have_text("Of the earlier equations and span")
    workshop.fill(equations="y' = -y", span_to="3")
    expect(notes).to_have_count(0)

    workshop.fill(equations="y' = y/2")
    page.route(RUNS, lambda route: None)  # a run that does not answer yet
    workshop.started()
    expect(page.locator("#values-panel")).to_be_hidden()
    expect(page.locator("#values tr")).to_have_count(0)
    expect(page.locator("#downloads-part")).to_be_hidden()
    expect(notes).to_have_text(["Of the earlier equations"] * 2)
    page.click("#stop")


def test_blow_up_can_be_read(workshop: Workshop) -> None:
    """The axis ends where the curve leaves what can be seen; both axes can be logarithmic."""
    page = workshop.page
    workshop.solve_alone(equations="y' = y^2", initial="y(0) = 1", span_to="3")
    page.wait_for_function("() => document.getElementById('plot')._fullLayout.yaxis.range[1] < 100")
    assert page.evaluate("document.getElementById('plot')._fullLayout.yaxis.range[1]") > 40  # 1/(1 - t) at 98 % of 1
    assert "98 %" in page.inner_text("#plot-caption")
    page.check("#logarithmic-y")
    page.wait_for_function("() => document.getElementById('plot')._fullLayout.yaxis.type === 'log'")
    assert page.evaluate("document.getElementById('plot')._fullLayout.yaxis.range[1]") > 12
    page.check("#logarithmic")
    page.wait_for_function("() => document.getElementById('plot')._fullLayout.xaxis.type === 'log'")
    workshop.fill(initial="y(-3) = 1", span_from="-3", span_to="-2.5")
    workshop.solve()
    assert page.is_disabled("#logarithmic")
    assert page.evaluate("document.getElementById('plot')._fullLayout.xaxis.type") == "linear"


def test_phase_axes_follow_the_problem(workshop: Workshop) -> None:
    """Two, three components, one of second order; runs kept of other components are left out."""
    page = workshop.page
    workshop.without_comparison()
    lorenz = "x' = 10*(y - x)\ny' = x*(28 - z) - y\nz' = x*y - 8/3*z"
    workshop.fill(equations="th'' = -th", initial="th(0) = 1, th'(0) = 0", span_to="2")
    workshop.solve()
    workshop.tab("phase")

    def axes() -> list[str]:
        return page.eval_on_selector_all(
            "#phase-axes select", "all => all.map(select => select.selectedOptions[0].textContent)"
        )

    assert axes()[:2] == ["th", "th\u2032"]
    page.click("#pin")
    workshop.fill(equations=lorenz, initial="x(0) = 1, y(0) = 1, z(0) = 1", span_to="1")
    workshop.solve()
    assert axes() == ["x", "y", "z"]
    assert page.evaluate("document.getElementById('plot').layout.yaxis.title.text") == "y"
    assert len(workshop.traces()) == 2  # a line and its beginning
    assert "left out" in page.inner_text("#plot-caption")
    names = [trace["name"] for trace in workshop.traces()]
    assert all(len(name) < 50 and "28" not in name for name in names), names
    assert "28 - z" in page.inner_text("#runs")  # the whole equations are in the list
    page.check("#three")
    page.wait_for_function("() => document.getElementById('plot').data[0].type === 'scatter3d'")
    titles = page.evaluate(
        "['x', 'y', 'z'].map(k => document.getElementById('plot').layout.scene[k + 'axis'].title.text)"
    )
    assert titles == ["x", "y", "z"]


def test_phase_axes_of_problems_with_the_same_names(workshop: Workshop) -> None:
    """Another problem starts with its usual axes; other values, comments and conditions make none."""
    page = workshop.page
    workshop.without_comparison()
    workshop.fill(equations="x' = a*x - x*y\ny' = x*y - y", initial="x(0) = 1, y(0) = 2", span_to="2")
    expect(page.locator(".parameter")).to_have_count(1)
    workshop.solve()
    workshop.tab("phase")
    page.select_option("#axis-x", "t")
    workshop.fill(equations="x' = a*x - x*y # prey\n\ny' = x*y - y", initial="x(0) = 2, y(0) = 2", parameter_a="2")
    workshop.solve()
    assert page.input_value("#axis-x") == "t"
    workshop.fill(equations="x' = y\ny' = -x")
    workshop.solve()
    assert page.input_value("#axis-x") == "y0"
    assert page.evaluate("document.getElementById('plot').layout.xaxis.title.text") == "x"


def test_runs_of_one_component_differ_by_colour(workshop: Workshop) -> None:
    page = workshop.page
    workshop.solve_alone(equations="y' = -k*y", initial="y(0) = 1", span_to="3")
    page.click("#pin")
    workshop.fill(parameter_k="2")
    workshop.solve()
    colours = page.evaluate("document.getElementById('plot').data.map(d => d.line.color)")
    assert len(set(colours)) == 2
    in_list = page.eval_on_selector_all("#runs path", "all => all.map(path => path.getAttribute('stroke'))")
    assert in_list == colours


def test_slider_ranges(workshop: Workshop) -> None:
    """A range that goes down is refused; a value outside widens it; a value between steps stays as it is."""
    page = workshop.page
    workshop.fill(equations="y' = -k*y/L", initial="y(0) = 1", span_to="3")
    workshop.without_comparison()
    expect(page.locator(".parameter")).to_have_count(2)
    low, high = page.locator("#parameter-k-low"), page.locator("#parameter-k-high")
    low.fill("7")
    low.press("Enter")
    page.focus("#equations")
    assert "from a smaller to a larger number, got 7 to 2: it stays at 0 to 2" in workshop.error("params")
    expect(low).to_have_value("0")
    workshop.fill(parameter_k="28")
    page.focus("#equations")
    expect(high).to_have_value("60")
    workshop.fill(parameter_k="2.6667")
    page.focus("#equations")
    assert page.evaluate("Number(document.getElementById('parameter-k-slider').value)") == pytest.approx(2.6667)
    assert page.input_value("#parameter-k") == "2.6667"
    workshop.fill(parameter_k="1,5")
    page.click("#solve")
    assert "1.5" in workshop.error("params")
    workshop.fill(parameter_k="1")
    page.focus("#parameter-L-slider")
    page.keyboard.press("Home")
    assert "L = 0" in workshop.error("params")
    page.keyboard.press("End")
    workshop.finished()
    expect(page.locator("#error-params")).to_be_hidden()


def test_numbers_as_people_write_them(workshop: Workshop) -> None:
    """A multiple of pi is read; a decimal comma is told from a point; a span may go down."""
    page = workshop.page
    workshop.solve_alone(equations="y' = -y", initial="y(5) = 1", span_from="5", span_to="0")
    expect(page.locator("#windows-caption")).to_contain_text("down to t = 0")
    assert "5" not in page.inner_text("#windows-caption").partition("down")[2]
    workshop.fill(equations="y' = cos(t)", initial="y(0) = -1", span_from="0", span_to="2*pi")
    workshop.solve()
    assert workshop.table()[-1][0] == pytest.approx(2 * math.pi)
    assert page.inner_text("#values tbody td").startswith("\u2212")
    assert "-" not in page.inner_text("#values tbody")
    expect(page.locator("#span-to")).to_have_value("2*pi")
    workshop.fill(span_to="1,5")
    workshop.started()
    assert "The decimal sign is a point: 1.5" in workshop.error("span")
    workshop.fill(span_to="pi + 1")
    workshop.started()
    assert "got pi + 1" in workshop.error("span")


def test_reload_keeps_what_is_typed(workshop: Workshop) -> None:
    """Also what cannot be solved yet."""
    page = workshop.page
    workshop.fill(equations="y' = -3*y + (", initial="y(0) = 4", span_to="ten")
    page.reload()
    page.wait_for_selector("body[data-page=ready]")
    expect(page.locator("#equations")).to_have_value("y' = -3*y + (")
    expect(page.locator("#initial")).to_have_value("y(0) = 4")
    expect(page.locator("#span-to")).to_have_value("ten")


def test_link_with_nonsense(workshops: Callable[..., Workshop]) -> None:
    """What makes no sense is named and left at its default; the rest is used."""
    import base64

    spec = {
        "equations": "y' = -y",
        "initial": "y(0) = 1",
        "span": "far",
        "rtol": {"a": 1},
        "method": "magic",
        "seed": 4,
    }
    state = {"v": 1, "spec": spec, "ranges": {"k": "x"}, "view": {"tab": 7, "hidden": 3, "axes": "no"}, "pinned": 5}
    fragment = base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip("=")
    workshop = workshops(fragment=f"#{fragment}")
    expect(workshop.page.locator("#link-note")).to_contain_text("the span, the tolerance, the method")
    workshop.finished()
    assert workshop.status.startswith("Solved.")
    assert workshop.page.input_value("#seed") == "4"


def test_table_on_a_phone(workshops: Callable[..., Workshop]) -> None:
    """It scrolls inside its card and can be reached by keyboard; every tab can be seen."""
    workshop = workshops(viewport={"width": 390, "height": 844})
    page = workshop.page
    workshop.solve_alone(equations="x' = y\ny' = -x", initial="x(0) = 1, y(0) = 0", span_to="3")
    box = page.locator("#values-scroll")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth && box.getBoundingClientRect().right <= innerWidth")
    assert box.evaluate("box => box.tabIndex === 0 && getComputedStyle(box).overflowX === 'auto'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for tab in page.locator("[role=tab]").all():
        assert tab.evaluate("tab => tab.getBoundingClientRect().right <= innerWidth")
