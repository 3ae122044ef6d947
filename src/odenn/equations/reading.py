"""From text to the syntax tree, through the closed grammar in grammar.lark."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import lark

from odenn.equations.errors import EquationError, Source, nearest
from odenn.equations.functions import CONSTANTS, FUNCTIONS, RESERVED
from odenn.equations.syntax import (
    MAX_DEPTH,
    At,
    Call,
    Derivative,
    Name,
    Node,
    Number,
    Power,
    Product,
    Statement,
    Sum,
    spelled,
)

# Room for 1000 equations of 50 characters; the time to read grows with the length, and must stay below a second.
MAX_LENGTH = 50_000

_MAX_PARENTHESES = 100

_BLANK = re.compile("[ \t\xa0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]+")
_DASH = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_PRIMES = {"″": 2, '"': 2, "“": 2, "”": 2, "‶": 2, "‴": 3, "‷": 3}
# The two halves of dy/dx once blanks are gone: d, an order, a name, perhaps (x); and d, a name, an order.
_UPPER = re.compile(r"d(?:(?:\*\*|[\^ˆ＾])?([0-9]+|[⁰¹²³⁴-⁹]+))?\(?([^0-9()][^()]*)\)?(?:\((.+)\))?")
_LOWER = re.compile(r"d(.+?)(?:(?:\*\*|[\^ˆ＾])([0-9]+)|([⁰¹²³⁴-⁹]+))?")
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "CARET"})
_SEPARATORS = frozenset({"COMMA", "SEMICOLON", "NEWLINE"})
# Where one of these is followed by one of those, two factors stand side by side.
_FACTOR_ENDS = frozenset({"NAME", "PRIMED", "DERIVATIVE", "NUMBER", "SUPERSCRIPT", "RPAR"})
_FACTOR_BEGINS = frozenset({"NAME", "PRIMED", "DERIVATIVE", "CALL"})


class _MisreadError(Exception):
    """A mistake found while the tree is built, where the text is not at hand.

    `gap`: where a `*` is missing, from the end of one factor to the next; the remedy ends with the text that has it.
    """

    def __init__(self, what: str, remedy: str, position: int | None, gap: tuple[int, int] | None = None) -> None:
        super().__init__(what)
        self.what, self.remedy, self.position, self.gap = what, remedy, position, gap


def read(source: Source, parameters: Collection[str] = ()) -> tuple[Statement, ...]:
    """Return the statements of a text.

    Parameters
    ----------
    source : Source
        Statements `left = right`, separated by commas, semicolons or newlines.
    parameters : collection of str
        Names that are known to be parameters: where both `delta` and `decay` are, `delta/decay` is a quotient.

    Returns
    -------
    tuple of Statement
        None where the text holds nothing but blanks, separators and comments.

    Raises
    ------
    EquationError
        If the text does not follow the grammar.

    Examples
    --------
    >>> [statement] = read(Source(text="dy/dx = -2y  # decay"))
    >>> statement.left.name, statement.left.order, statement.left.variable
    ('y', 1, 'x')
    """
    text = source.text or ""
    if len(text) > MAX_LENGTH:
        raise source.error(
            f"the text has {len(text)} characters, more than the {MAX_LENGTH} that are read",
            "write a system as large as this one as a Python function",
        )
    tokens = _arranged(source, _split_quotients(_scan(source), parameters))
    if not tokens:
        return ()
    parsing = _grammar().parse_interactive()
    try:
        for token in tokens:
            parsing.feed_token(token)
        return parsing.feed_eof(tokens[-1])
    except lark.UnexpectedToken as error:
        raise _unexpected(source, tokens, error) from None
    except _MisreadError as error:
        remedy = error.remedy if error.gap is None else f"{error.remedy} {source.multiplied(*error.gap)}"
        raise source.error(error.what, remedy, error.position) from None


@cache
def _grammar() -> Any:
    grammar = files("odenn.equations").joinpath("grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(grammar, start="system", parser="lalr", lexer="basic", transformer=_Builder())


def _scan(source: Source) -> list[lark.Token]:
    try:
        return list(_grammar().lex(source.text))
    except lark.UnexpectedCharacters as error:
        position = error.pos_in_stream
        character = (source.text or "")[position]
        what, remedy = _UNREADABLE.get(character, ("", "only names, numbers, + - * / ^ ( ) ' = , and ; are understood"))
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        raise source.error(f"cannot read `{shown}`{what}", remedy, position) from None


_UNREADABLE = {
    "\\": (": LaTeX is not understood", "write a derivative as y' or dy/dx, a product with *, a quotient with /"),
    "|": ("", "write the absolute value as abs(...)"),
    "[": ("", "use round parentheses ( )"),
    "]": ("", "use round parentheses ( )"),
    "{": ("", "use round parentheses ( )"),
    "}": ("", "use round parentheses ( )"),
    "√": ("", "write sqrt(...)"),
    "∂": ("", "only ordinary derivatives can be solved: write dy/dx"),
    "<": ("", "write a switch as heaviside(...), the larger of two as max(a, b)"),
    ">": ("", "write a switch as heaviside(...), the larger of two as max(a, b)"),
    ".": ("", "a number needs a digit; multiply with *"),
    "'": ("", "a prime follows the name: write y'(x) or y', not y(x)'"),
    "′": ("", "a prime follows the name: write y'(x) or y', not y(x)'"),
    "ẋ": ("", "write x' or dx/dt"),
    "ẏ": ("", "write y' or dy/dt"),
    ":": ("", "write conditions as further equations: y' = -y; y(0) = 1"),
}


def _split_quotients(tokens: Iterable[lark.Token], parameters: Collection[str]) -> Iterator[lark.Token]:
    """Turn d<name>/d<name> back into a quotient where both are the names of parameters."""
    for token in tokens:
        upper, slash, lower = token.partition("/")
        if token.type == "DERIVATIVE" and upper.strip() in parameters and lower.strip() in parameters:
            start = token.start_pos or 0
            denominator = lower.strip()
            yield lark.Token("NAME", upper.strip(), start)
            yield lark.Token("SLASH", slash, start + len(upper))
            yield lark.Token("NAME", denominator, start + token.index(denominator, len(upper)), end_pos=token.end_pos)
        else:
            yield token


def _arranged(source: Source, tokens: Iterable[lark.Token]) -> list[lark.Token]:
    """Drop the separators that separate nothing: doubled, at the ends, newlines in parentheses or after an operator.

    BESIDE is put between factors side by side. What the grammar could only call unexpected is reported here, in words
    that help.
    """
    arranged: list[lark.Token] = []
    opened: list[lark.Token] = []
    pending: lark.Token | None = None
    for token in tokens:
        previous = arranged[-1] if arranged else None
        if token.type == "NEWLINE" and (opened or (previous and previous.type in _OPERATORS)):
            continue
        if token.type in _SEPARATORS and not opened:
            pending = pending or token
            continue
        _check_brackets(source, token, opened)
        _check_token(source, token, previous)
        if pending and arranged:
            arranged.append(pending)
        elif previous and _are_factors(previous, token):
            start, end = _gap(previous, token)
            arranged.append(lark.Token("BESIDE", (source.text or "")[start:end], start, end_pos=end))
        pending = None
        arranged.append(token)
    if opened:
        raise source.error("this parenthesis is never closed", "add the missing `)`", opened[-1].start_pos)
    return arranged


def _are_factors(left: lark.Token, right: lark.Token) -> bool:
    """Whether a factor ends and the next begins. A parenthesis after a name holds the name's argument."""
    if right.type == "LPAR":
        return left.type in ("NUMBER", "SUPERSCRIPT", "RPAR")
    return left.type in _FACTOR_ENDS and right.type in _FACTOR_BEGINS


