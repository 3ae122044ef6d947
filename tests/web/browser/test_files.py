"""Downloads opened by what they are for, uploads, and the link that restores everything."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import onnxruntime
import pytest
from playwright.sync_api import expect

import odenn

from .conftest import Workshop

EQUATIONS, INITIAL, SPAN = "y'' = -c*y' - k*y", "y(0) = 1, y'(0) = 0", (0.0, 4.0)


@pytest.fixture
def solved(workshop: Workshop) -> tuple[Workshop, odenn.Solution]:
    """A run on the page, and the same in Python."""
    workshop.fill(equations=EQUATIONS, initial=INITIAL, span_to="4")
    expect(workshop.page.locator(".parameter")).to_have_count(2)
    workshop.solve_alone(parameter_c="0.5", parameter_k="3")
    problem = odenn.parse(EQUATIONS, initial=INITIAL, span=SPAN, params={"c": 0.5, "k": 3.0})
    return workshop, odenn.solve(problem)


def downloaded(workshop: Workshop, kind: str, folder: Path) -> Path:
    with workshop.page.expect_download() as download:
        workshop.page.click(f"#download-{kind}")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{kind}"
    return path


def test_downloads(solved: tuple[Workshop, odenn.Solution], tmp_path: Path) -> None:
    """Each format holds the solution that Python finds."""
    workshop, solution = solved
    t = np.linspace(*SPAN, 41)
    values = np.genfromtxt(downloaded(workshop, "csv", tmp_path), delimiter=",", names=True)
    np.testing.assert_allclose(values["y"], solution(values["t"])[0], rtol=1e-12, atol=1e-14)

    again = odenn.load(downloaded(workshop, "odenn", tmp_path))
    np.testing.assert_allclose(again(t), solution(t), rtol=1e-12, atol=1e-14)

    session = onnxruntime.InferenceSession(downloaded(workshop, "onnx", tmp_path))
    (answer,) = session.run(None, {session.get_inputs()[0].name: t[:, None]})
    np.testing.assert_allclose(np.squeeze(answer), solution(t)[0], rtol=1e-9, atol=1e-12)

    script = downloaded(workshop, "py", tmp_path)
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    printed = np.array([line.split() for line in run.stdout.splitlines()[-11:]], dtype=float)
    np.testing.assert_allclose(printed[:, 1], solution(solution.grid(11))[0], rtol=1e-12)

    picture = matplotlib.image.imread(downloaded(workshop, "png", tmp_path))
    assert picture.shape[0] > 300
    assert picture[..., :3].std() > 0.01  # it is not blank
    root = ElementTree.parse(downloaded(workshop, "svg", tmp_path)).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 10


def test_solution_is_opened(
    solved: tuple[Workshop, odenn.Solution], workshops: Callable[..., Workshop], tmp_path: Path
) -> None:
    """A saved solution looks as it did; the form follows it; a damaged one is refused and the page goes on."""
    workshop, _ = solved
    path = downloaded(workshop, "odenn", tmp_path)
    damaged = tmp_path / "damaged.odenn"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\0" * (len(content) - len(content) // 2)
    damaged.write_bytes(content)
    pickled = tmp_path / "pickle.odenn"
    pickled.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")

    other = workshops()
    for bad in (damaged, pickled):
        other.page.set_input_files("#odenn-file", bad)
        assert bad.name in other.error("upload") or "odenn" in other.error("upload")
        assert other.page.is_hidden("#values-panel")
    other.page.set_input_files("#odenn-file", path)
    expect(other.page.locator("#values tbody tr")).to_have_count(11)
    assert other.table() == workshop.table()
    expect(other.page.locator("#equations")).to_have_value(EQUATIONS)
    assert other.page.input_value("#initial") == "y(0) = 1, y'(0) = 0"
    assert other.page.input_value("#parameter-k") == "3"


def test_measured_data(workshop: Workshop, tmp_path: Path) -> None:
    """Values from a CSV file are fitted; a file that is no such table is refused."""
    t = np.linspace(0, 2, 41)
    table, bad = tmp_path / "measured.csv", tmp_path / "bad.csv"
    np.savetxt(table, np.c_[t, np.exp(-t)], delimiter=",", header="t,y", comments="", fmt="%.17g")
    bad.write_text("t,y\n0,1\n1,high\n")
    workshop.fill(equations="y' = -y", initial="y(0) = 1", span_to="2")
    workshop.choose("data-fit")
    workshop.page.select_option("#data-kind", "csv")
    workshop.page.set_input_files("#csv", bad)
    assert "line 3" in workshop.error("data")
    workshop.page.set_input_files("#csv", table)
    expect(workshop.page.locator("#csv-name")).to_have_text("measured.csv: 41 rows of t, y")
    workshop.fill(hidden="8, 8", rtol="1e-3")
    workshop.advanced(iterations="200")
    workshop.without_comparison()
    workshop.solve()
    page = np.array(workshop.table())
    np.testing.assert_allclose(page[:, 1], np.exp(-page[:, 0]), rtol=1e-2)


def test_link(workshops: Callable[..., Workshop]) -> None:
    """In another browser the link brings back problem, method, ranges, plot, kept runs, and solves."""
    first = workshops(permissions=["clipboard-read", "clipboard-write"])
    first.fill(equations="x' = a*x - x*y\ny' = x*y - 3*y", initial="x(0) = 1, y(0) = 1", span_to="3*pi")
    expect(first.page.locator(".parameter")).to_have_count(1)
    first.fill(parameter_a="1.5", **{"parameter-a-high": "9*pi"}, rtol="0.0000001")
    first.advanced(seconds="17", seed="5")
    first.page.select_option("#units", "tanh")
    first.page.uncheck("#verify")
    first.solve()
    first.page.click("#pin")
    first.fill(parameter_a="pi/2")
    first.solve()
    first.tab("phase")
    first.page.select_option("#axis-x", "d1")
    first.page.click("#copy-link")
    expect(first.page.locator("#copy-link")).to_have_text("Link copied")
    link = first.page.evaluate("navigator.clipboard.readText()")
    assert link == first.page.url

    second = workshops(fragment="#" + link.partition("#")[2])
    expect(second.page.locator("#values tbody tr")).to_have_count(11)
    expect(second.page.locator("#runs li")).to_have_count(2)
    second.finished()
    assert second.table() == first.table()
    fields = "equations initial span-from span-to parameter-a parameter-a-high rtol units seconds seed axis-x axis-y"
    for name in fields.split():
        assert second.page.input_value(f"#{name}") == first.page.input_value(f"#{name}"), name
    assert second.page.input_value("#span-to") == "3*pi"
    assert second.page.input_value("#parameter-a") == "pi/2"
    assert not second.page.is_checked("#verify")
    assert second.page.get_attribute("#tab-phase", "aria-selected") == "true"
    assert second.page.inner_text("#runs") == first.page.inner_text("#runs")
    assert second.traces() == first.traces()
