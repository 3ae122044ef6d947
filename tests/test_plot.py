"""Pictures: what is on them, and that making them changes nothing else."""

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import odenn
from odenn import Solution, Status
from odenn.plot import COLOURS, plot_solution
from odenn.verify import tolerance


def solved(text: str, span: tuple[float, float], **options: Any) -> Solution:
    return odenn.solve(odenn.parse(text, span=span), **options)


def robertson(end: float) -> Solution:
    text = "a' = -0.04*a + 1e4*b*c, b' = 0.04*a - 1e4*b*c - 3e7*b^2, c' = 3e7*b^2; a(0) = 1, b(0) = 0, c(0) = 0"
    return solved(text, (0, end))


def labels(figure: Figure) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes]


def legend(axes: Axes) -> list[str]:
    shown = axes.get_legend()
    return [] if shown is None else [text.get_text() for text in shown.get_texts()]


def drawn(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def test_two_components_with_phase_portrait() -> None:
    figure = solved("u' = v, v' = -u; u(0) = 0, v(0) = 1", (0, 10)).plot()
    assert labels(figure) == ["solution", "estimated error", "v"]
    solution, error, phase = figure.axes
    assert legend(solution) == ["u", "v"]
    assert legend(phase) == ["start (t = 0)"]
    assert (error.get_xlabel(), phase.get_xlabel()) == ("t", "u")
    assert error.get_yscale() == "log"
    assert phase.get_aspect() == 1.0
    assert drawn(figure).startswith(b"\x89PNG")


def test_independent_variable_is_named() -> None:
    assert solved("dy/dx = -y; y(0) = 1", (0, 1)).plot().axes[-1].get_xlabel() == "x"


def test_lines_are_the_solution_its_error_and_its_tolerance() -> None:
    solution = solved("u' = v, v' = -u; u(0) = 0, v(0) = 1", (0, 10), rtol=1e-7)
    upper, lower, _ = solution.plot(points=300).axes
    for i in range(2):
        t = np.asarray(upper.lines[i].get_xdata())
        assert t.size >= 300
        np.testing.assert_array_equal(upper.lines[i].get_ydata(), solution(t)[i])
        error = solution.error(t)[i]
        np.testing.assert_array_equal(lower.lines[i].get_ydata(), np.where(error > 0, error, np.nan))
        np.testing.assert_array_equal(lower.lines[2 + i].get_ydata(), tolerance(solution, t)[i])
    assert legend(lower) == ["estimated error", "tolerance (rtol = 1e-7)"]


def test_one_component_of_second_order_against_its_derivative() -> None:
    figure = solved("y'' = -y; y(0) = 0, y'(0) = 1", (0, 5)).plot()
    assert labels(figure) == ["y", "estimated error", "y'"]
    assert labels(solved("y' = -y; y(0) = 1", (0, 5)).plot()) == ["y", "estimated error"]


def test_components_of_different_size_have_axes_of_their_own() -> None:
    figure = solved("a' = -a, b' = 1e5*a, c' = a; a(0) = 1, b(0) = 0, c(0) = 0", (0, 5)).plot()
    assert labels(figure) == ["a", "b", "c", "estimated error"]
    colours = {axes.lines[0].get_color() for axes in figure.axes[:3]}
    assert colours == set(COLOURS[:3])


def test_many_components_have_a_colour_scale() -> None:
    def chain(t: Any, y: Any) -> Any:
        return [-y[0], *(y[i - 1] - y[i] for i in range(1, 50))]

    figure = odenn.solve(odenn.IVP(chain, y0=[1] + [0] * 49, span=(0, 30))).plot()
    solution, error, bar = figure.axes
    assert len(solution.lines) == 50
    assert len(error.lines) == 51  # and the one tolerance
    assert legend(error)[1].startswith("tolerance (of y")
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["y1", "y13", "y26", "y38", "y50"]
    drawn(figure)


@pytest.mark.parametrize("n", [3, 5, 8, 9])
def test_every_number_of_components_is_drawn(n: int) -> None:
    problem = odenn.IVP(lambda t, y: [-(i + 1) * y[i] for i in range(n)], y0=[1] * n, span=(0, 1))
    figure = odenn.solve(problem).plot(points=20)
    assert len(figure.axes[0].lines) == n
    drawn(figure)


def test_transient_is_drawn_over_logarithmic_time() -> None:
    figure = robertson(1e4).plot()
    assert labels(figure) == ["a", "b", "c", "estimated error"]
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert figure.axes[0].lines[0].get_xdata()[0] < 1e-2  # type: ignore[index]
    drawn(figure)


def test_logarithmic_time_starts_at_the_initial_point() -> None:
    figure = solved("y' = -1e5*(y - cos(t)); y(2) = 0", (2, 12)).plot()
    assert figure.axes[-1].get_xlabel() == "t − 2"
    backwards = odenn.IVP(lambda t, y: [1e5 * (y[0] - np.cos(t))], y0=[0], span=(0, -10))
    figure = odenn.solve(backwards).plot()
    assert figure.axes[-1].get_xlabel() == "−t"
    assert figure.axes[0].get_xlim()[1] == pytest.approx(10)


def test_smooth_solutions_are_drawn_over_linear_time() -> None:
    assert solved("y' = -y; y(0) = 1", (0, 10)).plot().axes[0].get_xscale() == "linear"


def test_growth_is_drawn_on_a_logarithmic_axis() -> None:
    assert solved("y' = 3*y; y(0) = 1", (0, 10)).plot().axes[0].get_yscale() == "log"
    assert solved("y' = 3*y; y(0) = -1", (0, 10)).plot().axes[0].get_yscale() == "symlog"
    assert solved("y'' = -y; y(0) = 0, y'(0) = 1", (0, 10)).plot().axes[0].get_yscale() == "linear"


def test_what_was_not_reached_is_shaded_and_said() -> None:
    solution = solved("y' = y^2; y(0) = 1", (0, 2))
    assert solution.status is Status.BLOW_UP
    figure = solution.plot()
    upper = figure.axes[0]
    assert upper.get_xlim()[1] > 2
    assert [patch.get_xy()[0] for patch in upper.patches] == [pytest.approx(1, abs=1e-6)]  # type: ignore[attr-defined]
    assert "not reached" in " ".join(text.get_text() for text in upper.texts)
    assert "Not solved to rtol = 1e-6" in figure.get_suptitle()
    drawn(figure)


def test_backwards_and_interior_start() -> None:
    for span, t0 in (((5, -5), 5), ((-5, 5), 1)):
        problem = odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=span, t0=t0)
        figure = odenn.solve(problem).plot()
        left, right = figure.axes[0].get_xlim()
        assert -5.2 < left < -5 < 5 < right < 5.2
        assert legend(figure.axes[2]) == [f"start (t = {t0})"]
        np.testing.assert_allclose(figure.axes[2].lines[1].get_xydata(), [[1, 0]], rtol=0, atol=1e-15)


