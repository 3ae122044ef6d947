"""The problem is checked once, when it is made, and every mistake is named."""

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import odenn
from odenn.layout import Layout


def pair(t: Any, y: Any) -> Any:
    return [y[0], y[0] - y[1]]


def test_states_are_derivative_major_for_mixed_orders() -> None:
    layout = Layout.of((2, 1, 3))
    # states: y1 y2 y3 | y1' y3' | y3''; highest derivatives: y1'' y2' y3'''
    assert layout.offsets.tolist() == [0, 3, 5, 6]
    assert layout.source.tolist() == [3 + 3, 1, 3 + 4, 0, 3 + 5, 2]
    assert layout.power.tolist() == [2, 1, 3, 1, 2, 1]


SAME: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda t, y: [y[0], y[0] - y[1]],
    "tuple": lambda t, y: (y[0], y[0] - y[1]),
    "array": lambda t, y: np.array([y[0], y[0] - y[1]]),
    "matrix": lambda t, y: np.array([[1.0, 0.0], [1.0, -1.0]]) @ y,
    "torch": lambda t, y: torch.stack([torch.relu(y[0]), y[0] - y[1]]),
}


@pytest.mark.parametrize("f", SAME.values(), ids=SAME.keys())
def test_every_way_of_writing_the_same_function_gives_the_same_values(f: Callable[[Any, Any], Any]) -> None:
    problem = odenn.IVP(f, y0=[1, 1], span=(0, 1))
    assert problem.rhs([0.0, 1.0], [[1.0, 2.0], [3.0, 4.0]]).tolist() == [[1.0, 2.0], [-2.0, -2.0]]


def test_one_component_needs_no_brackets() -> None:
    assert odenn.IVP(lambda t, y: -y[0], y0=2.0, span=(0, 1)).rhs([0.0], [[3.0]]).tolist() == [[-3.0]]
    assert odenn.IVP(lambda t, y: -y, y0=[2.0], span=(0, 1)).rhs([0.0], [[3.0]]).tolist() == [[-3.0]]


def test_constant_rows_are_spread_over_the_times() -> None:
    assert odenn.IVP(lambda t, y: [1.0, y[0]], y0=[0, 0], span=(0, 1)).rhs([0, 1], np.ones((2, 2))).shape == (2, 2)


def test_a_function_of_one_time_works_and_says_that_it_is_slow() -> None:
    with pytest.warns(odenn.PerformanceWarning, match=r"np\.sin"):
        problem = odenn.IVP(lambda t, y: [math.sin(t) * y[0]], y0=[1.0], span=(0, 1))
    assert problem.vectorized is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = odenn.IVP(lambda t, y: [math.sin(t) * y[0]], y0=[1.0], span=(0, 1), vectorized=False)
    assert quiet.rhs([0.5, 1.0], [[1.0, 1.0]])[0].tolist() == [math.sin(0.5), math.sin(1.0)]


def test_parameters_are_read_by_name() -> None:
    problem = odenn.IVP(lambda t, y, p: [-p.k * y[0]], y0=[1], span=(0, 1), params={"k": 3.0})
    assert problem.rhs([0], [[2.0]])[0, 0] == -6.0
    assert problem.with_params(k=1.0).rhs([0], [[2.0]])[0, 0] == -2.0


def test_second_order_is_kept_and_reduces_on_request() -> None:
    problem = odenn.IVP(lambda t, y, dy: [-4 * y[0] - dy[0]], y0=[[1], [2]], span=(0, 1), order=2)
    assert problem.orders == (2,)
    assert problem.first_order(0.0, [1.0, 2.0]).tolist() == [2.0, -6.0]
    np.testing.assert_allclose(problem.jacobian(0.0, [1.0, 2.0]), [[0, 1], [-4, -1]], rtol=1e-6)
    assert odenn.IVP(lambda t, y, dy: [-y[0]], y0=[1, 2], span=(0, 1), order=2).n == 1


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    two = np.int64(2)
    problem = odenn.IVP(lambda t, y, dy: [-y[0]], y0=[0, 1], span=(0, 1), order=two)  # pyright: ignore[reportArgumentType]
    assert problem.orders == (2,)
    assert type(problem.order) is int
    solution = odenn.solve(problem)
    np.testing.assert_allclose(solution.derivative(0.5, two), -np.sin(0.5), atol=1e-6)  # pyright: ignore[reportArgumentType]
    assert solution.verify(points=two).t.size == 2  # pyright: ignore[reportArgumentType]


