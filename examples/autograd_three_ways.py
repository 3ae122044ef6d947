# %% [markdown]
# # Derivatives three ways: HIPS autograd, torch.autograd, torch.func
#
# A trial solution such as `y(x) = y0 + x * net(x)` meets the initial value by construction. To train it one needs
# `dy/dx`, and that is where many people meet their first error. This page computes the same derivatives with three
# libraries, shows the call that fails and why, and ends with a whole training in each of them. Every figure is checked
# by an `assert`. It takes a few seconds; HIPS autograd comes with `pip install "odenn[examples]"`.

# %%
import autograd
import autograd.numpy as anp
import numpy as np
import torch

import odenn

# The same small network twice: 1 input, 8 tanh units, 1 output, in float64.
rng = np.random.default_rng(0)
W1, b1 = rng.normal(size=(1, 8)), rng.normal(size=8)
W2, b2 = rng.normal(size=(8, 1)), rng.normal(size=1)
weights = [torch.tensor(part, requires_grad=True) for part in (W1, b1, W2, b2)]


def forward_numpy(x):
    """x (k,) to (k,), in autograd.numpy, with the weights as constants."""
    return (anp.tanh(x[:, None] @ W1 + b1) @ W2 + b2)[:, 0]


def forward(x):
    """x (k,) to (k,), in torch."""
    W1, b1, W2, b2 = weights
    return (torch.tanh(x[:, None] @ W1 + b1) @ W2 + b2)[:, 0]


points = np.linspace(0.0, 2.0, 5)

# %% [markdown]
# ## 1. The same functions in each library
#
# Three expressions of the kind that trial solutions are made of.

# %%
with_numpy = {
    "x net(x)": lambda x: x * forward_numpy(x),
    "exp(-x) net(x)^2": lambda x: anp.exp(-x) * forward_numpy(x) ** 2,
    "sin(x) net(x) net(2x)": lambda x: anp.sin(x) * forward_numpy(x) * forward_numpy(2 * x),
}
with_torch = {
    "x net(x)": lambda x: x * forward(x),
    "exp(-x) net(x)^2": lambda x: torch.exp(-x) * forward(x) ** 2,
    "sin(x) net(x) net(2x)": lambda x: torch.sin(x) * forward(x) * forward(2 * x),
}

# %% [markdown]
# **HIPS autograd** is handed a *function* and gives back a *function*. `grad` wants one number as its result;
# for a value at every point there is `elementwise_grad`, which differentiates the sum of the values: since every value
# depends on its own `x` only, the gradient of the sum is the derivative at each point.


# %%
def by_hips(name, order=1):
    function = with_numpy[name]
    for _ in range(order):
        function = autograd.elementwise_grad(function)
    return function(points)


# %% [markdown]
# **torch.autograd** is handed a *result*: `x` has to be marked before computing, torch records the operations, and
# `grad` goes back through the record. It sums for itself only if it is told how: `grad_outputs=ones` is the same sum
# as above. `create_graph=True` records the derivative as well, for second derivatives and for the training.


# %%
def by_torch_autograd(name, order=1):
    x = torch.tensor(points, requires_grad=True)
    y = with_torch[name](x)
    for _ in range(order):
        (y,) = torch.autograd.grad(y, x, grad_outputs=torch.ones_like(y), create_graph=True)
    return y.detach().numpy()


# %% [markdown]
# **torch.func** takes functions again. `jvp` is forward mode: the derivative travels along with the value, in
# the direction of `ones`, and one sweep serves all points and all components. `odenn.derivative` is built on it.


# %%
def forward_slope(function):
    return lambda x: torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]


def by_torch_func(name, order=1):
    function = with_torch[name]
    for _ in range(order):
        function = forward_slope(function)
    return function(torch.tensor(points)).detach().numpy()


def by_odenn(name, order=1):
    return odenn.derivative(with_torch[name], torch.tensor(points), order).detach().numpy()


ways = {"HIPS autograd": by_hips, "torch.autograd": by_torch_autograd, "torch.func": by_torch_func, "odenn": by_odenn}
for name in with_torch:
    for order in (1, 2):
        values = {way: differentiate(name, order) for way, differentiate in ways.items()}
        print(f"derivative {order} of {name:22s} at x = {points[2]:g}:", *(f"{v[2]:.12f}" for v in values.values()))
        for value in values.values():
            np.testing.assert_allclose(value, values["odenn"], rtol=1e-10, atol=1e-12)

# %% [markdown]
# All four agree, for first and second derivatives. A check that does not come from any of them: central differences.

# %%
h = 1e-5
for name, function in with_numpy.items():
    np.testing.assert_allclose(
        by_odenn(name), (function(points + h) - function(points - h)) / (2 * h), rtol=1e-7, atol=1e-8
    )

# %% [markdown]
# ## 2. The call that fails, and why
#
# Coming from HIPS autograd one writes `x * forward(x)` and asks torch for its derivative. Each of these attempts ends
# in an error, and each for another reason.


# %%
def message(attempt):
    try:
        attempt()
    except Exception as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}\n")
        return str(error)
    raise AssertionError("this should have failed")