def test_names_are_text_not_mathematics() -> None:
    names = ("_hidden", "$x$", "a$b")
    problem = odenn.IVP(lambda t, y: [-y[0], -y[1], -y[2]], y0=[1, 1, 1], span=(0, 1), names=names)
    figure = odenn.solve(problem).plot()
    assert legend(figure.axes[0]) == [" _hidden", r"\$x\$", r"a\$b"]
    drawn(figure)


def test_zero_component_and_constant_solution() -> None:
    problem = odenn.IVP(lambda t, y: [0 * y[0], 0 * y[1]], y0=[1, 0], span=(0, 1))
    drawn(odenn.solve(problem).plot())


def test_loaded_solution_is_drawn(tmp_path: Path) -> None:
    solution = odenn.solve(odenn.IVP(lambda t, y: [y[1], -y[0]], y0=[1, 0], span=(0, 5)))
    solution.save(tmp_path / "s.odenn")
    from odenn.storage.solutions import load

    assert labels(load(tmp_path / "s.odenn").plot()) == labels(solution.plot())


PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
SMALL = odenn.MLP([8, 8])


@pytest.mark.parametrize(
    "method", [odenn.Residual(network=SMALL), odenn.DataFit(network=SMALL)], ids=["Residual", "DataFit"]
)
def test_trained_solutions_are_drawn(method: Any) -> None:
    solution = solved(PAIR, (0, 1), method=method, rtol=1e-4)
    figure = solution.plot(points=50)
    assert labels(figure) == ["solution", "estimated error", "y2"]
    t = np.asarray(figure.axes[0].lines[0].get_xdata())
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), np.exp(t), rtol=2e-4)  # type: ignore[arg-type]
    drawn(figure)


