"""Broken set-ups: each is named, alone, with one line of remedy that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from odenn.device.diagnosis import Code, Severity, diagnose, usable
from odenn.device.facts import Command, Device, Driver, Facts, Torch

GIB = 2**30
NO_TORCH = Torch(error="ModuleNotFoundError: No module named 'torch'", missing=True)
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def without_gpu(facts: Facts, why_not: str = "") -> Facts:
    """The same, torch finding no GPU."""
    torch = replace(facts.torch, cuda_available=False, why_not=why_not)
    return replace(facts, torch=torch, devices=facts.devices[:1])


def linux(facts: Facts, **python: object) -> Facts:
    """The same under Linux."""
    here = "/home/ada/work/.venv/bin/python"
    return replace(
        facts,
        python=replace(
            facts.python,
            **{
                "executable": here,
                "system": "Linux",
                "machine": "x86_64",
                "origin": "Ubuntu's own",
                "environment": "/home/ada/work/.venv",
                **python,
            },
        ),
        commands=(Command(name="python", path=here, version="3.12.7", same=True),),
        adapters=("NVIDIA",),
    )


def cpu_build(facts: Facts) -> Facts:
    """What `pip install torch` gives on Windows."""
    return replace(without_gpu(facts), torch=Torch(version="2.9.1+cpu", copies=facts.torch.copies))


def mac(pc: Facts) -> Facts:
    """Apple silicon."""
    facts = linux(pc, system="Darwin", machine="arm64", origin="Homebrew")
    torch = Torch(version="2.9.1", mps_built=True, mps_available=True, copies=facts.torch.copies)
    devices = (
        Device(kind="cpu", name="Apple M2", memory_total=16 * GIB, float32=900.0, float64=400.0),
        Device(kind="mps", name="mps", float32=2000.0),
    )
    return replace(facts, torch=torch, driver=Driver(), adapters=(), devices=devices)


def gpu(facts: Facts, **changes: object) -> Facts:
    """The same with another GPU in torch's eyes."""
    return replace(facts, devices=(facts.devices[0], replace(facts.devices[1], **changes)))


def no_torch(facts: Facts, **changes: object) -> Facts:
    """The same with no torch."""
    return replace(facts, torch=NO_TORCH, devices=(), python=replace(facts.python, **changes))


