"""The commands on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from odenn.cli import _options as options
from odenn.cli._failures import UsageError, reported

if TYPE_CHECKING:
    from odenn.cli._console import Output
    from odenn.device.benchmark import Benchmark, Row
    from odenn.device.diagnosis import Finding
    from odenn.device.facts import Command, Device, Facts, Python, Torch

BROKEN = 1  # exit code

Budget = Annotated[float, Option(metavar="SECONDS", help="Measure for about so long; small sizes come first.", min=0.1)]


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


def bench_device(seconds: Budget = 60.0, plot: options.Plot = None, json: options.Json = False) -> None:
    """Measure training and evaluation on the CPU and on the GPU; keep from what size on the GPU pays.

    `device="auto"` goes by it from then on.

    [bold]Example[/bold]

    odenn bench-device --seconds 60 --plot devices.png
    """
    from odenn.cli._console import Output
    from odenn.cli._files import check_outputs, whole

    with reported():
        check_outputs({"--plot": plot}, {})
        try:
            from odenn.device.benchmark import benchmark, find_accelerator
        except (ImportError, OSError) as error:  # a torch that is broken
            raise UsageError(f"torch cannot be imported ({error}): see what `odenn doctor` says") from None
        from odenn.device.store import keep

        accelerator = find_accelerator()
        found = benchmark(seconds=seconds, accelerator=accelerator)
        kept, failure = None, ""
        if accelerator is not None:
            try:
                kept = keep(found.measured())
            except OSError as error:
                failure = str(error)
        if plot is not None:
            from odenn.device.pictures import plot_benchmark

            with whole(plot) as draft:
                plot_benchmark(found).savefig(draft)
        if json:
            Output().verbatim(_bench_json(found, kept))
            return
        print_benchmark(Output(), found)
        if failure:
            Output().paragraph(f'Not kept for device="auto": {failure}')
        if kept is not None:
            Output().paragraph(f'Kept for device="auto": {kept}')
        if plot is not None:
            Output().paragraph(f"Written: {plot}")


def print_benchmark(out: Output, found: Benchmark) -> None:
    """A row for each size, and the crossovers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from odenn.device.benchmark import STEPS

    out.paragraph(f"CPU: {found.cpu}, {found.threads} used; accelerator: {found.accelerator or 'none'}")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("step", "network", "weights", "points", "work", "CPU ms", "GPU ms", "CPU/GPU"):
        table.add_column(name, justify="left" if name in ("step", "network") else "right", no_wrap=True)
    for row in sorted(found.rows, key=lambda row: (STEPS.index(row.case.step), row.case.weights, row.case.points)):
        table.add_row(*_cells(row))
    out.whole_table(table)
    if found.accelerator is None:
        out.paragraph("There is no accelerator to compare the CPU with; `odenn doctor` says what is missing.")
        return
    for step in STEPS:
        least = found.crossover(step)
        says = "the GPU is not faster" if least is None else f"the GPU is faster from work {least:.2g} on"
        out.paragraph(f"{step}: {says}")


def _cells(row: Row) -> tuple[str, ...]:
    case = row.case
    network = f"{case.hidden[0]}x{len(case.hidden)}"
    there = (
        ("", "") if row.accelerator is None else (f"{1e3 * row.accelerator:.3g}", f"{row.cpu / row.accelerator:.2g}")
    )
    return case.step, network, f"{case.weights:,}", str(case.points), f"{case.work:.1e}", f"{1e3 * row.cpu:.3g}", *there


def _bench_json(found: Benchmark, kept: Path | None) -> str:
    import json
    from dataclasses import asdict

    from odenn.device.benchmark import STEPS

    record = asdict(found) | {
        "crossover": {step: found.crossover(step) for step in STEPS},
        "kept": None if kept is None else str(kept),
    }
    return json.dumps(record, indent=2)