def test_text_brings_its_initial_point() -> None:
    problem = odenn.parse("y' = -y; y(2) = 1", span=(0, 10))
    assert problem.t0 == 2.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: odenn.IVP(lambda t, y: [y[0]], y0=[1, 1], span=(0, 1)), ValueError, "1 row, but `y0` has 2"),
        (lambda: odenn.IVP(lambda t, y: None, y0=[1], span=(0, 1)), ValueError, "`return` missing"),
        (lambda: odenn.IVP(lambda t, y: {"a": 1}, y0=[1], span=(0, 1)), TypeError, "list, tuple or array"),
        (lambda: odenn.IVP(lambda t, y: [y[0].sum(), y[1]], y0=[1, 1], span=(0, 1)), ValueError, "mixes the times"),
        (lambda: odenn.IVP(lambda t, y: [-np.max(t) * y[0]], y0=[1], span=(0, 1)), ValueError, "mixes the times"),
        (lambda: odenn.IVP(lambda t, y: [y[0] if t.max() < 0.5 else -y[0]], y0=[1], span=(0, 1)), ValueError, "mixes"),
        (lambda: odenn.IVP(lambda y, t: [-y[0]], y0=[1], span=(0, 1)), ValueError, "one at a time"),
        (lambda: odenn.IVP(lambda t, y: [y[0] * 1j], y0=[1], span=(0, 1)), TypeError, "real and imaginary"),
        (lambda: odenn.IVP(lambda t, y: [y[0]], y0=[1j], span=(0, 1)), TypeError, "real and imaginary"),
        (lambda: odenn.IVP(lambda t, y: ["a"], y0=[1], span=(0, 1)), TypeError, "real numbers"),
        (lambda: odenn.IVP(lambda t, y: [y[0][:2]], y0=[1], span=(0, 1)), ValueError, r"expected \(3,\)"),
        (lambda: odenn.IVP(lambda t, y: [1 / y[0]], y0=[0], span=(0, 1)), ValueError, "cannot start there"),
        (lambda: odenn.IVP(lambda t, y: [y[5]], y0=[0], span=(0, 1)), ValueError, "IndexError.*called as f"),
        (lambda: odenn.IVP(lambda t: [t], y0=[0], span=(0, 1)), ValueError, "called as f\\(t, y\\)"),
        (lambda: odenn.IVP(3, y0=[0], span=(0, 1)), TypeError, "must be a function"),
        (lambda: odenn.IVP(pair, y0=[1, 1]), ValueError, "`span` must be two numbers"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(0, np.inf)), ValueError, "must be finite"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(1, 1)), ValueError, "no length"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(1e9, 1e9 + 1e-7)), ValueError, "too short for double precision"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(0, 1), t0=2), ValueError, "outside the span"),
        (lambda: odenn.IVP(pair, span=(0, 1)), ValueError, "`y0` is missing"),
        (lambda: odenn.IVP(pair, y0=[[1, 1]], span=(0, 1), order=2), ValueError, "has shape"),
        (lambda: odenn.IVP(pair, y0=[1, np.nan], span=(0, 1)), ValueError, "must be finite"),
        (lambda: odenn.IVP(pair, y0=[1, "x"], span=(0, 1)), TypeError, "`y0` must be numbers, got"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(0, 1), order=0), ValueError, "`order`"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(0, 1), names=("a",)), ValueError, "`names`"),
        (lambda: odenn.IVP(pair, y0=[1, 1], span=(0, 1), params={"1k": 2}), ValueError, "`params`"),
        (lambda: odenn.parse("y' = -y", span=(0, 1)), ValueError, "initial values are missing"),
    ],
)  # fmt: skip
def test_every_mistake_is_named(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "span", ["01", b"01", ("0", "1"), {0, 1}, {0: 1, 1: 2}, (0, True), (0, 1j), 5, (0, None)], ids=repr
)
def test_a_span_that_only_looks_like_two_numbers_is_refused(span: Any) -> None:
    for make in (lambda: odenn.IVP(pair, y0=[1, 1], span=span), lambda: odenn.parse("y' = -y; y(0) = 1", span=span)):
        with pytest.raises(TypeError, match=r"`span` must be two numbers \(start, end\)"):
            make()


