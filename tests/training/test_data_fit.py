"""DataFit: fit, the data's own error, and which of the two limits the result."""

import numpy as np
import pytest

import odenn
from odenn.methods.data import CSV, RK4, Euler, Reference, Samples
from odenn.methods.data_fit import DataFit, _split
from odenn.methods.residual import Residual
from odenn.monitor import Trouble
from odenn.networks.mlp import MLP
from odenn.optimise.levenberg_marquardt import LevenbergMarquardt
from odenn.optimise.torch_optimiser import TorchOptimiser

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


def pair(end: float = 2.0) -> odenn.IVP:
    return odenn.parse(PAIR, span=(0, end))


def coupled() -> odenn.IVP:
    f = lambda t, y, dy: [-2 * y[0] + y[1], y[0] - 2 * y[1]]  # noqa: E731
    return odenn.IVP(f, y0=[[1, 0], [0, 0]], span=(0, 10), order=2)


def fit(problem, rtol=1e-6, **options):
    outcome = DataFit(**options).run(problem, rtol=rtol, atol=None)
    return odenn.Solution(problem=problem, outcome=outcome, rtol=rtol)


def calibrated(solution, rtol=1e-12):
    t = np.linspace(*solution.span, 201)
    error = np.abs(solution(t) - odenn.solve(solution.problem, rtol=rtol)(t)).max(axis=1)
    ratio = error / solution.error(t).max(axis=1)
    return ((ratio > 0.2) & (ratio < 5)).all()


@pytest.mark.parametrize(("method", "order"), [(Euler, 1), (RK4, 4)])
def test_data_converge_with_their_order_and_know_their_error(method, order):
    exact = odenn.solve(pair(), rtol=1e-12)
    errors = []
    for step in (0.1, 0.05):
        data = method(step).trajectory(pair())
        true = np.abs(data.y - exact(data.t)).max()
        assert 0.5 < data.error.max() / true < 2
        errors.append(true)
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.4


@pytest.mark.parametrize(("activation", "most"), [("elu", 1e-4), ("tanh", 1e-7)])
def test_the_story_in_which_the_data_limit(activation, most):
    """Euler data on [0, 10]: the network follows them closely, and they are 5 % wrong."""
    solution = fit(pair(10.0), network=MLP([32] * 5, activation), data=Euler(0.01))
    assert solution.training.fit_error < most
    assert 0.04 < solution.training.data_error < 0.06
    assert not solution.success
    assert "the data limit the result" in solution.message
    assert Trouble.DATA in [found.trouble for found in solution.training.diagnoses]
    assert calibrated(solution)


def test_reference_data_meet_the_tolerance():
    solution = fit(pair(), data=Reference(), rtol=1e-6)
    assert solution.success
    assert calibrated(solution)


@pytest.mark.parametrize(
    "method",
    [
        DataFit(data=RK4(0.05)),
        DataFit(data=Reference()),
        Residual(),
        Residual(network=MLP([8]), optimizer=TorchOptimiser(iterations=30)),
    ],
)
def test_evaluations_of_the_right_hand_side_are_counted(method):
    """Of data, training and certificate; those that probe the function or difference it come on top."""
    made = []

    def f(t, y):
        made.append(np.asarray(t).size)
        return [y[0], y[0] - y[1]]

    stats = method.run(odenn.IVP(f, y0=[1.0, 1.0], span=(0, 2)), rtol=1e-6, atol=None).stats
    assert 0.6 * sum(made) < stats.evaluations <= sum(made)
    assert stats.calls <= len(made)


def test_few_samples_keep_their_best_fit():
    """Halved windows have fewer samples, and fit worse; the longer ones are kept."""
    decay = odenn.parse("y' = -y; y(0) = 1", span=(0, 5))
    assert fit(decay, network=MLP([16, 16]), data=RK4(0.05)).training.fit_error < 1e-6


def test_a_finer_goal_fits_no_worse():
    coarse, fine = (fit(pair(), data=Euler(0.05), rtol=rtol).training.fit_error for rtol in (1e-6, 1e-8))
    assert fine <= coarse


@pytest.mark.parametrize("slopes", [False, True])
def test_second_order_system(slopes):
    solution = fit(coupled(), data=RK4(0.01), slopes=slopes)
    t = np.linspace(0, 10, 101)
    exact = np.stack([np.cos(t) + np.cos(np.sqrt(3) * t), np.cos(t) - np.cos(np.sqrt(3) * t)]) / 2
    assert np.abs(solution(t) - exact).max() < 1e-6
    assert calibrated(solution)


def test_samples_of_an_inner_start():
    problem = odenn.IVP(lambda t, y: [-t * y[0]], y0=[1.0], span=(-2, 2), t0=0.0)
    t = np.linspace(-2, 2, 81)
    solution = fit(problem, data=Samples(t, np.exp(-t * t / 2)), rtol=1e-4)
    assert solution.span == (-2.0, 2.0)
    assert np.abs(solution(t)[0] - np.exp(-t * t / 2)).max() < 1e-4


