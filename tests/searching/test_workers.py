"""Workers that die in mid-trial: the study loses nothing."""

import os
import signal
import threading
import time

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
