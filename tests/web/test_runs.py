"""Runs over HTTP: what Python gets, users side by side, stopping, limits, scripts and downloads."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import psutil
import pytest
from numpy.testing import assert_allclose

import odenn
from odenn.web import app, jobs, runs, workers
from odenn.web.gallery import gallery
from odenn.web.specification import Limits

LINEAR_PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
SLOW: dict[str, Any] = {  # Adam, which takes all its iterations
    "equations": "x'' = -x; x(0) = 1, x'(0) = 0",
    "span": [0, 20],
    "method": "residual",
    "network": {"hidden": [16, 16], "activation": "tanh"},
    "optimizer": {"name": "adam", "iterations": 100_000},
    "windows": 4,
    "seconds": 15,
    "verify": False,
}

ENDLESS = {"equations": "x'' = -x; x(0) = 1, x'(0) = 0", "span": [0, 1e9], "verify": False, "seconds": 15}


def test_linear_pair_as_in_python(served: Any) -> None:
    """Bit for bit."""
    events = served.run(span=(0, 10), rtol=1e-9)
    kinds = [event["event"] for event in events if event["event"] != "queued"]
    assert kinds == ["started", "solution", "summary", "end"]
    curve, summary = served.the(events, "solution"), served.the(events, "summary")
    solution = odenn.solve(odenn.parse(LINEAR_PAIR, span=(0, 10)), rtol=1e-9)
    t = np.array(curve["t"])
    assert t[0] == 0
    assert t[-1] == 10
    assert (np.diff(t) > 0).all()
    assert np.array_equal(curve["y"], solution(t))
    assert np.array_equal(curve["error"], solution.error(t))
    assert np.array_equal(curve["residual"], solution.residual(t))
    assert curve["names"] == ["y1", "y2"]
    assert curve["independent"] == "x"
    assert curve["windows"] == len(curve["ends"]) == solution.stats.windows
    assert summary["success"] is True
    assert summary["message"] == solution.message
    assert 0 < summary["reached"] <= summary["asked"] == 1e-9
    assert np.array_equal(summary["table"]["y"], solution(solution.grid(11)))
    assert summary["training"] is None


@pytest.mark.parametrize(
    "method",
    [
        {"method": "residual", "network": {"hidden": [16, 16], "activation": "sin"}, "seed": 3},
        {
            "method": "data-fit",
            "data": {"kind": "rk4", "step": 0.01},
            "network": {"hidden": [20], "activation": "tanh"},
        },
        {"method": "residual", "optimizer": {"name": "lbfgs", "iterations": 60}, "windows": 2},
    ],
    ids=["residual", "data-fit", "lbfgs"],
)
def test_training(served: Any, method: dict[str, Any]) -> None:
    events = served.run(rtol=1e-4, **method)
    curve, summary = served.the(events, "solution"), served.the(events, "summary")
    t, y = np.array(curve["t"]), np.array(curve["y"])
    true = np.abs(y[0] - np.exp(t)).max()
    assert true <= 1.5 * np.max(curve["error"][0])
    if summary["success"]:
        assert true <= 1e-4 * np.exp(2)
    else:
        assert summary["training"]["diagnoses"]
    losses = summary["training"]["losses"]
    assert losses[-1][0] == summary["stats"]["iterations"]
    assert losses[-1][1] < losses[0][1]


def test_verified_after_the_summary(served: Any) -> None:
    events = served.run(verify=True)
    assert [event["event"] for event in events][-2:] == ["verified", "end"]
    verified = served.the(events, "verified")
    t = np.array(verified["t"])
    assert verified["source"].startswith(("exact: ", "SciPy"))  # where the machine is busy, SymPy may come too late
    assert_allclose(verified["y"][0], np.exp(t), rtol=1e-11)
    assert verified["within_tolerance"] is True
    assert 0 < verified["true_error"] < 1e-6


def test_parameter_of_the_initial_conditions_alone(served: Any) -> None:
    """As of the pendulum in the gallery: it is compared, and can be downloaded and opened."""
    pendulum = next(entry for entry in gallery() if entry.name == "pendulum").as_json()["spec"]
    events = served.events({**pendulum, "span": [0, 2]})
    assert served.the(events, "verified")["within_tolerance"]
    run = served.the(events, "started")["run"]
    assert served.download(run, "csv").text.startswith("t,y")
    upload = served.upload("pendulum.odenn", served.download(run, "odenn").content).json()["upload"]
    opened = served.the(served.events({"upload": upload}), "summary")["problem"]
    assert opened == {
        "equations": "y'' = -sin(y)",
        "initial": "y(0) = 3, y'(0) = 0",
        "params": {"a": 3},
        "span": [0, 2],
    }


def test_no_reference_is_said(served: Any) -> None:
    """The event comes, and says why there is nothing to compare with."""
    events = served.run("y' = y^2; y(0) = 1", span=(0, 2), verify=True)
    summary = served.the(events, "summary")
    assert summary["status"] == "BLOW_UP"
    assert served.the(events, "verified")["message"]


def test_unsolved_from_the_start(served: Any) -> None:
    """Nothing to draw: a summary that says so, and no curve."""
    events = served.run("y' = 1/t; y(0) = 1", span=(0, 2))
    kinds = [event["event"] for event in events]
    assert "solution" not in kinds
    last = events[-2]
    assert "finite" in last["message"] or "division" in last["message"]


def test_backwards_and_initial_point_inside(served: Any) -> None:
    curve = served.the(served.run("y' = -y; y(0) = 1", span=(1, -1)), "solution")
    t = np.array(curve["t"])
    assert (t[0], t[-1]) == (1, -1)
    assert_allclose(curve["y"][0], np.exp(-t), rtol=1e-6)


def test_mistakes_have_a_place(served: Any) -> None:
    failed = served.the(served.run("y' = -y +* 2; y(0) = 1"), "failed")
    assert failed["kind"] == "input"
    assert (failed["field"], failed["line"], failed["column"]) == ("equations", 1, 10)
    failed = served.the(served.run("y' = -y", initial="y(0) = one"), "failed")
    assert failed["field"] == "initial"
    failed = served.the(served.run("y' = -k*y; y(0) = 1"), "failed")
    assert "unknown name `k`" in failed["message"]
    assert "--param" not in failed["message"]


def test_users_side_by_side(served: Any) -> None:
    """Twenty at once, each with a parameter of its own: each gets its own solution."""

    def user(k: float) -> float:
        curve = served.the(served.run("y' = -k*y; y(0) = 1", span=(0, 3), params={"k": k}), "solution")
        return float(np.abs(np.array(curve["y"][0]) - np.exp(-k * np.array(curve["t"]))).max())

    with ThreadPoolExecutor(20) as users:
        errors = list(users.map(user, 0.1 + 0.37 * np.arange(60)))
    assert max(errors) < 1e-6


def test_queue_tells_the_place(served: Any) -> None:
    """Trainings wait for each other; a run that waits is told how many are ahead, and can be left."""
    with served.client() as client, client.stream("POST", "/api/runs", json=SLOW) as first:
        lines = first.iter_lines()
        events = (json.loads(line)["event"] for line in lines)
        assert next(event for event in events if event != "queued") == "started"  # a worker may be starting
        with served.client() as other, other.stream("POST", "/api/runs", json=SLOW) as second:
            event = json.loads(next(second.iter_lines()))
            assert (event["event"], event["ahead"]) == ("queued", 0)
    _settle(served.server.training)


def test_a_run_that_waits_can_be_stopped_and_left(serving: Any) -> None:
    """It leaves the queue at once, and those behind it move up; the run before it goes on."""
    with serving(Limits(seconds=20.0), quick=1, training=1) as served, ExitStack() as stack:

        def start() -> tuple[Iterator[dict[str, Any]], httpx.Response]:
            client = stack.enter_context(served.client())
            response = stack.enter_context(client.stream("POST", "/api/runs", json=SLOW))
            return (json.loads(line) for line in response.iter_lines()), response

        first, _ = start()
        assert next(event for event in first if event["event"] == "progress")
        stopped, _ = start()
        run = next(stopped)["run"]
        left, response = start()
        assert next(left)["ahead"] == 1
        behind, _ = start()
        assert next(behind)["ahead"] == 2
        with served.client() as client:
            client.post(f"/api/runs/{run}/stop")
        failed = next(stopped)
        assert (failed["event"], failed["kind"]) == ("failed", "stopped")
        response.close()
        while next(behind)["ahead"]:  # an event of another kind would have none
            pass
        assert next(first)["event"] == "progress"


def test_reading_waits_for_no_run(serving: Any) -> None:
    with serving(Limits(seconds=20.0), quick=1, training=1) as served, ExitStack() as stack:
        client = stack.enter_context(served.client())
        response = stack.enter_context(client.stream("POST", "/api/runs", json=ENDLESS))
        assert any(json.loads(line)["event"] == "progress" for line in response.iter_lines())
        began = time.monotonic()
        assert served.read("y' = -y; y(0) = 1")["ok"]
        assert time.monotonic() - began < 5


def test_a_run_is_compared_afterwards(served: Any) -> None:
    """As with `verify` in its specification; not while it runs, and not where there is nothing to compare."""
    events = served.run(verify=False)
    run = served.the(events, "started")["run"]
    events = [json.loads(line) for line in served.post(f"/api/runs/{run}/verify", {}).text.splitlines()]
    assert [event["event"] for event in events if event["event"] != "queued"] == ["verified", "end"]
    assert served.the(events, "verified")["within_tolerance"]
    unsolved = served.the(served.run("y' = 1/t; y(0) = 1"), "started")["run"]
    assert served.post(f"/api/runs/{unsolved}/verify", {}).status_code == 404
    assert served.post("/api/runs/none/verify", {}).status_code == 404
    with served.client() as client, client.stream("POST", "/api/runs", json=SLOW) as response:
        lines = response.iter_lines()
        run = next(json.loads(line)["run"] for line in lines if '"started"' in line)
        assert served.post(f"/api/runs/{run}/verify", {}).status_code == 409
    _settle(served.server.training)


def test_many_windows(served: Any) -> None:
    """Their number is told, and the ends of some."""
    curve = served.the(served.run("x'' = -x; x(0) = 1, x'(0) = 0", span=(0, 6000)), "solution")
    assert curve["windows"] > 500 == len(curve["ends"])
    assert curve["ends"][-1] == 6000


def test_full_queue(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Limits(), quick=1, training=1) as served:
        monkeypatch.setattr(served.server.quick, "longest_queue", 0)
        response = served.post("/api/runs", {"equations": LINEAR_PAIR, "span": [0, 1]})
        assert response.status_code == 503
        assert "try again" in response.json()["message"]


def test_stop_keeps_the_best_so_far(served: Any) -> None:
    """Progress has losses and the solution so far; after Stop comes a summary, with curves and an error estimate."""
    events: list[dict[str, Any]] = []
    with served.client() as client, client.stream("POST", "/api/runs", json=SLOW) as response:
        run = None
        stopped = 0.0
        for line in response.iter_lines():
            event = json.loads(line)
            events.append(event)
            run = event.get("run", run)
            if not stopped and [each["event"] for each in events].count("progress") == 4:
                stopped = time.monotonic()
                with served.client() as other:
                    assert other.post(f"/api/runs/{run}/stop").status_code == 204
        assert time.monotonic() - stopped < 10
    progress = [event for event in events if event["event"] == "progress"]
    counted = [k for event in progress for k, _ in event["losses"]]
    assert counted == sorted(set(counted))
    assert any(len(event["y"]) == 1 and len(event["y"][0]) == len(event["t"]) for event in progress if "t" in event)
    assert all((event["names"], event["independent"]) == (["x"], "t") for event in progress if "t" in event)
    summary = served.the(events, "summary")
    assert summary["status"] == "INTERRUPTED"
    assert summary["seconds"] < 12
    curve = served.the(events, "solution")
    assert curve["t"][-1] > 0
    assert served.download(run, "odenn").status_code == 200


def test_stop_of_a_long_collocation(served: Any) -> None:
    with served.client() as client, client.stream("POST", "/api/runs", json=ENDLESS) as response:
        events = []
        for line in response.iter_lines():
            events.append(json.loads(line))
            if events[-1]["event"] == "progress":
                with served.client() as other:
                    other.post(f"/api/runs/{events[0]['run']}/stop")
    assert served.the(events, "summary")["status"] == "INTERRUPTED"
    assert served.the(events, "summary")["seconds"] < 5
    assert_allclose(
        served.the(events, "solution")["y"][0][:3], np.cos(served.the(events, "solution")["t"][:3]), rtol=1e-5
    )


def test_a_closed_connection_ends_the_run(served: Any) -> None:
    """A page that goes away leaves no run behind; the worker is there for the next."""
    with served.client() as client, client.stream("POST", "/api/runs", json=SLOW) as response:
        for line in response.iter_lines():
            if json.loads(line)["event"] == "progress":
                break
    _settle(served.server.training)


def _settle(lane: workers.Lane) -> None:
    """Wait until nothing runs or waits: long before SLOW or ENDLESS would have ended."""
    deadline = time.monotonic() + 6
    while lane._busy or lane._waiting:
        assert time.monotonic() < deadline, (lane._busy, lane._waiting)
        time.sleep(0.05)


def test_a_dead_worker_is_replaced(served: Any) -> None:
    served.run()
    for pid in served.server.quick.pids:
        psutil.Process(pid).kill()
    time.sleep(0.2)
    assert served.the(served.run(), "summary")["success"]


def test_a_run_that_is_left_while_its_worker_starts(serving: Any) -> None:
    """The new worker is told, and stays for the next run."""
    with serving(Limits(), quick=1, training=1) as served:
        served.run()
        lane = served.server.quick
        (killed,) = lane.pids
        psutil.Process(killed).kill()
        time.sleep(0.2)
        with served.client() as client, client.stream("POST", "/api/runs", json=ENDLESS):
            while killed in lane.pids or not lane.pids:
                time.sleep(0.01)
        started = lane.pids
        _settle(lane)
        assert served.the(served.run(), "summary")["success"]
        assert lane.pids == started


def test_limits_free_what_they_end(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its time, and past its memory by many small steps: a message, and the process is gone."""
    monkeypatch.setattr(app, "GRACE", 0.5)
    data = {"method": "data-fit", "data": {"kind": "euler", "step": 1.1e-5}}
    with serving(Limits(seconds=2.0, memory_mb=700), quick=1, training=1) as served:
        assert served.the(served.run(method="residual", rtol=1e-3), "summary")
        before = set(served.server.training.pids)
        failed = served.the(served.run(span=(0, 10), seconds=1.0, **data), "failed")
        assert failed["kind"] == "limit"
        assert "1.5 s" in failed["message"]
        deadline = time.monotonic() + 2
        while any(psutil.pid_exists(pid) for pid in before):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # Memory that is watched, not only refused: the worker, once it is there, does not know of this limit.
        assert served.the(served.run(method="residual", rtol=1e-3), "summary")
        monkeypatch.setattr(served.server.training, "memory_mb", 100)
        failed = served.the(served.run(span=(0, 10), seconds=2.0, **data), "failed")
        assert failed["kind"] == "limit"
        assert "100 MB" in failed["message"]


