# %% [markdown]
# # Bring your own network
#
# `Residual` and `DataFit` train any `torch.nn.Module` from shape `(k, 1)` to `(k, n)`. This page builds a network of
# waves, trains it, takes the trained network out again, and uses it in an optimisation of its own. It takes about ten
# seconds.

# %%
import numpy as np
import torch
from torch import nn

import odenn

# %% [markdown]
# ## 1. A network for oscillations
#
# The input is the time of a window, scaled to [-1, 1]. Three things a module need not care about: the initial values,
# which the trial solution around it meets exactly; the scale of the solution; and double precision, to which odenn
# converts a copy.


# %%
class Waves(nn.Module):
    """sum_j a_j sin(w_j x + b_j), frequencies trained too, through a linear layer."""

    def __init__(self, waves, outputs):
        super().__init__()
        self.frequency = nn.Parameter(torch.linspace(0.5, 3.0, waves))
        self.phase = nn.Parameter(torch.zeros(waves))
        self.mix = nn.Linear(waves, outputs)

    def forward(self, x):
        return self.mix(torch.sin(self.frequency * x + self.phase))


problem = odenn.parse("x'' = -x - 0.2*x'; x(0) = 1, x'(0) = 0", span=(0, 6))
torch.manual_seed(0)
solution = odenn.solve(problem, rtol=1e-5, method=odenn.Residual(network=Waves(16, 1)))
print(solution)
print(solution.message)
assert solution.success

# %% [markdown]
# Its error estimate is independent of what the network looks like inside: it comes from the equation of the error.

# %%
print(solution.verify())

# %% [markdown]
# ## 2. What cannot work is refused
#
# A network of ReLU has no second derivative, so an equation of second order cannot see it.

# %%
relu = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))
try:
    odenn.solve(problem, method=odenn.Residual(network=relu))
except ValueError as refusal:
    print(refusal)
else:
    raise AssertionError("it was not refused")

# %% [markdown]
# ## 3. Take the network out
#
# `solution.network` is one module for the whole span, from times `(k,)` to values `(k, n)`, differentiable by time.

# %%
t = torch.linspace(0, 6, 601, dtype=torch.float64)
x = solution.network(t)[:, 0]
velocity = torch.func.jvp(solution.network, (t,), (torch.ones_like(t),))[1][:, 0]
assert np.allclose(velocity.detach().numpy(), solution.derivative(t.numpy())[0])

# %% [markdown]
# ## 4. Use it: when is the kinetic energy largest?
#
# A search by gradient on time, through the trained network.

# %%
moment = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
optimiser = torch.optim.LBFGS([moment], max_iter=50, tolerance_grad=1e-12, tolerance_change=1e-15)


def minus_energy():
    optimiser.zero_grad()
    speed = torch.func.jvp(solution.network, (moment,), (torch.ones_like(moment),))[1]
    loss = -0.5 * (speed**2).sum()
    loss.backward()
    return loss


optimiser.step(minus_energy)

# The damped oscillation x = e^(-0.1 t) (cos w t + 0.1/w sin w t), x' = -(1/w) e^(-0.1 t) sin w t, is fastest where
# tan(w t) = w / 0.1.
w = np.sqrt(0.99)
exact = np.arctan2(w, 0.1) / w
print(f"fastest at t = {moment.item():.6f}, exactly {exact:.6f}")
assert abs(moment.item() - exact) < 1e-3
