"""Initial conditions, in the text and besides it."""

import math

import pytest

from odenn.equations import EquationError, parse_system


def test_inline_conditions_in_state_order() -> None:
    system = parse_system("y'' = -y, x' = y; x(1) = 5; y'(1) = 3, y(1) = 4")
    assert system.names == ("y", "x")
    assert [str(symbol) for symbol in system.symbols] == ["t", "y", "x", "y'"]
    assert (system.initial_point, system.initial_values) == (1.0, (4.0, 5.0, 3.0))


@pytest.mark.parametrize(
    ("condition", "point", "value"),
    [
        ("y(0) = 2*pi*k", 0.0, 6 * math.pi),
        ("y(-pi) = 1", -math.pi, 1.0),
        ("y(0) = -1/2", 0.0, -0.5),
        ("y(k) = 1", 3.0, 1.0),
        ("1 = y(0)", 0.0, 1.0),
        ("y(0) = e^2", 0.0, math.e**2),
    ],
)
def test_points_and_values_are_expressions(condition: str, point: float, value: float) -> None:
    system = parse_system(f"y' = -k*y; {condition}", parameters={"k": 3})
    assert system.initial_point == pytest.approx(point, rel=1e-15)
    assert system.initial_values == pytest.approx((value,), rel=1e-15)


@pytest.mark.parametrize("derivative", ["y'(0)", "dy/dx(0)", "y′ (0)"])
def test_conditions_on_derivatives(derivative: str) -> None:
    assert parse_system(f"d2y/dx2 = -y; y(0) = 1, {derivative} = 2").initial_values == (1.0, 2.0)


@pytest.mark.parametrize("initial", ["y(0) = 1, y'(0) = 2", "dy/dt(0)=2; y(0)=1", {"y(0)": 1, "y'(0)": 2}])
def test_conditions_as_an_argument(initial: object) -> None:
    system = parse_system("y'' = -y", initial=initial)  # type: ignore[arg-type]
    assert (system.initial_point, system.initial_values) == (0.0, (1.0, 2.0))


@pytest.mark.parametrize("initial", [{"y": 1, "y'": 2}, {"dy/dt": 2, "y": 1}, "y = 1, y' = 2"])
def test_conditions_without_a_point(initial: object) -> None:
    system = parse_system("y'' = -y", initial=initial)  # type: ignore[arg-type]
    assert (system.initial_point, system.initial_values) == (None, (1.0, 2.0))


def test_conditions_from_both_places() -> None:
    system = parse_system("y'' = -y; y(2) = 1", initial={"y'": 3})
    assert (system.initial_point, system.initial_values) == (2.0, (1.0, 3.0))


def test_no_conditions() -> None:
    system = parse_system("y'' = -y")
    assert (system.initial_point, system.initial_values) == (None, None)


@pytest.mark.parametrize(
    ("conditions", "column", "message"),
    [
        ("y(0) = 1, y'(0) = 2, y(0) = 3", 32, "too many initial conditions: `y` has one already"),
        ("y(0) = 1, y'(0) = 2, y''(0) = 3", 32, "too many initial conditions: `y''` follows from the equations"),
        ("y(0) = 1, y'(1) = 2", 21, "initial conditions at two points, t = 0 and 1"),
        ("y(0) = 1, z(0) = 2", 21, "an initial condition for `z`, which no equation differentiates"),
        ("y(0) = 1, y'(0) = y", 29, "a number is needed here"),
        ("y(0) = 1, y'(0) = t", 29, "a number is needed here"),
        ("y(0) = 1, y'(0) = c", 29, "unknown name `c`"),
        ("y(0) = 1, y'(0) = 1/0", 31, "division by zero"),
        ("y(y) = 1, y'(0) = 1", 13, "a number is needed here"),
    ],
)
def test_wrong_conditions(conditions: str, column: int, message: str) -> None:
    with pytest.raises(EquationError) as caught:
        parse_system(f"y'' = -y; {conditions}")
    assert message in str(caught.value)
    assert caught.value.column == column


def test_missing_conditions_are_named() -> None:
    with pytest.raises(EquationError) as caught:
        parse_system("y'' = -y, x' = 1; y(2) = 1")
    assert "missing initial condition for `x`, `y'`\n  add it: x(2) = ..." in str(caught.value)


def test_twice_in_both_places_is_too_many() -> None:
    with pytest.raises(EquationError, match="too many initial conditions: `y` has one already"):
        parse_system("y' = -y; y(0) = 1", initial={"y": 1})


@pytest.mark.parametrize("initial", ["y' = 1 + ", "x*y = 1", "sin(0) = 1", "dy/ds(0) = 1"])
def test_initial_text_that_is_no_condition(initial: str) -> None:
    with pytest.raises(EquationError) as caught:
        parse_system("y'' = -y", initial=initial)
    assert initial in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, 1j])
def test_initial_values_must_be_numbers(value: object) -> None:
    with pytest.raises(EquationError, match="the initial value of `y`"):
        parse_system("y' = -y", initial={"y": value})  # type: ignore[dict-item]
