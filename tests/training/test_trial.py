"""Trial solutions meet their conditions before any training, whatever the network."""

import math

import pytest
import torch

from odenn.derivatives import derivative
from odenn.networks.mlp import MLP
from odenn.trial import InitialTrial, TwoPointTrial, by_time, scaled_time, trial_function, trial_series

ONES = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize("length", [2.5, -0.5])
@pytest.mark.parametrize("decay", ["power", "exponential"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_initial_values_are_exact(order, decay, length):
    values = (tuple(float(j + 1) for j in range(order)), tuple(-0.5 * j for j in range(order)))
    trial = InitialTrial(start=3.0, length=length, values=values, scale=7 * ONES, decay=decay)
    network = MLP([8], "tanh").trainable(2)
    w = network.start(torch.Generator().manual_seed(0), paired=False)
    x = torch.tensor([-1.0], dtype=torch.float64)
    y = by_time(trial_series(trial, list(network.series(w, x, order)), x), length)
    for j in range(order):
        torch.testing.assert_close(y[j][0], torch.tensor([row[j] for row in values], dtype=torch.float64))


def test_mixed_orders():
    trial = InitialTrial(start=0.0, length=1.0, values=((1.0,), (2.0, 3.0)), scale=ONES)
    x = torch.tensor([-1.0, 0.3], dtype=torch.float64)
    factor = trial.factor(x, 3)
    torch.testing.assert_close(factor[0], torch.stack([(x + 1) / 2, ((x + 1) / 2) ** 2], -1))


@pytest.mark.parametrize("decay", ["power", "exponential"])
def test_series_are_the_derivatives(decay):
    """Taylor coefficients against forward mode."""
    trial = InitialTrial(start=1.0, length=2.0, values=((1.0, 2.0), (0.0, 1.0)), scale=2 * ONES, decay=decay)
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for part in (trial.base, trial.factor):
        series = part(x, 5)
        for j in range(5):
            expected = torch.stack(
                [derivative(lambda s, i=i, part=part: part(s, 1)[0][:, i], x, j) for i in range(2)], -1
            ) / math.factorial(j)
            torch.testing.assert_close(series[j], expected)


def test_two_point_values_are_exact():
    trial = TwoPointTrial(start=1.0, length=3.0, left=(1.0, -2.0), right=(4.0, 5.0), scale=3 * ONES)
    x = scaled_time(trial, torch.tensor([1.0, 4.0], dtype=torch.float64))
    N = [torch.full((2, 2), 9.0, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)]
    y = trial_series(trial, N, x)[0]
    torch.testing.assert_close(y, torch.tensor([[1.0, -2.0], [4.0, 5.0]], dtype=torch.float64))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(
    "trial",
    [
        InitialTrial(start=1.0, length=2.0, values=((1.0, 2.0), (3.0,)), scale=2 * ONES, decay="exponential"),
        TwoPointTrial(start=1.0, length=2.0, left=(1.0, -2.0), right=(4.0, 5.0), scale=3 * ONES),
    ],
)
def test_as_a_function(trial, order):
    """Its derivatives by `odenn.derivative` are those of the series."""
    network = MLP([6, 5], "tanh").trainable(2)
    w = network.start(torch.Generator().manual_seed(0), paired=False)
    t = torch.linspace(1, 3, 5, dtype=torch.float64)
    x = scaled_time(trial, t)
    expected = by_time(trial_series(trial, list(network.series(w, x, order)), x), trial.length)[order]
    function = trial_function(trial, lambda x: network.series(w, x, 0)[0])
    torch.testing.assert_close(derivative(function, t, order), expected)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`length`"):
        InitialTrial(start=0.0, length=0.0, values=((1.0,),), scale=ONES[:1])
    with pytest.raises(ValueError, match="`scale`"):
        InitialTrial(start=0.0, length=1.0, values=((1.0,),), scale=ONES)
    with pytest.raises(ValueError, match="`values`"):
        InitialTrial(start=0.0, length=1.0, values=((1.0,), ()), scale=ONES)
    with pytest.raises(ValueError, match="`decay`"):
        InitialTrial(start=0.0, length=1.0, values=((1.0,),), scale=ONES[:1], decay="slow")
    with pytest.raises(ValueError, match="one for each component"):
        TwoPointTrial(start=0.0, length=1.0, left=(1.0,), right=(1.0, 2.0), scale=ONES[:1])
