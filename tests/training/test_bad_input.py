"""Bad input: what was given, what is accepted, what to do."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import odenn
from odenn import CSV, MLP, DataFit, LevenbergMarquardt, Residual, Samples, TorchOptimiser

T = np.linspace(0, 2, 40)
Y = np.stack([np.exp(T), np.cosh(T)])


def pair(span=(0, 2)):
    return odenn.parse("dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1", span=span)


def sine():
    return odenn.parse("y'' = -y; y(0) = 0, y'(0) = 1", span=(0, 2))


def module(*activations, outputs=2):
    layers = [part for a in activations for part in (nn.LazyLinear(8), a)]
    net = nn.Sequential(*layers, nn.LazyLinear(outputs))
    net(torch.zeros(1, 1))
    return net


@pytest.mark.parametrize("method", [Residual, DataFit])
@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Linear(1, 3), r"returns \(3, 3\).*problem has 2 component.*one output for each component"),
        (nn.Linear(2, 2), r"must map times \(k, 1\) to \(k, 2\)"),
        (nn.Flatten(0), r"no weights to train"),
    ],
)
def test_network_of_wrong_size(method, network, words):
    with pytest.raises(ValueError, match=words):
        odenn.solve(pair(), method=method(network=network))


@pytest.mark.parametrize("hidden", [[], [0], [2.5], [-3]])
def test_hidden_layers(hidden):
    with pytest.raises(ValueError, match="`hidden` must be widths"):
        MLP(hidden)


def test_activation_by_name():
    with pytest.raises(ValueError, match=r"`activation` must be one of tanh, sin.*got 'tahn'"):
        MLP([8], "tahn")


class Own(nn.Module):
    """A network of the user's own, with a mistake before or after its layers."""

    def __init__(self, before=lambda x: x, hidden=lambda x: x, after=lambda x: x) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 8), nn.Linear(8, 1)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.cos(torch.arange(weights.numel())).view_as(weights))
        self.before, self.hidden, self.after = before, hidden, after

    def forward(self, x):
        return self.after(self.outer(self.hidden(torch.tanh(self.inner(self.before(x))))))


@pytest.mark.parametrize("method", [Residual, DataFit])
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Own(before=lambda x: torch.as_tensor(np.sin(x.detach().numpy()))), "cannot be differentiated.*no NumPy"),
        (Own(before=lambda x: x if float(x[0]) > -2 else 2 * x), "cannot be differentiated.*use torch.where"),
        (Own(before=lambda x: x.mul_(1.0)), "no operation in place"),
        (Own(hidden=lambda x: x + 1e-3 * torch.rand_like(x)), "returns other values for the same times"),
        (Own(hidden=lambda x: x.detach()), "hides derivatives from training"),
        (Own(before=lambda x: x.detach()), "hides derivatives from training"),
        (Own(before=lambda x: x + (x**2).detach()), "hides derivatives from training"),
        (Own(after=lambda x: x.detach()), r"no \.detach\(\)"),
        (Own(before=torch.log), "NaN or infinite values or slopes, first at x = -1: its input is the time"),
        (Own(after=lambda x: x * torch.nan), "NaN or infinite values"),
    ],
)
def test_mistakes_in_own_networks_are_told_as_such(network: nn.Module, message: str, method: Any) -> None:
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    with pytest.raises(ValueError, match=rf"`network` \(Own\) .*{message}"):
        odenn.solve(problem, method=method(network=network, windows=1))


def test_an_own_network_without_mistakes_is_taken() -> None:
    problem = odenn.parse("y' = -y; y(0) = 1", span=(0, 1))
    frozen = Own()
    frozen.inner.requires_grad_(False)
    for network in (Own(), frozen, Own(before=lambda x: torch.sqrt(x + 1))):
        odenn.solve(
            problem,
            rtol=1e-2,
            method=Residual(network=network, windows=1, optimizer=LevenbergMarquardt(max_iterations=5)),
        )


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.outer(torch.relu(self.inner(x)))


@pytest.mark.parametrize(
    "network",
    [MLP([8], "relu"), module(nn.ReLU(), outputs=1), module(nn.LeakyReLU(), outputs=1), Functional(), nn.Linear(1, 1)],
    ids=["MLP", "ReLU", "LeakyReLU", "functional", "linear"],
)
def test_no_second_derivative_for_a_second_order_equation(network):
    with pytest.raises(ValueError, match=r'no second derivative.*cannot see it: use "tanh" or "sin"'):
        odenn.solve(sine(), method=Residual(network=network))


