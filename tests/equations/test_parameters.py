"""Parameters: names with values."""

import math

import numpy as np
import pytest

from odenn.equations import EquationError, parse_system


def test_parameters_keep_the_order_in_which_they_were_given() -> None:
    system = parse_system("y' = a*y + b", parameters={"b": 1, "a": np.float64(2)})
    assert system.parameters == {"b": 1.0, "a": 2.0}
    assert [str(symbol) for symbol in system.symbols] == ["t", "y", "b", "a"]


def test_a_parameter_that_only_a_condition_uses() -> None:
    assert parse_system("y' = y; y(0) = c", parameters={"c": 2}).initial_values == (2.0,)


def test_replaced_parameters_reach_the_initial_values() -> None:
    system = parse_system("y' = -k*y; y(0) = 2*k", parameters={"k": 3})
    other = system.replace_parameters({"k": 5})
    assert (other.parameters, other.initial_values) == ({"k": 5.0}, (10.0,))
    assert (system.parameters, system.initial_values) == ({"k": 3.0}, (6.0,))
    assert other.expressions == system.expressions


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("y' = alpha*y", {"alpha": 1, "beta": 2}, "the parameter `beta` does not occur in the equations"),
        ("y' = alpha*y", {"alpa": 1}, "the nearest name in them is `alpha`"),
        ("y' = y", {"y": 1}, "`y` is a component and cannot be a parameter"),
        ("dy/dx = x", {"x": 1}, "`x` is the independent variable and cannot be a parameter"),
        ("y' = k*y", {"k": math.nan}, "the parameter `k` is nan"),
        ("y' = k*y", {"k": "2"}, "the parameter `k` is '2'"),
        ("y' = k*y", {"k": 1j}, "the parameter `k` is 1j"),
    ],
)
def test_wrong_parameters(text: str, parameters: dict[str, float], message: str) -> None:
    with pytest.raises(EquationError) as caught:
        parse_system(text, parameters=parameters)
    assert message in str(caught.value)


def test_unknown_parameters_cannot_be_replaced() -> None:
    with pytest.raises(EquationError, match="unknown parameter `kk`; the nearest is `k"):
        parse_system("y' = -k*y", parameters={"k": 3}).replace_parameters({"kk": 5})
