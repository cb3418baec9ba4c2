"""Files and paths that come from outside: what is opened is a regular file, and is read in bounds.

Whatever is wrong is an `OSError` (or, of a path as text, a `PathError`) whose reason people
understand, so that a caller's own error has only to name the place. A pipe is never waited for, a
device never read, and nothing is read without end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from contextvars import ContextVar
from io import BufferedReader
from pathlib import Path

OWN_PROCESS: ContextVar[bool] = ContextVar("OWN_PROCESS", default=False)
"""Whether the process is a command of ours, for which limits may be set as a whole."""
MAX_BYTES = 1 << 30
"""Most bytes of a file, where no smaller limit is given."""
MAX_PATH = 200
"""Most characters of a path in a message."""
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
"""Names of the files that are written before they are renamed to what they are to be."""
ABANDONED_SECONDS = 60.0
"""Age from which on such a file belongs to a process that was killed."""

_KINDS = (
    (stat.S_ISDIR, "a folder", errno.EISDIR),
    (stat.S_ISFIFO, "a named pipe", errno.EINVAL),
    (stat.S_ISSOCK, "a socket", errno.EINVAL),
    (stat.S_ISCHR, "a device", errno.EINVAL),
    (stat.S_ISBLK, "a device", errno.EINVAL),
)


class PathError(ValueError):
    """A text that cannot be the path of anything."""


def open_file(path: Path) -> BufferedReader:
    """A regular file, or a link to one, opened for reading bytes.

    Raises:
        OSError: missing, not readable, no regular file, or no path at all.
    """
    try:
        _check_kind(path.stat(), path)  # before it is opened: opening a device may do something
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags)  # does not wait, should it have become a pipe meanwhile
    except ValueError as error:
        raise OSError(errno.EINVAL, _unusable(str(path)), short(path)) from error
    try:
        _check_kind(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """All of a regular file of at most `limit` bytes.

    Raises:
        OSError: as `open_file`, or it is larger.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, limit) + 1)
        if size < len(data) <= limit:  # it has grown, or does not tell its size
            data += file.read(limit + 1 - len(data))
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", short(path))
    return data


def sweep(folder: Path) -> None:
    """Remove what processes that were killed while they wrote a file have left below `folder`.

    That is regular files whose name is a `TEMPORARY` one and that nobody has written to for a
    minute; no link is followed. What cannot be removed stays.
    """
    now = time.time()
    for path, _, names in os.walk(folder):
        for name in filter(TEMPORARY.fullmatch, names):
            file = Path(path, name)
            with contextlib.suppress(OSError):
                status = file.lstat()
                if stat.S_ISREG(status.st_mode) and now - status.st_mtime > ABANDONED_SECONDS:
                    file.unlink()


def is_file(path: Path) -> bool:
    """Whether a regular file can be found at `path`; unlike `Path.is_file`, it never raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether a folder can be found at `path`; unlike `Path.is_dir`, it never raises."""
    return os.path.isdir(path)  # noqa: PTH112


def expanded(text: str | Path) -> Path:
    """`text` as a path, with ``~`` and ``~user`` expanded.

    Raises:
        PathError: no such user, or no file system could hold such a name.
    """
    written = str(text)
    if problem := _unusable(written):
        raise PathError(problem)
    try:
        path = Path(written).expanduser()
    except RuntimeError as error:
        raise PathError(f"{short(Path(written).parts[0])}: there is no such home folder") from error
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
            raise PathError(reason(error)) from error
    return path


def absolute_path(text: str | Path, folder: Path) -> Path:
    """`text`, written in `folder`, as an absolute path; links and ``..`` stay as they are.

    Raises:
        PathError: as `expanded`.
    """
    return expanded(folder / expanded(text)).absolute()


def reason(error: BaseException) -> str:
    """One line that says what went wrong, without a path; never empty."""
    text = getattr(error, "strerror", None) or str(error)
    return next((line for line in str(text).splitlines() if line.strip()), type(error).__name__)


def short(path: str | Path) -> str:
    """A path for a message, cut where it is longer than any reader's patience."""
    text = str(path)
    return text if len(text) <= MAX_PATH else f"{text[: MAX_PATH - 1]}…"


def _check_kind(status: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    what, number = next(
        ((what, number) for test, what, number in _KINDS if test(status.st_mode)),
        ("something else", errno.EINVAL),
    )
    raise OSError(number, f"it is {what}, not a regular file", short(path))


def _unusable(text: str) -> str:
    """Why `text` can be no path on any file system, or ""."""
    if "\0" in text:
        return "holds a NUL character, which is not allowed in a path"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is not allowed in a path"
    return ""


def cache_folder() -> Path:
    """Where derived files are kept: `$EVOFOOL_CACHE` or ~/.cache/evofool.

    These are exported graphs and features of backbones: all can be made again. Who has no home
    gets a folder that nobody can make, so that nothing is kept.
    """
    own = os.environ.get("EVOFOOL_CACHE")
    try:
        return Path(own) if own else expanded("~/.cache/evofool")
    except PathError:
        return Path(os.devnull) / "evofool"
