"""`odenn solve` with the methods that train: options, spec strings, what is printed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import odenn
from odenn.cli._methods import Choice, MethodName, OptimizerName, chosen_method, data_source, deep_network

Call = Callable[..., Result]
DECAY = ("y' = -y; y(0) = 1", "--span", "0", "1")
SMALL = ("--network", "8x2:tanh", "--rtol", "1e-4")


@pytest.mark.parametrize(
    ("spec", "hidden", "activation"),
    [
        ("32x5:tanh", (32,) * 5, "tanh"),
        ("32x5", (32,) * 5, "tanh"),
        ("64-32-16:sin", (64, 32, 16), "sin"),
        ("40:GELU", (40,), "gelu"),
        ("8x8:relu", (8,) * 8, "relu"),
        ("2-2-2", (2, 2, 2), "tanh"),
    ],
)
def test_networks(spec: str, hidden: tuple[int, ...], activation: str) -> None:
    """Equal layers, or every one by itself; tanh where nothing is said."""
    assert deep_network(spec) == odenn.MLP(hidden, activation)


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        ("euler:0.01", odenn.Euler(0.01)),
        ("RK4:5e-2", odenn.RK4(0.05)),
        ("reference", odenn.Reference()),
    ],
)
def test_data_sources(spec: str, source: object) -> None:
    """Steps, and the reference."""
    assert data_source(spec) == source


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "euler", "C:a.csv", "a:b.csv", "table.txt"])
def test_data_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends in .csv, or is there, is a file, though a path of Windows has a colon."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("t,y\n")
    if name == "euler":  # the word means the method: a file of that name needs its folder
        assert data_source("./euler") == odenn.CSV("./euler")
    else:
        assert data_source(name) == odenn.CSV(name)


def test_residual_options() -> None:
    """Each reaches the method."""
    choice = Choice(
        method=MethodName.residual, network="16x2:sin", seconds=60.0, windows="12", stages=2, training_points=24,
        seed=3, optimizer=OptimizerName.lm, epochs=50,
    )  # fmt: skip
    assert chosen_method(choice) == odenn.Residual(
        network=odenn.MLP([16, 16], "sin"), max_seconds=60.0, windows=12, stages=2, points=24, seed=3,
        optimizer=odenn.LevenbergMarquardt(max_iterations=50),
    )  # fmt: skip
    assert chosen_method(Choice(method=MethodName.residual)) == odenn.Residual()


def test_data_fit_options() -> None:
    """Each reaches the method."""
    choice = Choice(
        method=MethodName.data_fit, data="rk4:0.1", windows="auto", seed=1, optimizer=OptimizerName.adam, epochs=70,
        lr=0.01,
    )  # fmt: skip
    assert chosen_method(choice) == odenn.DataFit(
        data=odenn.RK4(0.1), seed=1, optimizer=odenn.TorchOptimiser(name="Adam", lr=0.01, iterations=70)
    )
    assert chosen_method(Choice(method=MethodName.data_fit)) == odenn.DataFit()


def test_lbfgs_takes_whole_steps() -> None:
    """The learning rate of Adam would cripple it."""
    method = chosen_method(Choice(method=MethodName.residual, optimizer=OptimizerName.lbfgs))
    assert method.optimizer == odenn.TorchOptimiser(name="LBFGS", lr=1.0, schedule="constant")  # type: ignore[union-attr]


def test_a_seed_for_random_features() -> None:
    """Collocation draws these."""
    method = chosen_method(Choice(network="tanh", seed=4))
    assert method == odenn.Collocation(network=odenn.Features(activation="tanh", seed=4))


def test_defaults_in_the_help_are_those_of_the_library(odenn_cli: Call) -> None:
    """The help is written without loading torch, so it cannot ask."""
    words = " ".join(odenn_cli("solve", "--help").stdout.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    method, other = odenn.Residual(), odenn.TorchOptimiser()
    assert method.network == odenn.DataFit().network == deep_network("32x5:tanh")
    assert "legendre; 32x5:tanh" in words
    assert (method.optimizer.max_iterations, other.iterations) == (100, 2000)  # type: ignore[union-attr]
    assert "100 of lm, 2000 of the others" in words
    assert (other.lr, method.points, method.stages, method.windows, method.seed) == (1e-3, 16, 1, "auto", 0)
    assert odenn.DataFit().data == odenn.Reference()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "magic"), "--method"),
        (("--method", "residual", "--network", "foo"), "such as 32x5:tanh (five hidden layers of 32)"),
        (("--method", "residual", "--network", "32x5:foo"), "`activation` must be one of tanh"),
        (("--method", "residual", "--network", "32x0"), "`hidden` must be widths"),
        (("--method", "residual", "--network", "5x32"), "for 5 layers of 32 write 32x5, for 32 of 5 write 5-5-5-..."),
        (("--method", "residual", "--network", "legendre"), "goes with --method collocation, not with residual"),
        (("--network", "32x5:tanh"), "goes with --method residual or data-fit, not with collocation"),
        (("--optimizer", "adam"), "--optimizer goes with --method residual or data-fit, not with collocation"),
        (("--epochs", "5"), "--epochs goes with"),
        (("--lr", "0.1"), "--lr goes with"),
        (("--windows", "3"), "--windows goes with"),
        (("--stages", "2"), "--stages goes with --method residual, not with collocation (the default)"),
        (("--training-points", "9"), "--training-points goes with --method residual"),
        (("--data", "reference"), "--data goes with --method data-fit"),
        (("--checkpoint", "a.ckpt"), "--checkpoint goes with --method residual or data-fit, not with collocation"),
        (("--method", "residual", "--checkpoint", "missing/a.ckpt"), "does not exist"),
        (("--method", "residual", "--checkpoint", "a.x", "--save", "a.x"), "name the same file"),
        (("--method", "residual", "--seed", "-1"), "--seed takes a whole number"),
        (("--network", "sin", "--seed", "9" * 30), "--seed takes a whole number"),
        (("--seed", "1"), "--seed goes with networks that are drawn"),
        (("--method", "residual", "--data", "reference"), "--data goes with --method data-fit, not with residual:"),
        (("--method", "residual", "--stiff"), "--stiff goes with --method collocation, not with residual"),
        (("--method", "residual", "--no-stiff"), "--stiff goes with"),
        (("--method", "data-fit", "--compile"), "--compile goes with --method collocation"),
        (("--method", "data-fit", "--stages", "2"), "--stages goes with --method residual, not with data-fit"),
        (("--method", "residual", "--lr", "0.1"), "--lr goes with --optimizer adam or lbfgs, not with lm"),
        (("--method", "residual", "--optimizer", "adam", "--lr", "-1"), "`lr` must be positive"),
        (("--method", "residual", "--windows", "many"), "--windows takes auto or a positive whole number"),
        (("--method", "residual", "--windows", "0"), "--windows takes auto"),
        (("--method", "residual", "--stages", "9"), "`stages` must be"),
        (("--method", "residual", "--training-points", "2"), "`points` must be"),
        (("--method", "residual", "--seconds", "-1"), "`max_seconds` must be positive"),
        (("--method", "data-fit", "--data", "euler"), "--data euler takes a step, such as euler:0.01"),
        (("--method", "data-fit", "--data", "euler:x"), "--data euler takes a step"),
        (("--method", "data-fit", "--data", "euler:-1"), "`step` must be a positive number"),
        (("--method", "data-fit", "--data", "magic"), "--data takes euler:STEP, rk4:STEP, reference or a file"),
        (("--method", "data-fit", "--data", "a.csv"), "cannot read the data from 'a.csv': No such file"),
    ],
)
def test_a_mistake_is_named(odenn_cli: Call, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """What was given, and what goes; options that do not belong are not passed over."""
    result = odenn_cli("solve", *DECAY, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
    assert not list(tmp_path.iterdir())


def test_csv_files_that_are_no_data(odenn_cli: Call, tmp_path: Path) -> None:
    """Said with the file's name, and it is not written over."""
    call = ("solve", *DECAY, *SMALL, "--method", "data-fit", "--data", "a.csv")
    for content, words in ((b"\xff\xfe\x00", "not text in UTF-8"), (b"t,z\n0,1\n", "no column 'y'"), (b"", "no rows")):
        (tmp_path / "a.csv").write_bytes(content)
        result = odenn_cli(*call)
        assert result.exit_code == 2
        assert words in result.stderr
    result = odenn_cli(*call, "--csv", "a.csv")
    assert result.exit_code == 2
    assert "--csv and the data name the same file" in result.stderr


