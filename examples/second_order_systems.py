# %% [markdown]
# # Systems of second order
#
# Mechanics is of second order, and odenn solves it as it stands: positions are integrated twice, without unknowns for
# the velocities: three systems, each checked by what must be conserved; then the same by training and from data. It
# takes a few seconds.

# %%
import sys
import warnings
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

# %% [markdown]
# Two masses with a stronger spring between them, for what follows, and their solution.

# %%
masses = odenn.IVP(
    lambda t, y, dy: [-y[0] - 0.5 * (y[0] - y[1]), -y[1] - 0.5 * (y[1] - y[0])],
    y0=[[1, 0], [0, 0]],
    span=(0, 10),
    order=2,
)
network = odenn.MLP([24, 24], "tanh")
t = np.linspace(0, 10, 401)
exact = np.stack([np.cos(t) + np.cos(np.sqrt(2) * t), np.cos(t) - np.cos(np.sqrt(2) * t)]) / 2


def error(y):
    """Worst component of max |y - exact| / max |exact|."""
    return float((np.abs(y - exact).max(axis=1) / np.abs(exact).max(axis=1)).max())


# %% [markdown]
# The same rewritten as four equations of first order works too, at a price: that `v` is the derivative of `x` is
# learned now, where it was given before.

# %%
rewritten = odenn.parse(
    "x1' = v1, x2' = v2, v1' = -x1 + 0.5*(x2 - x1), v2' = -x2 + 0.5*(x1 - x2);"
    "x1(0) = 1, x2(0) = 0, v1(0) = 0, v2(0) = 0",
    span=(0, 10),
)
direct = odenn.solve(masses, method=odenn.Residual(network=network), rtol=1e-6)
first_order = odenn.solve(rewritten, method=odenn.Residual(network=network), rtol=1e-6)
for name, solution in {"as it is": direct, "rewritten": first_order}.items():
    print(f"{name}: {solution.stats.windows} windows, {solution.outcome.windows.size} weights, ", end="")
    print(f"{solution.stats.iterations} iterations, error {error(solution(t)[:2]):.1e}")
    assert solution.success
    assert error(solution(t)[:2]) < 1e-6
assert first_order.stats.iterations > direct.stats.iterations

# %% [markdown]
# ## 5. Fitting a trajectory: positions alone, or positions and velocities
#
# Samples often are positions only. `DataFit` keeps the initial position and learns the rest; where velocities were
# measured as well, `slopes=True` fits both. Twenty-five samples on ten units of time: positions alone are met at the
# samples and missed between them, and the estimate, which asks the equation, knows.

# %%
few = np.linspace(0, 10, 25)
r = np.sqrt(2)
positions = np.stack([np.cos(few) + np.cos(r * few), np.cos(few) - np.cos(r * few)]) / 2
velocities = np.stack([-np.sin(few) - r * np.sin(r * few), -np.sin(few) + r * np.sin(r * few)]) / 2
fits = {}
for slopes in (False, True):
    data = odenn.Samples(few, positions, velocities if slopes else None)
    method = odenn.DataFit(network=network, data=data, slopes=slopes, windows=4, validation=0.0)
    fit = odenn.solve(masses, method=method, rtol=1e-5)
    fits[slopes] = error(fit(t))
    estimated = float((fit.error(t).max(axis=1) / np.abs(exact).max(axis=1)).max())
    print(f"{'positions and velocities' if slopes else 'positions alone'}: error {fits[slopes]:.1e}, ", end="")
    print(f"estimated {estimated:.1e}, misfit at the samples {fit.training.fit_error:.1e}")
    assert 0.2 < fits[slopes] / estimated < 5
assert fits[True] < fits[False] / 100

# %% [markdown]
# With a dense trajectory, here from the classical Runge-Kutta method with steps of 0.02, positions alone are enough.
# Its own error is found by halving the step and reported beside the misfit.

# %%
fitted = odenn.solve(masses, method=odenn.DataFit(network=network, data=odenn.RK4(0.02)), rtol=1e-5)
print(f"error {error(fitted(t)):.1e}; data {fitted.training.data_error:.1e}, misfit {fitted.training.fit_error:.1e}")
assert fitted.success
assert error(fitted(t)) < 1e-5

# %% [markdown]
# ## 6. Kinks and second derivatives
#
# ELU and ReLU have kinks, and a second derivative does not survive a kink. odenn warns before it begins.

# %%
ends = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for activation in ("elu", "tanh"):
        method = odenn.Residual(network=odenn.MLP([16, 16], activation), windows=5)
        solution = odenn.solve(masses, method=method, rtol=1e-6)
        ends[activation] = error(solution(t))
        print(f"{activation}: error {ends[activation]:.1e}, success {solution.success}")
        assert solution.success == (activation == "tanh")
print(caught[0].message)
assert "elu has 1 continuous" in str(caught[0].message)
assert ends["elu"] > 1000 * ends["tanh"]
