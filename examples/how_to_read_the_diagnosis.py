# %% [markdown]
# # How to read the diagnosis
#
# A training that misses its tolerance says so, and its monitor names what it found, with the figures behind it and a
# remedy: `solution.training.diagnoses`; on the command line they stand under the table. This page fails on purpose in
# eight ways, shows what the monitor says to each, does what it says, and looks whether that cured it. A run that met
# its tolerance has no diagnosis.

# %%
import warnings

import numpy as np
import torch

import odenn


def told(solution):
    """How it ended, and what the monitor found."""
    print("solved" if solution.success else "not solved", f"in {solution.stats.seconds:.2g} s")
    for diagnosis in solution.training.diagnoses:
        print("  -", diagnosis)
    return {diagnosis.trouble.name for diagnosis in solution.training.diagnoses}


def pair(end):
    return odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, end))


def adam(lr, iterations):
    return odenn.TorchOptimiser(name="Adam", lr=lr, iterations=iterations, schedule="constant")


network = odenn.MLP([16, 16], "tanh")

# %% [markdown]
# ## 1. The loss oscillates
#
# Adam at a constant rate, batches of 16 of the data. Its steps do not get shorter, so it jumps about.

# %%
fit = {"network": network, "data": odenn.Reference(), "windows": 1}
restless = odenn.solve(pair(2), method=odenn.DataFit(**fit, batch=16, optimizer=adam(3e-2, 300)))
assert "OSCILLATION" in told(restless)

# %% [markdown]
# The picture of the training shows the same: `solution.plot_training()` has the loss, the gradient norm, and the
# damping or learning rate of every iteration, with the borders between windows.

# %%
figure = restless.plot_training()
losses = [record.loss for record in restless.training.history]
print(f"loss of the last 100 iterations: {min(losses[-100:]):.1e} to {max(losses[-100:]):.1e}")

# %% [markdown]
# The remedy: Levenberg-Marquardt, the default, which knows how every sample depends on every weight.

# %%
assert told(odenn.solve(pair(2), method=odenn.DataFit(**fit))) == set()

# %% [markdown]
# ## 2. The loss has stopped falling
#
# A plateau looks calm, and is no better. With a rate of 1 Adam's first step is so long that every tanh ends flat; there
# the gradient is next to nothing, and nothing moves any more.

# %%
stuck = odenn.solve(pair(2), method=odenn.Residual(network=network, windows=1, optimizer=adam(1.0, 200)))
assert "PLATEAU" in told(stuck)
assert told(odenn.solve(pair(2), method=odenn.Residual(network=network))) == set()

# %% [markdown]
# ## 3. Scale and time
#
# One window for a solution that grows to 22026: from its start nobody sees how far it goes, so the network was given
# the wrong scale. And one window for a sine over three periods and more: the network would have to bend too often.
# Windows whose length error control chooses cure both; they are the default.

# %%
grown = odenn.solve(pair(10), method=odenn.Residual(network=network, windows=1, optimizer=adam(1e-2, 100)))
assert "SCALES" in told(grown)

sine = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 20))
assert "TIME" in told(odenn.solve(sine, method=odenn.Residual(network=network, windows=1, points=64)))

cured = odenn.solve(sine, method=odenn.Residual(network=network))
assert told(cured) == set()
assert np.abs(cured(cured.grid(201))[0] - np.sin(cured.grid(201))).max() < 1e-6

# %% [markdown]
# ## 4. A kink in the activation
#
# ELU has one continuous derivative. In an equation of second order that is one too few, and odenn warns before it
# begins; the run goes on if you let it.

# %%
swing = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 4))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    kinked = odenn.solve(swing, method=odenn.Residual(network=odenn.MLP([16, 16], "elu"), windows=2))
print("warning:", caught[0].message)
assert "KINK" in told(kinked)
assert told(odenn.solve(swing, method=odenn.Residual(network=odenn.MLP([16, 16], "tanh"), windows=2))) == set()