def _span(token: lark.Token) -> tuple[int, int]:
    return token.start_pos or 0, token.end_pos or 0


def _gap(left: lark.Token, right: lark.Token) -> tuple[int, int]:
    """Return where one token ends and the next begins."""
    return left.end_pos or 0, right.start_pos or 0


def _check_brackets(source: Source, token: lark.Token, opened: list[lark.Token]) -> None:
    if token.type == "LPAR":
        opened.append(token)
        if len(opened) > _MAX_PARENTHESES:
            raise source.error(
                f"parentheses are nested more than {_MAX_PARENTHESES} deep", "remove those not needed", token.start_pos
            )
    elif token.type == "RPAR":
        if not opened:
            raise source.error("this parenthesis was never opened", "remove it or add the missing `(`", token.start_pos)
        opened.pop()


def _check_token(source: Source, token: lark.Token, previous: lark.Token | None) -> None:
    if token.type != "NAME":
        return
    if token in RESERVED:
        example = "diff(y, x)" if token == "diff" else f"{token}(x, y)" if token in ("min", "max") else f"{token}(x)"
        raise source.error(
            f"the function `{token}` needs its argument in parentheses", f"write {example}", token.start_pos
        )
    touching = previous is not None and previous.type == "NUMBER" and previous.end_pos == token.start_pos
    if touching and token in ("e", "E"):
        raise source.error(
            "the exponent of this number is missing",
            "write digits after e, as in 1e-3; to multiply by the number e write *",
            token.start_pos,
        )


