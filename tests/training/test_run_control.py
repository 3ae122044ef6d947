"""A run that is watched, stopped, limited and resumed."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import odenn
from odenn import MLP, RK4, DataFit, Residual, Samples, Status, StorageError, TorchOptimiser
from odenn.methods.checkpoint import decoded, encoded
from odenn.storage import files

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
SMALL = MLP([8, 8])
ADAM = TorchOptimiser(iterations=25, lr=1e-2)
LBFGS = TorchOptimiser(name="LBFGS", lr=1.0, iterations=6)


def pair(end: float = 2.0) -> odenn.IVP:
    return odenn.parse(PAIR, span=(0, end))


def stop_at(call: int):
    """A `progress` that stops the run when it is called for that time."""
    calls = []

    def progress(report):
        calls.append(report)
        return len(calls) == call

    progress.calls = calls
    return progress


def weights(solution) -> list[torch.Tensor]:
    return [stage.w for piece in solution.outcome.windows.pieces for stage in piece.stages]


def same(one, other) -> bool:
    """Weights, history and verdict to the last bit."""
    pairs = list(zip(weights(one), weights(other), strict=True))
    return (
        len(pairs) > 0
        and all(torch.equal(a, b) for a, b in pairs)
        and one.training.history == other.training.history
        and (one.status, one.message, one.stats.rejected) == (other.status, other.message, other.stats.rejected)
        and np.array_equal(one.error(one.span[1]), other.error(other.span[1]))
    )


# Live reports


@pytest.mark.parametrize("method", [Residual(windows=2), DataFit(data=RK4(0.05), windows=2)])
def test_every_iteration_is_reported(method):
    seen = []
    solution = odenn.solve(pair(), method=method, rtol=1e-5, progress=seen.append)
    records = [report.record for report in seen]
    for record in solution.training.history:
        assert record in records
    first = [report for report in seen if report.windows == 0]
    assert len(first) >= 3
    assert {report.fraction for report in first} == {0.0}
    assert {report.record.window for report in first} == {0}
    assert seen[-1].fraction == 1.0


def test_history_knows_its_windows_and_true_error():
    exact = lambda t: np.stack([np.exp(t), np.cosh(t)])  # noqa: E731
    solution = odenn.solve(pair(), method=Residual(windows=3, reference=exact), rtol=1e-6)
    history = solution.training.history
    windows = [record.window for record in history]
    assert sorted(set(windows)) == [0, 1, 2]
    assert windows == sorted(windows)
    last = history[max(k for k, window in enumerate(windows) if window == 0)]
    t = np.linspace(0, 2 / 3, 50)
    true = (np.abs(solution(t) - exact(t)).max(axis=1) / np.abs(exact(t)).max(axis=1)).max()
    assert 0.5 < last.error / true < 2
    assert history[0].error > 10 * last.error
    plain = odenn.solve(pair(), method=Residual(windows=3), rtol=1e-6)
    assert {record.error for record in plain.training.history} == {None}
    assert all(map(torch.equal, weights(plain), weights(solution)))


def test_history_is_saved_with_the_solution(tmp_path):
    exact = lambda t: np.stack([np.exp(t), np.cosh(t)])  # noqa: E731
    adam = replace(ADAM, patience=10)
    method = DataFit(network=SMALL, data=RK4(0.05), windows=2, optimizer=adam, reference=exact)
    solution = odenn.solve(pair(), method=method, rtol=1e-4)
    solution.save(tmp_path / "run.odenn")
    history = odenn.load(tmp_path / "run.odenn").training.history
    assert history == solution.training.history
    assert {record.window for record in history} == {0, 1}
    assert history[0].validation > 0


def test_reference_may_be_a_solution():
    reference = odenn.solve(pair(), rtol=1e-10)
    method = DataFit(data=RK4(0.05), windows=1, network=SMALL, optimizer=ADAM, reference=reference)
    history = odenn.solve(pair(), method=method, rtol=1e-4).training.history
    assert all(record.error > 0 for record in history)
    with pytest.raises(ValueError, match=r"`reference` returned shape \(33,\)"):
        odenn.solve(pair(), method=replace(method, reference=np.exp))
    with pytest.raises(TypeError, match="`reference`"):
        replace(method, reference=1.0)


# Interruption


@pytest.mark.parametrize(
    "method",
    [
        Residual(network=SMALL, windows=1, optimizer=ADAM),
        DataFit(network=SMALL, windows=1, optimizer=ADAM, data=RK4(0.05)),
    ],
    ids=["residual", "data-fit"],
)
@pytest.mark.parametrize("how", ["true", "exception", "signal"])
def test_interrupted_training_returns_the_network_in_training(method, how):
    calls = []

    def progress(report):
        calls.append(report)
        if len(calls) != 15:
            return False
        if how == "exception":
            raise KeyboardInterrupt
        if how == "signal":
            signal.raise_signal(signal.SIGINT)
        return how == "true"

    before = signal.getsignal(signal.SIGINT)
    stopped = odenn.solve(pair(), method=method, rtol=1e-9, progress=progress)
    assert signal.getsignal(signal.SIGINT) is before
    assert stopped.status is Status.INTERRUPTED
    assert not stopped.success
    assert stopped.span == (0.0, 2.0)
    assert len(stopped.training.history) == 15
    # The best weights of fifteen iterations are what fifteen iterations of the same schedule find.
    assert np.isfinite(stopped.error(2.0)).all()
    losses = [record.loss for record in stopped.training.history]
    best = int(np.argmin(losses)) + 1
    again = odenn.solve(pair(), method=method, rtol=1e-9, progress=stop_at(best))
    assert torch.equal(weights(stopped)[0], weights(again)[0])


def test_automatic_windows_keep_what_was_accepted():
    """The window in training counts only where it is the only one, or meets its tolerance already."""
    full = odenn.solve(pair(10.0), method=Residual(), rtol=1e-6)
    history = full.training.history
    second = next(k for k, record in enumerate(history) if record.window == 2)
    stopped = odenn.solve(pair(10.0), method=Residual(), rtol=1e-6, progress=stop_at(second + 4))
    assert stopped.status is Status.INTERRUPTED
    assert len(weights(stopped)) == 2
    assert all(map(torch.equal, weights(full), weights(stopped)))
    assert stopped.span[1] == full.outcome.windows.start[2]
    only = odenn.solve(pair(10.0), method=Residual(), rtol=1e-6, progress=stop_at(1))
    assert len(weights(only)) == 1


def test_a_finer_attempt_that_is_cut_does_not_cost_the_first(monkeypatch):
    """Every attempt goes over the whole span; what is returned is the best that did."""
    problem, method = pair(10.0), Residual()
    monkeypatch.setattr("odenn.methods.residual.method.MET", 0.01)
    rtol = 1e-5
    seen = []

    def progress(report):
        seen.append(report)
        return len(seen) > 2 and seen[-2].fraction > 0.9 and report.fraction == 0.0

    stopped = odenn.solve(problem, method=method, rtol=rtol, progress=progress)
    assert stopped.status is Status.INTERRUPTED
    assert "no finer attempt" in stopped.message
    assert stopped.span == (0.0, 10.0)
    assert np.isfinite(stopped.error(10.0)).all()


def test_interrupted_second_stage_keeps_the_first():
    method = Residual(network=SMALL, windows=1, stages=2, optimizer=ADAM)
    stopped = odenn.solve(pair(), method=method, rtol=1e-9, progress=stop_at(26))
    first = odenn.solve(pair(), method=replace(method, stages=1), rtol=1e-9)
    assert stopped.status is Status.INTERRUPTED
    assert stopped.error(2.0).max() <= 1.01 * first.error(2.0).max()


def test_both_directions_end_with_an_interruption():
    problem = odenn.IVP(lambda t, y: [-t * y[0]], y0=[1.0], span=(-2, 2), t0=0.0)
    for method in (Residual(windows=1), DataFit(data=RK4(0.05), windows=1)):
        stopped = odenn.solve(problem, method=method, rtol=1e-9, progress=stop_at(1))
        assert stopped.status is Status.INTERRUPTED
        assert stopped.span == (0.0, 2.0)
        assert len(stopped.training.history) == 1


@pytest.mark.parametrize("how", ["true", "signal"])
def test_a_stop_after_the_last_window_changes_nothing(how):
    def progress(report):
        if report.fraction < 1.0:
            return False
        if how == "signal" and not told:
            told.append(signal.raise_signal(signal.SIGINT))
        return how == "true"

    told = []
    method = Residual(windows=2)
    assert same(
        odenn.solve(pair(), method=method, rtol=1e-5, progress=progress), odenn.solve(pair(), method=method, rtol=1e-5)
    )


def certificate_calls(method, rtol=1e-6, end=10.0) -> tuple[int, int]:
    """How often `progress` is called before, and all in all."""
    total = stop_at(-1)
    solution = odenn.solve(pair(end), method=method, rtol=rtol, progress=total)
    return len(solution.training.history) + solution.stats.windows, len(total.calls)


def test_interrupted_certificate_leaves_the_error_unknown():
    method = Residual(max_windows=100)
    training, total = certificate_calls(method)
    assert total > training + 10
    stopped = odenn.solve(pair(10.0), method=method, rtol=1e-6, progress=stop_at(total - 5))
    assert stopped.status is Status.INTERRUPTED
    assert stopped.span == (0.0, 10.0)
    assert np.isinf(stopped.error(10.0)).all()
    assert np.isfinite(stopped.error(0.1)).all()
    assert "the error is unknown from x = " in stopped.message


def test_second_interrupt_is_passed_on(monkeypatch):
    """The first ends the training, the second the certificate."""
    import odenn.methods.control as control

    certified = []
    certify = control.certify

    def interrupted(*arguments, **options):
        certified.append(True)
        signal.raise_signal(signal.SIGINT)
        return certify(*arguments, **options)

    def progress(report):
        if report.record.iteration == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(control, "certify", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        odenn.solve(pair(), method=Residual(windows=1), progress=progress)
    assert certified
    assert signal.getsignal(signal.SIGINT) is before


SCRIPT = """
import sys, odenn, torch
torch.set_num_threads(1)
problem = odenn.parse("{pair}", span=(0, 2))
adam = odenn.TorchOptimiser(iterations=10**9, lr=1e-3)
method = odenn.Residual(network=odenn.MLP([8, 8]), windows=1, optimizer=adam)

