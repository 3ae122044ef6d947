"""What a training run shows, and what is wrong with it, in words with a remedy.

Findings are reasons for a miss; of a run that met its tolerance only what made it long is said. The thresholds are
where runs of known kind part company (5x32 tanh, one window, rtol 1e-6; tests/training/test_monitor.py repeats the runs
on either side).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from odenn.networks.tables import Array
from odenn.optimise.objective import Record
from odenn.wording import counted

ENOUGH = 8  # iterations to judge a course from: so many Levenberg-Marquardt grants without progress before it ends
# What log(loss) rises over the second half of a fit: 0 to 0.1 in runs that fall or rest, 7 and more in runs that swing.
SWING = 2.0
NO_DESCENT = 0.6  # of what it falls there, so much is taken back; more than 1 for a run that grows
FLAT = 0.9  # the best loss of the second half over that of the first: hardly better
GROWN = 100.0  # from there on it has not stopped falling, but grown
# Largest change within a window over the scale that the network was given: up to 2 where the scale was found well.
BEYOND = 10.0
# Times that the window contains the shortest time in which the solution would cross its range. sin t on [0, T] has T/2,
# e^t has T: up to 5 one window reaches errors of 1e-5 and better, from 6 on 1e-2 and worse.
STEEP = 6.0
# Residual, relative, below which a kinked network has gone as far as its kinks let it, and one in float32 as its
# rounding does, whose unit of 6e-8 the derivatives magnify.
KINKED, SINGLE = 1e-2, 1e-5
BETWEEN = 10.0  # times the misfit at its own samples that a network shows at the others, where they are too few
# Windows over those that Collocation takes for the same tolerance, and how many there are at the least. Networks of the
# default size took 0.4 to 2.8 times as many (eight problems of the zoo, rtol 1e-3 to 1e-10); 8x2 at 1e-8 17 times and
# more, one layer of 8 at 1e-6 4 times and more.
SHORT, MANY = 5.0, 20
ROUNDED = 1e-11  # local tolerance below which rounding shortens the windows, whatever the size of the network
RESTS, AWAY = 0.1, 0.5  # a tenth of the solution's largest slopes; half its size away from it


class Trouble(Enum):
    """What can be wrong with a training run; each with its remedy."""

    OSCILLATION = "the loss oscillates or grows instead of falling"
    PLATEAU = "the loss has stopped falling above the goal"
    MISFIT = "the fit to the data has stopped improving above the goal"
    ITERATIONS = "the loss was still falling when training ended"
    SCALES = "the solution grows far beyond the scale that the network was given"
    TIME = "the solution changes on a time much shorter than the window"
    NARROW = "the network is small for the tolerance, which takes many short windows"
    KINK = "the activation has a kink, which limits the accuracy"
    DATA = "the data are as far from the solution as the network is from the data, or further"
    SAMPLES = "the network meets the samples that it was trained on, but not those between them"
    FLOAT32 = "the residual has reached the rounding error of float32"
    FIXED_POINT = (
        "the network rests near a fixed point of the equation, where the residual is small far from the solution"
    )

    @property
    def remedy(self) -> str:
        """What to do."""
        return _REMEDIES[self]


_REMEDIES = {
    Trouble.OSCILLATION: 'use LevenbergMarquardt(), or a smaller `lr`, which schedule="cosine" lowers further',
    Trouble.PLATEAU: 'use LevenbergMarquardt() and windows="auto"; if you do, a wider network, more points or stages=2',
    Trouble.MISFIT: 'use LevenbergMarquardt() and windows="auto"; if you do, a wider network or more samples',
    Trouble.ITERATIONS: "allow more iterations (`max_seconds`, where that ended them), or use LevenbergMarquardt()",
    Trouble.SCALES: 'use windows="auto", which finds the scale anew for every window, or more `windows`',
    Trouble.TIME: 'use windows="auto", which finds their length, or more `windows`',
    Trouble.NARROW: "use wider layers, such as MLP([32] * 5), the default, at least 16 `points`, or a looser rtol",
    Trouble.KINK: 'use activation "tanh" or "sin", which have all derivatives',
    Trouble.DATA: "use a smaller step or a better method for the data (RK4, Reference()); of measured data ask whether "
    "they are of this equation and begin at its initial values: more training cannot help",
    Trouble.SAMPLES: "use more samples (a smaller step, more `points`), a smaller `validation`, or a smaller network",
    Trouble.FLOAT32: "compute in float64, the default of odenn: look for .float(), torch.float32 or a float32 model",
    Trouble.FIXED_POINT: 'use windows="auto": on short windows staying there does not pay',
}


_FOLLOW_FROM_DATA = (Trouble.MISFIT, Trouble.FIXED_POINT)  # noise leaves a misfit, other equations other fixed points


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One finding with the figures behind it."""

    trouble: Trouble
    evidence: str

    def __str__(self) -> str:
        return f"{self.trouble.value} ({self.evidence}): {self.trouble.remedy}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """One window at k equally spaced times: the network, and the solution as the certificate knows it."""

    scale: Array  # (n,) that the network was given
    network: Array  # (n, k)
    slopes: Array  # (n, k) highest derivatives of the network
    asked: Array  # (n, k) what the equation asks of them there
    solution: Array  # (n, k)
    solution_slopes: Array  # (n, k) its highest derivatives
    added: Array  # (n,) how far the solution changes beside what its initial values say, which is left to the network

    @property
    def range(self) -> Array:
        """(n,) of the solution; of a component that hardly moves, a thousandth of its size."""
        size = np.abs(self.solution).max(axis=1)
        return np.maximum(np.ptp(self.solution, axis=1), np.maximum(1e-3 * size, 1e-300))


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What is known of a run beside its history; leave out what is not."""

    goal: float | None = None  # largest residual that was asked for
    iterations: int | None = None  # most that a fit may take; one that took fewer ended because it got no further
    activation: str = ""
    smooth: int | None = None  # continuous derivatives of the activation; None: all
    order: int = 1  # of the equation
    single: bool = False  # something is computed in float32
    courses: Sequence[Course] = ()
    data_error: float | None = None  # relative
    fit_error: float | None = None  # relative, to the data
    windows: int = 0  # where the method chose their length to meet the tolerance,
    needed: int | None = None  # and Collocation takes so many
    length: float = 0.0  # of a window, the median