def test_training_is_drawn_with_its_windows() -> None:
    """Lines are the history, network by network; the border of the windows is where the second begins."""
    method = odenn.Residual(network=SMALL, windows=2, stages=2, reference=lambda t: np.exp(-t)[None])
    solution = solved("y' = -y; y(0) = 1", (0, 2), method=method, rtol=1e-6)
    assert solution.training is not None
    history = solution.training.history
    figure = solution.plot_training()
    assert labels(figure) == ["loss", "gradient norm", "damping or\nlearning rate", "true error,\nrelative"]
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    starts = [k for k, record in enumerate(history) if record.iteration == 1]
    assert len(starts) >= 4  # two windows, each of two stages
    for axes, values in zip(
        figure.axes,
        ([r.loss for r in history], [r.gradient for r in history], [r.control for r in history]),
        strict=False,
    ):
        courses, borders = axes.lines[: len(starts)], axes.lines[len(starts) :]
        assert [np.asarray(line.get_xdata())[0] for line in courses] == [start + 1 for start in starts]
        np.testing.assert_array_equal(np.concatenate([np.asarray(line.get_ydata()) for line in courses]), values)
        assert [line.get_xdata()[0] for line in borders] == [start + 0.5 for start in starts[1:]]  # type: ignore[index]
        solid = [line.get_xdata()[0] for line in borders if line.get_linestyle() == "-"]  # type: ignore[index]
        assert solid == [next(k for k, record in enumerate(history) if record.window == 1) + 0.5]
    assert "2 windows" in figure.get_suptitle()
    assert drawn(figure).startswith(b"\x89PNG")


def test_loss_on_samples_kept_out_of_training_is_drawn() -> None:
    adam = odenn.TorchOptimiser(iterations=40, patience=20)
    solution = solved(PAIR, (0, 1), method=odenn.DataFit(network=SMALL, windows=1, optimizer=adam), rtol=1e-3)
    assert solution.training is not None
    validated = [record.validation for record in solution.training.history if record.validation is not None]
    figure = solution.plot_training()
    assert legend(figure.axes[0]) == ["on the training samples", "on samples kept out of training"]
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), validated)
    drawn(figure)


def test_collocation_has_no_training_to_draw() -> None:
    with pytest.raises(ValueError, match=r"nothing was trained: collocation .* method=Residual"):
        solved("y' = -y; y(0) = 1", (0, 1)).plot_training()


def test_nothing_global_changes() -> None:
    """No pyplot, no windows, no settings."""
    code = (
        "import matplotlib, sys, odenn; before = matplotlib.rcParams.copy()\n"
        "odenn.solve(odenn.IVP(lambda t, y: [-y[0]], y0=[1], span=(0, 1))).plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("points", [1, 0, -3, 2.5, "many"])
def test_points_are_checked(points: Any) -> None:
    with pytest.raises(ValueError, match="`points` must be a whole number, 2 or more"):
        plot_solution(solved("y' = -y; y(0) = 1", (0, 1)), points)


@pytest.mark.parametrize("high", [0.3, 0.6, 5.0])
def test_labels_of_few_decades_do_not_overlap(high: float) -> None:
    from odenn.plot.scales import label_decades
    from odenn.plot.style import blank

    figure = blank(4, 3)
    panel: Any = figure.add_subplot()
    panel.plot([0.08, high], [1, 2], "o")
    panel.set_xscale("log")
    label_decades(panel.xaxis)
    figure.canvas.draw()
    ticks = panel.xaxis.get_major_ticks() + panel.xaxis.get_minor_ticks()
    low, top = panel.get_xlim()
    labels = [tick.label1 for tick in ticks if low <= tick.get_loc() <= top and tick.label1.get_text()]
    assert {"0.1", "0.2"} <= {label.get_text() for label in labels}
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
