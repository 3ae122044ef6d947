"""Optimisers by short names, with the options that suit networks of time: what command line, search and page name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.torch_optimiser import TorchOptimiser

PRESETS: dict[str, LevenbergMarquardt | TorchOptimiser] = {
    "lm": LevenbergMarquardt(),
    "adam": TorchOptimiser(name="Adam"),
    # Its line search begins with the whole quasi-Newton step, and a schedule would only shorten it.
    "lbfgs": TorchOptimiser(name="LBFGS", lr=1.0, schedule="constant"),
}


def preset(name: str, *, lr: float | None = None, iterations: int | None = None) -> LevenbergMarquardt | TorchOptimiser:
    """The optimiser called `name`, with another learning rate or number of iterations where they are given.

    Examples
    --------
    >>> preset("lbfgs", iterations=50)
    TorchOptimiser(name='LBFGS', lr=1.0, iterations=50, schedule='constant', patience=None, options={})
    """
    optimiser = PRESETS[name]
    if isinstance(optimiser, LevenbergMarquardt):
        if lr is not None:
            raise ValueError("`lr` goes with adam and lbfgs: lm finds its steps itself")
        return optimiser if iterations is None else replace(optimiser, max_iterations=iterations)
    given: dict[str, Any] = {"lr": lr, "iterations": iterations}
    return replace(optimiser, **{name: value for name, value in given.items() if value is not None})
