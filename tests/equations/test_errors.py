"""What is wrong is said with its place and its remedy."""

import pytest

from odenn.equations import EquationError, parse_system


def error_of(text: object, **options: object) -> EquationError:
    with pytest.raises(EquationError) as caught:
        parse_system(text, **options)  # type: ignore[arg-type]
    return caught.value


# Text; the column of the caret (all in line 1); what is said; what to do.
CASES = [
    ("dy/dx = y + k", 13, "unknown name `k`", 'params={"k": ...} (Python) or --param k=... (command line)'),
    ("dy1/dx = y_1", 10, "nearest known name is `y1`", "give it a value"),
    ("dy/dx = alpha*y", 9, "known are `x`, `y`", "give it a value"),
    ("dy/dx = sinn(y)", 9, "unknown function `sinn`; the nearest known is `sin`", "the functions are"),
    ("dy/dx = x(y+1)", 9, "`x` is not a function", "to multiply write x*(...): dy/dx = x*(y+1)"),
    ("dy/dx = pi(y+1)", 9, "`pi` is not a function", "to multiply write pi*(...): dy/dx = pi*(y+1)"),
    ("dy/dx = y (1 - y)", 9, "a value of `y` at a point", "to multiply write y*(...): dy/dx = y*(1 - y); write `y`"),
    ("y' = r (1 - y) # it", 6, "unknown function `r`", "to multiply write r*(...): y' = r*(1 - y); the functions"),
    ("dy/dx = x sin y", 11, "`sin` needs its argument in parentheses", "write sin(x)"),
    ("y' = -k y", 7, "unknown name `k`", "give it a value"),
    ("dy/dx = a(x, y)", 9, "`a` is not a function", "the functions are"),
    ("dy/dx = sin y", 9, "`sin` needs its argument in parentheses", "write sin(x)"),
    ("dy/dx = sin^2(y)", 9, "`sin` needs its argument in parentheses", "write sin(x)"),
    ("dy/dx = min", 9, "`min` needs its argument in parentheses", "write min(x, y)"),
    ("dy/dx = sin()", 9, "`sin` takes one argument, got 0", "write sin(x)"),
    ("dy/dx = sin(x, y)", 9, "`sin` takes one argument, got 2", "write sin(x)"),
    ("dy/dx = max(x)", 9, "`max` takes two or more arguments, got 1", "write max(a, b)"),
    ("dsin/dx = 1", 1, "`sin` is the name of a function", "choose another name"),
    ("cos' = 1", 1, "`cos` is the name of a function", "choose another name"),
    ("dy/dx = 1/0", 11, "division by zero", "no value anywhere"),
    ("dy/dx = y/(1 - 1)", 12, "division by zero", "no value anywhere"),
    ("dy/dx = 1/(y - y)", 12, "division by zero", "no value anywhere"),
    ("dy/dx = 0^-1", 9, "division by zero", "no value anywhere"),
    ("dy/dx = (y - y)^-2", 10, "division by zero", "no value anywhere"),
    ("dy/dx = 9^9^9^9", 11, "too large", "1.7e308"),
    ("dy/dx = 2^100000", 9, "too large", "1.7e308"),
    ("dy/dx = 1e400", 9, "too large", "1.7e308"),
    ("dy/dx = exp(1000)*y", 9, "too large", "1.7e308"),
    ("dy/dx = 1e200*y*1e200", 9, "too large", "1.7e308"),
    ("dy/dx = (1e300*y)^2", 10, "too large", "1.7e308"),
    ("dy/dx = sqrt(-1)", 9, "not a real number", "sign and the size"),
    ("dy/dx = log(0)*y", 9, "not a real number", "sign and the size"),
    ("dy/dx = asin(2)", 9, "not a real number", "sign and the size"),
    ("dy/dx = (-8)^(1/3)", 10, "not a real number", "sign and the size"),
    ("dy/dx = (-1)^y", 10, "-1 to a varying power is not a real number", "positive base"),
    ("dy/dx = 1e", 10, "the exponent of this number is missing", "1e-3"),
    ("dy/dx = 2e^x", 10, "the exponent of this number is missing", "to multiply by the number e write *"),
    ("dy/dx = 1/2x", 11, "can be read in two ways", "parentheses, as in 1/(2*x), or write dy/dx = 1/2*x"),
    ("dy/dx = 1/2 x", 11, "can be read in two ways", "parentheses, as in 1/(2*x), or write dy/dx = 1/2*x"),
    ("dy/dx = 2/pi x y", 11, "can be read in two ways", "or write dy/dx = 2/pi*x y"),
    ("dy/dx = x^2y", 12, "can be read in two ways", "parentheses, as in x^(2*y), or write dy/dx = x^2*y"),
    ("dy/dx = 2(x)^2(y)", 15, "can be read in two ways", "or write dy/dx = 2(x)^2*(y)"),
    ("dy/dx = x^y y", 13, "can be read in two ways", "or write dy/dx = x^y*y"),
    ("dy/dx = e^2 x", 13, "can be read in two ways", "or write dy/dx = e^2*x"),
    ("dy/dx = e^-x cos(x)", 14, "can be read in two ways", "or write dy/dx = e^-x*cos(x)"),
    ("dy/dx = y 2", 11, "expected an operator after `y`, but found `2`", "to multiply write dy/dx = y*2"),
    ("dy/dx = 2 3", 11, "expected an operator after `2`, but found `3`", "write * to multiply"),
    ("dy/dx = 1.2.3", 12, "expected an operator after `1.2`, but found `.3`", "write * to multiply"),
    ("dx/dt = x dy/dt = x", 11, "a second `=`", "between two equations, as before `dy/dt`"),
    ("x' = x y y' = x", 10, "a second `=`", "between two equations, as before `y'`"),
    ("y' = -y y(0) = 1", 9, "a second `=`", "between two equations, as before `y`"),
    ("dy/dx = (y 2)", 12, "expected an operator or `)` after `y`, but found `2`", "to multiply write dy/dx = (y*2)"),
    ("dy/dx = y +", 12, "expected a number, a name or `(` after `+`, but the equation ends", "complete"),
    ("dy/dx = , x", 9, "expected a number, a name or `(` after `=`, but the equation ends", "complete"),
    ("dy/dx = 2**/y", 12, "expected a number, a name or `(` after `**`, but found `/`", "complete"),
    ("dy/dx = (y", 9, "never closed", "add the missing `)`"),
    ("dy/dx = y)", 10, "never opened", "add the missing `(`"),
    ("dy/dx = y, y(0)", 12, "`=` is missing", "write both sides"),
    ("dy/dx = 0,5*y", 11, "`=` is missing", "decimal number with a point, as in 0.5"),
    ("dy/dx = y = 2", 11, "a second `=`", "between two equations"),
    ("y' = \\dot{y}", 6, "LaTeX is not understood", "y' or dy/dx"),
    ("y' = |y|", 6, "cannot read `|`", "abs(...)"),
    ("y' = [y]", 6, "cannot read `[`", "round parentheses"),
    ("y' = √y", 6, "cannot read `√`", "sqrt(...)"),
    ("∂y/∂x = 1", 1, "cannot read `∂`", "write dy/dx"),
    ("y(x)' = y", 5, "cannot read `'`", "write y'(x) or y'"),
    ("y' = y + # decay", 9, "after `+`, but the equation ends", "complete the expression"),
    ("y' = (y # decay)", 6, "never closed", "add the missing `)`"),
    ("y' = y @ 2", 8, "cannot read `@`", "+ - * / ^"),
    ("y' = \x00", 6, "cannot read `U+0000`", "are understood"),
    ("y = 2", 1, "this equation has no derivative", "write it as dy/dx"),
    ("y' = y, a = 2*y", 9, "this equation has no derivative", "algebraic equation"),
    ("y' = y + z, y(x0) = 1", 10, "unknown name `z`", "give it a value"),
    ("dy/dt = y, y(x0) = 1", 14, "unknown name `x0`", "give it a value"),
    ("dx/dt = 1, dy/dx = 1", 12, "two independent variables, `t` and `x`", "by the same variable"),
    ("dx/dt = 1, t' = 2", 12, "`t` is the independent variable and is differentiated", "use two names"),
    ("d2y/dx = 1", 1, "2 above the line and 1 below", "d^2y/dx^2"),
    ("dy/dx^2 = 1", 1, "1 above the line and 2 below", "(dy/dx)^2"),
    ("dy(t)/dx = 1", 1, "a function of `t` is differentiated by `x`", "write dy/dx"),
    ("diff(y) = 1", 1, "this derivative cannot be read", "diff(y, x, 2)"),
    ("diff(y, x, 1.5) = 1", 1, "this derivative cannot be read", "diff(y, x, 2)"),
    ("d11y/dx11 = 1", 1, "order 11: orders up to 10", "check the order"),
    ("y' = 1, y' = 2", 9, "too many equations: `y'` has one already", "keep one"),
    ("x' = 1, y' = 2, x' + y' = 3", 17, "too many equations: 3 equations for 2 components (x, y)", "remove one"),
    ("x' + y' = 1", 1, "too few equations: 1 equation for 2 components; none is solved for `x`, `y`", "highest"),
    ("x' = y', y' + z' = 1", 1, "too few equations", "every component needs an equation"),
    ("x*y'^2 = 1", 3, "not linear in the highest derivative `y'`", "solve it for `y'`"),
    ("y'' + sin(y'') = 1", 1, "not linear in the highest derivative `y''`", "solve it for `y''`"),
    ("x' + y' = 1, x'*y' = 2", 14, "not linear in the highest derivative `x'`", "solve it"),
    ("y' + sign(y') = 1", 1, "not linear in the highest derivative `y'`", "solve it for `y'`"),
    ("x' + y' = 1, 2x' + 2y' = 2", 14, "not determined by 2 equations", "no equation says the same"),
    ("x'' + y'' = 1, x' = 2", 16, "not determined by 1 equation", "each holds a highest derivative"),
    ("y' - y' = 1", 1, "not determined by 1 equation", "highest derivative"),
    ("(sin(x)^2 + cos(x)^2)*x' + y' = 1, x' + y' = 2", 36, "not determined", "no equation says the same"),
    ("y' = y(0)", 6, "a value of `y` at a point cannot be used", "`y` for its value at every `t`"),
]


