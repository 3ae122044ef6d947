"""Solutions as files: what comes back is what was saved, or a clear error."""

# What is private there is tested one by one.
# pyright: reportPrivateUsage=false

import json
import math
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import odenn
from odenn import Collocation, Features, Legendre, Solution, Status
from odenn.methods.outcome import Stats
from odenn.storage import files
from odenn.storage.checks import StorageError
from odenn.storage.solutions import load, save, store_solution

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


def decay(**options: Any) -> Solution:
    return odenn.solve(odenn.parse("y' = -k*y; y(0) = 1", span=(0, 2), params={"k": 0.3}), **options)


def oscillation(*, span: tuple[float, float] = (-3, 4), t0: float = 1.0, network: Any = None) -> Solution:
    problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=span, t0=t0, names=("u", "v"))
    return odenn.solve(problem, rtol=1e-8, method=Collocation(network=network or Legendre()))


def assert_equal(loaded: Solution, solution: Solution) -> None:
    t = solution.grid(301)
    np.testing.assert_array_equal(loaded(t), solution(t))
    np.testing.assert_array_equal(loaded.derivative(t, 2), solution.derivative(t, 2))
    np.testing.assert_array_equal(loaded.error(t), solution.error(t))
    for name in ("names", "independent", "rtol", "span", "status", "message", "stats", "success"):
        assert getattr(loaded, name) == getattr(solution, name), name


@pytest.mark.parametrize("network", [Legendre(), Legendre(degree=8), Features(), Features(activation="sin", seed=3)])
def test_loaded_is_bit_equal(tmp_path: Path, network: Any) -> None:
    solution = oscillation(network=network)
    save(solution, tmp_path / "s.odenn")
    assert_equal(load(tmp_path / "s.odenn"), solution)


@pytest.mark.parametrize(("span", "t0"), [((0, 5), 0), ((5, -5), 5), ((5, -5), 1), ((-5, 5), -1), ((-2, 1), 1)])
def test_every_direction_and_initial_point(tmp_path: Path, span: tuple[float, float], t0: float) -> None:
    solution = oscillation(span=span, t0=t0)
    save(solution, tmp_path / "s.odenn")
    assert_equal(load(tmp_path / "s.odenn"), solution)


def test_equations_come_back_with_their_problem(tmp_path: Path) -> None:
    problem = odenn.parse(
        "x'' = -k*y, y' = x", initial="x(1) = 1, x'(1) = 0.1, y(1) = 2", span=(-1, 4), params={"k": 0.3}
    )
    solution = odenn.solve(problem, rtol=1e-7)
    save(solution, tmp_path / "s.odenn")
    loaded = load(tmp_path / "s.odenn")
    again = loaded.problem
    assert again is not None
    assert again.system is not None
    assert again.system.text == "x'' = -k*y, y' = x"
    assert again.system.parameters == {"k": 0.3}
    assert (again.span, again.t0, again.orders, again.names) == (problem.span, 1.0, (2, 1), ("x", "y"))
    np.testing.assert_array_equal(again.initial, problem.initial)
    t = solution.grid(50)
    np.testing.assert_array_equal(loaded.residual(t), solution.residual(t))
    np.testing.assert_array_equal(odenn.solve(again, rtol=1e-7)(t), solution(t))


def test_parameter_of_the_initial_conditions_alone(tmp_path: Path) -> None:
    """It is no part of the equations' text, and must not stand in the way of reading, copying and verifying."""
    problem = odenn.parse("y'' = -k*y", initial="y(0) = a, y'(0) = 0", span=(0, 2), params={"k": 4, "a": 3})
    solution = odenn.solve(problem)
    solution.save(tmp_path / "run.odenn")
    for again in (odenn.load(tmp_path / "run.odenn"), pickle.loads(pickle.dumps(solution))):
        assert again(1.0) == solution(1.0)
        assert dict(again.problem.system.parameters) == {"k": 4, "a": 3}
        assert again.residual(0.5) == solution.residual(0.5)
    verification = odenn.load(tmp_path / "run.odenn").verify()
    assert verification.within_tolerance
    assert verification.method.startswith(("exact", "SciPy"))


