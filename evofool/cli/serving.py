"""``evofool serve``: a classifier behind HTTP."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal, TextIO

import typer

from evofool.cli import completion
from evofool.cli.terminal import answer, remark
from evofool.errors import UsageError

INSTALL = "evofool serve needs Starlette and uvicorn: pip install 'evofool[serve]'"
MEGABYTE = 1024 * 1024


def serve(
    classifier: Annotated[
        str,
        typer.Argument(
            help="The classifier: a name, or a mapping in braces as in a config.",
            autocompletion=completion.classifiers,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Network interface; other machines can reach any but loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8000,
    output: Annotated[
        Literal["probs", "logits", "topk", "label"] | None,
        typer.Option(
            help="Kind of answer (default: probs, or label if the classifier has no more)."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes in a topk answer.")] = 5,
    batch: Annotated[int, typer.Option(min=1, max=65536, help="Pictures per forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of threads (default: cores).")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request, in megabytes.")] = 16,
    max_pictures: Annotated[
        int, typer.Option(min=1, help="Largest number of pictures in a request.")
    ] = 256,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1, help="Largest number of pixels in a picture; larger pictures are not decoded."
        ),
    ] = 4096 * 4096,
    wait: Annotated[
        float,
        typer.Option(min=0, max=1000, help="Milliseconds to wait for more pictures before a pass."),
    ] = 4.0,
    log: Annotated[
        Path | None, typer.Option(help="File that gets one line per request (default: stderr).")
    ] = None,
) -> None:
    """Serve a classifier over HTTP, as evofool expects it of services that it attacks.

    POST /v1/predict, GET /v1/metadata, GET /health; docs/http.md has the contract. On SIGTERM or
    Ctrl-C, finish the answers in progress and end.
    """
    try:
        from evofool.scoring.serving import Contract, Limits, Server
    except ModuleNotFoundError as error:
        raise UsageError(INSTALL) from error
    from evofool.classifiers import load_classifier
    from evofool.cli.report import spec
    from evofool.scoring import Scorer
    from evofool.scoring.serving.server import is_loopback

    limits = Limits(body=max_body * MEGABYTE, pictures=max_pictures, pixels=max_pixels)
    victim = load_classifier(spec(classifier))
    contract = Contract(victim, output or ("label" if victim.output == "label" else "probs"), top)
    file = None if log is None else _opened(log)
    try:
        with Scorer(victim, batch=batch, device=device, workers=workers) as scorer:
            server = Server(
                scorer,
                contract,
                host=host,
                port=port,
                limits=limits,
                log=remark if file is None else _Writer(file),
                patience=wait / 1000,
            )

            def leave(_: int, __: FrameType | None) -> None:
                server.stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, leave)
            if not is_loopback(host):
                remark(f"evofool: {host} can be reached by others, and no password is required")
            answer(f"serving {victim.headline} at {server.url}")
            server.run()
    finally:
        if file is not None:
            file.close()


class _Writer:
    """Lines into a file, each written before the next; a full disk ends no server."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._failed = False

    def __call__(self, line: str) -> None:
        with self._lock:
            try:
                self._file.write(f"{line}\n")
                self._file.flush()
            except OSError as error:
                if not self._failed:
                    remark(f"evofool: the log cannot be written ({error.strerror})")
                self._failed = True


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a")
    except OSError as error:
        raise UsageError(f"--log: {path}: cannot be written ({error.strerror})") from error
