"""Search of structures: nothing lost, nothing done twice, and a sentence that its own figures bear out."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import odenn
from odenn import MLP, LevenbergMarquardt, Residual, search
from odenn.searching.result import Search

DECAY = "y' = -2*y; y(0) = 1"
SMALL = {"depth": (1, 2), "width": (4, 12), "activation": ("tanh", "sin")}
TEMPLATE = Residual(windows=2)
FEW = [LevenbergMarquardt(max_iterations=3)]


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
    first = max(found.shares, key=found.shares.__getitem__)
    assert found.sentence.startswith(f"The {first} mattered most")
    group = {
        choice: 10 ** np.mean([math.log10(t.error) for t in found.tried if getattr(t.structure, first) == choice])
        for choice in found.means[first]
    }
    assert group == pytest.approx(found.means[first])
    assert f"{min(group.values()):.1e}" in found.sentence
    assert f"{max(group.values()):.1e}" in found.sentence


def errors_of(found: Search, errors: dict[tuple[int, int, str], float]) -> Search:
    """The same search with other errors; structures that are not named are gone."""
    changed = [
        replace(tried, error=error)
        for tried in found.tried
        if (error := errors.get((tried.structure.depth, tried.structure.width, tried.structure.activation))) is not None
    ]
    return replace(found, tried=tuple(sorted(changed, key=lambda tried: tried.error)))


def test_shares_are_those_of_an_analysis_of_variance(found: Search):
    """log10(error) = -2 depth - width/4 + 1 where both are large: effects that are known."""
    logs = {
        (depth, width, activation): -2.0 * depth - width / 4 + (depth == 2 and width == 12)
        for depth in (1, 2)
        for width in (4, 12)
        for activation in ("tanh", "sin")
    }
    made = errors_of(found, {key: 10**value for key, value in logs.items()})
    # Main effects (difference of the means)^2 / 4: 1.5^2, 1.5^2; of the combination (1/2)^2, all divided by 4.
    total = 1.5**2 + 1.5**2 + 0.5**2
    expected = {"depth": 2.25 / total, "width": 2.25 / total, "activation": 0.0, "combinations": 0.25 / total}
    assert made.shares == pytest.approx(expected, abs=1e-12)
    crossed = errors_of(found, {key: 10.0 ** -(3 + 4 * ((key[0] == 1) == (key[1] == 4))) for key in logs})
    assert crossed.shares["combinations"] == pytest.approx(1.0)
    assert "how they are combined accounts for 100 %" in crossed.sentence


def test_gaps_in_the_table_leave_pairs(found: Search):
    """With a structure missing the means of the choices have different company and are not compared."""
    errors = {(1, 4, "tanh"): 1e-2, (1, 12, "tanh"): 1e-6, (2, 4, "tanh"): 1e-4, (1, 4, "sin"): 7.34e-2 * 100}
    made = errors_of(found, errors)
    assert made.means == made.shares == {}
    assert made.pairs["width"] == pytest.approx({"factor": 1e4, "pairs": 1})
    assert made.pairs["depth"] == pytest.approx({"factor": 1e2, "pairs": 1})
    assert "a factor of 10,000 with width (1 pair), 730 with activation (1 pair), 100 with depth" in made.sentence
    assert made.plot().axes[2].get_xlabel().startswith("not every combination has an error")


def test_table_files_and_picture(found: Search, tmp_path: Path):
    assert found.sentence in str(found)
    assert len(repr(found)) < 120
    found.to_csv(tmp_path / "search.csv")
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text().splitlines()))
    assert [float(row["error"]) for row in rows] == [tried.error for tried in found.tried]
    json.dumps(found.as_dict(), allow_nan=False)
    figure = found.plot()
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["sin", "tanh"]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "weights of all windows",
        "CPU time in s",
        "share of the variance of the log error",
    ]


def test_hopeless_trials_are_pruned():
    """A learning rate that moves nothing, among optimisers that do."""
    lm = [LevenbergMarquardt(max_iterations=20)]
    adam = [odenn.TorchOptimiser(lr=lr, iterations=60) for lr in (1e-7, 1e-8, 1e-9)]
    found = search(problem(), depth=1, width=(4, 6, 8, 10), activation="tanh", optimizer=[*lm, *adam], method=TEMPLATE)
    pruned = [tried for tried in found.tried if tried.status == "pruned"]
    assert pruned
    assert all(tried.structure.optimizer.startswith("TorchOptimiser(lr=1e-0") for tried in pruned)
    assert found.tried[0].structure.optimizer == "LevenbergMarquardt(max_iterations=20)"
    assert f"{len(pruned)} were pruned" in found.left_out


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
    assert first.ended == "interrupted"
    assert "3 of 8 structures were tried when it was interrupted" in str(first)
    again: list[int] = []
    second = search(
        problem(), **SMALL, method=TEMPLATE, storage=storage, progress=lambda done, total, tried: again.append(done)
    )
    assert again == [4, 5, 6, 7, 8]
    assert {t.structure for t in first.tried} < {t.structure for t in second.tried}
    third = search(problem(), **SMALL, method=TEMPLATE, storage=storage)
    assert third.tried == second.tried


def test_a_storage_serves_other_spaces(tmp_path: Path):
    """A space that grows is filled up; of one that shrinks nothing outside is shown or picked."""
    options = {"depth": 1, "activation": "tanh", "method": TEMPLATE, "storage": tmp_path / "journal"}
    search(problem(), width=(4, 6), **options)
    again: list[int] = []
    grown = search(problem(), width=(12, 4, 6), **options, progress=lambda done, total, tried: again.append(done))
    assert again == [3]
    assert grown.tried[0].structure.width == 12
    shrunk = search(problem(), width=(6, 4), **options)
    assert {tried.structure.width for tried in shrunk.tried} == {4, 6}
    assert shrunk.best.network == MLP([shrunk.tried[0].structure.width], "tanh")
    assert "1 more in the storage lie outside this space" in str(shrunk)
    assert {trial.params["width"] for trial in shrunk.study.trials} == {4, 6}


def test_windows_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options = {"depth": 1, "width": 4, "activation": "tanh", "rtol": 1e-4, "storage": tmp_path / "journal"}
    first = search(problem(), **options)
    monkeypatch.setattr("odenn.searching.run.solve", None)
    assert search(problem(), **options).tried == first.tried


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
    few = search(
        problem(), depth=1, width=range(4, 44), activation="tanh", method=TEMPLATE, seconds=6,
        progress=lambda done, total, tried: time.sleep(1),
    )  # fmt: skip
    assert 1 <= len(few.tried) <= 6
    assert not any(tried.status == "budget" for tried in few.tried)
    assert f"{len(few.tried)} of 40 structures were tried when the time was up" in str(few)
    assert time.monotonic() - start < 60


def test_nothing_within_the_budget():
    adam = odenn.TorchOptimiser(iterations=10**6)
    with pytest.raises(ValueError, match=r"no training was finished within 0\.1 s"):
        search(problem(), depth=1, width=4, optimizer=adam, method=TEMPLATE, seconds=0.1)


def test_an_activation_that_cannot_is_left_out():
    second = odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 1))
    options = {"depth": 1, "method": Residual(windows=1)}
    found = search(second, width=(4, 8), activation=("tanh", "relu"), **options)
    assert [tried.status for tried in found.tried[2:]] == ["refused", "refused"]
    assert found.tried[3].reason.startswith("`network` with relu has no second derivative")
    assert set(found.means) == set(found.shares) == {"width"}
    assert found.means["width"][4] == pytest.approx(
        next(t.error for t in found.tried if (t.structure.width, t.structure.activation) == (4, "tanh"))
    )
    assert "2 of 4 structures could not be tried: `network` with relu" in found.left_out
    assert "relu" not in [text.get_text() for text in found.plot().axes[1].get_legend().get_texts()]
    assert max(map(len, str(found).split("\n\n")[0].splitlines())) < 100
    with pytest.raises(ValueError, match="no structure came to an error: 2 of 2 structures could not be tried"):
        search(second, width=(4, 8), activation="relu", **options)


def test_a_solution_that_ends_before_the_span_does():
    with pytest.raises(ValueError, match=r"the solution grows without bound shortly after t = 0\.99"):
        search(odenn.parse("y' = y^2; y(0) = 1", span=(0, 2)), depth=1, width=4)


@dataclass(frozen=True, kw_only=True)
class Descent:
    """An optimiser of one's own: another's, under another name."""

    iterations: int = 30
    paired: ClassVar[bool] = True

    def minimise(self, objective, w, *, goal, watch=None, resume=None):
        return LevenbergMarquardt(max_iterations=self.iterations).minimise(objective, w, goal=goal, watch=watch)


def test_optimisers_of_ones_own():
    both = [Descent(), Descent(iterations=3)]
    found = search(problem(), depth=1, width=8, activation="tanh", optimizer=both, method=TEMPLATE)
    assert {tried.structure.optimizer for tried in found.tried} == {"Descent", "Descent(iterations=3)"}
    assert found.best.optimizer in both
    with pytest.raises(ValueError, match="`optimizer` names a choice twice"):
        search(problem(), optimizer=["lm", LevenbergMarquardt()])


def test_the_storage_of_another_search_is_not_touched(tmp_path: Path):
    storage = tmp_path / "journal"
    options = {"depth": 1, "width": 4, "activation": "tanh", "method": Residual(windows=1), "storage": storage}
    search(problem(), **options)
    kept = storage.read_text()
    for changed, words in (
        ({"rtol": 1e-4}, r"\(different: rtol \(1e-08 there, 0.0001 now\)\)"),
        ({"method": Residual(windows=2)}, r"\(different: windows of the method \(1 there, 2 now\)\)"),
        ({"method": odenn.DataFit(windows=1)}, r"\(different: method \(Residual there, DataFit now\)\)"),
    ):
        with pytest.raises(ValueError, match=words):
            search(problem(), **{**options, **changed})
    with pytest.raises(ValueError, match=r"\(different: span \("):
        search(odenn.parse(DECAY, span=(0, 3)), **options)
    assert storage.read_text() == kept


def test_functions_and_samples_are_told_apart(tmp_path: Path):
    """By what they are, not by what their `repr` shows, which leaves out the middle of a long array."""
    t = np.linspace(0, 2, 1201)
    y = np.exp(-2 * t)

    def once(k: float = 2.0, y: np.ndarray = y, t0: float = 0.0) -> Search:
        decay = odenn.IVP(lambda t, y: [-k * y[0]], y0=[1], span=(0, 2), t0=t0)
        method = odenn.DataFit(data=odenn.Samples(t, y), windows=1)
        return search(decay, depth=1, width=4, optimizer=FEW, method=method, storage=tmp_path / "journal")

    assert len(once().tried) == len(once().tried) == 2
    for changed, words in (
        ({"k": 3.0}, "right-hand side"),
        ({"y": y + 1e-3 * (t == 1)}, "data of the method"),
        ({"t0": 2.0}, "t0"),
    ):
        with pytest.raises(ValueError, match=rf"\(different: .*{words}"):
            once(**changed)


def test_windows_on_either_side_of_the_initial_values():
    """As many as the pilot found, not as many on each side."""
    bell = odenn.IVP(lambda t, y: [-t * y[0]], y0=[1.0], span=(-2, 2), t0=0.0)
    found = search(bell, depth=1, width=4, optimizer=FEW, rtol=1e-3, method=odenn.DataFit())
    count = int(found.notes.split(" window")[0].split()[-1])
    assert found.tried[0].weights == count * MLP([4]).trainable(1).size
    pilot = odenn.solve(bell, rtol=1e-3, method=odenn.DataFit()).stats.windows
    assert pilot <= count <= pilot + 1


@pytest.mark.parametrize("content", ["hello\nworld\n", "no line", "[1]\n", "42\n", "sqlite"])
def test_a_storage_that_is_none(tmp_path: Path, content: str):
    """Refused in words and left as it is."""
    file = tmp_path / "file"
    file.write_text(content)
    storage = f"sqlite:///{file}" if content == "sqlite" else file
    with pytest.raises(ValueError, match=r"`storage` .* cannot be used: .*(no journal|not a database)"):
        search(problem(), depth=1, width=4, storage=storage)
    assert file.read_text() == content
    with pytest.raises(ValueError, match="cannot be used: No such file"):
        search(problem(), depth=1, width=4, storage=tmp_path / "missing" / "file")


def test_a_journal_whose_last_line_was_cut(tmp_path: Path):
    storage = tmp_path / "journal"
    options = {"depth": 1, "width": (4, 6), "activation": "tanh", "method": TEMPLATE, "storage": storage}
    search(problem(), **options)
    storage.write_bytes(storage.read_bytes()[:-9])
    for _ in range(2):
        assert len(search(problem(), **options).tried) == 2


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
        ({"depth": True}, "`depth` must be whole numbers"),
        ({"trials": True}, "`trials`"),
        ({"seconds": "3"}, "`seconds`"),
        ({"client": 3, "processes": 2}, "exclude each other"),
    ):
        with pytest.raises(ValueError, match=words):
            search(problem(), **options)
    with pytest.raises(TypeError, match=r"dask\.distributed\.Client"):
        search(problem(), depth=1, width=4, method=TEMPLATE, client=3)
    for method in (odenn.Collocation(), "residual"):
        with pytest.raises(TypeError, match=r"`method` must be odenn\.Residual"):
            search(problem(), method=method)
