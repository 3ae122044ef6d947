"""Solutions as ONNX models: another program computes the same figures from them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import odenn
from odenn import MLP, DataFit, Residual, Solution

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


def assert_same(solution: Solution, path: Path, tolerance: float) -> onnx.ModelProto:
    solution.export_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for points in (2, 1001):
        t = solution.grid(points)
        y: Any = session.run(None, {"t": t[:, None]})[0]
        assert y.dtype == np.float64
        assert y.shape == (points, solution.n)
        size = np.abs(solution(t)).max(axis=1)
        assert (np.abs(y.T - solution(t)).max(axis=1) <= tolerance * size).all()
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_collocation_backwards(tmp_path: Path) -> None:
    solution = odenn.solve(odenn.parse(PAIR, span=(0, -5)))
    assert solution.stats.windows > 2
    model = assert_same(solution, tmp_path / "s.onnx", 1e-12)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {
        "independent": "x",
        "names": "y1, y2",
        "span": "-5.0, 0.0",
        "rtol": repr(solution.rtol),
        "status": "SUCCESS",
    }
    assert b"/src/" not in (tmp_path / "s.onnx").read_bytes()  # the exporter's notes of paths are not in it


def test_features(tmp_path: Path) -> None:
    solution = odenn.solve(odenn.parse(PAIR, span=(0, 2)), method=odenn.Collocation(network=odenn.Features()))
    assert_same(solution, tmp_path / "s.onnx", 1e-12)


# The weights of a trained network cancel, from sizes of about 3000: its values differ in the last digits with the order
# in which they are added.
TRAINED = 1e-11


def test_trained_with_stages_and_mixed_orders_from_an_interior_point(tmp_path: Path) -> None:
    problem = odenn.parse("x'' = -x, z' = x; x(1) = 0, x'(1) = 1, z(1) = 2", span=(-1, 3))
    method = Residual(network=MLP([12, 12]), windows=[0.0, 2.0], stages=2)
    solution = odenn.solve(problem, rtol=1e-8, method=method)
    assert len(solution.outcome.windows.start) == 4
    assert_same(solution, tmp_path / "s.onnx", TRAINED)


def test_data_fit(tmp_path: Path) -> None:
    """onnxruntime has no error function in float64, which GELU needs."""
    problem = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 5))
    method = DataFit(network=MLP([12, 12], "gelu"), data=odenn.RK4(step=0.02))
    solution = odenn.solve(problem, rtol=1e-6, method=method)
    assert len(solution.outcome.windows.start) > 1
    assert_same(solution, tmp_path / "s.onnx", TRAINED)


class Own(nn.Module):
    def __init__(self, slope: Any) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 8), nn.Linear(8, 2)
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # onnxruntime has neither in float64
        return self.outer(nn.functional.softplus(nn.functional.elu(self.inner(x)))) + self.slope * x


def own(slope: Any) -> Solution:
    torch.manual_seed(0)
    method = Residual(network=Own(slope), windows=[1.0])
    return odenn.solve(odenn.parse(PAIR, span=(0, 2)), rtol=1e-6, method=method)


def test_modules_of_ones_own(tmp_path: Path) -> None:
    assert_same(own(torch.tensor(0.3, dtype=torch.float64)), tmp_path / "s.onnx", TRAINED)


def test_what_the_exporter_rounds_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"differs from the solution by .* float32\. Keep them in the module as"):
        own(0.3).export_onnx(tmp_path / "s.onnx")
    assert os.listdir(tmp_path) == []


class Features(nn.Module):
    """Two sets of features of a hidden layer, joined: what torch cannot trace for many windows at once."""

    def __init__(self, join: Any) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 8), nn.Linear(16, 2)
        self.join = join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.inner(x)
        return self.outer(self.join(torch.sin(h), h))


def features(join: Any) -> Solution:
    torch.manual_seed(0)
    method = Residual(network=Features(join), windows=[1.0], optimizer=odenn.LevenbergMarquardt(max_iterations=3))
    return odenn.solve(odenn.parse(PAIR, span=(0, 2)), rtol=1e-4, method=method)


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: torch.cat([a, b], dim=-1),
        lambda a, b: torch.hstack((a, torch.special.erf(b))),
        lambda a, b: torch.cat([nn.functional.layer_norm(a, (8,)), b], dim=1),
    ],
    ids=["cat", "hstack", "layer_norm"],
)
def test_operations_that_join(tmp_path: Path, join: Any) -> None:
    assert_same(features(join), tmp_path / "s.onnx", TRAINED)


def test_what_cannot_be_exported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="uses bessel_i0e, which ONNX does not have: write it with other operations"):
        features(lambda a, b: torch.cat([torch.special.i0e(a), b], dim=-1)).export_onnx(tmp_path / "s.onnx")
    monkeypatch.setattr("odenn.storage.export.MOST_COPIES", 1)
    with pytest.raises(ValueError, match=r"torch\.cat.*and 2 windows are more than the 1 that are exported one by one"):
        features(lambda a, b: torch.cat([a, b], dim=-1)).export_onnx(tmp_path / "s.onnx")
    assert os.listdir(tmp_path) == []


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 2)))
    monkeypatch.setattr("odenn.extras.find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(ImportError, match="exporting to ONNX needs onnx: pip install "):
        solution.export_onnx(tmp_path / "s.onnx")


def test_nothing_solved(tmp_path: Path) -> None:
    solution = odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 2)))
    windows: Any = solution.outcome.windows
    nothing = {part: getattr(windows, part)[:0] for part in ("start", "length", "value", "weights")}
    outcome = replace(solution.outcome, windows=replace(windows, **nothing), status=odenn.Status.STALLED)
    solution = replace(solution, outcome=outcome)
    with pytest.raises(ValueError, match="nothing was solved that could be exported"):
        solution.export_onnx(tmp_path / "s.onnx")