def progress(report):
    if report.record.iteration == 5:
        print("training", flush=True)

solution = odenn.solve(problem, method=method, progress=progress, checkpoint={checkpoint!r})
print(solution.status.name, solution.success, *solution.span, len(solution.training.history))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a process")
def test_a_real_interrupt(tmp_path):
    """Ctrl-C in another process, as the terminal sends it."""
    path = tmp_path / "run.ckpt"
    script = SCRIPT.format(pair=PAIR, checkpoint=str(path))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    status, success, left, right, iterations = out.split()
    assert (status, success, left, right) == ("INTERRUPTED", "False", "0.0", "2.0")
    assert int(iterations) >= 5
    assert path.exists()


def test_other_threads_run_without_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(odenn.solve(pair(), method=Residual(), rtol=1e-4)))
    thread.start()
    thread.join()
    assert found[0].success


# Budget


@pytest.mark.parametrize("windows", ["auto", 1])
def test_budget_covers_training_and_certificate(windows):
    method = Residual(network=SMALL, windows=windows, optimizer=TorchOptimiser(iterations=10**6), max_seconds=1.0)
    odenn.solve(pair(), method=replace(method, optimizer=ADAM))  # the first step of torch.optim takes seconds to import
    clock = time.perf_counter()
    solution = odenn.solve(pair(), method=method, rtol=1e-12)
    assert time.perf_counter() - clock < 2.5
    assert solution.status is Status.BUDGET
    assert solution.span[1] > 0
    if windows == 1:
        assert solution.span == (0.0, 2.0)


