"""Activations of deep networks, as Taylor series: any order of derivative by time, without nested autograd.

A series is a list of tensors z_0, z_1, ..., z_K, the Taylor coefficients of z(x + h) in h. An activation a maps it to
the series of u = a(z) and of s = a'(z); the second is what backpropagation through the series needs, because

    du_k = sum_j s_{k-j} dz_j.

All of them follow from u' = a'(z) z', which reads u_k = (1/k) sum_j j z_j s_{k-j} in coefficients (A. Griewank and
A. Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, table 13.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Series = list[Tensor]


def product(a: Series, b: Series) -> Series:
    """Series of a b."""
    return [_sum([a[j] * b[k - j] for j in range(k + 1)]) for k in range(len(a))]


def _sum(terms: Series) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _integrated(z: Series, s: Series, k: int) -> Tensor:
    """u_k where u' = s z'."""
    return _sum([z[j] * s[k - j] * (j / k) if j != k else z[j] * s[0] for j in range(1, k + 1)])


def _tanh(z: Series) -> tuple[Series, Series]:
    u = [torch.tanh(z[0])]
    s = [1 - u[0] * u[0]]
    for k in range(1, len(z)):
        u.append(_integrated(z, s, k))
        s.append(-_sum([u[j] * u[k - j] for j in range(k + 1)]))
    return u, s


def _sin(z: Series) -> tuple[Series, Series]:
    u, s = [torch.sin(z[0])], [torch.cos(z[0])]
    for k in range(1, len(z)):
        u.append(_integrated(z, s, k))
        s.append(-_integrated(z, u, k))
    return u, s


def _sigmoid(z: Series) -> tuple[Series, Series]:
    q = [torch.sigmoid(z[0])]
    v = [q[0] * (1 - q[0])]
    for k in range(1, len(z)):
        q.append(_integrated(z, v, k))
        v.append(q[k] - _sum([q[j] * q[k - j] for j in range(k + 1)]))
    return q, v


def _softplus(z: Series) -> tuple[Series, Series]:
    q, _ = _sigmoid(z)
    return [_smooth_softplus(z[0])] + [_integrated(z, q, k) for k in range(1, len(z))], q


def _silu(z: Series) -> tuple[Series, Series]:
    q, v = _sigmoid(z)
    return product(z, q), [a + b for a, b in zip(q, product(z, v), strict=True)]


def _gelu(z: Series) -> tuple[Series, Series]:
    """z Phi(z), Phi the normal distribution, phi its density: phi' = -z z' phi."""
    exponent = [-0.5 * w for w in product(z, z)]
    phi = [torch.exp(exponent[0]) / math.sqrt(2 * math.pi)]
    Phi = [0.5 * (1 + torch.erf(z[0] / math.sqrt(2)))]
    for k in range(1, len(z)):
        phi.append(_integrated(exponent, phi, k))
        Phi.append(_integrated(z, phi, k))
    return product(z, Phi), [a + b for a, b in zip(Phi, product(z, phi), strict=True)]


def _elu(z: Series) -> tuple[Series, Series]:
    positive = z[0] > 0
    e = [torch.exp(z[0].clamp(max=0.0))]
    for k in range(1, len(z)):
        e.append(_integrated(z, e, k))
    u = [torch.where(positive, z[0], torch.expm1(z[0].clamp(max=0.0)))]
    u += [torch.where(positive, a, b) for a, b in zip(z[1:], e[1:], strict=True)]
    s = [torch.where(positive, torch.ones_like(e[0]), e[0])]
    return u, s + [torch.where(positive, torch.zeros_like(b), b) for b in e[1:]]


def _relu(z: Series) -> tuple[Series, Series]:
    on = (z[0] > 0).to(z[0].dtype)
    return [a * on for a in z], [on] + [torch.zeros_like(on) for _ in z[1:]]


def _smooth_softplus(x: Tensor) -> Tensor:
    # torch switches to the identity above a threshold of 20, where float64 still sees the difference.
    return nn.functional.softplus(x, threshold=40.0)


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation: its values, its series, and how smooth it is."""

    name: str
    value: Callable[[Tensor], Tensor]
    series: Callable[[Series], tuple[Series, Series]]
    smooth: int | None = None
    """How many continuous derivatives it has; None: all."""
    frequency: float = 1.0
    """Range of slopes and shifts of the first layer, whose input runs over [-1, 1]."""


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation(name="tanh", value=torch.tanh, series=_tanh),
        # Sines oscillate: first slopes up to 2 put about a third of a period on the window, as SIREN does for images.
        Activation(name="sin", value=torch.sin, series=_sin, frequency=2.0),
        Activation(name="silu", value=nn.functional.silu, series=_silu, frequency=2.0),
        Activation(name="gelu", value=nn.functional.gelu, series=_gelu, frequency=2.0),
        Activation(name="softplus", value=_smooth_softplus, series=_softplus, frequency=2.0),
        Activation(name="elu", value=nn.functional.elu, series=_elu, smooth=1, frequency=2.0),
        Activation(name="relu", value=torch.relu, series=_relu, smooth=0, frequency=2.0),
    )
}
