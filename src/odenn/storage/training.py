"""The record of a training run in a file: its history, what was found wrong, its errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odenn.methods.outcome import Training
from odenn.monitor import Diagnosis, Trouble
from odenn.optimise.objective import Record
from odenn.storage.checks import Arrays, Content, damaged, take, take_array


def store_training(training: Training, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Description of the record; its figures, which may be infinite or NaN, are put into `arrays`."""
    store_history(training.history, arrays)
    for name in ("data_error", "fit_error"):
        value = getattr(training, name)
        arrays[f"training.{name}"] = np.array([] if value is None else [value], dtype=np.float64)
    return {
        "diagnoses": [{"trouble": found.trouble.name, "evidence": found.evidence} for found in training.diagnoses],
    }


def restore_training(content: Content, arrays: Arrays) -> Training:
    """The record from its description."""
    errors: dict[str, float | None] = {}
    for name in ("data_error", "fit_error"):
        value = take_array(arrays, f"training.{name}", (None,))
        if value.size > 1:
            raise damaged(f"`{name}` is {value.size} numbers")
        errors[name] = float(value[0]) if value.size else None
    return Training(
        history=restore_history(arrays),
        diagnoses=tuple(_diagnosis(found) for found in take(content, "diagnoses", list)),
        **errors,
    )


def store_history(history: tuple[Record, ...], arrays: dict[str, NDArray[Any]], name: str = "history") -> None:
    """Put m iterations into `arrays`: (m, 2) whole numbers, (m, 5) figures, NaN where there is none, and residuals."""
    numbers = [(record.iteration, record.window) for record in history]
    arrays[f"{name}.numbers"] = np.array(numbers, dtype=np.int64).reshape(-1, 2)
    course = [(record.loss, record.gradient, record.control, record.validation, record.error) for record in history]
    arrays[f"{name}.course"] = np.array(course, dtype=np.float64).reshape(-1, 5)
    arrays[f"{name}.components"] = np.array([len(record.residuals) for record in history], dtype=np.int64)
    arrays[f"{name}.residuals"] = np.array([r for record in history for r in record.residuals], dtype=np.float64)


def restore_history(arrays: Arrays, name: str = "history") -> tuple[Record, ...]:
    """The iterations that `store_history` stored."""
    numbers = take_array(arrays, f"{name}.numbers", (None, 2), np.int64)
    course = take_array(arrays, f"{name}.course", (len(numbers), 5)).tolist()
    components = take_array(arrays, f"{name}.components", (len(numbers),), np.int64)
    residuals = take_array(arrays, f"{name}.residuals", (None,)).tolist()
    if ((components < 0) | (components > len(residuals))).any() or components.sum() != len(residuals):
        raise damaged(f"the history has {len(residuals)} residuals, not as many as it should")
    ends = np.cumsum(components).tolist()
    return tuple(
        Record(
            iteration=iteration, window=window, loss=loss, gradient=gradient, control=control,
            validation=_known(validation), error=_known(error), residuals=tuple(residuals[end - size : end]),
        )
        for (iteration, window), (loss, gradient, control, validation, error), size, end in zip(
            numbers.tolist(), course, components.tolist(), ends, strict=True
        )
    )  # fmt: skip


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _diagnosis(found: Any) -> Diagnosis:
    if not isinstance(found, dict):
        raise damaged(f"a diagnosis is {found!r:.60}")
    trouble = Trouble.__members__.get(take(found, "trouble", str))
    if trouble is None:
        raise damaged(f"a diagnosis is {found['trouble']!r:.60}")
    return Diagnosis(trouble=trouble, evidence=take(found, "evidence", str))