def _unexpected(source: Source, tokens: list[lark.Token], error: lark.UnexpectedToken) -> EquationError:
    """Say what was expected where the grammar could not go on."""
    token, expected = error.token, error.expected
    at_end = token.type == "$END"
    index = len(tokens) if at_end else next(i for i, other in enumerate(tokens) if other is token)
    position = (tokens[-1].end_pos if at_end else token.start_pos) or 0
    before = f" after `{_short(tokens[index - 1])}`" if index else ""
    inside = sum({"LPAR": 1, "RPAR": -1}.get(other.type, 0) for other in tokens[:index]) > 0
    ends = at_end or token.type in _SEPARATORS
    found = "the equation ends" if ends else f"found `{_short(token)}`"
    if "NUMBER" in expected:
        return source.error(
            f"expected a number, a name or `(`{before}, but {found}", "complete the expression here", position
        )
    if token.type == "EQUAL":
        second = _second_equation(tokens, index)
        return source.error(
            "a second `=` in one equation",
            "put a comma, a semicolon or a newline between two equations"
            + (f", as before `{_short(second)}`" if second else ""),
            position if second is None else second.start_pos,
        )
    if ends and "EQUAL" in expected:
        return source.error(
            "this is not an equation: `=` is missing",
            "write both sides, as in: dy/dx = -y (and a decimal number with a point, as in 0.5)",
            _statement_start(tokens, index),
        )
    remedy = "write * to multiply; a comma, a semicolon or a newline between two equations"
    if token.type == "NUMBER" and tokens[index - 1].type in ("NAME", "PRIMED", "DERIVATIVE"):
        remedy = f"to multiply write {source.multiplied(*_gap(tokens[index - 1], token))}"
    return source.error(f"expected an operator{' or `)`' if inside else ''}{before}, but {found}", remedy, position)


def _second_equation(tokens: Sequence[lark.Token], index: int) -> lark.Token | None:
    """Return where the equation begins whose `=` is at `index`: x' = y y' = -x begins as a product, y*y'."""
    for k in range(index - 1, 0, -1):
        if tokens[k].type == "EQUAL":
            return None
        if tokens[k - 1].type == "BESIDE" and tokens[k - 1] and tokens[k].type in ("PRIMED", "DERIVATIVE", "CALL"):
            return tokens[k]
    return None


def _statement_start(tokens: Sequence[lark.Token], index: int) -> int:
    """Return the position where the statement begins that holds the token before `index`."""
    start = index - 1
    while start > 0 and tokens[start - 1].type not in _SEPARATORS:
        start -= 1
    return tokens[start].start_pos or 0


def _short(token: lark.Token) -> str:
    text = " ".join(token.split())
    return text if len(text) <= 20 else text[:20] + "..."


def _checked_name(text: str, position: int | None) -> str:
    name = spelled(text)
    if name in RESERVED:
        raise _MisreadError(
            f"`{name}` is the name of a function", "choose another name for what is differentiated", position
        )
    return name


def _primed(token: lark.Token) -> Derivative:
    """y', y'', y‴."""
    name = token.rstrip("'\"`´‘’‚‛“”„‟′″‴‵‶‷")
    order = sum(_PRIMES.get(prime, 1) for prime in token[len(name) :])
    name = _checked_name(_BLANK.sub("", name), token.start_pos)
    return Derivative(position=token.start_pos, name=name, order=order, variable=None)


