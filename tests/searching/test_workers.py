"""Workers that die in mid-trial: the study loses nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import odenn
from odenn import Residual, search

SMALL = {"depth": 1, "width": (4, 6, 8), "activation": ("tanh", "sin"), "method": Residual(windows=2)}


def problem() -> odenn.IVP:
    return odenn.parse("y' = -2*y; y(0) = 1", span=(0, 2))


def test_a_process_killed_in_mid_trial():
    killed: list[int] = []

    def kill_a_worker(done: int, total: int, tried: object) -> None:
        import multiprocessing

        if done == 2:
            child = multiprocessing.active_children()[0]
            assert child.pid is not None
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    found = search(problem(), **SMALL, processes=2, progress=kill_a_worker)
    assert killed
    assert len({tried.structure for tried in found.tried}) == 6
    assert found.tried[0].error < 1e-6


@pytest.mark.filterwarnings("ignore")  # Dask's own, while a worker dies
def test_dask_and_a_worker_killed_in_mid_trial():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        victim = next(iter(pids.values()))
        killer = threading.Timer(0.0, os.kill, (victim, signal.SIGKILL))

        def kill_once(done: int, total: int, tried: object) -> None:
            if done == 2 and not killer.is_alive() and not killer.finished.is_set():
                killer.start()
                time.sleep(0.1)

        found = search(problem(), **SMALL, client=client, progress=kill_once)
        assert killer.finished.is_set()
        assert len({tried.structure for tried in found.tried}) == 6
        alone = search(problem(), **SMALL)
        assert {t.structure: t.error for t in found.tried} == {t.structure: t.error for t in alone.tried}


@pytest.mark.filterwarnings("ignore")
def test_a_closed_client_is_refused():
    distributed = pytest.importorskip("distributed")
    client = distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None)
    client.close()
    with pytest.raises(ValueError, match="`client` is closed"):
        search(problem(), **SMALL, client=client)


LONG = """
import sys, time, odenn
from odenn import search
problem = odenn.parse("y' = -2*y; y(0) = 1", span=(0, 2))
def progress(done, total, tried):
    print(done, flush=True)
if __name__ == "__main__":
    slow = odenn.TorchOptimiser(iterations=10**7)
    search(problem, depth=1, width=(4, 6, 8), activation="tanh", optimizer=["lm", slow], processes={processes},
           method=odenn.Residual(windows=2), storage="journal", progress=progress)
    print("over", flush=True)
"""
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def started(folder: Path, processes: int, script: str = LONG) -> "subprocess.Popen[str]":
    """A search in a session of its own, when two trials that hardly end are being trained."""
    (folder / "long.py").write_text(script.replace("{processes}", str(processes)))
    process = subprocess.Popen(
        [sys.executable, "long.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(odenn.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def members(session: int) -> list[str]:
    """Processes of a session that are alive."""
    listed = subprocess.run(["ps", "-eo", "sess=,stat=,pid="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for sess, stat, pid in rows if sess == str(session) and not stat.startswith("Z")]


@POSIX
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_all_at_once(tmp_path: Path, processes: int):
    """As a terminal sends it, to all processes; the trials in training are tried again on resume."""
    process = started(tmp_path, processes)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "over"
    assert "Traceback" not in err
    assert process.returncode == 0
    ended_within(process.pid, 10)
    options = {**SMALL, "activation": "tanh", "storage": tmp_path / "journal"}
    slow = odenn.TorchOptimiser(iterations=10**7)
    resumed = search(problem(), **options, optimizer=["lm", slow], seconds=1)
    assert not any(tried.status in ("interrupted", "budget") for tried in resumed.tried)
    assert all(tried.structure.optimizer == "lm" for tried in resumed.tried)


def ended_within(session: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while members(session):
        assert time.monotonic() < deadline, members(session)
        time.sleep(0.05)


@POSIX
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path):
    process = started(tmp_path, 2)
    assert len(members(process.pid)) >= 3
    process.kill()
    ended_within(process.pid, 10)
    process.communicate()
