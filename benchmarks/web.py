"""`odenn web` as its users meet it: how soon it is there, how fast it answers, and twenty of them at once.

The server is a process of its own on 127.0.0.1; the users are tasks in this one and share its cores. Times are wall
time from sending a request to having read the line with the curve. Every curve is compared with the one that odenn in
Python finds for the parameters that this user sent, so that an answer meant for another user counts as an error.

    python benchmarks/web.py [--users 20] [--seconds 300]

Writes benchmarks/results/web.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
import numpy as np
import psutil

import odenn
from odenn.web.gallery import gallery

RESULTS = Path(__file__).parent / "results" / "web.csv"
PAIR = {"equations": "dy1/dx = y1, dy2/dx = k*y1 - y2; y1(0) = 1, y2(0) = 1", "span": [0, 10], "params": {"k": 1.0}}
SETS = 2  # of parameters, for every problem and user
WARM_UP = 60.0  # seconds, after which memory is to be flat
THINKING = (0.1, 1.0)  # seconds between two things that a user does
TRAINING: dict[str, Any] = {
    "equations": "x'' = -k*x; x(0) = 1, x'(0) = 0",
    "span": [0, 4],
    "method": "residual",
    "network": {"hidden": [16, 16], "activation": "tanh"},
    "rtol": 1e-3,
    "seconds": 5,
    "verify": False,
}

Spec = dict[str, Any]


@contextmanager
def started() -> Iterator[tuple[str, psutil.Process, float]]:
    """The server's address, its process, and when it was started."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "odenn", "web", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[2].rstrip("/"), psutil.Process(process.pid), began
        finally:
            process.terminate()


async def events(client: httpx.AsyncClient, spec: Spec) -> AsyncGenerator[dict[str, Any]]:
    async with client.stream("POST", "/api/runs", json=spec) as response:
        if response.status_code != 200:
            raise RuntimeError(f"{response.status_code}: {(await response.aread())[:300]!r}")
        async for line in response.aiter_lines():
            yield json.loads(line)


async def curve_time(client: httpx.AsyncClient, spec: Spec) -> tuple[float, dict[str, Any]]:
    """Seconds until the curve is there, and the curve."""
    began = time.perf_counter()
    found: dict[str, Any] = {}
    seconds = float("nan")
    async with aclosing(events(client, spec)) as answers:
        async for event in answers:
            if event["event"] == "solution":
                seconds, found = time.perf_counter() - began, event
            elif event["event"] == "failed":
                raise RuntimeError(event["message"])
    return seconds, found


@dataclass
class Task:
    """What one user solves, and the curve that is right."""

    spec: Spec
    solution: odenn.Solution

    @classmethod
    def of(cls, spec: Spec) -> Task:
        problem = odenn.parse(spec["equations"], span=tuple(spec["span"]), params=spec["params"] or None)
        return cls(spec, odenn.solve(problem))

    def check(self, curve: dict[str, Any]) -> None:
        expected = self.solution(np.array(curve["t"]))
        y = np.array(curve["y"])
        if y.shape != expected.shape or not np.allclose(y, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()):
            raise AssertionError(f"this is not the solution for {self.spec['params']}")


def tasks(rng: random.Random) -> list[Task]:
    """Every problem of the gallery with parameters of one's own."""
    found: list[Task] = []
    for entry in gallery():
        for _ in range(SETS):
            # Near the values of the zoo: a slider that is dragged.
            params = {name: value * rng.uniform(0.9, 1.1) for name, value in entry.params.items()}
            found.append(
                Task.of({"equations": entry.equations, "span": list(entry.span), "params": params, "verify": False})
            )
    return found


@dataclass
class Log:
    """What the users met."""

    done: Counter[str] = field(default_factory=Counter[str])
    errors: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])
    memory: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    """Seconds, MB of the server, MB of its workers."""


