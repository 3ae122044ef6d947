"""Machines to look at."""

from __future__ import annotations

import pytest

from odenn.device.facts import Command, Device, Driver, Facts, Gpu, Python, Torch

GIB = 2**30


@pytest.fixture
def healthy() -> Facts:
    """A healthy machine with an RTX 4060, Python from python.org in a virtual environment."""
    here = r"C:\Users\ada\work\.venv\Scripts\python.exe"
    return Facts(
        python=Python(
            executable=here,
            version="3.12.7",
            implementation="CPython",
            bits=64,
            system="Windows",
            machine="AMD64",
            origin="python.org",
            environment=r"C:\Users\ada\work\.venv",
        ),
        commands=(
            Command(name="python", path=here, version="3.12.7", same=True),
            Command(name="python3", path=None),
            Command(name="py", path=r"C:\Windows\py.exe", version="3.12.7"),
        ),
        pip=Command(name="pip", path=r"C:\Users\ada\work\.venv\Scripts\pip.exe", version="24.2", same=True),
        torch=Torch(
            version="2.9.1+cu126",
            cuda="12.6",
            architectures=("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
            cuda_available=True,
            copies=((r"C:\Users\ada\work\.venv\Lib\site-packages", "pip"),),
        ),
        driver=Driver(
            found=True,
            version="560.94",
            cuda="12.6",
            gpus=(Gpu(name="NVIDIA GeForce RTX 4060", memory_total=8 * GIB, memory_free=7 * GIB, capability=(8, 9)),),
        ),
        adapters=("NVIDIA GeForce RTX 4060", "Intel(R) UHD Graphics 770"),
        devices=(
            Device(kind="cpu", name="13th Gen Intel", memory_total=32 * GIB, float32=400.0, float64=200.0),
            Device(
                kind="cuda",
                name="NVIDIA GeForce RTX 4060",
                capability=(8, 9),
                memory_total=8 * GIB,
                memory_free=7 * GIB,
                float32=1200.0,
                float64=200.0,
            ),
        ),
        variables={},
    )
