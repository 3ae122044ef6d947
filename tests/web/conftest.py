"""A server of its own process's making, on a free port, with real workers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from odenn.web.app import Server, create_app
from odenn.web.serving import PageServer
from odenn.web.specification import Limits

LINEAR_PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"


@dataclass
class Served:
    """A running server, and what a page does with it."""

    address: str
    server: Server

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.address, timeout=60.0) as client:
            yield client

    def post(self, path: str, content: Any, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=content, **options)

    def read(self, equations: str, **more: Any) -> dict[str, Any]:
        return self.post("/api/read", {"equations": equations, **more}).json()

    def run(self, equations: str = LINEAR_PAIR, span: Any = (0, 2), **more: Any) -> list[dict[str, Any]]:
        """All events of a run; without verification unless that is asked for."""
        return self.events({"equations": equations, "span": list(span), "verify": False, **more})

    def events(self, content: Any) -> list[dict[str, Any]]:
        with self.client() as client, client.stream("POST", "/api/runs", json=content) as response:
            assert response.status_code == 200, response.read()
            return [json.loads(line) for line in response.iter_lines()]

    def upload(self, name: str, data: bytes) -> httpx.Response:
        with self.client() as client:
            return client.post(
                "/api/uploads",
                params={"name": name},
                content=data,
                headers={"content-type": "application/octet-stream"},
            )

    @staticmethod
    def the(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
        """The one event of a kind."""
        found = [event for event in events if event["event"] == kind]
        assert len(found) == 1, [{**event, "t": None, "y": None} for event in events]
        return found[0]

    def download(self, run: str, kind: str) -> httpx.Response:
        with self.client() as client:
            return client.get(f"/api/runs/{run}/download/{kind}")


@contextmanager
def _serving(limits: Limits, **options: Any) -> Iterator[Served]:
    app = create_app(limits=limits, **options)
    server = PageServer(app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", app.state.server)
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Served]]:
    """Makes a server of its own: `with serving(limits) as served`."""
    return _serving


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """A server as users have it, with short runs."""
    with _serving(Limits(seconds=20.0, memory_mb=1500), quick=2, training=1) as it:
        yield it
