"""The functions made from a system: NumPy, torch, plain Python, Numba, and the Jacobian, against each other."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import sympy
import torch

from odenn.equations import System, parse_system

SYSTEMS = {
    "linear pair": ("dy1/dx = y1, dy2/dx = y1 - y2", {}),
    "Lotka-Volterra": ("x' = a*x - b*x*y, y' = d*x*y - c*y", {"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0}),
    "Kepler": ("x'' = -x/(x^2 + y^2)^1.5, y'' = -y/(x^2 + y^2)^(3/2)", {}),
    "Van der Pol": ("y'' = mu*(1 - y^2)*y' - y", {"mu": 5.0}),
    "forced": ("y'' + 0.1*y' + k^2*y = cos(w*t)/(1 + t^2)", {"k": 2.0, "w": 1.3}),
    "constant rows": ("x' = 2, y' = k, z' = t, w' = k^2/(1 + k)", {"k": 2.0}),
    "powers": (
        "y' = y^2 + y^3 - y^4/y^7 + y^-2 + y^0.5 + y^1.5 + y^-2.5 + y^5 + y^9 + y^2.7 + y^t + 2^y + k^y",
        {"k": 3.0},
    ),
    "functions": (
        "y' = sin(y) + cos(y) - tan(y/2) + exp(-y) + log(y) + sqrt(y) + tanh(y) + sinh(y) + cosh(y) + asin(y/4)"
        " + acos(y/4) + atan(y)",
        {},
    ),
    "kinks": ("y' = abs(y - 1) + sign(y - 1)*y + heaviside(y - 1)*y + min(y, 1, t) + max(y, k*t)", {"k": 0.5}),
    "implicit": ("m*x'' + m*cos(x)*y'' = -x, cos(x)*x'' + 2*y'' = -tanh(y)^3", {"m": 2.0}),
    "parameters": ("y' = a*b*y + a/b - y/a/b + 1/(a*y) + (a - b)*(y - 1) - a - b - y", {"a": 2.0, "b": 3.0}),
    "long sum": ("y' = " + " + ".join(f"sin({i + 1}*y)" for i in range(300)), {}),
    "deep": ("y' = " + "sin(1 + " * 24 + "y" + ")" * 24, {}),
}


@pytest.fixture(params=SYSTEMS, name="system")
def _system(request: pytest.FixtureRequest) -> System:
    text, parameters = SYSTEMS[request.param]
    return parse_system(text, parameters=parameters)


def point(system: System, count: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = np.array(list(system.parameters.values()))
    return rng.uniform(0.2, 1.2, count), rng.uniform(0.6, 1.4, (sum(system.orders), count)), p


def reference(system: System, t: np.ndarray, Z: np.ndarray, p: np.ndarray) -> np.ndarray:
    """SymPy's own evaluation of the expressions, in 30 digits."""
    columns = []
    for i in range(t.size):
        values = dict(zip(system.symbols, [t[i], *Z[:, i], *p], strict=True))
        columns.append([float(e.doit().evalf(30, subs=values)) for e in system.expressions])
    return np.array(columns).T


def made(source: str, name: str) -> Callable[..., None]:
    scope: dict[str, Any] = {"math": math}
    exec(source, scope)
    return scope[name]


def test_numpy(system: System) -> None:
    t, Z, p = point(system)
    rows = [np.broadcast_to(row, t.shape) for row in system.rhs_numpy()(t, Z, p)]
    np.testing.assert_allclose(np.stack(rows), reference(system, t, Z, p), rtol=2e-13, atol=1e-12)


def test_numpy_in_place(system: System) -> None:
    t, Z, p = point(system)
    out = np.full((len(system.names), t.size), np.nan)
    system.fill_numpy()(t, Z, p, out)
    np.testing.assert_allclose(out, reference(system, t, Z, p), rtol=2e-13, atol=1e-12)


def test_torch_and_its_derivative(system: System) -> None:
    t, Z, p = point(system)
    rhs = system.rhs_torch()
    tensors = torch.tensor(t), torch.tensor(Z), torch.tensor(p)
    rows = torch.stack([torch.as_tensor(row, dtype=torch.float64).expand(t.size) for row in rhs(*tensors)])
    np.testing.assert_allclose(rows.numpy(), reference(system, t, Z, p), rtol=2e-13, atol=1e-12)

    def at_a_point(z: torch.Tensor) -> torch.Tensor:
        rows = rhs(tensors[0][:1], z[:, None], tensors[2])
        return torch.cat([torch.as_tensor(row, dtype=torch.float64).expand(1) for row in rows])

    J = torch.func.jacrev(at_a_point)(tensors[1][:, 0])
    np.testing.assert_allclose(system.jacobian_numpy()(t[0], Z[:, 0], p), J.numpy(), rtol=1e-11, atol=1e-12)


def test_torch_under_vmap_and_with_parameters_as_an_array() -> None:
    system = parse_system("y' = -k*y^2 + max(y, 0.5)", parameters={"k": 2.0})
    rhs, t, Z = system.rhs_torch(), torch.zeros(3), torch.rand(5, 1, 3, dtype=torch.float64)
    batched = torch.func.vmap(lambda z: rhs(t, z, np.array([2.0]))[0])(Z)
    torch.testing.assert_close(batched, -2.0 * Z[:, 0] ** 2 + Z[:, 0].clamp(min=0.5))


def test_source_as_plain_python(system: System) -> None:
    t, Z, p = point(system)
    out = np.full((len(system.names), t.size), np.nan)
    made(system.rhs_source(), "rhs")(t, Z, p, out)
    np.testing.assert_allclose(out, reference(system, t, Z, p), rtol=2e-13, atol=1e-12)


