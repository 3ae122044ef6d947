"""How messages and pictures say numbers of things."""


def counted(number: int, noun: str) -> str:
    """A number and its noun, which takes an s.

    >>> counted(1, "window"), counted(0, "window"), counted(1200, "window")
    ('1 window', '0 windows', '1,200 windows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