async def user(address: str, number: int, own: list[Task], until: float, log: Log) -> None:
    """Somebody at the page: solves, drags, types, trains, stops, and thinks in between."""
    rng = random.Random(number)
    doings = {solve: 8, drag: 4, read: 4, verify: 1, train: 1, stop: 1, leave: 1}
    async with httpx.AsyncClient(base_url=address, timeout=120.0) as client:
        while time.perf_counter() < until:
            doing = rng.choices(list(doings), list(doings.values()))[0]
            try:
                await doing(client, rng, own, log)
                log.done[doing.__name__] += 1
            except Exception as error:
                log.errors.append(f"{doing.__name__}: {type(error).__name__}: {error}")
            await asyncio.sleep(rng.uniform(*THINKING))


async def solve(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    task = rng.choice(own)
    seconds, curve = await curve_time(client, task.spec)
    log.seconds.append(seconds)
    task.check(curve)


async def drag(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    """The exponential with ten values of its rate, one right after the other."""
    for k in np.linspace(1.0, 2.0, 10) * rng.uniform(0.5, 1.0):
        spec = {"equations": "y' = -k*y; y(0) = 1", "span": [0, 3], "params": {"k": float(k)}, "verify": False}
        seconds, curve = await curve_time(client, spec)
        log.seconds.append(seconds)
        if np.abs(np.array(curve["y"][0]) - np.exp(-k * np.array(curve["t"]))).max() > 1e-6:
            raise AssertionError(f"this is not the solution for k = {k}")


async def read(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    task = rng.choice(own)
    text = task.spec["equations"]
    for end in (len(text) // 2, len(text)):  # while it is being typed, and complete
        given = {"equations": text[:end], "params": task.spec["params"], "span": task.spec["span"]}
        response = await client.post("/api/read", json=given)
        response.raise_for_status()
    answer = response.json()
    if not answer["ok"] or answer["parameters"] != task.spec["params"]:
        raise AssertionError(f"this is not what was read: {answer}")


async def verify(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    task = rng.choice(own)
    kinds: dict[str, Any] = {}
    async with aclosing(events(client, {**task.spec, "verify": True})) as answers:
        async for event in answers:
            kinds[event["event"]] = event
    task.check(kinds["solution"])
    if kinds["verified"]["source"] is not None and not kinds["verified"]["within_tolerance"]:
        raise AssertionError(f"verification finds an error beyond the tolerance: {kinds['verified']['message']}")


async def train(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    k = rng.uniform(0.5, 2.0)
    _, curve = await curve_time(client, {**TRAINING, "params": {"k": k}})
    t, y = np.array(curve["t"]), np.array(curve["y"][0])
    bound = 2 * np.array(curve["error"][0]) + 1e-6
    if (np.abs(y - np.cos(np.sqrt(k) * t)) > bound).any():
        raise AssertionError(f"this is not the solution for k = {k}, by its own error estimate")


async def stop(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    """A training that would take all its time, ended after a second of progress; it keeps what it has."""
    slow = {**TRAINING, "params": {"k": 1.0}, "windows": 1, "optimizer": {"name": "adam", "iterations": 100_000}}
    last, run = None, None
    async with aclosing(events(client, slow)) as answers:
        async for event in answers:
            run = event.get("run", run)
            if event["event"] == "progress" and event["seconds"] > 1:
                (await client.post(f"/api/runs/{run}/stop", json={})).raise_for_status()
            if event["event"] in ("summary", "failed"):
                last = event
    if last is None or last.get("status") not in ("INTERRUPTED", "BUDGET"):
        raise AssertionError(f"stopped, and got {last}")


async def leave(client: httpx.AsyncClient, rng: random.Random, own: list[Task], log: Log) -> None:
    """Goes away before the answer is complete."""
    async with aclosing(events(client, rng.choice(own).spec)) as answers:
        async for _ in answers:
            break


async def watch(process: psutil.Process, until: float, log: Log) -> None:
    """Memory, once a second."""
    began = time.perf_counter()
    while time.perf_counter() < until:
        workers = sum(_megabytes(child) for child in process.children())
        log.memory.append((time.perf_counter() - began, _megabytes(process), workers))
        await asyncio.sleep(1.0)


def _megabytes(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 2**20
    except psutil.Error:
        return 0.0


async def latencies(address: str) -> tuple[list[float], list[float]]:
    """First curves of the linear pair, and curves while its parameter is dragged."""
    async with httpx.AsyncClient(base_url=address, timeout=60.0) as client:
        await curve_time(client, {**PAIR, "verify": False})
        first: list[float] = []
        for _ in range(10):
            async with httpx.AsyncClient(base_url=address, timeout=60.0) as fresh:
                seconds, _ = await curve_time(fresh, {**PAIR, "verify": True})
                first.append(seconds)
        dragged: list[float] = []
        for k in np.linspace(0.5, 2.0, 200):
            seconds, curve = await curve_time(client, {**PAIR, "params": {"k": float(k)}, "verify": False})
            exact = (k * np.exp(curve["t"]) + (2 - k) * np.exp(-np.array(curve["t"]))) / 2
            assert np.abs(curve["y"][1] - exact).max() < 1e-6 * exact.max()
            dragged.append(seconds)
    return first, dragged


async def together(address: str, process: psutil.Process, users: int, seconds: float) -> Log:
    everybody = [tasks(random.Random(1000 + number)) for number in range(users)]
    log = Log()
    until = time.perf_counter() + seconds
    await asyncio.gather(
        watch(process, until, log), *(user(address, number, own, until, log) for number, own in enumerate(everybody))
    )
    return log


def slope(times: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    """Per minute, of the line of least squares."""
    return float(np.polyfit(times / 60, values, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    rows: list[tuple[str, float, str]] = []
    with started() as (address, process, began):
        httpx.get(f"{address}/", timeout=30).raise_for_status()
        rows.append(("odenn web to page served", time.perf_counter() - began, "s"))
        text = {"equations": PAIR["equations"], "params": PAIR["params"]}
        assert httpx.post(f"{address}/api/read", json=text, timeout=30).json()["ok"]
        rows.append(("odenn web to equations read", time.perf_counter() - began, "s"))
        time.sleep(10)  # for the workers that draw and train, which are started last
        first, dragged = asyncio.run(latencies(address))
        rows.append(("first curve of the linear pair, median", float(np.median(first)), "s"))
        rows.append(("first curve of the linear pair, largest", max(first), "s"))
        rows.append(("slider to curve, median", float(np.median(dragged)), "s"))
        rows.append(("slider to curve, 95 %", float(np.percentile(dragged, 95)), "s"))
        log = asyncio.run(together(address, process, options.users, options.seconds))
    rows.append((f"{options.users} users at once", options.seconds, "s"))
    rows.extend((f"{name} by users", count, "times") for name, count in sorted(log.done.items()))
    rows.append(("errors", len(log.errors), "times"))
    rows.append(("collocation curves", len(log.seconds), "times"))
    rows.extend(
        (f"collocation curve among users, {name}", float(np.percentile(log.seconds, share)), "s")
        for name, share in (("median", 50), ("95 %", 95), ("largest", 100))
    )
    times, server, workers = np.array(log.memory).T
    late = times > min(WARM_UP, times[-1] / 2)
    for name, values in (("server", server), ("workers", workers)):
        rows.append((f"memory of {name} after warm-up, mean", float(values[late].mean()), "MB"))
        rows.append((f"memory of {name} after warm-up, largest", float(values[late].max()), "MB"))
        rows.append((f"memory of {name} after warm-up, slope", slope(times[late], values[late]), "MB/min"))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("measure", "value", "unit"), *((name, f"{v:.4g}", unit) for name, v, unit in rows)]
        )
    for name, value, unit in rows:
        print(f"{name:45} {value:10.4g} {unit}")
    for error, count in Counter(log.errors).most_common(20):
        print(count, error)
    minutes = [
        (k, server[times // 30 == k].mean(), workers[times // 30 == k].mean()) for k in range(int(times[-1] // 30))
    ]
    print("\n".join(f"{30 * k:4d} s: server {a:6.1f} MB, workers {b:7.1f} MB" for k, a, b in minutes))


if __name__ == "__main__":
    main()
