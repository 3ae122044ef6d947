"""Each diagnosis on a training that really shows it, and not on one that does not."""

import numpy as np
import pytest
import torch
from torch import nn

import odenn
from odenn import zoo
from odenn.methods.data import Euler, Reference, Samples
from odenn.methods.data_fit import DataFit
from odenn.methods.residual import Residual
from odenn.monitor import Evidence, Trouble, diagnose
from odenn.networks.mlp import MLP
from odenn.optimise.objective import Record
from odenn.optimise.torch_optimiser import TorchOptimiser

PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
SINE = "y'' = -y; y(0) = 0, y'(0) = 1"


def found(problem, method, rtol=1e-6):
    """What the training of a run that missed its tolerance was told."""
    outcome = method.run(problem, rtol=rtol, atol=None)
    assert outcome.status is not odenn.Status.SUCCESS
    return [diagnosis.trouble for diagnosis in outcome.training.diagnoses]


def pair(end=2.0):
    return odenn.parse(PAIR, span=(0, end))


def adam(lr, iterations, schedule="constant"):
    return TorchOptimiser(lr=lr, iterations=iterations, schedule=schedule)


def test_the_loss_of_small_batches_oscillates():
    """The story: one ELU network for e^10, Adam at a constant rate, batches of 16 of its Euler data."""
    method = {"network": MLP([32] * 5, "elu"), "data": Euler(0.05), "windows": 1, "optimizer": adam(1e-2, 300)}
    assert Trouble.OSCILLATION in found(pair(10.0), DataFit(**method, batch=16))


def test_the_loss_of_the_first_unlucky_rate_oscillates():
    method = DataFit(network=MLP([32] * 5, "elu"), data=Euler(0.05), windows=1, optimizer=adam(3e-3, 300))
    assert Trouble.OSCILLATION in found(pair(10.0), method)


def test_the_loss_grows():
    """Gradient descent far beyond its stable rate."""
    sgd = TorchOptimiser(name="SGD", lr=1.0, iterations=60, schedule="constant")
    troubles = found(pair(), Residual(network=MLP([16, 16]), windows=1, optimizer=sgd))
    assert Trouble.OSCILLATION in troubles
    assert Trouble.PLATEAU not in troubles


def test_the_loss_falls_too_slowly_but_does_not_oscillate_or_rest():
    method = Residual(network=MLP([16, 16]), windows=1, optimizer=adam(1e-2, 600, "cosine"))
    assert found(pair(), method) == [Trouble.ITERATIONS]


def test_plateau_of_a_rate_too_low():
    assert found(pair(), Residual(network=MLP([8]), windows=1, optimizer=adam(1e-7, 40))) == [Trouble.PLATEAU]


def test_plateau_of_a_rate_that_saturates_the_network():
    """Adam's first steps are as large as its rate: all tanh units end flat, and their gradients vanish."""
    assert found(pair(), Residual(network=MLP([16, 16]), windows=1, optimizer=adam(1.0, 200))) == [Trouble.PLATEAU]


def test_plateau_of_a_fit_to_data():
    """Its remedy names what `DataFit` has: stages are an option of `Residual`."""
    method = DataFit(network=MLP([8]), data=Reference(), windows=1, optimizer=adam(1e-7, 40))
    assert found(pair(), method) == [Trouble.MISFIT]
    assert "stages" not in Trouble.MISFIT.remedy


@pytest.mark.parametrize(
    ("evidence", "trouble"),
    [
        (Evidence(goal=1e-7, iterations=100), [Trouble.PLATEAU]),
        (Evidence(goal=1e-7, iterations=100, fit_error=1.0), [Trouble.MISFIT]),
        (Evidence(goal=1e-7, iterations=4), [Trouble.ITERATIONS]),
        (Evidence(goal=1.0, iterations=100), []),
    ],
)
def test_a_fit_that_gives_up_after_few_iterations_is_named(evidence, trouble):
    course = [Record(iteration=k, loss=0.1, gradient=1.0, control=1e-8) for k in range(1, 5)]
    assert [finding.trouble for finding in diagnose(course, evidence)] == trouble


def test_samples_too_few_for_the_network():
    """Nine of them, two kept out of training: the fit meets the others, and misses these."""
    t = np.linspace(0, 4, 9)
    exact = Samples(t, np.stack([np.exp(t), np.cosh(t)]))
    assert Trouble.SAMPLES in found(pair(4.0), DataFit(data=exact))
    assert Trouble.SAMPLES not in found(pair(4.0), DataFit(network=MLP([2]), data=exact))


def test_outputs_badly_scaled():
    """One window over e^10: from its start nobody sees how far it goes."""
    assert Trouble.SCALES in found(pair(10.0), Residual(network=MLP([16, 16]), windows=1, optimizer=adam(1e-2, 100)))
    short = found(pair(4.0), Residual(windows=1))
    assert Trouble.SCALES not in short
    assert Trouble.TIME not in short


@pytest.mark.parametrize(("end", "badly"), [(20.0, True), (10.0, False)])
def test_time_badly_scaled(end, badly):
    """sin t in one window: up to 10 the error is about 1e-6, at 20 thousands of times that."""
    problem, method = odenn.parse(SINE, span=(0, end)), Residual(windows=1, points=64)
    assert (Trouble.TIME in found(problem, method, rtol=1e-10)) == badly


def test_time_badly_scaled_for_data():
    assert Trouble.TIME in found(pair(8.0), DataFit(data=Reference(), windows=1))


