"""The commands on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from odenn.cli import _options as options
from odenn.cli._failures import reported

if TYPE_CHECKING:
    from odenn.cli._console import Output
    from odenn.device.diagnosis import Finding
    from odenn.device.facts import Command, Device, Facts, Python, Torch

BROKEN = 1  # exit code


def doctor(json: options.Json = False) -> None:
    """Look at Python, torch and the devices; say what is wrong and what helps.

    [bold]Example[/bold]

    odenn doctor

    [bold]Exit codes[/bold] 0 odenn can work here, if only on the CPU; 1 it cannot.
    """
    from odenn.cli._console import Output
    from odenn.device.diagnosis import diagnose, usable
    from odenn.device.facts import facts

    with reported():
        found = facts()
        findings = diagnose(found)
        if json:
            Output().verbatim(_as_json(found, findings))
        else:
            print_diagnosis(Output(), found, findings)
        if not usable(findings):
            raise typer.Exit(BROKEN)


def print_diagnosis(out: Output, facts: Facts, findings: tuple[Finding, ...]) -> None:
    """The facts, the verdict, and the findings with their remedies."""
    from rich.text import Text

    from odenn.cli._report import print_pairs
    from odenn.device.diagnosis import Severity, usable

    colours = {Severity.BROKEN: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold"}
    print_pairs(out, _lines(facts))
    out.print()
    for finding in findings:
        out.paragraph(
            Text.assemble((f"{finding.severity.value.capitalize()}: ", colours[finding.severity]), finding.what)
        )
        out.paragraph(Text.assemble(("Remedy: ", "bold"), finding.remedy))
    places = [device.place for device in facts.devices if not device.error and device.kind != "mps"]
    if usable(findings):
        out.paragraph(f"odenn can work here, on {' and '.join(places) or 'the CPU'}.")
    else:
        out.paragraph("odenn cannot train networks here.")


def _lines(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "python", _python(facts.python)
    yield "on PATH", "\n".join(_command(command) for command in (*facts.commands, facts.pip))
    yield "torch", _torch(facts.torch)
    driver = facts.driver
    if driver.found or driver.error:
        cuda = f", runs CUDA up to {driver.cuda}" if driver.cuda else ""
        yield "driver", f"NVIDIA {driver.version}{cuda}" if not driver.error else f"NVIDIA: {driver.error}"
    for gpu in driver.gpus:
        yield "gpu", f"{gpu.name}, {_gigabytes(gpu.memory_total)} ({_gigabytes(gpu.memory_free)} free)"
    if facts.adapters and not driver.gpus:
        yield "graphics", ", ".join(facts.adapters)
    for device in facts.devices:
        yield device.place, _device(device)
    for name, value in facts.variables.items():
        yield "variable", f"{name}={value}"


def _python(python: Python) -> str:
    place = f"virtual environment {python.environment}, of a Python from" if python.environment else "from"
    system = f"{python.system}{' in WSL' if python.wsl else ''} on {python.machine}"
    return (
        f"{python.version} ({python.implementation}, {python.bits} bits), {system}\n{python.executable}\n{place}: "
        f"{python.origin}"
    )


def _command(command: Command) -> str:
    if command.path is None:
        return f"{command.name}: none"
    if command.error:
        return f"{command.name}: {command.path}, {command.error}"
    return f"{command.name}: {'the same' if command.same else 'another'}, {command.version}, {command.path}"


def _torch(torch: Torch) -> str:
    if torch.missing:
        return "not installed"
    if torch.error:
        return f"cannot be imported: {torch.error}"
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "no CUDA"
    known = f"\nfor {' '.join(torch.architectures)}" if torch.architectures else ""
    return f"{torch.version}, built with {build}{known}" + (f"\nno GPU: {torch.why_not}" if torch.why_not else "")


def _device(device: Device) -> str:
    parts = [device.name]
    if device.memory_total is not None:
        free = f" ({_gigabytes(device.memory_free)} free)" if device.memory_free is not None else ""
        parts.append(_gigabytes(device.memory_total) + free)
    if device.capability is not None:
        parts.append(f"sm_{device.capability[0]}{device.capability[1]}")
    speeds = (("float64", device.float64), ("float32", device.float32))
    parts += [f"{name} {speed:.3g} GFLOP/s" for name, speed in speeds if speed is not None]
    return ", ".join([*parts, device.error] if device.error else parts)


def _gigabytes(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"


def _as_json(facts: Facts, findings: tuple[Finding, ...]) -> str:
    import json
    from dataclasses import asdict

    from odenn.device.diagnosis import usable

    record = {
        "usable": usable(findings),
        "findings": [
            {
                "code": finding.code.value,
                "severity": finding.severity.value,
                "what": finding.what,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
        "facts": asdict(facts),
    }
    return json.dumps(record, indent=2)
