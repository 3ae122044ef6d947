"""Trained solutions as files: networks, record and evidence come back to the last bit, or a clear error."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import odenn
from odenn import MLP, DataFit, Residual, Solution
from odenn.methods.trained import TrainedNetworks
from odenn.storage import files
from odenn.storage.checks import StorageError
from odenn.storage.solutions import load, save, store_solution

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"

Content = dict[str, Any]
Arrays = dict[str, Any]


def pair(method: Any = None, span: tuple[float, float] = (0, 3)) -> Solution:
    return odenn.solve(odenn.parse(PAIR, span=span), rtol=1e-6, method=method or Residual(network=MLP([12, 12])))


def stages() -> Solution:
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 6))
    return odenn.solve(problem, rtol=1e-9, method=Residual(network=MLP([16, 16], "sin"), stages=2))


def backwards() -> Solution:
    return pair(Residual(network=MLP([12, 12], "gelu")), span=(0, -3))


def mixed_orders_inside() -> Solution:
    problem = odenn.parse("x'' = -x, z' = x; x(1) = 0, x'(1) = 1, z(1) = 2", span=(-1, 3))
    return odenn.solve(problem, rtol=1e-6, method=Residual(network=MLP([12, 12]), windows=[0.0, 2.0]))


def second_order_data() -> Solution:
    """The first window knows y and y', the others y only."""
    problem = odenn.parse("y'' = -y; y(1) = 0, y'(1) = 1", span=(-1, 6))
    return odenn.solve(problem, rtol=1e-6, method=DataFit(network=MLP([12, 12], "elu"), data=odenn.RK4(step=0.02)))


def function() -> Solution:
    problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=(0, 3), names=("u", "v"))
    return odenn.solve(problem, rtol=1e-6, method=DataFit(network=MLP([12, 12]), data=odenn.Euler(step=0.02)))


@pytest.mark.parametrize("solve", [pair, stages, backwards, mixed_orders_inside, second_order_data, function])
def test_loaded_is_bit_equal(tmp_path: Path, solve: Callable[[], Solution]) -> None:
    solution = solve()
    save(solution, tmp_path / "s.odenn")
    loaded = odenn.load(tmp_path / "s.odenn")
    t = solution.grid(301)
    for order in range(4):
        np.testing.assert_array_equal(loaded.derivative(t, order), solution.derivative(t, order))
    np.testing.assert_array_equal(loaded.error(t), solution.error(t))
    for name in ("names", "independent", "rtol", "span", "status", "message", "stats", "success"):
        assert getattr(loaded, name) == getattr(solution, name), name
    times = torch.tensor(t, requires_grad=True)
    assert torch.equal(loaded(times), solution(times))
    (slopes,) = torch.autograd.grad(loaded(times).sum(), times)
    torch.testing.assert_close(slopes, torch.tensor(solution.derivative(t).sum(0)), rtol=1e-9, atol=1e-9)
    assert loaded.training is not None
    assert solution.training is not None
    for name in ("history", "diagnoses", "data_error", "fit_error"):
        assert getattr(loaded.training, name) == getattr(solution.training, name), name
    windows, again = solution.outcome.windows, loaded.outcome.windows
    assert (again.kind, again.size) == (windows.kind, windows.size)


def test_all_else_works_after_loading(tmp_path: Path) -> None:
    solution = pair()
    save(solution, tmp_path / "1.odenn")
    loaded = load(tmp_path / "1.odenn")
    assert loaded.plot().axes
    verification = loaded.verify()
    assert verification.within_tolerance
    t = solution.grid(20)
    np.testing.assert_array_equal(loaded.residual(t), solution.residual(t))
    torch.testing.assert_close(loaded.network(torch.tensor(t)).T, torch.tensor(solution(t)), rtol=1e-12, atol=1e-12)
    loaded.to_csv(tmp_path / "s.csv")
    save(loaded, tmp_path / "2.odenn")
    assert (tmp_path / "1.odenn").read_bytes() == (tmp_path / "2.odenn").read_bytes()


def test_figures_that_are_not_finite_come_back(tmp_path: Path) -> None:
    """A run that went wrong is still worth keeping."""
    solution = pair()
    assert solution.training is not None
    history = tuple(replace(record, loss=math.inf) for record in solution.training.history)
    training = replace(solution.training, history=history, fit_error=math.inf, data_error=0.0)
    save(replace(solution, outcome=replace(solution.outcome, training=training)), tmp_path / "s.odenn")
    again = load(tmp_path / "s.odenn").training
    assert again is not None
    assert again.history == history
    assert (again.fit_error, again.data_error) == (math.inf, 0.0)


def test_nothing_trained_comes_back(tmp_path: Path) -> None:
    solution = pair()
    outcome = solution.outcome
    errors = outcome.errors
    nothing = replace(
        outcome,
        windows=TrainedNetworks((), 2),
        errors=replace(errors, **{part: getattr(errors, part)[:0] for part in ("start", "length", "value", "weights")}),
        floor=outcome.floor[:0],
        reached=(0.0, 0.0),
        status=odenn.Status.STALLED,
    )
    save(replace(solution, outcome=nothing), tmp_path / "s.odenn")
    assert load(tmp_path / "s.odenn").outcome.windows.size == 0


def test_own_modules_are_refused_with_the_remedy(tmp_path: Path) -> None:
    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(1, 8)
            self.outer = torch.nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.outer(torch.tanh(self.inner(x)))

    torch.manual_seed(0)
    solution = pair(Residual(network=Own(), windows=[1.0]), span=(0, 2))
    with pytest.raises(
        StorageError, match=r"the network is of the class Own: .* not its class.*export_onnx.*state_dict"
    ):
        save(solution, tmp_path / "s.odenn")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def solution() -> Solution:
    return pair()


