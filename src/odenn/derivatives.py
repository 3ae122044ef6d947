"""Derivatives by time of any expression built from networks and t, of any order, all components at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@overload
def derivative(function: Function, t: None = None, order: int = 1) -> Function: ...
@overload
def derivative(function: Function | Tensor, t: Tensor, order: int = 1) -> Tensor: ...
def derivative(function: Function | Tensor, t: Tensor | None = None, order: int = 1) -> Function | Tensor:
    """Derivative d^order y / dt^order of y = function(t).

    Every row of y may depend on its own time only, as it does for all networks of time: then one sweep in the direction
    of ones serves all times and all components.

    Parameters
    ----------
    function
        A function of t: forward mode, one sweep for all components; the result can be differentiated by the weights.
        Or a tensor y that was computed from t before: reverse mode through its graph, one pass for each component; the
        result carries a graph as well. y has the shape of t with further axes for components before it (n, k) or behind
        it (k, n); if k = n, before.
    t
        Times, of any shape, floating point; None returns the derivative as a function.
    order
        1, 2, ...; 0 is the function itself.

    Raises
    ------
    ValueError, TypeError
        If y was detached or does not depend on t, t does not require a gradient, or shapes do not match.

    Examples
    --------
    >>> t = torch.linspace(0, 1, 3, dtype=torch.float64, requires_grad=True)
    >>> derivative(lambda t: t * torch.sin(t), t, order=2).shape
    torch.Size([3])
    >>> derivative(t**3, t)
    tensor([0.0000, 0.7500, 3.0000], dtype=torch.float64, grad_fn=...)
    >>> derivative(torch.exp)(t.detach())
    tensor([1.0000, 1.6487, 2.7183], dtype=torch.float64)
    """
    if not (isinstance(order, int | np.integer) and order >= 0):
        raise ValueError(f"`order` must be a whole number, 0 or more, got {order!r}")
    if t is None:
        if not callable(function):
            raise TypeError(
                f"`t` is missing: the derivative of a {type(function).__name__} needs the times it was made from"
            )
        return lambda t: derivative(function, t, order)
    if not isinstance(t, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody checks types
        raise TypeError(f"`t` must be a torch tensor, got {type(t).__name__}: use torch.as_tensor(t)")
    if not t.is_floating_point():
        raise TypeError(f"`t` has dtype {t.dtype}, which has no derivatives: use t.to(torch.float64)")
    if isinstance(function, Tensor):
        return _of_tensor(function, t, order)
    if not callable(function):
        raise TypeError(
            f"`function` must be a function of t or a tensor computed from t, got {type(function).__name__}"
        )
    # Networks of odenn propagate their Taylor series themselves, which is faster.
    series = getattr(function, "series", None)
    if series is not None and t.ndim == 2 and t.shape[1] == 1:
        return series(t[:, 0], order)[order] * math.factorial(order)
    return _nested(function, order)(t)


def taylor(function: Function, t: Tensor, order: int) -> Tensor:
    """Taylor coefficients y, y', y''/2, ... (order + 1, ...) of function(t) by nested forward mode."""
    levels = [_nested(function, j)(t) / math.factorial(j) for j in range(order + 1)]
    return torch.stack(levels)


def _nested(function: Function, order: int) -> Function:
    for _ in range(order):
        function = _forward(function)
    return function


def _forward(function: Function) -> Function:
    def slope(t: Tensor) -> Tensor:
        result: Any = torch.func.jvp(function, (t,), (torch.ones_like(t),))[1]
        return result

    return slope


def _of_tensor(y: Tensor, t: Tensor, order: int) -> Tensor:
    if not t.requires_grad:
        raise ValueError(
            "`t` does not require a gradient, so nothing recorded how y was computed from it: make it with "
            "t.requires_grad_() before computing y, or pass the function instead of y"
        )
    for _ in range(order):
        y = _slope_of_tensor(y, t)
    return y


def _slope_of_tensor(y: Tensor, t: Tensor) -> Tensor:
    if not y.requires_grad:
        raise ValueError(
            "y has no graph: it does not depend on `t`, or it was detached (.detach(), .item(), .numpy(), "
            "torch.no_grad()): compute it again from t with torch operations only, or pass the function instead of y"
        )
    if y.shape[y.ndim - t.ndim :] == t.shape:
        components, axis = y.reshape(-1, *t.shape).unbind(0), 0
    elif y.shape[: len(_stem(t))] == _stem(t):
        components, axis = y.reshape(*_stem(t), -1).unbind(-1), -1
    else:
        raise ValueError(
            f"y has shape {tuple(y.shape)} and `t` {tuple(t.shape)}: y must have one value, or one for each "
            "component, at every time"
        )
    slopes: list[Tensor | None] = [
        torch.autograd.grad(part.sum(), t, create_graph=True, allow_unused=True)[0] for part in components
    ]
    if all(slope is None for slope in slopes):
        raise ValueError(
            "y does not depend on `t`: it was computed from something else, or from a copy of t (torch.tensor(t), "
            "t.detach(), t.clone() made later); compute it from this very t"
        )
    # A component without t in it is constant. A slope that is constant has no graph: the zero gives it one, so that its
    # own derivative is zero and no error.
    parts = [torch.zeros_like(t) if slope is None else slope for slope in slopes]
    shape = t.shape if axis == 0 else _stem(t)
    joined = torch.stack([part.reshape(shape) for part in parts], axis).reshape(y.shape)
    return joined + (0.0 * t).sum()


def _stem(t: Tensor) -> torch.Size:
    """Shape of t without the last axis of length 1 that networks like."""
    return t.shape[:-1] if t.ndim > 1 and t.shape[-1] == 1 else t.shape