def test_downloads_open(served: Any, tmp_path: Path) -> None:
    events = served.run(span=(0, 2), rtol=1e-8)
    run, summary = served.the(events, "started")["run"], served.the(events, "summary")
    files = {kind: served.download(run, kind) for kind in summary["downloads"]}
    assert {"csv", "png", "svg", "odenn", "py", "onnx"} == set(files)
    for kind, file in files.items():
        assert file.status_code == 200, kind
        assert file.headers["content-disposition"] == f'attachment; filename="odenn-run.{kind}"'
    rows = list(csv.reader(io.StringIO(files["csv"].text)))
    assert rows[0] == ["x", "y1", "y2", "error_y1", "error_y2"]
    values = np.array(rows[1:], dtype=float)
    assert_allclose(values[:, 1], np.exp(values[:, 0]), rtol=1e-8)
    assert files["png"].content.startswith(b"\x89PNG")
    assert ElementTree.fromstring(files["svg"].content).tag.endswith("svg")
    (tmp_path / "run.odenn").write_bytes(files["odenn"].content)
    assert_allclose(odenn.load(tmp_path / "run.odenn")(2.0)[0], np.exp(2.0), rtol=1e-8)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(files["onnx"].content)
    (y,) = session.run(None, {session.get_inputs()[0].name: np.array([[2.0]])})
    assert_allclose(y[0, 0], np.exp(2.0), rtol=1e-8)


