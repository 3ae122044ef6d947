# %% [markdown]
# # Choosing a structure
#
# How deep, how wide, which activation? People try by hand for days. `odenn.search` trains all the combinations that
# you name on your problem, under equal conditions, and says what mattered. This page searches, reads the result, and
# puts the best structure beside collocation, which has no structure to choose, and SciPy.
#
# It needs the extra packages of `pip install "odenn[search]"` and takes about half a minute.

# %%
import sys
from dataclasses import replace
from pathlib import Path

import odenn

FOLDER = Path(sys.argv[1]) if len(sys.argv) == 2 and not sys.argv[1].startswith("-") else Path()

problem = odenn.parse("x' = x - x*y, y' = x*y - y; x(0) = 2, y(0) = 1", span=(0, 3))

# %% [markdown]
# ## 1. Search
#
# Twelve structures. All get the same windows, points, seed and number of iterations; what counts is the true relative
# error over the span. On more than one core add `processes=2`; with `storage="search.log"` a search that was ended goes
# on where it stopped.

# %%
found = odenn.search(
    problem,
    depth=(1, 2, 4),
    width=(8, 32),
    activation=("tanh", "sin"),
    method=odenn.Residual(windows=3),
    rtol=1e-10,
)
print(found)

# %% [markdown]
# The sentence below the table says what mattered, by an analysis of variance of the log error: how much of it the means
# over all trials that share a choice account for, and what is left to the combinations. The figures:

# %%
for name, share in found.shares.items():
    print(f"{name:12s} {100 * share:5.1f} %")

figure = found.plot()
figure.savefig(FOLDER / "structure.png", dpi=100)

# %% [markdown]
# ## 2. Use the best
#
# `found.best` is a method, ready to be used; on the whole span of a problem its windows are those of the search, so let
# the error control choose them anew.

# %%
best = replace(found.best, windows="auto")
whole = odenn.parse("x' = x - x*y, y' = x*y - y; x(0) = 2, y(0) = 1", span=(0, 10))
solution = odenn.solve(whole, rtol=1e-8, method=best)
print(best.network)
print(solution)
assert solution.success

# %% [markdown]
# ## 3. Was it worth it?

# %%
methods = {"best structure": best, "collocation": odenn.Collocation(), "DOP853": "DOP853"}
comparison = odenn.compare(whole, methods, rtol=1e-8)
print(comparison)
figure = comparison.plot()
figure.savefig(FOLDER / "structure-compared.png", dpi=100)

errors = {entry.name: entry.error for entry in comparison.entries}
seconds = {entry.name: entry.seconds for entry in comparison.entries}
assert errors["collocation"] < 1e-8
assert seconds["collocation"] < seconds["best structure"]

# %% [markdown]
# For solving the equation alone: no. Collocation is faster by far and asks for no structure. The search
# is for those who need a network of their own layers: because it is the object of study, because it is to
# become part of a larger model, or because a given architecture has to be used.
