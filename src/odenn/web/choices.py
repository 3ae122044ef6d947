"""What there is to choose from on the page, each with a line of explanation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from odenn._version import __version__
from odenn.web.gallery import fields_of, gallery
from odenn.web.specification import Limits, Specification


def _choice(name: str, label: str, explanation: str) -> dict[str, str]:
    return {"name": name, "label": label, "explanation": explanation}


METHODS = [
    _choice(
        "collocation",
        "Collocation",
        "Solves window by window for the output weights of a network with fixed hidden units: milliseconds, errors "
        "down to rounding, stiff problems as well. The place to start.",
    ),
    _choice(
        "residual",
        "Residual training",
        "Trains a deep network until it satisfies the equation: seconds to minutes. To see how such training goes.",
    ),
    _choice(
        "data-fit",
        "Fit to data",
        "Trains a deep network on values from a small-step method or from a file; the equation only judges the result.",
    ),
]
NETWORKS = [
    _choice("legendre", "Legendre", "Legendre polynomials: the fewest units, and the only ones for stiff problems."),
    _choice("tanh", "Random tanh", "Forty tanh units drawn at random and kept: an extreme learning machine."),
    _choice("sin", "Random sine", "Forty sine units drawn at random and kept."),
]
ACTIVATIONS = [
    _choice("tanh", "tanh", "Smooth; a good first choice."),
    _choice("sin", "sine", "Smooth; strong on oscillations."),
    _choice("silu", "SiLU", "Smooth, close to ReLU."),
    _choice("gelu", "GELU", "Smooth, close to ReLU."),
    _choice("softplus", "softplus", "Smooth, close to ReLU."),
    _choice("elu", "ELU", "Its second derivative jumps, which limits the accuracy."),
    _choice("relu", "ReLU", "Piecewise linear: of low accuracy, and of no use for equations of second order."),
]
OPTIMIZERS = [
    _choice(
        "lm", "Levenberg-Marquardt", "Gauss-Newton with damping: few iterations, small errors. Finds its steps itself."
    ),
    _choice("adam", "Adam", "Gradient descent with momentum and adaptive steps: many cheap iterations, larger errors."),
    _choice("lbfgs", "L-BFGS", "Quasi-Newton with a line search: between the two."),
]
DATA = [
    _choice("reference", "Reference", "The collocation solution at rtol 1e-11."),
    _choice("rk4", "Runge-Kutta 4", "The classical method of order four with a fixed step."),
    _choice("euler", "Euler", "The method of order one with a fixed step: its error is seldom small."),
    _choice("csv", "CSV file", "Your own values: first column the time, the others named as the components."),
]

_EQUATIONS, _INITIAL = fields_of("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1")
DEFAULTS = Specification(equations=_EQUATIONS, initial=_INITIAL, span=(0.0, 10.0))


def choices(limits: Limits) -> dict[str, Any]:
    """All of it, as the page gets it."""
    return {
        "version": __version__,
        "methods": METHODS,
        "networks": NETWORKS,
        "activations": ACTIVATIONS,
        "optimizers": OPTIMIZERS,
        "data": DATA,
        "gallery": [entry.as_json() for entry in gallery()],
        "limits": asdict(limits),
        "defaults": DEFAULTS.as_json(),
    }
