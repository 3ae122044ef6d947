# %% [markdown]
# # How to read the diagnosis
#
# A training that misses its tolerance comes with findings: what went wrong, the figures behind it, and what to do. This
# page makes four common mistakes on purpose, reads what odenn says, and does it. It takes a few seconds.

# %%
import numpy as np

import odenn

pair = odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 10))  # e^x and cosh x
network = odenn.MLP([16, 16], "tanh")


def report(solution):
    print(solution)
    print(" ", solution.message)
    for finding in solution.training.diagnoses:
        print("  -", finding)


def troubles(solution):
    return {finding.trouble.name for finding in solution.training.diagnoses}


# %% [markdown]
# ## 1. One network for a long span
#
# The solution grows to 2e4 within one window. Two findings say so: the scale that the network was given, from the
# start of the window, is far too small for its end, and the solution changes in a small part of the window.

# %%
long = odenn.solve(pair, method=odenn.Residual(network=network, windows=1))
report(long)
assert {"SCALES", "TIME"} <= troubles(long)

# %% [markdown]
# The loss is no help here: it rests at what the optimiser can do. `solution.error(t)` is: it says that the curve is
# wrong, and where.

# %%
x = np.linspace(0, 10, 11)
exact = np.array([np.exp(x), np.cosh(x)])
print("   x   true error of y1   estimate")
for time, true, estimate in zip(x, np.abs(long(x) - exact)[0], long.error(x)[0], strict=True):
    print(f"{time:4.0f}   {true:16.1e}   {estimate:.1e}")

# %% [markdown]
# The remedy in the findings, `windows="auto"`, is the default:

# %%
cured = odenn.solve(pair, method=odenn.Residual(network=network))
report(cured)
assert cured.success
assert not cured.training.diagnoses

# %% [markdown]
# ## 2. A learning rate that is too large

# %%
short = odenn.parse("y' = -y; y(0) = 1", span=(0, 2))
steep = odenn.TorchOptimiser(name="SGD", lr=1.0, schedule="constant", iterations=60)
growing = odenn.solve(short, method=odenn.Residual(network=network, windows=1, optimizer=steep))
report(growing)
assert "OSCILLATION" in troubles(growing)

# %% [markdown]
# Levenberg-Marquardt has no learning rate: it takes no step that does not lower the loss.

# %%
cured = odenn.solve(short, method=odenn.Residual(network=network, windows=1))
report(cured)
assert cured.success

# %% [markdown]
# ## 3. Data that are worse than the fit
#
# Euler's method with step 0.1 is wrong by half at the end. The network fits it closely, and no training can do better
# than the data.

# %%
euler = odenn.solve(pair, method=odenn.DataFit(network=network, data=odenn.Euler(0.1)))
report(euler)
assert "DATA" in troubles(euler)

cured = odenn.solve(pair, rtol=1e-5, method=odenn.DataFit(network=network, data=odenn.RK4(0.01)))
report(cured)
assert cured.success

# %% [markdown]
# ## 4. A rest at the wrong place
#
# y = 0 satisfies y' = y (1 - y) too. A network over the whole span finds it comfortable to stay there: the residual is
# small nearly everywhere, and the solution, which leaves for 1, is missed.

# %%
logistic = odenn.parse("y' = y*(1 - y); y(0) = 1e-3", span=(0, 30))
resting = odenn.solve(logistic, method=odenn.Residual(network=network, windows=1))
report(resting)
assert "FIXED_POINT" in troubles(resting)

cured = odenn.solve(logistic, method=odenn.Residual(network=network))
report(cured)
assert cured.success

# %% [markdown]
# ## What to look at, in this order
#
# 1. `solution.success`: the estimated error meets the tolerance, or not.
# 2. `solution.message`: why it ended, and by how much the tolerance was missed.
# 3. `solution.training.diagnoses`: what went wrong, with a remedy.
# 4. `solution.error(t)`, `solution.plot()`: where it went wrong.
# 5. `solution.plot_training()`: the course of the loss, last of all. It is the least informative of the five.
