"""`solve`, the one driver: check, pick, run, certify."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from odenn.methods.collocation import Collocation
from odenn.methods.outcome import Method, Progress, is_method
from odenn.problem import IVP
from odenn.solution import Solution


def solve(
    problem: IVP,
    *,
    rtol: float = 1e-6,
    atol: ArrayLike | None = None,
    method: Method | None = None,
    compile: bool = False,  # noqa: A002 - the word that torch and Numba users expect
    progress: Progress | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
) -> Solution:
    """Solve an initial value problem to a tolerance on its global error.

    Success means, for every component i and all t in the span,

        |error_i(t)| <= atol_i + rtol * max over s between t0 and t of |y_i(s)|.

    Parameters
    ----------
    problem
        From `IVP` or `parse`.
    rtol
        Relative tolerance, 0 < rtol < 1.
    atol
        Absolute tolerance, one number or one for each component; default a millionth of rtol times the component's
        initial value (if that is zero, times what its first slope adds over the span, or the size of the others if
        that is less), which matters only for components that start at zero.
    method
        Default `Collocation()`; or `Residual(...)`, `DataFit(...)`, which train networks.
    compile
        Compile the engine and the right-hand side (see `Collocation`).
    progress
        Called now and then, in a training after every iteration, with a `Report`: the fraction of the span that is
        solved, the windows so far, the last iteration, the solution so far; returning True stops the run, which keeps
        what it has. So does Ctrl-C in a training; pressed again, while the error estimate is made, it raises
        KeyboardInterrupt.
    checkpoint
        A file for the state of a training, written at the start, every `checkpoint_seconds`, and when the run is
        stopped by Ctrl-C, by `progress` or by its budget. If it is there already, the run goes on from it, bit by bit
        as if it had never been stopped; `max_seconds` counts what was used before. It is removed when the run ends by
        itself, for then the solution is returned: keep that with `solution.save(path)`.
    checkpoint_seconds
        Seconds between two writings.

    Returns
    -------
    Solution
        With `success`, `status` and `message`; what was reached is returned also where the tolerance was not.

    Raises
    ------
    TypeError, ValueError
        For arguments that cannot be used.
    StorageError
        A ValueError: the checkpoint is damaged, of another version, or belongs to another problem, method or tolerance.
        It is left as it is.

    Examples
    --------
    >>> problem = IVP(lambda t, y: [y[0], y[0] - y[1]], y0=[1, 1], span=(0, 10))
    >>> solution = solve(problem, rtol=1e-9)
    >>> solution.success, bool(abs(solution(10.0)[0] / np.exp(10.0) - 1) < 1e-9)
    (True, True)
    """
    if not isinstance(problem, IVP):
        raise TypeError(
            f"`problem` must be an odenn.IVP, got {type(problem).__name__}: make one with "
            "odenn.IVP(f, y0=..., span=...) or odenn.parse(text, span=...)"
        )
    tolerance, absolute = _checked_tolerances(rtol, atol, problem.n)
    if not isinstance(compile, bool | np.bool_):  # pyright: ignore[reportUnnecessaryIsInstance] - text is true as well
        raise TypeError(f"`compile` must be True or False, got {compile!r}")
    if method is None:
        method = _default(bool(compile))
    elif not is_method(method):
        raise TypeError(f"`method` must be a method of odenn, such as odenn.Collocation(), got {method!r}")
    elif compile:
        if not isinstance(method, Collocation):
            raise ValueError(f"`compile=True` goes with Collocation(), not with {type(method).__name__}")
        method = replace(method, compile=True)
    run: Any = method.run
    if checkpoint is not None:
        run = partial(run, checkpoint=_checkpoint(method, checkpoint, checkpoint_seconds))
    outcome = run(problem, rtol=tolerance, atol=absolute, progress=progress)
    return Solution(problem=problem, outcome=outcome, rtol=tolerance)


@lru_cache(maxsize=2)
def _default(compile: bool) -> Collocation:  # noqa: A002
    return Collocation(compile=compile)


def _checkpoint(method: Method, path: str | PathLike[str], seconds: float) -> Any:
    if isinstance(method, Collocation):
        raise ValueError(
            "`checkpoint` goes with methods that train, such as odenn.Residual(): Collocation() is too fast to need it"
        )
    from odenn.methods.checkpoint import Checkpoint  # which opens torch

    return Checkpoint(path=path, seconds=seconds)


def _checked_tolerances(rtol: Any, atol: Any, n: int) -> tuple[float, Any]:
    try:
        if isinstance(rtol, str | bool):  # float() takes both
            raise TypeError
        tolerance = float(rtol)
    except (TypeError, ValueError):
        raise TypeError(f"`rtol` must be a number, got {rtol!r}") from None
    if not 0 < tolerance < 1:
        raise ValueError(f"`rtol` must lie between 0 and 1, got {rtol!r}")
    if atol is None:
        return tolerance, None
    wanted = f"`atol` must be one number or {n} numbers, one for each component, got {atol!r}"
    given = np.asarray(atol)
    if given.dtype.kind not in "fiu":
        raise TypeError(wanted)
    if given.shape not in ((), (n,)):
        raise ValueError(wanted)
    absolute = np.broadcast_to(given.astype(float), (n,)).copy()
    if not (np.isfinite(absolute).all() and (absolute >= 0).all()):
        raise ValueError(f"`atol` must be finite and not negative, got {atol!r}")
    return tolerance, absolute
