"""The server: routes, what it refuses, and the runs as streams of events."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from odenn.web.choices import choices
from odenn.web.runs import Kept, Shelf
from odenn.web.specification import Limits, Specification, SpecificationError, read_equations_request
from odenn.web.workers import BusyError, Job, Lane

BODY = 4_000_000  # bytes of JSON
BODY_SECONDS = 30.0  # for a body to arrive
SEND_SECONDS = 60.0  # for a part of an answer to be taken
READ_SECONDS = 3.0
GRACE = 10.0  # seconds that a run may take beyond its budget: for the data of a fit, and to end
LOOK_SECONDS = 30.0  # to look at an upload, or to draw
VERIFY_SECONDS = 30.0

HEADERS = {
    # Plotly writes style elements; pictures of plots are data: and blob: addresses.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",  # after an upgrade no module of the old page may stay
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "onnx": "application/octet-stream",
    "odenn": "application/octet-stream",
    "py": "text/x-python; charset=utf-8",
}


def create_app(
    *, limits: Limits | None = None, host: str = "127.0.0.1", quick: int | None = None, training: int | None = None
) -> Starlette:
    """The application; workers start with it and end with it.

    Parameters
    ----------
    host
        What it is bound to: requests for other hosts than this and the local ones are refused.
    quick, training
        Workers for collocation and for networks that train; by default as many as there are cores, and half of that.
    """
    limits = limits or Limits()
    return Server(limits, quick=quick, training=training).application(host)


class Server:
    """Lanes of workers, the shelf, and the handlers."""

    def __init__(self, limits: Limits, *, quick: int | None = None, training: int | None = None) -> None:
        cores = os.cpu_count() or 1
        self.limits = limits
        self.shelf = Shelf()
        memory = limits.memory_mb
        # Reading waits for no run; what answers a slider goes before what draws and compares, that before what trains.
        self.reading = Lane(slots=1, memory_mb=memory)
        self.quick = Lane(slots=quick or min(max(cores, 2), 8), memory_mb=memory)
        self.helpers = Lane(slots=2, memory_mb=memory, niceness=5)
        self.training = Lane(slots=training or min(max(cores // 2, 1), 8), memory_mb=memory, niceness=10, torch=True)
        self.lanes = (self.reading, self.quick, self.helpers, self.training)

    def application(self, host: str) -> Starlette:
        """Starlette's view of it."""
        static = files("odenn.web") / "static"
        routes = [
            Route("/", self.page),
            Mount("/static", StaticFiles(directory=str(static), check_dir=False)),
            Route("/plotly.min.js", self.plotly),
            Route("/api/choices", self.choices),
            Route("/api/read", self.read, methods=["POST"]),
            Route("/api/runs", self.run, methods=["POST"]),
            Route("/api/runs/{id}/stop", self.stop, methods=["POST"]),
            Route("/api/runs/{id}/verify", self.verify, methods=["POST"]),
            Route("/api/runs/{id}/download/{format}", self.download),
            Route("/api/uploads", self.upload, methods=["POST"]),
        ]
        handlers: dict[Any, Callable[..., Any]] = {
            SpecificationError: _on_specification,
            BusyError: _on_busy,
            HTTPException: _on_http,
            Exception: _on_error,
        }
        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        app.state.server = self
        app.add_middleware(_Guard, host=host)
        return app

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        async def warm() -> None:
            await self.reading.start(1)
            await self.quick.start(self.quick.slots)
            await self.helpers.start(1)
            await self.training.start(1)

        task = asyncio.create_task(warm())
        try:
            yield
        finally:
            task.cancel()
            await self.close()

    async def close(self) -> None:
        """End all runs and their processes, and remove the files; more than once does no harm."""
        for lane in self.lanes:
            await lane.close()
        self.shelf.close()

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return FileResponse(Path(str(files("odenn.web") / "static" / "index.html")))

    async def plotly(self, request: Request) -> Response:
        """Plotly's own file, out of its Python package."""
        path = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
        tag = f'"plotly-{version("plotly")}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return FileResponse(path, media_type="text/javascript", headers={"etag": tag})

    async def choices(self, request: Request) -> Response:
        """What there is to choose from."""
        return _Json(choices(self.limits))

    async def read(self, request: Request) -> Response:
        """Equations as they are typed."""
        argument = read_equations_request(await _json(request), self.limits)
        job = self.reading.job("read", argument, seconds=READ_SECONDS)
        answer = await _last(self.reading, job)
        if job.failure is not None:
            message = job.failure["message"]
            if job.failure["kind"] == "limit":
                message = "reading these equations takes too long or too much memory: simplify them"
            return _Json({"ok": False, "message": message, "line": None, "column": None, "missing": []})
        return _Json({name: value for name, value in (answer or {}).items() if name != "event"})

    async def run(self, request: Request) -> Response:
        """A run as a stream of events; an uploaded solution as a run that is finished.

        `?replaces=ID` names an earlier run of the same page that it shows no more: sliders make many.
        """
        content = await _json(request)
        replaced = self.shelf.get(request.query_params.get("replaces", ""), "run")
        if replaced is not None:
            self.shelf.let_go(replaced)
        if isinstance(content, dict) and set(content) == {"upload"}:
            upload = self._upload(content["upload"], "solution", "upload")
            return _stream(self._ended(self._loaded(upload)))
        specification = Specification.of(content, self.limits)
        data = None
        if specification.method == "data-fit" and specification.data.kind == "csv":
            data = self._upload(specification.data.upload, "data", "data.upload")
        lane = self.training if specification.trains else self.quick
        if lane.full:
            raise BusyError("too many runs are waiting: try again in a moment")
        return _stream(self._ended(self._solved(lane, specification, data)))

    async def stop(self, request: Request) -> Response:
        """Stop a run, which keeps what it has."""
        kept = self._kept(request)
        if kept.job is not None and kept.lane is not None:
            await kept.lane.stop(kept.job)
        return Response(status_code=204)

    async def verify(self, request: Request) -> Response:
        """Compare a run that is finished with a reference, as a stream of events."""
        kept = self._kept(request)
        if kept.job is not None:
            raise HTTPException(409, "this run is still under way")
        if not kept.solution.exists():
            raise HTTPException(404, "this run has no solution to compare")
        return _stream(self._ended(self._verified(kept)))

    async def download(self, request: Request) -> Response:
        """A run's solution in one of the formats."""
        kept, kind = self._kept(request), request.path_params["format"]
        if kind not in FORMATS:
            raise HTTPException(404, f"there is no format {kind[:20]!r}: choose one of {', '.join(FORMATS)}")
        path = kept.folder / f"odenn_run.{kind}" if kind != "odenn" else kept.solution
        if not path.exists():
            if kind in ("py", "odenn") or not kept.solution.exists():
                raise HTTPException(404, "this run has no solution to download")
            argument = {"path": str(kept.solution), "target": str(path)}
            job = self.helpers.job("export", argument, seconds=LOOK_SECONDS)
            await _last(self.helpers, job)
            failure = (job.failure or {}).get("message") or (job.result or {}).get("message")
            if failure is not None:
                raise HTTPException(422, failure)
            self.shelf.weigh(kept)
        return FileResponse(path, media_type=FORMATS[kind], filename=f"odenn-run.{kind}")

    async def upload(self, request: Request) -> Response:
        """A CSV file or a solution; looked at before it is used."""
        if _content_type(request) != "application/octet-stream":
            raise HTTPException(415, "send the file as application/octet-stream")
        # Browsers for Windows may send a path; only its end is kept, and only to be shown.
        name = PurePath(request.query_params.get("name", "").replace("\\", "/")).name[:100]
        kind = {".csv": "data", ".odenn": "solution"}.get(PurePath(name).suffix.lower())
        if kind is None:
            raise HTTPException(415, f"only .csv and .odenn files can be uploaded, got {name!r}")
        kept = self.shelf.new(kind, name)
        try:
            await _receive(request, kept.upload, self.limits.upload_bytes)
            self.shelf.weigh(kept)
            argument = {"path": str(kept.upload), "name": name}
            job = self.helpers.job("table" if kind == "data" else "load", argument, seconds=LOOK_SECONDS)
            event = await _last(self.helpers, job)
            result = job.result or {}
            failure = (job.failure or event or {}).get("message") or result.get("message")
            if failure is not None:
                raise HTTPException(422, failure)
        except BaseException:
            self.shelf.remove(kept)
            raise
        about = {name: result[name] for name in ("columns", "rows") if name in result}
        return _Json({"upload": kept.id, "kind": kind, "name": name, **about})

    def _kept(self, request: Request) -> Kept:
        kept = self.shelf.get(request.path_params["id"], "run")
        if kept is None:
            raise HTTPException(404, "this run is no longer here: solve again")
        return kept

    def _upload(self, key: Any, kind: str, field: str) -> Kept:
        kept = self.shelf.get(key, kind) if isinstance(key, str) else None
        if kept is None:
            raise SpecificationError("this file is no longer here: upload it again", field)
        return kept

    async def _solved(self, lane: Lane, specification: Specification, data: Kept | None) -> AsyncGenerator[bytes]:
        kept = self.shelf.new("run")
        argument = {
            "specification": specification.as_json(),
            "limits": asdict(self.limits),
            "folder": str(kept.folder),
            "upload": None if data is None else str(data.upload),
            "upload_name": None if data is None else data.name,
        }
        job = lane.job("solve", argument, seconds=specification.seconds + GRACE, run=kept.id)
        async with aclosing(self._events(lane, job, kept)) as events:
            async for line in events:
                yield line
        if specification.verify and (job.result or {}).get("solved"):
            async with aclosing(self._verified(kept)) as events:
                async for line in events:
                    yield line

    async def _verified(self, kept: Kept) -> AsyncGenerator[bytes]:
        job = self.helpers.job("verify", {"path": str(kept.solution)}, seconds=VERIFY_SECONDS)
        async with aclosing(self._events(self.helpers, job, kept)) as events:
            async for line in events:
                if job.failure is None:  # the run itself has succeeded
                    yield line
        if job.failure is not None:
            stopped = job.stopped is not None
            message = "the comparison was stopped" if stopped else f"no comparison: {job.failure['message']}"
            yield _line({"event": "verified", "source": None, "message": message})

    async def _loaded(self, upload: Kept) -> AsyncGenerator[bytes]:
        kept = self.shelf.new("run")
        argument = {"path": str(upload.upload), "name": upload.name, "folder": str(kept.folder)}
        job = self.helpers.job("load", argument, seconds=LOOK_SECONDS, run=kept.id)
        async with aclosing(self._events(self.helpers, job, kept)) as events:
            async for line in events:
                yield line

    @staticmethod
    async def _ended(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """All events of a stream, and the one that says that there are no more."""
        async with aclosing(events):
            async for line in events:
                yield line
        yield _line({"event": "end"})

    async def _events(self, lane: Lane, job: Job, kept: Kept) -> AsyncGenerator[bytes]:
        """Events of one job of a run, which can be stopped meanwhile."""
        kept.lane, kept.job = lane, job
        try:
            async with aclosing(lane.lines(job)) as lines:
                async for line in lines:
                    yield line
        except BusyError as error:
            job.failure = {"event": "failed", "message": str(error), "kind": "limit"}
            yield _line(job.failure)
        finally:
            kept.job = None
            self.shelf.weigh(kept)
            if job.abandoned:
                self.shelf.let_go(kept)


class _Guard:
    """Refuses requests for other hosts and from other sites, and sets the headers of every answer.

    A page of another site can make a browser send requests here, and, by changing what its own name stands for, even
    read the answers: so it counts what host the browser believes to talk to, and what page it says to come from.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.hosts = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
        self.anywhere = host in ("0.0.0.0", "::")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names]
                message = {**message, "headers": [*message["headers"], *more]}
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        refusal = self._refusal(request)
        if refusal is not None:
            response = _Json({"message": refusal}, 403)
            await response(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not self._known(host):
            other = ", from other machines by the number (IP address) of this one" if self.anywhere else ""
            return f"this server does not answer for {host[:60]!r}: open it by the address that it printed{other}"
        origin = request.headers.get("origin")
        if request.method not in ("GET", "HEAD") and (
            (origin is not None and urlsplit(origin).netloc != host)
            or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        ):
            return "pages of other sites cannot use this server"
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self.anywhere:  # by whatever address of this machine: a number cannot be made to stand for another
            try:
                ipaddress.ip_address(name)
            except ValueError:
                return name in self.hosts
            return True
        return name in self.hosts


class _Json(JSONResponse):
    """JSON in ASCII: half a surrogate pair, which JSON can name and users can send, cannot be written in UTF-8."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _json(request: Request) -> Any:
    """What the body holds, of which nothing is known yet."""
    if _content_type(request) != "application/json":
        raise HTTPException(415, "send JSON, with the content type application/json")
    body = bytearray()
    async for part in _parts(request, BODY):
        body += part
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise HTTPException(400, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise HTTPException(400, f"this is no JSON: {error}"[:300]) from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON; only finite numbers are taken")


async def _receive(request: Request, path: Path, most: int) -> None:
    with path.open("xb") as file:
        async for part in _parts(request, most):
            file.write(part)


async def _parts(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body as it arrives, if it is not too long and does not take too long."""
    too_large = HTTPException(413, f"this is too large: at most {most:,} bytes are taken")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                yield part
    except TimeoutError:
        raise HTTPException(408, f"the request did not arrive within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed") from None


async def _last(lane: Lane, job: Job) -> dict[str, Any] | None:
    """The one event of a job that does not stream."""
    last: bytes | None = None
    async with aclosing(lane.lines(job)) as lines:
        async for line in lines:
            if not line.startswith(b'{"event": "queued"'):
                last = line
    return None if last is None else json.loads(last)


def _stream(events: AsyncGenerator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        events, media_type="application/x-ndjson", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


async def _on_specification(request: Request, error: SpecificationError) -> Response:
    return _Json({"message": error.message, "field": error.field}, 400)


async def _on_busy(request: Request, error: BusyError) -> Response:
    return _Json({"message": str(error)}, 503, headers={"retry-after": "2"})


async def _on_http(request: Request, error: HTTPException) -> Response:
    return _Json({"message": error.detail}, error.status_code, headers=error.headers)


async def _on_error(request: Request, error: Exception) -> Response:
    return _Json({"message": "an error of odenn's own, please report it"}, 500)
