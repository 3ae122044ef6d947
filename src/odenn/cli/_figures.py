"""Numbers as text: as many digits as were asked for and are known, decimal points below each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from odenn.cli._failures import UsageError

NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def plain_number(text: str, complaint: str) -> float:
    """A number as people write it; Python's float would also take "01" for 1 and "1_0" for 10, which are slips.

    >>> plain_number("-1.5e3", ""), plain_number(".5", ""), plain_number("1/2", "a number, please")
    Traceback (most recent call last):
    odenn.cli._failures.UsageError: a number, please
    """
    text = text.strip()
    if not NUMBER.fullmatch(text) and text.lower().lstrip("+-") not in ("inf", "nan"):  # the problem refuses these
        slip = f": write {text.lstrip('0')} or 0.{text.lstrip('0')}" if re.fullmatch(r"0+[1-9]\d*", text) else ""
        raise UsageError(complaint + slip)
    return float(text)


def digits_for(rtol: float) -> int:
    """Significant digits that a relative tolerance is worth, with two more to see it by.

    >>> digits_for(1e-9), digits_for(1e-3), digits_for(1e-15)
    (11, 5, 16)
    """
    return min(max(math.ceil(-math.log10(rtol) - 1e-9) + 2, 4), 16)


def figure(value: float, error: float, digits: int) -> str:
    """`value` to `digits` significant digits, but to none that is less than a tenth of `error` is worth.

    >>> figure(22026.4657948, 1e-12, 11), figure(2.718281828459, 3e-4, 11), figure(1.2e-16, 3e-11, 11)
    ('22026.465795', '2.71828', '0.000000000000')
    >>> figure(9.357622968840e-14, 2e-26, 11), figure(1.0, 4e-16, 5), figure(math.inf, math.inf, 5)
    ('9.3576229688e-14', '1.0000', 'inf')
    """
    if not math.isfinite(value):
        return str(value)
    exponent = _exponent(value, digits)
    last = exponent - digits + 1  # decimal place of the last digit shown
    if 0 < error < math.inf:
        last = max(last, _exponent(error, 2) - 1)
    # Noise around zero is written as the zero that it is, if that takes no excessive row of zeros.
    small = exponent < -5 and (last <= exponent or last < -digits - 4)
    if small or exponent >= max(digits, 7):
        return f"{value:.{max(exponent - last, 0)}e}"
    text = f"{value:.{max(-last, 0)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def time_figure(t: float) -> str:
    """A time, short where it can be and to ten digits where it must.

    >>> time_figure(10.0), time_figure(10 / 7), time_figure(-0.0)
    ('10', '1.428571429', '0')
    """
    return f"{t + 0.0:.10g}"


def error_figure(error: float) -> str:
    """An error: its size is what matters.

    >>> error_figure(1.234e-10), error_figure(math.nan)
    ('1.2e-10', 'nan')
    """
    return f"{error:.1e}" if math.isfinite(error) else str(error)


def aligned(cells: Sequence[str]) -> list[str]:
    """The cells of a column, padded until their decimal points are below each other.

    >>> aligned(["1.5", "22026", "9e-14"])
    ['    1.5 ', '22026    ', '    9e-14']
    """
    parts = [re.split(r"(?=[.e])", cell, maxsplit=1) for cell in cells]
    heads = [part[0] for part in parts]
    tails = [part[1] if len(part) > 1 else "" for part in parts]
    left, right = _widest(heads), _widest(tails)
    return [head.rjust(left) + tail.ljust(right) for head, tail in zip(heads, tails, strict=True)]


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _exponent(value: float, digits: int) -> int:
    """Exponent of ten of `value` once it is rounded to `digits`; 0 for zero."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2]) if value else 0