def test_residual(odenn_cli: Call) -> None:
    """A table as of any method, and what was trained; nothing about troubles where there are none."""
    result = odenn_cli("solve", *DECAY, *SMALL, "--method", "residual", "--points", "2")
    assert result.exit_code == 0
    last = result.stdout.partition("\n\n")[0].splitlines()[-1].split()
    assert float(last[1]) == pytest.approx(math.exp(-1), rel=1e-4)
    assert "of tanh, hidden layers 8-8" in result.stdout
    assert "last loss" in result.stdout
    assert "Remedy" not in result.stdout
    assert "right-hand side called" not in result.stdout


def test_a_failed_fit_says_why(odenn_cli: Call) -> None:
    """Which of the two limits the result, and the remedy in words of the command line."""
    call = ("solve", *DECAY, *SMALL, "--method", "data-fit", "--data", "euler:0.05")
    result = odenn_cli(*call)
    assert result.exit_code == 1
    assert "the data limit the result" in result.stdout
    assert "Why: the data are as far from the solution" in result.stdout
    assert "Remedy: use a smaller step or a better method for the data (--data rk4:STEP or reference)" in result.stdout
    record = json.loads(odenn_cli(*call, "--json").stdout)
    training = record["training"]
    assert set(training) == {"loss", "iterations", "diagnoses", "data_error", "fit_error"}
    assert training["data_error"] > training["fit_error"] > 0
    assert training["iterations"] == record["stats"]["iterations"] > 0
    assert {"data"} == {found["trouble"] for found in training["diagnoses"]}
    assert all(found["description"] and found["evidence"] and found["remedy"] for found in training["diagnoses"])


