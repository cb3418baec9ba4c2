"""The live view: a growing gallery served on loopback, drawn from the database as it is asked for.

Nothing is written into the run folder: the campaign's own last pictures must not be overtaken by
older ones. Only names that this module made itself are answered, so no path leads anywhere else.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from evofool.config import cells
from evofool.encodings import Encoding
from evofool.errors import EvofoolError, StoreError, UsageError
from evofool.evolution.drawing import HOST, recorded_in
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import Elite, picture
from evofool.evolution.restoring import check_encoding, check_kind, load_run
from evofool.evolution.setup import make_encoding
from evofool.files import is_file
from evofool.gallery.collect import slug
from evofool.gallery.document import Room, document
from evofool.gallery.exhibits import Collection, Exhibit, Step
from evofool.gallery.page import page, policy
from evofool.images import Size, UInt8Images
from evofool.store import EliteRow, IndividualId, RunFolder, state_of
from evofool.store.history import commands_of
from evofool.store.manifest import headline
from evofool.store.runfolder import MANIFEST

LOOPBACK = "127.0.0.1"
REFRESH_SECONDS = 1.5
"""Least time between two looks into the database."""
MAX_CACHED = 256 * 1024 * 1024
_PICTURE = re.compile(r"/pictures/([0-9]{4,12})\.png")


class LiveRun:
    """A campaign as it stands, looked at again at most every `REFRESH_SECONDS`.

    It may not have begun: until there is a manifest the gallery is empty.

    Args:
        path: the run folder.
        encoding: where the encoding's file is now, if it has moved.

    Raises:
        FolderError: the folder holds a run of another kind.
        StoreError: it is damaged.
    """

    def __init__(self, path: Path | str, encoding: str | None = None) -> None:
        self._path, self._moved = Path(path), encoding
        if is_file(self._path / MANIFEST):
            with RunFolder.open(self._path) as run:
                check_kind(run)
        self._lock = threading.Lock()
        self._run: RunFolder | None = None
        self._encoding: Encoding[Any] | None = None
        self._elites: dict[int, EliteRow] = {}
        self._looked = 0.0
        self._room: Room | None = None
        self._cache: OrderedDict[tuple[IndividualId, int], bytes] = OrderedDict()
        self.version = "0"

    def page(self) -> str:
        """The page as HTML text."""
        with self._lock:
            self._look()
            return page([self._room] if self._room else [], served=True)

    def data(self) -> bytes:
        """What the page asks for when the version is another."""
        with self._lock:
            self._look()
            value = document([self._room] if self._room else [], served=True)
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()

    def look(self) -> str:
        """The version now: another whenever something has changed."""
        with self._lock:
            self._look()
            return self.version

    def png(self, class_index: int) -> bytes | None:
        """The picture of a class, None where there is none."""
        with self._lock:
            row = self._elites.get(class_index)
            run, encoding = self._run, self._encoding
            if row is None or run is None or encoding is None:
                return None
            key = row.id, class_index  # one individual may hold several cells
            if key not in self._cache:
                stored = run.individual(row.id)
                if stored is None or stored.genome is None:  # replaced a moment ago
                    self._looked = 0.0
                    return None
                if hashlib.sha256(stored.genome).digest() != stored.sha256:
                    raise StoreError(f"{run.path}: the genome of {row.id} is damaged")
                genome = encoding.load(stored.genome)
                _, height, width = run.manifest["classifier"]["input_shape"]
                pixels = encoding.render([genome], (height, width))[0]
                label = run.manifest["classifier"]["labels"][class_index]
                elite = Elite(
                    class_index, label, row.confidence, Individual(genome, row.id), pixels
                )
                # drawn here on the host, always: the device is the campaign's
                redrawn = "" if recorded_in(run.manifest)[0] == HOST else HOST
                self._cache[key] = picture(run, elite, redrawn)
                while sum(map(len, self._cache.values())) > MAX_CACHED:
                    self._cache.popitem(last=False)
            return self._cache[key]

    def close(self) -> None:
        """Let go of the run folder."""
        with self._lock:
            if self._run is not None:
                self._run.close()
                self._run = None

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < REFRESH_SECONDS:
            return
        self._looked = now
        if self._run is None:
            if not is_file(self._path / MANIFEST):
                return
            self._open()
        run = self._run
        assert run is not None
        labels = run.manifest["classifier"]["labels"]
        elites = tuple(row for row in run.elites() if 0 <= row.class_index < len(labels))
        status, last = state_of(run)[0], run.last_generation()
        version = f"{status} {last.evaluations if last else 0} {hash(elites)}"
        if version == self.version and self._room is not None:
            return
        self.version = version
        self._elites = {row.class_index: row for row in elites}
        self._room = self._hang(run, elites, status)

    def _open(self) -> None:
        run = RunFolder.open(self._path)
        try:
            loaded = load_run(run, check_files=False, encoding=self._moved, uses=("encoding",))
            channels, height, width = run.manifest["classifier"]["input_shape"]
            self._encoding, source = make_encoding(loaded, (channels, height, width))
            check_encoding(run, source)
            self._algorithm = loaded.config.evolution.algorithm
            self._classes = len(cells(loaded, tuple(run.manifest["classifier"]["labels"])))
        except BaseException:
            run.close()
            raise
        self._run = run

    def _hang(self, run: RunFolder, elites: tuple[EliteRow, ...], status: str) -> Room:
        manifest, last = run.manifest, run.last_generation()
        labels = manifest["classifier"]["labels"]
        channels, height, width = manifest["classifier"]["input_shape"]
        exhibits = [
            Exhibit(
                str(row.class_index), row.class_index, labels[row.class_index], row.confidence,
                row.won, row.id.generation, str(row.id),
            )
            for row in elites
        ]  # fmt: skip
        facts = [
            ("status", status),
            ("generations", f"{last.generation if last else 0:,}"),
            ("evaluations", f"{last.evaluations if last else 0:,}"),
        ]
        collection = Collection(
            key=slug(run.path.resolve().name), name=run.path.resolve().name, kind="evolve",
            victim=headline(manifest),
            digest=str(manifest["classifier"]["digest"]),
            encoding=str(manifest["encoding"]["name"]), algorithm=self._algorithm,
            seed=int(manifest["seed"]), run_id=str(manifest["run_id"]), status=status,
            command=commands_of(manifest) or "", config=run.config_text,
            shape=(channels, height, width), labels=labels, classes=self._classes,
            exhibits=exhibits, source=_Nothing(), facts=facts,
            no_ancestry="Ancestors are drawn by evofool gallery once the run has ended.",
        )  # fmt: skip
        ranked = sorted(exhibits, key=lambda e: e.rank)
        room = Room(collection, ranked, {"picture": "pictures/{}.png"})
        room.known.note = (
            "The first five are known once the run has ended and evofool gallery asks."
        )
        return room


class _Nothing:
    """The `Source` of a live view: what is costly waits for the end of the run."""

    def png(self, exhibit: Exhibit) -> bytes:
        raise NotImplementedError

    def render(self, exhibit: Exhibit, size: Size) -> UInt8Images:
        raise NotImplementedError

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        return {}

    def line(self, exhibit: Exhibit) -> list[Step]:
        return []

    def family(self, exhibit: Exhibit) -> set[IndividualId]:
        return set()

    def genome_bytes(self, exhibit: Exhibit) -> int:
        return 0

    def frames(self, ids: object) -> Mapping[IndividualId, UInt8Images]:
        return {}


class LiveServer:
    """Serves a `LiveRun` from a thread of its own until it is closed; a context manager.

    Args:
        path: the run folder, which may not be there yet.
        host: where to listen: loopback, unless somebody asks for more.
        port: 0 takes any that is free.
        encoding: as in `LiveRun`.

    Raises:
        UsageError: the port cannot be had.
    """

    def __init__(
        self, path: Path | str, host: str = LOOPBACK, port: int = 0, encoding: str | None = None
    ) -> None:
        self._live = LiveRun(path, encoding)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = family

            def handle_error(self, request: object, client_address: object) -> None:
                """Nothing: browsers hang up as they like."""

        try:
            self._server = Server((host, port), _handler(self._live, lambda: self.hosts))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port {port} on {host} cannot be had ({error}); give another"
            ) from error
        self.port: int = self._server.server_address[1]
        self.host = host
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        shown = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(self.host, self.host)
        return (
            f"http://{shown if ':' not in shown or shown[0] == '[' else f'[{shown}]'}:{self.port}/"
        )

    @property
    def hosts(self) -> Callable[[str], bool]:
        """Whether a Host header names this server: another site's name that was made to point
        here (DNS rebinding) does not."""
        everywhere = self.host in ("0.0.0.0", "::")

        def ours(header: str) -> bool:
            name, _, port = header.rpartition(":")
            if port != str(self.port):
                return False
            name = name.strip("[]").lower()
            if name in ("localhost", self.host.lower()):
                return True
            try:
                address = ipaddress.ip_address(name)
            except ValueError:
                return everywhere and name == socket.gethostname().lower()
            return everywhere or address.is_loopback

        return ours

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
        self._live.close()

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _handler(
    live: LiveRun, hosts: Callable[[], Callable[[str], bool]]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "evofool", ""
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            if not hosts()(self.headers.get("Host", "")):
                self._answer(403, b"this is not the host you are looking for\n", "text/plain")
                return
            try:
                found = self._find(self.path.partition("?")[0])
            except (EvofoolError, ValueError) as error:
                self._answer(500, f"{error}\n".encode("utf-8", "replace"), "text/plain")
                return
            if found is None:
                self._answer(404, b"nothing is here\n", "text/plain")
            else:
                self._answer(200, *found)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _find(self, path: str) -> tuple[bytes, str] | None:
            if path in ("/", "/index.html"):
                return live.page().encode("utf-8", "replace"), "text/html"
            if path == "/data.json":
                return live.data(), "application/json"
            if path == "/version":
                return live.look().encode(), "text/plain"
            match = _PICTURE.fullmatch(path)
            data = live.png(int(match[1])) if match else None
            return None if data is None else (data, "image/png")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header(
                "Content-Type", kind if kind == "image/png" else f"{kind}; charset=utf-8"
            )
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header(
                "Content-Security-Policy", policy(served=True) + "; frame-ancestors 'none'"
            )
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal belongs to the campaign's progress."""

    return Handler