@pytest.mark.parametrize(("text", "column", "what", "remedy"), CASES, ids=[case[0] for case in CASES])
def test_message(text: str, column: int, what: str, remedy: str) -> None:
    error = error_of(text)
    lines = error.message.splitlines()
    assert (error.line, error.column) == (1, column)
    assert what in lines[0]
    assert lines[1] == f"  line 1, column {column}:"
    assert lines[3].index("^") == 4 + column - 1
    assert remedy in lines[4]


def test_the_line_is_shown_and_counted() -> None:
    error = error_of("x' = y\r\n\ny' = k")
    assert (error.line, error.column) == (3, 6)
    assert "    y' = k\n         ^\n" in str(error)


def test_a_long_line_is_cut_around_the_place() -> None:
    error = error_of("y' = " + "y + " * 500 + "k" + " + y" * 500)
    shown, caret = error.message.splitlines()[2:4]
    assert len(shown) < 120
    assert shown[caret.index("^")] == "k"


def test_characters_that_a_terminal_would_obey_are_not_printed() -> None:
    error = error_of("y' = \x1b[31m\ud800")
    assert "\x1b" not in str(error)
    str(error_of("y' = \ud800")).encode()


def test_the_caret_stands_under_wide_characters() -> None:
    shown, caret = error_of("y' = 数").message.splitlines()[2:4]
    assert (shown, caret) == ("    y' = 数", "         ^")


def test_the_caret_below_and_beside_comments() -> None:
    error = error_of("# decay\ny' = -y # of y\n  z' = zz # of z")
    assert (error.line, error.column) == (3, 8)
    assert "    z' = zz # of z\n           ^\n" in str(error)


def test_a_correction_is_cut_as_its_line_is() -> None:
    """Around the place, and without the characters that a terminal would obey."""
    error = error_of("y' = " + "y + " * 500 + "x^2y\t" + " + y" * 500 + "# \x1b[31m")
    remedy = error.message.splitlines()[-1]
    assert "y + x^2*y  + y" in remedy
    assert len(remedy) < 200


@pytest.mark.parametrize("text", ["", "  \n ;, ", "# y' = y", " # one\n;# two\r\n"])
def test_no_equations(text: str) -> None:
    assert "there are no equations" in str(error_of(text))


def test_only_conditions() -> None:
    assert "no differential equation" in str(error_of("y(0) = 1"))


def test_it_is_a_value_error() -> None:
    assert isinstance(error_of(""), ValueError)