# %% [markdown]
# ## 5. The data are wrong
#
# Here the training is perfect: the network follows its data to many digits. But these come from Euler's method with
# steps of 0.01, and the data's own error, found by halving the step, is larger. More training cannot help.

# %%
euler = odenn.solve(pair(2), method=odenn.DataFit(network=network, data=odenn.Euler(0.01)))
assert "DATA" in told(euler)
print(f"data {euler.training.data_error:.1e}, fit {euler.training.fit_error:.1e}")
true = np.abs(euler(2.0)[0] - np.exp(2)) / np.exp(2)
assert 0.5 < true / euler.training.data_error < 2

better = odenn.solve(pair(2), method=odenn.DataFit(network=network, data=odenn.RK4(0.01)))
assert told(better) == set()

# %% [markdown]
# ## 6. Single precision
#
# A right-hand side that computes in float32 somewhere, as one with a model trained elsewhere often does, has seven
# digits and no more. Training against its rounding is in vain.

# %%
single = odenn.IVP(lambda t, y: [-torch.sin(y[0].float())], y0=[1.0], span=(0, 1))
assert "FLOAT32" in told(odenn.solve(single, method=odenn.Residual(network=network, windows=1), rtol=1e-9))

double = odenn.IVP(lambda t, y: [-torch.sin(y[0])], y0=[1.0], span=(0, 1))
assert told(odenn.solve(double, method=odenn.Residual(network=network), rtol=1e-9)) == set()

# %% [markdown]
# ## 7. Collapse onto a fixed point
#
# The nastiest one, since the loss looks good. `y' = y (1 - y)` from 0.01 leaves its resting point at zero only after a
# while. A network that stays at zero has a small residual almost everywhere, and is wrong almost everywhere.

# %%
logistic = odenn.parse("y' = y*(1 - y); y(0) = 0.01", span=(0, 20))
lbfgs = odenn.TorchOptimiser(name="LBFGS", lr=1.0, iterations=40)
resting = odenn.solve(
    logistic, method=odenn.Residual(network=network, windows=1, points=32, optimizer=lbfgs), rtol=1e-4
)
assert "FIXED_POINT" in told(resting)
exact = 1 / (1 + 99 * np.exp(-20))
loss = min(record.loss for record in resting.training.history)
print(f"loss {loss:.1e}, but y(20) = {resting(20.0)[0]:.2g} instead of {exact:.2g}")
assert loss < 1e-2
assert abs(resting(20.0)[0] - exact) > 0.5
assert resting.error(20.0)[0] > 0.5  # the estimate knows

left = odenn.solve(logistic, method=odenn.Residual(network=network), rtol=1e-4)
assert told(left) == set()
assert abs(left(20.0)[0] - exact) < 1e-4

# %% [markdown]
# ## In short
#
# | the monitor says | it is | what cures it |
# |---|---|---|
# | the loss oscillates or grows | the optimiser's rate | `LevenbergMarquardt()`, a falling rate |
# | the loss has stopped falling | rate too low or far too high, network too small | the same; wider, `stages=2` |
# | grows beyond the scale; changes on a shorter time | one window for too much | `windows="auto"` |
# | the activation has a kink | ELU, ReLU | `"tanh"`, `"sin"` |
# | the data are further from the solution | the data | smaller steps, `RK4`, `Reference()` |
# | the rounding error of float32 | `.float()` somewhere | float64 |
# | rests near a fixed point | a small residual far from the solution | `windows="auto"` |
#
# What to look at, in this order:
#
# 1. `solution.success`: the estimated error meets the tolerance, or not.
# 2. `solution.message`: why it ended, and by how much the tolerance was missed.
# 3. `solution.training.diagnoses`: what went wrong, with a remedy; none means that nothing known was found.
# 4. `solution.error(t)`, `solution.plot()`: where it went wrong.
# 5. `solution.plot_training()`: the course of the loss, last of all. It is the least informative of the five.
