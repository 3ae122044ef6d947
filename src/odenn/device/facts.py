"""What there is: the Python that runs, the Pythons on PATH, torch, the driver, the devices. Says nothing about them."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from odenn.device import probe

# Seconds that a program gets to answer. Where the disk is cold and a virus scanner reads along, torch takes a minute.
QUICK, PATIENT = 20.0, 180.0
VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}  # PCI numbers


@dataclass(frozen=True, kw_only=True)
class Python:
    """The Python that runs odenn."""

    executable: str
    version: str
    implementation: str
    bits: int
    system: str  # "Linux", "Windows", "Darwin"
    machine: str
    origin: str  # who made the installation; see `origin`
    environment: str | None = None  # folder of the virtual environment
    wsl: bool = False


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command as PATH finds it."""

    name: str
    path: str | None  # None where there is none
    version: str | None = None
    same: bool = False  # it is, or belongs to, the Python that runs odenn
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Torch:
    """The torch of this Python."""

    version: str | None = None
    error: str = ""  # why it cannot be imported
    missing: bool = False
    cuda: str | None = None  # of the build
    hip: str | None = None
    architectures: tuple[str, ...] = ()  # GPUs that the build has code for: "sm_86", "compute_90"
    cuda_available: bool = False
    why_not: str = ""  # torch's own words
    mps_built: bool = False
    mps_available: bool = False
    copies: tuple[tuple[str, str], ...] = ()  # (folder, who installed it)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU as NVIDIA's driver lists it."""

    name: str
    memory_total: int  # bytes
    memory_free: int
    capability: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Driver:
    """NVIDIA's driver, as nvidia-smi tells."""

    found: bool = False  # nvidia-smi is there
    version: str | None = None
    cuda: str | None = None  # newest CUDA that it runs
    gpus: tuple[Gpu, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device that torch can use, measured."""

    kind: str  # "cpu", "cuda", "mps"
    index: int = 0
    name: str = ""
    capability: tuple[int, int] | None = None
    memory_total: int | None = None  # bytes
    memory_free: int | None = None
    float32: float | None = None  # 1e9 operations a second in products of matrices
    float64: float | None = None
    error: str = ""

    @property
    def place(self) -> str:
        """As torch names it."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the doctor looks at."""

    python: Python
    commands: tuple[Command, ...]
    pip: Command
    torch: Torch
    driver: Driver
    adapters: tuple[str, ...]  # graphics adapters of the machine, by maker or by name
    devices: tuple[Device, ...]
    variables: Mapping[str, str]


def facts() -> Facts:
    """Collect them; takes a few seconds, and never raises because something is broken."""
    torch, devices = _torch()
    return Facts(
        python=_python(),
        commands=tuple(_command(name) for name in _names()),
        pip=_pip(),
        torch=torch,
        driver=_driver(),
        adapters=_adapters(),
        devices=devices,
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def origin(
    prefix: str, *, system: str, build: str, has: Callable[[str], bool] = os.path.exists, release: str = ""
) -> str:
    """Who made the Python installation at `prefix` (of a virtual environment: of its base).

    `build` is what sysconfig calls the platform, `release` the name of the Linux distribution.
    """
    if has(f"{prefix}/conda-meta"):
        return "conda"
    if system.upper().startswith("CYGWIN"):
        return "Cygwin"
    if system.upper().startswith("MSYS") or build.startswith("mingw"):
        return "MSYS2"
    path = prefix.replace("\\", "/").lower() + "/"
    for part, name in _PLACES:
        if re.search(part, path):
            return name
    if path == "/usr/":
        return f"{release or 'the system'}'s own" if release else "the system's own"
    if path == "/usr/local/":
        return "/usr/local (built there, or a container's)"
    return "unknown"


_PLACES = (
    (r"pythonsoftwarefoundation\.python|/windowsapps/", "Microsoft Store"),
    (r"/\.?pyenv(-win)?/", "pyenv"),
    (r"/uv/python/", "uv"),
    (r"/cellar/|/homebrew/|/linuxbrew/", "Homebrew"),
    (r"/library/developer/|/xcode\.app/", "Apple's command line tools"),
    (r"^/library/frameworks/python\.framework/", "python.org"),
    (r"/programs/python/python3|^[a-z]:/(program files( \(x86\))?/)?python3", "python.org"),
    (r"/hostedtoolcache/", "GitHub Actions"),
)


def _python() -> Python:
    prefix, base = sys.prefix, sys.base_prefix
    release = ""
    if sys.platform == "linux":
        try:
            release = platform.freedesktop_os_release().get("NAME", "")
        except OSError:
            release = ""
    return Python(
        executable=sys.executable or "",
        version=platform.python_version(),
        implementation=platform.python_implementation(),
        bits=64 if sys.maxsize > 2**32 else 32,
        system=platform.system(),
        machine=platform.machine(),
        origin=origin(base, system=platform.system(), build=sysconfig.get_platform(), release=release),
        environment=prefix if prefix != base else None,
        wsl="microsoft" in platform.release().lower(),
    )


def _names() -> tuple[str, ...]:
    return ("python", "python3", "py") if sys.platform == "win32" else ("python", "python3")


def _command(name: str) -> Command:
    path = shutil.which(name)
    if path is None:
        return Command(name=name, path=None)
    ask = "import sys; print(sys.version.split()[0]); print(sys.prefix)"
    answer, error = _answer([path, "-c", ask], QUICK)
    lines = answer.splitlines()
    if error or len(lines) != 2:
        return Command(name=name, path=path, error=error or "it does not answer as Python does")
    return Command(name=name, path=path, version=lines[0], same=_same(lines[1], sys.prefix))


def _pip() -> Command:
    path = shutil.which("pip")
    if path is None:
        return Command(name="pip", path=None)
    answer, error = _answer([path, "--version"], QUICK)
    found = re.match(r"pip (\S+) from (.+) \(python [\d.]+\)", answer.strip())
    if error or found is None:
        return Command(name="pip", path=path, error=error or "it does not answer as pip does")
    place = str(Path(found[2]).parent)
    return Command(name="pip", path=path, version=found[1], same=any(_same(place, entry) for entry in sys.path))


def _same(a: str, b: str) -> bool:
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))


