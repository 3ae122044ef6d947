"""Which device is taken, what is refused, and that training stays on the device it was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import odenn
from odenn.device import store
from odenn.device.choice import LEAST_WORK, chosen, pays
from odenn.device.store import Measured
from odenn.methods.data_fit import DataObjective
from odenn.methods.residual.objective import ResidualObjective, chebyshev
from odenn.methods.torch_rhs import TorchRhs, _rows
from odenn.methods.trained import Piece, Stage, TrainedNetworks, _PieceModule
from odenn.networks.mlp import trainable
from odenn.trial import InitialTrial

META = torch.device("meta")
PAIR = "dy1/dx = y1, dy2/dx = k*y1 - y2^2; y1(0) = 1, y2(0) = 1"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A store of its own."""
    path = tmp_path / "cache" / "bench.json"
    monkeypatch.setattr(store, "place", lambda: path)
    store._found.cache_clear()
    yield path
    store._found.cache_clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA device as far as the choice looks at it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA Fake")


def measured(**changes: object) -> Measured:
    """What bench-device could have found here."""
    here = {"accelerator": "NVIDIA Fake", "host": store.platform.node(), "gauss_newton": 1e6, "first_order": None}
    return Measured(**{**here, "evaluation": 1e5, **changes})


def auto(work: float, gauss_newton: bool) -> str:
    """Where it goes."""
    return chosen("auto", weights=int(work), residuals=1, gauss_newton=gauss_newton).type


def test_rule(gpu: None) -> None:
    """Nothing measured: only large first-order steps leave the CPU."""
    assert auto(LEAST_WORK - 1, False) == "cpu"
    assert auto(LEAST_WORK, False) == "cuda"
    assert auto(1e12, True) == "cpu"


def test_without_accelerator() -> None:
    """Whatever the work, and whatever was measured when there still was one."""
    assert auto(1e12, False) == "cpu"
    store.keep(measured(first_order=1.0))
    if not torch.cuda.is_available():
        assert auto(1e12, False) == "cpu"


def test_measured(gpu: None) -> None:
    """From the crossover on; never, where there was none."""
    store.keep(measured())
    assert (auto(1e6 - 1, True), auto(1e6, True)) == ("cpu", "cuda")
    assert auto(1e15, False) == "cpu"


def test_another_machine(gpu: None) -> None:
    """Its figures do not count: neither those of another host, nor of another GPU."""
    store.keep(measured(host="elsewhere", first_order=10.0))
    assert store.find() is None
    assert (auto(1e3, False), auto(LEAST_WORK, False)) == ("cpu", "cuda")
    store.keep(measured(accelerator="NVIDIA Other", first_order=10.0))
    assert auto(1e3, False) == "cpu"


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "{}", '{"version": 1}', '{"version": 99, "measured": {}}',
        '{"version": 1, "measured": {"host": 1}}', '{"version": 1, "measured": [1]}', "\x00\xff",
    ],
)  # fmt: skip
def test_damaged_store(gpu: None, folder: Path, content: str) -> None:
    """As if there were none."""
    folder.parent.mkdir(parents=True)
    folder.write_bytes(content.encode("latin-1"))
    assert store.find() is None
    assert (auto(1e3, False), auto(LEAST_WORK, False)) == ("cpu", "cuda")


@pytest.mark.parametrize("limit", ["x", -1.0, 0, True, [1.0], float("inf")])
def test_limits_that_are_none(gpu: None, folder: Path, limit: object) -> None:
    """Likewise."""
    store.keep(measured())
    content = json.loads(folder.read_text())
    content["measured"]["first_order"] = limit
    folder.write_text(json.dumps(content))
    store._found.cache_clear()
    assert store.find() is None


def test_rule_is_monotone() -> None:
    """More work never goes back to the CPU."""
    for known in (None, measured(), measured(first_order=5.0)):
        for gauss_newton in (True, False):
            answers = [pays(known, 10**power, gauss_newton) for power in range(12)]
            assert answers == sorted(answers)


@pytest.mark.parametrize("device", ["gpu", "", 3, None, "cuda:x"])
def test_no_device(device: object) -> None:
    """Refused where the method is made."""
    for method in (odenn.Residual, odenn.DataFit):
        with pytest.raises(ValueError, match='must be "auto", "cpu", "cuda"'):
            method(device=device)


@pytest.mark.parametrize(
    ("device", "words"),
    [("mps", "no float64.*1e-07|no float64.*1e-7"), ("meta", "holds no values"), ("cuda:99", "odenn doctor")],
)
def test_unusable(device: str, words: str) -> None:
    """The remedy is named."""
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    for method in (odenn.Residual(device=device), odenn.DataFit(device=torch.device(device))):
        with pytest.raises(ValueError, match=words) as caught:
            odenn.solve(problem, method=method)
        assert 'device="cpu"' in str(caught.value)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_the_cpu_by_name(device: str) -> None:
    """The same solution, bit by bit."""
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    network = odenn.MLP([8, 8], "tanh")
    here = odenn.solve(problem, rtol=1e-3, method=odenn.Residual(network=network, device=device))
    assert here(1.0) == odenn.solve(problem, rtol=1e-3, method=odenn.Residual(network=network))(1.0)


