"""Importing odenn is light and changes nothing."""

import subprocess
import sys

PROBE = """
import numpy as np, torch, random, warnings
before = (torch.get_default_dtype(), torch.get_default_device(), torch.initial_seed(), torch.is_grad_enabled(),
          torch.get_num_threads(), np.geterr(), np.random.get_state()[1].tolist(), np.get_printoptions(),
          len(warnings.filters))
state = torch.get_rng_state()
import odenn
problem = odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 1))
solution = odenn.solve(problem)
solution(torch.tensor(0.5))
after = (torch.get_default_dtype(), torch.get_default_device(), torch.initial_seed(), torch.is_grad_enabled(),
         torch.get_num_threads(), np.geterr(), np.random.get_state()[1].tolist(), np.get_printoptions(),
         len(warnings.filters))
assert before == after, (before, after)
assert torch.equal(state, torch.get_rng_state())
"""

LIGHT = """
import sys, odenn
names = ("torch", "sympy", "matplotlib", "numba", "scipy", "lark", "rich", "typer")
heavy = [name for name in names if name in sys.modules]
assert not heavy, heavy
odenn.solve(odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 1)))
assert "torch" not in sys.modules
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_global_state_changes() -> None:
    run(PROBE)


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    run(LIGHT)
