# %% [markdown]
# # Systems of second order
#
# Mechanics is of second order, and odenn solves it as it stands: positions are integrated twice, without unknowns for
# the velocities. Three systems, each checked by what must be conserved. It takes a few seconds.

# %%
import sys
from pathlib import Path

import numpy as np

import odenn

FOLDER = Path(sys.argv[1]) if len(sys.argv) == 2 and not sys.argv[1].startswith("-") else Path()

# %% [markdown]
# ## 1. Two coupled oscillators, as text
#
# Each mass on its spring, and a weak spring between them. The energy wanders from one to the other.

# %%
coupled = odenn.parse(
    "x'' = -x - c*(x - y), y'' = -y - c*(y - x); x(0) = 1, x'(0) = 0, y(0) = 0, y'(0) = 0",
    span=(0, 60),
    params={"c": 0.1},
)
solution = odenn.solve(coupled, rtol=1e-9)
print(coupled.orders, solution)

t = np.linspace(0, 60, 601)
fast = np.sqrt(1.2)
exact = np.array([(np.cos(t) + np.cos(fast * t)) / 2, (np.cos(t) - np.cos(fast * t)) / 2])
print(f"largest error {np.abs(solution(t) - exact).max():.1e}, estimated {solution.error(t).max():.1e}")
assert solution.success
assert np.abs(solution(t) - exact).max() < 1e-8

# %% [markdown]
# Velocities are derivatives of the network, exact and of any order:

# %%
velocity = solution.derivative(t)
acceleration = solution.derivative(t, 2)
x, y = solution(t)
assert np.abs(acceleration[0] - (-x - 0.1 * (x - y))).max() < 1e-6
solution.plot().savefig(FOLDER / "second-coupled.png", dpi=100)

# %% [markdown]
# ## 2. A planet, as a function
#
# `f(t, y, dy)` gives the second derivatives; `y0` has the positions in its first row, the velocities in its second. The
# orbit has an eccentricity of 0.6 and closes after 2 pi.


# %%
def gravity(t, y, dy):
    distance = np.hypot(y[0], y[1])
    return [-y[0] / distance**3, -y[1] / distance**3]


orbit = odenn.IVP(gravity, y0=[[0.4, 0.0], [0.0, 2.0]], span=(0, 2 * np.pi), order=2, names=("x", "y"))
solution = odenn.solve(orbit, rtol=1e-10)
print(solution)
print("back at the start to", np.abs(solution(2 * np.pi) - [0.4, 0.0]).max())
assert solution.success
assert np.abs(solution(2 * np.pi) - [0.4, 0.0]).max() < 1e-9

t = np.linspace(0, 2 * np.pi, 1001)
(x, y), (vx, vy) = solution(t), solution.derivative(t)
energy, spin = (vx**2 + vy**2) / 2 - 1 / np.hypot(x, y), x * vy - y * vx
print(f"energy to {np.ptp(energy):.1e}, angular momentum to {np.ptp(spin):.1e}")
assert np.ptp(energy) < 1e-8
assert np.ptp(spin) < 1e-8

# %% [markdown]
# ## 3. Mixed orders
#
# A mass on a spring with a motor whose current follows the speed with a delay: second order for the position, first
# order for the current. Text takes every component with its own order.

# %%
motor = odenn.parse(
    "x'' = -4*x - i; i' = (x' - i)/0.5; x(0) = 1, x'(0) = 0, i(0) = 0",
    span=(0, 20),
)
solution = odenn.solve(motor, rtol=1e-9)
print(motor.orders, solution)
print(solution.verify())
assert solution.success
assert motor.orders == (2, 1)

# %% [markdown]
# ## 4. The same by training
#
# `Residual` trains a network on equations of second order as they stand, too. It needs an activation with a second
# derivative: tanh or sin.

# %%
spring = odenn.parse("x'' = -x; x(0) = 1, x'(0) = 0", span=(0, 10))
trained = odenn.solve(spring, rtol=1e-8, method=odenn.Residual(network=odenn.MLP([32, 32], "sin")))
print(trained)
t = np.linspace(0, 10, 201)
print(f"largest error {np.abs(trained(t) - np.cos(t)).max():.1e}, estimated {trained.error(t).max():.1e}")
assert trained.success
assert np.abs(trained(t) - np.cos(t)).max() < 1e-8
