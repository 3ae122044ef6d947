"""How equations may be written: every notation below means what its neighbour means."""

import math

import numpy as np
import pytest

from odenn.equations import EquationError, System, parse_system


def value(text: str, **parameters: float) -> float:
    """Return the right-hand side `text` at t = 2, y = 3."""
    system = parse_system(f"dy/dt = {text}", parameters=parameters)
    p = np.array(list(system.parameters.values()))
    return float(np.ravel(system.rhs_numpy()(np.array([2.0]), np.array([[3.0]]), p)[0])[0])


@pytest.mark.parametrize(
    "derivative",
    [
        *["dy/dx", "d y / d x", "dy(x)/dx", "d(y)/dx", "y'", "y’", "y′", "y‘", "y`", "y´", "y '", "y'(x)"],
        *["diff(y, x)", "diff(y(x), x)", "diff(y, x, 1)", "dy/dx(x)", "d1y/dx1"],
    ],
)
def test_first_derivative(derivative: str) -> None:
    system = parse_system(f"{derivative} = x*y")
    assert (system.names, system.orders, system.independent) == (("y",), (1,), "x")


@pytest.mark.parametrize(
    "derivative",
    [
        *["d2y/dx2", "d^2y/dx^2", "d^2 y / d x^2", "d**2y/dx**2", "d²y/dx²", "d2y(x)/dx2", "d^2(y)/dx^2", "y''"],
        *["y″", 'y"', "y′′", "y”", "y''(x)", "diff(y, x, 2)", "diff(y(x), x, 2)"],
    ],
)
def test_second_derivative(derivative: str) -> None:
    system = parse_system(f"{derivative} = x*y")
    assert (system.names, system.orders, system.independent) == (("y",), (2,), "x")


@pytest.mark.parametrize(("derivative", "order"), [("y'''", 3), ("y‴", 3), ("d3y/dx3", 3), ("d10y/dx10", 10)])
def test_higher_derivatives(derivative: str, order: int) -> None:
    assert parse_system(f"{derivative} = y").orders == (order,)


def test_digits_of_a_name_are_not_an_order() -> None:
    system = parse_system("dy1/dx2 = y1, d2y2/dx2^2 = y1")
    assert (system.names, system.orders, system.independent) == (("y1", "y2"), (1, 2), "x2")


def test_a_component_named_d_or_e() -> None:
    assert parse_system("dd/dt = -d, de/dt = d*e").names == ("d", "e")


def test_a_quotient_of_known_parameters_is_no_derivative() -> None:
    assert value("delta/decay*y", delta=8.0, decay=2.0) == 12.0


