"""The live view: a growing gallery served on loopback, drawn from the database as it is asked for.

Nothing is written into the run folder: the campaign's own last pictures must not be overtaken by
older ones. Only names that this module made itself are answered, so no path leads anywhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import math
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
from urllib.parse import unquote

from evofool.config import cells
from evofool.encodings import Encoding
from evofool.errors import DamagedError, EvofoolError, UsageError
from evofool.evolution.drawing import HOST, recorded_in
from evofool.evolution.individual import Individual
from evofool.evolution.outputs import Elite, picture
from evofool.evolution.restoring import check_encoding, check_kind, load_run
from evofool.evolution.setup import make_encoding
from evofool.files import is_file
from evofool.gallery.live.handover import PAGE, PREFIX, FinishedGallery, OpenPages
from evofool.gallery.page.document import Live, RunView, document
from evofool.gallery.page.html import html_page, policy
from evofool.gallery.reading.collect import slug
from evofool.gallery.reading.exhibits import Collection, Exhibit, Step
from evofool.images import Size, UInt8Images
from evofool.store import CampaignFolder, EliteRow, IndividualId, IndividualRow, state_of
from evofool.store.folder import MANIFEST
from evofool.store.history import commands_of
from evofool.store.manifest import headline

LOOPBACK = "127.0.0.1"
REFRESH_SECONDS = 1.5
"""Least time between two looks into the database."""
MOST_LOOKS = 5
"""For a picture of a cell whose elites follow each other faster than they can be read."""
MAX_CACHED = 256 * 1024 * 1024
_PICTURE = re.compile(r"/pictures/([0-9]{4,12})\.png")
_NEWS = re.compile(r"page=([a-z0-9]{1,16})&kept=([^&]{0,200})")
"""How a page asks for the version, and of which one it has loaded every picture."""


class LiveRun:
    """The present state of a campaign, read again at most every `REFRESH_SECONDS`.

    It may not have begun: until there is a manifest the gallery is empty.

    Args:
        path: of the run folder.
        encoding: where the encoding's file is now, if it has moved.
        tell_place: whether pages may say where the folder lies.

    Raises:
        FolderError: the folder holds a run of another kind.
        StoreError: it is damaged.
    """

    def __init__(
        self, path: Path | str, encoding: str | None = None, *, tell_place: bool = True
    ) -> None:
        self._path, self._moved = Path(path), encoding
        self._place = str(self._path / PAGE) if tell_place else ""
        self.gallery = FinishedGallery(self._path)
        self._finished = ""
        if is_file(self._path / MANIFEST):
            with CampaignFolder.open(self._path) as run:
                check_kind(run)
        self._lock = threading.Lock()
        self._run: CampaignFolder | None = None
        self._encoding: Encoding[Any] | None = None
        self._elites: dict[int, EliteRow] = {}
        self._looked = -math.inf
        self._view: RunView | None = None
        self._cache: OrderedDict[tuple[IndividualId, int], bytes] = OrderedDict()
        self.version = "0"

    def page(self) -> str:
        """The page as HTML text."""
        with self._lock:
            self._look()
            return html_page([self._view] if self._view else [], live=self._live())

    def data(self) -> bytes:
        """What the page asks for when the version is another."""
        with self._lock:
            self._look()
            value = document([self._view] if self._view else [], live=self._live())
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()

    def look(self) -> str:
        """The version now: another whenever something has changed."""
        with self._lock:
            self._look()
            return self.version

    def has_ended(self) -> bool:
        """Whether there is a run that nothing is at work on any more."""
        with self._lock:
            self._look()
            return self._view is not None and self._view.collection.status != "running"

    def png(self, class_index: int) -> tuple[bytes, str] | None:
        """The picture of a class and the individual that it shows; None where there is none."""
        with self._lock:
            stored = self._holder(class_index)
            row = self._elites.get(class_index)
            run, encoding = self._run, self._encoding
            if row is None or run is None or encoding is None:
                return None
            key = row.id, class_index  # one individual may hold several cells
            if key not in self._cache:
                if stored is None or stored.genome is None:
                    return None
                if hashlib.sha256(stored.genome).digest() != stored.sha256:
                    raise DamagedError(f"{run.path}: the genome of {row.id} is damaged")
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
            return self._cache[key], str(row.id)

    def _holder(self, class_index: int) -> IndividualRow | None:
        """Who holds a cell, with its genome; None where nobody does or its picture is cached.

        Of one that was replaced a moment ago the genome is freed: then it is who replaced it.
        """
        for _ in range(MOST_LOOKS):
            row = self._elites.get(class_index)
            if row is None or self._run is None or (row.id, class_index) in self._cache:
                return None
            stored = self._run.individual(row.id)
            if stored is not None and stored.genome is not None:
                return stored
            self._looked = -math.inf
            self._look()
        return None

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
        ended = status == "finished" and self.gallery.is_there()
        self._finished = f"{PREFIX[1:]}{PAGE}" if ended else ""
        version = f"{status} {last.evaluations if last else 0} {hash(elites)} {int(ended)}"
        if version == self.version and self._view is not None:
            return
        self.version = version
        self._elites = {row.class_index: row for row in elites}
        self._view = self._make_view(run, elites, status)

    def _live(self) -> Live:
        return Live(self._finished, self._place)

    def _open(self) -> None:
        run = CampaignFolder.open(self._path)
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

    def _make_view(self, run: CampaignFolder, elites: tuple[EliteRow, ...], status: str) -> RunView:
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
            ("images through the net", f"{last.forward_images if last else 0:,}"),
            ("seconds", f"{last.seconds if last else 0:,.0f}"),
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
        view = RunView(collection, ranked, {"picture": "pictures/{}.png"})
        view.answers.note = (
            "The first five are known once the run has ended and evofool gallery asks."
        )
        return view


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
        self._live = LiveRun(path, encoding, tell_place=host in (LOOPBACK, "::1", "localhost"))
        self._pages = OpenPages()
        self._connections = connections = set[socket.socket]()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = family

            def process_request(self, request: Any, client_address: Any) -> None:
                connections.add(request)
                super().process_request(request, client_address)

            def shutdown_request(self, request: Any) -> None:
                connections.discard(request)
                super().shutdown_request(request)

            def handle_error(self, request: object, client_address: object) -> None:
                """Nothing: browsers hang up as they like."""

        try:
            self._server = Server(
                (host, port), _handler(self._live, self._pages, lambda: self.hosts)
            )
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port {port} on {host} is not available ({error}); give another"
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

    def hand_over(self) -> None:
        """Wait until the pages that are open have all pictures of a run that has ended."""
        with contextlib.suppress(EvofoolError):  # whoever made the run says what is wrong with it
            if self._live.has_ended():
                self._pages.wait(self._live.look())

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
        for connection in list(self._connections):  # browsers keep them open, and would be answered
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._live.close()

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.hand_over()
        finally:
            self.close()


def _handler(
    live: LiveRun, pages: OpenPages, hosts: Callable[[], Callable[[str], bool]]
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
                path, _, query = self.path.partition("?")
                content = self._find(path, query)
            except (EvofoolError, ValueError) as error:
                self._answer(500, f"{error}\n".encode("utf-8", "replace"), "text/plain")
                return
            if content is None:
                self._answer(404, b"nothing is here\n", "text/plain")
            else:
                self._answer(200, *content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _find(self, path: str, query: str) -> tuple[bytes, str, bool] | None:
            """Content, type, and whether the address names the same for ever."""
            if path in ("/", "/index.html"):
                return live.page().encode("utf-8", "replace"), "text/html", False
            if path == "/favicon.ico":  # browsers ask for it, and complain where there is none
                return b"", "image/x-icon", True
            if path == "/data.json":
                return live.data(), "application/json", False
            if path == "/version":
                asked = _NEWS.fullmatch(query)
                if asked:
                    pages.asked(asked[1], unquote(asked[2]))
                return live.look().encode(), "text/plain", False
            if path.startswith(PREFIX):
                file = live.gallery.file(path)
                return None if file is None else (*file, False)
            match = _PICTURE.fullmatch(path)
            image = live.png(int(match[1])) if match else None
            # a page names the individual too: what it has loaded it need not ask for again, not
            # while the campaign wants the processor, nor when the server has gone
            return None if image is None else (image[0], "image/png", unquote(query) == image[1])

        def _answer(self, status: int, body: bytes, kind: str, lasting: bool = False) -> None:
            self.send_response(status)
            text = kind.startswith("text/") or kind == "application/json"
            self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
            self.send_header("Content-Length", str(len(body)))
            lasts = "private, max-age=86400, immutable" if lasting else "no-store"
            self.send_header("Cache-Control", lasts)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            rules = policy(served=not self.path.startswith(PREFIX))
            self.send_header("Content-Security-Policy", f"{rules}; frame-ancestors 'none'")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal belongs to the campaign's progress."""

    return Handler