def test_jacobian_source_as_plain_python(system: System) -> None:
    t, Z, p = point(system)
    out = np.full((len(system.names), len(Z)), np.nan)
    made(system.jacobian_source(), "jacobian")(t[0], Z[:, 0], p, out)
    np.testing.assert_allclose(out, system.jacobian_numpy()(t[0], Z[:, 0], p), rtol=1e-13)


@pytest.mark.parametrize("name", ["Lotka-Volterra", "kinks", "constant rows"])
def test_sources_compile_with_numba(name: str) -> None:
    text, parameters = SYSTEMS[name]
    system = parse_system(text, parameters=parameters)
    t, Z, p = point(system)
    out, J = np.empty((len(system.names), t.size)), np.empty((len(system.names), len(Z)))
    numba.njit(made(system.rhs_source(), "rhs"))(t, Z, p, out)
    numba.njit(made(system.jacobian_source(), "jacobian"))(t[0], Z[:, 0].copy(), p, J)
    np.testing.assert_allclose(out, reference(system, t, Z, p), rtol=1e-13)
    np.testing.assert_allclose(J, system.jacobian_numpy()(t[0], Z[:, 0], p), rtol=1e-13)


def test_jacobian_against_differences(system: System) -> None:
    t, Z, p = point(system, 1)
    step, rhs = 1e-6, system.rhs_numpy()

    def f(z: np.ndarray) -> np.ndarray:
        return np.array([np.ravel(row)[0] for row in rhs(t, z[:, None], p)])

    z = Z[:, 0]
    columns = [(f(z + step * e) - f(z - step * e)) / (2 * step) for e in np.eye(len(z))]
    J = system.jacobian_numpy()(float(t[0]), z, p)
    np.testing.assert_allclose(J, np.stack(columns, axis=1), rtol=1e-6, atol=1e-6 * (1 + np.abs(J).max()))


def test_infinities_come_out_as_they_do_in_arrays() -> None:
    system = parse_system("x' = 1/x + log(x) + exp(x), y' = y^1.5 + sqrt(y)")
    J = system.jacobian_numpy()
    np.testing.assert_array_equal(J(0.0, np.array([0.0, 1.0]), np.array([]))[0, 0], np.nan)
    assert J(0.0, np.array([1e4, 1.0]), np.array([]))[0, 0] == np.inf
    assert np.isnan(J(0.0, np.array([1.0, -1.0]), np.array([]))[1, 1])


def test_jumps_have_the_derivative_zero() -> None:
    system = parse_system("y' = sign(y) + heaviside(y)")
    assert system.jacobian_numpy()(0.0, np.array([0.0]), np.array([])) == [[0.0]]
    assert system.rhs_numpy()(np.zeros(3), np.array([[-1.0, 0.0, 1.0]]), np.array([]))[0].tolist() == [-1.0, 0.5, 2.0]


def test_small_powers_are_products_and_shared_parts_computed_once() -> None:
    source = parse_system("x' = x^3*sin(x*y), y' = sin(x*y)^2 - x*y").rhs_source()
    assert source.count("math.sin") == 1
    assert "pow" not in source


def test_latex() -> None:
    system = parse_system("y'' = -k^2*y + abs(y') + sqrt(z), z' = max(y, z)/2", parameters={"k": 2.0})
    assert system.latex().splitlines() == [
        r"\begin{aligned}",
        r"\frac{d^{2} y}{d t^{2}} &= - k^{2} y + \sqrt{z} + \left|{\frac{d y}{d t}}\right| \\",
        r"\frac{d z}{d t} &= 0.5 \max\left(y, z\right)",
        r"\end{aligned}",
    ]


def test_functions_print_as_they_were_written_and_become_sympy_s_own() -> None:
    text = "sin(y) + exp(y + 1000.5)*tan(2*(y - t)) + abs(log(y)) + max(y, t)*sign(y) + heaviside(y)"
    expression = parse_system(f"y' = {text}").expressions[0]
    assert parse_system(f"y' = {expression}").expressions[0] == expression
    y, t = sympy.symbols("y t")
    native = sympy.sin(y) + sympy.Abs(sympy.log(y)) + sympy.Max(t, y) * sympy.sign(y) + sympy.Heaviside(y)
    assert expression.doit().subs(t, y) == (native + sympy.exp(y + 1000.5) * sympy.tan(0)).subs(t, y)


def test_latex_of_every_function() -> None:
    names = ["sin", "cos", "tan", "exp", "log", "sinh", "cosh", "tanh", "asin", "abs", "sign", "heaviside", "sqrt"]
    lines = parse_system("\n".join(f"{name}1' = {name}({name}1)^2" for name in names)).latex().splitlines()[1:-1]
    assert r"\sin\left(sin_{1}\right)^{2}" in lines[0]
    assert r"\arcsin\left(asin_{1}\right)^{2}" in lines[8]
    assert r"\left|{abs_{1}}\right|^{2}" in lines[9]
    assert r"\operatorname{sign}\left(sign_{1}\right)^{2}" in lines[10]


def test_a_system_of_its_own_names_does_not_disturb_the_source() -> None:
    system = parse_system("z1' = z0 + c0, z0' = p0*z1*t0", parameters={"c0": 1.0, "p0": 2.0, "t0": 3.0})
    rows = system.rhs_numpy()(np.zeros(1), np.array([[10.0], [20.0]]), np.array([1.0, 2.0, 3.0]))
    assert [row.tolist() for row in rows] == [[21.0], [60.0]]
