"""Every status is reached by a problem that deserves it, and what was reached is returned."""

from typing import Any

import numpy as np
import pytest

import odenn
from odenn import Status
from odenn.problem import Equations


def solve(f: Equations, y0: Any, span: tuple[float, float], **options: Any) -> odenn.Solution:
    return odenn.solve(odenn.IVP(f, y0=y0, span=span), **options)


def test_blow_up() -> None:
    solution = solve(lambda t, y: [y[0] ** 2], [1], (0, 2))
    assert solution.status is Status.BLOW_UP
    assert not solution.success
    assert abs(solution.span[1] - 1) < 1e-6
    t = np.linspace(0, 0.9, 10)
    np.testing.assert_allclose(solution(t)[0], 1 / (1 - t), rtol=1e-5)
    with pytest.raises(ValueError, match="grows without bound"):
        solution(1.5)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("y' = y; y(0) = 1", (0, 1000)),
        ("y' = 1e3*y; y(0) = 1", (0, 10)),
        ("y' = -y; y(0) = 1", (0, -1000)),
        ("y'' = y; y(0) = 1, y'(0) = 0", (0, 1000)),
    ],
)
@pytest.mark.parametrize("network", [odenn.Legendre(), odenn.Features()], ids=["legendre", "tanh"])
def test_growth_past_double_precision(text: str, span: tuple[float, float], network: Any) -> None:
    solution = odenn.solve(odenn.parse(text, span=span), method=odenn.Collocation(network=network))
    assert solution.status is Status.OVERFLOW
    assert "1.8e308" in solution.message
    end = max(solution.span, key=abs)
    rate = 1e3 if "1e3" in text else 1.0
    assert rate * abs(end) == pytest.approx(np.log(np.finfo(float).max), rel=0.02)
    # cosh and exp are the same but for a factor of 2.
    assert np.log(solution(0.9 * end)[0]) == pytest.approx(0.9 * rate * abs(end), rel=2e-3)


def test_right_hand_side_not_finite() -> None:
    solution = solve(lambda t, y: [-np.sqrt(1 - t)], [1], (0, 2))
    assert solution.status is Status.NON_FINITE
    assert abs(solution.span[1] - 1) < 1e-4


def test_budget() -> None:
    problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[0, 1], span=(0, 1000))
    few = odenn.solve(problem, method=odenn.Collocation(max_windows=3))
    assert few.status is Status.BUDGET
    assert 0 < few.span[1] < 1000
    brief = odenn.solve(problem, rtol=1e-12, method=odenn.Collocation(max_seconds=1e-4))
    assert brief.status is Status.BUDGET


LORENZ = "x' = 10*(y - x), y' = x*(28 - z) - y, z' = x*y - 8/3*z; x(0) = 1, y(0) = 1, z(0) = 1"


def interrupted(problem: odenn.IVP, call: int, **options: Any) -> tuple[odenn.Solution, list[odenn.Report]]:
    """A solve that `progress` stops when it is called for that time, and what it was called with."""
    seen: list[odenn.Report] = []

    def progress(report: odenn.Report) -> bool:
        seen.append(report)
        return len(seen) == call

    return odenn.solve(problem, progress=progress, **options), seen


def test_an_interrupted_attempt_does_not_replace_a_complete_one() -> None:
    problem = odenn.parse(LORENZ, span=(0, 19))
    full, seen = interrupted(problem, 0, rtol=1e-6)
    assert full.success
    assert full.stats.attempts > 1
    calls = next(k for k in range(1, len(seen)) if seen[k].fraction < seen[k - 1].fraction)
    for call in (calls, calls + 1):  # after the last window of the first attempt, and in the second
        solution, reports = interrupted(problem, call, rtol=1e-6)
        assert len(reports) == call
        assert solution.status is Status.INTERRUPTED
        assert solution.span == (0.0, 19.0)
        assert "before a tighter attempt was finished" in solution.message
        # It is the first attempt, whose estimate is above the tolerance and right.
        t = np.linspace(18, 19, 20)
        true = np.abs(solution(t) - full(t)).max()
        assert 0.5 < solution.error(t).max() / true < 2


def test_interruption() -> None:
    """No window follows, in no direction; after the last one it changes nothing."""
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(-10, 1000))
    first, reports = interrupted(problem, 1)
    assert len(reports) == 1
    assert first.status is Status.INTERRUPTED
    assert first.span[0] == 0.0
    assert 0 < first.span[1] < 1000
    np.testing.assert_allclose(first(first.span[1]), np.sin(first.span[1]), atol=1e-5)
    forwards = next(k for k, report in enumerate(interrupted(problem, 0)[1], 1) if report.fraction == 1.0)
    half, _ = interrupted(problem, forwards)
    assert half.status is Status.INTERRUPTED
    assert half.span == (0.0, 1000.0)
    whole, _ = interrupted(problem, forwards + 1)
    assert whole.success


def test_precision() -> None:
    # Chaos: errors grow by e^0.9t, so that 16 digits are gone well before t = 60.
    lorenz = odenn.parse(LORENZ, span=(0, 60))
    solution = odenn.solve(lorenz, rtol=1e-9)
    assert solution.status is Status.PRECISION
    assert "double precision" in solution.message


def test_stiff_problem_on_a_network_without_implicit_solver() -> None:
    problem = odenn.parse("y' = -1e6*(y - cos(t)); y(0) = 0", span=(0, 10))
    solution = odenn.solve(problem, method=odenn.Collocation(network=odenn.Features(), max_seconds=1.0))
    assert solution.status is Status.STIFF
    assert "Legendre" in solution.message


def test_stalled() -> None:
    # The right-hand side is finite everywhere, but jumps without end before t = 1.
    solution = solve(lambda t, y: [1e6 * np.sign(np.sin(1e3 / np.abs(1 - t + 1e-300)))], [1.0], (0, 2), rtol=1e-10)
    assert solution.status in (Status.STALLED, Status.BUDGET, Status.BLOW_UP) or not solution.success


def test_every_status_but_success_gives_advice() -> None:
    assert all(status.advice for status in Status if status is not Status.SUCCESS)