@pytest.mark.parametrize("span", [(0, 1, 2), (0,), "", np.zeros((2, 2))], ids=repr)
def test_a_span_of_another_length_is_refused(span: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"`span` must be two numbers \(start, end\)"):
        odenn.IVP(pair, y0=[1, 1], span=span)


@pytest.mark.parametrize("span", [[0, 2], np.array([0, 2]), torch.tensor([0.0, 2.0]), (np.float32(0), np.int64(2))])
def test_a_span_of_numbers_of_any_kind_is_taken(span: Any) -> None:
    assert odenn.IVP(pair, y0=[1, 1], span=span).span == (0.0, 2.0)


@pytest.mark.parametrize("y0", ["1", ["1"], [1, "2"], b"1", {"y": 1}, {1, 2}, [True], [object]], ids=repr)
def test_initial_values_that_are_no_numbers_are_refused(y0: Any) -> None:
    for f in (pair, "y' = -y"):
        with pytest.raises(TypeError, match="`y0` must be numbers"):
            odenn.IVP(f, y0=y0, span=(0, 1))


def test_problems_and_their_solutions_can_be_pickled():
    problem = odenn.parse("y' = -k*y; y(0) = 1", span=(0, 1), params={"k": 2})
    solution = odenn.solve(problem)
    again = pickle.loads(pickle.dumps(solution))
    assert again(1.0) == solution(1.0)
    assert again.residual(0.5) == solution.residual(0.5)


def test_repr_is_short():
    text = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
    assert repr(odenn.parse(text, span=(0, 10))) == f"<IVP y1, y2 on [0, 10]: {text}>"
    commented = odenn.parse("y' = -y # decay\n# no more; y(0) = 2\ny(0) = 1", span=(0, 10))
    assert repr(commented) == "<IVP y on [0, 10]: y' = -y y(0) = 1>"
    oscillator = odenn.IVP(lambda t, y, dy: [-y[0]], y0=[[0], [1]], span=(0, -1), order=2)
    assert repr([oscillator]) == f"[<IVP y on [{oscillator.span[0]:g}, {oscillator.span[1]:g}]: f(t, y, dy)>]"
    long = odenn.IVP(lambda t, y: -y, y0=np.ones(50), span=(0, 1))
    assert repr(long) == "<IVP y1, y2, y3, y4, ... on [0, 1]: f(t, y)>"
    assert (
        len(
            repr(
                odenn.parse(
                    "; ".join(f"y{i}' = -{i}*y{i}" for i in range(1, 40)),
                    initial="; ".join(f"y{i}(0) = 1" for i in range(1, 40)),
                    span=(0, 1),
                )
            )
        )
        < 130
    )


def test_default_tolerance_goes_by_each_component():
    """A small component beside a large one is solved as well as if it were alone."""
    problem = odenn.IVP(lambda t, y: [1e-24 * y[1] * y[1], -y[1]], y0=[1e-8, 1e8], span=(0, 3))
    assert problem.default_atol(1e-6).tolist() == pytest.approx([3e-20, 1e-4], rel=1e-12)
    assert odenn.IVP(lambda t, y: -y, y0=[1e-8, 1.0], span=(0, 9)).default_atol(1e-6)[0] == pytest.approx(1e-20)
    rounded = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[np.sin(np.pi), -1.0], span=(0, 9))
    assert rounded.default_atol(1e-6)[0] == pytest.approx(1e-12)
    assert odenn.solve(rounded, rtol=1e-9).success
    starts_at_zero = odenn.IVP(lambda t, y: [1e-24 * y[1] * y[1], -y[1]], y0=[0.0, 1e8], span=(0, 3))
    assert starts_at_zero.default_atol(1e-6)[0] == pytest.approx(3e-20)
    solution = odenn.solve(problem, rtol=1e-6)
    assert abs(solution(3.0)[0] / (1e-8 + 0.5e-8 * (1 - np.exp(-6))) - 1) < 1e-6
    resting = odenn.IVP(lambda t, y: [0 * y[0], -y[1]], y0=[0.0, 2.0], span=(0, 3))
    assert resting.default_atol(1e-6).tolist() == pytest.approx([2e-12, 2e-12])
