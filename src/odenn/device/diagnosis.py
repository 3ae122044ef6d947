"""What is wrong, one line each, with one line of remedy: a function of the facts alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from odenn.device.facts import Command, Device, Facts

# CUDA's major version -> major version of the oldest driver that runs it. Source: NVIDIA, "CUDA Compatibility", table 1
# of "Minor Version Compatibility" (docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
# Driver's CUDA -> torch's index of wheels that it runs. Source: pytorch.org/get-started/previous-versions.
WHEELS = {12: "cu126", 13: "cu130"}
PREVIOUS = "https://pytorch.org/get-started/previous-versions"
PYTORCH = "https://pytorch.org/get-started/locally"
ENOUGH_MEMORY = 1 << 29  # bytes; less does not hold torch's own libraries on the device and work besides
SLOW_DOUBLE = 8  # times slower than float32: a GPU for games, where it is 32 or 64
FLOAT32_FLOOR = 1e-7  # relative error that float32 cannot get below


class Severity(Enum):
    """How much it matters."""

    BROKEN = "broken"
    """odenn cannot train networks at all."""
    WARNING = "warning"
    """Something does not work as it could, such as the GPU."""
    NOTE = "note"
    """Good to know."""


class Code(Enum):
    """What is wrong."""

    PYTHON_32_BIT = "python-32-bit"
    NO_WHEELS_FOR_THIS_PYTHON = "no-wheels-for-this-python"
    MICROSOFT_STORE = "microsoft-store"
    NO_PYTHON_ON_PATH = "no-python-on-path"
    OTHER_PYTHON = "other-python"
    OTHER_PIP = "other-pip"
    ENVIRONMENT_NOT_USED = "environment-not-used"
    TORCH_MISSING = "torch-missing"
    TORCH_BROKEN = "torch-broken"
    TORCH_TWICE = "torch-twice"
    CPU_BUILD = "cpu-build"
    NO_DRIVER = "no-driver"
    NO_DRIVER_IN_WINDOWS = "no-driver-in-windows"
    DRIVER_FAILS = "driver-fails"
    DRIVER_TOO_OLD = "driver-too-old"
    GPU_HIDDEN = "gpu-hidden"
    ARCHITECTURE_MISSING = "architecture-missing"
    CUDA_FAILS = "cuda-fails"
    ROCM = "rocm"
    ROCM_FAILS = "rocm-fails"
    OUT_OF_MEMORY = "out-of-memory"
    DEVICE_FAILS = "device-fails"
    SLOW_FLOAT64 = "slow-float64"
    MPS_WITHOUT_FLOAT64 = "mps-without-float64"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    code: Code
    severity: Severity
    what: str
    remedy: str


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """What the facts mean, the worst first."""
    found = [*_python(facts), *_path(facts), *_torch(facts), *_driver(facts), *_accelerator(facts)]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def usable(findings: tuple[Finding, ...]) -> bool:
    """Whether odenn can work, if only on the CPU."""
    return not any(finding.severity is Severity.BROKEN for finding in findings)


def _python(facts: Facts) -> Iterator[Finding]:
    python, works = facts.python, not facts.torch.error
    if python.bits == 32:
        yield Finding(
            code=Code.PYTHON_32_BIT,
            severity=Severity.BROKEN,
            what=f"Python {python.version} is a 32-bit program, and torch comes for 64 bits only",
            remedy="Install the 64-bit Python from https://www.python.org/downloads and make a new environment with it",
        )
    if python.origin in ("Cygwin", "MSYS2") and not works:
        yield Finding(
            code=Code.NO_WHEELS_FOR_THIS_PYTHON,
            severity=Severity.BROKEN,
            what=f"This Python comes from {python.origin}, for which no torch is built",
            remedy="Install Python from https://www.python.org/downloads and make a new environment with it",
        )
    if python.origin == "Microsoft Store":
        yield Finding(
            code=Code.MICROSOFT_STORE,
            severity=Severity.WARNING,
            what="Python comes from the Microsoft Store: its packages lie so deep that torch's files may not install",
            remedy="Install Python from https://www.python.org/downloads and make a new environment with it",
        )


def _path(facts: Facts) -> Iterator[Finding]:
    here = _quoted(facts)
    there = [command for command in facts.commands if command.path is not None]
    answering = [command for command in there if not command.error]
    if not answering:
        yield Finding(
            code=Code.NO_PYTHON_ON_PATH,
            severity=Severity.WARNING,
            what="No Python answers on PATH" + (f" ({there[0].path}: {there[0].error})" if there else ""),
            remedy=f"Call it by its full path, {here}, or activate its environment",
        )
    elif not any(command.same for command in answering):
        yield _other(answering[0], here)
    if facts.pip.path is not None and not facts.pip.error and not facts.pip.same:
        yield Finding(
            code=Code.OTHER_PIP,
            severity=Severity.WARNING,
            what=f"`pip` on PATH ({facts.pip.path}) installs for another Python than the one that runs odenn",
            remedy=f"Install with {here} -m pip install ...",
        )
    active = facts.variables.get("VIRTUAL_ENV")
    if active and not _inside(active, facts.python.environment):
        yield Finding(
            code=Code.ENVIRONMENT_NOT_USED,
            severity=Severity.WARNING,
            what=f"The environment {active} is active, but odenn runs in {facts.python.environment or here}",
            remedy="Install odenn in the active environment (python -m pip install odenn), or deactivate it",
        )


def _other(command: Command, here: str) -> Finding:
    return Finding(
        code=Code.OTHER_PYTHON,
        severity=Severity.WARNING,
        what=f"`{command.name}` on PATH is another Python ({command.version}, {command.path}) than the one that runs "
        "odenn",
        remedy=f"Install and run with {here}, or activate its environment",
    )


def _torch(facts: Facts) -> Iterator[Finding]:
    torch, here = facts.torch, _quoted(facts)
    # Where this Python cannot have torch, that is what to say.
    if torch.missing and usable(tuple(_python(facts))):
        yield Finding(
            code=Code.TORCH_MISSING,
            severity=Severity.BROKEN,
            what=f"torch is not installed for {here}",
            remedy=f"{here} -m pip install torch",
        )
    if torch.error and not torch.missing:
        yield Finding(
            code=Code.TORCH_BROKEN,
            severity=Severity.BROKEN,
            what=f"torch is installed but cannot be imported: {torch.error}",
            remedy=_repair(facts),
        )
    if len(torch.copies) > 1:
        places = " and ".join(f"{folder} (by {installer})" for folder, installer in torch.copies)
        yield Finding(
            code=Code.TORCH_TWICE,
            severity=Severity.WARNING,
            what=f"torch is installed {len(torch.copies)} times: {places}",
            remedy=f"Remove all but one: conda remove pytorch, or {here} -m pip uninstall torch",
        )


def _repair(facts: Facts) -> str:
    if facts.python.system == "Windows" and re.search(r"DLL|WinError", facts.torch.error):
        return "Install Microsoft's Visual C++ Redistributable, https://aka.ms/vs/17/release/vc_redist.x64.exe"
    if facts.python.origin == "conda" and len(facts.torch.copies) > 1:
        return "Make a new conda environment and install torch in it once, by conda or by pip, not by both"
    return f"{_quoted(facts)} -m pip install --force-reinstall torch"


def _driver(facts: Facts) -> Iterator[Finding]:
    """Whether NVIDIA's driver is there and new enough."""
    driver, torch = facts.driver, facts.torch
    if torch.cuda_available:
        return
    if facts.python.wsl and not driver.found:
        if torch.cuda or "NVIDIA" in _makers(facts):
            yield Finding(
                code=Code.NO_DRIVER_IN_WINDOWS,
                severity=Severity.WARNING,
                what="WSL shows no NVIDIA GPU: its driver belongs in Windows, not in Linux",
                remedy="If there is one, install its driver in Windows (https://www.nvidia.com/drivers), then "
                "`wsl --update` and `wsl --shutdown`",
            )
    elif not driver.found and "NVIDIA" in _makers(facts):
        yield Finding(
            code=Code.NO_DRIVER,
            severity=Severity.WARNING,
            what="There is an NVIDIA GPU, but not NVIDIA's driver (no nvidia-smi)",
            remedy="Install the driver from https://www.nvidia.com/drivers, or your distribution's package, and reboot",
        )
    elif driver.error:
        yield Finding(
            code=Code.DRIVER_FAILS,
            severity=Severity.WARNING,
            what=f"nvidia-smi fails: {driver.error}",
            remedy="Reboot; if it still fails, install the driver anew (https://www.nvidia.com/drivers)",
        )
    oldest = OLDEST_DRIVERS.get(_major(torch.cuda), 0)
    if driver.version and _major(driver.version) < oldest:
        yield Finding(
            code=Code.DRIVER_TOO_OLD,
            severity=Severity.WARNING,
            what=f"NVIDIA's driver {driver.version} is too old for torch's CUDA {torch.cuda}, which needs {oldest} or "
            "newer",
            remedy="Update the driver (https://www.nvidia.com/drivers)" + _older_torch(facts),
        )


