"""What a page comes to when it is used quickly: stopped early, edited while it runs, given two links at once."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Request, Route, expect

from .conftest import Workshop

RUNS = re.compile(r"/api/runs(\?|$)")
DECAY = {"equations": "y' = -k*y", "initial": "y(0) = 1", "span_to": "5"}


def requested(workshop: Workshop) -> list[str]:
    """Paths of the posts of this page from now on, readings left out."""
    paths: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and not request.url.endswith("/api/read"):
            paths.append(re.sub(r"[?].*|(?<=runs/)[^/]+", "", request.url.partition("/api/")[2]))

    workshop.page.on("request", note)
    return paths


def link(spec: dict[str, Any], pinned: list[dict[str, Any]]) -> str:
    state = {"v": 1, "spec": spec, "pinned": pinned, "view": {"tab": "solution"}}
    return "#" + base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip("=")


def test_stop_before_the_server_answers(workshop: Workshop) -> None:
    """The page is not left waiting, and solves again."""
    page = workshop.page
    workshop.fill(**DECAY)
    workshop.without_comparison()
    page.route(RUNS, lambda route: None)
    workshop.started()
    page.click("#stop")
    workshop.finished()
    assert workshop.status == "Stopped before it began."
    expect(page.locator("#stop")).to_be_hidden()
    page.unroute(RUNS)
    workshop.solve()
    assert workshop.status.startswith("Solved.")


def test_connection_that_is_cut(workshop: Workshop) -> None:
    """In the middle of a line as well."""

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="application/x-ndjson", body='{"event": "started", "run": "x"}\n{"eve')

    workshop.page.route(RUNS, answer)
    workshop.started()
    workshop.finished()
    assert workshop.status.startswith("The connection ended before the run did")


def test_equations_change_while_it_trains(workshop: Workshop) -> None:
    """What is drawn is of the run, whatever the form has become."""
    page = workshop.page
    workshop.fill(equations="u' = v\nv' = 5*(1 - u^2)*v - u", initial="u(0) = 2, v(0) = 0", span_to="20")
    workshop.choose("residual")
    page.select_option("#optimizer", "adam")
    workshop.fill(hidden="16, 16", rtol="1e-9")
    workshop.without_comparison()
    workshop.advanced(iterations="100000", windows="1")
    workshop.started()
    page.wait_for_selector("#live-loss .trace")
    workshop.fill(equations="a' = b\nb' = c\nc' = -a", initial="a(0) = 1, b(0) = 0, c(0) = 0")
    expect(page.locator("#mathematics mtr")).to_have_count(4)
    page.check("#logarithmic-y")
    seen = page.inner_text("#live-text")
    page.wait_for_function("seen => document.getElementById('live-text').textContent !== seen", arg=seen)
    page.wait_for_function("() => document.getElementById('plot')._fullLayout.yaxis.type === 'log'")
    assert [trace["name"] for trace in workshop.traces()] == ["u", "v"]
    assert "undefined" not in page.inner_text("#plot-caption")
    page.click("#stop")
    workshop.finished()
    assert [trace["name"] for trace in workshop.traces()] == ["u", "v"]


def test_typing_after_a_slider(workshop: Workshop) -> None:
    """The comparison that follows a slider is of the run that it drew: half an equation does not take its place."""
    page = workshop.page
    workshop.fill(**DECAY)
    expect(page.locator(".parameter")).to_have_count(1)
    workshop.solve()
    paths = requested(workshop)
    page.focus("#parameter-k-slider")
    with page.expect_response(RUNS):
        page.keyboard.press("ArrowRight")
    workshop.fill(equations="y' = -k*(")
    page.click("#pin")
    expect(page.locator("#figures")).to_contain_text("against")
    assert paths == ["runs", "runs//verify"]
    assert page.get_attribute("body", "data-run") == "done"
    assert len(workshop.traces()) == 1
    expect(page.locator("#runs li")).to_have_count(1)  # what was kept is what was compared
    expect(page.locator("#error-equations")).to_be_visible()


def test_a_slow_run_of_a_slider_stays_stopped(workshop: Workshop) -> None:
    page = workshop.page
    workshop.solve_alone(equations="x'' = -w*x", initial="x(0) = 1, x'(0) = 0", span_to="5")
    page.check("#verify")
    workshop.fill(span_to="1e9")
    paths = requested(workshop)
    page.focus("#parameter-w-slider")
    page.keyboard.press("ArrowRight")
    page.locator("#stop").click()
    expect(page.locator("#diagnoses")).to_contain_text("topped")
    time.sleep(1.0)  # longer than a slider takes to settle
    assert paths.count("runs") == 1


def test_two_links_at_once(workshops: Callable[..., Workshop]) -> None:
    """The later one wins, with its own kept runs."""
    first = {"equations": "y' = -k*y", "initial": "y(0) = 1", "span": [0, 1], "method": "collocation", "verify": False}
    second = {**first, "equations": "z' = -z", "initial": "z(0) = 2"}
    workshop = workshops()
    page = workshop.page
    kept = [{**first, "params": {"k": k}} for k in (1, 2, 3)]
    links = [link({**first, "params": {"k": 4}}, kept), link(second, [{**second, "span": [0, 2]}])]
    page.evaluate("links => links.forEach(link => location.hash = link)", links)
    expect(page.locator("#equations")).to_have_value("z' = -z")
    expect(page.locator("#runs li")).to_have_count(2)
    expect(page.locator("#values tbody tr")).to_have_count(11)
    workshop.finished()
    assert page.locator("#runs").inner_text().count("span") == 2
    assert {trace["name"].split(" ")[0] for trace in workshop.traces()} == {"z"}
    assert page.input_value("#equations") == "z' = -z"


@pytest.mark.parametrize(
    ("anchor", "width", "target"), [(".skip", 1440, "results"), ("#parameters-note a", 390, "parameters-place")]
)
def test_links_within_the_page(workshops: Callable[..., Workshop], anchor: str, width: int, target: str) -> None:
    """They lead there, and leave the address alone, which holds the state."""
    workshop = workshops(viewport={"width": width, "height": 844})
    page = workshop.page
    page.select_option("#gallery", "damped-oscillator")
    expect(page.locator("#values tbody tr")).to_have_count(11)
    workshop.finished()
    page.wait_for_function("() => location.hash.length > 100")
    before = page.url
    page.focus(anchor)
    page.keyboard.press("Enter")
    page.wait_for_function("id => document.activeElement.id === id", arg=target)
    assert page.evaluate("id => document.getElementById(id).getBoundingClientRect().top < innerHeight", target)
    page.wait_for_timeout(100)
    assert workshop.status.startswith("Solved.")
    assert page.url == before


def test_a_parameter_that_was_wrong_comes_back(workshop: Workshop) -> None:
    """Without its mistake."""
    page = workshop.page
    workshop.fill(equations="y' = -y/k", initial="y(0) = 1", span_to="1")
    expect(page.locator(".parameter")).to_have_count(1)
    workshop.fill(parameter_k="one")
    workshop.started()
    workshop.error("params")
    workshop.fill(equations="y' = -y")
    expect(page.locator(".parameter")).to_have_count(0)
    workshop.solve_alone(equations="y' = -y/k")
    assert page.input_value("#parameter-k") == "1"
    assert workshop.status.startswith("Solved.")


def test_a_file_chosen_after_another(workshop: Workshop) -> None:
    """The one that was chosen last is fitted, though the answer about the first comes later."""
    page = workshop.page
    workshop.choose("data-fit")
    page.select_option("#data-kind", "csv")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "first.csv" in route.request.url:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/uploads?*", hold)
    for name in ("first.csv", "second.csv"):
        page.set_input_files("#csv", {"name": name, "mimeType": "text/csv", "buffer": b"t,y\n0,1\n1,2\n"})
    expect(page.locator("#csv-name")).to_have_text("second.csv: 2 rows of t, y")
    with page.expect_response("**/api/uploads?*"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator("#csv-name")).to_have_text("second.csv: 2 rows of t, y")