@pytest.mark.parametrize("dash", "-‐‑‒–—―−﹣－")
def test_any_dash_is_minus(dash: str) -> None:
    assert value(f"y {dash} 1") == 2.0
    assert value(f"{dash}y") == -3.0
    assert parse_system(f"y' = y; y({dash}1) = 2e{dash}3").initial_values == (2e-3,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y*t", 6.0),
        ("y·t", 6.0),
        ("y×t", 6.0),
        ("y⋅t", 6.0),
        ("y÷t", 1.5),
        ("2y", 6.0),
        ("2 y", 6.0),
        ("2(y+1)", 8.0),
        ("(y+1)(t+1)", 12.0),
        ("2(y+1)(t+1)", 24.0),
        ("(y+1)t", 8.0),
        ("2sin(t)", 2 * math.sin(2)),
        ("y t", 6.0),
        ("-y t", -6.0),
        ("2 y t", 12.0),
        ("1 - y t^2 y", -35.0),
        ("y^2 t", 18.0),
        ("y^2 (t + 1)", 27.0),
        ("y²t", 18.0),
        ("y^(2)t", 18.0),
        ("e^(t/2)sin(t)", math.e * math.sin(2)),
        ("sin(t) cos(t)", math.sin(2) * math.cos(2)),
        ("t y(t)", 6.0),
        ("y t/2", 3.0),
        ("1/(t y)", 1 / 6),
        ("sin(2 pi t/8)", 1.0),
        ("(y\n t)", 6.0),
        ("2y^2", 18.0),
        ("y²", 9.0),
        ("t³ + (y+1)²", 24.0),
        ("y⁻²", 1 / 9),
        ("y^2", 9.0),
        ("y**2", 9.0),
        ("-y^2", -9.0),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("y^t^0.5", 3 ** (2**0.5)),
        ("2^-y^t", 2.0**-9),
        ("y - -t", 5.0),
        ("+y", 3.0),
        ("y*-t", -6.0),
        ("1 - y - t", -4.0),
        ("8/y/t", 8 / 6),
        ("8/(2y)", 8 / 6),
        ("y(t)", 3.0),
        ("1/2", 0.5),
        (".5 + 1. + 1e-3 + 1E2 + 2.5e+3", 2601.501),
        ("pi + π", 2 * math.pi),
        ("e^t", math.exp(2)),
        ("e", math.e),
        ("y**0.5 + sqrt(y)", 2 * math.sqrt(3)),
    ],
)
def test_operators(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(f"{name}(y/4)", getattr(math, name)(0.75)) for name in ("sin", "cos", "tan", "exp", "log", "sqrt")],
        *[(f"{name}(y/4)", getattr(math, name)(0.75)) for name in ("tanh", "sinh", "cosh", "asin", "acos", "atan")],
        *[(f"arc{name}(y/4)", getattr(math, f"a{name}")(0.75)) for name in ("sin", "cos", "tan")],
        ("ln(y)", math.log(3)),
        ("abs(-y)", 3.0),
        ("sign(-y) + sign(y - 3)", -1.0),
        ("heaviside(y) + heaviside(-y) + heaviside(y - 3)", 1.5),
        ("min(y, t, 5)", 2.0),
        ("max(y, t, 2.5)", 3.0),
        ("max(1, 2) + min(1, 2) + abs(-1) + sign(-2) + heaviside(0)", 3.5),
        ("sin(0.5) + cos(0.5)", math.sin(0.5) + math.cos(0.5)),
    ],
)
def test_functions(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("separator", [",", ";", "\n", "\r\n", "\r", ",\n", ";;\n;", " , "])
def test_separators(separator: str) -> None:
    assert parse_system(f"{separator}x' = y{separator}y' = -x{separator}").names == ("x", "y")


def test_factors_side_by_side() -> None:
    """Names and derivatives too; a newline still ends an equation."""
    system = parse_system("m x'' = -c x' - k x\nk y' = y y' - x", parameters={"m": 2, "c": 1, "k": 4})
    assert str(system.expressions[1]) == "-x/(k - y)"
    same = parse_system("m*x'' = -c*x' - k*x\nk*y' = y*y' - x", parameters={"m": 2, "c": 1, "k": 4})
    assert system.expressions == same.expressions


def test_comments() -> None:
    """From # to the end of the line, wherever a blank may stand."""
    text = "# decay = 2\ny' = -k*y  # in 1/s; not in 1/h\n# y' = 0\ny(0) = 2 # at the beginning, '(' is no bracket\n#"
    system = parse_system(text, parameters={"k": 1})
    assert (str(system.expressions[0]), system.initial_values, system.text) == ("-k*y", (2.0,), text)
    assert value("(y + # one\n t) * # and\r\n 2#") == 10.0
    assert parse_system("y' = y", initial="# y(0) = 1\ny(0) = 3 # three").initial_values == (3.0,)
    assert parse_system("y' = y", initial=" # none yet").initial_values is None


def test_lines_continue_inside_parentheses_and_after_operators() -> None:
    assert value("max(y,\n t) +\n (1\n + y)") == 7.0


def test_names_keep_their_letters() -> None:
    system = parse_system("θ'' = -λ*sin(θ), y₁' = µ", parameters={"λ": 1.0, "µ": 2.0})
    assert system.names == ("θ", "y1")
    assert list(system.parameters) == ["λ", "μ"]


@pytest.mark.parametrize(
    ("text", "independent"),
    [
        ("dy/ds = y", "s"),
        ("y' = t*x*y", "t"),
        ("y' = x*y", "x"),
        ("y' = -y", "t"),
        ("x' = -x", "t"),
        ("y'(s) = -y(s)", "s"),
        ("y'' = -y(x)", "x"),
        ("y' = y, x' = t", "t"),
    ],
)
def test_independent_variable(text: str, independent: str) -> None:
    parameters = {"x": 1.0} if "t*x" in text else {}
    assert parse_system(text, parameters=parameters).independent == independent


def test_a_parameter_may_have_the_name_of_a_constant_or_of_time() -> None:
    assert value("e*y", e=2.0) == 6.0
    system = parse_system("x' = t*x", parameters={"t": 2.0})
    assert system.independent not in ("t", "x")


def test_components_come_in_the_order_of_their_derivatives() -> None:
    assert parse_system("b*a' = 1, b' = a").names == ("a", "b")


@pytest.mark.parametrize(
    "text", ["y' + y = 0", "-y = y'", "0 = y' + y", "2*y' = -2*y", "y'/3 = -y/3", "3y' - y = 2y'-2y"]
)
def test_equations_need_not_be_solved(text: str) -> None:
    system = parse_system(text)
    assert str(system.expressions[0]) == "-y"


def test_squares_stay_whole_and_halves_exact() -> None:
    y = parse_system("y' = y^2 + y/2 + 1/4")
    assert str(y.expressions[0]) == "y**2 + 0.5*y + 0.25"


def test_the_same_text_gives_the_same_system() -> None:
    def content(system: System) -> tuple[object, ...]:
        return system.names, system.expressions, system.symbols, system.initial_values

    text = "x' = a*x - y, y'' = sin(x)*y'; x(0) = a, y(0) = 1, y'(0) = 2"
    assert content(parse_system(text, parameters={"a": 2})) == content(parse_system(text, parameters={"a": 2}))


def test_nothing_is_executed(tmp_path: object) -> None:
    path = f"{tmp_path}/made"
    for text in (f"y' = __import__('os').mkdir('{path}')", "y' = y.__class__", "y' = lambda x: x", "y' = (1).real"):
        with pytest.raises(EquationError):
            parse_system(text)