def diagnose(history: Sequence[Record], evidence: Evidence | None = None) -> tuple[Diagnosis, ...]:
    """Name what is wrong with a run that missed its tolerance; empty where nothing is found.

    Examples
    --------
    >>> losses = [1.0 if k % 2 else 3.0 for k in range(40)]
    >>> run = [Record(iteration=k, loss=loss, gradient=1.0, control=0.1) for k, loss in enumerate(losses)]
    >>> print(diagnose(run)[0])
    the loss oscillates or grows instead of falling (...): use LevenbergMarquardt(), ...
    """
    known = evidence or Evidence()
    losses = _worst_fit(history)
    findings = (
        _oscillation(losses),
        _plateau(losses, known),
        _scales(known),
        _time(known),
        narrow(known),
        _kink(losses, known),
        _data(known),
        _samples(losses, known),
        _float32(losses, known),
        _fixed_point(known),
    )
    found = tuple(finding for finding in findings if finding is not None)
    if any(finding.trouble is Trouble.DATA for finding in found):  # which explains these
        found = tuple(finding for finding in found if finding.trouble not in _FOLLOW_FROM_DATA)
    return found or _unfinished(losses, known)


def costs(evidence: Evidence) -> tuple[Diagnosis, ...]:
    """What made a run longer than it had to be, though it met its tolerance."""
    found = narrow(evidence)
    return () if found is None else (found,)


def limited_by_data(data_error: float, fit_error: float) -> bool:
    """Whether better data would help more than a better fit; a fit that leaves noise out misses by it."""
    return data_error > 0.5 * fit_error


def _worst_fit(history: Sequence[Record]) -> Array:
    """Losses of the fit that ended highest: a run is as good as its worst window.

    A history is that of many fits, one after the other, each counting its iterations from the beginning.
    """
    losses = np.array([record.loss for record in history])
    count = np.array([record.iteration for record in history])
    fits = np.split(losses, np.flatnonzero(np.diff(count) <= 0) + 1)
    return max(fits, key=lambda fit: float(fit.min(initial=np.inf)) if fit.size else -1.0)


