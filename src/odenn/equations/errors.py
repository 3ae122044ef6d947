"""The one exception that equations raise, and how it points at the text."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# What ends a line: the terminal NEWLINE of the grammar, with the pair \r\n as one.
_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_EXCERPT = 100  # characters of the offending line that are shown: more would wrap in a terminal


class EquationError(ValueError):
    """Equations, conditions or parameters that cannot be understood.

    Attributes
    ----------
    message : str
        The whole message: what is wrong, the line with a caret under the column, and what to do.
    line, column : int or None
        Where it is wrong, both counted from 1; None if the mistake has no place in a text.
    unknown, unused : str or None
        The name that has no value, or the parameter that does not occur, where that is the mistake.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.unknown: str | None = None
        self.unused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The text that is being read, so that errors can point at it; None for equations that never were text."""

    text: str | None = None

    def error(self, what: str, remedy: str, position: int | None = None) -> EquationError:
        """Make the error that says `what`, points at `position`, and ends with `remedy`."""
        return equation_error(what, remedy, text=self.text, position=position)

    def multiplied(self, left_end: int, right: int) -> str:
        """Return the line with `*` in place of the blanks from `left_end` to `right`: what may have been meant.

        Examples
        --------
        >>> Source(text="x' = y; y' = 2 x (1 - y)  # growth").multiplied(16, 17)
        "x' = y; y' = 2 x*(1 - y)"
        """
        text = self.text or ""
        _, column, _ = _locate(text, left_end)
        _, _, content = _locate(text[:left_end] + "*" + text[right:], left_end)
        return _shown(content.partition("#")[0].rstrip(), column - 1)[0]


def equation_error(what: str, remedy: str, *, text: str | None = None, position: int | None = None) -> EquationError:
    """Make the error that says `what`, shows `position` (an offset into `text`), and ends with `remedy`.

    Examples
    --------
    >>> print(equation_error("unknown name `k`", "give it a value", text="y' = k", position=5))
    unknown name `k`
      line 1, column 6:
        y' = k
             ^
      give it a value
    """
    if text is None or position is None:
        return EquationError(f"{what}\n  {remedy}")
    line, column, content = _locate(text, position)
    shown, offset = _shown(content, column - 1)
    caret = " " * sum(_width(character) for character in shown[:offset]) + "^"
    message = f"{what}\n  line {line}, column {column}:\n    {shown}\n    {caret}\n  {remedy}"
    return EquationError(message, line=line, column=column)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, if any is near.

    Examples
    --------
    >>> nearest("y_1", ["y1", "y2", "sin"])
    'y1'
    """
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _locate(text: str, position: int) -> tuple[int, int, str]:
    """Return line and column (from 1) of an offset, and the line itself."""
    start, line = 0, 1
    for end in _LINE_END.finditer(text):
        if end.end() > position:
            return line, position - start + 1, text[start : end.start()]
        start, line = end.end(), line + 1
    return line, position - start + 1, text[start:]


def _shown(content: str, offset: int) -> tuple[str, int]:
    """Return a line as a message shows it, a long one cut around `offset`, and the offset in it."""
    content = "".join(_printable(character) for character in content)
    if len(content) <= _EXCERPT:
        return content, offset
    start = max(0, min(offset - _EXCERPT // 2, len(content) - _EXCERPT))
    head = "..." if start else ""
    tail = "..." if start + _EXCERPT < len(content) else ""
    return head + content[start : start + _EXCERPT] + tail, offset - start + len(head)


def _printable(character: str) -> str:
    """Replace what would break the line or confuse a terminal; a tab would move the caret."""
    if character == "\t":
        return " "
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _width(character: str) -> int:
    """Return the columns that a character takes in a terminal."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
