"""From SymPy expressions to Python source that computes them fast.

Three dialects: NumPy arrays, torch tensors, and scalars with the `math` module (which Numba compiles). Every name in
the source is one of ours (t, z0, p0, c0): no text of a user reaches it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy
from sympy.core.parameters import distribute

from odenn.equations import functions
from odenn.equations.typed import coefficient_of, negated, parts, power_of, shared_parts

# How tightly the outermost operator of a piece of source binds.
_SUM, _PRODUCT, _ATOM = range(3)
_UFUNCS = {" + ": "add", " - ": "subtract", " * ": "multiply", " / ": "divide"}
_MAX_NESTING = 12  # parentheses in one line: deeper pieces get a line of their own, Python's parser is recursive
_MAX_OPERANDS = 64  # in one line, for the same reason
_MAX_REPEATED = 6  # y^6 is three multiplications; from there on a power is as cheap


# Python has no literals for these, but reads a number that is too large as infinite.
_NOT_FINITE = {"inf": "1e999", "-inf": "-1e999", "nan": "(1e999 - 1e999)"}


def _literal(value: float, numbers: dict[str, float]) -> str:
    text = repr(value)
    return _NOT_FINITE.get(text, text)


def _named_number(value: float, numbers: dict[str, float]) -> str:
    """Name a number that the namespace will hold as an array without dimensions.

    An operation of an array with such an array takes 0.23 us, with a Python float 0.4 us (NumPy 2, 16 to 64 points).
    """
    for name, known in numbers.items():
        if known == value:
            return name
    name = f"k{len(numbers)}"
    numbers[name] = value
    return name


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """How operations are written. In the templates, {0} and {1} stand for the arguments."""

    functions: Mapping[type[sympy.Expr], str]
    power: str
    sqrt: str
    number: Callable[[float, dict[str, float]], str] = _literal
    fixed: str = "{0}"  # a value that depends on parameters only


# NumPy's and torch's names for the functions that both have.
_NAMES: dict[type[sympy.Expr], str] = {
    **{
        function: function.spelling
        for function in (
            functions.Sin,
            functions.Cos,
            functions.Tan,
            functions.Exp,
            functions.Log,
            functions.Sinh,
            functions.Cosh,
            functions.Tanh,
            functions.Sign,
        )
    },
    functions.Asin: "arcsin",
    functions.Acos: "arccos",
    functions.Atan: "arctan",
}

NUMPY = Dialect(
    functions={
        **{function: f"{name}({{0}})" for function, name in _NAMES.items()},
        functions.Abs: "absolute({0})",
        functions.Heaviside: "heaviside({0}, 0.5)",
        functions.Max: "maximum({0}, {1})",
        functions.Min: "minimum({0}, {1})",
    },
    power="power({0}, {1})",
    sqrt="sqrt({0})",
    number=_named_number,
    fixed="asarray({0})",
)
# torch.heaviside has no derivative, torch.maximum takes no numbers: hence the sign, and functions of our own.
TORCH = Dialect(
    functions={
        **{function: f"{name}({{0}})" for function, name in _NAMES.items()},
        functions.Abs: "abs({0})",
        functions.Heaviside: "(0.5 * sign({0}) + 0.5)",
        functions.Max: "larger({0}, {1})",
        functions.Min: "smaller({0}, {1})",
    },
    power="{0} ** {1}",
    sqrt="sqrt({0})",
)
# Numba knows `math`; the arguments of conditional expressions are names or numbers, so repeating them costs nothing.
SCALAR = Dialect(
    functions={
        **{function: f"math.{name.replace('arc', 'a')}({{0}})" for function, name in _NAMES.items()},
        functions.Abs: "abs({0})",
        functions.Sign: "(1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else 0.0)",
        functions.Heaviside: "(1.0 if {0} > 0.0 else 0.0 if {0} < 0.0 else 0.5)",
        functions.Max: "({0} if {0} >= {1} else {1})",
        functions.Min: "({0} if {0} <= {1} else {1})",
    },
    power="math.pow({0}, {1})",
    sqrt="math.sqrt({0})",
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of source: its text, how tightly it binds, how deep its parentheses go.

    `varies`: it depends on the time or a state, not only on numbers and parameters. `last`: the operation that is done
    last, by its name in NumPy and torch, and its two operands.
    """

    text: str
    binding: int
    nesting: int = 0
    varies: bool = False
    number: bool = False
    last: tuple[str, str, str] | None = None