def _oscillation(losses: Array) -> Diagnosis | None:
    half = losses[losses.size // 2 :]
    if losses.size < ENOUGH:
        return None
    steps = np.diff(np.log(np.maximum(half, 1e-300)))
    up, down = float(steps[steps > 0].sum()), float(-steps[steps < 0].sum())
    if up < SWING or up < NO_DESCENT * down:
        return None
    return Diagnosis(
        trouble=Trouble.OSCILLATION,
        evidence=f"in {(steps > 0).sum()} of the last {half.size} iterations it rose, "
        f"between {half.min():.2g} and {half.max():.2g}",
    )


def _plateau(losses: Array, known: Evidence) -> Diagnosis | None:
    if losses.size < ENOUGH:
        return None
    half = losses.size // 2
    first, second = float(losses[:half].min()), float(losses[half:].min())
    if not FLAT * first <= second <= GROWN * first or not _above(second, known):
        return None
    return Diagnosis(
        trouble=_stall(known),
        evidence=f"{second:.2g} after {first:.2g} in the first half of {losses.size} iterations",
    )


def _unfinished(losses: Array, known: Evidence) -> tuple[Diagnosis, ...]:
    """Why a fit that shows no other trouble ended above its goal: it got no further, or had no more iterations."""
    least = float(losses.min(initial=np.inf))
    if losses.size == 0 or known.goal is None or not _above(least, known):
        return ()
    by_itself = known.iterations is not None and losses.size < known.iterations
    evidence = f"{least:.2g} after {counted(losses.size, 'iteration')}, the goal is {known.goal**2:.2g}"
    return (Diagnosis(trouble=_stall(known) if by_itself else Trouble.ITERATIONS, evidence=evidence),)


def _above(loss: float, known: Evidence) -> bool:
    return known.goal is None or loss > known.goal**2


def _stall(known: Evidence) -> Trouble:
    return Trouble.PLATEAU if known.fit_error is None else Trouble.MISFIT


def _scales(known: Evidence) -> Diagnosis | None:
    beyond = [float((np.minimum(course.added, course.range) / course.scale).max()) for course in known.courses]
    if max(beyond, default=0.0) < BEYOND:
        return None
    return Diagnosis(trouble=Trouble.SCALES, evidence=f"{max(beyond):.2g} times")


def narrow(known: Evidence) -> Diagnosis | None:
    """Whether the windows are short for want of a larger network: where the solution itself allows far longer ones."""
    if known.needed is None or known.windows < max(MANY, SHORT * known.needed):
        return None
    return Diagnosis(
        trouble=Trouble.NARROW,
        evidence=f"{known.windows} windows, of length {known.length:.2g} in the median, where Collocation() takes "
        f"{known.needed} for the same tolerance",
    )


def _time(known: Evidence) -> Diagnosis | None:
    steep = [_steepness(course) for course in known.courses]
    if max(steep, default=0.0) < STEEP:
        return None
    return Diagnosis(trouble=Trouble.TIME, evidence=f"at its steepest in 1/{max(steep):.0f} of the window")


def _steepness(course: Course) -> float:
    """Times that the window contains the time in which the solution, at its steepest, would cross its range."""
    slopes = np.abs(np.diff(course.solution, axis=1)).max(axis=1) * (course.solution.shape[1] - 1)
    return float((slopes / course.range).max())


def _kink(losses: Array, known: Evidence) -> Diagnosis | None:
    if known.smooth is None:
        return None
    residual = float(losses.min(initial=np.inf)) ** 0.5
    if known.order <= known.smooth and residual > KINKED:
        return None
    return Diagnosis(
        trouble=Trouble.KINK,
        evidence=f"{known.activation or 'it'} has {counted(known.smooth, 'continuous derivative')}, "
        f"the equation is of order {known.order}",
    )


def _data(known: Evidence) -> Diagnosis | None:
    if known.data_error is None or known.fit_error is None or not limited_by_data(known.data_error, known.fit_error):
        return None
    return Diagnosis(
        trouble=Trouble.DATA,
        evidence=f"relative error of the data {known.data_error:.2g}, of the fit to them {known.fit_error:.2g}",
    )


def _samples(losses: Array, known: Evidence) -> Diagnosis | None:
    """Few samples leave a network free between them."""
    if (
        known.fit_error is None
        or known.goal is None
        or not losses.size
        or limited_by_data(known.data_error or 0.0, known.fit_error)
    ):
        return None
    own = float(losses.min()) ** 0.5
    if known.fit_error <= known.goal or known.fit_error < BETWEEN * own or _above(own**2, known):
        return None
    return Diagnosis(
        trouble=Trouble.SAMPLES,
        evidence=f"misfit {known.fit_error:.2g} there, at most {own:.2g} in the mean at its own",
    )


def _float32(losses: Array, known: Evidence) -> Diagnosis | None:
    residual = float(losses.min(initial=np.inf)) ** 0.5
    if not known.single or residual > SINGLE:
        return None
    return Diagnosis(trouble=Trouble.FLOAT32, evidence=f"residual {residual:.2g}, float32 rounds at 6e-8 of the values")


def _fixed_point(known: Evidence) -> Diagnosis | None:
    """Far from the solution both the network and the equation hardly move, so that the residual is small."""
    shares = [_resting(course) for course in known.courses]
    if max(shares, default=0.0) < 0.5:
        return None
    return Diagnosis(
        trouble=Trouble.FIXED_POINT,
        evidence=f"on {100 * max(shares):.0f} % of a window it moves at less than a tenth of the solution's pace",
    )


def _resting(course: Course) -> float:
    """Share of the window on which the network rests away from the solution."""
    pace = np.abs(course.solution_slopes).max(axis=1, keepdims=True)
    size = np.abs(course.solution).max(axis=1, keepdims=True)
    rests = (np.abs(course.slopes) < RESTS * pace) & (np.abs(course.asked) < RESTS * pace)
    away = (np.abs(course.network - course.solution) > AWAY * size).any(axis=0)
    return float((rests.all(axis=0)).mean()) if away.mean() > 0.1 else 0.0