@pytest.mark.parametrize("span", [(-1.9, 2.3), (4.0, 1.8)])
def test_the_last_window_ends_where_the_span_does(span):
    """Not beside it by the rounding of t + (end - t), which counted as a span that was not solved."""
    problem = odenn.IVP(lambda t, y: [-0.1 * y[0]], y0=[1], span=span)
    assert fit(problem, rtol=1e-4, network=MLP([8]), windows=1).span == (min(span), max(span))


def test_samples_that_end_a_little_before_the_span():
    t = np.linspace(0, 4.9, 50)
    solution = fit(odenn.parse("y' = -y; y(0) = 1", span=(0, 5)), 1e-3, data=Samples(t, np.exp(-t)))
    assert solution.success
    assert solution.span == (0, 5)
    assert abs(solution(5.0)[0] - np.exp(-5)) < 1e-3


@pytest.mark.parametrize(("span", "words"), [((0, 10), "end at 5, the span ends at 10"), ((-5, 5), "begin at 0, the")])
def test_samples_of_a_part_of_the_span_are_refused(span, words):
    """What is not solved is no success."""
    t = np.linspace(0, 5, 50)
    with pytest.raises(ValueError, match=f"the data {words}.*let the span"):
        fit(odenn.parse("y' = -y; y(0) = 1", span=span), data=Samples(t, np.exp(-t)))


def test_a_reference_that_ends_before_the_span():
    solution = fit(odenn.parse("y' = y^2; y(0) = 1", span=(0, 2)), 1e-2, network=MLP([8]), windows=1)
    assert solution.status is odenn.Status.BLOW_UP
    assert "the reference data reach from 0 to 1" in solution.message
    assert solution.span[1] == pytest.approx(1, abs=1e-6)
    nowhere = odenn.IVP(lambda t, y: [np.where(t > 0, np.nan, 1.0) * y[0]], y0=[1.0], span=(0, 1))
    with pytest.raises(ValueError, match="no reference data to fit: "):
        fit(nowhere)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.35, 0.6, 0.8])
def test_the_share_of_samples_that_is_kept_out_of_training(share):
    """Also of more than half of them; the ends are trained on."""
    samples = np.arange(10, 1012)
    adam = TorchOptimiser(iterations=5)
    training, held = _split(samples, DataFit(validation=share, optimizer=adam), few=48)
    assert held.size == pytest.approx(1000 * share, abs=1)
    assert np.array_equal(np.union1d(training, held), samples)
    assert not np.intersect1d(training, held).size
    assert {10, 1011} <= {*training.tolist()}
    assert np.diff(held, prepend=10).max(initial=0) <= 1 / share + 1 if share else not held.size


def test_gauss_newton_of_ones_own_takes_few_samples_too():
    """As many as Levenberg-Marquardt, with which it shares the price of a step; all others check."""

    class Own:
        paired = True
        minimise = LevenbergMarquardt().minimise

    samples = np.arange(1000)
    for optimizer in (LevenbergMarquardt(), Own()):
        training, check = _split(samples, DataFit(optimizer=optimizer), few=48)
        assert training.size == 48
        assert check.size == 952


def test_windows_without_samples():
    """A number of windows is taken at its word; windows of their own length reach over a gap."""
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 5))
    t = np.concatenate((np.linspace(0, 1, 200), np.linspace(4, 5, 200)))
    data = Samples(t, np.exp(-t))
    with pytest.raises(ValueError, match=r"`windows` = 20 leaves a window without samples, from 1\.\d+ to"):
        fit(problem, data=data, windows=20, network=MLP([8]), optimizer=LevenbergMarquardt(max_iterations=5))
    few = LevenbergMarquardt(max_iterations=5)  # which halves windows as far as it goes
    assert fit(problem, data=data, rtol=1e-9, network=MLP([8]), optimizer=few).span == (0, 5)


def test_csv(tmp_path):
    t = np.linspace(0, 2, 60)
    path = tmp_path / "run.csv"
    lines = ["x, y2, y1, note", *(f"{a!r},{float(np.cosh(a))!r},{float(np.exp(a))!r},ok" for a in t.tolist())]
    path.write_text("\n".join(lines))
    solution = fit(pair(), data=CSV(path), rtol=1e-4)
    assert solution.success, solution.message
    path.write_text("x,y1,y2\n0,1,1\n1,two,3\n")
    with pytest.raises(ValueError, match=r"line 3.*'two'"):
        fit(pair(), data=CSV(path))
    path.write_text("x,y1\n0,1\n1,2\n")
    with pytest.raises(ValueError, match="no column 'y2'"):
        fit(pair(), data=CSV(path))