def test_changed_parameters_are_what_is_stored(tmp_path: Path) -> None:
    problem = odenn.parse("y' = -k*y; y(0) = 1", span=(0, 2), params={"k": 0.3}).with_params(k=0.7)
    odenn.solve(problem).save(tmp_path / "s.odenn")
    again = load(tmp_path / "s.odenn").problem
    assert again is not None
    assert again.system is not None
    assert again.system.parameters == {"k": 0.7}


def test_function_is_not_stored_and_that_is_said(tmp_path: Path) -> None:
    save(oscillation(), tmp_path / "s.odenn")
    loaded = load(tmp_path / "s.odenn")
    assert loaded.problem is None
    assert loaded.names == ("u", "v")
    assert b"function not stored" in (tmp_path / "s.odenn").read_bytes()
    with pytest.raises(ValueError, match="a Python function is not stored"):
        loaded.residual(1.0)
    with pytest.raises(ValueError, match="a Python function is not stored"):
        loaded.verify()


def test_loaded_can_be_saved_again(tmp_path: Path) -> None:
    solution = oscillation()
    save(solution, tmp_path / "1.odenn")
    save(load(tmp_path / "1.odenn"), tmp_path / "2.odenn")
    assert_equal(load(tmp_path / "2.odenn"), solution)


def test_loaded_network_is_the_same_torch_module(tmp_path: Path) -> None:
    import torch

    solution = oscillation(network=Features())
    save(solution, tmp_path / "s.odenn")
    t = torch.linspace(-3, 4, 50, dtype=torch.float64)
    assert torch.equal(load(tmp_path / "s.odenn")(t), solution(t))


def test_unfinished_solution(tmp_path: Path) -> None:
    problem = odenn.parse("y' = y^2; y(0) = 1", span=(0, 2))
    solution = odenn.solve(problem)
    assert solution.status is Status.BLOW_UP
    save(solution, tmp_path / "s.odenn")
    loaded = load(tmp_path / "s.odenn")
    assert_equal(loaded, solution)
    assert loaded.problem is not None
    assert loaded.problem.span == (0, 2)


def test_solution_without_windows(tmp_path: Path) -> None:
    solution = decay()
    windows, errors = (
        replace(w, start=w.start[:0], length=w.length[:0], value=w.value[:0], weights=w.weights[:0])
        for w in (solution.outcome.windows, solution.outcome.errors)
    )
    outcome = replace(
        solution.outcome,
        windows=windows,
        errors=errors,
        floor=solution.outcome.floor[:0],
        reached=(0.0, 0.0),
        status=Status.STALLED,
    )
    save(replace(solution, outcome=outcome), tmp_path / "s.odenn")
    loaded = load(tmp_path / "s.odenn")
    assert (loaded.status, loaded.n, loaded.span) == (Status.STALLED, 1, (0.0, 0.0))


def test_same_solution_gives_same_bytes(tmp_path: Path) -> None:
    solution = decay()
    save(solution, tmp_path / "1.odenn")
    save(solution, tmp_path / "2.odenn")
    assert (tmp_path / "1.odenn").read_bytes() == (tmp_path / "2.odenn").read_bytes()


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    """It is a safetensors file with JSON in its metadata."""
    from safetensors import safe_open

    solution = decay()
    save(solution, tmp_path / "s.odenn")
    with safe_open(tmp_path / "s.odenn", framework="np") as file:
        content = json.loads(file.metadata()["odenn"])
        np.testing.assert_array_equal(file.get_tensor("windows.weights"), solution.outcome.windows.weights)
    assert content["version"] == 2
    assert content["problem"]["equations"] == {"text": "y' = -k*y; y(0) = 1", "parameters": {"k": 0.3}}


