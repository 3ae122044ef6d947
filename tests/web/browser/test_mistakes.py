"""What the page says when something is wrong: at the field, in words, and without stopping work."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from .conftest import Workshop

DECAY = {"equations": "y' = -k*y", "initial": "y(0) = 1", "span_from": "0", "span_to": "5", "rtol": "1e-6"}


def test_ten_mistakes_and_more(workshop: Workshop) -> None:
    """Each is told at its field, which gets the focus; and the next problem is solved."""
    page = workshop.page
    workshop.without_comparison()

    def typed(**fields: str) -> Callable[[], None]:
        return lambda: workshop.fill(**fields)

    def trained(method: str, **fields: str) -> Callable[[], None]:
        def prepare() -> None:
            workshop.choose(method)
            workshop.fill(**fields)

        return prepare

    def without_file() -> None:
        workshop.choose("data-fit")
        page.select_option("#data-kind", "csv")

    # What is done, the field that is blamed, what its message holds.
    mistakes: list[tuple[Callable[[], None], str, str]] = [
        (typed(equations="y' = -y +* 2"), "equations", "y' = -y +* 2\n         ^"),
        (typed(equations="y' = sinn(y)"), "equations", "sinn"),
        (typed(equations="y' = __import__('os').system('true')"), "equations", "^"),
        (typed(equations=""), "equations", "equation"),
        (typed(initial="y(0 = 1"), "initial", "^"),
        (typed(initial=""), "initial", "give y(...)"),
        (typed(span_to="0"), "span", "two different ends"),
        (typed(span_to="ten"), "span", "got ten"),
        (typed(rtol="-1"), "rtol", "from 1e-14 to 0.5"),
        (typed(rtol="1e-4000"), "rtol", "from 1e-14 to 0.5"),
        (typed(parameter_k="NaN"), "params", "The parameter k takes a number"),
        (typed(seconds="1e9"), "seconds", "120"),
        (trained("residual", hidden="32, x"), "hidden", "whole numbers"),
        (trained("residual", hidden="100000"), "hidden", "256"),
        (trained("residual", lr="-1"), "optimizer.lr", "1e-12"),
        (trained("residual", iterations="2.5"), "optimizer.iterations", "whole number"),
        (trained("residual", windows="-3"), "windows", "1 to 1000"),
        (without_file, "data", "CSV"),
    ]
    for prepare, field, words in mistakes:
        workshop.choose("collocation")
        workshop.fill(**DECAY, seconds="30", seed="0")
        expect(page.locator(".parameter")).to_have_count(1)
        workshop.fill(parameter_k="1")
        workshop.choose("residual")
        page.select_option("#optimizer", "adam")
        workshop.fill(hidden="8", lr="", iterations="", windows="")
        workshop.choose("collocation")
        prepare()
        workshop.started()
        workshop.finished()
        assert page.get_attribute("body", "data-run") == "failed", field
        assert words.lower() in workshop.error(field).lower(), (field, workshop.error(field))
        expect(page.locator(f"[data-field='{field}'] :focus")).to_have_attribute("aria-invalid", "true")
        assert "see the message at the field" in workshop.status
        assert page.locator("#form .error >> visible=true").count() == 1, field

    workshop.choose("collocation")
    workshop.fill(**DECAY)
    workshop.fill(parameter_k="1")
    workshop.solve()
    assert abs(workshop.table()[-1][1] - 0.006737946999) < 1e-8


def test_names_keep_their_spelling(workshop: Workshop) -> None:
    """A message begins with a capital letter, unless it begins with a name."""
    workshop.fill(equations="y' = -y +", initial="y(0) = 1")
    assert workshop.error("equations").startswith("Expected a number")
    workshop.fill(equations="y' = -y", rtol="7")
    workshop.started()
    assert workshop.error("rtol").startswith("rtol must be")
    assert workshop.page.evaluate(
        "[...document.querySelectorAll('.error p, .error code')].every(p => "
        "getComputedStyle(p, '::first-letter').textTransform === 'none')"
    )


def test_errors_while_typing(workshop: Workshop) -> None:
    """A message comes without Solve, and goes when the text is right."""
    workshop.fill(equations="y' = (y", initial="y(0) = 1")
    assert "^" in workshop.error("equations")
    workshop.page.keyboard.press("Tab")  # the field is left as it is
    workshop.page.wait_for_timeout(100)
    assert "^" in workshop.error("equations")
    workshop.fill(equations="y' = (y)")
    expect(workshop.page.locator("#error-equations")).to_be_hidden()


def test_no_solution_beyond_a_pole(workshop: Workshop) -> None:
    """A blow-up is a result, not a success: the curve up to it, and the reason in words."""
    workshop.solve_alone(equations="y' = y^2", initial="y(0) = 1", span_to="3")
    assert workshop.status.startswith("Not solved")
    assert "blow" in workshop.figure("Result")
    assert workshop.page.inner_text("#diagnoses")
    assert 0.9 < workshop.table()[-1][0] <= 1


def test_damaged_link(workshops: Callable[..., Workshop]) -> None:
    """The page says so, and starts from its defaults."""
    for fragment in ("#bm8ganNvbg", "#%%%", "#eyJhIjoxfQ"):
        workshop = workshops(fragment=fragment)
        expect(workshop.page.locator("#status")).to_contain_text("link cannot be read")
        assert workshop.page.input_value("#equations").startswith("dy1/dx")