@pytest.mark.parametrize("windows", ["auto", 2])
@pytest.mark.parametrize("method", [Residual(), DataFit(data=RK4(0.05))], ids=["residual", "data-fit"])
def test_a_budget_of_nothing_still_trains_once_and_says_so(method, windows):
    solution = odenn.solve(pair(), method=replace(method, windows=windows, max_seconds=1e-3))
    assert solution.status is Status.BUDGET
    assert solution.stats.windows == 1
    assert solution.stats.iterations == 1
    assert solution.span[1] > 0
    assert np.isinf(solution.error(solution.span[1])).all()
    used, first = re.search(
        r"after 1 window; (\S+) s were used of the 0.001 s that max_seconds allows, (\S+) s by the first window",
        solution.message,
    ).groups()
    assert 0 < float(first) < float(used) < 1.01 * solution.stats.seconds
    assert "the error is unknown from x = 0 on" in solution.message


def test_a_run_that_solves_nothing_says_so():
    problem = odenn.IVP(lambda t, y: [y[0] * (-torch.as_tensor(t)) ** 0.5], y0=[1.0], span=(0, 1))
    solution = odenn.solve(problem, method=Residual(network=SMALL))
    assert solution.stats.windows == 0
    assert "after 0 windows (nothing was solved)" in solution.message
    with pytest.raises(ValueError, match="nothing was solved"):
        solution(0.0)