class TestWriting:
    """The file is replaced in one step."""

    def test_existing_file_is_replaced_and_keeps_its_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "s.odenn"
        path.write_bytes(b"old")
        path.chmod(0o640)
        save(decay(), path)
        assert load(path).success
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_failure_leaves_the_old_file_and_no_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "s.odenn"
        path.write_bytes(b"old")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            save(decay(), path)
        assert caught.value.filename == str(path)
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["s.odenn"]

    def test_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "link.odenn").symlink_to(tmp_path / "s.odenn")
        save(decay(), tmp_path / "link.odenn")
        assert (tmp_path / "link.odenn").is_symlink()
        assert load(tmp_path / "s.odenn").success

    def test_device_is_written_to(self) -> None:
        save(decay(), os.devnull)
        assert not os.path.isfile(os.devnull)

    def test_errors_of_the_path_name_the_path(self, tmp_path: Path) -> None:
        solution = decay()
        with pytest.raises(FileNotFoundError) as caught:
            save(solution, tmp_path / "no" / "s.odenn")
        assert caught.value.filename == str(tmp_path / "no" / "s.odenn")
        with pytest.raises(IsADirectoryError):
            save(solution, tmp_path)
        assert os.listdir(tmp_path) == []
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "s.odenn")
        with pytest.raises(IsADirectoryError):
            load(tmp_path)

    def test_what_is_no_solution_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="got int"):
            save(3, tmp_path / "s.odenn")  # type: ignore[arg-type]


