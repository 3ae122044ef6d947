"""Equations that are linear in the highest derivatives, but not solved for them."""

import numpy as np
import pytest

from odenn.equations import EquationError, parse_system


def residual_is_zero(text: str, matrix: object, right: object, **parameters: float) -> None:
    """Check matrix(t, z) h = right(t, z) for the highest derivatives h at a few random states."""
    system = parse_system(text, parameters=parameters)
    rhs, p = system.rhs_numpy(), np.array(list(system.parameters.values()))
    rng = np.random.default_rng(0)
    for _ in range(3):
        z = rng.uniform(0.5, 1.5, sum(system.orders))
        h = np.array([np.ravel(row)[0] for row in rhs(np.array([0.7]), z[:, None], p)])
        np.testing.assert_allclose(matrix(0.7, z) @ h, right(0.7, z), rtol=1e-12, atol=1e-12)  # type: ignore[operator]


def test_constant_coefficients_are_solved_exactly() -> None:
    system = parse_system("2*x'' + y'' = -x, x'' + y'' = -y")
    assert [str(expression) for expression in system.expressions] == ["-x + y", "x - 2*y"]


def test_double_pendulum() -> None:
    residual_is_zero(
        "2*a'' + cos(a - b)*b'' = -b'^2*sin(a - b) - 2*g*sin(a), cos(a - b)*a'' + b'' = a'^2*sin(a - b) - g*sin(b)",
        lambda _, z: np.array([[2, np.cos(z[0] - z[1])], [np.cos(z[0] - z[1]), 1]]),
        lambda _, z: np.array(
            [
                -(z[3] ** 2) * np.sin(z[0] - z[1]) - 2 * 9.81 * np.sin(z[0]),
                z[2] ** 2 * np.sin(z[0] - z[1]) - 9.81 * np.sin(z[1]),
            ]
        ),
        g=9.81,
    )


def test_a_rotation_is_solved_where_a_pivot_would_vanish() -> None:
    system = parse_system("cos(t)*x' + sin(t)*y' = 1, -sin(t)*x' + cos(t)*y' = 2")
    t = np.array([0.0, np.pi / 2, np.pi])
    x, y = system.rhs_numpy()(t, np.zeros((2, 3)), np.array([]))
    np.testing.assert_allclose(x, np.cos(t) - 2 * np.sin(t), atol=1e-14)
    np.testing.assert_allclose(y, np.sin(t) + 2 * np.cos(t), atol=1e-14)


def test_derivatives_may_appear_in_the_equations_of_others() -> None:
    system = parse_system("x' = y, y' = x' + z', z' = 2*x'")
    assert [str(expression) for expression in system.expressions] == ["y", "3*y", "2*y"]


def test_equations_that_are_not_coupled_are_solved_apart() -> None:
    pairs = 30
    text = "; ".join(f"x{i}' + k*y{i}' = 1, x{i}' - k*y{i}' = x{i}" for i in range(pairs))
    system = parse_system(text, parameters={"k": 2.0})
    assert len(system.names) == 2 * pairs
    assert system.expressions[0].free_symbols <= {system.symbols[1], system.symbols[-1]}


def test_a_large_constant_matrix() -> None:
    size = 20
    rng = np.random.default_rng(1)
    A = rng.integers(-3, 4, (size, size)) + 30 * np.eye(size)
    rows = [" + ".join(f"{A[i, j]:g}*y{j}'" for j in range(size)) + f" = y{i}" for i in range(size)]
    residual_is_zero("\n".join(rows), lambda *_: A, lambda _, z: z[np.argsort(_names(rows))])


def _names(rows: list[str]) -> list[int]:
    system = parse_system("\n".join(rows))
    return [int(name[1:]) for name in system.names]


def test_too_many_coupled_unknowns_with_varying_coefficients() -> None:
    rows = [" + ".join(f"sin(y{j} + {i})*y{j}'" for j in range(10)) + " = 1" for i in range(10)]
    with pytest.raises(EquationError, match="10 equations are coupled in their highest derivatives"):
        parse_system("\n".join(rows))


@pytest.mark.parametrize("text", ["k*x' + y' = 1, x' + y' = 2", "m*x' = y, y' = m"])
def test_singular_for_these_parameters(text: str) -> None:
    name = "k" if "k" in text else "m"
    if name == "k":
        with pytest.raises(EquationError, match="not determined"):
            parse_system(text, parameters={name: 1.0})
    assert parse_system(text, parameters={name: 2.0}).names == ("x", "y")
