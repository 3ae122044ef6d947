"""Whether odenn refused what it was given, or something in it went wrong."""

from __future__ import annotations

import dis

_RAISE = dis.opmap["RAISE_VARARGS"]


def is_deliberate(error: BaseException) -> bool:
    """Whether a `raise` statement of odenn's own made the error, not an operation that went wrong.

    The instruction that the innermost frame of the traceback stands at tells: "None + 1" is no `raise`.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    module = str(traceback.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == "odenn" and traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == _RAISE