class TestFormat:
    """The file itself, whatever it holds."""

    def test_content_and_arrays_come_back(self, tmp_path: Path) -> None:
        content = {"text": "é", "numbers": [1, 0.1, None, True], "nested": {"a": {}}}
        arrays = {
            "real": np.array([[0.1, math.nan], [-0.0, math.inf]]).T,
            "single": np.array(0.5, np.float32),
            "whole": np.array([2**62, -1]),
            "bytes": np.arange(256, dtype=np.uint8)[::-1],
            "flags": np.array([True, False, True]),
            "empty": np.empty((0, 3)),
        }
        files.write(tmp_path / "x", content, arrays, kind="checkpoint")
        again, read = files.read(tmp_path / "x", kind="checkpoint")
        assert again == content
        assert read.keys() == arrays.keys()
        for name, array in arrays.items():
            assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
            assert read[name].tobytes() == array.tobytes()

    def test_other_arrays_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="`z` is of complex128: only float64, "):
            files.write(tmp_path / "x", {}, {"z": np.zeros(2, complex)})
        with pytest.raises(ValueError, match="not JSON compliant"):
            files.write(tmp_path / "x", {"a": math.nan}, {})
        assert os.listdir(tmp_path) == []

    def test_kinds_are_not_mixed_up(self, tmp_path: Path) -> None:
        files.write(tmp_path / "x", {}, {}, kind="checkpoint")
        save(decay(), tmp_path / "s")
        with pytest.raises(StorageError, match=r"cannot load '.*x': it holds a checkpoint of odenn, not a solution"):
            load(tmp_path / "x")
        with pytest.raises(StorageError, match="it holds a solution of odenn, not a checkpoint"):
            files.read(tmp_path / "s", kind="checkpoint")

    def test_version_1_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It had no kinds and no iterations."""
        solution = decay()
        content, arrays = store_solution(solution)
        del content["stats"]["iterations"]
        monkeypatch.setattr(files, "VERSION", 1)
        packed = files._packed(content, arrays)
        monkeypatch.undo()
        assert b"kind" not in packed
        (tmp_path / "s.odenn").write_bytes(packed)
        assert_equal(load(tmp_path / "s.odenn"), solution)


class TestForeignFiles:
    """Files of another kind, each with its own message."""

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "it is empty"),
            (b"x", "no solution of odenn"),
            (b"t,y\n0,1\n1,2\n", "no solution of odenn"),
            (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00.", "no solution of odenn"),
            (b"\xff" * 100, "no solution of odenn"),
            ((2**62).to_bytes(8, "little") + b"{}", "no solution of odenn"),
            ((2**20).to_bytes(8, "little") + b"{}", "it is damaged: it ends after"),
            ((2).to_bytes(8, "little") + b"{}", "no solution of odenn"),
            ((60_000).to_bytes(8, "little") + b'{"a":' * 12_000, "it is damaged"),
        ],
    )
    def test_message(self, tmp_path: Path, data: bytes, message: str) -> None:
        path = tmp_path / "other.odenn"
        path.write_bytes(data)
        with pytest.raises(StorageError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)

    def test_safetensors_of_others(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"w": np.zeros(3)}, tmp_path / "net.safetensors", metadata={"format": "pt"})
        with pytest.raises(StorageError, match="it is a safetensors file, but no solution of odenn"):
            load(tmp_path / "net.safetensors")

    def test_later_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "VERSION", 3)
        save(decay(), tmp_path / "s.odenn")
        monkeypatch.undo()
        with pytest.raises(StorageError, match=r"later version of odenn \(format 3, .* Install a later odenn"):
            load(tmp_path / "s.odenn")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Solution]:
    path = tmp_path_factory.mktemp("storage") / "s.odenn"
    solution = decay()
    save(solution, path)
    return path, path.read_bytes(), solution


def loads_equal_or_refuses(file: tuple[Path, bytes, Solution], data: bytes) -> bool:
    """Whether it was refused."""
    path, _, solution = file
    path.write_bytes(data)
    try:
        loaded = load(path)
    except StorageError:
        return True
    assert_equal(loaded, solution)
    assert loaded.problem is not None
    return False


def test_truncated_file_is_refused(file: tuple[Path, bytes, Solution]) -> None:
    _, data, _ = file
    for length in range(0, len(data), 7):
        assert loads_equal_or_refuses(file, data[:length])
    assert loads_equal_or_refuses(file, data + b"\0")


def test_flipped_bits_are_found(file: tuple[Path, bytes, Solution]) -> None:
    """In the arrays every one; in the header all but those that change nothing (blanks)."""
    _, data, _ = file
    header = 8 + int.from_bytes(data[:8], "little")
    for place in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        refused = loads_equal_or_refuses(file, bytes(damaged))
        assert refused or place < header


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_random_damage_is_found(file: tuple[Path, bytes, Solution], changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(file[1])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    loads_equal_or_refuses(file, bytes(damaged))


Content = dict[str, Any]
Arrays = dict[str, Any]


class TestUntrusted:
    """A file with the right checksum can still hold anything."""

    def refused(self, path: Path, change: Callable[[Content, Arrays], None], solution: Solution | None = None) -> str:
        content, arrays = store_solution(solution or decay())
        content = json.loads(json.dumps(content))
        change(content, arrays)
        files.write(path, content, arrays)
        with pytest.raises(StorageError) as caught:
            load(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("name", ["windows.start", "windows.length", "errors.start", "errors.length"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
    def test_breakpoints(self, tmp_path: Path, name: str, value: float) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            arrays[name] = arrays[name].copy()
            arrays[name][0] = value

        assert "it is damaged" in self.refused(tmp_path / "s.odenn", change)

    def test_no_time(self, tmp_path: Path) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            arrays["windows.length"] = 0 * arrays["windows.length"]

        assert "do not follow each other" in self.refused(tmp_path / "s.odenn", change)

    def test_order_gaps_and_ends(self, tmp_path: Path) -> None:
        solution = oscillation()

        def reverse(content: Content, arrays: Arrays) -> None:
            for part in ("start", "length"):
                arrays[f"windows.{part}"] = arrays[f"windows.{part}"][::-1]

        def gap(content: Content, arrays: Arrays) -> None:
            arrays["windows.length"] = 0.5 * arrays["windows.length"]

        def reached(content: Content, arrays: Arrays) -> None:
            content["reached"] = [-30.0, 4.0]

        assert "do not follow each other" in self.refused(tmp_path / "s.odenn", reverse, solution)
        assert "gaps or overlap" in self.refused(tmp_path / "s.odenn", gap, solution)
        assert "it reaches from -30 to 4" in self.refused(tmp_path / "s.odenn", reached, solution)

    @pytest.mark.parametrize("name", ["windows.value", "windows.weights", "errors.weights", "floor", "initial"])
    def test_shapes(self, tmp_path: Path, name: str) -> None:
        def shorter(content: Content, arrays: Arrays) -> None:
            arrays[name] = arrays[name][..., :-1] if name != "windows.weights" else arrays[name][:-1]
            if name == "errors.weights":
                arrays[name] = arrays[name][..., 0]

        def missing(content: Content, arrays: Arrays) -> None:
            del arrays[name]

        assert "expected (" in self.refused(tmp_path / "s.odenn", shorter)
        assert f"`{name}` is missing" in self.refused(tmp_path / "s.odenn", missing)

    def test_huge_networks(self, tmp_path: Path) -> None:
        """A window of so many units would take terabytes to evaluate."""

        def wide(content: Content, arrays: Arrays) -> None:
            weights = arrays["windows.weights"]
            arrays["windows.weights"] = np.zeros((*weights.shape[:2], 100_000))

        def layer(content: Content, arrays: Arrays) -> None:
            arrays["windows.mix"] = np.zeros((100_000, arrays["windows.mix"].shape[1]))
            arrays["windows.slope"] = arrays["windows.shift"] = np.ones(100_000)

        assert "100000 units" in self.refused(tmp_path / "s.odenn", wide)
        assert "too large" in self.refused(tmp_path / "s.odenn", layer, oscillation(network=Features()))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("names", ["y", "y"]),
            ("names", []),
            ("names", [1]),
            ("names", "y"),
            ("independent", None),
            ("rtol", 0),
            ("rtol", "1e-6"),
            ("rtol", True),
            ("rtol", 10**400),
            ("reached", [0]),
            ("reached", [2, 0]),
            ("status", "WONDERFUL"),
            ("status", ["SUCCESS"]),
            ("message", 3),
            ("stats", {}),
            ("stats", None),
            ("windows", {"network": "os.system", "activation": "tanh"}),
            ("windows", {"network": "features", "activation": "relu"}),
            ("problem", "y' = -y"),
            ("problem", {}),
            ("problem", {"equations": "something else"}),
        ],
    )
    def test_metadata(self, tmp_path: Path, name: str, value: Any) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content[name] = value

        assert "it is damaged" in self.refused(tmp_path / "s.odenn", change)

    @pytest.mark.parametrize("field", list(Stats.__dataclass_fields__))
    @pytest.mark.parametrize("value", [-1, None, "1", {}])
    def test_counts(self, tmp_path: Path, field: str, value: Any) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["stats"][field] = value

        assert f"`{field}` is" in self.refused(tmp_path / "s.odenn", change)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"text": "y' = __import__('os').getcwd()"}, "its equations cannot be read"),
            ({"text": "y' = " + "(" * 5000 + "y" + ")" * 5000}, "its equations cannot be read"),
            ({"text": "y' = -y*k*q"}, "unknown name `q`"),
            ({"text": "z' = -k*z"}, "its equations are for z, its solution is for y"),
            ({"text": "y'' = -k*y"}, "orders"),
            ({"text": 3}, "`text` is 3"),
            ({"parameters": {"k": "0.3"}}, "`k` is '0.3', not a finite number"),
            ({"parameters": [1]}, "`parameters` is"),
        ],
    )
    def test_equations(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        def apply(content: Content, arrays: Arrays) -> None:
            content["problem"]["equations"].update(change)

        assert message in self.refused(tmp_path / "s.odenn", apply)

    @pytest.mark.parametrize(("name", "value"), [("span", [0, 0]), ("span", [0, "1"]), ("t0", 17.0), ("t0", None)])
    def test_conditions(self, tmp_path: Path, name: str, value: Any) -> None:
        def change(content: Content, arrays: Arrays) -> None:
            content["problem"][name] = value

        assert "it is damaged" in self.refused(tmp_path / "s.odenn", change)


def test_loading_needs_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    save(oscillation(), tmp_path / "s.odenn")
    code = (
        "import sys; from odenn.storage.solutions import load; import odenn.plot, odenn.verify\n"
        f"solution = load({str(tmp_path / 's.odenn')!r}); solution(0.5)\n"
        "assert not {'torch', 'matplotlib', 'sympy', 'pickle5', 'dill'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_solution_that_ended_early_for_its_error_comes_back(tmp_path: Path) -> None:
    """Chaos: the last window was given up, and belongs to neither the solution nor its file."""
    lorenz = "x' = 10*(y - x), y' = x*(28 - z) - y, z' = x*y - 8/3*z; x(0) = 1, y(0) = 1, z(0) = 1"
    solution = odenn.solve(odenn.parse(lorenz, span=(0, 60)))
    assert solution.status is odenn.Status.PRECISION
    assert 20 < solution.span[1] < 60
    windows = solution.outcome.windows
    assert windows.left[-1] + windows.length[-1] == solution.span[1]
    solution.save(tmp_path / "chaos.odenn")
    again = odenn.load(tmp_path / "chaos.odenn")
    t = solution.grid(50)
    assert np.array_equal(again(t), solution(t))
    assert again.residual(t).shape == (3, 50)