@pytest.mark.parametrize(
    "content",
    [
        {"equations": "y'' = -k*y", "initial": "y(0) = 0, y'(0) = v", "params": {"k": 2.5, "v": 1.0}, "atol": 1e-9},
        {"equations": "y' = -y; y(0) = 1\n", "network": {"kind": "tanh"}, "seed": 4, "rtol": 1e-5},
        {"equations": LINEAR_PAIR, "method": "residual", "rtol": 1e-3, "stages": 2, "points": 20, "windows": 2},
        {"equations": LINEAR_PAIR, "method": "data-fit", "rtol": 1e-3, "data": {"kind": "euler", "step": 0.001}},
        {
            "equations": "y' = -y; y(0) = 1",
            "method": "residual",
            "rtol": 1e-2,
            "network": {"hidden": [8], "activation": "gelu"},
            "optimizer": {"name": "adam", "lr": 0.01, "iterations": 300},
            "windows": 1,
        },
    ],
    ids=["parameters", "features", "residual", "data-fit", "adam"],
)
def test_script_reproduces_the_run(served: Any, content: dict[str, Any], tmp_path: Path) -> None:
    events = served.events({"span": [0, 2], "verify": False, **content})
    table = served.the(events, "summary")["table"]
    (tmp_path / "run.py").write_bytes(served.download(served.the(events, "started")["run"], "py").content)
    assert_allclose(_printed(tmp_path / "run.py"), [table["t"], *table["y"]], rtol=1e-13, atol=1e-15)