def _older_torch(facts: Facts) -> str:
    wheel = WHEELS.get(_major(facts.driver.cuda))
    return f", or install a torch that it runs: {_install(facts, wheel)}" if wheel else ""


def _accelerator(facts: Facts) -> Iterator[Finding]:
    torch = facts.torch
    if torch.error:
        return
    if torch.hip:
        yield from _rocm(facts)
    elif not torch.cuda:
        yield from _cpu_build(facts)
    elif not torch.cuda_available:
        yield from _unavailable(facts)
    for device in facts.devices:
        yield from _device(facts, device)
    if torch.mps_available:
        yield Finding(
            code=Code.MPS_WITHOUT_FLOAT64,
            severity=Severity.NOTE,
            what=f"Apple's GPU (MPS) has no float64; float32 ends at relative errors of about {FLOAT32_FLOOR:g}",
            remedy='Nothing to do: odenn trains on the CPU (device="cpu"), which is float64',
        )


def _cpu_build(facts: Facts) -> Iterator[Finding]:
    if facts.driver.gpus or "NVIDIA" in _makers(facts):
        name = facts.driver.gpus[0].name if facts.driver.gpus else "an NVIDIA GPU"
        wheel = WHEELS.get(_major(facts.driver.cuda), WHEELS[12])
        yield Finding(
            code=Code.CPU_BUILD,
            severity=Severity.WARNING,
            what=f"torch {facts.torch.version} is built without CUDA, so it cannot use {name}",
            remedy=_install(facts, wheel),
        )
    elif "AMD" in _makers(facts) and facts.python.system == "Linux":
        yield Finding(
            code=Code.CPU_BUILD,
            severity=Severity.NOTE,
            what=f"torch {facts.torch.version} is built without ROCm, so it cannot use the AMD GPU",
            remedy=f"If ROCm supports the GPU, install a torch with it: {PYTORCH}",
        )


