"""SciPy's own tests of solve_ivp, from the installed package, run with OdennSolver in the place of its methods.

Nothing is copied: the syntax tree of the installed file is changed and compiled. Every list of methods becomes the list
with OdennSolver alone, every call of solve_ivp that names a method or none names OdennSolver. Lists of implicit methods
only (Radau, BDF) get it with `stiff=True`, since they test what becomes of a Jacobian.
"""

from __future__ import annotations

import ast
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import scipy.integrate._ivp as ivp
from scipy.integrate._ivp.ivp import METHODS
from scipy.version import version

from odenn.scipy import OdennSolver

SCIPY = tuple(int(part) for part in version.split(".")[:2])
FOLDER = Path(ivp.__file__).parent / "tests"
if not (FOLDER / "test_ivp.py").is_file():
    pytest.skip("SciPy is installed without its tests", allow_module_level=True)


class Stiff(OdennSolver):
    """OdennSolver that solves every window by Newton's method."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, stiff=True)


class Inapplicable(NamedTuple):
    """A test that cannot apply, or one assertion in it; it is run all the same and has to fail."""

    test: str
    condition: str | None  # as `ast.unparse` writes it; None for the whole test
    reason: str


EVALUATIONS = (
    "bounds the evaluations of Runge-Kutta and multistep methods on this problem; a window is solved by iterating on "
    "all its nodes, and a second solution for the error estimate doubles that"
)
INVERSES = (
    "bounds the matrices that SciPy factorises; a stiff window inverts one for every eigenvalue of its network, twice"
)
INTERNALS = "reads the tableau and the stages of an explicit Runge-Kutta method"
OUTDATED = "expects that the first step fails where later SciPy, and OdennSolver, raise its length once"
INAPPLICABLE = (
    Inapplicable("test_integration", "res.nfev < 40", EVALUATIONS),
    Inapplicable("test_integration_complex", "res.nfev < 25", EVALUATIONS),
    Inapplicable("test_integration_const_jac", "res.nfev < 100", EVALUATIONS),
    Inapplicable("test_integration_const_jac", "0 < res.nlu < 15", INVERSES),
    Inapplicable("test_integration_stiff", "res.nfev < 5000", EVALUATIONS),
    Inapplicable("test_coefficient_properties", None, INTERNALS),
    Inapplicable("test_error_estimation", None, INTERNALS),
    Inapplicable("test_error_estimation_complex", None, INTERNALS),
    *([Inapplicable("test_max_step", None, OUTDATED)] if SCIPY < (1, 14) else []),
)


class Substitution(ast.NodeTransformer):
    """Put OdennSolver in the place of SciPy's methods, and drop the assertions listed; notes the tests it changed."""

    def __init__(self, dropped: set[tuple[str, str]]) -> None:
        self.dropped = dropped
        self.found: set[tuple[str, str]] = set()
        self.changed: set[str] = set()
        self.test = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer = self.test
        self.test = outer or node.name
        self.generic_visit(node)
        self.test = outer
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        methods = [_method(item) for item in node.elts]
        if not methods or None in methods:
            return self.generic_visit(node)
        return ast.copy_location(ast.List([self._solver(methods)], node.ctx), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "solve_ivp":
            named = next((keyword for keyword in node.keywords if keyword.arg == "method"), None)
            if named is None:
                node.keywords.append(ast.keyword("method", self._solver([None])))
            elif method := _method(named.value):
                named.value = self._solver([method])
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return self._assertion(node, node.test)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "assert_":
            return self._assertion(node, call.args[0])
        return self.generic_visit(node)

    def _assertion(self, node: ast.stmt, condition: ast.expr) -> ast.AST:
        key = self.test, ast.unparse(condition)
        self.found.add(key)
        return ast.copy_location(ast.Pass(), node) if key in self.dropped else self.generic_visit(node)

    def _solver(self, methods: list[str | None]) -> ast.expr:
        self.changed.add(self.test)
        return ast.Name("Stiff" if set(methods) <= {"Radau", "BDF"} else "OdennSolver", ast.Load())


def _method(node: ast.expr) -> str | None:
    """Name of the method that a literal or a name stands for."""
    name = node.value if isinstance(node, ast.Constant) else node.id if isinstance(node, ast.Name) else None
    return name if name in METHODS else None


def _load(file: str, dropped: set[tuple[str, str]]) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The tests of the file in which a method was replaced, and all assertions found."""
    path = FOLDER / file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    substitution = Substitution(dropped)
    tree = ast.fix_missing_locations(substitution.visit(tree))
    namespace: dict[str, Any] = {"__name__": path.stem, "OdennSolver": OdennSolver, "Stiff": Stiff}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # marks that only SciPy's own configuration knows
        exec(compile(tree, str(path), "exec"), namespace)
    tests = {name: namespace[name] for name in sorted(substitution.changed) if name.startswith("test")}
    return tests, substitution.found


SLOW = {"test_integration_sparse_difference": "half a minute of dense linear algebra; set ODENN_SLOW_TESTS=1 to run it"}


def _collect(file: str) -> dict[str, Any]:
    """What pytest runs: the tests as far as they apply, and each entry of the table, expected to fail."""
    dropped = {(entry.test, entry.condition) for entry in INAPPLICABLE if entry.condition is not None}
    tests, found = _load(file, dropped)
    slow = {} if os.environ.get("ODENN_SLOW_TESTS") else SLOW
    collected = {name: pytest.mark.skip(slow[name])(test) if name in slow else test for name, test in tests.items()}
    for entry in INAPPLICABLE:
        expected = pytest.mark.xfail(strict=True, reason=entry.reason, raises=(AssertionError, AttributeError))
        if entry.test not in tests:
            continue
        if entry.condition is None:
            collected[entry.test] = expected(tests[entry.test])
        elif (entry.test, entry.condition) in found:
            alone, _ = _load(file, dropped - {(entry.test, entry.condition)})
            name = f"{entry.test}_with_" + "".join(c if c.isalnum() else "_" for c in entry.condition)
            collected[name] = expected(alone[entry.test])
    return collected


globals().update(_collect("test_ivp.py") | _collect("test_rk.py"))


@pytest.fixture
def num_parallel_threads() -> int:
    return 1


def test_all_that_loops_over_methods_was_found() -> None:
    """Guards against a SciPy that writes its tests in another way: these must be among those that were changed."""
    tests = {name for name in globals() if name.startswith("test_")}
    known = "integration events max_step first_step t_eval_early_event no_integration empty classes args"
    assert {f"test_{name}" for name in known.split()} <= tests
