"""Accessibility, narrow screens, and the pictures of the documentation, which this run makes.

`ODENN_SCREENSHOTS=docs/images pytest tests/web/browser/test_looks.py` writes them there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Workshop

DESK, TABLET, PHONE = (
    {"width": 1440, "height": 900},
    {"width": 820, "height": 1180},
    {"width": 390, "height": 844},
)


def violations(workshop: Workshop) -> list[str]:
    """What axe-core calls serious or critical."""
    found = Axe().run(workshop.page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {[node['html'][:120] for node in rule['nodes']]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(DESK, "light"), (TABLET, "dark"), (PHONE, "light")],
    ids=["desk light", "tablet dark", "phone light"],
)
def test_accessible(workshops: Callable[..., Workshop], viewport: dict[str, int], scheme: str) -> None:
    """No serious violation with results, options and an error; nothing is wider than the screen."""
    workshop = workshops(viewport=viewport, color_scheme=scheme)
    page = workshop.page
    workshop.advanced()
    page.select_option("#gallery", "damped-oscillator")
    expect(page.locator("#values tbody tr")).to_have_count(11)
    page.click("#pin")
    workshop.choose("data-fit")
    page.select_option("#data-kind", "csv")
    workshop.fill(equations="y'' = (y")
    workshop.error("equations")
    assert violations(workshop) == []
    for tab in ("error", "phase", "comparison"):
        workshop.tab(tab)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    surface = page.evaluate("document.getElementById('plot')._fullLayout.paper_bgcolor")
    assert surface == {"light": "#ffffff", "dark": "#1a1e22"}[scheme]


def test_theme(workshops: Callable[..., Workshop]) -> None:
    """The switch wins over the system, plots included, and is kept for the next visit."""
    workshop = workshops(color_scheme="light")
    page = workshop.page
    page.wait_for_function("() => window.Plotly && document.getElementById('plot')._fullLayout")
    page.select_option("#theme", "dark")
    page.wait_for_function("() => document.getElementById('plot')._fullLayout.paper_bgcolor === '#1a1e22'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 24)"
    workshop.open()
    assert page.input_value("#theme") == "dark"


def test_pictures(workshops: Callable[..., Workshop], tmp_path: Path) -> None:
    """The screenshots of docs/web.md."""
    folder = Path(os.environ.get("ODENN_SCREENSHOTS", tmp_path))

    def picture(workshop: Workshop, name: str, **options: bool) -> None:
        workshop.page.mouse.move(0, 0)
        workshop.page.evaluate("scrollTo(0, 0)")
        workshop.page.evaluate("document.activeElement.blur(); document.getElementById('form').scrollTop = 0")
        workshop.page.screenshot(path=folder / f"web-{name}.png", **options)
        assert matplotlib.image.imread(folder / f"web-{name}.png")[..., :3].std() > 0.05

    desk = workshops(viewport=DESK, color_scheme="light")
    desk.page.select_option("#gallery", "lotka-volterra")
    expect(desk.page.locator("#values tbody tr")).to_have_count(11)
    desk.page.click("#pin")
    desk.fill(parameter_a="2")
    expect(desk.page.locator("#runs li")).to_have_count(2)
    expect(desk.page.locator("#figures")).to_contain_text("against")
    picture(desk, "desk")

    dark = workshops(viewport=DESK, color_scheme="dark")
    dark.page.select_option("#gallery", "lorenz")
    expect(dark.page.locator("#values tbody tr")).to_have_count(11)
    dark.fill(span_to="20")
    dark.started()
    expect(dark.page.locator("#status")).to_contain_text("Solved.")
    dark.tab("phase")
    dark.page.check("#three")
    dark.page.wait_for_function("() => document.getElementById('plot').data[0].type === 'scatter3d'")
    picture(dark, "phase-dark")

    tablet = workshops(viewport=TABLET, color_scheme="light")
    tablet.fill(equations="x' = 1.5*x - x*y\ny' = x*y - 3*y", initial="x(0) = 1, y(0) = 1", span_to="10")
    tablet.choose("residual")
    tablet.fill(hidden="24, 24", rtol="1e-7")
    tablet.started()
    tablet.page.wait_for_selector("#live-loss .trace")
    tablet.page.wait_for_function("() => parseInt(document.getElementById('windows-caption').textContent) >= 6")
    tablet.page.evaluate("document.getElementById('results').scrollIntoView()")
    tablet.page.screenshot(path=folder / "web-training.png")
    tablet.page.click("#stop")
    tablet.page.wait_for_selector("#figures")

    phone = workshops(viewport=PHONE, color_scheme="light")
    phone.page.select_option("#gallery", "damped-oscillator")
    expect(phone.page.locator("#values tbody tr")).to_have_count(11)
    phone.page.evaluate("document.querySelector('.panel:has(.tabs)').scrollIntoView()")
    phone.page.screenshot(path=folder / "web-phone.png")