def _unavailable(facts: Facts) -> Iterator[Finding]:
    """A build with CUDA that finds no GPU, where the driver does not already explain it."""
    hidden = facts.variables.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        yield Finding(
            code=Code.GPU_HIDDEN,
            severity=Severity.WARNING,
            what=f"CUDA_VISIBLE_DEVICES is {hidden!r}, which hides all GPUs from torch",
            remedy="Remove the variable, or set it to 0",
        )
    elif facts.driver.gpus and not any(True for _ in _driver(facts)):
        yield Finding(
            code=Code.CUDA_FAILS,
            severity=Severity.WARNING,
            what=f"The driver sees {facts.driver.gpus[0].name}, torch does not: {facts.torch.why_not or 'no reason'}",
            remedy="Reboot; in a container, start it with `--gpus all`",
        )


def _rocm(facts: Facts) -> Iterator[Finding]:
    if facts.torch.cuda_available:
        yield Finding(
            code=Code.ROCM,
            severity=Severity.NOTE,
            what=f"torch is built for AMD's ROCm {facts.torch.hip}; odenn was not tried on it",
            remedy='Name the GPU as torch does, device="cuda"',
        )
    else:
        yield Finding(
            code=Code.ROCM_FAILS,
            severity=Severity.WARNING,
            what=f"torch is built for AMD's ROCm {facts.torch.hip}, and finds no GPU",
            remedy="See whether `rocminfo` lists the GPU, and whether you are in the groups render and video",
        )


