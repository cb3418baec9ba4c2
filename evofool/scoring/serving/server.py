"""The server: sockets, slow clients, and an end that waits for the answers in hand."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from evofool.errors import UsageError
from evofool.scoring.scorer import Scorer
from evofool.scoring.serving.app import Log, make_app
from evofool.scoring.serving.contract import Contract, Limits

GRACE_SECONDS = 10
"""For so long answers in hand are waited for at the end."""


class Server:
    """A net behind HTTP.

    Args:
        scorer: of the net.
        contract: what it says of the net.
        host: interface; any but loopback can be reached by others.
        port: 0 takes any that is free.
        limits: of a request.
        log: gets one line a request.
        patience: longest wait for pictures of other requests, in seconds.

    Raises:
        UsageError: the interface or port cannot be had.
    """

    def __init__(
        self,
        scorer: Scorer,
        contract: Contract | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        log: Log = lambda _: None,
        patience: float = 0.004,
        app: Any = None,
    ) -> None:
        limits = limits or Limits()
        contract = contract or Contract(scorer.classifier)
        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app or make_app(scorer, contract, limits, log, patience),
            http=_patient_for(limits.seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        self._server = _Quiet(config)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `stop`, in this thread."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Ask it to end: no new connections, answers in hand are given. Any thread may call it."""
        self._server.should_exit = True

    def __enter__(self) -> Server:
        """Serve in a thread of its own; connections are taken from now on."""
        self._thread = threading.Thread(target=self.run, name="serving", daemon=True)
        self._thread.start()
        self._server.is_up.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        assert self._thread is not None
        self._thread.join()


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach an interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Quiet(uvicorn.Server):
    """Leaves signals to whoever started it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _patient_for(seconds: float) -> type[asyncio.Protocol]:
    """A protocol that closes a connection on which no whole head of a request has come in time."""

    class Protocol(H11Protocol):
        _alarm: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._drop_alarm()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._drop_alarm()

        def _watch(self) -> None:
            asked = self.cycle is not None and not self.cycle.response_complete
            if asked:
                self._drop_alarm()
            elif self._alarm is None:
                self._alarm = self.loop.call_later(seconds, self._end)

        def _drop_alarm(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

        def _end(self) -> None:
            if not self.transport.is_closing():
                self.transport.close()

    return Protocol


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        bound.close()
        what = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{host}:{port} cannot be listened on ({what})") from error
    bound.set_inheritable(False)
    return bound
