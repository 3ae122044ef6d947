"""Fully connected networks of time: built from a description, differentiated by hand-written Taylor series.

All weights of a network are one vector w. `linearise` returns the Taylor coefficients of the outputs by time and a
function that turns seeds on them into rows of the Jacobian by w, all samples at once: what Levenberg-Marquardt needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from odenn.deliberate import is_deliberate
from odenn.networks.activations import ACTIVATIONS, Activation, Series
from odenn.wording import counted

Pullback = Callable[[Tensor], Tensor]
"""Seeds (S, C, k, n) on the C Taylor coefficients of n outputs at k times -> rows (S k, P) of the Jacobian."""

PAIRED_SCALE = 3000.0
"""Size of the output weights of a paired start. The larger, the less the other weights have to move to change the
output and the closer the network stays to its linearisation, so that Gauss-Newton converges in few steps; rounding
of the output grows with it (1e-16 times this)."""
DRAWS = 16
"""So many starts are drawn for `flexible_start`."""

LARGE = 50_000  # weights
WRONG = 1e-2  # relative: derivatives that differ more from differences are not those of the values


class Trainable(Protocol):
    """A network of the scaled time x in [-1, 1] whose weights are one vector w (P,), float64."""

    @property
    def kind(self) -> str:
        """The network in words."""
        ...

    @property
    def size(self) -> int:
        """P, number of weights."""
        ...

    @property
    def outputs(self) -> int:
        """n, number of outputs."""
        ...

    def start(self, generator: torch.Generator, *, paired: bool, frequency: float = 1.0) -> Tensor:
        """Weights (P,) to begin with; `paired` for Gauss-Newton methods, `frequency` for what varies faster."""
        ...

    def series(self, w: Tensor, x: Tensor, order: int) -> Tensor:
        """Taylor coefficients (order + 1, k, n) at x (k,)."""
        ...

    def linearise(self, w: Tensor, x: Tensor, order: int) -> tuple[Tensor, Pullback]:
        """The same, and the Jacobian of the coefficients by w as a pullback."""
        ...

    def module(self, w: Tensor) -> nn.Module:
        """The network with these weights, from (k, 1) to (k, n)."""
        ...

    def to(self, device: torch.device) -> Trainable:
        """The same for weights and times on another device."""
        ...


@dataclass(frozen=True)
class MLP:
    """Fully connected network, hidden layers of one activation, linear output.

    Parameters
    ----------
    hidden
        Widths of the hidden layers.
    activation
        "tanh", "sin", "silu", "gelu", "softplus"; "elu" and "relu" have kinks, which cap the accuracy.

    Examples
    --------
    >>> MLP([32] * 5, "tanh").build(outputs=2)(torch.zeros(7, 1, dtype=torch.float64)).shape
    torch.Size([7, 2])
    """

    hidden: Sequence[int] = (32,) * 5
    activation: str = "tanh"

    def __post_init__(self) -> None:
        if isinstance(self.hidden, int):  # pyright: ignore[reportUnnecessaryIsInstance] - a likely slip
            raise TypeError(f"`hidden` must be a list of widths, got {self.hidden!r}: write [{self.hidden}]")
        hidden = tuple(self.hidden)
        if not hidden or not all(isinstance(width, int) and 1 <= width <= 4096 for width in hidden):
            raise ValueError(f"`hidden` must be widths from 1 to 4096, one for each hidden layer, got {self.hidden!r}")
        object.__setattr__(self, "hidden", hidden)
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")

    @property
    def smooth(self) -> int | None:
        """How many continuous derivatives the network has; None: all."""
        return ACTIVATIONS[self.activation].smooth

    def trainable(self, outputs: int) -> MLPWeights:
        """The network as a function of its weight vector."""
        return MLPWeights((1, *self.hidden, outputs), ACTIVATIONS[self.activation])

    def build(self, outputs: int, *, seed: int = 0) -> MLPModule:
        """A torch module from (k, 1) to (k, outputs), float64, drawn from a generator of its own."""
        network = self.trainable(outputs)
        return network.module(network.start(torch.Generator("cpu").manual_seed(seed), paired=False))


@dataclass(frozen=True)
class MLPWeights:
    """Layers of the given widths, input and output included; meets `Trainable`."""

    widths: tuple[int, ...]
    activation: Activation

    @property
    def kind(self) -> str:
        return f"{self.activation.name}, hidden layers {'-'.join(str(width) for width in self.widths[1:-1])}"

    @property
    def size(self) -> int:
        return sum((i + 1) * o for i, o in self._shapes())

    @property
    def outputs(self) -> int:
        return self.widths[-1]

    def start(self, generator: torch.Generator, *, paired: bool, frequency: float = 1.0) -> Tensor:
        """Draw weights: Glorot's uniform, first slopes and shifts over the activation's range.

        Paired: every hidden layer is two equal halves that do not see each other, and the output is their difference
        times `PAIRED_SCALE`. The network starts as zero (Y. Zhang, Z.-Q. Xu, T. Luo and Z. Ma, "A type of
        generalization error induced by initialization in deep neural networks", MSML 2020), with all weights able to
        change it, and stays close to linear in them (L. Chizat, E. Oyallon and F. Bach, "On lazy training in
        differentiable programming", NeurIPS 2019).
        """
        layers: list[tuple[Tensor, Tensor]] = []
        last = len(self.widths) - 2
        for layer, (i, o) in enumerate(self._shapes()):
            fan_in = i // 2 if paired and layer > 0 else i
            fan_out = o // 2 if paired and layer < last else o
            first = self.activation.frequency * frequency
            reach = first if layer == 0 else math.sqrt(6 / max(fan_in + fan_out, 1))
            W = _uniform(generator, reach, fan_out, fan_in)
            b = _uniform(generator, first if layer == 0 else 0.1, fan_out)
            if layer == last:
                b.zero_()
            if paired:
                W, b = _paired(W, b, first=layer == 0, last=layer == last)
            layers.append(_padded(W, b, o, i))
        return torch.cat([torch.cat((W.reshape(-1), b)) for W, b in layers])

    def series(self, w: Tensor, x: Tensor, order: int) -> Tensor:
        return self._forward(w, x, order)[0]

    def linearise(self, w: Tensor, x: Tensor, order: int) -> tuple[Tensor, Pullback]:
        out, inputs, slopes = self._forward(w, x, order)
        layers = self.layers(w)

        def pullback(seeds: Tensor) -> Tensor:
            S, C, k = seeds.shape[:3]
            blocks: list[Tensor] = []
            z_bar = a_bar = seeds
            for layer in range(len(layers) - 1, -1, -1):
                if layer < len(layers) - 1:
                    s = slopes[layer]
                    rows = [_dot(a_bar[:, j:].unbind(1), s[: C - j]) for j in range(C)]
                    z_bar = torch.stack(rows, 1)
                blocks.append(z_bar[:, 0].reshape(S * k, -1))
                outer = z_bar.permute(0, 2, 3, 1) @ inputs[layer].permute(1, 0, 2)  # (S, k, o, i), summed over C
                blocks.append(outer.reshape(S * k, -1))
                a_bar = z_bar @ layers[layer][0]
            return torch.cat(blocks[::-1], 1)

        return out, pullback

    def to(self, device: torch.device) -> MLPWeights:
        return self  # it holds no tensors

    def module(self, w: Tensor) -> MLPModule:
        return MLPModule(self, w)

    def layers(self, w: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Views (o, i) and (o,) of the weights and biases of each layer."""
        views: list[tuple[Tensor, Tensor]] = []
        place = 0
        for i, o in self._shapes():
            views.append((w[place : place + o * i].view(o, i), w[place + o * i : place + o * (i + 1)]))
            place += o * (i + 1)
        return views

    def _shapes(self) -> list[tuple[int, int]]:
        return list(zip(self.widths[:-1], self.widths[1:], strict=True))

    def _forward(self, w: Tensor, x: Tensor, order: int) -> tuple[Tensor, list[Tensor], list[Series]]:
        layers = self.layers(w)
        return _forward(layers, self.activation, x, order)


def _forward(
    layers: Sequence[tuple[Tensor, Tensor]], activation: Activation, x: Tensor, order: int
) -> tuple[Tensor, list[Tensor], list[Series]]:
    """Series (C, k, n) of the outputs; inputs (C, k, i) of every layer; series of a'(z) of every hidden one."""
    C = order + 1
    first = [x.reshape(-1, 1)] + [torch.full_like(x.reshape(-1, 1), float(j == 1)) for j in range(1, C)]
    a = torch.stack(first)
    inputs: list[Tensor] = []
    slopes: list[Series] = []
    for W, b in layers[:-1]:
        inputs.append(a)
        z = list((a @ W.T).unbind(0))
        z[0] = z[0] + b
        u, s = activation.series(z)
        slopes.append(s)
        a = torch.stack(u)
    inputs.append(a)
    W, b = layers[-1]
    out = list((a @ W.T).unbind(0))
    out[0] = out[0] + b
    return torch.stack(out), inputs, slopes


def _dot(a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
    terms = [p * q for p, q in zip(a, b, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _uniform(generator: torch.Generator, reach: float, *shape: int) -> Tensor:
    return torch.empty(*shape, dtype=torch.float64, device="cpu").uniform_(-reach, reach, generator=generator)


def _paired(W: Tensor, b: Tensor, *, first: bool, last: bool) -> tuple[Tensor, Tensor]:
    if last:
        return torch.cat((W, -W), 1) * PAIRED_SCALE, b
    return torch.cat((W, W)) if first else torch.block_diag(W, W), torch.cat((b, b))


def _padded(W: Tensor, b: Tensor, o: int, i: int) -> tuple[Tensor, Tensor]:
    """Odd widths leave one unit without a partner: it starts at zero."""
    full, shift = W.new_zeros(o, i), b.new_zeros(o)
    full[: W.shape[0], : W.shape[1]] = W
    shift[: b.shape[0]] = b
    return full, shift


class MLPModule(nn.Module):
    """The network as a torch module, from (k, 1) to (k, n)."""

    def __init__(self, network: MLPWeights, w: Tensor) -> None:
        super().__init__()
        self.activation = network.activation
        self.linears = nn.ModuleList()
        for W, b in network.layers(w.detach()):
            linear = nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64, device=W.device)
            linear.load_state_dict({"weight": W, "bias": b})
            self.linears.append(linear)

    def forward(self, x: Tensor) -> Tensor:
        for linear in self.linears[:-1]:
            x = self.activation.value(linear(x))
        return self.linears[-1](x)

    def series(self, x: Tensor, order: int) -> Tensor:
        """Taylor coefficients (order + 1, k, n) at x (k,), differentiable by the weights."""
        layers: list[tuple[Any, Any]] = [(linear.weight, linear.bias) for linear in self.linears]
        return _forward(layers, self.activation, x, order)[0]


class ModuleWeights:
    """A user's module from (k, 1) to (k, n) as a function of its weights; meets `Trainable`.

    Its derivatives by time come from nested forward mode, its Jacobian from reverse mode, vectorised over the samples.
    """

    def __init__(self, module: nn.Module, outputs: int) -> None:
        self.template = module.double()
        self.names = [name for name, p in module.named_parameters() if p.requires_grad]
        self.shapes = [p.shape for p in module.parameters() if p.requires_grad]
        if not self.names:
            raise ValueError("`network` has no weights to train")
        self._outputs = outputs
        _check_module(module, outputs)

    @property
    def kind(self) -> str:
        return type(self.template).__name__

    @property
    def size(self) -> int:
        return sum(shape.numel() for shape in self.shapes)

    @property
    def outputs(self) -> int:
        return self._outputs

    def start(
        self, generator: torch.Generator | None = None, *, paired: bool = False, frequency: float = 1.0
    ) -> Tensor:
        """The weights that the module has."""
        return torch.cat([p.detach().reshape(-1).double() for p in self.template.parameters() if p.requires_grad])

    def check(self) -> None:
        """Refuse modules that cannot be trained, by their values and by their derivatives; these must be there."""
        self._check_values()
        self._check_derivatives()

    def _check_values(self) -> None:
        """Refuse modules that are no functions of time."""
        x = torch.linspace(-1.0, 1.0, 32, dtype=torch.float64, device=_device_of(self.template))[:, None]
        with torch.no_grad():
            values, again = self.template(x.clone()), self.template(x.clone())
        if not torch.equal(values.nan_to_num(), again.nan_to_num()):
            raise ValueError(
                f"`network` ({self.kind}) returns other values for the same times: it is no function of time. Leave "
                "out what draws at random or remembers"
            )

    def _check_derivatives(self) -> None:
        """Refuse modules that are not finite, or whose derivatives are not those of their values.

        `.detach()` cuts derivatives off, and what is trained by wrong ones meets another equation. Central differences,
        by time and along one direction v of the weights, do not see it.
        """
        w = self.start().requires_grad_()
        x = torch.linspace(-1.0, 1.0, 32, dtype=w.dtype, device=w.device)
        parts = self.series(w, x, 1)  # (2, k, n)
        finite = parts.isfinite().all(2)
        bad = ~finite[0]
        bad[1:-1] |= ~finite[1, 1:-1]  # a slope may be infinite at an end
        if bad.any():
            raise ValueError(
                f"`network` ({self.kind}) gives NaN or infinite values or slopes, first at x = {float(x[bad][0]):.3g}: "
                "its input is the time of a window, scaled to [-1, 1], so leave out what is not defined there (log(x), "
                "sqrt(x)), and look at its weights"
            )
        x, h = x[1:-1], 1e-4
        v = torch.cos(torch.arange(w.numel(), dtype=w.dtype, device=w.device))
        c = torch.exp(x)[:, None]  # of one sign, and not even: little can cancel
        with _explained(self.kind):
            inner = self.series(w, x, 1)
            by_w = torch.autograd.grad((c * inner[0]).sum() + 0 * inner[1].sum(), w)[0] @ v
        with torch.no_grad():
            along = c * (self.series(w + h * v, x, 0)[0] - self.series(w - h * v, x, 0)[0]) / (2 * h)
            slope = (self.series(w, x + h, 0)[0] - self.series(w, x - h, 0)[0]) / (2 * h)
            rounding = 1e-9 * inner[0].abs().sum()
            weights_right = (by_w - along.sum()).abs() <= WRONG * along.abs().sum() + rounding
            time_right = (inner[1] - slope).abs().sum() <= WRONG * slope.abs().sum() + rounding
        if not (weights_right and time_right):
            raise ValueError(
                f"`network` ({self.kind}) hides derivatives from training: those that torch finds are not those of its "
                "values, as if .detach(), .data or torch.no_grad() in its `forward` cut them off. Leave these out; "
                "weights that are to stay as they are take requires_grad_(False)"
            )

    def series(self, w: Tensor, x: Tensor, order: int) -> Tensor:
        from odenn.derivatives import taylor

        weights = self._split(w)
        with _explained(self.kind):
            return taylor(lambda s: self._call(weights, s), x, order)

    def linearise(self, w: Tensor, x: Tensor, order: int) -> tuple[Tensor, Pullback]:
        from odenn.derivatives import taylor

        def one(w: Tensor, s: Tensor) -> Tensor:
            weights = self._split(w)
            return taylor(lambda s: self._call(weights, s), s.reshape(1), order)[:, 0]

        with _explained(self.kind):
            J = torch.func.vmap(torch.func.jacrev(one), in_dims=(None, 0))(w, x).detach()  # (k, C, n, P)

        def pullback(seeds: Tensor) -> Tensor:
            return torch.einsum("sckn,kcnp->skp", seeds, J).reshape(-1, J.shape[-1])

        return self.series(w, x, order).detach(), pullback

    def module(self, w: Tensor) -> nn.Module:
        import copy

        module = copy.deepcopy(self.template)
        module.load_state_dict({**module.state_dict(), **self._split(w.detach())})
        return module

    def to(self, device: torch.device) -> ModuleWeights:
        import copy

        if _device_of(self.template) == device:
            return self
        return ModuleWeights(copy.deepcopy(self.template).to(device), self.outputs)

    def _split(self, w: Tensor) -> dict[str, Tensor]:
        parts = torch.split(w, [shape.numel() for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def _call(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(self.template, weights, (x.reshape(-1, 1),))


@contextmanager
def _explained(kind: str) -> Generator[None]:
    """Say of errors inside a user's module what training asks of it."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, NotImplementedError):  # the latter is explained with the order that is asked
        raise
    except Exception as error:
        if is_deliberate(error):
            raise
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"`network` ({kind}) cannot be differentiated by time and by its weights, as training does "
            f"({type(error).__name__}: {reason}). Write its `forward` with functions of torch alone: no NumPy, float() "
            "or .item(), no `if` on values (use torch.where), no operation in place (x * 2, not x.mul_(2)), no "
            ".detach()"
        ) from error


def _check_module(module: nn.Module, outputs: int) -> None:
    for name, part in module.named_modules():
        if isinstance(part, _UNSTEADY):
            raise ValueError(
                f"`network` has a {type(part).__name__} layer ({name}), which draws at random or depends on the other "
                "times of a batch: it is no function of time. Leave it out"
            )
    try:
        with torch.no_grad():
            x = torch.zeros(3, 1, dtype=torch.float64, device=_device_of(module))
            values = module.double()(x)
    except Exception as error:
        raise ValueError(
            f"`network` must map times (k, 1) to (k, {outputs}), but called with (3, 1) it failed: {error}"
        ) from error
    if not isinstance(values, Tensor) or tuple(values.shape) != (3, outputs):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"`network` returns {shape} for times of shape (3, 1), but the problem has "
            f"{counted(outputs, 'component')}: it must return (k, {outputs}), one output for each component"
        )


def flexible_start(network: Trainable, generator: torch.Generator, degree: int, *, frequency: float = 1.0) -> Tensor:
    """Of `DRAWS` paired starts the one that bends most easily: the shortest step to cos(degree arccos x).

    How far the weights have to move for an oscillation differs between draws by factors of 10 to 500 (five layers of 32
    tanh units, degree 16). Gauss-Newton, which trusts the network's linearisation, needs a short way. Large networks,
    whose Jacobians would take longer than they gain, get the first draw.
    """
    if network.size > LARGE:
        return network.start(generator, paired=True, frequency=frequency)
    starts = [network.start(generator, paired=True, frequency=frequency) for _ in range(DRAWS)]
    return min(starts, key=lambda w: _way_to_oscillation(network, w, degree))


def _way_to_oscillation(network: Trainable, w: Tensor, degree: int) -> float:
    """Norm of the least step that, to first order, adds the Chebyshev polynomial to the first output."""
    points = 2 * degree
    angle = math.pi * (torch.arange(points, dtype=w.dtype, device=w.device) + 0.5) / points
    seeds = w.new_zeros(1, 1, points, network.outputs)
    seeds[..., 0] = 1.0
    J = network.linearise(w, -torch.cos(angle), 0)[1](seeds)
    U, S, _ = torch.linalg.svd(J, full_matrices=False)
    return float((U.T @ torch.cos(degree * angle) / S.clamp(min=1e-14 * float(S[0]) + 1e-300)).norm())


def _device_of(module: nn.Module) -> torch.device:
    return next(part.device for part in module.parameters())


_UNSTEADY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)  # pyright: ignore[reportPrivateUsage]


def trainable(network: MLP | nn.Module, outputs: int) -> Trainable:
    """What the methods train: an `MLP`, or a copy on the CPU of any module from (k, 1) to (k, outputs)."""
    if isinstance(network, MLP):
        return network.trainable(outputs)
    if isinstance(network, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody checks types
        import copy

        weights = ModuleWeights(copy.deepcopy(network).to("cpu"), outputs)
        weights.check()
        return weights
    raise TypeError(f"`network` must be odenn.MLP(...) or a torch.nn.Module, got {type(network).__name__}")


@dataclass(frozen=True)
class Kinks:
    """The roughest activation of a network, and how many continuous derivatives it has."""

    activation: str
    smooth: int


# Activations of torch with a kink. SELU is ELU with another slope on either side of zero; Softsign's second
# derivative jumps.
_KINKED: dict[type[nn.Module], int] = {
    nn.ReLU: 0, nn.ReLU6: 0, nn.LeakyReLU: 0, nn.PReLU: 0, nn.RReLU: 0, nn.SELU: 0, nn.Hardtanh: 0, nn.Hardsigmoid: 0,
    nn.Hardswish: 0, nn.Hardshrink: 0, nn.Softshrink: 0, nn.Threshold: 0, nn.ELU: 1, nn.CELU: 1, nn.Softsign: 1,
}  # fmt: skip


def smoothness(network: MLP | nn.Module) -> Kinks | None:
    """Kinks of a network, None where it has none.

    Of a torch module the activations that are modules themselves are known; torch.nn.functional leaves no trace.

    Examples
    --------
    >>> smoothness(nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1)))
    Kinks(activation='ReLU', smooth=0)
    """
    if isinstance(network, MLP):
        return None if network.smooth is None else Kinks(network.activation, network.smooth)
    found = [Kinks(type(part).__name__, smooth) for part in network.modules() if (smooth := _kinked(part)) is not None]
    return min(found, key=lambda kinks: kinks.smooth, default=None)


def _kinked(part: nn.Module) -> int | None:
    if isinstance(part, nn.ELU) and part.alpha != 1:  # its slopes at zero are 1 and alpha
        return 0
    return _KINKED.get(type(part))
