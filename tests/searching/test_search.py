"""Search of structures: nothing lost, nothing done twice, and a sentence that its own figures bear out."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import odenn
from odenn import MLP, LevenbergMarquardt, Residual, search
from odenn.searching.result import Search

DECAY = "y' = -2*y; y(0) = 1"
SMALL = {"depth": (1, 2), "width": (4, 12), "activation": ("tanh", "sin")}
TEMPLATE = Residual(windows=2)


def problem() -> odenn.IVP:
    return odenn.parse(DECAY, span=(0, 2))


@pytest.fixture(scope="module")
def found() -> Search:
    return search(problem(), **SMALL, method=TEMPLATE)


def test_all_structures_are_tried_once(found: Search):
    structures = [tried.structure for tried in found.tried]
    assert len(set(structures)) == len(structures) == 8
    errors = [tried.error for tried in found.tried]
    assert errors == sorted(errors)


def test_errors_are_true_errors_of_the_best_method(found: Search):
    solution = odenn.solve(problem(), rtol=1e-8, method=found.best)
    best = found.tried[0]
    t = np.linspace(0, 2, 2001)
    error = np.abs(solution(t)[0] - np.exp(-2 * t)).max()
    assert 0.9 * best.error <= error <= 1.2 * best.error
    assert found.best.network == MLP([best.structure.width] * best.structure.depth, best.structure.activation)
    assert solution.outcome.windows.size == best.weights


def test_the_sentence_is_true_of_the_figures(found: Search):
    medians = found.medians
    spread = {name: max(group.values()) - min(group.values()) for name, group in medians.items()}
    first = max(spread, key=spread.__getitem__)
    assert found.sentence.startswith(f"{first.capitalize()} mattered most")
    group = {
        choice: np.median([math.log10(t.error) for t in found.tried if getattr(t.structure, first) == choice])
        for choice in medians[first]
    }
    assert group == pytest.approx(medians[first])
    assert f"{10 ** min(group.values()):.1e}" in found.sentence
    assert f"{10 ** max(group.values()):.1e}" in found.sentence
    assert set(found.importances) == {"depth", "width", "activation"}
    assert sum(found.importances.values()) == pytest.approx(1.0)


def test_table_files_and_picture(found: Search, tmp_path: Path):
    assert found.sentence in str(found)
    assert len(repr(found)) < 120
    found.to_csv(tmp_path / "search.csv")
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text().splitlines()))
    assert [float(row["error"]) for row in rows] == [tried.error for tried in found.tried]
    json.dumps(found.as_dict(), allow_nan=False)
    figure = found.plot()
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "weights of all windows",
        "CPU time in s",
        "share of the variance of log error",
    ]


def test_hopeless_trials_are_pruned():
    """A learning rate that moves nothing, among optimisers that do."""
    lm = [LevenbergMarquardt(max_iterations=20)]
    adam = [odenn.TorchOptimiser(lr=lr, iterations=60) for lr in (1e-7, 1e-8, 1e-9)]
    found = search(problem(), depth=1, width=(4, 6, 8, 10), activation="tanh", optimizer=[*lm, *adam], method=TEMPLATE)
    pruned = [tried for tried in found.tried if tried.pruned]
    assert pruned
    assert all(tried.structure.optimizer.startswith("adam") for tried in pruned)
    assert found.tried[0].structure.optimizer == "lm"


def test_processes_give_what_one_process_gives(found: Search, tmp_path: Path):
    other = search(problem(), **SMALL, method=TEMPLATE, processes=2, storage=tmp_path / "journal")
    assert {t.structure: t.error for t in other.tried} == {t.structure: t.error for t in found.tried}


def test_resumed_without_repeating(tmp_path: Path):
    storage = tmp_path / "journal"
    seen: list[int] = []

    def stop(done: int, total: int, tried: object) -> None:
        seen.append(done)
        if done == 3:
            raise KeyboardInterrupt

    first = search(problem(), **SMALL, method=TEMPLATE, storage=storage, progress=stop)
    assert seen == [1, 2, 3]
    assert len(first.tried) == 3
    again: list[int] = []
    second = search(
        problem(), **SMALL, method=TEMPLATE, storage=storage, progress=lambda done, total, tried: again.append(done)
    )
    assert again == [4, 5, 6, 7, 8]
    assert {t.structure for t in first.tried} < {t.structure for t in second.tried}
    third = search(problem(), **SMALL, method=TEMPLATE, storage=storage)
    assert third.tried == second.tried


KILLED = """
import odenn, sys
problem = odenn.parse({decay!r}, span=(0, 2))
if __name__ == "__main__":
    odenn.search(problem, depth=(1, 2), width=(4, 12), activation=("tanh", "sin"), method=odenn.Residual(windows=2),
                 storage={storage!r}, progress=lambda *a: print("done", flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_search_goes_on(tmp_path: Path):
    storage = str(tmp_path / "journal")
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(decay=DECAY, storage=storage))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    again: list[int] = []
    found = search(
        problem(), **SMALL, method=TEMPLATE, storage=storage, progress=lambda done, total, tried: again.append(done)
    )
    assert len(found.tried) == 8
    assert len(again) <= 6
    assert len({tried.structure for tried in found.tried}) == 8


def test_fewer_trials_and_a_budget():
    assert len(search(problem(), **SMALL, method=TEMPLATE, trials=3).tried) == 3
    start = time.monotonic()
    adam = odenn.TorchOptimiser(iterations=400)
    few = search(problem(), depth=1, width=range(4, 44), activation="tanh", optimizer=adam, method=TEMPLATE, seconds=6)
    assert 1 <= len(few.tried) < 40
    assert time.monotonic() - start < 60


def test_an_activation_that_cannot_is_refused_not_fatal():
    second = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 1))
    found = search(second, depth=1, width=8, activation=("tanh", "relu"), method=Residual(windows=1))
    assert found.tried[0].structure.activation == "tanh"
    assert found.tried[1].status.startswith("refused: `network` with relu has no second derivative")


def test_the_storage_of_another_search_is_not_touched(tmp_path: Path):
    storage = tmp_path / "journal"
    options = {"depth": 1, "width": 4, "activation": "tanh", "method": Residual(windows=1), "storage": storage}
    search(problem(), **options)
    with pytest.raises(ValueError, match=r"different: span, rtol|different: span"):
        search(odenn.parse(DECAY, span=(0, 3)), **options)


def test_mistakes():
    for options, words in (
        ({"depth": 0}, "`depth` must be whole numbers"),
        ({"width": []}, "`width` is empty"),
        ({"width": (8, 8)}, "twice"),
        ({"activation": "tanhh"}, "known are tanh"),
        ({"optimizer": "adamm"}, "known are lm"),
        ({"trials": 0}, "`trials`"),
        ({"seconds": -1}, "`seconds`"),
        ({"processes": 0}, "`processes`"),
    ):
        with pytest.raises(ValueError, match=words):
            search(problem(), **options)
    with pytest.raises(TypeError, match=r"dask\.distributed\.Client"):
        search(problem(), depth=1, width=4, method=TEMPLATE, client=3)
