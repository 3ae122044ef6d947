"""Verification: the reference is right, what it cannot tell is not claimed, and time limits hold."""

# What is private there is tested one by one.
# pyright: reportPrivateUsage=false

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import sympy

import odenn
from odenn import Solution, Status, _exact, verify, zoo
from odenn.storage.solutions import load
from odenn.verify import Verification, VerificationError, origin, times, tolerance

OSCILLATOR = "u' = v, v' = -u; u(0) = 1, v(0) = 0"


def solved(text: str, span: tuple[float, float], **options: Any) -> Solution:
    return odenn.solve(odenn.parse(text, span=span), **options)


def circle(*, span: tuple[float, float] = (0, 10), t0: float = 0.0, rtol: float = 1e-6) -> Solution:
    return odenn.solve(odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=span, t0=t0), rtol=rtol)


def shifted(solution: Solution, by: float) -> Solution:
    """A wrong solution that claims to be right."""
    windows = replace(solution.outcome.windows, value=solution.outcome.windows.value + by)
    return replace(solution, outcome=replace(solution.outcome, windows=windows))


@pytest.fixture
def no_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """SymPy is not asked."""
    monkeypatch.setattr(verify, "FORMULA_STATES", 0)


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

    def test_formula_on_another_branch_is_rejected(self) -> None:
        """2 atan(...) satisfies the equation at every point and jumps between them."""
        values = np.linspace(0, 9, 10)[np.newaxis]
        right = verify._Reference(method="SciPy", values=values, accuracy=np.full((1, 10), 1e-12))
        jumps = verify._Reference(
            method="exact: y = atan(t)", values=np.where(values > 5, values - 6, values), accuracy=right.accuracy
        )
        chosen = verify._chosen(jumps, verify._Found(right, ""))
        assert chosen is not None
        assert chosen.method == "SciPy"
        assert chosen.notes == ("SymPy's formula, y = atan(t), was rejected: it changes branches.",)
        exact = replace(right, method="exact: y = t")
        assert verify._chosen(exact, verify._Found(right, "")) is exact
        alone = verify._chosen(exact, verify._Found(None, "too slow"))
        assert alone is not None
        assert alone.notes == ("SciPy did not confirm the formula: too slow.",)


