"""Deep networks: series, Jacobians and starts."""

import copy

import pytest
import torch
from torch import nn

from odenn.derivatives import taylor
from odenn.networks.activations import ACTIVATIONS
from odenn.networks.mlp import MLP, ModuleWeights, flexible_start, trainable

X = torch.linspace(-1, 1, 9, dtype=torch.float64)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_series_and_jacobian_are_those_of_autograd(activation, paired):
    network = MLP([6, 5], activation).trainable(2)
    w = network.start(seeded(), paired=paired)
    w = w + 0.01 * torch.randn(w.shape, dtype=w.dtype, generator=seeded())
    module = network.module(w)
    torch.testing.assert_close(
        network.series(w, X, 4), taylor(lambda s: module(s[:, None]), X, 4), rtol=1e-9, atol=1e-9
    )
    values, pullback = network.linearise(w, X, 2)
    seeds = torch.randn(3, 3, 9, 2, dtype=torch.float64, generator=seeded())
    _, automatic = ModuleWeights(module, 2).linearise(w, X, 2)
    torch.testing.assert_close(pullback(seeds), automatic(seeds), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(values, network.series(w, X, 2))


@pytest.mark.parametrize("hidden", [[32] * 5, [8], [7, 5]])
def test_paired_start_is_zero_but_not_stuck(hidden):
    network = MLP(hidden, "tanh").trainable(2)
    w = network.start(seeded(), paired=True)
    values, pullback = network.linearise(w, X, 1)
    assert float(values.abs().max()) < 1e-10
    J = pullback(torch.ones(1, 2, 9, 2, dtype=torch.float64))
    assert torch.linalg.matrix_rank(J) >= 5


@pytest.mark.parametrize("hidden", [[32] * 5, [8], [1]])
def test_flexible_start_bends_more_easily(hidden):
    """A paired start whose step to a target is no longer than that of single draws; networks of any size have one."""
    network = MLP(hidden, "tanh").trainable(2)
    x = -torch.cos(torch.pi * (torch.arange(16, dtype=torch.float64) + 0.5) / 16)
    target = torch.cos(8 * torch.arccos(x))

    def way(w):
        seeds = torch.zeros(1, 1, 16, 2, dtype=torch.float64)
        seeds[..., 0] = 1
        return float((torch.linalg.pinv(network.linearise(w, x, 0)[1](seeds), rtol=1e-13) @ target).norm())

    chosen = flexible_start(network, seeded(), 8)
    assert float(network.series(chosen, X, 0).abs().max()) < 1e-10
    if hidden != [1]:
        single = [way(network.start(torch.Generator().manual_seed(seed), paired=True)) for seed in range(5)]
        assert way(chosen) <= sorted(single)[2]


def test_same_seed_same_weights_and_no_global_seed():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b = (MLP([4], "sin").trainable(1).start(torch.Generator().manual_seed(3), paired=False) for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_default_dtype() == torch.float32


def test_module_is_left_alone():
    """A user's network is copied before it is trained or turned to float64."""
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 2))
    kept = copy.deepcopy(module.state_dict())
    network = trainable(module, 2)
    network.module(torch.zeros(network.size, dtype=torch.float64))
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())
    assert next(module.parameters()).dtype == torch.float32


@pytest.mark.parametrize("network", [MLP([3]), nn.Linear(1, 2)])
def test_a_network_that_is_at_its_device_is_not_made_again(network):
    """A module is tried out once, where it is taken; elsewhere are copies of it."""
    home = trainable(network, 2)
    assert home.to(torch.device("cpu")) is home
    there = home.to(torch.device("meta"))
    w, x = torch.zeros(home.size, dtype=torch.float64, device="meta"), torch.zeros(3, device="meta")
    assert there.series(w, x.double(), 0).device.type == "meta"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`activation` must be one of tanh"):
        MLP([8], "sigmoidal")
    with pytest.raises(ValueError, match="`hidden`"):
        MLP([])
    with pytest.raises(TypeError, match=r"write \[32\]"):
        MLP(32)
    with pytest.raises(ValueError, match=r"returns \(3, 5\).*2 component"):
        trainable(nn.Linear(1, 5), 2)
    with pytest.raises(ValueError, match="failed"):
        trainable(nn.Linear(2, 1), 1)
    with pytest.raises(ValueError, match="no weights"):
        trainable(nn.Identity(), 1)
    with pytest.raises(TypeError, match=r"odenn\.MLP"):
        trainable("tanh", 1)