SETUPS: dict[str, tuple[Callable[[Facts], Facts], set[Code], str]] = {
    "CPU build beside an NVIDIA GPU": (
        cpu_build,
        {Code.CPU_BUILD},
        r"C:\Users\ada\work\.venv\Scripts\python.exe -m pip install --force-reinstall torch --index-url "
        "https://download.pytorch.org/whl/cu126",
    ),
    "CPU build, driver for CUDA 13": (
        lambda pc: replace(cpu_build(pc), driver=replace(pc.driver, version="581.2", cuda="13.0")),
        {Code.CPU_BUILD},
        "/whl/cu130",
    ),
    "driver too old": (
        lambda pc: replace(without_gpu(pc, TOO_OLD), driver=replace(pc.driver, version="472.12", cuda="11.4")),
        {Code.DRIVER_TOO_OLD},
        "Update the driver",
    ),
    "driver too old for CUDA 13, good for 12": (
        lambda pc: replace(without_gpu(pc, TOO_OLD), torch=replace(without_gpu(pc).torch, cuda="13.0")),
        {Code.DRIVER_TOO_OLD},
        "/whl/cu126",
    ),
    "no driver": (
        lambda pc: replace(without_gpu(linux(pc)), driver=Driver()),
        {Code.NO_DRIVER},
        "https://www.nvidia.com/drivers",
    ),
    "driver that does not answer": (
        lambda pc: replace(
            without_gpu(linux(pc)),
            driver=Driver(found=True, error="NVIDIA-SMI has failed because it couldn't communicate with the driver."),
        ),
        {Code.DRIVER_FAILS},
        "Reboot",
    ),
    "WSL without driver": (
        lambda pc: replace(without_gpu(linux(pc, wsl=True)), driver=Driver(), adapters=()),
        {Code.NO_DRIVER_IN_WINDOWS},
        "install its driver in Windows",
    ),
    "GPU newer than the build": (
        lambda pc: gpu(pc, name="NVIDIA GeForce RTX 5090", capability=(12, 0), error="no kernel image", float64=None),
        {Code.ARCHITECTURE_MISSING},
        "--upgrade torch",
    ),
    "GPU older than the build": (
        lambda pc: gpu(pc, name="Tesla K80", capability=(3, 7), error="no kernel image", float64=None),
        {Code.ARCHITECTURE_MISSING},
        "install an earlier one",
    ),
    "GPU hidden by a variable": (
        lambda pc: replace(without_gpu(pc), variables={"CUDA_VISIBLE_DEVICES": "-1"}),
        {Code.GPU_HIDDEN},
        "Remove the variable",
    ),
    "container without the GPU's libraries": (
        lambda pc: without_gpu(linux(pc), "RuntimeError: CUDA unknown error"),
        {Code.CUDA_FAILS},
        "--gpus all",
    ),
    "out of GPU memory": (
        lambda pc: gpu(pc, memory_free=GIB // 10, error="OutOfMemoryError: CUDA out of memory.", float64=None),
        {Code.OUT_OF_MEMORY},
        "End the programs",
    ),
    "GPU that fails": (
        lambda pc: gpu(pc, error="AcceleratorError: CUDA error: an illegal instruction was encountered"),
        {Code.DEVICE_FAILS},
        "update the driver",
    ),
    "GPU for games": (lambda pc: gpu(pc, float32=12000.0, float64=200.0), {Code.SLOW_FLOAT64}, "odenn bench-device"),
    "MPS without float64": (mac, {Code.MPS_WITHOUT_FLOAT64}, 'device="cpu"'),
    "ROCm": (
        lambda pc: replace(linux(pc), torch=replace(pc.torch, cuda=None, hip="6.4", architectures=("gfx942",))),
        {Code.ROCM},
        'device="cuda"',
    ),
    "ROCm without GPU": (
        lambda pc: replace(
            without_gpu(linux(pc)),
            torch=Torch(version="2.9.1+rocm6.4", hip="6.4"),
            driver=Driver(),
            adapters=("AMD",),
        ),
        {Code.ROCM_FAILS},
        "rocminfo",
    ),
    "CPU build beside an AMD GPU": (
        lambda pc: replace(cpu_build(linux(pc)), driver=Driver(), adapters=("AMD",)),
        {Code.CPU_BUILD},
        "https://pytorch.org",
    ),
    "no python on PATH": (
        lambda pc: replace(pc, commands=(Command(name="python", path=None), Command(name="py", path=None))),
        {Code.NO_PYTHON_ON_PATH},
        "activate its environment",
    ),
    "python on PATH opens the Microsoft Store": (
        lambda pc: replace(
            pc,
            commands=(
                Command(
                    name="python",
                    path=r"C:\Users\ada\AppData\Local\Microsoft\WindowsApps\python.exe",
                    error="Python was not found; run without arguments to install from the Microsoft Store",
                ),
            ),
        ),
        {Code.NO_PYTHON_ON_PATH},
        "full path",
    ),
    "two Pythons": (
        lambda pc: replace(
            pc,
            commands=(Command(name="python", path=r"C:\Python311\python.exe", version="3.11.9"),),
            pip=Command(name="pip", path=r"C:\Python311\Scripts\pip.exe", version="24.0"),
        ),
        {Code.OTHER_PYTHON, Code.OTHER_PIP},
        "-m pip install",
    ),
    "an environment that is active and not used": (
        lambda pc: replace(linux(pc), variables={"VIRTUAL_ENV": "/home/ada/other"}),
        {Code.ENVIRONMENT_NOT_USED},
        "deactivate",
    ),
    "Microsoft Store": (
        lambda pc: replace(pc, python=replace(pc.python, origin="Microsoft Store")),
        {Code.MICROSOFT_STORE},
        "https://www.python.org/downloads",
    ),
    "32-bit Python": (
        lambda pc: no_torch(pc, bits=32),
        {Code.PYTHON_32_BIT},
        "64-bit Python",
    ),
    "Cygwin": (
        lambda pc: no_torch(pc, origin="Cygwin"),
        {Code.NO_WHEELS_FOR_THIS_PYTHON},
        "https://www.python.org/downloads",
    ),
    "torch missing": (no_torch, {Code.TORCH_MISSING}, "-m pip install torch"),
    "torch without Microsoft's runtime": (
        lambda pc: replace(
            pc,
            torch=Torch(error="OSError: [WinError 126] The specified module could not be found. fbgemm.dll"),
            devices=(),
        ),
        {Code.TORCH_BROKEN},
        "vc_redist",
    ),
    "torch from conda and from pip": (
        lambda pc: replace(
            linux(pc, origin="conda"),
            torch=Torch(
                error="ImportError: libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent",
                copies=(("/opt/conda/lib/python3.12/site-packages", "pip"), ("/opt/conda/conda-meta", "conda")),
            ),
            devices=(),
        ),
        {Code.TORCH_BROKEN, Code.TORCH_TWICE},
        "new conda environment",
    ),
    "torch twice, working": (
        lambda pc: replace(pc, torch=replace(pc.torch, copies=(*pc.torch.copies, (r"C:\Users\ada\Lib", "pip")))),
        {Code.TORCH_TWICE},
        "Remove all but one",
    ),
}
BROKEN = {
    "32-bit Python",
    "Cygwin",
    "torch missing",
    "torch without Microsoft's runtime",
    "torch from conda and from pip",
}


def test_healthy(healthy: Facts) -> None:
    """Nothing to say: neither of this machine, nor of one without GPU, nor of one without pip on PATH."""
    assert diagnose(healthy) == ()
    assert diagnose(linux(healthy)) == ()
    plain = replace(cpu_build(linux(healthy)), driver=Driver(), adapters=("Intel",))
    assert diagnose(plain) == ()
    assert diagnose(replace(plain, pip=Command(name="pip", path=None))) == ()


@pytest.mark.parametrize("name", SETUPS)
def test_broken(name: str, healthy: Facts) -> None:
    """Found, and nothing else, with a remedy; whether odenn can work all the same."""
    make, codes, remedy = SETUPS[name]
    findings = diagnose(make(healthy))
    assert {finding.code for finding in findings} == codes
    assert len(findings) == len(codes)
    assert any(remedy in finding.remedy for finding in findings)
    for finding in findings:
        for line in (finding.what, finding.remedy):
            assert line
            assert "\n" not in line
    assert usable(findings) == (name not in BROKEN)


def test_every_finding_has_its_case() -> None:
    """No code without a set-up that shows it."""
    assert set().union(*(codes for _, codes, _ in SETUPS.values())) == set(Code)


def test_the_worst_comes_first(healthy: Facts) -> None:
    """What stops odenn before what only slows it."""
    make, _, _ = SETUPS["torch from conda and from pip"]
    severities = [finding.severity for finding in diagnose(make(healthy))]
    assert severities == [Severity.BROKEN, Severity.WARNING]


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (("sm_80", "sm_90"), (8, 9), True),  # binaries: same major version, at least their minor one
        (("sm_86", "sm_90"), (8, 0), False),
        (("sm_80", "sm_90"), (12, 0), False),
        (("sm_80", "compute_90"), (12, 0), True),  # PTX is translated for later GPUs
        (("sm_80", "compute_90"), (7, 5), False),
        (("sm_90a", "sm_100"), (10, 0), True),
        ((), (8, 9), True),  # not known: no alarm
    ],
)
def test_architectures(healthy: Facts, architectures: tuple[str, ...], capability: tuple[int, int], runs: bool) -> None:
    """NVIDIA's rules of compatibility."""
    facts = gpu(replace(healthy, torch=replace(healthy.torch, architectures=architectures)), capability=capability)
    assert (Code.ARCHITECTURE_MISSING not in {finding.code for finding in diagnose(facts)}) == runs


@pytest.mark.parametrize(
    ("cuda", "driver", "enough"),
    [
        ("12.8", "525.60.13", True), ("12.1", "522.06", False), ("13.0", "580.65", True), ("13.0", "577.0", False),
        ("11.8", "450.80.02", True), ("11.8", "440.33", False), ("99.0", "100.0", True),
    ],
)  # fmt: skip
def test_oldest_drivers(healthy: Facts, cuda: str, driver: str, enough: bool) -> None:
    """NVIDIA's table; a CUDA that is not in it is given the benefit of the doubt."""
    facts = without_gpu(healthy, "no")
    facts = replace(facts, torch=replace(facts.torch, cuda=cuda), driver=replace(facts.driver, version=driver))
    assert (Code.DRIVER_TOO_OLD not in {finding.code for finding in diagnose(facts)}) == enough