def answer(text: str, monkeypatch: pytest.MonkeyPatch | None = None, offered: Any = None) -> _exact.Answer:
    """What the process answers; with `offered` in place of what dsolve finds."""
    problem = odenn.parse(text, span=(0, 2))
    assert problem.system is not None
    request = _exact.Request(
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
    return _exact.solve_exactly(request)


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


@pytest.mark.usefixtures("no_formula")
class TestSciPy:
    """Where there is no formula."""

    @pytest.mark.parametrize(("span", "t0"), [((0, 10), 0), ((10, 0), 10), ((-4, 5), 1), ((5, -4), 1)])
    def test_every_direction_and_initial_point(self, span: tuple[float, float], t0: float) -> None:
        found = circle(span=span, t0=t0).verify(points=101)
        assert found.method == "SciPy DOP853, rtol 1e-13"
        assert found.t.size == 101
        assert (found.t[0], found.t[-1]) == span
        np.testing.assert_allclose(found.reference, [np.cos(found.t - t0), -np.sin(found.t - t0)], atol=1e-12)
        assert (found.reference_accuracy < 1e-11).all()
        assert found.within_tolerance

    def test_higher_and_mixed_orders(self) -> None:
        solution = solved("x'' = -x, y' = x; x(0) = 1, x'(0) = 0, y(0) = 2", (0, 6))
        found = solution.verify()
        np.testing.assert_allclose(found.reference, [np.cos(found.t), 2 + np.sin(found.t)], atol=1e-12)
        assert found.within_tolerance

    # Thousands of points leave rounding alone, of which two runs can have the same.
    @pytest.mark.parametrize(("points", "factor"), [(21, 1), (201, 1), (2001, 3)])
    @pytest.mark.parametrize("name", ["pendulum", "kepler", "linear-pair-10"])
    def test_reference_is_as_accurate_as_it_says(self, name: str, points: int, factor: float) -> None:
        """Also where the times are so close that they set SciPy's steps, at every tolerance the same."""
        problem = zoo.get(name)
        assert problem.exact is not None
        found = odenn.solve(problem.problem(), rtol=1e-8).verify(points=points, seconds=60)
        error = np.abs(found.reference - problem.exact(found.t)[: len(found.names)])
        assert (error <= factor * found.reference_accuracy).all()

    def test_hundred_components(self) -> None:
        def chain(t: Any, y: Any) -> Any:
            slopes = -y
            slopes[1:] += y[:-1]
            return slopes

        found = odenn.solve(odenn.IVP(chain, y0=[1] + [0] * 99, span=(0, 20))).verify(seconds=60)
        assert found.reference.shape == (100, 201)
        assert found.within_tolerance
        assert len(str(found).splitlines()) < 20

    def test_stiff_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        integrators = verify._integrators

        def quick(problem: odenn.IVP) -> Any:
            explicit, implicit = integrators(problem)
            return explicit, implicit._replace(ladder=(1e-8, 1e-9))

        monkeypatch.setattr(verify, "_integrators", quick)
        monkeypatch.setattr(verify, "STIFF_SHARE", 0.02)
        text = "a' = -0.04*a + 1e4*b*c, b' = 0.04*a - 1e4*b*c - 3e7*b^2, c' = 3e7*b^2; a(0) = 1, b(0) = 0, c(0) = 0"
        solution = solved(text, (0, 1e4))
        assert solution.stats.stiff_windows > 0
        found = solution.verify(points=21, seconds=60)
        assert found.method == "SciPy Radau, rtol 1e-9"
        assert (found.reference_accuracy.max(axis=1) < 1e-6 * found.reference.max(axis=1)).all()
        assert found.within_tolerance
        assert np.count_nonzero(found.t < 100) > 5  # the transient is looked at

    def test_problem_that_only_looks_stiff(self) -> None:
        solution = circle()
        stats = replace(solution.stats, stiff_windows=solution.stats.windows)
        found = replace(solution, outcome=replace(solution.outcome, stats=stats)).verify()
        assert found.method == "SciPy DOP853, rtol 1e-13"

    def test_solution_that_ended_early(self) -> None:
        solution = solved("y' = y^2 - 1; y(0) = 1.5", (0, 3))
        assert solution.status is Status.BLOW_UP
        found = solution.verify()
        assert found.t[-1] == solution.span[1] or found.notes
        assert np.isfinite(found.reference).all()
        early = found.t < 0.7
        assert (found.true_error[:, early] <= 1e-3).all()

    def test_wrong_solution_is_found_out(self) -> None:
        found = shifted(circle(), 1e-4).verify()
        assert not found.within_tolerance
        assert found.conclusive
        assert (found.max_true > 0.9e-4).all()
        assert (found.ratio > 100).all()
        assert "MISSES the tolerance" in str(found)

    def test_error_below_the_reference_is_not_called_known(self) -> None:
        found = circle().verify()
        assert found.resolved.all()
        found = replace(found, reference_accuracy=2 * np.maximum(found.true_error, 1e-10))
        assert not found.resolved.any()
        assert f"< {found.reference_accuracy[0].max():.2g}" in str(found)

    def test_tolerance_finer_than_the_reference_cannot_be_judged(self) -> None:
        found = replace(circle().verify(), tolerance=np.full((2, 201), 1e-20))
        assert not found.within_tolerance
        found = replace(found, reference_accuracy=found.true_error + 1e-10)
        assert not found.conclusive
        assert "cannot be told" in str(found)

    def test_function_that_raises(self) -> None:
        calls = 0

        def f(t: Any, y: Any) -> Any:
            nonlocal calls
            calls += np.size(t) == 1
            if calls > 400:
                raise ArithmeticError
            return [y[1], -y[0]]

        solution = odenn.solve(odenn.IVP(f, y0=[1, 0], span=(0, 1000)), rtol=1e-4)
        calls = 0
        with pytest.raises(VerificationError, match="it raised ArithmeticError"):
            solution.verify()

    def test_partial_reference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = verify._run

        def half(*arguments: Any) -> Any:
            values, _ = run(*arguments)
            values[:, 100:] = np.nan
            return values, "SciPy DOP853: the time was up at 5"

        monkeypatch.setattr(verify, "_run", half)
        found = circle().verify()
        assert found.t.size == found.reference.shape[1] == found.estimate.shape[1] == 100
        assert found.notes == (
            "The reference covers only this part of what was solved (SciPy DOP853: the time was up at 5).",
        )
        assert found.notes[0] in str(found)
        assert not found.complete
        assert not found.conclusive
        assert "As far as the reference goes, the true error meets the tolerance" in str(found)


class TestTimeLimit:
    """`seconds` covers everything."""

    def test_slow_function(self) -> None:
        solution = odenn.solve(odenn.IVP(lambda t, y: (time.sleep(0.02), [y[1], -y[0]])[1], y0=[1, 0], span=(0, 9)))
        begin = time.monotonic()
        with pytest.raises(VerificationError, match=r"no reference within `seconds` = 0\.2.*the time was up"):
            solution.verify(seconds=0.2)
        assert time.monotonic() - begin < 5

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


class TestTolerance:
    """The contract, and where it is looked at."""

    def test_contract_grows_with_the_largest_value_so_far(self) -> None:
        solution = circle(span=(-4, 5), t0=1.0, rtol=1e-5)
        t = np.array([1.0, 0.0, 1.0 + np.pi / 2, 5.0, -4.0])
        allowed = tolerance(solution, t)
        np.testing.assert_allclose(allowed[0], 1e-5 * (1 + 1e-6), rtol=1e-6)
        np.testing.assert_allclose(allowed[1], 1e-11 + 1e-5 * np.array([0, np.sin(1), 1, 1, 1]), rtol=1e-4)

    def test_absolute_tolerance_of_the_solve_counts(self) -> None:
        problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=(0, 5))
        allowed = tolerance(odenn.solve(problem, rtol=1e-6, atol=[1e-3, 1e-2]), [0.0])
        np.testing.assert_allclose(allowed[:, 0], [1e-3 + 1e-6, 1e-2])

    @pytest.mark.parametrize(("span", "t0"), [((0, 5), 0), ((5, 0), 5), ((-4, 5), 1), ((5, -4), -1)])
    def test_origin_is_read_from_the_windows(self, span: tuple[float, float], t0: float) -> None:
        assert origin(circle(span=span, t0=t0)) == t0

    @pytest.mark.parametrize("points", [2, 3, 50])
    @pytest.mark.parametrize("span", [(0, 5), (5, 0), (-3, 4)])
    def test_times_cover_what_was_solved_in_its_direction(self, points: int, span: tuple[float, float]) -> None:
        t = times(circle(span=span, t0=float(span[0])), points)
        assert (t.size, t[0], t[-1]) == (points, *span)
        assert (np.diff(t) * (span[1] - span[0]) > 0).all()


