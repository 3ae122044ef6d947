"""The core under a default device of 'meta', whose tensors have no values: a forgotten `device=` fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import odenn
from odenn.methods.residual import march

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
SPRING = "y'' = -y; y(0) = 0, y'(0) = 1"
SMALL = odenn.MLP([8, 8], "tanh")
ADAM = odenn.TorchOptimiser(name="Adam", lr=1e-2, iterations=20)
FEW = odenn.LevenbergMarquardt(max_iterations=3)


@pytest.fixture(autouse=True)
def meta() -> Iterator[None]:
    """Make it the default; what was kept from other tests would hide something."""
    march._integration.cache_clear()
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def module() -> torch.nn.Module:
    """A network of the user, who says where it is."""
    generator = torch.Generator("cpu").manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 8, device="cpu"), torch.nn.Tanh(), torch.nn.Linear(8, 2, device="cpu")
    )
    with torch.no_grad():
        for part in network.parameters():
            part.copy_(torch.rand(part.shape, generator=generator, device="cpu") - 0.5)
    return network


METHODS: dict[str, Callable[[], object]] = {
    "Legendre": odenn.Collocation,
    "tanh features": lambda: odenn.Collocation(network=odenn.Features(activation="tanh")),
    "Residual": lambda: odenn.Residual(network=SMALL),
    "Residual, two stages": lambda: odenn.Residual(network=SMALL, stages=2, decay="exponential", sampling="adaptive"),
    "Residual, Adam": lambda: odenn.Residual(network=SMALL, optimizer=ADAM, sampling="random", windows=2),
    "Residual, a module": lambda: odenn.Residual(network=module(), windows=2, sampling="uniform", optimizer=FEW),
    "DataFit": lambda: odenn.DataFit(network=SMALL, data=odenn.RK4(0.02), slopes=True),
    "DataFit, Adam": lambda: odenn.DataFit(network=SMALL, data=odenn.Euler(0.02), optimizer=ADAM, batch=16, windows=2),
    "DataFit, a module": lambda: odenn.DataFit(network=module(), windows=2, optimizer=FEW),
}
LOOSE = ("Residual, Adam", "DataFit, Adam", "Residual, a module", "DataFit, a module")  # too short to reach anything


@pytest.mark.parametrize("name", METHODS)
def test_solve(name: str, tmp_path: Path) -> None:
    """Solutions have values, in NumPy and in torch; so have their networks and files."""
    method = METHODS[name]()
    solution = odenn.solve(odenn.parse(PAIR, span=(0, 1)), rtol=1e-4, method=method)
    assert solution.success or name in LOOSE
    t = np.linspace(0, 1, 5)
    expected = solution(t)
    assert np.isfinite(expected).all()
    times = torch.tensor(t, device="cpu", requires_grad=True)
    values = solution(times)
    assert np.allclose(values.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    (slope,) = torch.autograd.grad(values[0].sum(), times)
    assert np.allclose(slope.numpy(), solution.derivative(t)[0], rtol=1e-6, atol=1e-9)
    inside = torch.vmap(torch.func.jacfwd(solution))(times.detach())
    assert np.allclose(inside[:, 0].detach().numpy(), slope.numpy(), rtol=1e-6, atol=1e-9)
    assert {part.device.type for part in solution.network.state_dict().values()} == {"cpu"}
    if "module" not in name:
        solution.save(tmp_path / "s.odenn")
        assert np.array_equal(odenn.load(tmp_path / "s.odenn")(t), expected)


@pytest.mark.parametrize("method", [odenn.Residual(network=SMALL), odenn.DataFit(network=SMALL)])
def test_second_order(method: odenn.Residual) -> None:
    """Likewise, backwards as well."""
    solution = odenn.solve(odenn.parse(SPRING, span=(0, -1)), rtol=1e-4, method=method)
    assert abs(solution(-1.0)[0] - np.sin(-1.0)) < 1e-3


def test_python_functions() -> None:
    """Plain arithmetic, parameters, constants."""
    problem = odenn.IVP(lambda t, y, p: [-p.k * y[0], 1.0], y0=[1.0, 0.0], span=(0, 1), params={"k": 2.0})
    solution = odenn.solve(problem, rtol=1e-4, method=odenn.Residual(network=SMALL))
    assert abs(solution(1.0)[0] - np.exp(-2.0)) < 1e-3


def test_derivative() -> None:
    """Of an expression of a network."""
    network = SMALL.build(outputs=1)
    t = torch.linspace(0, 1, 3, dtype=torch.float64, device="cpu")
    slopes = odenn.derivative(lambda t: t[:, None] * network(t[:, None]), t, 2)
    assert bool(torch.isfinite(slopes).all())
