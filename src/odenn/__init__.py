"""Solve systems of ordinary differential equations with neural networks.

>>> import odenn
>>> problem = odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 10))
>>> solution = odenn.solve(problem, rtol=1e-9)
>>> solution.success
True
"""

from typing import TYPE_CHECKING, Any

from odenn._version import __version__ as __version__
from odenn.calling import PerformanceWarning as PerformanceWarning
from odenn.methods.collocation import Collocation as Collocation
from odenn.methods.outcome import Report as Report
from odenn.networks.features import Features as Features
from odenn.networks.legendre import Legendre as Legendre
from odenn.problem import IVP as IVP
from odenn.problem import parse as parse
from odenn.solution import Solution as Solution
from odenn.solve import solve as solve
from odenn.status import Status as Status

if TYPE_CHECKING:
    from odenn import scipy as scipy
    from odenn import zoo as zoo
    from odenn.comparison import Comparison as Comparison
    from odenn.comparison import compare as compare
    from odenn.derivatives import derivative as derivative
    from odenn.equations import EquationError as EquationError
    from odenn.methods.data import CSV as CSV
    from odenn.methods.data import RK4 as RK4
    from odenn.methods.data import Euler as Euler
    from odenn.methods.data import Reference as Reference
    from odenn.methods.data import Samples as Samples
    from odenn.methods.data_fit import DataFit as DataFit
    from odenn.methods.residual import Residual as Residual
    from odenn.networks.mlp import MLP as MLP
    from odenn.optimise.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from odenn.optimise.torch_optimiser import TorchOptimiser as TorchOptimiser
    from odenn.storage.checks import StorageError as StorageError
    from odenn.storage.solutions import load as load

# Names whose modules bring heavy libraries, and modules of odenn: opened when first asked for, so that `import odenn`
# stays light.
_LATER = {
    "MLP": "odenn.networks.mlp",
    "Comparison": "odenn.comparison",
    "compare": "odenn.comparison",
    "derivative": "odenn.derivatives",
    "Residual": "odenn.methods.residual",
    "DataFit": "odenn.methods.data_fit",
    "Euler": "odenn.methods.data",
    "RK4": "odenn.methods.data",
    "Reference": "odenn.methods.data",
    "Samples": "odenn.methods.data",
    "CSV": "odenn.methods.data",
    "InitialTrial": "odenn.trial",
    "TwoPointTrial": "odenn.trial",
    "LevenbergMarquardt": "odenn.optimise.levenberg_marquardt",
    "TorchOptimiser": "odenn.optimise.torch_optimiser",
    "Search": "odenn.searching",
    "search": "odenn.searching",
    "scipy": "",
    "zoo": "",
    "EquationError": "odenn.equations",
    "StorageError": "odenn.storage.checks",
    "load": "odenn.storage.solutions",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'odenn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name) if _LATER[name] else import_module(f"odenn.{name}")


def __dir__() -> list[str]:
    return sorted({*(set(globals()) - {"Any", "TYPE_CHECKING"}), *_LATER})
