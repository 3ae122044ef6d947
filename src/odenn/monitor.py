"""What a training run shows, and what is wrong with it, in words with a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from odenn.networks.tables import Array
from odenn.optimise.objective import Record

ENOUGH = 12  # iterations to judge a course from
RISING = 0.25  # of the iterations go up by a tenth or more: no descent
FLAT = 0.9  # the best loss of the second half over that of the first: hardly better
APART = 1e4  # largest size over smallest: a mean square sees only the largest
SINGLE = 3e-7  # relative residual at which float32 rounds


class Trouble(Enum):
    """What can be wrong with a training run; each with its remedy."""

    OSCILLATION = "the loss oscillates instead of falling"
    PLATEAU = "the loss has stopped falling above the goal"
    SCALES = "components, or one component over time, differ so much in size that the loss sees only the largest"
    KINK = "the activation has too few derivatives for the order of the equation"
    DATA = "the data are further from the solution than the network is from the data"
    FLOAT32 = "the residual has reached the rounding error of float32"
    FIXED_POINT = "the network rests on a fixed point of the equation, which has no residual but is not the solution"

    @property
    def remedy(self) -> str:
        """What to do."""
        return _REMEDIES[self]


_REMEDIES = {
    Trouble.OSCILLATION: "lower the learning rate, use a schedule that decays, or LevenbergMarquardt()",
    Trouble.PLATEAU: 'use LevenbergMarquardt(), windows="auto" (shorter windows), a wider network or stages=2',
    Trouble.SCALES: 'use windows="auto", which scales every window by itself, or rescale the components',
    Trouble.KINK: 'use activation "tanh" or "sin", which have all derivatives',
    Trouble.DATA: "use a smaller step or a better method for the data (RK4, Reference()): more training cannot help",
    Trouble.FLOAT32: "train in float64 (network.double()), the default of odenn",
    Trouble.FIXED_POINT: 'use windows="auto": on short windows leaving the initial values at once does not pay',
}


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One finding with the figures behind it."""

    trouble: Trouble
    evidence: str

    def __str__(self) -> str:
        return f"{self.trouble.value} ({self.evidence}): {self.trouble.remedy}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What is known of a run beside its history; leave out what is not."""

    goal: float | None = None  # largest residual that was asked for
    activation: str = ""
    smooth: int | None = None  # continuous derivatives of the activation; None: all
    order: int = 1  # of the equation
    windowed: bool = True  # each window scaled by itself
    values: Array | None = None  # (n, k) the network on the span
    slopes: Array | None = None  # (n, k) its derivative
    initial_slopes: Array | None = None  # (n,) the equation's, at the initial values
    data_error: float | None = None  # relative
    fit_error: float | None = None  # relative, to the data
    single: bool = False  # float32


def diagnose(history: Sequence[Record], evidence: Evidence | None = None) -> tuple[Diagnosis, ...]:
    """Name what is wrong with a run; empty where nothing is.

    Examples
    --------
    >>> losses = [1.0 if k % 2 else 3.0 for k in range(40)]
    >>> run = [Record(iteration=k, loss=loss, gradient=1.0, control=0.1) for k, loss in enumerate(losses)]
    >>> print(diagnose(run)[0])
    the loss oscillates instead of falling (...): lower the learning rate, ...
    """
    known = evidence or Evidence()
    findings = (
        _oscillation(history),
        _plateau(history, known),
        _scales(known),
        _kink(known),
        _data(known),
        _float32(history, known),
        _fixed_point(known),
    )
    return tuple(finding for finding in findings if finding is not None)


def _oscillation(history: Sequence[Record]) -> Diagnosis | None:
    losses = np.array([record.loss for record in history])[len(history) // 2 :]
    if losses.size < ENOUGH // 2:
        return None
    rises = float((losses[1:] > 1.1 * losses[:-1]).mean())
    if rises < RISING or losses[-1] < 0.1 * losses[0]:
        return None
    return Diagnosis(
        trouble=Trouble.OSCILLATION,
        evidence=f"in {100 * rises:.0f} % of the last {losses.size} iterations it rose, "
        f"between {losses.min():.2g} and {losses.max():.2g}",
    )


def _plateau(history: Sequence[Record], known: Evidence) -> Diagnosis | None:
    if len(history) < ENOUGH:
        return None
    losses = np.array([record.loss for record in history])
    half = losses.size // 2
    first, second = float(losses[:half].min()), float(losses[half:].min())
    above = known.goal is None or second > known.goal**2
    if second < FLAT * first or not above:
        return None
    return Diagnosis(
        trouble=Trouble.PLATEAU,
        evidence=f"{second:.2g} after {first:.2g} in the first half of {losses.size} iterations",
    )


def _scales(known: Evidence) -> Diagnosis | None:
    if known.values is None or known.windowed:
        return None
    sizes = np.abs(known.values).max(axis=1)
    growth = np.abs(known.values).max(axis=1) / np.maximum(np.median(np.abs(known.values), axis=1), 1e-300)
    apart = float(sizes.max() / max(float(sizes.min()), 1e-300))
    if apart < APART and growth.max() < 10:
        return None
    return Diagnosis(
        trouble=Trouble.SCALES,
        evidence=f"sizes from {sizes.min():.2g} to {sizes.max():.2g}, "
        f"largest value {growth.max():.2g} times the typical one",
    )


def _kink(known: Evidence) -> Diagnosis | None:
    if known.smooth is None or known.order < known.smooth + (known.smooth > 0):
        return None
    return Diagnosis(
        trouble=Trouble.KINK,
        evidence=f"{known.activation or 'it'} has {known.smooth} continuous derivative(s), "
        f"the equation is of order {known.order}",
    )


def _data(known: Evidence) -> Diagnosis | None:
    if known.data_error is None or known.fit_error is None or known.data_error <= known.fit_error:
        return None
    return Diagnosis(
        trouble=Trouble.DATA,
        evidence=f"relative error of the data {known.data_error:.2g}, of the fit to them {known.fit_error:.2g}",
    )


def _float32(history: Sequence[Record], known: Evidence) -> Diagnosis | None:
    if not known.single or not history:
        return None
    residual = min(record.loss for record in history) ** 0.5
    if residual > SINGLE * 30:
        return None
    return Diagnosis(trouble=Trouble.FLOAT32, evidence=f"residual {residual:.2g}, float32 rounds at 6e-8 of the values")


def _fixed_point(known: Evidence) -> Diagnosis | None:
    """The slopes vanish over most of the span although the solution sets out with slopes that do not."""
    if known.slopes is None or known.initial_slopes is None:
        return None
    start = float(np.abs(known.initial_slopes).max())
    still = np.abs(known.slopes).max(axis=0) < 1e-3 * start
    share = float(still[still.size // 10 :].mean())
    if start == 0 or share < 0.8:
        return None
    return Diagnosis(
        trouble=Trouble.FIXED_POINT,
        evidence=f"slopes below a thousandth of the initial ones on {100 * share:.0f} % of the span",
    )
