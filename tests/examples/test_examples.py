"""Every example runs as a script, without a warning and within its time, and reads as a notebook."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SECONDS = 300  # of wall-clock time on a busy machine; alone each takes a tenth of that


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    # Deprecations come from inside torch and its JIT; everything else that warns is a mistake of the example.
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", str(path), str(tmp_path)]
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_reads_as_a_notebook(path):
    notebook = jupytext.read(path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown"
    assert kinds.count("code") >= 3
    assert notebook.cells[0].source.startswith("# ")


def test_all_are_listed():
    listed = set(re.findall(r"`(\w+)\.py`", (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")))
    assert {path.stem for path in EXAMPLES} == listed
