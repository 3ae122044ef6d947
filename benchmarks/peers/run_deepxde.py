"""DeepXDE with the settings of its documentation.

    python benchmarks/peers/run_deepxde.py PROBLEM SEED BUDGET... [--like-lotka-volterra]

Settings of its example "A simple ODE system": network of 3 x 50 tanh units, "Glorot uniform", 35 random points within
the span and its 2 ends, initial conditions as terms of the loss, Adam with learning rate 1e-3; second order as in its
example "A simple ODE of second order". float64, as its documentation advises for L-BFGS. Second solver: Adam for half
of the budget, then L-BFGS with DeepXDE's options for the rest (in portions of 50 or 4 iterations instead of 1000, the
state kept, so that the clock can be read).

With --like-lotka-volterra the settings of its example "Lotka-Volterra equations": time scaled to [0, 1], populations
scaled by an upper bound that the user knows (here 10), sines of the time as features, 6 x 64 tanh units, "Glorot
normal", initial values by construction, 3000 points.

One run of Adam serves all budgets: its weights are kept at half of every budget, and L-BFGS starts from these.
"""

from __future__ import annotations

import copy
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde
import numpy as np
import torch
from deepxde.optimizers.config import LBFGS_options
from shared import SECOND_ORDER, Clock, error, grid, report

from odenn import zoo

LONG = 10**9  # more iterations than any budget allows


class Checkpoints(dde.callbacks.Callback):
    """Call `reached(mark)` when the clock passes a mark, the clock stopped; end the training after the last."""

    def __init__(self, clock, marks, reached):
        super().__init__()
        self.clock, self.marks, self.reached = clock, sorted(marks), reached

    def on_epoch_end(self):
        if self.clock.seconds >= self.marks[0]:
            self.clock.pause()
            self.reached(self.marks.pop(0))
            self.model.stop_training = not self.marks
            self.clock.start()


def like_lotka_volterra(name: str, bound: float = 10.0) -> tuple[dde.Model, float]:
    """Return the model and the bound by which its output is to be multiplied."""
    problem = zoo.get(name)
    length = problem.span[1] - problem.span[0]

    def system(s, u):
        rates = problem.f(s * length, [bound * u[:, i : i + 1] for i in range(problem.components)])
        return [dde.grad.jacobian(u, s, i=i) - rate * length / bound for i, rate in enumerate(rates)]

    start = torch.tensor(problem.y0) / bound
    data = dde.data.PDE(dde.geometry.TimeDomain(0, 1), system, [], 3000, 2, num_test=3000)
    network = dde.nn.FNN([7] + [64] * 6 + [problem.components], "tanh", "Glorot normal")
    network.apply_feature_transform(lambda s: torch.cat([s] + [torch.sin(k * s) for k in range(1, 7)], dim=1))
    network.apply_output_transform(lambda s, u: u * torch.tanh(s[:, :1]) + start)
    return dde.Model(data, network), bound


def model_of(name: str) -> dde.Model:
    problem = zoo.get(name)
    span = dde.geometry.TimeDomain(*problem.span)

    def system(t, y):
        rates = problem.f(t, [y[:, i : i + 1] for i in range(problem.components)])
        return [dde.grad.jacobian(y, t, i=i) - rate for i, rate in enumerate(rates)]

    def second_order(t, y):
        return dde.grad.hessian(y, t) - SECOND_ORDER[name](y)

    def value(i):
        return dde.icbc.IC(span, lambda t: np.full((len(t), 1), problem.y0[i]), lambda _, initial: initial, component=i)

    def at_start(t, on_boundary):
        return on_boundary and np.isclose(t[0], problem.span[0])

    conditions = [value(i) for i in range(problem.components)]
    if name in SECOND_ORDER:
        slope = problem.y0[1]
        conditions.append(dde.icbc.OperatorBC(span, lambda t, y, _: dde.grad.jacobian(y, t) - slope, at_start))
    data = dde.data.PDE(span, second_order if name in SECOND_ORDER else system, conditions, 35, 2, num_test=100)
    network = dde.nn.FNN([1] + [50] * 3 + [problem.components], "tanh", "Glorot uniform")
    return dde.Model(data, network)


def adam(model: dde.Model, iterations: int, callbacks: list) -> None:
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=iterations, callbacks=callbacks, verbose=0)


def lbfgs(model: dde.Model, iterations: int, portion: int, callbacks: list) -> None:
    dde.optimizers.set_LBFGS_options(maxiter=iterations)
    LBFGS_options.update(iter_per_step=portion, fun_per_step=portion * 5 // 4)
    model.compile("L-BFGS", verbose=0)
    model.train(callbacks=callbacks, verbose=0)


def run(name: str, seed: int, budgets: list[float], like: bool) -> None:
    dde.config.set_random_seed(seed)
    model, bound = like_lotka_volterra(name) if like else (model_of(name), 1.0)
    label = "DeepXDE's Lotka-Volterra example" if like else "DeepXDE"
    times = grid(name)[:, None] / (grid(name)[-1] if like else 1.0)
    halves, clock = {}, Clock()

    def current_error():
        return error(name, bound * model.predict(times).T)

    def reached(mark):
        if mark in budgets and not like:
            report(f"{label}, Adam", mark, clock.seconds, current_error(), model.train_state.step)
        if 2 * mark in budgets:
            halves[2 * mark] = (copy.deepcopy(model.net.state_dict()), clock.seconds, model.train_state.step)

    clock.start()
    # The example for Lotka-Volterra ends with L-BFGS: Adam alone is not of interest there.
    marks = {b / 2 for b in budgets} | (set() if like else {*budgets})
    adam(model, LONG, [Checkpoints(clock, marks, reached)])

    for budget in sorted(budgets):
        weights, seconds, steps = halves[budget]
        model.net.load_state_dict(weights)
        model.train_state.step = steps
        clock = Clock()
        clock.start()
        lbfgs(model, LONG, 4 if like else 50, [Checkpoints(clock, [budget - seconds], lambda _: None)])
        clock.pause()
        seconds += clock.seconds
        report(f"{label}, Adam then L-BFGS", budget, seconds, current_error(), model.train_state.step)


def main() -> None:
    like = "--like-lotka-volterra" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    torch.set_num_threads(1)
    dde.config.set_default_float("float64")
    warm = model_of("harmonic")  # what torch imports when it is first used is not counted
    adam(warm, 2, [])
    lbfgs(warm, 4, 4, [])
    run(arguments[0], int(arguments[1]), [float(b) for b in arguments[2:]], like)


if __name__ == "__main__":
    main()
