"""`odenn bench-device`: what is measured, the crossover, what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from odenn.cli import app
from odenn.device import benchmark as module
from odenn.device import store
from odenn.device.benchmark import STEPS, Benchmark, Case, Row, benchmark, cases
from odenn.device.choice import chosen

SMALL = cases(networks=((4, 4),), points=(8, 32))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A store of its own."""
    path = tmp_path / "cache" / "bench.json"
    monkeypatch.setattr(store, "place", lambda: path)
    monkeypatch.chdir(tmp_path)
    store._found.cache_clear()
    return path


class _Known(Case):
    """A case whose work is simply given."""

    @property
    def work(self) -> int:
        return self.weights


def rows(*times: tuple[int, float, float | None], step: str = "first-order") -> tuple[Row, ...]:
    """Measured: (work, seconds on the CPU, on the accelerator)."""
    made = [(_Known(step=step, hidden=(8,), weights=work, points=1), cpu, there) for work, cpu, there in times]
    return tuple(Row(case=case, cpu=cpu, accelerator=there) for case, cpu, there in made)


def found(*measured: Row) -> Benchmark:
    """A benchmark of these rows."""
    return Benchmark(
        cpu="a CPU", accelerator="NVIDIA Fake", date="2026-01-01", torch="2.9", threads=1, rows=tuple(measured)
    )


@pytest.mark.parametrize(
    ("measured", "crossover"),
    [
        (rows((10, 1, 5), (100, 4, 5), (1000, 40, 6)), 1000),
        (rows((10, 1, 5), (100, 6, 5), (1000, 40, 6)), 100),
        (rows((10, 9, 5), (100, 4, 5), (1000, 40, 6)), 1000),  # once faster by chance, then slower: from there on
        (rows((10, 9, 5), (100, 9, 5)), 10),
        (rows((10, 9, 5), (100, 4, 5)), None),
        (rows((10, 1, 5), (100, 9, 5), (100, 4, 5)), None),  # of two equally large ones, one was slower
        (rows((10, 9, 5), (100, 40, None)), None),  # not enough memory
        ((), None),
    ],
)
def test_crossover(measured: tuple[Row, ...], crossover: int | None) -> None:
    """From which work on it was always faster."""
    assert found(*measured).crossover("first-order") == crossover
    assert found(*measured).crossover("evaluation") is None


def test_auto_goes_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept decides."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA Fake")
    measured = found(*rows((10, 1, 5), (500, 9, 5)), *rows((70, 9, 5), step="gauss-newton")).measured()
    store.keep(measured)
    assert store.find() == measured
    work = {(False, 499): "cpu", (False, 500): "cuda", (True, 69): "cpu", (True, 70): "cuda"}
    places = {each: chosen("auto", weights=each[1], residuals=1, gauss_newton=each[0]).type for each in work}
    assert places == work


def test_cases() -> None:
    """The small ones first; Jacobians that would not fit are left out, the rest of such a size is not."""
    everything = cases()
    sizes = [case.weights * case.points for case in everything]
    assert sizes == sorted(sizes)
    largest = [case.step for case, size in zip(everything, sizes, strict=True) if size == sizes[-1]]
    assert sorted(largest) == ["evaluation", "first-order"]
    factorised = [case for case in everything if case.step == "gauss-newton"]
    assert all(2 * case.weights * case.points * 8 <= 2**27 for case in factorised)
    assert 1e9 < max(case.work for case in factorised) < 5e9


def test_measure() -> None:
    """Every case has a time on both; here the other device is the CPU as well."""
    result = benchmark(seconds=60.0, wanted=SMALL, accelerator=torch.device("cpu"))
    assert len(result.rows) == len(SMALL) == 2 * len(STEPS)
    assert all(row.cpu > 0 and row.accelerator is not None and row.accelerator > 0 for row in result.rows)


def test_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that does not fit on the accelerator counts as one at which it does not pay."""

    def seconds_of(case: Case, device: torch.device, _: float) -> float:
        if device.type != "cpu" and case.points == 32:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return 1.0 if device.type == "cpu" else 0.5

    monkeypatch.setattr(module, "seconds_of", seconds_of)
    monkeypatch.setattr(module, "_name", str)
    result = benchmark(seconds=100.0, wanted=SMALL, accelerator=torch.device("meta"))
    assert {row.accelerator for row in result.rows} == {0.5, None}
    assert all(result.crossover(step) is None for step in STEPS)


def test_the_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No further case is begun when it is up."""
    monkeypatch.setattr(module, "seconds_of", lambda *_: 1.0)
    clock = iter(range(1000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    assert len(benchmark(seconds=3.0, wanted=SMALL).rows) == 2


def test_command_without_accelerator(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The CPU alone, nothing kept; a picture all the same."""
    monkeypatch.setattr(module, "find_accelerator", lambda: None)
    monkeypatch.setattr(module, "cases", lambda: SMALL)
    result = CliRunner().invoke(app, ["bench-device", "--seconds", "0.5", "--plot", "b.png"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "no accelerator to compare" in result.stdout
    assert Path("b.png").stat().st_size > 1000
    assert not folder.exists()


def test_command(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """With one: table, crossover, JSON, and the file."""
    monkeypatch.setattr(module, "find_accelerator", lambda: torch.device("cpu"))
    measured = found(*rows((10, 0.001, 0.005), (500, 0.009, 0.005)))
    monkeypatch.setattr(module, "benchmark", lambda **_: measured)
    result = CliRunner().invoke(app, ["bench-device"], catch_exceptions=False)
    assert "first-order: the GPU is faster from work 5e+02 on" in result.stdout
    assert "evaluation: the GPU is not faster" in result.stdout
    assert folder.exists()
    record = json.loads(CliRunner().invoke(app, ["bench-device", "--json"], catch_exceptions=False).stdout)
    assert record["crossover"] == {"gauss-newton": None, "first-order": 500, "evaluation": None}
    assert record["kept"] == str(folder)
    assert len(record["rows"]) == 2


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The figures are shown all the same."""
    folder.parent.write_text("a file where the folder should be")
    monkeypatch.setattr(module, "find_accelerator", lambda: torch.device("cpu"))
    monkeypatch.setattr(module, "benchmark", lambda **_: found(*rows((10, 0.001, 0.005))))
    result = CliRunner().invoke(app, ["bench-device"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "first-order: the GPU is not faster" in result.stdout
    assert 'Not kept for device="auto"' in result.stdout
