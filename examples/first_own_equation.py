# %% [markdown]
# # A first equation of your own
#
# From an equation on paper to a solution that can be trusted: a cup of coffee that cools, two species in a lake, and a
# swing that is pushed. Every step ends with a check. It takes a few seconds.

# %%
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import odenn

FOLDER = Path(sys.argv[1]) if len(sys.argv) == 2 and not sys.argv[1].startswith("-") else Path()

# %% [markdown]
# ## 1. One equation, as text
#
# Newton's law of cooling: the temperature falls at a rate proportional to its distance from that of the room. Letters
# that have no equation are parameters and get a value.

# %%
coffee = odenn.parse("dT/dt = -k*(T - room); T(0) = 90", span=(0, 60), params={"k": 0.05, "room": 20})
solution = odenn.solve(coffee, rtol=1e-8)
print(solution)
print("after 10 minutes:", solution(10.0), "estimated error", solution.error(10.0))

exact = 20 + 70 * np.exp(-0.05 * 10)
assert solution.success
assert abs(solution(10.0)[0] - exact) < 1e-6

# %% [markdown]
# When can it be drunk? The solution is a function; find where it is 50 degrees.

# %%
drinkable = brentq(lambda t: solution(t)[0] - 50, 0, 60)
print(f"drinkable after {drinkable:.2f} minutes")
assert abs(drinkable - 20 * np.log(7 / 3)) < 1e-6

# %% [markdown]
# ## 2. Two equations, as a function
#
# Hares and lynxes. `f(t, y)` is called with many times at once, so that `y[0]` is an array: write it with arithmetic
# and NumPy, not with `if`.


# %%
def species(t, y, p):
    hares, lynxes = y
    return [p.birth * hares - p.hunt * hares * lynxes, p.feed * hares * lynxes - p.death * lynxes]


lake = odenn.IVP(
    species,
    y0=[10, 5],
    span=(0, 40),
    params={"birth": 0.8, "hunt": 0.1, "feed": 0.05, "death": 0.5},
    names=("hares", "lynxes"),
)
solution = odenn.solve(lake, rtol=1e-8)
print(solution)
print(solution.verify())
assert solution.success

# %% [markdown]
# A check from the mathematics: this quantity is conserved along every solution.

# %%
hares, lynxes = solution(np.linspace(0, 40, 401))
conserved = 0.05 * hares - 0.5 * np.log(hares) + 0.1 * lynxes - 0.8 * np.log(lynxes)
print(f"conserved to {np.ptp(conserved):.1e}")
assert np.ptp(conserved) < 1e-6

solution.plot().savefig(FOLDER / "first-lake.png", dpi=100)

# %% [markdown]
# ## 3. What if?
#
# The same with another parameter: `with_params`. Here for several death rates of the lynxes.

# %%
for death in (0.3, 0.5, 0.7):
    other = odenn.solve(lake.with_params(death=death), rtol=1e-8)
    most = other(np.linspace(0, 40, 2001))[1].max()
    print(f"death rate {death}: at most {most:.1f} lynxes")
    assert other.success

# %% [markdown]
# ## 4. Second order, and a mistake
#
# A pushed swing, with a slip of the keyboard. The message says where and what.

# %%
try:
    odenn.parse("x'' = -9.81/2*sinn(x) + 0.1*cos(t); x(0) = 0, x'(0) = 0", span=(0, 20))
except odenn.EquationError as error:
    print(error)

swing = odenn.parse("x'' = -9.81/2*sin(x) + 0.1*cos(2*t); x(0) = 0, x'(0) = 0", span=(0, 20))
solution = odenn.solve(swing, rtol=1e-8)
print(solution)
print(f"largest angle: {np.abs(solution(np.linspace(0, 20, 2001))).max():.3f} radians")
assert solution.success

# %% [markdown]
# ## 5. When there is no solution
#
# A fall with friction that pushes instead of braking, `v' = g + k v^2`: the speed becomes infinite after
# `pi / (2 sqrt(g k))`. That is no error, but no success either: the solution ends where it has to, and says why.

# %%
pushed = odenn.solve(odenn.parse("v' = g + k*v^2; v(0) = 0", span=(0, 20), params={"g": 9.81, "k": 0.0032}))
print(pushed.message)
assert pushed.status is odenn.Status.BLOW_UP
assert abs(pushed.span[1] - np.pi / 2 / np.sqrt(9.81 * 0.0032)) < 1e-3

# %% [markdown]
# ## 6. Keep it

# %%
solution.save(FOLDER / "swing.odenn")
again = odenn.load(FOLDER / "swing.odenn")
assert np.array_equal(again(7.0), solution(7.0))
(FOLDER / "swing.odenn").unlink()
