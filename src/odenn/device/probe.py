"""Run as a program of its own: what torch says about itself and its devices, as one line of JSON.

In a process of its own since a broken torch does not always raise: it may end the process, or never come back. It
imports nothing of odenn.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

MARK = "odenn-probe:"  # before the JSON; libraries print things of their own
SECONDS = 0.1  # of measuring one product of matrices
SIZES = {"cpu": 512, "cuda": 2048, "mps": 1024}  # rows and columns


def report() -> dict[str, Any]:
    """Everything, or why torch cannot be imported."""
    try:
        import torch
    except BaseException as error:
        return {"missing": isinstance(error, ModuleNotFoundError) and error.name == "torch", "error": _line(error)}
    mps = getattr(torch.backends, "mps", None)
    facts: dict[str, Any] = {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": getattr(torch.version, "hip", None),
        "architectures": [],
        "cuda_available": False,
        "why_not": "",
        "mps_built": bool(mps and mps.is_built()),
        "mps_available": bool(mps and mps.is_available()),
        "devices": [_measured(torch, "cpu", 0)],
    }
    if facts["cuda"] or facts["hip"]:
        facts |= _cuda(torch)
        facts["devices"] += [_measured(torch, "cuda", i) for i in range(facts.pop("count"))]
    if facts["mps_available"]:
        facts["devices"].append(_measured(torch, "mps", 0))
    return facts


def _cuda(torch: Any) -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = bool(torch.cuda.is_available())
    why = str(caught[0].message).splitlines()[0] if caught else ""
    if not available:
        try:
            torch.cuda.init()
        except Exception as error:
            why = _line(error)
    try:
        architectures = [str(name) for name in torch._C._cuda_getArchFlags().split()]  # get_arch_list() asks the GPU
    except Exception:
        architectures = list(torch.cuda.get_arch_list())
    return {
        "cuda_available": available,
        "why_not": "" if available else why,
        "architectures": architectures,
        "count": torch.cuda.device_count() if available else 0,
    }


def _measured(torch: Any, kind: str, index: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": kind, "index": index, "name": kind, "error": ""}
    device = torch.device(kind) if kind == "cpu" else torch.device(kind, index)
    try:
        if kind == "cuda":
            properties = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            facts |= {
                "name": properties.name,
                "capability": [properties.major, properties.minor],
                "memory_total": total,
                "memory_free": free,
            }
        for name in ("float32", "float64"):
            facts[name] = None if (kind, name) == ("mps", "float64") else _speed(torch, device, name)
    except Exception as error:
        facts["error"] = _line(error)
    return facts


def _speed(torch: Any, device: Any, name: str) -> float:
    """1e9 operations a second in products of square matrices; the best of those that fit into the time."""
    size = SIZES[device.type]
    A = torch.full((size, size), 0.5, dtype=getattr(torch, name), device=device)
    best, end = float("inf"), 0.0
    while end == 0.0 or time.perf_counter() < end:
        start = time.perf_counter()
        float((A @ A)[0, 0])  # reading a number waits for the device
        took = time.perf_counter() - start
        if end == 0.0:  # the first one loads libraries
            end = time.perf_counter() + SECONDS
            best = took if took > SECONDS else best
        else:
            best = min(best, took)
    return 2e-9 * size**3 / best


def _line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


if __name__ == "__main__":
    sys.stdout.write(f"\n{MARK}{json.dumps(report())}\n")
