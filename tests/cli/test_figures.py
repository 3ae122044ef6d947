"""Numbers as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odenn.cli._figures import aligned, digits_for, figure

finite = st.floats(-1e300, 1e300)
digits = st.integers(4, 16)


@given(value=finite, digits=digits)
def test_a_figure_is_right_to_all_digits_asked_for(value: float, digits: int) -> None:
    """Without an error the text is the value, rounded."""
    assert math.isclose(
        float(figure(value, 0.0, digits)), value, rel_tol=0.5000001 * 10.0 ** (1 - digits), abs_tol=5e-324
    )


@given(value=finite, error=st.floats(1e-300, 1e300), digits=digits)
def test_what_is_left_out_is_less_than_the_error(value: float, error: float, digits: int) -> None:
    """Digits are dropped only where they are not known."""
    shown = float(figure(value, error, digits))
    assert abs(shown - value) <= 0.06 * error + 0.5000001 * 10.0 ** (1 - digits) * abs(value)


@given(value=finite, error=st.floats(0, 1e300), digits=digits)
def test_a_figure_is_short(value: float, error: float, digits: int) -> None:
    """No figure runs over the table, and no zero has a sign."""
    text = figure(value, error, digits)
    assert len(text) <= digits + 9
    assert not (text.startswith("-") and float(text) == 0)


@given(cells=st.lists(st.tuples(finite, digits).map(lambda pair: figure(pair[0], 0.0, pair[1])), max_size=8))
def test_aligned_figures_have_one_width_and_one_place_for_the_point(cells: list[str]) -> None:
    """Points are below each other."""
    column = aligned(cells)
    assert len({len(cell) for cell in column}) <= 1
    assert len({cell.index(".") for cell in column if "." in cell}) <= 1
    assert [cell.strip() for cell in column] == cells


@pytest.mark.parametrize(("rtol", "expected"), [(1e-9, 11), (1e-6, 8), (0.5, 4), (1e-14, 16), (3e-9, 11), (1e-300, 16)])
def test_digits_for_a_tolerance(rtol: float, expected: int) -> None:
    """Two digits more than the tolerance is worth, as far as doubles have them."""
    assert digits_for(rtol) == expected
