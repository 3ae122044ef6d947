"""Whatever the text: a `System` or an `EquationError` comes out, within two seconds, and nothing is executed.

ODENN_FUZZ_EXAMPLES sets the number of examples, for long runs.
"""

import math
import os
import time

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odenn.equations import EquationError, System, parse_system

EXAMPLES = int(os.environ.get("ODENN_FUZZ_EXAMPLES", "2000"))
SECONDS = 2.0
# Random examples rather than ever smaller variations of one: the run is to be as wide as it is long.
FUZZ = settings(
    max_examples=EXAMPLES // 4,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

VALID = [
    "dy1/dx = y1, dy2/dx = y1 – y2; y1(0) = 1, y2(0) = 1",
    "2*x'' + y'' = -x, x'' + y'' = -y",
    "x' = a*x - b*x*y\ny' = d*x*y - c*y\nx(0) = 1; y(0) = 2",
    "d^2y/dx^2 = -k^2 y(x) + sin(pi*x)/(1 + x^2), y(0) = -1/2, y'(0) = 2e-3",
    "d²θ/dt² = −9.81·sin(θ)",
    "x'' = -x/(x^2 + y^2)^1.5, y'' = -y/(x^2 + y^2)^(3/2)",
    "diff(y, x, 2) + 3(x+1)(y-1) = e^(-x) + abs(y) + max(y, 0.5, x) - heaviside(x - 1)*sign(y)",
    "m*x'' + m*cos(x)*y'' = -x, cos(x)*x'' + 2*y'' = -tanh(y)^3",
    "u' = sqrt(u) + log(1 + u^2) + atan(u) + asin(u/3) + acos(u/3) + cosh(u) + sinh(u) + min(u, 1)",
    "y' = 2^-1 * y^2^0.5 - -y**3; y(-pi) = 1",
]
PIECES = [
    *"xyztkeabd()()()=,;\n+-*/^'′″ 0123456789.²³–−·×_",
    *["dy/dx", "d2y/dx2", "d^2y/dx^2", "y'", "y''", "x'", "x''", "y(0)", "y'(0) = 1", "sin(", "exp(", "sqrt(", "max("],
    *[
        "abs(",
        "sign(",
        "log(",
        "diff(y, x, 2)",
        "pi",
        "**",
        "1e",
        "1e5",
        "1e308",
        "9^9^9",
        " = ",
        ", ",
        "1/0",
        "y1",
        "min(",
    ],
    *[
        "tan(",
        "acos(",
        "heaviside(",
        "d",
        "dx",
        "/",
        "(x)",
        "(t)",
        "__import__('os')",
        "lambda",
        "\\",
        "|",
        "[",
        "#",
        "²",
    ],
]
NAMES = ["x", "y", "t", "k", "x'", "y'", "2", "0.5", "3", "pi", "e", "1e3", "0", "1"]
FUNCTIONS = ["sin", "cos", "tan", "exp", "log", "sqrt", "tanh", "sinh", "cosh", "asin", "acos", "atan", "abs", "sign"]


def check(text: str) -> None:
    started = time.process_time()
    try:
        system = parse_system(text)
        if len(system.symbols) == 1 + sum(system.orders) + len(system.parameters):
            check_functions(system)
    except EquationError as error:
        assert str(error) == error.message  # noqa: PT017
        assert (error.line is None) == (error.column is None)  # noqa: PT017
    assert time.process_time() - started < SECONDS, "took too long"


def check_functions(system: System) -> None:
    """The generated functions run, agree with each other, and never raise."""
    size, count = sum(system.orders), len(system.names)
    t, Z, p = np.array([0.3, 0.7]), np.linspace(0.4, 1.6, 2 * size).reshape(size, 2), np.array([])
    with np.errstate(all="ignore"):
        rows = np.stack([np.broadcast_to(row, (2,)) for row in system.rhs_numpy()(t, Z, p)])
        assert rows.shape == (count, 2)
        filled = np.empty_like(rows)
        system.fill_numpy()(t, Z, p, filled)
        np.testing.assert_allclose(filled, rows, rtol=1e-9, atol=1e-300)
        jacobian = system.jacobian_numpy()(0.3, Z[:, 0], p)
        assert jacobian.shape == (count, size)
        out = np.zeros((count, 2))
        try:
            run(system.rhs_source(), "rhs", t, Z, p, out)
        except (ArithmeticError, ValueError):
            return  # Python's floats raise where arrays give inf
    if np.all(np.isfinite(rows)) and np.all(np.isfinite(out)) and np.all(np.abs(rows) < 1e100):
        np.testing.assert_allclose(out, rows, rtol=1e-6, atol=1e-6 * (1.0 + np.max(np.abs(rows))))


def run(source: str, name: str, *arguments: object) -> None:
    scope: dict[str, object] = {"math": math}
    exec(compile(source, "generated", "exec"), scope)
    scope[name](*arguments)  # type: ignore[operator]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 6))):
        i = draw(st.integers(0, len(text)))
        j = draw(st.integers(i, min(len(text), i + 6)))
        text = text[:i] + draw(st.sampled_from(PIECES)) + text[j:]
    return text


EXPRESSIONS = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "*-", " - -"]), inner).map(
            lambda s: "(" + "".join(s) + ")"
        ),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda s: f"{s[0]}({s[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda s: f"{s[0]}({s[1]}, {s[2]})"),
    ),
    max_leaves=25,
)


@FUZZ
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    check(text)


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_pieces_of_the_language(text: str) -> None:
    check(text)


@FUZZ
@given(mutated())
def test_damaged_systems(text: str) -> None:
    check(text)


@FUZZ
@given(EXPRESSIONS, EXPRESSIONS)
def test_random_right_hand_sides(first: str, second: str) -> None:
    check(f"d2x/dt2 = {first.replace('k', '1.5')}; y'' = {second.replace('k', '2')}")