@pytest.mark.filterwarnings("ignore:elu has 1 continuous:UserWarning")
@pytest.mark.parametrize(
    "network",
    [MLP([16, 16], "elu"), nn.Sequential(nn.Linear(1, 24), nn.ELU(), nn.Linear(24, 1))],
    ids=["MLP", "module"],
)
def test_kink_under_a_second_derivative(network):
    torch.manual_seed(0)
    sine = odenn.parse(SINE, span=(0, 4))
    assert Trouble.KINK in found(sine, Residual(network=network, windows=2))
    assert Trouble.KINK not in found(sine, Residual(network=MLP([4]), windows=1))


def test_kink_limits_a_fit_of_first_order():
    """ELU has one derivative, which is all that the equation needs; between the samples it fits worse all the same."""
    assert Trouble.KINK in found(pair(), DataFit(network=MLP([32] * 3, "elu"), windows=1), rtol=1e-8)
    stopped = DataFit(network=MLP([16], "elu"), windows=1, optimizer=adam(1e-5, 20))
    assert Trouble.KINK not in found(pair(), stopped)  # it did not come so far that the kink would matter


def test_data_worse_than_the_fit_to_them():
    assert found(pair(), DataFit(data=Euler(0.01))) == [Trouble.DATA]
    t = np.linspace(0, 2, 60)
    exact = Samples(t, np.stack([np.exp(t), np.cosh(t)]))
    assert Trouble.DATA not in found(pair(), DataFit(network=MLP([2]), data=exact, windows=1))


@pytest.mark.parametrize("single", [True, False])
def test_float32_floor(single):
    """A right-hand side that computes in float32, as one with a model trained elsewhere does."""
    f = (lambda t, y: [-torch.sin(y[0].float())]) if single else (lambda t, y: [-torch.sin(y[0])])
    problem = odenn.IVP(f, y0=[1.0], span=(0, 1))
    method = Residual(network=MLP([16, 16]), windows=1)
    assert (Trouble.FLOAT32 in found(problem, method, rtol=1e-9 if single else 1e-13)) == single


@pytest.mark.parametrize(
    ("text", "end"),
    [("y' = y*(1 - y); y(0) = 0.01", 20), ("y'' = -sin(y); y(0) = 3.1, y'(0) = 0", 10)],
    ids=["logistic", "pendulum"],
)
def test_collapse_onto_a_fixed_point(text, end):
    """Near y = 0, or upside down, nothing moves and the residual is small; the solution leaves after a while."""
    lbfgs = TorchOptimiser(name="LBFGS", lr=1.0, iterations=40)
    method = Residual(network=MLP([16, 16]), windows=1, points=32, optimizer=lbfgs)
    assert Trouble.FIXED_POINT in found(odenn.parse(text, span=(0, end)), method, rtol=1e-4)


def test_a_solution_that_comes_to_rest_is_no_collapse():
    method = Residual(network=MLP([4]), windows=1)
    assert Trouble.FIXED_POINT not in found(odenn.parse("y' = -5*y; y(0) = 1", span=(0, 4)), method)


@pytest.mark.parametrize("name", ["linear-pair-2", "linear-pair-10", "harmonic", "pendulum", "riccati"])
@pytest.mark.parametrize("method", [Residual(), DataFit(data=Reference())], ids=["Residual", "DataFit"])
def test_good_runs_have_no_findings(name, method):
    outcome = method.run(zoo.get(name).problem(), rtol=1e-5, atol=None)
    assert outcome.status is odenn.Status.SUCCESS
    assert outcome.training.diagnoses == ()


@pytest.mark.parametrize(("network", "rtol", "end"), [(MLP([8, 8]), 1e-8, 6.0), (MLP([4, 4]), 1e-6, 1.0)])
def test_a_network_too_small_takes_many_windows(network, rtol, end):
    """It is said early in the run, and in the end, though the tolerance was met."""
    reports = []
    sine = odenn.parse(SINE, span=(0, end))
    solution = odenn.solve(sine, method=Residual(network=network), rtol=rtol, progress=reports.append)
    assert solution.success
    assert [found.trouble for found in solution.training.diagnoses] == [Trouble.NARROW]
    assert f"{solution.stats.windows} windows" in solution.training.diagnoses[0].evidence
    hints = [report.hint for report in reports]
    first = next(k for k, hint in enumerate(hints) if hint is not None)
    assert reports[first].windows <= 80
    assert hints[first].trouble is Trouble.NARROW
    assert hints[-1] is hints[first]
    assert odenn.solve(sine, method=Residual(), rtol=rtol).stats.windows < 5


def test_a_network_too_small_for_a_budget():
    """The solution does not outgrow the scale of its windows, which are short: that scale is of what is added."""
    method = Residual(network=MLP([4]), max_windows=40)
    assert found(odenn.parse(SINE, span=(0, 10)), method, rtol=1e-8) == [Trouble.NARROW]


def test_short_windows_that_the_solution_needs():
    """A right-hand side that jumps every pi/3 needs a hundred windows, whatever the network."""
    problem = odenn.IVP(lambda t, y: [torch.sign(torch.sin(3 * torch.as_tensor(t))) - y[0]], y0=[0.5], span=(0, 3))
    reports = []
    solution = odenn.solve(problem, method=Residual(), rtol=1e-4, progress=reports.append)
    assert solution.success
    assert solution.stats.windows > 20
    assert solution.training.diagnoses == ()
    assert all(report.hint is None for report in reports)


def test_findings_read_as_sentences():
    outcome = DataFit(data=Euler(0.1)).run(pair(), rtol=1e-6, atol=None)
    assert str(outcome.training.diagnoses[0]) == (
        "the data are as far from the solution as the network is from the data, or further (relative error of the data "
        f"{outcome.training.data_error:.2g}, of the fit to them {outcome.training.fit_error:.2g}): use a smaller step "
        "or a better method for the data (RK4, Reference()); of measured data ask whether they are of this equation "
        "and begin at its initial values: more training cannot help"
    )
