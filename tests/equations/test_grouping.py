"""Equations of one shape are computed together, and give what they give one by one."""

import numpy as np
import pytest

from odenn.equations import parse_system

CELLS = 12


def brusselator(order: list[int]) -> str:
    def value(name: str, i: int, boundary: int) -> str:
        return f"{name}{i}" if 0 <= i < CELLS else str(boundary)

    lines = [
        f"u{i}' = 1 + u{i}^2*v{i} - 4*u{i} + k*({value('u', i - 1, 1)} - 2*u{i} + {value('u', i + 1, 1)})\n"
        f"v{i}' = 3*u{i} - u{i}^2*v{i} + k*({value('v', i - 1, 3)} - 2*v{i} + {value('v', i + 1, 3)})"
        for i in order
    ]
    return "\n".join(lines)


SYSTEMS = {
    "stencil": brusselator(list(range(CELLS))),
    "stencil, shuffled": brusselator([3, 8, 0, 1, 11, 5, 2, 4, 7, 10, 6, 9]),
    "chain": ", ".join(["y0' = -k*y0", *(f"y{i}' = k*y{i - 1} - {i}.5*y{i}" for i in range(1, 20))]),
    "oscillators": "\n".join(f"x{i}'' = -{i + 1}*sin(x{i}) + k*cos(t)/(1 + x{(i + 1) % 9}'^2)" for i in range(9)),
    "constants": "\n".join(f"y{i}' = {i}*k" for i in range(8)),
    "all the same": "\n".join(f"y{i}' = k*y0^3" for i in range(8)),
    "backwards": "\n".join(f"y{i}' = k*y{9 - i} - max(y{i}, {i})" for i in range(10)),
    "dense": "\n".join(
        f"y{i}' = " + " + ".join(f"{(i * 7 + j) % 11 - 5.5}*y{j}" for j in range(8)) + " + k" for i in range(8)
    ),
    "signs": "\n".join(f"y{i}' = {'-' if i % 2 else ''}{i + 1}*k*y{i} - t" for i in range(10)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_together_as_one_by_one(name: str) -> None:
    system = parse_system(SYSTEMS[name], parameters={"k": 0.7})
    rng = np.random.default_rng(0)
    t, Z, p = rng.uniform(0, 1, 5), rng.uniform(0.5, 1.5, (sum(system.orders), 5)), np.array([0.7])
    out = np.full((len(system.names), 5), np.nan)
    system.fill_numpy()(t, Z, p, out)
    rows = np.stack([np.broadcast_to(row, (5,)) for row in system.rhs_numpy()(t, Z, p)])
    np.testing.assert_allclose(out, rows, rtol=1e-13, atol=1e-13)


def test_the_number_of_operations_does_not_grow_with_the_chain() -> None:
    def lines(length: int) -> int:
        chain = [f"y{i}' = k*y{i - 1} - k*y{i}" for i in range(1, length)]
        fill = parse_system("\n".join(["y0' = -k*y0", *chain]), parameters={"k": 1.0}).fill_numpy()
        return len(fill.__code__.co_code)

    assert lines(100) < 1.1 * lines(20)
