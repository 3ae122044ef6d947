"""SymPy's formula: looked for in a process that can be ended, and checked before it is believed."""

import subprocess
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import sympy

import odenn
from odenn import Solution
from odenn.verify import exact

OSCILLATOR = "u' = v, v' = -u; u(0) = 1, v(0) = 0"


def solved(text: str, span: tuple[float, float], **options: Any) -> Solution:
    return odenn.solve(odenn.parse(text, span=span), **options)


def equal(left: Any, right: Any) -> Any:
    return sympy.Eq(left, right)


class TestFormula:
    """SymPy's solution."""

    def test_linear_pair(self) -> None:
        solution = solved("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", (0, 10), rtol=1e-6)
        found = solution.verify(seconds=60)
        assert found.method == "exact: y1 = exp(x), y2 = exp(x)/2 + exp(-x)/2"
        np.testing.assert_allclose(found.reference, [np.exp(found.t), np.cosh(found.t)], rtol=4e-16)
        np.testing.assert_array_equal(found.true_error, np.abs(solution(found.t) - found.reference))
        np.testing.assert_array_equal(found.estimate, solution.error(found.t))
        assert found.within_tolerance
        assert found.conclusive
        assert found.resolved.all()
        assert ((found.ratio > 0.5) & (found.ratio < 2)).all()

    def test_backwards_from_an_interior_point_with_parameters(self) -> None:
        problem = odenn.parse("y'' = -k^2*y; y(1) = 0, y'(1) = 2", span=(3, -2), params={"k": 2.0})
        found = odenn.solve(problem, rtol=1e-9).verify(seconds=60)
        assert found.method.startswith("exact: ")
        np.testing.assert_allclose(found.reference[0], np.sin(2 * (found.t - 1)), atol=4e-15)
        assert found.within_tolerance

    def test_after_parameters_were_replaced(self) -> None:
        problem = odenn.parse("y' = -k*y; y(0) = 3", span=(0, 2), params={"k": 1.0}).with_params(k=0.5)
        assert odenn.solve(problem).verify(seconds=60).method == "exact: y = 3*exp(-t/2)"


def answer(text: str, monkeypatch: pytest.MonkeyPatch | None = None, offered: Any = None) -> exact.Answer:
    """What the process answers; with `offered` in place of what dsolve finds."""
    problem = odenn.parse(text, span=(0, 2))
    assert problem.system is not None
    request = exact.Request(
        text=problem.system.text,
        parameters={},
        initial=problem.initial.tolist(),
        t0=0.0,
        times=np.linspace(0, 2, 30).tolist(),
    )
    if monkeypatch is not None:

        def dsolve(equation: Any, unknown: Any, ics: Any) -> Any:
            return offered(unknown, sympy.Symbol("t", real=True))

        monkeypatch.setattr(sympy, "dsolve", dsolve)
    return exact.solve_exactly(request)


class TestDoubts:
    """What dsolve returns is checked before it is believed."""

    def test_right_formula(self) -> None:
        found = answer("y' = -y; y(0) = 1")
        assert found.formulas == ["y = exp(-t)"]
        np.testing.assert_allclose(found.values[0], np.exp(-np.linspace(0, 2, 30)), rtol=3e-16)

    def test_decimal_numbers_are_exact(self) -> None:
        assert answer("y' = -0.1*y; y(0) = 0.3").formulas == ["y = 3*exp(-t/10)/10"]

    def test_equations_not_solved_for_their_derivatives(self) -> None:
        assert answer("2*x' + y' = -x, x' + y' = -y; x(0) = 1, y(0) = 0").formulas

    WRONG: ClassVar[list[tuple[Callable[[Any, Any], Any], str]]] = [
        (lambda y, t: equal(y, 2 * sympy.exp(-t)), "misses the initial conditions"),
        (lambda y, t: equal(y, 1 - t), "does not satisfy the equations"),
        (lambda y, t: equal(y, sympy.exp(-t) + sympy.I * sympy.sin(t)), "is complex"),
        (lambda y, t: equal(y, 1 / sympy.Integer(0) * t), "has no value"),
        (lambda y, t: equal(y, sympy.exp(-t) * sympy.Symbol("q") ** t), "has constants"),
        (lambda y, t: equal(sympy.log(y), -t), "finds no formula"),
        (lambda y, t: [], "finds no formula"),
        (lambda y, t: None, "finds no formula"),
        (lambda y, t: equal(y, sympy.Derivative(y, t)), "finds no formula"),
    ]

    @pytest.mark.parametrize(("offered", "reason"), WRONG)
    def test_wrong_formula(self, monkeypatch: pytest.MonkeyPatch, offered: Any, reason: str) -> None:
        found = answer("y' = -y; y(0) = 1", monkeypatch, offered)
        assert not found.formulas
        assert reason in found.reason

    def test_right_one_of_several_branches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def branches(y: Any, t: Any) -> Any:
            return [sympy.Eq(y, -sympy.exp(-t)), sympy.Eq(y, sympy.exp(-t))]

        assert answer("y' = -y; y(0) = 1", monkeypatch, branches).formulas == ["y = exp(-t)"]

    def test_constants_are_found_where_dsolve_leaves_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def general(y: Any, t: Any) -> Any:
            return sympy.Eq(y, sympy.Symbol("C1") * sympy.exp(-t))

        assert answer("y' = -y; y(0) = 3", monkeypatch, general).formulas == ["y = 3*exp(-t)"]


class TestProcess:
    """It takes no longer than it may."""

    def test_sympy_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """dsolve thinks about Lotka-Volterra for minutes."""
        started: list[subprocess.Popen[Any]] = []
        popen = subprocess.Popen

        def watched(*arguments: Any, **options: Any) -> Any:
            started.append(popen(*arguments, **options))
            return started[-1]

        monkeypatch.setattr(subprocess, "Popen", watched)
        solution = solved("x' = 1.5*x - x*y, y' = x*y - 3*y; x(0) = 2, y(0) = 1", (0, 5))
        begin = time.monotonic()
        found = solution.verify(seconds=3)
        assert time.monotonic() - begin < 8
        assert found.method.startswith("SciPy")
        assert len(started) == 1
        assert started[0].poll() is not None

    def test_sympy_that_cannot_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        assert solved(OSCILLATOR, (0, 3)).verify().method.startswith("SciPy")

    def test_sympy_that_crashes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.executable", "/bin/false")
        assert solved(OSCILLATOR, (0, 3)).verify().method.startswith("SciPy")
