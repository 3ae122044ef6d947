"""The zoo as specifications: problems to start from, their constants as parameters with sliders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from odenn import zoo

_VAN_DER_POL = "y'' = mu*(1 - y^2)*y' - y; y(0) = 2, y'(0) = 0"
_WITH_PARAMETERS: dict[str, tuple[str, dict[str, tuple[float, float, float]]]] = {
    # text with letters for the constants; their values in the zoo, and from where to where their sliders go
    "harmonic": ("y'' = -k*y; y(0) = 0, y'(0) = 1", {"k": (1.0, 0.0, 4.0)}),
    "damped-oscillator": (
        "y'' = -c*y' - k*y; y(0) = 1, y'(0) = 0",
        {"c": (0.4, 0.0, 2.0), "k": (4.0, 0.5, 10.0)},
    ),
    "forced-oscillator": (
        "y'' = cos(w*t) - c*y' - k*y; y(0) = 0, y'(0) = 0",
        {"w": (3.0, 0.5, 5.0), "c": (0.4, 0.0, 2.0), "k": (4.0, 0.5, 10.0)},
    ),
    "species-chain": (
        "a' = -k1*a, b' = k1*a - k2*b, c' = k2*b; a(0) = 1, b(0) = 0, c(0) = 0",
        {"k1": (2.0, 0.1, 5.0), "k2": (0.5, 0.1, 5.0)},
    ),
    "riccati": ("y' = 1 + b*y - y^2; y(0) = 0", {"b": (2.0, 0.0, 4.0)}),
    "lotka-volterra": (
        "x' = a*x - x*y, y' = x*y - c*y; x(0) = 1, y(0) = 1",
        {"a": (1.5, 0.5, 3.0), "c": (3.0, 0.5, 5.0)},
    ),
    "van-der-pol-5": (_VAN_DER_POL, {"mu": (5.0, 0.0, 10.0)}),
    "van-der-pol-1000": (_VAN_DER_POL, {"mu": (1000.0, 100.0, 2000.0)}),
    "kepler": (
        "x'' = -x/(x^2 + y^2)^1.5, y'' = -y/(x^2 + y^2)^1.5; x(0) = 0.4, y(0) = 0, x'(0) = 0, y'(0) = v",
        {"v": (2.0, 1.2, 2.1)},
    ),
    "pendulum": ("y'' = -sin(y); y(0) = a, y'(0) = 0", {"a": (3.0, 0.1, 3.1)}),
    "lorenz": (
        "x' = sigma*(y - x), y' = x*(rho - z) - y, z' = x*y - 8/3*z; x(0) = 1, y(0) = 1, z(0) = 1",
        {"sigma": (10.0, 1.0, 20.0), "rho": (28.0, 0.5, 40.0)},
    ),
    "fitzhugh-nagumo": (
        "v' = v - v^3/3 - w + I, w' = 0.08*(v + 0.7 - 0.8*w); v(0) = -1, w(0) = 1",
        {"I": (0.5, 0.0, 1.5)},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One problem of the gallery."""

    name: str
    title: str
    equations: str
    span: tuple[float, float]
    params: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    stiff: bool

    def as_json(self) -> dict[str, Any]:
        """As the page gets it: `spec` holds what differs from the defaults."""
        equations, initial = fields_of(self.equations)
        return {
            "name": self.name,
            "title": self.title,
            "stiff": self.stiff,
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "spec": {
                "equations": equations,
                "initial": initial,
                "span": list(self.span),
                "params": dict(self.params),
                "rtol": 1e-6,
            },
        }


def fields_of(text: str) -> tuple[str, str]:
    """A problem of the zoo as the page's two fields: equations, one a line, and initial conditions.

    >>> fields_of("a' = -a, b' = a; a(0) = 1, b(0) = 0")
    ("a' = -a\\nb' = a", 'a(0) = 1, b(0) = 0')
    """
    equations, _, initial = text.partition("; ")
    return equations.replace(", ", "\n"), initial


def gallery() -> list[Entry]:
    """The problems of the zoo that are stated as text."""
    entries: list[Entry] = []
    for problem in zoo.all_problems():
        if problem.text is not None:
            text, parameters = _WITH_PARAMETERS.get(problem.name, (problem.text, {}))
            entries.append(
                Entry(
                    name=problem.name,
                    title=problem.title,
                    equations=text,
                    span=problem.span,
                    params={name: value for name, (value, _, _) in parameters.items()},
                    ranges={name: (low, high) for name, (_, low, high) in parameters.items()},
                    stiff=problem.stiff,
                )
            )
    return entries
