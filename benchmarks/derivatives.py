"""What time derivatives cost: a network of five layers with ten outputs, against its plain forward pass.

    python benchmarks/derivatives.py

One thread, float64, CPU time, median of repetitions. Four ways: the Taylor series that odenn's networks propagate,
`odenn.derivative` of a function of the network (nested forward mode), torch.func.jvp, and reverse mode, one backward
pass for each output. Prints ratios and writes benchmarks/results/derivatives.csv.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rows import write_rows
from torch import Tensor

import odenn

RESULTS = Path(__file__).parent / "results" / "derivatives.csv"
OUTPUTS = 10


def forward_mode(function: Callable[[Tensor], Tensor], t: Tensor, order: int) -> Tensor:
    """torch.func.jvp, nested by hand."""
    for _ in range(order):
        function = lambda s, f=function: torch.func.jvp(f, (s,), (torch.ones_like(s),))[1]  # noqa: E731
    return function(t)


def reverse_mode(function: Callable[[Tensor], Tensor], t: Tensor, order: int) -> Tensor:
    """torch.autograd.grad, one pass for each output and order."""
    t = t.detach().requires_grad_()
    columns: list[Tensor] = []
    for column in function(t).unbind(1):
        slope = column
        for level in range(order):
            slope = torch.autograd.grad(slope.sum(), t, create_graph=level < order - 1, retain_graph=True)[0]
        columns.append(slope[:, 0])
    return torch.stack(columns, 1)


def seconds(call: Callable[[], object], least: float = 0.15) -> float:
    """Median CPU time of a call, over at least `least` seconds."""
    call()
    times: list[float] = []
    end = time.process_time() + least
    while time.process_time() < end or len(times) < 7:
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times))


def measured(points: int) -> list[dict[str, Any]]:
    """Rows for one number of times, printed as they come."""
    network = odenn.MLP([32] * 5, "tanh").build(outputs=OUTPUTS)
    t = torch.linspace(-1, 1, points, dtype=torch.float64)[:, None]
    hidden = lambda s: network(s)  # noqa: E731, PLW0108 - a function whose series is not known
    ways: dict[str, Callable[[int], Tensor]] = {
        "series of the network": lambda order: odenn.derivative(network, t, order),
        "odenn.derivative": lambda order: odenn.derivative(hidden, t, order),
        "torch.func.jvp": lambda order: forward_mode(network, t, order),
        "reverse mode per output": lambda order: reverse_mode(network, t, order),
    }
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        plain = seconds(lambda: network(t))
    print(f"forward pass of {points} points: {1e3 * plain:.3f} ms; derivatives as multiples of it, orders 1 to 4")
    for name, way in ways.items():
        ratios: list[float] = []
        for order in (1, 2, 3, 4):
            agree = torch.allclose(way(order), ways["series of the network"](order), rtol=1e-8, atol=1e-8)
            assert agree, f"{name} of order {order} differs"
            with torch.set_grad_enabled(name == "reverse mode per output"):
                ratios.append(seconds(lambda order=order, way=way: way(order)) / plain)
            rows.append({"way": name, "order": order, "points": points, "forward_ms": 1e3 * plain, "ratio": ratios[-1]})
        print(f"{name:26s}" + "".join(f"{ratio:9.1f}" for ratio in ratios), flush=True)
    return rows


def main() -> None:
    torch.set_num_threads(1)
    rows = [row for points in (256, 2048) for row in measured(points)]
    write_rows(RESULTS, rows)


if __name__ == "__main__":
    main()
