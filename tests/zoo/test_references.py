"""The zoo's reference solutions are there, are right, and can be read safely."""

import zipfile

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from odenn import zoo
from odenn.zoo._problem import REFERENCES

ALL = pytest.mark.parametrize("problem", zoo.all_problems(), ids=lambda problem: problem.name)
# Radau or LSODA take seconds for these two; make_references.py compares them, and published values follow below.
FAST = pytest.mark.parametrize(
    "problem",
    [p for p in zoo.all_problems() if p.name not in {"brusselator", "van-der-pol-1000"}],
    ids=lambda problem: problem.name,
)


@ALL
def test_the_reference_covers_the_span_from_the_initial_values_on(problem):
    t, y = problem.reference()
    assert t.dtype == y.dtype == np.float64
    assert y.shape == (problem.components, t.size)
    assert (t[0], t[-1]) == problem.span
    assert (np.diff(t) > 0).all()
    np.testing.assert_allclose(y[:, 0], problem.y0[: problem.components], rtol=1e-15, atol=1e-15)


@ALL
def test_the_reference_stands_on_the_grid_of_its_problem(problem):
    np.testing.assert_allclose(problem.reference()[0], problem.grid(), rtol=1e-15)


@ALL
def test_the_reference_was_measured_to_be_good_to_thirteen_digits(problem):
    assert 0 < problem.reference_accuracy < 1e-13


@ALL
def test_the_reference_is_the_callers_to_change(problem):
    t, y = problem.reference()
    t += 1.0
    y += 1.0
    np.testing.assert_array_equal(problem.reference()[1] + 1.0, y)


@FAST
def test_scipy_agrees(problem):
    t, y = problem.reference()
    run = solve_ivp(
        problem.f,
        problem.span,
        problem.y0,
        method="LSODA" if problem.stiff else "DOP853",
        rtol=1e-10 if problem.stiff else 1e-11,
        atol=1e-16 if problem.stiff else 1e-12,  # Robertson's second component ends at 1e-10
        t_eval=t,
    )
    error = np.abs(run.y[: problem.components] - y).max(axis=1) / np.abs(y).max(axis=1)
    assert error.max() < (1e-6 if problem.chaotic or problem.stiff else 1e-8)


@pytest.mark.parametrize(
    ("name", "time", "published"),
    [
        # Hairer and Wanner's test set has time divided by mu. https://www.unige.ch/~hairer/testset/testset.html
        ("van-der-pol-1000", 1000.0, [-1.863646254808130]),
        ("van-der-pol-1000", 2000.0, [1.706167732170456]),
        ("robertson-1e4", 1e4, [0.1073004285378040, 0.4800166972571660e-06, 0.8926990914454987]),
        ("robertson-1e8", 1e8, [0.2082417512179460e-04, 0.8329841429908955e-10, 0.9999791757415798]),
    ],
)
def test_published_values_agree(name, time, published):
    t, y = zoo.get(name).reference()
    np.testing.assert_allclose(y[:, t == time][:, 0], published, rtol=2e-14)


@pytest.mark.parametrize(
    ("k", "value"),
    [
        # y at the k-th time of `also`, by Taylor series of orders 30 and 40 in 113 bits and more
        (6, 0.14278460247979093),
        (9, -0.2875210105981022),
        (12, -0.9964106404765143),  # |y'| = 1333: 1e-16 of time is 1.3e-13 of y
        (15, -1.6747572955646802),
        (27, -0.12294733264681591),
        (30, 0.32323156455426224),
        (33, 1.0458558407989619),
        (36, 1.7025800201258665),
    ],
)
def test_the_jumps_of_van_der_pol_stand_where_taylor_series_have_them(k, value):
    problem = zoo.get("van-der-pol-1000")
    t, y = problem.reference()
    assert len(problem.also) == 42
    np.testing.assert_allclose(y[0, t == problem.also[k]], [value], rtol=0, atol=6e-14 * 2.0)


def test_the_reference_of_van_der_pol_is_dense_in_both_jumps():
    t, y = zoo.get("van-der-pol-1000").reference()
    for sign, begin in ((-1.0, 807.0), (1.0, 1614.0)):
        inside = (t > begin) & (t < begin + 1.0)
        rise = sign * y[0, inside]
        assert rise[0] < -0.5
        assert rise[-1] > 1.97
        assert 0 < np.diff(rise).min() < np.diff(rise).max() < 0.27
        assert (np.diff(rise) / np.diff(t[inside])).max() > 1300  # the steepest slope is 1333


def test_the_file_is_small_and_needs_no_pickle():
    assert REFERENCES.stat().st_size < 1_000_000
    with np.load(REFERENCES, allow_pickle=False) as archive:
        assert all(archive[key].dtype == np.float64 for key in archive.files)
        assert {key.rpartition(".")[0] for key in archive.files} == set(zoo.names())
    assert all(name.endswith(".npy") for name in zipfile.ZipFile(REFERENCES).namelist())
