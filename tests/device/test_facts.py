"""Facts: from what programs print, from folders, from torches that are broken."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from odenn.device import facts as module
from odenn.device import probe
from odenn.device.facts import adapters_in, driver_from, origin

BANNER = """
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI 535.183.01             Driver Version: 535.183.01   CUDA Version: 12.2     |
|-----------------------------------------+----------------------+----------------------+
"""


@pytest.mark.parametrize(
    ("prefix", "system", "build", "expected"),
    [
        (r"C:\Users\ada\AppData\Local\Programs\Python\Python312", "Windows", "win-amd64", "python.org"),
        (r"C:\Program Files\Python312", "Windows", "win-amd64", "python.org"),
        (
            r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.12_3.12.2032.0_x64__qbz5n2kfra8p0",
            "Windows", "win-amd64", "Microsoft Store",
        ),
        (r"C:\Users\ada\AppData\Roaming\uv\python\cpython-3.12.7-windows-x86_64-none", "Windows", "win-amd64", "uv"),
        (r"C:\Users\ada\.pyenv\pyenv-win\versions\3.12.7", "Windows", "win-amd64", "pyenv"),
        (r"C:\msys64\mingw64", "Windows", "mingw_x86_64", "MSYS2"),
        ("/usr", "CYGWIN_NT-10.0-19045", "cygwin-3.5.4-x86_64", "Cygwin"),
        ("/Library/Frameworks/Python.framework/Versions/3.12", "Darwin", "macosx-10.13-universal2", "python.org"),
        (
            "/opt/homebrew/opt/python@3.12/Frameworks/Python.framework/Versions/3.12",
            "Darwin", "macosx-14.0-arm64", "Homebrew",
        ),
        (
            "/Library/Developer/CommandLineTools/Library/Frameworks/Python3.framework/Versions/3.9",
            "Darwin", "macosx-10.9-universal2", "Apple's command line tools",
        ),
        ("/home/ada/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu", "Linux", "linux-x86_64", "uv"),
        ("/home/ada/.pyenv/versions/3.11.7", "Linux", "linux-x86_64", "pyenv"),
        ("/usr", "Linux", "linux-x86_64", "Debian GNU/Linux's own"),
        ("/usr/local", "Linux", "linux-x86_64", "/usr/local (built there, or a container's)"),
        ("/srv/something", "Linux", "linux-x86_64", "unknown"),
    ],
)  # fmt: skip
def test_origin(prefix: str, system: str, build: str, expected: str) -> None:
    """By where it lies."""
    found = origin(prefix, system=system, build=build, has=lambda _: False, release="Debian GNU/Linux")
    assert found == expected


def test_origin_conda(tmp_path: Path) -> None:
    """By its records, wherever it lies."""
    (tmp_path / "conda-meta").mkdir()
    assert origin(str(tmp_path), system="Linux", build="linux-x86_64") == "conda"


def test_driver() -> None:
    """Two GPUs, one of which keeps its memory to itself."""
    rows = "NVIDIA A100-SXM4-40GB, 535.183.01, 40960, 39000, 8.0\nTesla T4, 535.183.01, [N/A], 10, 7.5\n"
    driver = driver_from(rows, BANNER)
    assert (driver.version, driver.cuda, driver.error) == ("535.183.01", "12.2", "")
    assert [gpu.capability for gpu in driver.gpus] == [(8, 0), (7, 5)]
    assert [gpu.memory_total for gpu in driver.gpus] == [40960 * 2**20, 0]


def test_old_driver() -> None:
    """Without compute capability, and without a CUDA version in the banner."""
    driver = driver_from("GeForce GTX 970, 390.157, 4096, 4000\n", "NVIDIA-SMI 390.157")
    assert (driver.version, driver.cuda, driver.gpus[0].capability) == ("390.157", None, None)


def test_driver_without_gpus() -> None:
    """No row."""
    assert driver_from("No devices were found\n", BANNER).error == "it lists no GPU"


def _program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


unix = pytest.mark.skipif(sys.platform == "win32", reason="scripts as programs")


@unix
def test_programs_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same Python, another one, something that is none, and nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._command("python").path is None
    _program(tmp_path, "python", "print('3.9.1'); print('/somewhere/else')")
    found = module._command("python")
    assert (found.version, found.same, found.error) == ("3.9.1", False, "")
    _program(tmp_path, "python", f"print('3.11.7'); print({sys.prefix!r})")
    assert module._command("python").same
    _program(tmp_path, "python", "import sys; sys.exit('Python was not found')")
    assert module._command("python").error == "Python was not found"
    _program(tmp_path, "pip", "print('pip 24.0 from /somewhere/site-packages/pip (python 3.9)')")
    assert not module._pip().same
    place = next(entry for entry in sys.path if "site-packages" in entry)
    _program(tmp_path, "pip", f"print('pip 24.0 from {place}/pip (python 3.11)')")
    assert module._pip().same


@unix
def test_a_program_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is given up."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "QUICK", 0.3)
    _program(tmp_path, "nvidia-smi", "import time; time.sleep(60)")
    assert module._driver().error == "no answer within 0.3 s"


@unix
def test_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked again without what an old one does not know."""
    monkeypatch.setenv("PATH", str(tmp_path))
    _program(
        tmp_path,
        "nvidia-smi",
        "import sys\n"
        "if 'compute_cap' in str(sys.argv): print('Field \"compute_cap\" is not valid'); sys.exit(2)\n"
        f"print({BANNER!r} if len(sys.argv) == 1 else 'Tesla K80, 470.82.01, 11441, 11000')",
    )
    driver = module._driver()
    assert (driver.version, driver.cuda, driver.error) == ("470.82.01", "12.2", "")


