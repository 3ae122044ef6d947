"""Commands whose equations may begin with a minus, which looks like an option."""

from __future__ import annotations

import re
import shlex
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand


class EquationsCommand(TyperCommand):
    """Says what to do where equations were taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception:
            equations = next((text for text in given if re.match(r"-[^-].*=", text)), None)
            if equations is None or "--" in given:
                raise
            others = shlex.join(text for text in given if text != equations)
            raise BadParameter(
                f"equations that begin with a minus are put at the end, after --: {ctx.command_path} {others} -- "
                f'"{equations}"'
            ) from None
