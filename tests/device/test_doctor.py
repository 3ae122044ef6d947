"""`odenn doctor`, as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from odenn.cli import app
from odenn.cli._console import Output
from odenn.cli._doctor import print_diagnosis
from odenn.device.diagnosis import diagnose
from odenn.device.facts import Facts, Torch


def _doctor(monkeypatch: pytest.MonkeyPatch, found: Facts, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr("odenn.device.facts.facts", lambda: found)
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def test_healthy(monkeypatch: pytest.MonkeyPatch, healthy: Facts) -> None:
    """The facts, and that all is well."""
    code, text = _doctor(monkeypatch, healthy)
    assert code == 0
    assert "NVIDIA GeForce RTX 4060" in text
    assert "Remedy" not in text
    assert text.endswith("odenn can work here, on cpu and cuda:0.\n")


def test_findings(monkeypatch: pytest.MonkeyPatch, healthy: Facts) -> None:
    """What is wrong with its remedy; the CPU is enough for exit code 0, a torch that is not there is not."""
    blind = replace(healthy.torch, cuda_available=False)
    hidden = replace(healthy, torch=blind, devices=healthy.devices[:1], variables={"CUDA_VISIBLE_DEVICES": ""})
    code, text = _doctor(monkeypatch, hidden)
    assert code == 0
    assert "Warning: CUDA_VISIBLE_DEVICES is ''" in text
    assert "Remedy: Remove the variable" in text
    broken = replace(healthy, torch=Torch(error="No module named 'torch'", missing=True), devices=())
    code, text = _doctor(monkeypatch, broken)
    assert code == 1
    assert "Broken: torch is not installed" in text
    code, text = _doctor(monkeypatch, broken, "--json")
    assert code == 1
    record = json.loads(text)
    assert [finding["code"] for finding in record["findings"]] == ["torch-missing"]
    assert record["facts"]["driver"]["version"] == "560.94"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_narrow_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], healthy: Facts, width: int
) -> None:
    """Nothing is cut off."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    blind = replace(healthy.torch, cuda_available=False, why_not="RuntimeError: CUDA unknown error")
    found = replace(healthy, torch=blind, devices=healthy.devices[:1])
    print_diagnosis(Output(), found, diagnose(found))
    shown = "".join(capsys.readouterr().out.split())
    assert "CUDAunknownerror" in shown
    assert healthy.python.executable in shown


def test_a_torch_that_cannot_be_imported(tmp_path: Path) -> None:
    """In a process of its own: exit code 1, no traceback."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "odenn", "doctor"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "libcudart.so.12: cannot open shared object file" in done.stdout
    assert "Remedy: " in done.stdout
