"""The right-hand side for torch: evaluated at many times at once, with its derivatives by the states."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from odenn.calling import parameters_of
from odenn.methods.outcome import Work
from odenn.problem import IVP
from odenn.rounding import rounding

REMEDY = (
    "training needs a right-hand side that torch can differentiate: write it with plain arithmetic, with torch "
    "functions (torch.sin instead of np.sin or math.sin), or as text (odenn.parse), which needs no rewriting"
)
# NumPy functions take tensors without a graph, such as t, and give tensors; they only say at every call that torch's
# protocol is that of NumPy 1.
NUMPY_1 = r"__array_wrap__ must accept|__array__ implementation doesn't accept"
SINGLE = 3e-8  # relative rounding error of float32, root mean square


@dataclass(frozen=True, eq=False)
class TorchRhs:
    """Highest derivatives f(t, Z) of a problem, as torch tensors."""

    rows: Callable[[Tensor, Tensor], Any]
    n: int
    coarse: float = 0.0  # relative rounding error, where something is computed in less than float64
    work: Work = field(default_factory=Work)

    def __call__(self, t: Tensor, Z: Tensor) -> Tensor:
        """(n, k) at times t (k,) and states Z (N, k), differentiable."""
        return torch.stack(self._tensors(t, Z))

    def with_jacobian(self, t: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
        """f (n, k) and df/dZ (n, N, k), without graphs."""
        with torch.enable_grad():
            states = Z.detach().requires_grad_()
            rows = self._tensors(t, states)
            slopes = [
                torch.autograd.grad(row.sum(), states, retain_graph=True, allow_unused=True)[0]
                if row.requires_grad
                else None
                for row in rows
            ]
        J = torch.stack([torch.zeros_like(Z) if slope is None else slope for slope in slopes])
        return torch.stack([row.detach() for row in rows]), J

    def _tensors(self, t: Tensor, Z: Tensor) -> list[Tensor]:
        self.work.add(t.numel())
        rows = self.rows(t, Z)
        if self.n == 1 and not isinstance(rows, list | tuple) and (not isinstance(rows, Tensor) or rows.ndim < 2):
            rows = [rows]
        return [_row(rows[i], t) for i in range(self.n)]


def torch_rhs(problem: IVP, device: torch.device) -> TorchRhs:
    """The problem's right-hand side on a device, tried at the initial point.

    Raises
    ------
    ValueError
        With the remedy, where only NumPy can evaluate it.
    """
    rhs = TorchRhs(_rows(problem, device), problem.n)
    t = torch.full((2,), float(problem.t0 or 0.0), dtype=torch.float64, device=device)
    Z = torch.tensor(problem.initial, dtype=torch.float64, device=device).reshape(-1, 1).repeat(1, 2)
    try:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", NUMPY_1, DeprecationWarning)
                values, _ = rhs.with_jacobian(t, Z)
        except DeprecationWarning:
            rhs = replace(rhs, rows=_quiet(rhs.rows))
            values, _ = rhs.with_jacobian(t, Z)
    except Exception as error:
        raise ValueError(f"`f` cannot be evaluated with torch tensors ({_first_line(error)}); {REMEDY}") from error
    expected = problem.rhs(t.cpu().numpy(), Z.cpu().numpy())
    if not np.allclose(
        values.cpu().numpy(), expected, rtol=1e-6, atol=1e-9 * float(np.abs(expected).max()), equal_nan=True
    ):
        raise ValueError(f"`f` gives other values for torch tensors than for NumPy arrays; {REMEDY}")
    return replace(rhs, coarse=max(rounding(problem), SINGLE if _single(rhs, t, Z) else 0.0))


def _quiet(rows: Callable[[Tensor, Tensor], Any]) -> Callable[[Tensor, Tensor], Any]:
    def call(t: Tensor, Z: Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", NUMPY_1, DeprecationWarning)
            return rows(t, Z)

    return call


def _single(rhs: TorchRhs, t: Tensor, Z: Tensor) -> bool:
    rows = rhs.rows(t, Z)
    parts = list(rows) if isinstance(rows, list | tuple) else [rows]
    return any(
        isinstance(part, Tensor) and part.dtype in (torch.float32, torch.float16, torch.bfloat16) for part in parts
    )


def _rows(problem: IVP, device: torch.device) -> Callable[[Tensor, Tensor], Any]:
    if problem.system is not None:
        rows = problem.system.rhs_torch()
        p = torch.tensor(problem.parameters, dtype=torch.float64, device=device)
        return lambda t, Z: rows(t, Z, p)
    f, n, order = problem.f, problem.n, problem.order
    extra = (parameters_of(problem.params),) if problem.params is not None else ()

    def call(t: Tensor, Z: Tensor) -> Any:
        return f(t, *[Z[level * n : (level + 1) * n] for level in range(order)], *extra)

    if problem.vectorized:
        return call

    def pointwise(t: Tensor, Z: Tensor) -> Any:
        columns = [call(t[k], Z[:, k]) for k in range(t.numel())]
        return [torch.stack([_row(column[i], t[:1])[0] for column in columns]) for i in range(n)]

    return pointwise


def _row(row: Any, t: Tensor) -> Tensor:
    if isinstance(row, np.ndarray | np.generic):
        raise TypeError("a row is a NumPy array")
    if not isinstance(row, Tensor):
        row = torch.tensor(float(row), dtype=t.dtype, device=t.device)
    return row.to(t.dtype).expand(t.shape) if row.ndim == 0 else row.to(t.dtype).reshape(t.shape)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
