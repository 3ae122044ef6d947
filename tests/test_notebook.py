"""What a notebook shows: well-formed, escaped, for every kind of problem and solution."""

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest

import odenn

HOSTILE = "<script>alert('1')</script>&\"$"


def page(html: str) -> ET.Element:
    """The HTML has no entities but XML's and no tag that stays open, apart from images."""
    return ET.fromstring(re.sub("(<img [^>]*)>", r"\1/>", html))


def text(html: str) -> str:
    return " ".join(page(html).itertext())


def test_equations_are_shown_as_latex() -> None:
    problem = odenn.parse("y1'' = -k*y1 + y2^2/3, y2' = sin(t); y1(1) = 0, y1'(1) = 2e-7, y2(1) = 1", span=(4, -1),
                          params={"k": 2.5})  # fmt: skip
    latex = problem._repr_latex_()
    assert latex is not None
    assert r"y_{1}'' &= - k y_{1} + " in latex
    assert r"y_{1}(1) &= 0,\quad y_{2}(1) = 1,\quad y_{1}'(1) = 2 \cdot 10^{-7}" in latex
    assert latex.count(r"\begin{aligned}") == latex.count(r"\end{aligned}") == 1
    shown = text(problem._repr_html_())
    assert latex in shown
    assert "parameters: k = 2.5" in shown
    assert "t from 4 to -1" in shown


def test_sympy_equations_are_shown_as_latex() -> None:
    import sympy

    x = sympy.Symbol("x")
    y: Any = sympy.Function("y")
    problem = odenn.parse(sympy.Eq(y(x).diff(x), -sympy.sqrt(y(x))), span=(0, 1), initial={"y(0)": 1.0})
    assert r"y' &= - \sqrt{y}" in problem.latex()


def test_high_derivatives_can_be_raised_to_powers() -> None:
    problem = odenn.parse(
        "d5y/dx5 = (d4y/dx4)^2; y(0)=1, y'(0)=0, y''(0)=0, y'''(0)=0, y''''(0)=0",
        span=(0, 1),
    )
    assert r"y^{(5)} &= \left(y^{(4)}\right)^{2}" in problem.latex()


def test_a_function_is_named_with_its_size() -> None:
    def decay(t: Any, y: Any, dy: Any, p: Any) -> Any:
        return [-p.k * y[0]]

    decay.__qualname__ = HOSTILE
    problem = odenn.IVP(decay, y0=[[1], [2]], span=(0, 1), order=2, params={"k": 3.0})
    assert problem._repr_latex_() is None
    shown = text(problem._repr_html_())
    assert HOSTILE in shown
    assert "f(t, y, dy, p)" in shown
    assert "1 component, order 2" in shown
    with pytest.raises(ValueError, match="give the equations as text"):
        problem.latex()


def test_hundred_equations_are_cut_short() -> None:
    equations = ", ".join(f"y{i}' = -y{i}" for i in range(100))
    problem = odenn.parse(equations, span=(0, 1), initial={f"y{i}(0)": 1.0 for i in range(100)})
    assert len(problem._repr_html_()) < 3000
    assert "100 equations" in problem._repr_html_()
    function = odenn.IVP(lambda t, y: -y, y0=np.ones(100), span=(0, 1))
    assert len(function._repr_html_()) < 1000


SOLUTIONS: dict[str, Any] = {
    "solved": lambda: odenn.solve(odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 10))),
    "backwards": lambda: odenn.solve(odenn.parse("y' = y; y(0) = 1", span=(0, -3))),
    "blow-up": lambda: odenn.solve(odenn.parse("y' = y^2; y(0) = 1", span=(0, 2))),
    "overflow": lambda: odenn.solve(odenn.parse("y' = y; y(0) = 1", span=(0, 1000))),
    "hundred": lambda: odenn.solve(odenn.IVP(lambda t, y: -y, y0=np.ones(100), span=(0, 1))),
}


@pytest.mark.parametrize("make", SOLUTIONS.values(), ids=SOLUTIONS.keys())
def test_a_solution_shows_its_figure_and_its_evidence(make: Any) -> None:
    solution = make()
    html = solution._repr_html_()
    (image,) = page(html).iter("img")
    picture = base64.b64decode(image.attrib["src"].removeprefix("data:image/png;base64,"))
    assert picture.startswith(b"\x89PNG")
    assert len(html) < 300_000
    shown = text(html)
    assert solution.message in shown
    assert f"rtol = {solution.rtol:g}" in shown
    assert f"{solution.stats.windows} window" in shown
    assert "largest estimated error" in shown
    assert len(repr(solution)) < 150


def test_messages_and_names_are_escaped() -> None:
    problem = odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 1), names=(HOSTILE,))
    solution = odenn.solve(problem)
    hostile = replace(solution, outcome=replace(solution.outcome, message=HOSTILE))
    html = hostile._repr_html_()
    assert "<script" not in html
    assert HOSTILE in unescape(html)


def test_nothing_solved_has_no_figure() -> None:
    solution = SOLUTIONS["solved"]()
    windows = replace(
        solution.outcome.windows,
        **{name: getattr(solution.outcome.windows, name)[:0] for name in ("start", "length", "value", "weights")},
    )
    empty = replace(solution, outcome=replace(solution.outcome, windows=windows))
    assert "<img" not in empty._repr_html_()
    page(empty._repr_html_())
