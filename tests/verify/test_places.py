"""At which times a solution is looked at, and which error was allowed there."""

import numpy as np
import pytest

import odenn
from odenn import Solution
from odenn.verify import origin, times, tolerance


def circle(*, span: tuple[float, float] = (0, 10), t0: float = 0.0, rtol: float = 1e-6) -> Solution:
    return odenn.solve(odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=span, t0=t0), rtol=rtol)


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
