"""`odenn web`: the page."""

from __future__ import annotations

import errno
from typing import Annotated

import typer

from odenn.cli._failures import UsageError, reported, say, user_mistakes
from odenn.extras import need

PACKAGES = ("starlette", "uvicorn", "plotly", "latex2mathml", "psutil")


def web(
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, show_default=False, help="0 takes any free one. Default: 8765 or the next free."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    run_seconds: Annotated[float, typer.Option(min=1.0, help="What one run may ask for.")] = 120.0,
    memory_mb: Annotated[int, typer.Option(min=512, help="What one run may hold.")] = 2048,
) -> None:
    """Open the workshop in a browser: type equations, drag parameters, watch networks train.

    [bold]Example[/bold]

    odenn web --port 8000 --no-browser
    """
    with reported():
        with user_mistakes():
            need("odenn web", "web", *PACKAGES)
        from odenn.web.serving import serve
        from odenn.web.specification import Limits

        if host not in ("127.0.0.1", "localhost", "::1", "[::1]"):
            say("whoever can reach this address can use this machine's processors and memory", kind="careful: ")
        limits = Limits(seconds=run_seconds, memory_mb=memory_mb)
        try:
            serve(host=host, port=port, limits=limits, browser=browser, say=_announce)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UsageError(
                    f"port {port} is in use: name another one, or --port 0 for any that is free"
                ) from error
            raise UsageError(f"cannot listen on {host}, port {port if port is not None else 'any'}: {error}") from error


def _announce(address: str) -> None:
    typer.echo(f"odenn web: {address} (Ctrl-C ends it)")
