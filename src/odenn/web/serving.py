"""Starting the server and opening the page."""

from __future__ import annotations

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from odenn.web.specification import Limits

PORT = 8765
TRIES = 20  # ports from there


def serve(*, host: str, port: int | None, limits: Limits, browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    port
        0 for any free one; None for the first free one from 8765.
    say
        Gets the address once it can be opened.

    Raises
    ------
    OSError
        If the port or the host cannot be had.
    """
    from odenn.web.app import create_app

    with contextlib.closing(_socket(host, port)) as taken:
        number = taken.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        address = f"http://{'127.0.0.1' if host == '0.0.0.0' else '[::1]' if host == '::' else name}:{number}/"
        server = PageServer(create_app(limits=limits, host=host))

        def announce() -> None:
            say(address)
            if browser:
                webbrowser.open(address)

        taken.listen(128)  # from here on a browser can connect, and is served a moment later
        threading.Thread(target=announce, daemon=True).start()
        server.run(sockets=[taken])


class PageServer(uvicorn.Server):
    """uvicorn with the application in hand: it ends the runs before it waits for their answers to be complete."""

    def __init__(self, app: Starlette, *, port: int = 0) -> None:
        super().__init__(
            uvicorn.Config(app, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        )
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.state.server.close()
        await super().shutdown(sockets)


def _socket(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + TRIES), 0]:
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((host.strip("[]"), number))
        except OSError as error:
            taken.close()
            if port is not None or isinstance(error, socket.gaierror):
                raise
            continue
        return taken
    raise OSError("no port is free")
