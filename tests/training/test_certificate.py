"""The estimate against the true error: functions whose error is known, and trained networks, good and bad."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import odenn
from odenn import MLP, RK4, DataFit, Euler, Residual, TorchOptimiser
from odenn.certificate import certify
from odenn.rounding import rounding

T = np.linspace(0, 2, 301)


@dataclass(frozen=True)
class Given:
    """Functions given by formulas, on windows: `levels[j]` is the j-th derivative, a function of t returning (n, k)."""

    functions: tuple
    edges: tuple = (0.0, 0.7, 2.0)

    @property
    def start(self):
        return np.array(self.edges[:-1])

    @property
    def length(self):
        return np.diff(self.edges)

    @property
    def left(self):
        return self.start

    def levels(self, t, top):
        return [self.functions[j](t) for j in range(top + 1)]

    def levels_in(self, w, t, top):
        return self.levels(t, top)


def growth():
    return odenn.parse("y' = y; y(0) = 1", span=(0, 2))


def certificate(problem, functions, **edges):
    return certify(problem, Given(functions, **edges), rtol=1e-6, atol=np.full(problem.n, 1e-9))


def estimate(found):
    return np.abs(found.errors.derivative(T, 0))


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12])
def test_of_a_smooth_defect(size):
    """The error that was put in comes out, to a hundredth."""
    functions = (
        lambda t: (np.exp(t) + size * np.sin(9 * t))[None],
        lambda t: (np.exp(t) + 9 * size * np.cos(9 * t))[None],
    )
    found = certificate(growth(), functions)
    np.testing.assert_allclose(estimate(found)[0], np.abs(size * np.sin(9 * T)), atol=0.01 * size + 1e-14)


@pytest.mark.parametrize("noise", [1e-13, 1e-12, 1e-11])
def test_rounding_is_noise_and_no_error(noise):
    """Values that carry noise, derivatives that carry it a hundredfold: the error is seen, the noise is the floor."""
    rng = np.random.default_rng(0)
    size = 2 * noise
    functions = (
        lambda t: (np.exp(t) + size * np.sin(9 * t) + noise * rng.standard_normal(t.size))[None],
        lambda t: (np.exp(t) + 9 * size * np.cos(9 * t) + 100 * noise * rng.standard_normal(t.size))[None],
    )
    found = certificate(growth(), functions)
    np.testing.assert_allclose(estimate(found)[0], np.abs(size * np.sin(9 * T)), atol=2 * noise)
    assert (found.floor > noise).all()
    assert (found.floor < 5 * noise + 1e-12).all()


def test_of_kinks():
    """A broken line is not smooth: the network itself is looked at."""
    functions = (
        lambda t: (np.exp(t) + 1e-4 * np.abs(t - 0.3))[None],
        lambda t: (np.exp(t) + 1e-4 * np.sign(t - 0.3))[None],
    )
    found = certificate(growth(), functions)
    np.testing.assert_allclose(estimate(found)[0], 1e-4 * np.abs(T - 0.3), atol=2e-6)


def test_of_a_jump_between_windows():
    functions = (lambda t: (np.exp(t) + 1e-5 * (t > 0.7))[None], lambda t: np.exp(t)[None])
    found = certify(growth(), _Jumping(functions), rtol=1e-6, atol=np.full(1, 1e-9))
    np.testing.assert_allclose(estimate(found)[0], 1e-5 * (T > 0.7), atol=1e-9)


class _Jumping(Given):
    def levels_in(self, w, t, top):
        return [np.exp(t)[None] + (1e-5 * w if level == 0 else 0.0) for level in range(top + 1)]


class _BothWays(Given):
    """From 0 backwards to -2 and forwards to 2."""

    start = np.array([-1.0, 0.0, 0.0, 1.0])
    length = np.array([-1.0, -1.0, 1.0, 1.0])
    left = np.array([-2.0, -1.0, 0.0, 1.0])


def test_either_direction_has_its_own_size():
    """What is small beside the 1e26 that the solution grows to on the other side of t0 is seen all the same."""
    problem, size = odenn.parse("y' = 30*y; y(0) = 1", span=(-2, 2)), 1e-7
    functions = (
        lambda t: (np.exp(30 * t) + size * np.where(t < -1, np.sin(3 * (t + 1)) ** 2, 0))[None],
        lambda t: (30 * np.exp(30 * t) + size * np.where(t < -1, 3 * np.sin(6 * (t + 1)), 0))[None],
    )
    found = certify(problem, _BothWays(functions), rtol=1e-6, atol=np.full(1, 1e-9))
    t = np.linspace(-2, -1, 101)
    error = np.abs(found.errors.derivative(t, 0)[0])
    np.testing.assert_allclose(error, size * np.sin(3 * (t + 1)) ** 2, atol=0.01 * size)


def test_of_a_second_order_defect():
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 2))
    size = 1e-7
    functions = tuple(
        lambda t, j=j: (np.sin(t + j * np.pi / 2) + size * 5**j * np.sin(5 * t + j * np.pi / 2))[None] for j in range(3)
    )
    found = certificate(problem, functions)
    np.testing.assert_allclose(estimate(found)[0], np.abs(size * np.sin(5 * T)), atol=0.01 * size)


def test_of_a_stiff_defect():
    """Derivatives by the states are those of the equation, however small the error is."""
    problem = odenn.parse("y' = -1e5*(y - cos(t)) - sin(t); y(0) = 1", span=(0, 2))
    size = 1e-9
    functions = (
        lambda t: (np.cos(t) + size * np.sin(3 * t))[None],
        lambda t: (-np.sin(t) + 3 * size * np.cos(3 * t))[None],
    )
    found = certificate(problem, functions)
    np.testing.assert_allclose(estimate(found)[0], np.abs(size * np.sin(3 * T)), atol=0.02 * size)


@pytest.mark.parametrize("text", ["y' = -y", "y' = 1e8*(cos(t) - y) - sin(t)", "y'' = -sin(y); y'(0) = 0", "y' = 1"])
def test_double_precision_is_seen(text):
    assert rounding(odenn.parse(f"{text}; y(0) = 1", span=(0, 2))) == 0


@pytest.mark.parametrize("f", [lambda t, y: [-y[0].float()], lambda t, y: [torch.cos(y[0].float()).double() - y[0]]])
def test_single_precision_is_measured(f):
    """Also where what comes out is converted back."""
    assert 3e-9 < rounding(odenn.IVP(f, y0=[0.7], span=(0, 2))) < 1e-7


SMALL = MLP([12, 12], "tanh")
EARLY = TorchOptimiser(iterations=60, lr=5e-3)
PAIR = odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 2))
PENDULUM = odenn.parse("y'' = -sin(y); y(0) = 2, y'(0) = 0", span=(0, 3))
PREDATORS = odenn.parse("x' = 1.5x - x*y, y' = x*y - 3y; x(0) = 1, y(0) = 1", span=(0, 3))


@pytest.mark.parametrize(
    ("problem", "method", "rtol"),
    [
        (PAIR, Residual(network=SMALL), 1e-7),
        (PAIR, Residual(network=SMALL, stages=2), 1e-9),
        (PAIR, Residual(network=SMALL, windows=1, optimizer=EARLY), 1e-3),
        (PAIR, Residual(network=MLP([3]), windows=1, points=5), 1e-6),
        (PAIR, DataFit(network=SMALL, data=Euler(0.02)), 1e-3),
        (PAIR, DataFit(network=SMALL, data=RK4(0.02), optimizer=EARLY), 1e-3),
        (PAIR, DataFit(network=MLP([12, 12], "elu"), data=Euler(0.02), windows=2), 1e-3),
        (PENDULUM, Residual(network=SMALL), 1e-6),
        (PENDULUM, DataFit(network=SMALL, data=RK4(0.02)), 1e-5),
        (PREDATORS, Residual(network=SMALL), 1e-5),
        (PREDATORS, Residual(network=SMALL, windows=1), 1e-5),
        (PREDATORS, Residual(network=MLP([8], "sin"), windows=3, points=4), 1e-5),
    ],
)
def test_of_trained_networks(problem, method, rtol):
    solution = odenn.solve(problem, rtol=rtol, method=method)
    t = np.linspace(*problem.span, 301)
    reference = odenn.solve(problem, rtol=1e-12)(t)
    error = np.abs(solution(t) - reference)
    ratio = error.max(axis=1) / solution.error(t).max(axis=1)
    assert ((ratio > 0.5) & (ratio < 2)).all()
    allowed = rtol * np.maximum.accumulate(np.abs(reference), axis=1) + solution.outcome.atol[:, None]
    assert (error <= allowed).all() or not solution.success
