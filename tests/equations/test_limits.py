"""Texts made to hang, to fill the memory or to exhaust the stack."""

import subprocess
import sys
import time

import numpy as np
import pytest

from odenn.equations import EquationError, parse_system
from odenn.equations.reading import MAX_LENGTH

SECONDS = 2.0


@pytest.mark.parametrize(
    "text",
    [
        "y' = " + "(" * 101 + "y" + ")" * 101,
        "y' = " + "(" * 40_000 + "y" + ")" * 40_000,
        "y' = " + "sin(" * 60 + "y" + ")" * 60,
        "y' = " + "-" * 90_000 + "y",
        "y' = " + "2^" * 40_000 + "y",
        "y' = " + "y^" * 60 + "y",
        "y' = 9^9^9^9^9^9",
        "y' = " + "(" * 40 + "2*y" + ")^64" * 40,
        "y' = " + "9" * 90_000,
        "d" + "9" * 50_000 + "y/dx = 1",
        "y" + "'" * 90_000 + " = 1",
        "y" * (MAX_LENGTH + 1),
        "d" + " " * 99_000 + "y",
        "d y" * 30_000,
        "d/d" * 30_000,
        "1e" * 40_000,
        "=" * 90_000,
        "y'=" * 30_000,
        "\n".join(f"y{i}' = 1" for i in range(1001)),
    ],
    ids=lambda text: text[:20],
)
def test_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(EquationError):
        parse_system(text)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "y' = " + "(" * 100 + "y" + ")" * 100,
        "y' = " + "y + " * 12_000 + "1",
        "y' = " + "y*" * 20_000 + "1",
        "y' = " + " + ".join(f"sqrt({i + 9007199254740881}*y)" for i in range(1000)),
        "y' = " + " + ".join(f"{i}*y^{i}" for i in range(2000)),
        "y' = " + "sin(1 + y*" * 15 + "y" + ")" * 15,
        "y' = " + "1/(1 + y*" * 12 + "y" + ")" * 12,
        "y' = " + "max(y, " * 40 + "y" + ")" * 40,
        "\n".join(f"y{i}' = y{(i + 1) % 1000} - 2*y{i}" for i in range(1000)),
    ],
    ids=lambda text: text[:20],
)
def test_accepted_in_time(text: str) -> None:
    started = time.process_time()
    system = parse_system(text)
    assert time.process_time() - started < SECONDS
    size = sum(system.orders)
    with np.errstate(all="ignore"):
        system.rhs_numpy()(np.ones(2), np.ones((size, 2)), np.array([]))


def test_a_caller_deep_in_recursion_gets_the_usual_error() -> None:
    def at_depth(depth: int) -> None:
        if depth:
            at_depth(depth - 1)
        else:
            parse_system("y' = " + "sin(1 + y*" * 15 + "y" + ")" * 15)

    with pytest.raises(EquationError, match="nested too deeply"):
        at_depth(sys.getrecursionlimit() - 150)


def test_importing_brings_in_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from odenn.equations import parse_system; parse_system('y\\' = -y').rhs_numpy(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'numba', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