@pytest.mark.parametrize("device", ["cuda", torch.device("cuda", 1), "mps"])
def test_collocation_stays_on_the_cpu(device: str) -> None:
    """It says so; the CPU may be named."""
    for here in ("cpu", torch.device("cpu")):
        assert odenn.Collocation(device=here)
    with pytest.raises(ValueError, match="on the CPU"):
        odenn.Collocation(device=device)


# What follows computes with tensors on 'meta', which have a device but no values: whatever mixes devices raises.


def _window(device: torch.device, *, module: bool = False) -> tuple[Piece, Piece]:
    """A window with a stage, and one without."""
    network: odenn.MLP | torch.nn.Module = odenn.MLP([6, 6], "tanh")
    if module:
        network = torch.nn.Sequential(torch.nn.Linear(1, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    scale = torch.ones(2, dtype=torch.float64)
    trial = InitialTrial(start=0.0, length=1.0, values=((1.0,), (1.0,)), scale=scale)
    home = trainable(network, 2)
    w = home.start(torch.Generator().manual_seed(0), paired=True)
    there = home.to(device)
    # A trial's scale is looked at when it is made, which cannot be done on 'meta'.
    moved = [_without_check(Piece(trial, stages), there, device) for stages in ((), (Stage(home, w, scale),))]
    return moved[0], moved[1]


def _without_check(piece: Piece, network: object, device: torch.device) -> Piece:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InitialTrial, "__post_init__", lambda _: None)
        return piece.moved(network, device)


def _rhs(device: torch.device) -> TorchRhs:
    return TorchRhs(_rows(odenn.parse(PAIR, span=(0, 1), params={"k": 2.0}), device), 2)


@pytest.mark.parametrize("module", [False, True])
def test_residuals_stay_on_the_device(module: bool) -> None:
    """Values, Jacobian and gradient."""
    empty, trained = _window(META, module=module)
    network, w = trained.stages[0].network, trained.stages[0].w
    x, ones = chebyshev(7, META), torch.ones(2, dtype=torch.float64, device=META)
    objective = ResidualObjective(_rhs(META), (1, 1), trained, network, ones, ones, x)
    for part in (objective.residual(w), *objective.linearise(w)):
        assert part.device == META
    weights = w.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.residual(weights).square().mean(), weights)
    assert gradient.device == META
    assert empty.series(x, 2)[0].device == META


@pytest.mark.parametrize("module", [False, True])
def test_misfits_stay_on_the_device(module: bool) -> None:
    """Likewise, with slopes and batches."""
    empty, trained = _window(META, module=module)
    network, w = trained.stages[0].network, trained.stages[0].w
    x, rows = chebyshev(7, META), torch.ones(7, 2, dtype=torch.float64, device=META)
    objective = DataObjective(empty, network, empty.trial.scale, rows, x, rows, rows)
    for part in (objective.residual(w), *objective.linearise(w)):
        assert part.device == META


@pytest.mark.parametrize("module", [False, True])
def test_networks_of_a_solution_move(module: bool) -> None:
    """All that a window needs goes along with `.to(device)`."""
    _, piece = _window(torch.device("cpu"), module=module)
    window = _PieceModule(piece)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    before = window(t)
    assert window.to(META)(t.to(META)).device == META
    whole = TrainedNetworks.of([piece], 2).module()
    assert np.array_equal(whole(t).detach().numpy(), before.detach().numpy())
    assert whole.to(META).edges.device == META


def test_trained_networks_come_back() -> None:
    """Pieces of a march are on the CPU, whatever it ran on, with weights that are the same."""
    _, piece = _window(torch.device("cpu"))
    again = piece.moved(piece.stages[0].network, torch.device("cpu"))
    t = np.linspace(0, 1, 5)
    assert np.array_equal(again.levels(t, 1)[1], piece.levels(t, 1)[1])


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@cuda
@pytest.mark.parametrize(
    "make",
    [
        lambda device: odenn.Residual(network=odenn.MLP([16, 16], "tanh"), stages=2, device=device),
        lambda device: odenn.DataFit(network=odenn.MLP([16, 16], "tanh"), device=device),
    ],
)
def test_on_cuda(make: Callable[[str], odenn.Residual]) -> None:
    """The tolerance is met there as well, and the solution lives on the CPU and can be called on both."""
    problem = odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=(0, 2))
    solution = odenn.solve(problem, rtol=1e-6, method=make("cuda"))
    assert solution.success
    t = np.linspace(0, 2, 9)
    assert np.abs(solution(t)[0] - np.exp(t)).max() < 1e-6 * np.exp(2)
    there = solution(torch.tensor(t, device="cuda"))
    assert there.device.type == "cuda"
    assert np.allclose(there.cpu().detach().numpy(), solution(t), rtol=1e-12)


@pytest.mark.parametrize("method", [odenn.Collocation, odenn.Residual, odenn.DataFit])
def test_there_is_one_cpu(method: Any) -> None:
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    for device in ("cpu", "cpu:0", torch.device("cpu"), torch.device("cpu:0")):
        assert odenn.solve(problem, rtol=1e-3, method=method(device=device)).success
    for device in ("cpu:3", torch.device("cpu:3")):
        with pytest.raises(ValueError, match="cpu:3"):
            odenn.solve(problem, method=method(device=device))
