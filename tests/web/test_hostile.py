"""Malformed and hostile input: a clear message each, and the next user is served.

Every case ends with another user's run, which must be right: the server lives on, and so do its workers.
"""

import json
import socket
import struct
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from odenn.web import app
from odenn.web.specification import Limits

LINEAR_PAIR = "dy1/dx = y1, dy2/dx = y1 - y2; y1(0) = 1, y2(0) = 1"
LIMIT = 2.0  # seconds of a run


@pytest.fixture(scope="module")
def tight(serving: Any) -> Iterator[Any]:
    """A server that gives runs little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "GRACE", 1.0)
        with serving(Limits(seconds=LIMIT, memory_mb=900), quick=1, training=1) as it:
            yield it


@pytest.fixture(autouse=True)
def next_user(tight: Any) -> Iterator[None]:
    """Whatever happened: another user solves, and gets the right curve."""
    yield
    started = time.monotonic()
    solution = tight.the(tight.run(span=(0, 2)), "solution")
    assert solution["y"][0][-1] == pytest.approx(np.exp(2.0), rel=1e-6)
    assert time.monotonic() - started < 10.0


def says(response: httpx.Response, *words: str, status: int = 400) -> None:
    assert response.status_code == status, response.text[:500]
    message = response.json()["message"]
    assert 10 < len(message) < 1000, message
    for word in words:
        assert word in message, message


MORE_THAN_ALL = "9" * 400
TEXTS: dict[str, tuple[str, str]] = {  # equations that are no equations, and what the message has
    "python": ("__import__('os').system('touch /tmp/odenn-hostile')", ""),
    "attribute": ("y' = y.__class__; y(0) = 1", ""),
    "lambda": ("y' = (lambda: 1)(); y(0) = 1", ""),
    "eval": ("y' = eval(1); y(0) = 1", "eval"),
    "template": ("y' = {{7*7}}; y(0) = 1", ""),
    "shell": ("y' = `rm -rf /`; y(0) = 1", ""),
    "html": ("<script>alert(1)</script>' = 1", ""),
    "sql": ("y' = 1; DROP TABLE runs; y(0) = 1", ""),
    "null": ("y' = y\x00; y(0) = 1", ""),
    "surrogate": ("y' = \ud800; y(0) = 1", ""),
    "right-to-left": ("y' = \u202e1 + y; y(0) = 1", ""),
    "power tower": ("y' = 9^9^9^9^9^9; y(0) = 1", ""),
    "huge exponent": ("y' = 2^(10^10); y(0) = 1", ""),
    "huge number": (f"y' = {'9' * 4000}; y(0) = 1", ""),
    "nested powers": ("y' = " + "(" * 40 + "2*y" + ")^64" * 40 + "; y(0) = 1", ""),
    "deep": ("y' = " + "(" * 9000 + "y" + ")" * 9000 + "; y(0) = 1", "nested"),
    "deep functions": ("y' = " + "sin(" * 2000 + "y" + ")" * 2000 + "; y(0) = 1", "nested"),
    "minuses": ("y' = " + "-" * 19_000 + "y; y(0) = 1", ""),
    "order": ("y" + "'" * 15_000 + " = 1", "order"),
    "components": ("\n".join(f"y{i}' = 1" for i in range(1001)), "1000"),
    "million": ("y' = y + " + "1" * 1_000_000, "1000009"),
    "empty": ("", "no equation"),
    "blank": (" \n\t; ,, ;;", "no equation"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(tight: Any, name: str) -> None:
    """Read while it is typed, and run all the same: both say what is wrong."""
    text, word = TEXTS[name]
    body = json.dumps({"equations": text})
    with tight.client() as client:
        started = time.monotonic()
        response = client.post("/api/read", content=body, headers={"content-type": "application/json"})
        assert time.monotonic() - started < app.READ_SECONDS + 2
        answer = response.json()
        assert response.status_code == 400 or answer["ok"] is False
        assert word in answer["message"]
        body = json.dumps({"equations": text, "span": [0, 1]})
        response = client.post("/api/runs", content=body, headers={"content-type": "application/json"})
    events = [json.loads(line) for line in response.text.splitlines()]
    failed = events[0] if response.status_code == 400 else tight.the(events, "failed")
    assert word in failed["message"]
    assert failed["field"] == "equations"


SPECIFICATIONS: dict[str, tuple[dict[str, Any], str]] = {  # what is not a run, and the field that is named
    "span of three": ({"span": [0, 1, 2]}, "span"),
    "span of texts": ({"span": ["0", "1"]}, "span"),
    "no length": ({"span": [1, 1]}, "span"),
    "span too large": ({"span": [0, int(MORE_THAN_ALL)]}, "span"),
    "true as number": ({"rtol": True}, "rtol"),
    "rtol of a list": ({"rtol": [1e-6]}, "rtol"),
    "rtol beyond double": ({"rtol": 1e-300}, "rtol"),
    "negative atol": ({"atol": -1}, "atol"),
    "equations as object": ({"equations": {"$ne": None}}, "equations"),
    "parameters as list": ({"params": [1, 2]}, "params"),
    "parameter as text": ({"params": {"k": "1; import os"}}, "params.k"),
    "many parameters": ({"params": {f"k{i}": 1 for i in range(1000)}}, "params"),
    "dunder": ({"__class__": "Specification"}, "__class__"),
    "method": ({"method": "../../bin/sh"}, "method"),
    "activation": ({"method": "residual", "network": {"activation": "os.system"}}, "network.activation"),
    "wide": ({"method": "residual", "network": {"hidden": [10**9]}}, "network.hidden"),
    "deep network": ({"method": "residual", "network": {"hidden": [1] * 10_000}}, "network.hidden"),
    "optimiser": ({"method": "residual", "optimizer": {"name": "Optimizer"}}, "optimizer.name"),
    "step": ({"method": "data-fit", "data": {"kind": "euler", "step": -1}}, "data.step"),
    "another's upload": ({"method": "data-fit", "data": {"kind": "csv", "upload": "../../etc/passwd"}}, "data.upload"),
    "seconds": ({"seconds": 1e9}, "seconds"),
    "seed": ({"seed": -1}, "seed"),
    "windows": ({"windows": 10**12}, "windows"),
}


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_specification(tight: Any, name: str) -> None:
    change, field = SPECIFICATIONS[name]
    response = tight.post("/api/runs", {"equations": LINEAR_PAIR, "span": [0, 1], **change})
    says(response)
    assert response.json()["field"] == field


BODIES: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (b"span=0", "no JSON", 400),
    "empty": (b"", "no JSON", 400),
    "list": (b"[]", "JSON object", 400),
    "number": (b"1e400", "JSON object", 400),
    "NaN": (b'{"equations": "y\'=y; y(0)=1", "span": [0, NaN]}', "NaN", 400),
    "infinity": (b'{"equations": "y\'=y; y(0)=1", "span": [0, -Infinity]}', "Infinity", 400),
    "1e999": (b'{"equations": "y\'=y; y(0)=1", "span": [0, 1e999]}', "finite", 400),
    "long number": (b'{"equations": "", "span": [0, ' + b"9" * 100_000 + b"]}", "digits", 400),
    "nested": (b'{"equations": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested", 400),
    "half a character": (b'{"\\ud800": 1}', "unknown", 400),
    "no UTF-8": (b'{"equations": "\xff\xfe"}', "no JSON", 400),
    "huge": (b'{"equations": "' + b" " * 8_000_000 + b'"}', "too large", 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_body(tight: Any, name: str) -> None:
    body, word, status = BODIES[name]
    with tight.client() as client:
        response = client.post("/api/runs", content=body, headers={"content-type": "application/json"})
    says(response, word, status=status)


def test_body_without_length(tight: Any) -> None:
    """Chunks that never end are cut off."""
    with tight.client() as client:
        parts = (b" " * 1_000_000 for _ in range(1000))
        response = client.post("/api/runs", content=parts, headers={"content-type": "application/json"})
    says(response, "too large", status=413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_content_type(tight: Any, content_type: str) -> None:
    """What a form of another site can send is not taken."""
    body = json.dumps({"equations": LINEAR_PAIR, "span": [0, 1]})
    with tight.client() as client:
        says(client.post("/api/runs", content=body, headers={"content-type": content_type}), "JSON", status=415)
        says(client.post("/api/read", content=body, headers={"content-type": content_type}), "JSON", status=415)
        response = client.post(
            "/api/uploads", params={"name": "a.csv"}, content=b"t,y\n0,1\n", headers={"content-type": content_type}
        )
        says(response, "application/octet-stream", status=415)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "a b"])
def test_foreign_host(tight: Any, host: str) -> None:
    """A name of another site that was made to stand for this machine."""
    with tight.client() as client:
        says(client.get("/api/choices", headers={"host": host}), "address", status=403)


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_foreign_origin(tight: Any, headers: dict[str, str]) -> None:
    response = tight.post("/api/runs", {"equations": LINEAR_PAIR, "span": [0, 1]}, headers=headers)
    says(response, "other sites", status=403)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/static//etc/passwd",
        "/api/runs/../../etc/passwd/download/csv",
        "/api/runs/%2e%2e/download/odenn",
        "/api/runs/x/download/..%2f..%2fsolution",
        "/api/runs/" + "a" * 60_000 + "/download/csv",
    ],
)
def test_path(tight: Any, path: str) -> None:
    """Sent as it stands: clients tidy up what servers had better not rely on."""
    host, port = tight.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.split(b" ", 2)[1] in (b"404", b"400", b"414"), answer[:300]
    assert b"root:" not in answer


def zipped(name: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"0" * 10_000_000)
    return buffer.getvalue()


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


UPLOADS: dict[str, tuple[str, bytes, str, int]] = {  # name, content, a word of the message
    "executable": ("run.sh", b"#!/bin/sh", ".csv", 415),
    "pickle": ("model.pkl", b"\x80\x04cos\nsystem\n(S'id'\ntR.", ".csv", 415),
    "pickle in disguise": ("a.odenn", b"\x80\x04cos\nsystem\n(S'id'\ntR.", "no solution", 422),
    "path": ("../../../tmp/x.odenn", b"", "empty", 422),
    "path of Windows": ("C:\\Windows\\x.odenn", b"no", "no solution", 422),
    "no name": ("", b"t,y\n", ".csv", 415),
    "zip with a path": ("a.odenn", zipped("../../etc/cron.d/x"), "no solution", 422),
    "zip bomb as CSV": ("a.csv", zipped("0.csv"), "CSV", 422),
    "length beyond the file": ("a.odenn", struct.pack("<Q", 50_000_000) + b"{" + b" " * 100, "damaged", 422),
    "huge length": ("a.odenn", b"\xff" * 100, "no solution", 422),
    "foreign safetensors": ("a.odenn", safetensors(b"{}"), "safetensors", 422),
    "nested header": ("a.odenn", safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "damaged", 422),
    "tensor beyond memory": (
        "a.odenn",
        safetensors(
            b'{"__metadata__":{"odenn":"{\\"version\\":2}"},'
            b'"x":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8000000000000]}}'
        ),
        "damaged",
        422,
    ),
    "CSV that is binary": ("a.csv", bytes(range(256)) * 10, "CSV", 422),
    "CSV of NaN": ("a.csv", b"t,y\n0,nan\n1,inf\n", "finite", 422),
    "CSV of text": ("a.csv", b'time,"=cmd|calc"\n0,__import__\n', "expected a number", 422),
    "CSV of one line": ("a.csv", b"t," * 3_000_000, "CSV", 422),
    "CSV with a long field": ("a.csv", b't,y\n0,"' + b"1" * 1_000_000 + b'"\n', "CSV", 422),
    "CSV of ragged rows": ("a.csv", b"t,y\n0,1\n1\n", "line 3", 422),
    "empty CSV": ("a.csv", b"", "rows", 422),
    "too large": ("a.csv", b"0" * 21_000_000, "too large", 413),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_upload(tight: Any, name: str) -> None:
    label, data, word, status = UPLOADS[name]
    before = len(tight.server.shelf)
    says(tight.upload(label, data), word, status=status)
    assert len(tight.server.shelf) == before  # nothing of it is kept


NEVER: dict[str, dict[str, Any]] = {  # runs that would take for ever, or all memory
    "huge span": {"equations": "x'' = -x; x(0) = 1, x'(0) = 0", "span": [0, 1e12]},
    "endless windows": {"equations": "y' = cos(1e9*t); y(0) = 0", "span": [0, 1e6], "stiff": False},
    "chaos": {
        "equations": "x'=10*(y-x), y'=x*(28-z)-y, z'=x*y-8/3*z; x(0)=1,y(0)=1,z(0)=1",
        "span": [0, 1e9],
        "rtol": 1e-12,
    },
    "stiff": {"equations": "y' = -1e12*(y - cos(t)); y(0) = 2", "span": [0, 1e9]},
    "heavy": {
        "equations": "\n".join(f"y{i}' = " + " + ".join(f"sin(y{j}*{i + 1})" for j in range(35)) for i in range(35))
        + "\n"
        + ", ".join(f"y{i}(0) = 1" for i in range(35)),
        "span": [0, 1e9],
    },
    "endless data": {
        "equations": "x' = y, y' = -x; x(0) = 1, y(0) = 0",
        "span": [0, 10],
        "method": "data-fit",
        "data": {"kind": "rk4", "step": 1.1e-5},
    },
    "endless training": {
        "equations": "x' = y, y' = -x; x(0) = 1, y(0) = 0",
        "span": [0, 1e6],
        "method": "residual",
        "optimizer": {"name": "adam", "iterations": 100_000},
        "windows": 1000,
    },
    "memory": {
        "equations": "x' = y, y' = -x; x(0) = 1, y(0) = 0",
        "span": [0, 1],
        "method": "residual",
        "network": {"hidden": [256] * 10},
        "points": 2000,
    },
}


@pytest.mark.parametrize("name", NEVER)
def test_never_ending(tight: Any, name: str) -> None:
    """It ends within its limit, with a message; what it held is free, and the next user gets a worker."""
    events: list[dict[str, Any]] = []
    started = 0.0  # not counted: until a worker is there that takes the place of one that was ended
    with tight.client() as client:
        content = {"seconds": LIMIT, "verify": False, **NEVER[name]}
        with client.stream("POST", "/api/runs", json=content) as response:
            for line in response.iter_lines():
                events.append(json.loads(line))
                if events[-1]["event"] == "started":
                    started = time.monotonic()
    assert time.monotonic() - started < LIMIT + app.GRACE + 5.0
    last = [event for event in events if event["event"] in ("summary", "failed")][-1]
    if last["event"] == "summary":  # it ended by itself, with what it had
        assert not last["success"]
        assert len(last["message"]) > 20
    else:
        assert last["kind"] == "limit"
        assert "memory" in last["message"] or "longer than" in last["message"]
    assert events[-1]["event"] == "end"


def test_pages_that_do_not_read(tight: Any) -> None:
    """More of them than there are workers: they keep neither a worker nor a place in the queue."""
    host, port = tight.address.removeprefix("http://").split(":")
    many = ", ".join(f"y{i}' = -y{i}" for i in range(100)) + "; " + ", ".join(f"y{i}(0) = 1" for i in range(100))
    body = json.dumps({"equations": many, "span": [0, 5], "verify": False}).encode()
    head = f"POST /api/runs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    silent = [socket.socket() for _ in range(4)]
    try:
        for connection in silent:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            connection.sendall(f"{head}\r\n\r\n".encode() + body)
        time.sleep(1.0)
        started = time.monotonic()
        assert tight.the(tight.run(), "summary")["success"]
        assert time.monotonic() - started < 5.0
    finally:
        for connection in silent:
            connection.close()
