"""Services that answer whatever a test wants, through real sockets."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

LABELS = ("cat", "dog", "eel")
SHAPE = (1, 6, 6)


def scores_of(image: NDArray[np.uint8]) -> list[float]:
    """Probabilities of `LABELS`, of the first pixels of one image."""
    row = image.reshape(-1)[:3].astype(np.float64) + 1
    return [float(x) for x in row / row.sum()]


def decoded(text: str) -> NDArray[np.uint8]:
    """A picture in base64 as C x H x W."""
    array = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(text))))
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def answered(body: bytes, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """What a sound service of evofool's contract answers, its classes in the order of `labels`."""
    rows = [
        dict(zip(LABELS, scores_of(decoded(t)), strict=True)) for t in json.loads(body)["images"]
    ]
    scores = [[row[label] for label in labels] for row in rows]
    return {"output": "probs", "labels": list(labels), "scores": scores}


METADATA = {
    "contract": 1,
    "name": "stub",
    "labels": list(LABELS),
    "input_shape": list(SHAPE),
    "output": "probs",
    "link": "identity",
    "digest": "5" * 64,
}


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered.

    Attributes:
        value: the JSON, or the bytes of the body.
        status: of the answer.
        headers: beside the length.
        fault: ``""``, or what happens instead: ``hang`` (no answer), ``drip`` (one byte after
            another, without end), ``drip head``, ``cut`` (half of the body), ``reset``, ``close``.
    """

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


Respond = Callable[[Asked, int], Reply]
"""Gets the request and how many came before it."""


class Stub:
    """A service; `asked` holds the requests so far."""

    def __init__(self, respond: Respond) -> None:
        self.asked: list[Asked] = []
        self.done = threading.Event()
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Asked(self.command, self.path, headers, self.rfile.read(length))
                with stub._lock:
                    number = len(stub.asked)
                    stub.asked.append(request)
                with contextlib.suppress(OSError):
                    self.reply(respond(request, number))

            do_GET = do_POST  # noqa: N815

            def reply(self, reply: Reply) -> None:
                value = reply.value
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.close_connection = bool(reply.fault)
                if reply.fault == "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                if reply.fault == "hang":
                    stub.done.wait()
                    return
                if reply.fault == "close":
                    return
                if reply.fault == "drip head":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    self.drip()
                    return
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if reply.fault == "drip":
                    self.wfile.write(body[:1])
                    self.drip()
                    return
                self.wfile.write(body[: len(body) // 2] if reply.fault == "cut" else body)

            def drip(self) -> None:
                while not stub.done.wait(0.02):
                    self.wfile.write(b" ")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def questions(self) -> list[Asked]:
        """Those about pictures."""
        return [asked for asked in self.asked if asked.method == "POST"]

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._server.shutdown()
        self._server.server_close()


def of_contract(faults: Callable[[int], Reply | None] = lambda _: None) -> Respond:
    """A sound service of evofool's contract, but where `faults` has another reply to a question."""
    count = 0
    lock = threading.Lock()

    def respond(asked: Asked, _: int) -> Reply:
        nonlocal count
        if asked.method == "GET":
            return Reply(METADATA)
        with lock:
            number, count = count, count + 1
        return faults(number) or Reply(answered(asked.body))

    return respond


@contextlib.contextmanager
def stub(respond: Respond | None = None) -> Iterator[Stub]:
    """A service that runs."""
    with Stub(respond or of_contract()) as running:
        yield running


FAST: dict[str, Any] = {"backoff": {"first": 0.001, "most": 0.002}}
"""Of a config, so that tests wait for nothing."""