class TestUntrusted:
    """A file with the right checksum can still hold anything."""

    def refused(self, solution: Solution, path: Path, change: Callable[[Content, Arrays], None]) -> str:
        content, arrays = store_solution(solution)
        content = json.loads(json.dumps(content))
        arrays = {name: array.copy() for name, array in arrays.items()}
        change(content, arrays)
        files.write(path, content, arrays)
        with pytest.raises(StorageError) as caught:
            load(path)
        assert "it is damaged" in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize(
        "name",
        [
            *(f"windows.{part}" for part in ("length", "orders", "values", "size", "stages", "weights", "scale")),
            *(f"training.{part}" for part in ("data_error", "fit_error")),
            *(f"history.{part}" for part in ("numbers", "course", "components", "residuals")),
        ],
    )
    def test_shapes_and_types(self, solution: Solution, tmp_path: Path, name: str) -> None:
        def missing(content: Content, arrays: Arrays) -> None:
            del arrays[name]

        def other(content: Content, arrays: Arrays) -> None:
            arrays[name] = arrays[name].astype(np.float32)

        def deeper(content: Content, arrays: Arrays) -> None:
            arrays[name] = arrays[name][..., None]

        def longer(content: Content, arrays: Arrays) -> None:
            arrays[name] = np.concatenate([arrays[name], arrays[name], np.ones((2, *arrays[name].shape[1:]))]).astype(
                arrays[name].dtype
            )

        assert f"`{name}` is missing" in self.refused(solution, tmp_path / "s", missing)
        for change in (other, deeper):
            assert f"`{name}` has shape" in self.refused(solution, tmp_path / "s", change)
        self.refused(solution, tmp_path / "s", longer)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("windows.start", math.nan, "do not follow each other"),
            ("windows.length", 0.0, "do not follow each other"),
            ("windows.length", -0.1, "do not follow each other|gaps or overlap|it reaches"),
            ("windows.length", math.inf, "do not follow each other"),
            ("windows.orders", 0, "orders beyond"),
            ("windows.orders", -5, "orders beyond"),
            ("windows.orders", 2**62, "orders beyond"),
            ("windows.orders", 3, "`windows.values` has shape"),
            ("windows.size", 0.0, "`scale` must be"),
            ("windows.size", math.nan, "`scale` must be"),
            ("windows.stages", -1, "not as many as they should"),
            ("windows.stages", 2**62, "not as many as they should"),
            ("windows.stages", 2, "not as many as they should"),
            ("history.components", -1, "not as many as it should"),
            ("history.components", 2**62, "not as many as it should"),
        ],
    )
    def test_figures(self, solution: Solution, tmp_path: Path, name: str, value: Any, message: str) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            arrays[name].flat[0] = value

        assert any(part in self.refused(solution, tmp_path / "s", change) for part in message.split("|"))

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("network", "torch", "`windows.weights` has shape"),
            ("activation", "os.system", "`activation` must be one of"),
            ("activation", ["tanh"], "`activation` is ['tanh']"),
            ("activation", None, "`activation` is None"),
            ("hidden", [12], "weights each, where"),
            ("hidden", [], "`hidden` must be widths"),
            ("hidden", [10**9, 10**9], "`hidden` must be widths"),
            ("hidden", [4096, 4096], "weights each, where"),
            ("hidden", [-12, -12], "`hidden` must be widths"),
            ("hidden", ["12", 12], "`hidden` must be widths"),
            ("hidden", [12.0, 12], "`hidden` must be widths"),
            ("hidden", 12, "`hidden` is 12"),
            ("decay", [], "entries for"),
            ("decay", "power", "`decay` is 'power'"),
            ("decay", None, "`decay` is None"),
        ],
    )
    def test_description(self, solution: Solution, tmp_path: Path, name: str, value: Any, message: str) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["windows"][name] = value

        assert message in self.refused(solution, tmp_path / "s", change)

    @pytest.mark.parametrize("value", ["sudden", 3, None, ["power"], {}])
    def test_decay(self, solution: Solution, tmp_path: Path, value: Any) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["windows"]["decay"][0] = value

        assert "`decay` must be one of" in self.refused(solution, tmp_path / "s", change)

    @pytest.mark.parametrize(
        "value",
        [
            "good",
            {},
            {"diagnoses": {}},
            {"diagnoses": [3]},
            {"diagnoses": [{}]},
            {"diagnoses": [{"trouble": "__class__", "evidence": ""}]},
            {"diagnoses": [{"trouble": ["DATA"], "evidence": ""}]},
            {"diagnoses": [{"trouble": "DATA", "evidence": 3}]},
        ],
    )
    def test_training(self, solution: Solution, tmp_path: Path, value: Any) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["training"] = value

        self.refused(solution, tmp_path / "s", change)

    def test_gaps_and_ends(self, solution: Solution, tmp_path: Path) -> None:
        def gap(content: Content, arrays: Arrays) -> None:
            arrays["windows.length"] *= 0.5

        def reached(content: Content, arrays: Arrays) -> None:
            content["reached"] = [0.0, 300.0]

        assert "gaps or overlap" in self.refused(solution, tmp_path / "s", gap)
        assert "it reaches from 0 to 300" in self.refused(solution, tmp_path / "s", reached)

    def test_collocation_network_with_trained_arrays(self, solution: Solution, tmp_path: Path) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["windows"] = {"network": "legendre"}

        assert "`windows.weights` has shape" in self.refused(solution, tmp_path / "s", change)