def test_budget_may_end_a_training_that_is_good_enough():
    adam = TorchOptimiser(iterations=10**6, lr=1e-2, schedule="constant")
    method = Residual(network=SMALL, windows=1, optimizer=adam, max_seconds=1.0)
    solution = odenn.solve(pair(0.5), method=method, rtol=0.3)
    assert solution.success
    assert solution.training.diagnoses == ()


def test_unfinished_certificate_is_no_success(monkeypatch):
    """A right-hand side that takes its time when the certificate asks."""
    slow = []

    def f(t, y):
        if slow and isinstance(t, np.ndarray):
            time.sleep(0.1)
        return [y[0]]

    import odenn.methods.control as control

    certify = control.certify

    def slowly(*arguments, **options):
        slow.append(True)
        return certify(*arguments, **options)

    monkeypatch.setattr(control, "certify", slowly)
    problem = odenn.IVP(f, y0=[1.0], span=(0, 5))
    clock = time.perf_counter()
    solution = odenn.solve(problem, method=Residual(max_seconds=2.0), rtol=1e-6)
    assert time.perf_counter() - clock < 5
    assert solution.status is Status.BUDGET
    assert np.isinf(solution.error(5.0)).all()
    assert "unknown" in solution.message


# Early stopping


def test_patience_ends_data_fit_by_its_validation_samples():
    """Samples with noise: the validation loss turns up where the training loss still falls."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 2, 41)
    y = np.exp(-t)[None] + 0.05 * rng.standard_normal((1, 41))
    y[:, 0] = 1.0
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 2))
    patient = TorchOptimiser(iterations=4000, lr=1e-2, schedule="constant", patience=200)
    method = DataFit(network=MLP([32, 32]), data=Samples(t, y), windows=1, optimizer=patient)
    solution = odenn.solve(problem, method=method, rtol=1e-3)
    history = solution.training.history
    checked = {record.iteration: record.validation for record in history if record.validation is not None}
    assert len(history) < 4000
    assert sorted(checked)[:3] == [1, 21, 41]
    best = min(checked, key=checked.get)
    assert 200 <= len(history) - best < 240
    assert history[-1].loss < history[best - 1].loss
    again = odenn.solve(problem, method=method, rtol=1e-3, progress=stop_at(best))
    assert torch.equal(weights(solution)[0], weights(again)[0])


# Checkpoints

RUNS = {
    "levenberg-marquardt": Residual(network=SMALL, windows=1),
    "automatic windows": Residual(),
    "two stages": Residual(network=MLP([16, 16], "sin"), windows=2, stages=2, optimizer=ADAM),
    "adaptive points": Residual(network=SMALL, windows=2, sampling="adaptive", points=6),
    "adam": Residual(network=SMALL, windows=2, optimizer=ADAM),
    "adam, automatic windows": Residual(network=SMALL, optimizer=TorchOptimiser(iterations=15, lr=1e-2)),
    "random points": Residual(network=SMALL, windows=2, sampling="random", optimizer=ADAM),
    "lbfgs": Residual(network=SMALL, windows=2, optimizer=LBFGS),
    "patience": Residual(network=SMALL, windows=1, optimizer=replace(ADAM, patience=5, lr=0.1)),
    "sgd with momentum": Residual(
        network=SMALL, windows=1, optimizer=TorchOptimiser(name="SGD", iterations=20, options={"momentum": 0.9})
    ),
    "own module": Residual(network=nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 2)), windows=2),
    "data, levenberg-marquardt": DataFit(network=SMALL, data=RK4(0.05)),
    "data, mini-batches": DataFit(network=SMALL, data=RK4(0.02), optimizer=ADAM, batch=16, windows=2),
    "data, validation": DataFit(network=SMALL, data=RK4(0.02), optimizer=replace(ADAM, patience=10), windows=2),
    "data, slopes": DataFit(data=RK4(0.05), slopes=True, network=SMALL, optimizer=LBFGS, windows=2),
}


@pytest.mark.parametrize(
    ("name", "part"), [*((name, 0.4) for name in RUNS), ("automatic windows", 0.9), ("two stages", 0.9)]
)
def test_resumed_is_as_if_never_stopped(name, part, tmp_path):
    torch.manual_seed(0)
    method, path = RUNS[name], tmp_path / "run.ckpt"
    problem = pair(4.0 if "automatic" in name else 2.0)
    whole = odenn.solve(problem, method=method, rtol=1e-6)
    call = 1 + int(part * (len(whole.training.history) - len(weights(whole))))
    stopped = odenn.solve(problem, method=method, rtol=1e-6, progress=stop_at(call), checkpoint=path)
    assert stopped.status is Status.INTERRUPTED
    assert call - len(weights(stopped)) <= len(stopped.training.history) <= call
    again = odenn.solve(problem, method=method, rtol=1e-6, checkpoint=path)
    assert same(whole, again)
    assert not path.exists()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["adam", "two stages", "data, mini-batches"])
def test_stopped_again_and_again(name, tmp_path):
    """Every fifth iteration, resumed until it is done."""
    method, path = RUNS[name], tmp_path / "run.ckpt"
    whole = odenn.solve(pair(), method=method, rtol=1e-6)
    sessions = 0
    again = None
    while again is None or again.status is Status.INTERRUPTED:
        sessions += 1
        assert sessions <= len(whole.training.history)
        stop = stop_at(7)
        again = odenn.solve(
            pair(),
            method=method,
            rtol=1e-6,
            progress=lambda report, stop=stop: stop(report) and report.fraction < 1.0,
            checkpoint=path,
        )
    assert sessions > 5
    assert same(whole, again)


def test_several_attempts_are_resumed(tmp_path, monkeypatch):
    """Also where a certificate has asked for a finer tolerance, which is not asked again."""
    problem, method, path = pair(10.0), Residual(), tmp_path / "run.ckpt"
    monkeypatch.setattr("odenn.methods.residual.method.MET", 0.01)
    rtol = 1e-5
    seen = []

    def progress(report):
        seen.append(report)
        return len(seen) > 2 and any(r.fraction > 0.9 for r in seen) and 0.2 < report.fraction < 0.5

    whole = odenn.solve(problem, method=method, rtol=rtol)
    stopped = odenn.solve(problem, method=method, rtol=rtol, progress=progress, checkpoint=path)
    assert stopped.status is Status.INTERRUPTED
    again = odenn.solve(problem, method=method, rtol=rtol, checkpoint=path)
    assert same(whole, again)
    assert again.stats.attempts == whole.stats.attempts


def test_written_while_it_runs_and_when_it_dies(tmp_path):
    """A run that is killed goes on from the last writing."""
    method, path = RUNS["adam"], tmp_path / "run.ckpt"

    class DeathError(Exception):
        pass

    def progress(report):
        if report.record.iteration == 20:
            raise DeathError

    with pytest.raises(DeathError):
        odenn.solve(pair(), method=method, progress=progress, checkpoint=path, checkpoint_seconds=1e-9)
    content, arrays = files.read(path, kind="checkpoint")
    assert content["pending"] is not None
    assert len(arrays["pending.history.numbers"]) == 19
    again = odenn.solve(pair(), method=method, checkpoint=path)
    assert same(odenn.solve(pair(), method=method), again)


def test_interrupted_certificate_is_resumed_without_training(tmp_path):
    method, path = Residual(), tmp_path / "run.ckpt"
    training, total = certificate_calls(method)
    odenn.solve(pair(10.0), method=method, rtol=1e-6, progress=stop_at(training + 3), checkpoint=path)
    reports = stop_at(-1)
    again = odenn.solve(pair(10.0), method=method, rtol=1e-6, progress=reports, checkpoint=path)
    assert same(odenn.solve(pair(10.0), method=method, rtol=1e-6), again)
    assert len(reports.calls) <= total - training + again.stats.windows


def test_time_used_before_counts(tmp_path):
    path = tmp_path / "run.ckpt"
    adam = TorchOptimiser(iterations=10**6)
    method = Residual(network=SMALL, windows=1, optimizer=adam, max_seconds=1.0)
    first = odenn.solve(pair(), method=method, checkpoint=path)
    assert first.status is Status.BUDGET
    done = len(first.training.history)
    clock = time.perf_counter()
    second = odenn.solve(pair(), method=method, checkpoint=path)
    assert time.perf_counter() - clock < 0.9
    assert second.status is Status.BUDGET
    assert len(second.training.history) == done + 1
    longer = odenn.solve(pair(), method=replace(method, max_seconds=2.0), checkpoint=path)
    assert len(longer.training.history) > done + 1
    assert longer.training.history[:done] == first.training.history


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path, method = tmp_path / "run.ckpt", RUNS["adam"]
    options = {"problem": pair(), "method": method, "rtol": 1e-6}
    odenn.solve(**options, progress=stop_at(9), checkpoint=path)
    before = path.read_bytes()
    doubled = odenn.IVP(lambda t, y: [y[0], y[0] - 2 * y[1]], y0=[1, 1], span=(0, 2))
    for change, words in [
        ({"problem": pair(3.0)}, "the problem's span differs"),
        ({"problem": odenn.parse(PAIR.replace("y1(0) = 1", "y1(0) = 2"), span=(0, 2))}, "the problem's equations"),
        ({"problem": doubled}, "the problem's equations"),
        ({"rtol": 1e-5}, "the tolerances's rtol differs"),
        ({"atol": 1e-5}, "the tolerances's atol differs"),
        ({"method": replace(method, points=24)}, r"the method's points differs \(16 there, 24 here\)"),
        ({"method": replace(method, seed=1)}, "the method's seed"),
        ({"method": replace(method, optimizer=LBFGS)}, "the method's optimizer"),
        ({"method": replace(method, network=MLP([8]))}, "the method's network"),
        ({"method": DataFit()}, "the method's name"),
    ]:
        with pytest.raises(StorageError, match=words) as caught:
            odenn.solve(**{**options, **change}, checkpoint=path)
        assert "run.ckpt" in str(caught.value)
        assert "Delete the file" in str(caught.value)
        assert path.read_bytes() == before


def test_python_functions_and_data_are_told_apart(tmp_path):
    path = tmp_path / "run.ckpt"
    t = np.linspace(0, 2, 41)

    def run(k=1.0, shift=0.0, network=SMALL, **options):
        problem = odenn.IVP(lambda t, y: [-k * y[0]], y0=[1.0], span=(0, 2))
        data = Samples(t, np.exp(-t) + shift * t)
        method = DataFit(data=data, network=network, optimizer=ADAM, windows=1)
        return odenn.solve(problem, method=method, checkpoint=path, **options)

    run(progress=stop_at(9))
    with pytest.raises(StorageError, match="right-hand side differs"):
        run(k=1.1)
    with pytest.raises(StorageError, match="data differs"):
        run(shift=1e-3)
    module = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    with pytest.raises(StorageError, match="network differs"):
        run(network=module)
    run()
    run(network=module, progress=stop_at(9))
    with torch.no_grad():
        module[0].weight += 1
    with pytest.raises(StorageError, match="network differs"):
        run(network=module)


def test_damaged_and_foreign_files_are_refused(tmp_path, monkeypatch):
    path, method = tmp_path / "run.ckpt", RUNS["adam"]
    odenn.solve(pair(), method=method, progress=stop_at(40), checkpoint=path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for data in (b"", whole[:100], whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(data)
        with pytest.raises(StorageError, match=r"run\.ckpt"):
            odenn.solve(pair(), method=method, checkpoint=path)
        assert path.read_bytes() == data
    odenn.solve(pair(), rtol=1e-6).save(path)
    with pytest.raises(StorageError, match="not a checkpoint"):
        odenn.solve(pair(), method=method, checkpoint=path)
    path.write_bytes(whole)
    with pytest.raises(StorageError, match="not a solution"):
        odenn.load(path)
    monkeypatch.setattr("odenn.methods.checkpoint.__version__", "99.0")
    with pytest.raises(StorageError, match=r"begun with odenn .*, this is 99\.0"):
        odenn.solve(pair(), method=method, checkpoint=path)


def test_content_that_cannot_be_is_damage(tmp_path):
    """The checksum is right, the figures are not."""
    path, method = tmp_path / "run.ckpt", RUNS["adam"]
    odenn.solve(pair(), method=method, progress=stop_at(40), checkpoint=path)
    content, arrays = files.read(path, kind="checkpoint")
    version = content.pop("version", None)
    assert version is None
    for wrong in (
        {"fits": [[1, 2]]},
        {"fits": "none"},
        {"seconds": None},
        {"worst": 3},
        {"pending": {"tensor": 10**6}},
        {"pending": {"what": 1}},
        {"run": []},
    ):
        files.write(path, {**content, **wrong}, arrays, kind="checkpoint")
        with pytest.raises(StorageError):
            odenn.solve(pair(), method=method, checkpoint=path)
    for name in arrays:
        files.write(path, content, {key: arrays[key] for key in arrays if key != name}, kind="checkpoint")
        with pytest.raises(StorageError):
            odenn.solve(pair(), method=method, checkpoint=path)


def test_a_run_that_goes_another_way_is_found_out(tmp_path):
    """The equation is the same where it is looked at, and another later on."""
    path = tmp_path / "run.ckpt"
    twist = [0.0]

    def f(t, y):
        return [-y[0] * (1 + twist[0] * (t > 0.1) * (t < 0.7))]

    problem = odenn.IVP(f, y0=[1.0], span=(0, 2))
    method = Residual(network=SMALL, windows=4, optimizer=ADAM)
    odenn.solve(problem, method=method, rtol=1e-6, progress=stop_at(60), checkpoint=path)
    content, arrays = files.read(path, kind="checkpoint")
    arrays["w"] = arrays["w"] * 1.01  # as if the first window had been trained otherwise
    files.write(path, content, arrays, kind="checkpoint")
    with pytest.raises(StorageError, match="does not go the way it went"):
        odenn.solve(problem, method=method, rtol=1e-6, checkpoint=path)


def test_mistakes_are_named(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(ValueError, match="too fast to need it"):
        odenn.solve(pair(), checkpoint=path)
    with pytest.raises(ValueError, match="`checkpoint_seconds`"):
        odenn.solve(pair(), method=Residual(), checkpoint=path, checkpoint_seconds=0)
    with pytest.raises(TypeError, match="`checkpoint`"):
        odenn.solve(pair(), method=Residual(), checkpoint=3)
    with pytest.raises(OSError, match="nowhere"):
        odenn.solve(pair(), method=Residual(), checkpoint=tmp_path / "nowhere" / "run.ckpt")
    with pytest.raises(ValueError, match="`patience`"):
        TorchOptimiser(patience=0)


def test_states_of_optimisers_as_json():
    state = {
        "none": None,
        "yes": True,
        "list": [1, 2.5, math.inf, -math.inf, {"deep": torch.arange(3)}],
        0: {"text": "a", "tensor": torch.tensor(0.1, dtype=torch.float32)},
        "third": 1 / 3,
    }
    tensors = []
    text = json.dumps(encoded(state, tensors), allow_nan=False)
    again = decoded(json.loads(text), tensors)
    assert list(again) == list(state)
    assert again["third"] == 1 / 3
    assert again["list"][2:4] == [math.inf, -math.inf]
    assert torch.equal(again["list"][4]["deep"], torch.arange(3))
    assert again[0]["tensor"].dtype is torch.float32
    assert math.isnan(decoded(encoded(math.nan, []), []))
    with pytest.raises(TypeError, match="a set, which a checkpoint cannot hold"):
        encoded({"bad": {1, 2}}, [])