def test_measured_data(odenn_cli: Call, tmp_path: Path) -> None:
    """A table that odenn wrote is one that it reads."""
    odenn_cli("solve", *DECAY, "--points", "41", "--csv", "a.csv")
    result = odenn_cli("solve", *DECAY, *SMALL, "--method", "data-fit", "--data", str(tmp_path / "a.csv"), "-q")
    assert result.exit_code == 0
    assert "largest misfit to the data" in result.stdout


def test_a_warning_is_said_in_words(odenn_cli: Call) -> None:
    """Once, on stderr, without a line of source."""
    result = odenn_cli(
        "solve", *DECAY, "--method", "residual", "--network", "8:relu", "--windows", "1", "--epochs", "2", "-q"
    )
    assert result.exit_code == 1
    assert result.stderr.startswith("odenn: warning: relu has 0 continuous derivatives")
    assert len(result.stderr.splitlines()) == 1


def test_an_interrupted_training_shows_what_it_has(odenn_cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table, status, files and exit code 1."""
    plain = odenn.solve

    def stopped(problem: odenn.IVP, **options: object) -> odenn.Solution:
        method = dataclasses.replace(options.pop("method"), windows=4)  # type: ignore[type-var]
        return plain(problem, **{**options, "method": method, "progress": lambda report: report.windows == 2})  # type: ignore[arg-type]

    monkeypatch.setattr(odenn, "solve", stopped)
    result = odenn_cli("solve", *DECAY, *SMALL, "--method", "residual", "--csv", "a.csv", "--points", "3")
    assert result.exit_code == 1
    assert "Not solved to the tolerance: the run was stopped before the end of the span: at t = 0.5" in result.stdout
    assert Path("a.csv").read_text().count("\n") == 4
    assert result.stdout.splitlines()[4].split()[0] == "0.5"


def test_a_trained_solution_is_saved_and_shown(odenn_cli: Call) -> None:
    """With its network, and with what was wrong."""
    call = ("solve", *DECAY, *SMALL, "--method", "data-fit", "--data", "euler:0.05", "--save", "s.odenn", "--json")
    solved = json.loads(odenn_cli(*call, "--points", "3").stdout)
    shown = odenn_cli("show", "s.odenn")
    assert shown.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.split("\n\n")[0].splitlines())
    assert lines["network"].startswith("tanh, hidden layers 8-8 for each window")
    assert "iterations" in lines["windows"]
    assert lines["why"].startswith("the data are as far")
    assert "--data rk4:STEP" in lines["remedy"]
    assert json.loads(odenn_cli("show", "s.odenn", "--points", "3", "--json").stdout) == solved


def test_a_stopped_training_goes_on(odenn_cli: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same command, from its checkpoint, to the same solution; the file goes when it is done."""
    call = ("solve", *DECAY, *SMALL, "--method", "residual", "--windows", "4", "--checkpoint", "run.ckpt")
    plain = odenn.solve

    def stopped(problem: odenn.IVP, **options: object) -> odenn.Solution:
        return plain(problem, **{**options, "progress": lambda report: report.windows == 2})  # type: ignore[arg-type]

    monkeypatch.setattr(odenn, "solve", stopped)
    result = odenn_cli(*call)
    assert result.exit_code == 1
    assert "To go on, give the same command again: run.ckpt holds" in result.stdout
    other = odenn_cli(*call[:-4], "--windows", "3", *call[-2:])
    assert other.exit_code == 2
    assert "belongs to another run" in other.stderr
    monkeypatch.setattr(odenn, "solve", plain)
    resumed = json.loads(odenn_cli(*call, "--json").stdout)
    assert not list(tmp_path.iterdir())
    fresh = json.loads(odenn_cli(*call, "--json").stdout)
    assert resumed["success"]
    assert resumed["y"] == fresh["y"]


def test_the_bar_shows_the_loss() -> None:
    """Where it is, window, iteration and loss; a second pass is counted."""
    from odenn.cli._console import Output
    from odenn.cli._progress import SpanBar
    from odenn.optimise.objective import Record

    bar = SpanBar(odenn.parse("y' = -y; y(0) = 1", span=(0, 10)), Output(stderr=True))
    record = Record(iteration=37, loss=3.14e-9, gradient=0.0, control=0.0)
    bar(odenn.Report(fraction=0.5, windows=4, record=record))
    assert bar.words == "t = 5, 4 windows, iteration 37, loss 3.1e-09"
    bar(odenn.Report(fraction=0.25, windows=1, record=record))
    assert bar.words == "t = 2.5, pass 2, 1 window, iteration 37, loss 3.1e-09"


def test_a_network_too_small_is_said_early_and_in_the_end(odenn_cli, capsys: pytest.CaptureFixture[str]) -> None:
    from odenn.cli._console import Output
    from odenn.cli._progress import SpanBar
    from odenn.monitor import Diagnosis, Trouble

    bar = SpanBar(odenn.parse("y' = -y; y(0) = 1", span=(0, 10)), Output(stderr=True))
    for _ in range(3):
        bar(odenn.Report(fraction=0.1, windows=20, hint=Diagnosis(trouble=Trouble.NARROW, evidence="20 windows")))
    assert capsys.readouterr().err.count("odenn: hint: the network is small for the tolerance") == 1
    call = ("solve", "y'' = -y; y(0) = 0, y'(0) = 1", "--span", "0", "1", "--method", "residual")
    shown = odenn_cli(*call, "--network", "4x2", "--rtol", "1e-6").stdout
    assert "Solved" in shown
    assert "Note: the network is small for the tolerance" in shown
    assert "Remedy: use wider layers" in shown
