"""`derivative`: any expression of networks and t, any order, both ways of working."""

import math

import pytest
import torch
from torch import Tensor, nn

from odenn.derivatives import derivative, taylor
from odenn.networks.mlp import MLP


def times(k: int = 7) -> Tensor:
    return torch.linspace(-1, 1, k, dtype=torch.float64)


@pytest.mark.parametrize("order", range(5))
def test_of_a_product_with_t(order):
    """t exp(2 t) has the derivatives 2^(k-1) (2 t + k) exp(2 t)."""
    t = times()
    result = derivative(lambda s: s * torch.exp(2 * s), t, order)
    torch.testing.assert_close(result, 2.0 ** (order - 1) * (2 * t + order) * torch.exp(2 * t))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_ways_of_working_agree(order):
    """Forward mode, reverse mode through a graph, and the hand-written series of an MLP."""
    net = MLP([8, 8], "tanh").build(outputs=3)
    t = times()[:, None].requires_grad_()
    forward = derivative(lambda s: net(s), t, order)  # noqa: PLW0108 - a function that is no MLP
    torch.testing.assert_close(derivative(net(t), t, order), forward)
    torch.testing.assert_close(derivative(net, t, order), forward)


@pytest.mark.parametrize(
    "expression",
    [
        lambda net, t: t * net(t),
        lambda net, t: torch.exp(-t) * net(t) ** 2,
        lambda net, t: net(t) * net(2 * t).flip(-1),
    ],
)
def test_expressions_of_networks(expression):
    net = MLP([6], "sin").build(outputs=2)
    t = times()[:, None].requires_grad_()
    expected = derivative(expression(net, t), t)
    torch.testing.assert_close(derivative(lambda s: expression(net, s), t), expected)


def test_function_in_function_out():
    assert math.isclose(float(derivative(torch.sin)(torch.tensor(0.3))), math.cos(0.3), rel_tol=1e-6)
    second = derivative(derivative(torch.sin))
    torch.testing.assert_close(second(times()), -torch.sin(times()))


@pytest.mark.parametrize("order", [1, 2])
def test_differentiable_by_the_weights(order):
    """d/dw of the time derivative, against the same through the graph."""
    net = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    t = times()[:, None].requires_grad_()
    grads = []
    for y in (derivative(lambda s: s * net(s), t, order), derivative(t * net(t), t, order)):
        grads.append(torch.autograd.grad((y**2).sum(), list(net.parameters()), allow_unused=True))
    for a, b in zip(*grads, strict=True):  # the last bias has no influence on a second derivative: None or zero
        zero = torch.zeros_like(a if a is not None else b)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (7, 2), (7, 1)])
def test_keeps_the_shape(shape):
    t = times().requires_grad_()
    y = (t**2).expand(shape) if shape[-1] == 7 else (t**2)[:, None].expand(shape)
    assert derivative(y, t).shape == shape


def test_constant_slope_has_zero_derivative():
    t = times().requires_grad_()
    torch.testing.assert_close(derivative(3 * t, t, 2), torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(derivative(3 * t, t, 3), torch.zeros(7, dtype=torch.float64))


def test_components_without_t_are_constant():
    t = times().requires_grad_()
    y = torch.stack([t**2, torch.ones(7, dtype=torch.float64)])
    torch.testing.assert_close(derivative(y, t)[1], torch.zeros(7, dtype=torch.float64))


def test_taylor_coefficients():
    torch.testing.assert_close(taylor(torch.exp, times(), 3)[3], torch.exp(times()) / 6)


def test_mistakes_are_named():
    t = times().requires_grad_()
    with pytest.raises(ValueError, match="does not require a gradient"):
        derivative(t.detach() ** 2, t.detach())
    with pytest.raises(ValueError, match="detached"):
        derivative((t**2).detach(), t)
    with pytest.raises(ValueError, match="does not depend on `t`"):
        derivative(times().requires_grad_() ** 2, t)
    with pytest.raises(ValueError, match="shape"):
        derivative((t**2).repeat(2), t)
    with pytest.raises(TypeError, match="dtype"):
        derivative(torch.sin, torch.arange(3))
    with pytest.raises(TypeError, match="as_tensor"):
        derivative(torch.sin, [0.0, 1.0])
    with pytest.raises(ValueError, match="`order`"):
        derivative(torch.sin, t, -1)
    with pytest.raises(TypeError, match="`t` is missing"):
        derivative(t**2)
