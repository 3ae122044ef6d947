"""Where there is no formula: SciPy is right, and what it cannot tell is not claimed."""

# What is private there is tested one by one.
# pyright: reportPrivateUsage=false

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import odenn
from odenn import Solution, Status, zoo
from odenn.verify import VerificationError, formula, solver


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
    monkeypatch.setattr(formula, "FORMULA_STATES", 0)


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
        integrators = solver._integrators

        def quick(problem: odenn.IVP) -> Any:
            explicit, implicit = integrators(problem)
            return explicit, implicit._replace(ladder=(1e-8, 1e-9))

        monkeypatch.setattr(solver, "_integrators", quick)
        monkeypatch.setattr(solver, "STIFF_SHARE", 0.02)
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
        run = solver._run

        def half(*arguments: Any) -> Any:
            values, _ = run(*arguments)
            values[:, 100:] = np.nan
            return values, "SciPy DOP853: the time was up at 5"

        monkeypatch.setattr(solver, "_run", half)
        found = circle().verify()
        assert found.t.size == found.reference.shape[1] == found.estimate.shape[1] == 100
        assert found.notes == (
            "The reference covers only this part of what was solved (SciPy DOP853: the time was up at 5).",
        )
        assert found.notes[0] in str(found)
        assert not found.complete
        assert not found.conclusive
        assert "As far as the reference goes, the true error meets the tolerance" in str(found)