@pytest.mark.parametrize(
    ("network", "problem", "words"),
    [
        (MLP([8], "relu"), pair(), "relu has 0 continuous"),
        (module(nn.ReLU()), pair(), "ReLU has 0 continuous"),
        (MLP([8], "elu"), sine(), "elu has 1 continuous"),
        (module(nn.ELU(), outputs=1), sine(), "ELU has 1 continuous"),
        (module(nn.ELU(alpha=0.5)), pair(), "ELU has 0 continuous"),
        (module(nn.Tanh(), nn.SELU()), pair(), "SELU has 0 continuous"),
    ],
)
def test_too_few_derivatives_for_the_order_warn(network, problem, words):
    few = TorchOptimiser(iterations=2)
    with pytest.warns(UserWarning, match=words + r'.*use "tanh" or "sin"'):
        odenn.solve(problem, method=Residual(network=network, windows=1, optimizer=few))


def test_smooth_modules_do_not_warn():
    few = TorchOptimiser(iterations=2)
    for activation in (nn.Tanh(), nn.Softplus(), nn.GELU()):
        odenn.solve(sine(), method=Residual(network=module(activation, outputs=1), windows=1, optimizer=few))


def test_activation_that_torch_cannot_differentiate_twice():
    with pytest.raises(ValueError, match=r"cannot differentiate `network` 2 times.*x \* torch\.sigmoid\(x\)"):
        odenn.solve(sine(), method=Residual(network=module(nn.SiLU(), outputs=1)))


@pytest.mark.parametrize(
    ("t", "y", "words"),
    [
        (T, np.where(T[5] == T, np.nan, Y), "`y` holds 2 NaN or infinite values: remove"),
        (np.where(T[5] == T, np.inf, T), Y, "`t` holds 1 NaN or infinite value: remove"),
        (T[::-1], Y, "must increase: sort"),
        (np.concatenate([[0], T[:-1]]), Y, "contains 0 twice: keep one"),
        (T[:3], Y[:, :3], "3 samples: at least 4"),
        (T, Y.T, "transpose"),
        (T, [["a"] * 40] * 2, "`y` must be numbers"),
    ],
    ids=["NaN", "infinite time", "unsorted", "twice", "too few", "transposed", "text"],
)
def test_samples(t, y, words):
    with pytest.raises(ValueError, match=words):
        Samples(t, y)


def test_samples_that_do_not_suit_the_problem():
    with pytest.raises(ValueError, match=r"the data have 3 components, the problem has 2 \(y1, y2\)"):
        odenn.solve(pair(), method=DataFit(data=Samples(T, np.vstack([Y, Y[:1]]))))
    with pytest.raises(ValueError, match="outside the span from 0 to 1"):
        odenn.solve(pair((0, 1)), method=DataFit(data=Samples(T, Y)))


def test_data_that_leave_out_the_initial_point():
    """From 0 to the first sample at 1 there is nothing to learn from; a little later than 0 is what measurements do."""
    late = np.flatnonzero(T >= 1)
    with pytest.raises(ValueError, match=r"begin at 1.*initial values are given at 0"):
        odenn.solve(pair(), method=DataFit(data=Samples(T[late], Y[:, late])))
    assert odenn.solve(pair(), rtol=1e-4, method=DataFit(data=Samples(T[1:], Y[:, 1:]))).success


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "x,y1\n0,1\n1,2\n",
            "no column 'y2': its header must be the time and y1, y2, separated by commas, .*, got x, y1",
        ),
        ("0,1,1\n1,2,2\n", "no column 'y1': its header must be"),
        ("x,y1,y2\n0,1,1\n1,two,3\n", "line 3: column 'y1' holds 'two', expected a number"),
        ("x,y1,y2\n0,1,1\n1,2\n", "line 3: column 'y2' holds nothing"),
        ("x,y1,y2\n", "no rows below its header"),
        ("", "no rows below its header"),
        (";;\n;;\n", "no column 'y1'"),
        ("x|y1|y2\n0|1|1\n1|2|2\n", "no column 'y1'.*separated by commas, semicolons or tabs, got x|y1|y2"),
        ("x,y1,y2\n0,5,1,5,1,5\n", "line 2 has 6 columns, its header has 3: numbers with decimal commas"),
        ("x;y1;y2\n\n0;1,5;2.5\n", "holds '1,5' and '2.5': it is not clear"),
        ("x;y1;y2\n0;1.000,5;2\n", "holds '1.000,5' and '1.000,5': it is not clear"),
        ("x;y1;y2\n0;1,234;2\n1;12,345;2\n", "holds '1,234', which may be 1234 or 1.234"),
        ("x,y1,y2,z;y1;y2\n0,1,2,3;4;5\n", "two ways.* y1, y2 between commas as well as between semicolons"),
        ("x;y1;y2\n\n0;1;1\n1;2;zwei\n", "line 4: column 'y2' holds 'zwei'"),
    ],
    ids=[
        "missing column",
        "no header",
        "text",
        "short row",
        "header only",
        "empty",
        "separators only",
        "other separator",
        "decimal commas",
        "commas and full stops",
        "commas, and full stops between thousands",
        "thousands or decimals",
        "two separators",
        "text between semicolons",
    ],
)
def test_csv(tmp_path, text, words):
    path = tmp_path / "run.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        odenn.solve(pair(), method=DataFit(data=CSV(path)))


