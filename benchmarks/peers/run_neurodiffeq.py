"""neurodiffeq with the settings of its documentation.

    python benchmarks/peers/run_neurodiffeq.py PROBLEM SEED BUDGET... [--sin]

`Solver1D` with its defaults: one network of 2 x 32 tanh units a component, 32 equally spaced points with noise, Adam
with learning rate 1e-3, four validation batches an epoch, the weights of the lowest validation loss handed back;
initial values hold by construction; float64, which neurodiffeq sets. With --sin the networks are
`FCNN(actv=SinActv)`, as in the Lotka-Volterra example of its README.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import torch
from neurodiffeq import diff
from neurodiffeq.conditions import IVP
from neurodiffeq.networks import FCNN, SinActv
from neurodiffeq.solvers import Solver1D
from neurodiffeq.utils import set_seed
from shared import SECOND_ORDER, Clock, error, grid, report

from odenn import zoo

LONG = 10**9  # more epochs than any budget allows


def solver_of(name: str, sin: bool) -> Solver1D:
    problem = zoo.get(name)

    def system(*arguments):
        *y, t = arguments
        return [diff(y_i, t) - rate for y_i, rate in zip(y, problem.f(t, y), strict=True)]

    def second_order(y, t):
        return [diff(y, t, order=2) - SECOND_ORDER[name](y)]

    start, end = problem.span
    if name in SECOND_ORDER:
        equations, conditions = second_order, [IVP(t_0=start, u_0=problem.y0[0], u_0_prime=problem.y0[1])]
    else:
        equations, conditions = system, [IVP(t_0=start, u_0=value) for value in problem.y0]
    nets = [FCNN(actv=SinActv) for _ in conditions] if sin else None
    return Solver1D(equations, conditions, t_min=start, t_max=end, nets=nets)


def run(name: str, seed: int, budgets: list[float], sin: bool) -> None:
    set_seed(seed)
    solver, clock, marks = solver_of(name, sin), Clock(), sorted(budgets)

    def checkpoint(solver):
        if clock.seconds < marks[0]:
            return
        clock.pause()
        values = solver.get_solution()(grid(name), to_numpy=True)
        found = error(name, np.atleast_2d(values))
        report("neurodiffeq, sin" if sin else "neurodiffeq", marks.pop(0), clock.seconds, found, solver.global_epoch)
        solver._stop_training = not marks  # as its documentation says for early stopping
        clock.start()

    clock.start()
    solver.fit(max_epochs=LONG, callbacks=[checkpoint], tqdm_file=None)


def main() -> None:
    torch.set_num_threads(1)
    arguments = [argument for argument in sys.argv[1:] if argument != "--sin"]
    solver_of("harmonic", sin=False).fit(max_epochs=2, tqdm_file=None)  # torch's imports at first use are not counted
    run(arguments[0], int(arguments[1]), [float(b) for b in arguments[2:]], "--sin" in sys.argv)


if __name__ == "__main__":
    main()