def test_report() -> None:
    t = np.array([0.0, 1.0])
    found = Verification(
        method="SciPy DOP853, rtol 1e-13",
        names=("y1", "y2"),
        independent="x",
        t=t,
        reference=np.ones((2, 2)),
        reference_accuracy=np.full((2, 2), 1e-12),
        true_error=np.array([[0, 2e-9], [0, 1e-13]]),
        estimate=np.array([[1e-15, 4e-9], [1e-15, 2e-12]]),
        tolerance=np.full((2, 2), 1e-8),
        notes=("A note.",),
    )
    assert str(found) == (
        "Compared at 2 points, x from 0 to 1, with\n"
        "  SciPy DOP853, rtol 1e-13\n"
        "    true error  estimate  true / estimate\n"
        "y1       2e-09     4e-09             0.50\n"
        "y2     < 1e-12     2e-12           < 0.50\n"
        "The true error meets the tolerance; it is at most 0.2 times that, for y1 at x = 1\n"
        "A note."
    )


class TestRefusals:
    """What cannot be verified says so."""

    @pytest.mark.parametrize("points", [1, 0, 2.5, "many"])
    def test_points(self, points: Any) -> None:
        with pytest.raises(ValueError, match="`points` must be a whole number, 2 or more"):
            circle().verify(points=points)

    @pytest.mark.parametrize("seconds", [0, -1, np.nan, np.inf])
    def test_seconds(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="`seconds` must be a positive number"):
            circle().verify(seconds=seconds)

    def test_without_equations(self, tmp_path: Path) -> None:
        circle().save(tmp_path / "s.odenn")
        with pytest.raises(ValueError, match="loaded without its equations"):
            load(tmp_path / "s.odenn").verify()

    def test_without_windows(self) -> None:
        solution = circle()
        windows = replace(
            solution.outcome.windows,
            **{name: getattr(solution.outcome.windows, name)[:0] for name in ("start", "length", "value", "weights")},
        )
        empty = replace(solution, outcome=replace(solution.outcome, windows=windows))
        with pytest.raises(ValueError, match="nothing was solved"):
            empty.verify()
