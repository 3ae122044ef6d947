# %% [markdown]
# # Bring your own network
#
# `Residual` and `DataFit` train any `torch.nn.Module` that maps times (k, 1) to components (k, n). Time comes in scaled
# to [-1, 1], and odenn scales what comes out and adds the initial values, so that the module has only to be flexible.
# This page trains a residual network, gets its weights back into the user's class, shows the ways in which a module can
# be wrong, and exports the solution. Run it with `pip install "odenn[examples,onnx]"`.

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import odenn

problem = odenn.parse("u' = u*(1 - v), v' = v*(u - 1); u(0) = 1.5, v(0) = 1", span=(0, 6))  # Lotka and Volterra
reference = odenn.solve(problem, rtol=1e-12)
t = np.linspace(0, 6, 301)


def error(solution):
    """Worst component of max |y - reference| / max |reference|."""
    wrong = np.abs(solution(t) - reference(t)).max(axis=1)
    return float((wrong / np.abs(reference(t)).max(axis=1)).max())


# %% [markdown]
# ## 1. The network
#
# Waves of several frequencies, then blocks that add to their input. Nothing in it knows of odenn. It may be in
# float32, as torch makes it: odenn trains a copy in float64 and leaves yours alone.


# %%
class Waves(nn.Module):
    """(k, 1) -> (k, outputs): sines, residual blocks, a linear output."""

    frequencies: Tensor

    def __init__(self, outputs: int, width: int = 24, blocks: int = 2) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(0.5, 3.0, 6)[None])
        self.phases = nn.Parameter(torch.linspace(0.0, torch.pi, 6))
        self.inner = nn.Linear(6, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.outer = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        a = torch.tanh(self.inner(torch.sin(x * self.frequencies + self.phases)))
        for block in self.blocks:
            a = a + torch.tanh(block(a))
        return self.outer(a)


torch.manual_seed(0)
waves = Waves(outputs=2)
before = {name: value.clone() for name, value in waves.state_dict().items()}

# %% [markdown]
# ## 2. Trained on the equation, trained on data
#
# The same module in both methods, with the same evidence as any other network: the estimated error, and success only
# where it meets the tolerance.

# %%
methods = {
    "Residual": odenn.Residual(network=waves),
    "DataFit": odenn.DataFit(network=waves, data=odenn.RK4(0.02)),
}
solutions = {}
for name, method in methods.items():
    solution = solutions[name] = odenn.solve(problem, method=method, rtol=1e-5)
    print(f"{name}: error {error(solution):.1e}, {solution.stats.windows} windows, {solution.message}")
    assert solution.success
    assert error(solution) < 1e-5
assert all(torch.equal(value, before[name]) for name, value in waves.state_dict().items())  # yours is as it was

# %% [markdown]
# Levenberg-Marquardt needs the Jacobian by every weight. For `odenn.MLP` it is written by hand; for a module it comes
# from torch.func, which costs more time and works for whatever torch can differentiate.
#
# ## 3. The weights back
#
# `solution.network` is one module for the whole span: (k,) or (k, 1) times, as they are, to (k, n). Inside it every
# window has its own trained copy; the class can be filled with one of them.

# %%
network = solutions["Residual"].network
pieces = [piece for piece in network.modules() if isinstance(piece, Waves)]
print(f"{len(pieces)} trained copies, {sum(p.numel() for p in network.parameters())} weights in all")
mine = Waves(outputs=2).double()
mine.load_state_dict(pieces[0].state_dict())
x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
assert torch.equal(mine(x), pieces[0](x))

# %% [markdown]
# The whole is differentiable like any module: here the slope by time, which is what the equation asks for.

# %%
times = torch.linspace(0.1, 5.9, 50, dtype=torch.float64)
slope = odenn.derivative(network, times).detach()
u, v = network(times).detach().T
assert (slope[:, 0] - u * (1 - v)).abs().max() < 1e-3
assert (slope[:, 1] - v * (u - 1)).abs().max() < 1e-3

# %% [markdown]
# And it can be used in an optimisation of its own: when are the hunters most numerous? A search by gradient on time,
# through the trained network. At that moment the equation for `v` says `u = 1`.

# %%
moment = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
search = torch.optim.LBFGS([moment], max_iter=50, tolerance_grad=1e-12, tolerance_change=1e-15)


def minus_hunters():
    search.zero_grad()
    loss = -network(moment)[0, 1]
    loss.backward()
    return loss


search.step(minus_hunters)
print(f"most hunters, {-minus_hunters().item():.4f}, at t = {moment.item():.4f}")
assert abs(network(moment)[0, 0].item() - 1) < 1e-3

# %% [markdown]
# ## 4. Modules that cannot work
#
# What is wrong is said before the training begins.


# %%
def told(method, **options):
    try:
        odenn.solve(problem, method=method(**options) if options else method)
    except (TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}\n")
        return str(error)
    raise AssertionError("this should have failed")


assert "2 components" in told(odenn.Residual(network=Waves(outputs=3)))
assert "must be odenn.MLP(...) or a torch.nn.Module" in told(odenn.Residual, network=Waves)  # the class, not an object

# %% [markdown]
# A kink is no mistake, so it is a warning: the run goes on, to the accuracy that kinks allow.

# %%
relu = nn.Sequential(nn.Linear(1, 24), nn.ReLU(), nn.Linear(24, 2))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    few = odenn.TorchOptimiser(iterations=5)
    odenn.solve(problem, method=odenn.Residual(network=relu, windows=2, optimizer=few))
print(caught[0].message)
assert "ReLU has 0 continuous" in str(caught[0].message)

# %% [markdown]
# ## 5. Keep it, export it
#
# Files of odenn hold weights and no code, so a class that only you have cannot come back from one. `save` says so, and
# what to do: keep the state_dict for your class, or export an ONNX model from time to components, in float64, which
# other programs run without odenn, torch or your class. The export checks itself that both give the same values.

# %%
with tempfile.TemporaryDirectory() as folder:
    try:
        solutions["Residual"].save(Path(folder) / "orbit.odenn")
        raise AssertionError("this should have failed")
    except odenn.StorageError as error_:
        print(error_)
    torch.save(mine.state_dict(), Path(folder) / "weights.pt")
    again = Waves(outputs=2).double()
    again.load_state_dict(torch.load(Path(folder) / "weights.pt", weights_only=True))
    assert torch.equal(again(x), mine(x))

    solutions["Residual"].export_onnx(Path(folder) / "orbit.onnx")
    print(f"orbit.onnx: {(Path(folder) / 'orbit.onnx').stat().st_size / 1000:.0f} kB")
    assert (Path(folder) / "orbit.onnx").stat().st_size > 8 * sum(p.numel() for p in network.parameters())
