"""``evofool gallery``: pages, prints, films and the live view."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evofool.cli import completion
from evofool.cli.terminal import answer, remark
from evofool.errors import UsageError

if TYPE_CHECKING:
    from evofool.gallery import Gallery


_FILMED = 12
"""Pictures of ``--film`` without ``--class``."""


class AskVictim(StrEnum):
    """Whether the victim is asked for the top classes of each picture."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Film(StrEnum):
    """Formats of an animation."""

    WEBP = "webp"
    GIF = "gif"
    WEBM = "webm"
    MP4 = "mp4"


Watch = Annotated[bool, typer.Option("--watch", help="Serve the growing gallery on this machine.")]
Port = Annotated[
    int, typer.Option(min=0, max=65535, help="Port of --watch (default: any free one).")
]
Host = Annotated[
    str,
    typer.Option(help="Network interface of --watch; other machines can reach any but loopback."),
]


def gallery(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders.", autocompletion=completion.runs)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder (or file) to write to; needed for several runs."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Only the N pictures with the highest confidence of each run."),
    ] = None,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="One page with everything inside (25 MB at most).")
    ] = False,
    ancestors: Annotated[
        str,
        typer.Option(
            "--ancestry",
            metavar="N|all|none",
            help="Number of pictures whose ancestors are drawn.",
        ),
    ] = "auto",
    scores: Annotated[
        AskVictim,
        typer.Option(
            help="Ask the classifier for the top classes; auto: only if it ships with evofool."
        ),
    ] = AskVictim.AUTO,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --class: draw the picture again with a longer side of this many pixels.",
        ),
    ] = None,
    one_class: Annotated[
        str | None,
        typer.Option("--class", help="The class for --size and --film: index, name or pattern."),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            help="Only pictures of these classes: an index, a name, a range 151-285 or a"
            " pattern *shark* (may be repeated)."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title above the page.")] = None,
    enlarge: Annotated[
        bool,
        typer.Option(
            "--enlarge", help="With --size: repeat pixels if the encoding cannot draw larger."
        ),
    ] = False,
    film: Annotated[
        Film | None,
        typer.Option(
            help="Make an animation of ancestries: of --class, or of the --top surest (12)."
        ),
    ] = None,
    watch: Watch = False,
    port: Port = 0,
    host: Host = "127.0.0.1",
    classifier: Annotated[
        str | None,
        typer.Option(
            help="The new path of the classifier's file, if it has moved (for --scores always)."
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The new path of the encoding's file, if it has moved.")
    ] = None,
) -> None:
    """Make a gallery page from run folders, or one large picture, an animation, a live view."""
    if one_class is not None or size is not None or film is not None:
        _one(runs, one_class, size, enlarge, film, out, encoding, top)
        return
    if watch:
        if len(runs) != 1:
            raise UsageError("--watch shows only one run; name one")
        with served(runs[0], host, port, encoding), contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.5)
        return
    from evofool.gallery import Moved, Options

    options = Options(
        top=top,
        ancestry=_count(ancestors, "--ancestry"),
        scores=scores.value,
        single_file=single_file,
        moved=Moved(classifier, encoding),
        classes=tuple(classes or ()),
        title=title,
    )
    built = shown(runs, out, options)
    answer(str(built.page))
    if built.contact_sheet is not None:
        answer(str(built.contact_sheet))
    if not built.pictures:
        remark("there are no pictures yet, and the page says so")


def shown(runs: Any, out: Path | None = None, options: Any = None) -> Gallery:
    """Build a gallery with progress on stderr."""
    from evofool.cli.progress import watch_gallery
    from evofool.gallery import build

    with watch_gallery() as say:
        return build(runs, out, options, say)


@contextlib.contextmanager
def served(run: Path, host: str, port: int, encoding: str | None = None) -> Iterator[None]:
    """The live view of a run while the block lasts."""
    from evofool.gallery.live.server import LOOPBACK, LiveServer

    with LiveServer(run, host, port, encoding) as server:
        if host not in (LOOPBACK, "::1", "localhost"):
            remark(
                f"warning: {host} can be reached from other machines; whoever reaches it sees"
                " the run"
            )
        remark(f"watch it at {server.url}")
        yield


def stay() -> None:
    """After a watched run: its gallery is served until Ctrl-C, where somebody sits who can type it.

    Without a terminal the command ends with the run, once open pages have their last pictures.
    """
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return
    remark("the page now leads to the finished gallery; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.5)


def _one(
    runs: list[Path],
    one_class: str | None,
    size: int | None,
    enlarge: bool,
    film: Film | None,
    out: Path | None,
    encoding: str | None,
    top: int | None,
) -> None:
    from evofool.gallery import Moved
    from evofool.gallery.drawing import printing

    moved = Moved(encoding=encoding)
    if film is not None and one_class is None and size is None and len(runs) == 1:
        done = printing.animate_surest(runs[0], top or _FILMED, film.value, out, moved)
        answer(str(done.path), f"{done.width} x {done.height}")
        return
    if one_class is None or (size is None) == (film is None) or len(runs) != 1:
        raise UsageError(
            "a single picture needs one run folder, --class, and either --size or --film"
        )
    if size is not None:
        done = printing.enlarge(runs[0], one_class, size, out, repeat=enlarge, moved=moved)
    else:
        assert film is not None
        done = printing.animate(runs[0], one_class, film.value, out, moved=moved)
    answer(str(done.path), f"{done.width} x {done.height}")


def _count(text: str, option: str) -> int | None:
    if text == "auto":
        return None
    if text in ("all", "none"):
        return 10**9 if text == "all" else 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{option}: {text!r} is neither a number nor all, none or auto")
    return int(text)
