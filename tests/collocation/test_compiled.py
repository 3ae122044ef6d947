"""What Numba cannot compile is said in odenn's words; what a function takes from around it is not forgotten."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import odenn
from odenn.methods.collocation import compiled

SETTINGS = {"k": 2.0}
RATES = [1.0, 2.0]


class Decay:
    def __init__(self) -> None:
        self.k = 2.0

    def __call__(self, t: Any, y: Any) -> Any:
        return [-self.k * y[0]]

    def slope(self, t: Any, y: Any) -> Any:
        return [-self.k * y[0]]


DECAY = Decay()


def default_dict(t: Any, y: Any, settings: Any = SETTINGS) -> Any:
    return [-settings["k"] * y[0]]


def global_dict(t: Any, y: Any) -> Any:
    return [-SETTINGS["k"] * y[0]]


def global_list(t: Any, y: Any) -> Any:
    return [-RATES[0] * y[0]]


def global_object(t: Any, y: Any) -> Any:
    return [-DECAY.k * y[0]]


def local_import(t: Any, y: Any) -> Any:
    import cmath  # noqa: F401

    return [-y[0]]


def no_brackets(t: Any, y: Any) -> Any:
    return -y[0]


def calls_itself(t: Any, y: Any) -> Any:
    return [-y[0]] if np.all(t > -5) else calls_itself(t, y)


def not_in_numba(t: Any, y: Any) -> Any:
    return [np.einsum("i...->...", -y)]


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (default_dict, "Cannot determine Numba type of <class 'dict'>"),
        (global_dict, "Untyped global name 'SETTINGS'"),
        (global_list, "reflected list"),
        (global_object, "Untyped global name 'DECAY'"),
        (local_import, "unsupported opcode"),
        (no_brackets, "getitem"),
        (calls_itself, "calls_itself"),
        (not_in_numba, "einsum"),
    ],
)
def test_a_function_that_numba_cannot_compile_is_named(f: Callable[..., Any], reason: str) -> None:
    problem = odenn.IVP(f, y0=[1.0], span=(0, 1))
    assert odenn.solve(problem).success
    with pytest.raises(ValueError, match=f"{f.__name__}, line [0-9]+ of test_compiled.py") as caught:
        odenn.solve(problem, compile=True)
    message = str(caught.value)
    assert reason in message
    assert "give the equations as text; or leave out compile=True" in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("f", [DECAY, DECAY.slope, functools.partial(default_dict, settings=SETTINGS)])
def test_what_is_no_function_is_refused(f: Any) -> None:
    problem = odenn.IVP(f, y0=[1.0], span=(0, 1))
    with pytest.raises(ValueError, match=f"`f` is a {type(f).__name__}, and Numba compiles only functions"):
        odenn.solve(problem, compile=True)


def test_higher_orders_need_text() -> None:
    problem = odenn.IVP(lambda t, y, dy, ddy: [-dy[0]], y0=[[1], [0], [0]], span=(0, 1), order=3)
    with pytest.raises(ValueError, match="order 1 and 2"):
        odenn.solve(problem, compile=True)


def test_a_function_that_is_called_can_be_replaced() -> None:
    rates = [numba.njit(lambda y: -y), numba.njit(lambda y: -2 * y)]
    rate = rates[0]

    def f(t: Any, y: Any) -> Any:
        return [rate(y[0])]

    problem = odenn.IVP(f, y0=[1.0], span=(0, 1))
    assert odenn.solve(problem, compile=True)(1.0)[0] == pytest.approx(math.exp(-1))
    rate = rates[1]
    assert odenn.solve(problem, compile=True)(1.0)[0] == pytest.approx(math.exp(-2))


def test_other_parameter_values_need_no_new_code() -> None:
    def f(t: float, y: Any, p: Any) -> Any:
        return [-p.rate * y[0] * p.times]

    def problem(rate: float, times: int = 2) -> odenn.IVP:
        return odenn.IVP(f, y0=[1.0], span=(0, 1), params={"rate": rate, "times": times})

    for rate in (1.0, 2.5):
        solution = odenn.solve(problem(rate), rtol=1e-8, compile=True)
        assert abs(solution(1.0)[0] - np.exp(-2 * rate)) < 1e-8
    first, other = (compiled.functions(problem(rate)) for rate in (1.0, 2.5))
    assert first is other
    # Whole numbers may be lengths and indices, so they stay what they are.
    assert compiled.functions(problem(1.0, times=3)) is not first
    assert abs(odenn.solve(problem(1.0, times=3), compile=True)(1.0)[0] - np.exp(-3)) < 1e-6


rate = 5.0


def test_a_variable_of_the_name_of_a_parameter_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = odenn.IVP(lambda t, y, p: [-p.rate * y[0]], y0=[1.0], span=(0, 1), params={"rate": 1.0})
    before = compiled.functions(problem)
    monkeypatch.setitem(globals(), "rate", 6.0)
    assert compiled.functions(problem) is before