def _printed(script: Path) -> Any:
    """Times and values that a script prints, by row."""
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=script.parent,
        env={**os.environ, "PYTHONPATH": str(Path(odenn.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return np.array([line.split() for line in done.stdout.splitlines()[1:]], dtype=float).T


def test_data_of_ones_own(served: Any, tmp_path: Path) -> None:
    """A CSV file is uploaded and fitted; its script asks for the file by the name that the user knows."""
    t = np.linspace(0, 2, 41)
    rows = "\n".join(f"{a!r},{float(np.exp(-a))!r}" for a in t.tolist())
    data = f"time,y\n{rows}\n".encode()
    answer = served.upload("C:\\fakepath\\measured.csv", data).json()
    assert answer == {**answer, "kind": "data", "name": "measured.csv", "columns": ["time", "y"], "rows": 41}
    fit = {"method": "data-fit", "data": {"kind": "csv", "upload": answer["upload"]}, "rtol": 1e-3}
    events = served.run("y' = -y; y(0) = 1", **fit)
    curve = served.the(events, "solution")
    assert_allclose(curve["y"][0], np.exp(-np.array(curve["t"])), atol=1e-3)
    (tmp_path / "measured.csv").write_bytes(data)
    (tmp_path / "run.py").write_bytes(served.download(events[0]["run"], "py").content)
    table = served.the(events, "summary")["table"]
    assert_allclose(_printed(tmp_path / "run.py"), [table["t"], *table["y"]], rtol=1e-13)
    failed = served.the(served.run("z' = -z; z(0) = 1", **fit), "failed")
    assert "no column 'z'" in failed["message"]
    assert "/" not in failed["message"]  # no path of the server's


def test_data_as_spreadsheets_write_them(served: Any) -> None:
    """Semicolons, decimal commas, and a column of remarks."""
    rows = "\n".join(f"{a:.2f};{np.exp(-a):.12f};fine".replace(".", ",") for a in np.linspace(0, 2, 41))
    answer = served.upload("measured.csv", f"time;y;remark\n{rows}\n".encode()).json()
    assert answer["columns"] == ["time", "y", "remark"]
    fit = {"method": "data-fit", "data": {"kind": "csv", "upload": answer["upload"]}, "rtol": 1e-3}
    curve = served.the(served.run("y' = -y; y(0) = 1", **fit), "solution")
    assert_allclose(curve["y"][0], np.exp(-np.array(curve["t"])), atol=1e-3)


def test_solution_of_ones_own(served: Any, tmp_path: Path) -> None:
    """A saved solution is shown like a run, can be had in other formats, and verified in Python."""
    solution = odenn.solve(odenn.parse(LINEAR_PAIR, span=(0, 2)))
    solution.save(tmp_path / "mine.odenn")
    answer = served.upload("mine.odenn", (tmp_path / "mine.odenn").read_bytes()).json()
    assert answer["kind"] == "solution"
    events = served.events({"upload": answer["upload"]})
    curve, summary = served.the(events, "solution"), served.the(events, "summary")
    assert np.array_equal(curve["y"], solution(np.array(curve["t"])))
    assert summary["problem"] == {"equations": LINEAR_PAIR, "initial": "", "params": {}, "span": [0, 2]}
    assert served.download(events[0]["run"], "csv").text.startswith("x,y1,y2")
    assert "odenn.load('mine.odenn')" in served.download(events[0]["run"], "py").text


def test_a_python_function_of_ones_own(served: Any, tmp_path: Path) -> None:
    """Its equations are not in the file: no defect, but everything else."""
    odenn.solve(odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 2))).save(tmp_path / "f.odenn")
    answer = served.upload("f.odenn", (tmp_path / "f.odenn").read_bytes()).json()
    events = served.events({"upload": answer["upload"]})
    assert served.the(events, "solution")["residual"] is None
    assert served.the(events, "summary")["problem"] is None


def test_others_do_not_find_a_run(served: Any) -> None:
    """Ids cannot be guessed, and an upload is no run."""
    run = served.the(served.run(), "started")["run"]
    assert len(run) >= 32
    assert served.download(run[:-1] + ("a" if run[-1] != "a" else "b"), "csv").status_code == 404
    upload = served.upload("a.csv", b"t,y\n0,1\n1,2\n").json()["upload"]
    assert served.download(upload, "csv").status_code == 404
    response = served.post("/api/runs", {"upload": upload})
    assert response.status_code == 400
    assert response.json()["field"] == "upload"
    assert served.download(run, "exe").status_code == 404


def test_a_file_appears_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may ask for it at once: the second must not get the half that the first has written."""
    solution = odenn.solve(odenn.parse(LINEAR_PAIR, span=(0, 2)))
    solution.save(tmp_path / "solution.odenn")
    target = tmp_path / "odenn_run.csv"

    def write(self: odenn.Solution, path: Path, points: int) -> None:
        path.write_text("half")
        assert not target.exists()
        path.write_text("all")

    monkeypatch.setattr(odenn.Solution, "to_csv", write)
    argument = {"path": str(tmp_path / "solution.odenn"), "target": str(target)}
    assert jobs.export(argument, jobs.Control(1, lambda event: None)) == {"written": True}
    assert target.read_text() == "all"
    assert {path.name for path in tmp_path.iterdir()} == {"solution.odenn", "odenn_run.csv"}


def test_runs_of_a_slider_make_room_first(served: Any) -> None:
    """Those whose page shows a later one, or is gone, go before older ones that can still be asked for."""
    shelf = runs.Shelf(most=4)
    kept = [shelf.new("run") for _ in range(4)]
    shelf.let_go(kept[2])
    shelf.new("run")
    assert [shelf.get(each.id, "run") is each for each in kept] == [True, True, False, True]
    shelf.close()
    with served.client() as client:
        content = {"equations": LINEAR_PAIR, "span": [0, 2], "verify": False}
        ids = [""]
        for _ in range(3):
            lines = client.post("/api/runs", params={"replaces": ids[-1]}, json=content).text.splitlines()
            ids.append(served.the([json.loads(line) for line in lines], "started")["run"])
    used = [served.server.shelf._kept[run].used for run in ids[1:]]
    assert used[2] - max(used[:2]) > runs.AGE / 2
    assert served.download(ids[1], "csv").status_code == 200  # for a minute


def test_old_runs_make_room() -> None:
    shelf = runs.Shelf(most=3, bytes=1000)
    kept = [shelf.new("run") for _ in range(3)]
    shelf.get(kept[0].id, "run")  # used since
    kept.append(shelf.new("run"))
    assert shelf.get(kept[1].id, "run") is None
    assert not kept[1].folder.exists()
    assert shelf.get(kept[0].id, "run") is kept[0]
    kept[3].solution.write_bytes(b"0" * 2000)
    shelf.weigh(kept[3])
    shelf.new("run")
    assert shelf.get(kept[3].id, "run") is None
    kept[0].job = workers.Job(kind="solve", argument={}, seconds=1, memory_mb=1)  # one that runs stays
    for _ in range(5):
        shelf.new("run")
    assert shelf.get(kept[0].id, "run") is kept[0]
    shelf.close()
    assert not kept[0].folder.exists()


def test_workers_end_with_the_server(serving: Any) -> None:
    with serving(Limits(), quick=1, training=1) as served:
        oscillator = "x'' = -x; x(0) = 1, x'(0) = 0"
        events: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: events.extend(served.run(oscillator, span=(0, 1e9), seconds=20.0)))
        thread.start()
        time.sleep(1.5)
        pids = [pid for lane in served.server.lanes for pid in lane.pids]
        folder = served.server.shelf._folder
        assert pids
        assert folder.exists()
    thread.join(10)
    assert served.the(events, "failed")["message"] == "odenn web was ended"
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not folder.exists()


def test_stop_of_the_comparison(served: Any) -> None:
    """The run itself has succeeded, and stays so."""
    events: list[dict[str, Any]] = []
    content = {"equations": "y' = sin(t*y) + y; y(0) = 1", "span": [0, 4], "verify": True}
    with served.client() as client, client.stream("POST", "/api/runs", json=content) as response:
        for line in response.iter_lines():
            events.append(json.loads(line))
            if events[-1]["event"] == "summary":
                time.sleep(0.2)  # until the comparison is under way
                with served.client() as other:
                    other.post(f"/api/runs/{events[0]['run']}/stop")
    assert served.the(events, "summary")["success"]
    assert not [event for event in events if event["event"] == "failed"]
    verified = served.the(events, "verified")  # on a fast machine it is done before anybody can stop it
    assert verified["source"] is not None or verified["message"] == "the comparison was stopped"
