"""A real server, a real Chromium, and the page as these tests use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
REQUIRED = "ODENN_BROWSER_TESTS"  # set to "required" where a missing browser is a failure

PATIENCE = 20_000  # ms: machines that run tests may be busy with others
FINISHED = "body[data-run=done], body[data-run=failed]"


@dataclass
class Workshop:
    """The page, and what went wrong in it."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, fragment: str = "") -> None:
        self.page.goto(self.address + fragment)
        self.page.wait_for_selector("body[data-page=ready]")

    def fill(self, **fields: str) -> None:
        """Type into fields by their ids, with - for _."""
        for name, text in fields.items():
            self.page.fill(f"#{name.replace('_', '-')}", text)

    def advanced(self, **fields: str) -> None:
        if self.page.get_attribute("#advanced", "open") is None:
            self.page.click("#advanced summary")
        self.fill(**fields)

    def without_comparison(self) -> None:
        """Leave out the comparison with a reference, which takes seconds."""
        self.advanced()
        self.page.uncheck("#verify")

    def choose(self, method: str) -> None:
        self.page.check(f"#method-{method}")

    def started(self) -> None:
        """Press Solve. The run is under way, or over, when this returns."""
        self.page.wait_for_selector("body:not([data-run=running])")  # of what typing a parameter has started
        self.page.evaluate("document.body.dataset.run = 'asked'")
        self.page.click("#solve")
        self.page.wait_for_selector("body:not([data-run=asked])")

    def finished(self, seconds: float = 40) -> None:
        self.page.wait_for_selector(FINISHED, timeout=1000 * seconds)

    def solve(self, seconds: float = 40) -> None:
        """Press Solve and wait for the end, the comparison with a reference included; it must not fail."""
        self.started()
        self.finished(seconds)
        assert self.page.get_attribute("body", "data-run") == "done", self.status

    def solve_alone(self, **fields: str) -> None:
        """Type, and solve without the comparison."""
        self.fill(**fields)
        self.without_comparison()
        self.solve()

    @property
    def status(self) -> str:
        return self.page.inner_text("#status")

    def figure(self, name: str) -> str:
        """A figure of the summary with its note."""
        return self.page.inner_text(f"#figures [data-figure='{name}'] dd").replace("\n", " ")

    def number(self, name: str) -> float:
        """A figure of the summary as a number, its note left out."""
        return float(self.figure(name).split(" ")[0].replace("\u2212", "-"))

    def table(self) -> list[list[float]]:
        """The table of values: time, then value and error of each component; NaN where there is none."""
        rows = self.page.eval_on_selector_all(
            "#values tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        )
        return [[float(cell.replace("\u2212", "-").replace("\u2013", "nan")) for cell in row] for row in rows]

    def error(self, name: str) -> str:
        """The message at a field; waits for it."""
        box = self.page.locator(f"[data-field='{name}'] .error")
        box.wait_for(state="visible")
        return box.inner_text()

    def traces(self) -> list[dict[str, Any]]:
        """What the plot shows: name, length and dash of each line."""
        return self.page.evaluate(
            "document.getElementById('plot').data.map(d => ({name: d.name, points: d.x.length, dash: d.line?.dash}))"
        )

    def tab(self, name: str) -> None:
        self.page.click(f"#tab-{name}")
        self.page.wait_for_function("tab => document.getElementById('plot')._fullLayout?.uirevision === tab", arg=name)

    def durations(self, name: str) -> list[float]:
        """Seconds that the page measured."""
        return self.page.evaluate(f"performance.getEntriesByName('{name}').map(entry => entry.duration / 1000)")


@contextmanager
def running() -> Iterator[str]:
    """The address of `odenn web` in a process of its own."""
    command = [sys.executable, "-m", "odenn", "web", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://" in line, line
            yield line.split()[2]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address that all tests share."""
    with running() as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        message = "no Chromium on PATH: install it, on Debian with apt-get install chromium"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(message)
        pytest.skip(message)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def workshops(server: str, browser: Browser) -> Iterator[Callable[..., Workshop]]:
    """Make pages in contexts of their own. After the test none of them may have complained in its console."""
    made: list[tuple[BrowserContext, Workshop]] = []

    def make(*, fragment: str = "", **options: Any) -> Workshop:
        options.setdefault("viewport", {"width": 1440, "height": 900})
        context = browser.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        workshop = Workshop(page, server)

        def on_console(message: ConsoleMessage) -> None:
            # A refusal by the server is no mistake of the page; a violated content security policy is an error too.
            if message.type == "error" and "the server responded with a status of 4" not in message.text:
                workshop.complaints.append(message.text)

        page.on("console", on_console)
        page.on("pageerror", lambda error: workshop.complaints.append(str(error)))
        page.on("request", lambda request: workshop.complaints.extend(_elsewhere(request.url, server)))
        made.append((context, workshop))
        workshop.open(fragment)
        return workshop

    yield make
    for context, workshop in made:
        context.close()
        assert workshop.complaints == []


def _elsewhere(url: str, server: str) -> list[str]:
    return [] if url.startswith((server, "data:", "blob:")) else [f"fetched from elsewhere: {url}"]


@pytest.fixture
def workshop(workshops: Callable[..., Workshop]) -> Workshop:
    """The page in light colours on a desk."""
    return workshops()