def _torch() -> tuple[Torch, tuple[Device, ...]]:
    # -P: nothing is imported from the folder of the script
    answer, error = _answer([sys.executable, "-P", str(probe.__file__)], PATIENT)
    found = [line for line in answer.splitlines() if line.startswith(probe.MARK)]
    copies = _copies()
    if not found:
        return Torch(error=error or "the process that imported it ended without a word", copies=copies), ()
    told: dict[str, Any] = json.loads(found[-1].removeprefix(probe.MARK))
    devices = tuple(_device(each) for each in told.pop("devices", ()))
    told["architectures"] = tuple(told.get("architectures", ()))
    return Torch(**told, copies=copies), devices


def _device(told: dict[str, Any]) -> Device:
    capability = told.pop("capability", None)
    if told["kind"] == "cpu":
        told |= {"name": processor(), "memory_total": _memory()}
    return Device(**told, capability=None if capability is None else (capability[0], capability[1]))


def _copies() -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for copy in metadata.distributions(name="torch"):
        found[str(copy.locate_file("")), (copy.read_text("INSTALLER") or "unknown").strip()] = None
    # Packages of conda carry metadata of pip's kind as well; a record of its own only conda makes.
    for record in Path(sys.base_prefix, "conda-meta").glob("pytorch-[0-9]*.json"):
        found[str(record.parent), "conda"] = None
    return tuple(found)


def processor() -> str:
    """The CPU in words."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = named[1] if named else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} threads"


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return _windows_memory()


def _windows_memory() -> int | None:
    kernel = getattr(getattr(ctypes, "windll", None), "kernel32", None)
    if kernel is None:
        return None
    kilobytes = ctypes.c_ulonglong()
    return kilobytes.value * 1024 if kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes)) else None


def _driver() -> Driver:
    places = (r"C:\Windows\System32\nvidia-smi.exe", "/usr/lib/wsl/lib/nvidia-smi")
    smi = shutil.which("nvidia-smi") or next((place for place in places if os.path.exists(place)), None)
    if smi is None:
        return Driver()
    columns = "name,driver_version,memory.total,memory.free,compute_cap"
    answer, error = _answer([smi, f"--query-gpu={columns}", "--format=csv,noheader,nounits"], QUICK)
    if error and "compute_cap" in error + answer:  # drivers before 2021 do not know it
        columns = columns.removesuffix(",compute_cap")
        answer, error = _answer([smi, f"--query-gpu={columns}", "--format=csv,noheader,nounits"], QUICK)
    if error:
        return Driver(found=True, error=error)
    banner, _ = _answer([smi], QUICK)
    return driver_from(answer, banner)


def driver_from(table: str, banner: str) -> Driver:
    """From what nvidia-smi prints: a CSV row for each GPU, and its usual picture."""
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines() if line.count(",") >= 3]
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", banner)
    gpus = tuple(
        Gpu(
            name=row[0],
            memory_total=_mebibytes(row[2]),
            memory_free=_mebibytes(row[3]),
            capability=_capability(row[4]) if len(row) > 4 else None,
        )
        for row in rows
    )
    return Driver(
        found=True,
        version=rows[0][1] if rows else None,
        cuda=cuda[1] if cuda else None,
        gpus=gpus,
        error="" if rows else "it lists no GPU",
    )


def _mebibytes(text: str) -> int:
    return int(text) * 2**20 if text.isdigit() else 0


def _capability(text: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _adapters() -> tuple[str, ...]:
    if sys.platform == "win32":
        ask = "(Get-CimInstance Win32_VideoController).Name"
        answer, _ = _answer(["powershell", "-NoProfile", "-NonInteractive", "-Command", ask], QUICK)
        return tuple(line.strip() for line in answer.splitlines() if line.strip())
    return adapters_in(Path("/sys/bus/pci/devices"))


def adapters_in(bus: Path) -> tuple[str, ...]:
    """Makers of the graphics adapters on Linux' PCI bus."""
    found: list[str] = []
    for device in sorted(bus.glob("*")):
        try:
            kind, vendor = (device / "class").read_text().strip(), (device / "vendor").read_text().strip()
        except OSError:
            continue
        if kind.startswith("0x03") and vendor in VENDORS:  # display controllers
            found.append(VENDORS[vendor])
    return tuple(found)


def _answer(command: Sequence[str], seconds: float) -> tuple[str, str]:
    """What a program prints, and what went wrong, in one line; empty if nothing did."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {seconds:g} s"
    except (OSError, ValueError) as error:
        return "", f"it cannot be run ({error})"
    if done.returncode == 0:
        return done.stdout, ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return done.stdout, said[-1].strip() if said else f"it ended with code {done.returncode}"