# %% [markdown]
# *First attempt.* Nobody told torch to record what is done with `x`. The weights are recorded, so `y` has a graph, but
# `x` is not in it.

# %%
x = torch.tensor(points)
assert "One of the differentiated Tensors does not require grad" in message(
    lambda: torch.autograd.grad((x * forward(x)).sum(), x)
)

# %% [markdown]
# *Second attempt.* `x` is recorded now, but `y` has five values. A backward pass starts from ONE number; of five it
# must be told how to weigh them. HIPS autograd's `grad` says the same in other words.

# %%
x = torch.tensor(points, requires_grad=True)
y = x * forward(x)
assert "can be implicitly created only for scalar outputs" in message(lambda: torch.autograd.grad(y, x))
assert "scalar-output" in message(lambda: autograd.grad(with_numpy["x net(x)"])(points))

# %% [markdown]
# *Third attempt.* `y` was taken out of torch on the way, by `.detach()`, `.item()`, `.numpy()`, or because it was
# computed under `torch.no_grad()`. There is no record left to go back through.

# %%
assert "does not require grad" in message(lambda: torch.autograd.grad((x * forward(x)).detach().sum(), x))

# %% [markdown]
# *Fourth attempt.* The first derivative works, the second does not: the first was computed without being recorded.

# %%
(slope,) = torch.autograd.grad(y, x, grad_outputs=torch.ones_like(y), retain_graph=True)
assert "does not require grad" in message(lambda: torch.autograd.grad(slope.sum(), x))

# %% [markdown]
# What each library wants instead:
#
# | | is given | several points at once | second derivative |
# |---|---|---|---|
# | HIPS autograd | a function | `elementwise_grad` | applied twice |
# | torch.autograd | a result, and a recorded `x` | `grad_outputs=torch.ones_like(y)` | `create_graph=True` |
# | torch.func | a function | `jvp` in the direction of ones | applied twice |
# | odenn.derivative | either | nothing to do | `order=2` |
#
# `odenn.derivative` takes the result too, and where that cannot work it says what is missing:

# %%
np.testing.assert_allclose(odenn.derivative(y, x, 2).detach().numpy(), by_odenn("x net(x)", 2), rtol=1e-10)
assert "detached" in message(lambda: odenn.derivative((x * forward(x)).detach(), x))
assert "requires_grad_()" in message(lambda: odenn.derivative(forward(torch.tensor(points)), torch.tensor(points)))

# %% [markdown]
# ## 3. A whole training in each
#
# `y' = -y, y(0) = 1` on [0, 2] with the trial solution `y(x) = 1 + x net(x)`: 50 steps of gradient descent on the mean
# square of `y' + y`. All three start from the same weights and take the same steps, so they end at the same loss.

# %%
grid = np.linspace(0.0, 2.0, 20)
RATE, STEPS = 0.02, 50


def train_hips():
    def loss(w):
        net = lambda x: (anp.tanh(x[:, None] @ w[0] + w[1]) @ w[2] + w[3])[:, 0]  # noqa: E731
        y = lambda x: 1 + x * net(x)  # noqa: E731
        return anp.mean((autograd.elementwise_grad(y)(grid) + y(grid)) ** 2)

    w = [W1, b1, W2, b2]
    for _ in range(STEPS):
        w = [part - RATE * slope for part, slope in zip(w, autograd.grad(loss)(w), strict=True)]
    return loss(w)


def train_torch(derivative):
    w = [torch.tensor(part, requires_grad=True) for part in (W1, b1, W2, b2)]
    x = torch.tensor(grid, requires_grad=True)
    y = lambda x: 1 + x * (torch.tanh(x[:, None] @ w[0] + w[1]) @ w[2] + w[3])[:, 0]  # noqa: E731
    descent = torch.optim.SGD(w, lr=RATE)
    for _ in range(STEPS):
        descent.zero_grad()
        ((derivative(y, x) + y(x)) ** 2).mean().backward()
        descent.step()
    return ((derivative(y, x) + y(x)) ** 2).mean().item()


def from_result(y, x):
    values = y(x)
    return torch.autograd.grad(values, x, grad_outputs=torch.ones_like(values), create_graph=True)[0]


losses = {
    "HIPS autograd": train_hips(),
    "torch.autograd": train_torch(from_result),
    "torch.func": train_torch(lambda y, x: forward_slope(y)(x)),
    "odenn": train_torch(odenn.derivative),
}
print(losses)
np.testing.assert_allclose(list(losses.values()), losses["odenn"], rtol=1e-8)

# %% [markdown]
# The libraries agree; what differs is what they want to be given. None of them removes the slowness of gradient
# descent, which is not a matter of derivatives. `odenn.Residual` takes the same derivatives, for all weights at once,
# and hands them to Levenberg-Marquardt:

# %%
problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 2))
solution = odenn.solve(problem, method=odenn.Residual(network=odenn.MLP([16], "tanh")), rtol=1e-6)
print(solution.message)
assert solution.success
assert np.abs(solution(grid)[0] - np.exp(-grid)).max() < 1e-6
