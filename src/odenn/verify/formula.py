"""SymPy's formula, asked for in a process of its own (`exact.py`) that can be ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from odenn.problem import IVP
from odenn.verify.reference import EPS, Reference

Array = NDArray[np.float64]

FORMULA_STATES = 8  # SymPy solves larger systems hardly ever, and takes all the time there is to say so


class Formula:
    """SymPy's formula, looked for in a process of its own that can be ended."""

    def __init__(self, problem: IVP, t: Array) -> None:
        self.problem = problem
        self.t = t
        self.process: subprocess.Popen[bytes] | None = None
        self.reason = "SymPy found no formula"

    def __enter__(self) -> Formula:
        system = self.problem.system
        # Files, not pipes: these cannot fill up while nobody reads them.
        self.question, self.answer = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        if system is None:
            self.reason = "a Python function has no formula"
            return self
        if sum(system.orders) > FORMULA_STATES:
            self.reason = f"SymPy is not asked for more than {FORMULA_STATES} states"
            return self
        request = {
            "text": system.text,
            "parameters": dict(system.parameters),
            "initial": self.problem.initial.tolist(),
            "t0": self.problem.t0,
            "times": self.t.tolist(),
        }
        self.question.write(json.dumps(request).encode())
        self.question.seek(0)
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "odenn.verify.exact"],
                stdin=self.question,
                stdout=self.answer,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            self.reason = f"no process for SymPy could be started ({error})"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.question.close()
        self.answer.close()

    def wait(self, deadline: float) -> Reference | None:
        """The formula, if there is one before the deadline."""
        if self.process is None:
            return None
        try:
            code = self.process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            self.reason = "SymPy found no formula in time"
            return None
        if code != 0:
            self.reason = "SymPy failed"  # out of memory, or one of its own errors
            return None
        self.answer.seek(0)
        answer = json.loads(self.answer.read())
        if not answer["formulas"]:
            self.reason = answer["reason"]
            return None
        values = np.array(answer["values"], dtype=float)
        return Reference(method="exact: " + ", ".join(answer["formulas"]), values=values, accuracy=EPS * np.abs(values))
