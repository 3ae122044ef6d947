"""The syntax tree of equations: what was written, and where, before any of it has a meaning."""

import unicodedata
from dataclasses import dataclass

# Deeper nesting than this is no equation that a person wrote, and SymPy, which recurses, would exhaust Python's stack.
MAX_DEPTH = 50


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Node:
    """Part of an expression. `position` is its offset in the source text, None if there is no text.

    `grouped`: in parentheses of its own, or raised, so that it is clear where it ends.
    """

    position: int | None
    depth: int = 1
    grouped: bool = False


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Number(Node):
    value: float


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Derivative(Node):
    """y', dy/dx, diff(y, x): `variable` is None where the notation does not name it."""

    name: str
    order: int
    variable: str | None


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class At(Node):
    """y(0), y'(x): a component or a derivative at a point."""

    target: Name | Derivative
    argument: Node


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Call(Node):
    """A function of the language applied to its arguments."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Sum(Node):
    """Terms, each with its sign, +1 or -1."""

    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Product(Node):
    """Factors, each with its exponent: +1 multiplies, -1 divides.

    `gap`: offsets of the end of the first and of the beginning of the second, where these stand side by side.
    """

    factors: tuple[tuple[int, Node], ...]
    gap: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Power(Node):
    base: Node
    exponent: Node


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Statement:
    """left = right: an equation or a condition."""

    left: Node
    right: Node
    position: int | None


def spelled(name: str) -> str:
    """Give names that look the same one spelling: y₁ is y1, the micro sign is the letter mu.

    Examples
    --------
    >>> spelled("y₁")
    'y1'
    """
    return str(unicodedata.normalize("NFKC", name))  # and no token any more: tokens of two kinds are never equal


def children(node: Node) -> tuple[Node, ...]:
    """Return the parts of which a node is made."""
    match node:
        case At():
            return (node.target, node.argument)
        case Call():
            return node.arguments
        case Sum():
            return tuple(term for _, term in node.terms)
        case Product():
            return tuple(factor for _, factor in node.factors)
        case Power():
            return (node.base, node.exponent)
        case _:
            return ()


def walk(node: Node) -> list[Node]:
    """Return a node and all below it, in the order of the text, without recursion."""
    found: list[Node] = []
    pending = [node]
    while pending:
        current = pending.pop()
        found.append(current)
        pending.extend(reversed(children(current)))
    return found
