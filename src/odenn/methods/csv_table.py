"""Tables as programs write them: commas, semicolons or tabs between columns, a full stop or a comma before decimals."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from os import PathLike, fspath

import numpy as np

from odenn.networks.tables import Array

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_NUMBER = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # 1,234: either 1234 or 1.234

Row = tuple[int, list[str]]
"""Line, and cells."""


def read_columns(
    path: str | PathLike[str], needed: Sequence[str], optional: Iterable[str]
) -> tuple[Array, dict[str, Array]]:
    """First column, and the others by name: all of `needed`, and those of `optional` that are there.

    What separates the columns is found by the header, which has to hold the names.

    Raises
    ------
    ValueError
        For a missing column or number, and for what can be read in two ways.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        text = file.read()
    file_name = repr(fspath(path))
    rows = _rows(text, needed, file_name)
    header = rows[0][1]
    for line, row in rows[1:]:
        if any(row[len(header) :]):
            raise ValueError(
                f"{file_name}, line {line} has {len(row)} columns, its header has {len(header)}: numbers with decimal "
                "commas need semicolons or tabs between them"
            )
    wanted = {*needed, *optional}
    places = [k for k, name in enumerate(header) if k == 0 or name in wanted]
    comma = _has_decimal_commas([row[k] for _, row in rows[1:] for k in places if k < len(row)], file_name)
    columns = [_numbers(rows[1:], k, header[k], file_name, comma=comma) for k in places]
    return columns[0], {header[k]: column for k, column in zip(places[1:], columns[1:], strict=True)}


def _rows(text: str, needed: Sequence[str], file_name: str) -> list[Row]:
    """Header and rows, by the one separator that finds the names in the header."""
    tables = {separator: _split(text, separator) for separator in SEPARATORS}
    if len(tables[","]) < 2:
        raise ValueError(f"{file_name} has no rows below its header")
    fitting = [separator for separator, rows in tables.items() if rows and set(needed) <= set(rows[0][1][1:])]
    if len(fitting) > 1:
        ways = " as well as between ".join(SEPARATORS[separator] for separator in fitting)
        raise ValueError(
            f"{file_name} can be read in two ways: its header has {', '.join(needed)} between {ways}; "
            "separate the columns by one of them only"
        )
    if not fitting:
        header = max((rows[0][1] for rows in tables.values() if rows), key=len)
        missing = next(name for name in needed if name not in header[1:])
        raise ValueError(
            f"{file_name} has no column {missing!r}: its header must be the time and {', '.join(needed)}, separated by "
            f"commas, semicolons or tabs, got {', '.join(header)}"
        )
    return tables[fitting[0]]


def _split(text: str, separator: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    return [(line, row) for line, row in rows if any(row)]


def _has_decimal_commas(cells: Sequence[str], file_name: str) -> bool:
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    commas = [cell for cell in numbers if "," in cell]
    if not commas:
        return False
    points = [cell for cell in numbers if "." in cell]
    if points:
        raise ValueError(
            f"{file_name} holds {commas[0]!r} and {points[0]!r}: it is not clear whether commas or full stops stand "
            "before the decimals; write one of them only, and nothing between thousands"
        )
    if all(_GROUPED.fullmatch(cell) for cell in commas):
        raise ValueError(
            f"{file_name} holds {commas[0]!r}, which may be {commas[0].replace(',', '')} or "
            f"{commas[0].replace(',', '.')}: write full stops before decimals, and nothing between thousands"
        )
    return True


def _numbers(rows: Sequence[Row], k: int, name: str, file_name: str, *, comma: bool) -> Array:
    values: list[float] = []
    for line, row in rows:
        cell = row[k] if k < len(row) else ""
        try:
            values.append(float(cell.replace(",", ".") if comma else cell))
        except ValueError:
            found = repr(cell) if cell else "nothing"
            raise ValueError(f"{file_name}, line {line}: column {name!r} holds {found}, expected a number") from None
    return np.array(values)
