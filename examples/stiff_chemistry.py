# %% [markdown]
# # Stiff chemistry
#
# Reactions whose rates differ by nine powers of ten: Robertson's problem of 1966, on which explicit methods fail, and
# networks trained on one span as well. This page shows what stiffness is, how it is found and solved, and where SciPy
# is the better tool. It takes a few seconds.

# %%
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import odenn

FOLDER = Path(sys.argv[1]) if len(sys.argv) == 2 and not sys.argv[1].startswith("-") else Path()

robertson = odenn.parse(
    """
    A' = -0.04*A + 1e4*B*C
    B' = 0.04*A - 1e4*B*C - 3e7*B^2
    C' = 3e7*B^2
    A(0) = 1, B(0) = 0, C(0) = 0
    """,
    span=(0, 1e4),
)

# %% [markdown]
# ## 1. What makes it stiff
#
# The eigenvalues of the Jacobian are rates. One is of the order of thousands, while the solution changes over
# thousands of seconds: an explicit method has to take steps for the fast rate although nothing fast is to be seen.

# %%
start = solve_ivp(robertson.first_order, (0, 1), robertson.initial, "Radau", rtol=1e-8, atol=1e-12).y[:, -1]
rates = np.linalg.eigvals(robertson.jacobian(1.0, start))
print("rates at t = 1:", np.sort(rates.real))
assert rates.real.min() < -1e3

with np.errstate(all="ignore"):  # trial steps that are too long leave all bounds; DOP853 takes them back
    explicit = solve_ivp(robertson.first_order, (0, 4), robertson.initial, "DOP853", rtol=1e-6, atol=1e-9)
print(f"DOP853 takes {explicit.nfev} evaluations for the first 4 s of 10000")

# %% [markdown]
# ## 2. Solved
#
# odenn notices that sweeps would need windows that are far too short, and solves those windows by Newton's method.

# %%
solution = odenn.solve(robertson, rtol=1e-8)
print(solution)
print(solution.stats.stiff_windows, "of", solution.stats.windows, "windows by Newton's method")
assert solution.success
assert solution.stats.stiff_windows > solution.stats.windows / 2

# %% [markdown]
# Nothing is lost: the three always add up to 1.

# %%
t = np.concatenate(([0.0], np.geomspace(1e-6, 1e4, 400)))
y = solution(t)
print(f"A + B + C - 1: {np.abs(y.sum(axis=0) - 1).max():.1e}")
assert np.abs(y.sum(axis=0) - 1).max() < 1e-8

# %% [markdown]
# B is small, at most 4e-5, but its error is small relative to it: the tolerance is for each component.

# %%
print("largest estimated error relative to the largest value:", solution.error(t).max(axis=1) / np.abs(y).max(axis=1))

figure = Figure(figsize=(8, 4), layout="constrained")
axis = figure.add_subplot()
for values, name, factor in zip(y, ("A", "B, times 1e4", "C"), (1, 1e4, 1), strict=True):
    axis.semilogx(t[1:], factor * values[1:], label=name)
axis.set_xlabel("t / s")
axis.legend()
figure.savefig(FOLDER / "stiff-robertson.png", dpi=100)

# %% [markdown]
# ## 3. Beside SciPy
#
# The zoo has this problem with a reference solution. Compare at the error that was reached, not at `rtol`, which for
# SciPy is the error of one step. For rough answers LSODA is the better tool; `docs/choosing.md` has a table, and
# `odenn.compare` does the same for problems without a known solution.

# %%
entry = odenn.zoo.get("robertson-1e4")
t, reference = entry.reference()


def error(y):
    """Worst component of max |y - reference| / max |reference|."""
    return float((np.abs(y - reference).max(axis=1) / np.abs(reference).max(axis=1)).max())


for rtol in (1e-5, 1e-7, 1e-9):
    clock = time.perf_counter()
    ours = odenn.solve(robertson, rtol=rtol)(t)
    between = time.perf_counter()
    theirs = solve_ivp(entry.f, entry.span, entry.y0, "LSODA", t_eval=t, rtol=rtol, atol=1e-6 * rtol).y
    end = time.perf_counter()
    print(
        f"rtol {rtol:.0e}: odenn {1e3 * (between - clock):4.0f} ms, error {error(ours):.0e};"
        f" LSODA {1e3 * (end - between):4.0f} ms, error {error(theirs):.0e}"
    )
    assert error(ours) < rtol

# %% [markdown]
# ## 4. What does not work
#
# Told not to use an implicit method, odenn says that the problem is stiff, instead of going on for hours:

# %%
refused = odenn.solve(robertson, method=odenn.Collocation(stiff=False, max_seconds=1.0))
print(refused.status, "-", refused.message)
assert not refused.success

# %% [markdown]
# ## 5. Training on it
#
# `Residual` has no implicit step: the loss is as badly conditioned as the equation is stiff, and only short windows
# keep it tractable. Given twelve of them, it does not get far, and the message names the reason and the remedy.

# %%
started = time.process_time()
method = odenn.Residual(network=odenn.MLP([12, 12]), max_windows=12)
trained = odenn.solve(robertson, method=method, rtol=1e-4)
print(f"reached t = {trained.span[1]:.3g} of 10000 in {time.process_time() - started:.1f} s of CPU time")
print(trained.message)
assert trained.status is odenn.Status.BUDGET
assert trained.span[1] < 100
assert "stiff" in trained.message

# %% [markdown]
# A mildly stiff equation is another matter: here windows are short enough. Decay at a rate of 50 toward a slow cosine:

# %%
mild = odenn.parse("y' = -50*(y - cos(t)); y(0) = 0", span=(0, 2))
trained = odenn.solve(mild, method=odenn.Residual(network=odenn.MLP([16, 16])), rtol=1e-5)
t = np.linspace(0, 2, 401)
formula = (2500 * np.cos(t) + 50 * np.sin(t) - 2500 * np.exp(-50 * t)) / 2501
print(f"{trained.stats.windows} windows, error {np.abs(trained(t)[0] - formula).max():.1e}; {trained.message}")
assert trained.success
assert np.abs(trained(t)[0] - formula).max() < 1e-5