def _leibniz(token: lark.Token) -> Derivative:
    """dy/dx, d2y/dx2, d^2 y/dx^2, d²y(x)/dx²."""
    above, _, below = _BLANK.sub("", token).partition("/")
    upper, lower = _UPPER.fullmatch(above), _LOWER.fullmatch(below)
    assert upper, above
    assert lower, below
    order_above = _order(upper[1])
    variable, order_below = lower[1], _order(lower[2] or lower[3])
    if upper[1] and not (lower[2] or lower[3]) and variable.endswith(str(order_above)):
        # d2y/dx2: the digits are the order. In dy/dx2 they belong to the name.
        variable, order_below = variable.removesuffix(str(order_above)), order_above
    if order_above != order_below:
        raise _MisreadError(
            f"the order is {order_above} above the line and {order_below} below",
            "write d^2y/dx^2 for a second derivative, (dy/dx)^2 for the square of a first",
            token.start_pos,
        )
    if upper[3] and spelled(upper[3]) != spelled(variable):
        raise _MisreadError(
            f"a function of `{upper[3]}` is differentiated by `{variable}`",
            f"write d{upper[2]}/d{variable}",
            token.start_pos,
        )
    name = _checked_name(upper[2], token.start_pos)
    return Derivative(position=token.start_pos, name=name, order=order_above, variable=spelled(variable))


def _order(digits: str | None) -> int:
    """Return the order that was written; long ones only need to be recognised as too large."""
    return int(digits.translate(_RAISED)[:6]) if digits else 1


def _one_deeper(*nodes: Node) -> int:
    depth = 1 + max(node.depth for node in nodes)
    if depth > MAX_DEPTH:
        raise _MisreadError(
            f"the expression is nested more than {MAX_DEPTH} deep",
            "split it: give its parts equations of their own, or write it as a Python function",
            nodes[0].position,
        )
    return depth


@lark.v_args(inline=True)
class _Builder(lark.Transformer[lark.Token, Any]):
    """What the parser does with each rule, as soon as it is complete: no tree is walked, nothing recurses."""

    def system(self, *statements: Any) -> tuple[Statement, ...]:
        return tuple(statement for statement in statements if isinstance(statement, Statement))

    def statement(self, left: Node, equal: lark.Token, right: Node) -> Statement:
        return Statement(left=left, right=right, position=equal.start_pos)

    def sum(self, first: Node, *rest: Any) -> Node:
        signs = [1 if operator.type == "PLUS" else -1 for operator in rest[::2]]
        terms = ((1, first), *zip(signs, rest[1::2], strict=True))
        return Sum(position=first.position, depth=_one_deeper(first, *rest[1::2]), terms=terms)

    def product(self, first: Node, *rest: Any) -> Node:
        exponents = [1 if operator.type == "STAR" else -1 for operator in rest[::2]]
        for exponent, factor in zip(exponents, rest[1::2], strict=True):
            if exponent < 0 and isinstance(factor, Product) and factor.gap and not factor.grouped:
                raise _MisreadError(
                    "a product without * after a division can be read in two ways",
                    "put the whole denominator into parentheses, as in 1/(2*x), or write",
                    factor.position,
                    factor.gap,
                )
        factors = ((1, first), *zip(exponents, rest[1::2], strict=True))
        return Product(position=first.position, depth=_one_deeper(first, *rest[1::2]), factors=factors)

    def signed(self, _: lark.Token, operand: Node) -> Node:
        return operand

    def negative(self, minus: lark.Token, operand: Node) -> Node:
        return Sum(position=minus.start_pos, depth=_one_deeper(operand), terms=((-1, operand),))

    def beside(self, first: Node, *rest: Any) -> Node:
        nodes: tuple[Node, ...] = (first, *rest[1::2])
        for left, gap in zip(nodes, rest[::2], strict=False):
            if isinstance(left, Power) and _may_hold_more(left, gap):
                raise _MisreadError(
                    "a product without * after an exponent can be read in two ways",
                    "put the whole exponent into parentheses, as in x^(2*y), or write",
                    gap.end_pos,
                    _span(gap),
                )
        factors = tuple((1, node) for node in nodes)
        return Product(position=first.position, depth=_one_deeper(*nodes), factors=factors, gap=_span(rest[0]))

    def power(self, base: Node, _: lark.Token, exponent: Node) -> Node:
        return Power(position=base.position, depth=_one_deeper(base, exponent), base=base, exponent=exponent)

    def superscript(self, base: Node, raised: lark.Token) -> Node:
        return self.power(base, raised, replace(_number(raised), grouped=True))

    def group(self, node: Node) -> Node:
        return replace(node, grouped=True)

    def number(self, token: lark.Token) -> Node:
        return _number(token)

    def name(self, token: lark.Token) -> Node:
        return Name(position=token.start_pos, name=spelled(token))

    def primed(self, token: lark.Token) -> Node:
        return _primed(token)

    def derivative(self, token: lark.Token) -> Node:
        return _leibniz(token)

    def primed_at(self, token: lark.Token, argument: Node) -> Node:
        return At(position=token.start_pos, depth=_one_deeper(argument), target=_primed(token), argument=argument)

    def derivative_at(self, token: lark.Token, argument: Node) -> Node:
        return At(position=token.start_pos, depth=_one_deeper(argument), target=_leibniz(token), argument=argument)

    def call(self, name: lark.Token, *arguments: Any) -> Node:
        nodes = tuple(argument for argument in arguments if isinstance(argument, Node))
        if name == "diff":
            return _differentiated(name, nodes)
        if name in FUNCTIONS:
            return _applied(name, nodes)
        if len(nodes) != 1:
            raise _not_a_function(name)
        target = Name(position=name.start_pos, name=spelled(name))
        return At(position=name.start_pos, depth=_one_deeper(*nodes), target=target, argument=nodes[0])