def test_adapters(tmp_path: Path) -> None:
    """Display controllers by their makers; other devices are left out."""
    for name, kind, vendor in (
        ("0000:00:02.0", "0x030000", "0x8086"), ("0000:01:00.0", "0x030200", "0x10de"),
        ("0000:01:00.1", "0x040300", "0x10de"), ("0000:02:00.0", "0x030000", "0x1234"),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "class").write_text(f"{kind}\n")
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
    assert adapters_in(tmp_path) == ("Intel", "NVIDIA")
    assert adapters_in(tmp_path / "missing") == ()


def _torch_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> module.Torch:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    torch, devices = module._torch()
    assert devices == ()
    return torch


def test_torch_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told from one that is broken."""
    torch = _torch_that(tmp_path, monkeypatch, "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    assert torch.missing


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise OSError('[WinError 126] The specified module could not be found. c10.dll')", "[WinError 126]"),
        ("import typing_extensions_of_old", "No module named 'typing_extensions_of_old'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os.write(2, b'Illegal instruction\\n'); os._exit(132)", "Illegal instruction"),
        ("import os; os._exit(0)", "without a word"),
    ],
)
def test_torch_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str) -> None:
    """Whatever it does, it is a fact."""
    torch = _torch_that(tmp_path, monkeypatch, text)
    assert error in torch.error
    assert not torch.missing


def test_probe_of_this_machine() -> None:
    """A line of JSON among whatever libraries print; the CPU has its speeds."""
    done = subprocess.run([sys.executable, "-P", str(probe.__file__)], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(probe.MARK))
    told = json.loads(line.removeprefix(probe.MARK))
    cpu = told["devices"][0]
    assert (cpu["kind"], cpu["error"]) == ("cpu", "")
    assert cpu["float32"] > 0 < cpu["float64"]


def _cuda_build(**cuda: object) -> SimpleNamespace:
    """A torch with CUDA as far as the probe looks at it."""
    import torch

    def properties(_: int) -> SimpleNamespace:
        return SimpleNamespace(name="NVIDIA Fake", major=8, minor=9)

    return SimpleNamespace(
        __version__="2.9.1+cu126",
        version=SimpleNamespace(cuda="12.6", hip=None),
        backends=SimpleNamespace(),
        _C=SimpleNamespace(_cuda_getArchFlags=lambda: "sm_80 sm_90 compute_90"),
        cuda=SimpleNamespace(**{"device_count": lambda: 1, "get_device_properties": properties, **cuda}),
        device=torch.device, full=torch.full, float32=torch.float32, float64=torch.float64,
    )  # fmt: skip


def test_probe_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own words, from the exception that the first use raises."""

    def unavailable() -> bool:
        warnings.warn("CUDA initialization: something", UserWarning, stacklevel=1)
        return False

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nPlease update")

    monkeypatch.setitem(sys.modules, "torch", _cuda_build(is_available=unavailable, init=init))
    monkeypatch.setattr(probe, "SECONDS", 0.01)
    told = probe.report()
    assert told["why_not"] == "RuntimeError: The NVIDIA driver on your system is too old (found version 11040)."
    assert told["architectures"] == ["sm_80", "sm_90", "compute_90"]
    assert [device["kind"] for device in told["devices"]] == ["cpu"]


def test_probe_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that cannot be measured is told, with what it said."""

    def memory(_: int) -> tuple[int, int]:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 MiB")

    monkeypatch.setitem(sys.modules, "torch", _cuda_build(is_available=lambda: True, mem_get_info=memory))
    monkeypatch.setattr(probe, "SECONDS", 0.01)
    told = probe.report()["devices"][1]
    assert told["name"] == "NVIDIA Fake" or told["error"]
    assert "out of memory" in told["error"]