def _device(facts: Facts, device: Device) -> Iterator[Finding]:
    capability = device.capability if device.kind == "cuda" and not facts.torch.hip else None
    if capability is not None and not _runs_on(facts.torch.architectures, capability):
        yield Finding(
            code=Code.ARCHITECTURE_MISSING,
            severity=Severity.WARNING,
            what=f"torch {facts.torch.version} has no code for {device.name} (sm_{capability[0]}{capability[1]}), only "
            f"for {', '.join(facts.torch.architectures)}",
            remedy=_other_build(facts, capability),
        )
        return
    free = device.memory_free
    if "out of memory" in device.error.lower() or (free is not None and free < ENOUGH_MEMORY):
        left = "" if free is None else f": {_gigabytes(free)} of {_gigabytes(device.memory_total or 0)} are free"
        yield Finding(
            code=Code.OUT_OF_MEMORY,
            severity=Severity.WARNING,
            what=f"{device.name} ({device.place}) is out of memory{left}",
            remedy="End the programs that hold it (nvidia-smi lists them; notebooks keep theirs until restarted)",
        )
    elif device.error:
        yield Finding(
            code=Code.DEVICE_FAILS,
            severity=Severity.BROKEN if device.kind == "cpu" else Severity.WARNING,
            what=f"{device.name} ({device.place}) fails: {device.error}",
            remedy=_repair(facts) if device.kind == "cpu" else "Reboot, and update the driver and torch",
        )
    elif device.kind == "cuda" and device.float32 and device.float64 and device.float32 > SLOW_DOUBLE * device.float64:
        yield Finding(
            code=Code.SLOW_FLOAT64,
            severity=Severity.NOTE,
            what=f"{device.name} computes in float64, which odenn needs, {device.float32 / device.float64:.0f} times "
            "slower than in float32",
            remedy="See whether it still pays: odenn bench-device",
        )


def _other_build(facts: Facts, capability: tuple[int, int]) -> str:
    newest = max((_number(name) for name in facts.torch.architectures), default=0)
    if 10 * capability[0] + capability[1] > newest:
        return _install(facts, WHEELS.get(_major(facts.driver.cuda), WHEELS[13]), upgrade=True)
    return f"The GPU is older than this torch: install an earlier one ({PREVIOUS}), or use the CPU"


def _runs_on(architectures: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Binaries run on GPUs of the same major version and at least their minor one, PTX on all later ones."""
    if not architectures:  # not known
        return True
    own = 10 * capability[0] + capability[1]
    for name in architectures:
        number = _number(name)
        if number <= own and (name.startswith("compute") or number // 10 == capability[0]):
            return True
    return False


def _number(architecture: str) -> int:
    found = re.search(r"\d+", architecture)
    return int(found[0]) if found else 0


def _install(facts: Facts, wheel: str, *, upgrade: bool = False) -> str:
    how = "--upgrade" if upgrade else "--force-reinstall"
    return f"{_quoted(facts)} -m pip install {how} torch --index-url https://download.pytorch.org/whl/{wheel}"


def _quoted(facts: Facts) -> str:
    path = facts.python.executable or "python"
    return f'"{path}"' if " " in path else path


def _makers(facts: Facts) -> set[str]:
    named = " ".join(facts.adapters).lower()
    words = {"NVIDIA": r"nvidia|geforce|quadro|tesla", "AMD": r"\bamd\b|radeon"}
    return {maker for maker, pattern in words.items() if re.search(pattern, named)}


def _inside(folder: str, environment: str | None) -> bool:
    tidy = [part.replace("\\", "/").rstrip("/") for part in (folder, environment or "")]
    if sys.platform == "win32":
        tidy = [part.lower() for part in tidy]
    return tidy[0] == tidy[1]


def _major(version: str | None) -> int:
    found = re.match(r"\d+", version or "")
    return int(found[0]) if found else 0


def _gigabytes(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
