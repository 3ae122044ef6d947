"""Optimisers on problems whose answer is known."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.torch_optimiser import TorchOptimiser

ZERO = torch.zeros(2, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Linear:
    A: Tensor
    b: Tensor
    blocks: int = 1

    def residual(self, w: Tensor) -> Tensor:
        return self.A @ w - self.b

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return self.residual(w), self.A


class Rosenbrock:
    blocks = 2

    def residual(self, w: Tensor) -> Tensor:
        return torch.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]])

    def linearise(self, w: Tensor) -> tuple[Tensor, Tensor]:
        J = torch.tensor([[-20 * float(w[0]), 10.0], [-1.0, 0.0]], dtype=w.dtype)
        return self.residual(w), J


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_one_undamped_step_solves_a_linear_problem(shape):
    """With more weights than residuals it is the solution of least norm."""
    objective = Linear(random(*shape), random(shape[0]))
    method = LevenbergMarquardt(damping=1e-20)
    state = method.step(objective, method.init(objective, torch.zeros(shape[1], dtype=torch.float64)))
    torch.testing.assert_close(state.w, torch.linalg.pinv(objective.A) @ objective.b)


def test_rosenbrock():
    fit = LevenbergMarquardt().minimise(Rosenbrock(), torch.tensor([-1.2, 1.0], dtype=torch.float64), goal=1e-13)
    assert fit.stop == "goal"
    assert max(fit.history[-1].residuals) == fit.largest
    torch.testing.assert_close(fit.w, torch.ones(2, dtype=torch.float64))


def test_steps_never_go_up_and_states_stay():
    method = LevenbergMarquardt()
    first = method.init(Rosenbrock(), torch.tensor([-1.2, 1.0], dtype=torch.float64))
    kept = first.w.clone()
    state = first
    for _ in range(10):
        following = method.step(Rosenbrock(), state)
        assert following.loss <= state.loss
        state = following
    assert torch.equal(first.w, kept)


def test_why_it_stopped():
    inconsistent = Linear(torch.ones(2, 1, dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64))
    one = torch.ones(1, dtype=torch.float64)
    assert LevenbergMarquardt().minimise(inconsistent, one, goal=1e-9).stop in ("gradient", "no descent", "plateau")
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    assert LevenbergMarquardt(max_iterations=2).minimise(Rosenbrock(), start, goal=0.0).stop == "iterations"
    assert (
        LevenbergMarquardt()
        .minimise(Rosenbrock(), start, goal=0.0, watch=lambda record, *_: record.iteration >= 3)
        .stop
        == "stopped"
    )
    nan = Linear(torch.full((2, 2), torch.nan, dtype=torch.float64), ZERO)
    assert LevenbergMarquardt().minimise(nan, ZERO, goal=0.0).stop == "not finite"


@pytest.mark.parametrize(
    ("name", "lr", "iterations"), [("Adam", 0.1, 400), ("LBFGS", 1.0, 30), ("SGD", 0.02, 400), ("AdamW", 0.1, 400)]
)
def test_torch_optimisers(name, lr, iterations):
    objective = Linear(torch.eye(2, dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64))
    method = TorchOptimiser(name=name, lr=lr, iterations=iterations)
    fit = method.minimise(objective, ZERO, goal=1e-9)
    assert fit.largest < 0.05
    assert torch.equal(ZERO, torch.zeros(2, dtype=torch.float64))


def test_the_best_is_kept():
    """A learning rate that diverges returns where it was best."""
    objective = Linear(torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    fit = TorchOptimiser(name="SGD", lr=5.0, iterations=30, schedule="constant").minimise(objective, ZERO, goal=0.0)
    assert fit.largest <= 1.0


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"torch\.optim"):
        TorchOptimiser(name="Adamant")
    with pytest.raises(ValueError, match="`schedule`"):
        TorchOptimiser(schedule="linear")
    with pytest.raises(ValueError, match="`options`"):
        TorchOptimiser(options={"momentous": 1}).minimise(Rosenbrock(), ZERO, goal=0.0)
    with pytest.raises(ValueError, match="`max_iterations`"):
        LevenbergMarquardt(max_iterations=0)
    with pytest.raises(ValueError, match="`damping`"):
        LevenbergMarquardt(damping=-1.0)
