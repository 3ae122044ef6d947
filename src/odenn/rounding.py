"""How finely a right-hand side is computed."""

import warnings

import numpy as np

from odenn.problem import IVP

COARSE = 1e-11  # relative noise of a right-hand side from which on it is not computed in double precision
LINE = 1e-5  # of the solution's time scale, on which that is looked for


def rounding(problem: IVP) -> float:
    """Relative rounding error of a right-hand side that is not computed in double precision throughout, else 0.

    Sixth differences of f along 65 points of the initial tangent, on which a smooth function is nearly linear, show
    its noise: J. J. More and S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011) 1292-1314.
    """
    t0, z = float(problem.t0 or 0.0), problem.initial
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slopes = problem.first_order(t0, z).reshape(-1, 1)
        step = problem.ends[0] - t0
        rate = float(np.abs(slopes).max()) * abs(step) / max(float(np.abs(z).max()), 1e-300)
        step *= LINE / max(rate, 1.0) if np.any(z) else LINE
        s = np.linspace(0.0, step, 65)
        F = problem.rhs(t0 + s, z[:, None] + slopes * s)
        noise = np.median(np.abs(np.diff(F, 6, axis=1)), axis=1) / np.sqrt(924.0)  # the sum of squared binomials
        rows = np.argsort(problem.layout.source)[: problem.n]  # of f, in the states' slopes
        terms = (np.abs(problem.jacobian(t0, z)) @ np.abs(z))[rows]  # may cancel in f; their rounding stays
        relative = float(np.nan_to_num(noise / np.maximum(np.abs(F).max(axis=1), terms)).max())
    return relative if relative > COARSE else 0.0