def symbol_piece(name: str, *, varies: bool) -> Piece:
    """Return how a symbol is written: by a name."""
    return Piece(text=name, binding=_ATOM, varies=varies)


@dataclass(frozen=True, kw_only=True)
class Line:
    """`name = text`; a line that does not vary depends on parameters only."""

    name: str
    text: str
    varies: bool


@dataclass(kw_only=True, eq=False)
class Writer:
    """Writes expressions as lines of source; `pieces` says how each symbol is written."""

    dialect: Dialect
    pieces: dict[sympy.Expr, Piece]
    numbers: dict[str, float] = field(default_factory=dict[str, float])
    lines: list[Line] = field(default_factory=list[Line])

    def write(self, expressions: Sequence[sympy.Expr]) -> list[Piece]:
        """Append the lines that compute what the expressions share; return the expressions in terms of these lines.

        Examples
        --------
        >>> x = sympy.Symbol("x")
        >>> writer = Writer(dialect=NUMPY, pieces={x: Piece(text="z0", binding=2, varies=True)})
        >>> [piece.text for piece in writer.write([x**2 * functions.Sin(x), functions.Sin(x) - 3])]
        ['z0 * z0 * c0', 'c0 - k0']
        >>> writer.lines
        [Line(name='c0', text='sin(z0)', varies=True)]
        """
        with distribute(False):  # what is shared must not be multiplied out while it is taken apart
            shared, reduced = shared_parts(expressions)
            for symbol, part in shared:
                self.pieces[symbol] = self._named(self._piece(part))
            return [self._piece(part) for part in reduced]

    def _named(self, piece: Piece) -> Piece:
        """Give a piece a line of its own, unless it is a name or number already."""
        if piece.text.isidentifier() or piece.number:
            return piece
        name = f"c{len(self.lines)}"
        text = piece.text if piece.varies else self.dialect.fixed.format(piece.text)
        self.lines.append(Line(name=name, text=text, varies=piece.varies))
        return Piece(text=name, binding=_ATOM, varies=piece.varies)

    def _piece(self, expression: sympy.Expr) -> Piece:
        if expression in self.pieces:
            return self.pieces[expression]
        if expression.is_number:
            return self._number(_value(expression))
        match expression:
            case sympy.Add():
                piece = self._sum(parts(expression))
            case sympy.Mul():
                piece = self._product(expression)
            case sympy.Pow():
                piece = self._power(expression)
            case _:
                piece = self._call(self.dialect.functions[type(expression)], *parts(expression))
        return self._named(piece) if piece.nesting > _MAX_NESTING else piece

    def _number(self, value: float) -> Piece:
        binding = _ATOM if value >= 0 else _SUM
        return Piece(text=self.dialect.number(value, self.numbers), binding=binding, number=True)

    def _sum(self, terms: Sequence[sympy.Expr]) -> Piece:
        signed = [_signed(term) for term in terms]
        return self._chain([(sign, self._piece(term)) for sign, term in signed], (" + ", " - "), _SUM)

    def _product(self, expression: sympy.Expr) -> Piece:
        sign, positive = _signed(expression)
        coefficient, rest = coefficient_of(positive)
        written: list[tuple[int, Piece]] = []
        if coefficient != 1:
            written.append((1, self._number(sign * float(coefficient))))
            sign = 1
        for factor in sympy.Mul.make_args(rest):
            exponent = power_of(factor)[1]
            inverse = bool(exponent.is_number and exponent.is_negative)
            written.append((-1, self._piece(1 / factor)) if inverse else (1, self._piece(factor)))
        if sign < 0 and len(written) == 1 and rest.is_Add:
            return self._sum([negated(term) for term in parts(rest)])
        product = self._chain(written, (" * ", " / "), _PRODUCT)
        if sign > 0:
            return product
        return Piece(text=f"-{product.text}", binding=_SUM, nesting=product.nesting, varies=product.varies)

    def _chain(self, written: Sequence[tuple[int, Piece]], operators: tuple[str, str], binding: int) -> Piece:
        """Join the operands of a sum or product, each with its sign or exponent, +1 or -1; break long chains.

        What does not vary comes first, as one operand, so that arrays are touched as few times as can be; and what is
        added before what is subtracted, because `b - a` is one operation and `-a + b` two.
        """
        operands = sorted(self._gathered(written, operators, binding), key=lambda item: (item[0] < 0, item[1].varies))
        sign, first = operands[0]
        nesting, varies, last = first.nesting, first.varies, None
        if sign > 0:
            text = self._within(first, binding)
        elif binding == _SUM:
            text = f"-{self._within(first, _PRODUCT)}"
        else:
            text = f"{self.dialect.number(1.0, self.numbers)} / {self._within(first, _ATOM)}"
        for count, (sign, piece) in enumerate(operands[1:], start=2):
            operator, operand = operators[sign < 0], self._within(piece, binding + 1)
            last = (_UFUNCS[operator], text, operand)
            text += operator + operand
            nesting, varies = max(nesting, piece.nesting), varies or piece.varies
            if count % _MAX_OPERANDS == 0 and count < len(operands):
                text = self._named(Piece(text=text, binding=binding, nesting=nesting, varies=varies)).text
        return Piece(text=text, binding=binding, nesting=nesting + 1, varies=varies, last=last)

    def _gathered(
        self, written: Sequence[tuple[int, Piece]], operators: tuple[str, str], binding: int
    ) -> list[tuple[int, Piece]]:
        """Make one operand, with a line of its own, of those that do not vary."""
        fixed = [item for item in written if not item[1].varies]
        varying = [item for item in written if item[1].varies]
        if len(fixed) < 2 or not varying:
            return [*written]
        sign = 1 if any(sign > 0 for sign, _ in fixed) else -1
        gathered = self._chain([(sign * own, piece) for own, piece in fixed], operators, binding)
        return [(sign, self._named(gathered)), *varying]

    @staticmethod
    def _within(piece: Piece, binding: int) -> str:
        return piece.text if piece.binding >= binding else f"({piece.text})"

    def _power(self, expression: sympy.Expr) -> Piece:
        base, exponent = power_of(expression)
        if not exponent.is_number:
            return self._call(self.dialect.power, base, exponent)
        value = float(exponent)
        if value < 0:
            inverse = self._piece(sympy.Pow(base, negated(exponent), evaluate=False))
            return self._chain([(-1, inverse)], (" * ", " / "), _PRODUCT)
        whole, half = int(value), value % 1 == 0.5
        if value > _MAX_REPEATED or not (value.is_integer() or half):
            return self._call(self.dialect.power, base, exponent)
        factors: list[Piece] = []
        if whole or not half:
            factors = self._repeated(base, whole)
        if half:
            factors.append(self._call(self.dialect.sqrt, base))
        return self._chain([(1, factor) for factor in factors], (" * ", " / "), _PRODUCT)

    def _repeated(self, base: sympy.Expr, count: int) -> list[Piece]:
        """Return factors whose product is base**count: y^5 = (y*y)*(y*y)*y."""
        piece = self.pieces[base] = self._named(self._piece(base))
        if count <= 3:
            return [piece] * count
        square = base**2
        if square not in self.pieces:
            text = f"{piece.text} * {piece.text}"
            self.pieces[square] = self._named(Piece(text=text, binding=_PRODUCT, varies=piece.varies))
        return [self.pieces[square]] * (count // 2) + [piece] * (count % 2)

    def _call(self, template: str, *arguments: sympy.Expr) -> Piece:
        """Fill a template. Its arguments are names or numbers where the template repeats them or is an operator."""
        pieces = [self._piece(argument) for argument in arguments]
        if template.count("{0}") > 1 or "**" in template:
            pieces = [self._named(piece) for piece in pieces]
        nesting, varies = max(piece.nesting for piece in pieces), any(piece.varies for piece in pieces)
        binding = _SUM if "**" in template else _ATOM
        text = template.format(*(piece.text for piece in pieces))
        return Piece(text=text, binding=binding, nesting=nesting + 1, varies=varies)


def _value(expression: sympy.Expr) -> float:
    """Return the value of a constant; nan for one that is not real, such as 1/0 or log(-1)."""
    try:
        return float(expression)
    except TypeError:
        return math.nan


def _signed(expression: sympy.Expr) -> tuple[int, sympy.Expr]:
    """Take the sign of the number in front out of a term."""
    coefficient, rest = coefficient_of(expression)
    return (-1, sympy.Mul(negated(coefficient), rest)) if coefficient.is_negative else (1, expression)
