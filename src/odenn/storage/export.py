"""A solution as an ONNX model: a program for other languages and machines that needs neither odenn nor torch."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from odenn._version import __version__
from odenn.extras import need
from odenn.methods.trained import TrainedNetworks
from odenn.solution import Solution
from odenn.storage.files import replace_file

if TYPE_CHECKING:
    from onnx import ModelProto

MOST_COPIES = 100  # of a network in one model; fifty of a small one take eight seconds to export
CHECKED = 64  # times at which the exported model is compared with the solution
AGREEMENT = 1e-9  # relative; what is worse has not merely been rounded in another order


def export_onnx(solution: Solution, path: str | PathLike[str]) -> None:
    """Write the network, all windows included, as an ONNX model in float64.

    Its input `t` are times (k, 1), its output `y` the components (k, n); the metadata hold the components' names and
    the span. A module of the user's own is exported as well. The model is compared with the solution before it is
    written. It is meant for reading elsewhere: `odenn.load` reads what `solution.save` writes.

    Raises
    ------
    ImportError
        If the packages onnx and onnxscript are not installed.
    ValueError
        If nothing was solved; if a module of the user's own has an operation that ONNX has not, or does not
        come out as it should.
    OSError
        If the file cannot be written.
    """
    if not solution.outcome.windows.start.size:
        raise ValueError(f"nothing was solved that could be exported: {solution.message}")
    need("exporting to ONNX", "onnx", "onnx", "onnxscript")  # torch translates with the second
    import onnx

    module, model = _exported(solution)
    model.producer_name, model.producer_version = "odenn", __version__
    left, right = solution.span
    onnx.helper.set_model_props(
        model,
        {
            "independent": solution.independent,
            "names": ", ".join(solution.names),
            "span": f"{left!r}, {right!r}",
            "rtol": repr(solution.rtol),
            "status": solution.status.name,
        },
    )
    onnx.checker.check_model(model)
    _compare(model, module, solution)
    replace_file(path, model.SerializeToString())


def _exported(solution: Solution) -> tuple[nn.Module, ModelProto]:
    """The network as one module, and its model."""
    network = solution.outcome.windows
    if not isinstance(network, TrainedNetworks):
        module: nn.Module = network.module().cpu()
        return module, _translated(module)
    # torch.func.vmap does not let the number of times stay open in every operation: not in torch.cat, conv1d,
    # layer_norm, bilinear (torch 2.13). Without it each window has its own copy of the network in the graph.
    windows = len(network.pieces)
    kinds = [_GatheredStage, _CopiedStage] if windows <= MOST_COPIES else [_GatheredStage]
    failures: list[Exception] = []
    for kind in kinds:
        try:
            module = _WindowedNetworks(network, kind).cpu()
            return module, _translated(module)
        except Exception as error:
            failures.append(error)
    raise ValueError(_why_not(failures[-1], windows)) from failures[-1]


def _why_not(error: Exception, windows: int) -> str:
    """What torch's exporter could not do, and what to do instead."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and isinstance(cause, Exception):
        causes.append(cause)
    said = " ".join(str(cause) for cause in causes)
    kept = "; solution.save(path) keeps the solution for odenn as it is"
    if unknown := re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", said):
        operation = unknown[1].partition(".")[2]
        return f"`network` uses {operation}, which ONNX does not have: write it with other operations of torch{kept}"
    if windows > MOST_COPIES:
        return (
            "`network` has an operation that torch cannot export for many windows at once (torch.cat, conv1d, "
            f"layer_norm and bilinear are such), and {windows} windows are more than the {MOST_COPIES} that are "
            f"exported one by one: write it without, or take fewer windows{kept}"
        )
    first = (str(causes[-1]) or type(causes[-1]).__name__).strip().splitlines()[0]
    return f"`network` cannot be translated to ONNX; torch says: {first}{kept}"