def _may_hold_more(power: Power, gap: str) -> bool:
    """Whether the factor after a power may have been meant for the exponent: x^2y, e^t y and e^2 t, but not x^2 y."""
    if power.grouped or power.exponent.grouped:
        return False
    is_constant = isinstance(power.base, Number) or (isinstance(power.base, Name) and power.base.name in CONSTANTS)
    return not gap or is_constant or not isinstance(power.exponent, Number)


def _not_a_function(name: lark.Token) -> _MisreadError:
    near = nearest(name, RESERVED)
    return _MisreadError(
        f"`{name}` is not a function" + (f"; the nearest is `{near}`" if near else ""),
        "the functions are " + ", ".join(sorted(RESERVED)),
        name.start_pos,
    )


def _number(token: lark.Token) -> Number:
    value = float(_DASH.sub("-", token).translate(_RAISED))
    if not math.isfinite(value):
        raise _MisreadError("this number is too large", "numbers go up to 1.7e308", token.start_pos)
    return Number(position=token.start_pos, value=value)


def _applied(name: lark.Token, arguments: tuple[Node, ...]) -> Call:
    arity = FUNCTIONS[name].arity
    if arity is None and len(arguments) < 2:
        raise _MisreadError(
            f"`{name}` takes two or more arguments, got {len(arguments)}",
            f"write {name}(a, b), with commas between the arguments",
            name.start_pos,
        )
    if arity is not None and len(arguments) != arity:
        raise _MisreadError(f"`{name}` takes one argument, got {len(arguments)}", f"write {name}(x)", name.start_pos)
    return Call(position=name.start_pos, depth=_one_deeper(*arguments), function=str(name), arguments=arguments)


def _differentiated(name: lark.Token, arguments: tuple[Node, ...]) -> Derivative:
    """diff(y, x), diff(y(x), x, 2)."""
    match arguments:
        case (Name(name=component), Name(name=variable)):
            order = 1.0
        case (At(target=Name(name=component), argument=Name(name=inner)), Name(name=variable)) if inner == variable:
            order = 1.0
        case (Name(name=component), Name(name=variable), Number(value=order)):
            pass
        case (
            At(target=Name(name=component), argument=Name(name=inner)),
            Name(name=variable),
            Number(value=order),
        ) if inner == variable:
            pass
        case _:
            order = 0.0
            component = variable = ""
    if order < 1 or order != int(order):
        raise _MisreadError(
            "this derivative cannot be read", "write diff(y, x), or diff(y, x, 2) for the second", name.start_pos
        )
    component = _checked_name(component, name.start_pos)
    return Derivative(position=name.start_pos, name=component, order=int(order), variable=variable)
