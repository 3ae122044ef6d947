"""What a run looks like to the page."""

import pytest

import odenn
from odenn.web.events import summary


@pytest.mark.parametrize("method", [odenn.Collocation(), odenn.Residual(network=odenn.MLP([24, 24]))])
def test_the_error_that_is_shown_is_judged_as_success_is(method: odenn.Collocation | odenn.Residual) -> None:
    """A component that starts at zero has next to no tolerance there, and rounding is no failure."""
    problem = odenn.parse("u' = v, v' = -u; u(0) = 1, v(0) = 0", span=(0, 6))
    solution = odenn.solve(problem, rtol=1e-7, method=method)
    assert solution.success
    assert summary(solution, seconds=1.0)["reached"] < 1e-7
