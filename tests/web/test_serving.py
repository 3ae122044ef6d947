"""`odenn web`: its address, its mistakes, its end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner

import odenn
from odenn.cli._app import app


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "odenn", "web", "--no-browser", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(odenn.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for one process")
def test_from_start_to_ctrl_c() -> None:
    with started("--port", "0") as (process, line):
        address = line.split()[2]
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}api/choices", timeout=10).status_code == 200
        deadline = time.monotonic() + 20
        while len(workers := psutil.Process(process.pid).children()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        deadline = time.monotonic() + 5
        while any(worker.is_running() for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_workers_notice_a_server_that_was_killed() -> None:
    with started("--port", "0") as (process, _):
        deadline = time.monotonic() + 20
        while len(workers := psutil.Process(process.pid).children()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.kill()
    deadline = time.monotonic() + 10
    while any(worker.is_running() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_port_that_is_taken() -> None:
    """A port that was asked for is refused with the reason; without one the next free one is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["web", "--no-browser", "--port", str(port)])
        assert result.exit_code == 2
        assert f"port {port} is in use" in result.stderr


def test_host_that_is_not_here() -> None:
    result = CliRunner().invoke(app, ["web", "--no-browser", "--host", "nowhere.invalid"])
    assert result.exit_code == 2
    assert "cannot listen on nowhere.invalid" in result.stderr
    assert "careful" in result.stderr  # it is not this machine alone


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odenn.extras.find_spec", lambda name: None if name == "plotly" else name)
    result = CliRunner().invoke(app, ["web"])
    assert result.exit_code == 2
    assert "odenn web needs plotly: pip install " in result.stderr