def test_csv_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        odenn.solve(pair(), method=DataFit(data=CSV(tmp_path / "none.csv")))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TorchOptimiser(name="Adamm"), "`name` must be a class of torch.optim.*'Adamm'"),
        (lambda: TorchOptimiser(lr=0), "`lr` must be positive"),
        (lambda: TorchOptimiser(iterations=0), "`iterations` must be a positive"),
        (lambda: TorchOptimiser(schedule="linear"), "`schedule` must be one of"),
        (lambda: LevenbergMarquardt(max_iterations=0), "`max_iterations` must be a positive"),
        (lambda: LevenbergMarquardt(damping=0), "`damping` must be positive"),
        (lambda: DataFit(batch=16), "`batch` needs a first-order optimizer, such as TorchOptimiser"),
        (lambda: DataFit(batch=0, optimizer=TorchOptimiser()), "`batch` must be a positive"),
        (lambda: DataFit(windows=0), '`windows` must be "auto" or a positive'),
        (lambda: Residual(stages=0), "`stages` must be a whole number from 1 to 5"),
        (lambda: Residual(stages=1.5), "`stages` must be a whole number from 1 to 5"),
        (lambda: Residual(windows=0), "`windows` must be 1 or more"),
        (lambda: Residual(windows="manual"), '`windows` must be "auto"'),
        (lambda: Residual(windows=2.5), '`windows` must be "auto", a number or a sequence of times, got 2.5'),
        (lambda: Residual(windows=None), '`windows` must be "auto"'),
        (lambda: Residual(windows=["a"]), '`windows` must be "auto"'),
        (lambda: Residual(points=2), "`points` must be a whole number, 4 or more"),
    ],
)
def test_options(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_options_that_the_optimiser_does_not_know():
    method = Residual(windows=1, optimizer=TorchOptimiser(options={"momentums": 0.9}))
    with pytest.raises(ValueError, match=r"Adam does not take these `options`.*momentums"):
        odenn.solve(pair(), method=method)


def test_windows_as_numpy_has_them():
    """An array of times, which cannot be compared with a word; a number."""
    assert Residual(windows=np.array([0.5, 1.0])) == Residual(windows=(0.5, 1.0))
    assert Residual(windows=np.int64(2)).windows == 2
    few = LevenbergMarquardt(max_iterations=3)
    solution = odenn.solve(pair(), method=Residual(network=MLP([4]), windows=np.array([0.5, 1.0]), optimizer=few))
    assert solution.outcome.windows.start.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("windows", [[0.5, 3.0], [0.5, 0.5]])
def test_windows_outside_the_span_or_twice(windows):
    with pytest.raises(ValueError, match="different times within the span"):
        odenn.solve(pair(), method=Residual(windows=windows))


def test_right_hand_side_for_numpy_only():
    problem = odenn.IVP(lambda t, y: [np.sin(y[0])], y0=[1.0], span=(0, 1))
    with pytest.raises(ValueError, match=r"torch\.sin instead of np\.sin.*odenn\.parse"):
        odenn.solve(problem, method=Residual())


@pytest.mark.parametrize("layer", [torch.nn.Dropout(0.1), torch.nn.BatchNorm1d(8)])
def test_layers_that_are_no_function_of_time(layer: torch.nn.Module):
    network = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), layer, torch.nn.Linear(8, 1))
    for method in (odenn.Residual(network=network), odenn.DataFit(network=network)):
        with pytest.raises(ValueError, match=f"{type(layer).__name__} layer .*no function of time"):
            odenn.solve(odenn.parse("y' = -y; y(0) = 1", span=(0, 1)), method=method)


def test_complex_data():
    t = np.linspace(0, 1, 30)
    with pytest.raises(TypeError, match="complex"):
        odenn.Samples(t, np.exp(-t) + 1j)
