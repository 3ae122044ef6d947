"""Every way in which solving can end, with what it means and what to do about it."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Outcome of a solve; `SUCCESS` is the only one with `solution.success`."""

    SUCCESS = "the estimated error meets the tolerance on the whole span"
    TOLERANCE = "the tolerance was missed"
    PRECISION = "the tolerance is beyond double precision for this problem"
    BLOW_UP = "the solution grows without bound"
    OVERFLOW = "the solution grows past the largest number of double precision, 1.8e308,"
    NON_FINITE = "the right-hand side stops being finite"
    STALLED = "the windows became too short to go on"
    BUDGET = "the budget was used up before the end of the span"
    INTERRUPTED = "the run was stopped before the end of the span"
    STIFF = "the problem is stiff and is solved without an implicit method"

    @property
    def advice(self) -> str:
        """What to do."""
        return _ADVICE[self]


_ADVICE = {
    Status.SUCCESS: "",
    Status.TOLERANCE: "read solution.error(t) for what was reached, or ask for a looser rtol",
    Status.PRECISION: "errors are amplified along the solution (chaos, growth) or rtol is finer than rounding: ask for "
    "a looser rtol or a shorter span",
    Status.BLOW_UP: "the solution is returned up to that point; end the span before it, or check the signs",
    Status.OVERFLOW: "the solution is returned up to that point; end the span before it, check the signs, or solve for "
    "the logarithm",
    Status.NON_FINITE: "the solution is returned up to that point; look there for a division by zero or a root or "
    "logarithm of a negative number, or end the span before it",
    Status.STALLED: "the solution is returned up to that point; look there for a singularity or a discontinuity, or "
    "loosen rtol",
    Status.BUDGET: "raise max_windows or max_seconds of the method, loosen rtol or shorten the span",
    Status.INTERRUPTED: "the best that was found by then is returned",
    Status.STIFF: "use the Legendre network and leave `stiff` to itself (the defaults): stiff windows are then "
    "solved implicitly",
}