@pytest.mark.parametrize(("separator", "comma"), [(";", False), (";", True), ("\t", False), ("\t", True), (",", True)])
def test_csv_of_other_programs(tmp_path, separator, comma):
    """Semicolons and tabs between columns, decimal commas, quotes, a byte order mark, empty columns at the end."""
    t = np.linspace(0, 2, 5)
    table = np.stack([t, np.cosh(t), np.exp(t), np.exp(t)]).T

    def cell(value):
        text = f"{value:.17g}".replace(".", "," if comma else ".")
        return f'"{text}"' if separator == "," else text

    header = separator.join(["x", " y2", "y1 ", "dy1", "note"])
    rows = [separator.join([*map(cell, row), "ok", "", ""]) for row in table.tolist()]
    path = tmp_path / "run.csv"
    path.write_text("\r\n".join([header, *rows, separator * 4, ""]), encoding="utf-8-sig", newline="")
    found = CSV(path).trajectory(pair())
    np.testing.assert_array_equal(found.t, t)
    np.testing.assert_array_equal(found.y, [np.exp(t), np.cosh(t)])
    assert found.dy is None  # of one component only


def test_csv_of_decimal_commas_with_three_digits(tmp_path):
    """0,125 is no number of thousands, so neither is 1,250 beside it."""
    path = tmp_path / "run.csv"
    path.write_text("x;y;dy\n0,000;1,250;-1e-1\n0,125;1,125;2,5E0\n0,250;1,000;0\n0,375;+1;1\n")
    found = CSV(path).trajectory(odenn.parse("y' = y; y(0) = 1", span=(0, 0.375)))
    np.testing.assert_array_equal(found.t, [0, 0.125, 0.25, 0.375])
    np.testing.assert_array_equal(found.y, [[1.25, 1.125, 1, 1]])
    np.testing.assert_array_equal(found.dy, [[-0.1, 2.5, 0, 1]])


def test_first_order_optimiser_with_batches():
    adam = TorchOptimiser(iterations=150, lr=1e-2)
    solution = fit(pair(), network=MLP([16, 16]), data=RK4(0.02), optimizer=adam, batch=32, rtol=1e-6)
    assert not solution.success
    assert 1e-4 < solution.training.fit_error < 0.5
    assert len(solution.training.history) == 150
    assert calibrated(solution)


def test_bad_data_are_named():
    t = np.linspace(0, 2, 10)
    y = np.stack([t, t])
    with pytest.raises(ValueError, match="twice"):
        Samples(np.repeat(t, 2), np.repeat(y, 2, axis=1))
    with pytest.raises(ValueError, match="must increase"):
        Samples(t[::-1], y)
    with pytest.raises(ValueError, match="holds 2 NaN or infinite values"):
        Samples(t, np.where(y == 0, np.nan, y))
    with pytest.raises(ValueError, match="at least 4"):
        Samples(t[:3], y[:, :3])
    with pytest.raises(ValueError, match="transpose"):
        Samples(t, y.T)
    with pytest.raises(ValueError, match="`dy` has shape"):
        Samples(t, y, dy=y[:1])
    with pytest.raises(ValueError, match="the data have 1 component, the problem has 2"):
        fit(pair(), data=Samples(t, y[0]))
    with pytest.raises(ValueError, match="outside the span"):
        fit(pair(1.0), data=Samples(t, y))
    with pytest.raises(ValueError, match="`step`"):
        Euler(0.0)
    with pytest.raises(ValueError, match="without bound"):
        fit(odenn.parse("y' = y^2; y(0) = 1", span=(0, 3)), data=RK4(0.01))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`batch` needs"):
        DataFit(batch=4, optimizer=LevenbergMarquardt())
    with pytest.raises(ValueError, match="`validation`"):
        DataFit(validation=1.0)
    with pytest.raises(ValueError, match="`windows`"):
        DataFit(windows="few")
    with pytest.raises(TypeError, match="`data`"):
        DataFit(data="run.csv")
    with pytest.raises(ValueError, match="needs data with derivatives"):
        fit(pair(), data=Samples([0, 0.5, 1, 1.5], [[1, 2, 3, 4]] * 2), slopes=True)


@pytest.mark.parametrize(
    ("text", "change", "off"),
    [
        ("y' = -y; y(0) = 1", lambda t, y: y + 0.03 * np.cos(40 * t) * (t > 0), 0.03),
        ("y' = -y; y(0) = 1", lambda t, y: y + 0.1, 0.091),
        ("y' = y*(1 - y); y(0) = 1/4", lambda t, y: y / 4, 3.9),
    ],
    ids=["noise", "other initial value", "other equation"],
)
def test_measured_data_that_do_not_fit_the_equation(text, change, off):
    """Their error is known from the certificate: the network plus its error is the solution."""
    t = np.linspace(0, 5, 60)
    data = Samples(t, change(t, np.exp(-t)))
    solution = odenn.solve(odenn.parse(text, span=(0, 5)), rtol=1e-4, method=DataFit(network=MLP([16, 16]), data=data))
    assert not solution.success
    assert solution.training.data_error == pytest.approx(off, rel=0.1)
    assert "the data limit the result" in solution.message
    assert [finding.trouble for finding in solution.training.diagnoses] == [Trouble.DATA]
