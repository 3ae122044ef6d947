"""Each diagnosis on a run, or on evidence of one, that really shows it; and none on a good run."""

import numpy as np
import pytest
import torch
from torch import Tensor

import odenn
from odenn.methods.residual import Residual
from odenn.monitor import Evidence, Trouble, diagnose
from odenn.networks.mlp import MLP
from odenn.optimise.torch_optimiser import TorchOptimiser

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


def troubles(findings):
    return [found.trouble for found in findings]


def run(method, problem, rtol=1e-8):
    return method.run(problem, rtol=rtol, atol=None)


def test_oscillation():
    """Adam with a learning rate far too high."""
    adam = TorchOptimiser(lr=1.0, iterations=80, schedule="constant")
    problem = odenn.parse(PAIR, span=(0, 2))
    outcome = run(Residual(network=MLP([16, 16]), windows=1, optimizer=adam), problem)
    assert Trouble.OSCILLATION in troubles(outcome.training.diagnoses)


def test_plateau():
    """A learning rate so low that nothing moves."""
    adam = TorchOptimiser(lr=1e-7, iterations=40)
    outcome = run(Residual(network=MLP([8]), windows=1, optimizer=adam), odenn.parse(PAIR, span=(0, 2)))
    assert Trouble.PLATEAU in troubles(outcome.training.diagnoses)


def test_scales():
    """One window over a solution that grows by e^10."""
    t = np.linspace(0, 10, 200)
    evidence = Evidence(values=np.stack([np.exp(t), np.exp(-t)]), windowed=False)
    assert troubles(diagnose((), evidence)) == [Trouble.SCALES]
    assert diagnose((), Evidence(values=np.stack([np.sin(t), np.cos(t)]), windowed=False)) == ()


@pytest.mark.parametrize(
    ("activation", "order", "found"), [("elu", 2, 1), ("elu", 1, 0), ("relu", 1, 1), ("tanh", 4, 0)]
)
def test_kink(activation, order, found):
    evidence = Evidence(activation=activation, smooth=MLP([4], activation).smooth, order=order)
    assert troubles(diagnose((), evidence)).count(Trouble.KINK) == found


def test_data():
    assert troubles(diagnose((), Evidence(data_error=0.05, fit_error=1e-6))) == [Trouble.DATA]
    assert diagnose((), Evidence(data_error=1e-9, fit_error=1e-6)) == ()


def test_float32():
    """A quadratic solved in float32 stops at its rounding."""

    class Single:
        A = torch.eye(3)
        blocks = 3

        def residual(self, w: Tensor) -> Tensor:
            return self.A @ w - 1.2345678

        def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
            return self.residual(w), self.A

    fit = TorchOptimiser(lr=0.3, iterations=200, name="SGD").minimise(Single(), torch.zeros(3), goal=0.0)
    assert Trouble.FLOAT32 in troubles(diagnose(fit.history, Evidence(single=True)))
    assert Trouble.FLOAT32 not in troubles(diagnose(fit.history, Evidence(single=False)))


def test_fixed_point():
    """A curve that drops to the fixed point at once and stays there."""
    t = np.linspace(0, 10, 101)
    values = np.exp(-20 * t)[None]
    evidence = Evidence(values=values, slopes=-20 * values, initial_slopes=np.array([-1.0]))
    assert troubles(diagnose((), evidence)) == [Trouble.FIXED_POINT]
    slow = np.exp(-t)[None]
    assert diagnose((), Evidence(values=slow, slopes=-slow, initial_slopes=np.array([-1.0]))) == ()


def test_a_good_run_has_no_findings():
    assert run(Residual(), odenn.parse(PAIR, span=(0, 2)), rtol=1e-6).training.diagnoses == ()


def test_findings_read_as_sentences():
    text = str(diagnose((), Evidence(data_error=0.05, fit_error=1e-6))[0])
    assert "0.05" in text
    assert "smaller step" in text