class _WindowedNetworks(nn.Module):
    """Trained networks of W windows as one graph of operations, which cannot look at values.

    The same function as `TrainedNetworks.module()`, without a branch for each window; `stage` is how the networks
    of all windows become one.
    """

    edges: Tensor
    start: Tensor
    length: Tensor
    coefficients: Tensor
    orders: Tensor
    exponential: Tensor

    def __init__(self, trained: TrainedNetworks, stage: Callable[[list[Any], int], nn.Module]) -> None:
        super().__init__()
        trials = [piece.trial for piece in trained.pieces]
        W, n = len(trials), trained.n
        # base_i(s) = sum_j y0_i^(j) length^j / j! s^j
        top = max(len(row) for trial in trials for row in trial.values)
        coefficients = np.zeros((top, W, n))
        for w, trial in enumerate(trials):
            for i, row in enumerate(trial.values):
                for j, value in enumerate(row):
                    coefficients[j, w, i] = value * trial.length**j / math.factorial(j)
        orders = np.array([[len(row) for row in trial.values] for trial in trials], dtype=float)
        exponential = np.array([[trial.decay == "exponential"] for trial in trials])
        for name, values in (
            ("edges", trained.left[1:]),
            ("start", trained.start),
            ("length", trained.length),
            ("coefficients", coefficients),
            ("orders", orders),
            ("exponential", exponential),
        ):
            self.register_buffer(name, torch.tensor(values, device="cpu"))
        self.stages = nn.ModuleList(
            stage([piece.stages[k] if k < len(piece.stages) else None for piece in trained.pieces], n)
            for k in range(max(len(piece.stages) for piece in trained.pieces))
        )

    def forward(self, t: Tensor) -> Tensor:
        t = t.reshape(-1)
        w = torch.searchsorted(self.edges, t, right=True)
        s = ((t - self.start[w]) / self.length[w])[:, None]
        y = self.coefficients[-1][w]
        for c in self.coefficients[:-1].flip(0):
            y = y * s + c[w]
        g = torch.where(self.exponential[w], -torch.expm1(-s), s)
        factor = g ** self.orders[w]
        for network in self.stages:
            y = y + factor * network(w, 2 * s[:, 0] - 1)
        return y


class _GatheredStage(nn.Module):
    """scale_w N_w(x) of networks of one make, as one network whose weights are looked up for each time."""

    scale: Tensor

    def __init__(self, stages: list[Any], n: int) -> None:
        super().__init__()
        some = next(stage for stage in stages if stage is not None)
        self.template = some.network.module(some.w)
        modules, scale = _modules(stages, n)
        self.register_buffer("scale", scale)
        self.names = [name for name, _ in self.template.named_parameters()]
        weights = [dict(module.named_parameters()) for module in modules]
        for place, name in enumerate(self.names):
            self.register_buffer(f"weights_{place}", torch.stack([each[name].detach() for each in weights]))

    def forward(self, w: Tensor, x: Tensor) -> Tensor:
        weights = {name: getattr(self, f"weights_{place}")[w] for place, name in enumerate(self.names)}

        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            return torch.func.functional_call(self.template, weights, (x.reshape(1, 1),))[0]

        return self.scale[w] * torch.func.vmap(one)(weights, x)


class _CopiedStage(nn.Module):
    """The same with the networks of all windows side by side."""

    scale: Tensor

    def __init__(self, stages: list[Any], n: int) -> None:
        super().__init__()
        modules, scale = _modules(stages, n)
        self.networks = nn.ModuleList(modules)
        self.register_buffer("scale", scale)

    def forward(self, w: Tensor, x: Tensor) -> Tensor:
        y = self.scale[w]
        for place, network in enumerate(self.networks):
            y = torch.where((w == place)[:, None], y * network(x[:, None]), y)
        return y


def _modules(stages: list[Any], n: int) -> tuple[list[nn.Module], Tensor]:
    """The networks of W windows and their scales (W, n); a window without has another's network, times zero."""
    some = next(stage for stage in stages if stage is not None)
    modules = [(stage or some).network.module((stage or some).w) for stage in stages]
    scales = [torch.zeros(n, dtype=torch.float64) if stage is None else stage.scale.detach() for stage in stages]
    return modules, torch.stack([scale.cpu().to(torch.float64) for scale in scales])


def _translated(module: nn.Module) -> ModelProto:
    """The ONNX model of a module from times (k, 1)."""
    example = torch.zeros(3, 1, dtype=torch.float64, device="cpu")
    with _quiet(), torch.no_grad():
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("k")},))
        program = program.run_decompositions(_formulas())
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["t"],
            output_names=["y"],
            verbose=False,
            custom_translation_table={torch.ops.aten.erf.default: _erf},
        )
        model = exported.model_proto
    # What the exporter notes of its work: source lines and paths of this machine among it.
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in model.graph.initializer:
        del part.metadata_props[:]
    return model


def _formulas() -> dict[Any, Any]:
    """Operations that ONNX does not know, or onnxruntime not in float64, by those that it does.

    Only factors that float32 holds exactly may stand here as Python numbers: torch's exporter rounds them.
    """
    aten: Any = torch.ops.aten
    return {
        aten.searchsorted.Tensor: _searchsorted,
        aten.softplus.default: _softplus,
        aten.elu.default: _elu,
        aten.gelu.default: _gelu,
        aten.special_erf.default: torch.erf,
        aten.hstack.default: _hstack,
    }


def _searchsorted(edges: Tensor, t: Tensor, **options: Any) -> Tensor:
    return (t[:, None] >= edges).sum(-1)


def _hstack(tensors: list[Tensor]) -> Tensor:
    return torch.cat(tensors, dim=0 if tensors[0].dim() == 1 else 1)


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    z = x * beta
    return (torch.relu(z) + torch.log(1 + torch.exp(-torch.abs(z)))) / beta


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    negative = torch.exp(torch.clamp(x, max=0.0) * input_scale) - 1
    return torch.where(x > 0, x, negative * alpha) * scale


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate != "none":
        return nn.functional.gelu(x, approximate=approximate)
    return 0.5 * x * (1 + torch.erf(x / torch.sqrt(torch.full_like(x, 2.0))))


def _erf(x: Any) -> Any:
    """erf(x) = (2 x/sqrt(pi)) integral_0^1 exp(-x^2 u^2) du by Gauss's rule, in operations of ONNX."""
    from onnx.numpy_helper import from_array
    from onnxscript import opset18

    op: Any = opset18  # its types are too narrow for what it returns itself

    def constant(value: Any) -> Any:
        return op.Constant(value=from_array(np.asarray(value, dtype=np.float64)))

    nodes, weights = leggauss(24)  # error below 2e-15 for |x| up to 6, beyond which erf is 1 to rounding
    z = op.Max(op.Min(x, constant(6.0)), constant(-6.0))
    zu = op.Mul(op.Unsqueeze(z, op.Constant(value_ints=[-1])), constant((nodes + 1) / 2))
    bell = op.Exp(op.Neg(op.Mul(zu, zu)))
    return op.Mul(z, op.MatMul(bell, constant(weights / math.sqrt(math.pi))))


@contextmanager
def _quiet() -> Generator[None]:
    """Without what the exporter says about torchvision, deprecations of its own and its progress."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(model: ModelProto, module: nn.Module, solution: Solution) -> None:
    """The model, run by ONNX's own reference implementation, must be the solution."""
    from onnx.reference import ReferenceEvaluator

    evaluator: Any = ReferenceEvaluator(model)
    t = solution.grid(CHECKED)
    y = solution(t)
    found = np.asarray(evaluator.run(None, {"t": t[:, None]})[0]).T
    with torch.no_grad():
        same = module(torch.tensor(t[:, None], dtype=torch.float64, device="cpu")).numpy().T
    size = np.maximum(np.abs(y).max(axis=1), 1e-300)
    difference, rounding = (float((np.abs(other - y).max(axis=1) / size).max()) for other in (found, same))
    # A network with large weights that cancel rounds coarsely: then so may the model.
    if not difference <= max(AGREEMENT, 100 * rounding):
        raise ValueError(
            f"the exported model differs from the solution by {difference:.2g} of its size: torch's exporter rounds "
            "Python numbers in a module to float32. Keep them in the module as tensors, "
            'self.register_buffer("c", torch.tensor(0.1, dtype=torch.float64))'
        )
