"""An advisory lock that the kernel releases whenever the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from pathlib import Path

from evofool.errors import RunBusyError, StoreError
from evofool.files import reason

ATTEMPTS = 5
"""A process that only asks (`is_held`) holds a lock for an instant: try again before giving up."""
PAUSE = 0.02


def acquire(path: Path) -> int:
    """Lock `path` for this process; closing the returned file descriptor releases it.

    Raises:
        RunBusyError: another process holds it.
        StoreError: the file cannot be written or locked, or is a link or no regular file.
    """
    try:
        handle = _open(path, os.O_RDWR | os.O_CREAT)
    except _NoLockFileError as error:
        raise StoreError(f"{path}: {error}; remove it") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path.parent}: cannot be written ({reason(error)})") from error
    for attempt in range(ATTEMPTS):
        try:
            _lock(handle, shared=False)
            return handle
        except OSError as error:
            if error.errno not in _BUSY:
                os.close(handle)
                raise StoreError(f"{path}: cannot be locked ({error.strerror})") from error
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE)
    os.close(handle)
    raise RunBusyError(f"{path.parent}: is in use by another evofool; wait for it or stop it")


def is_held(path: Path) -> bool:
    """Whether some process has locked `path`; makes no file, and askers do not see each other."""
    try:
        handle = _open(path, os.O_RDONLY)
    except (OSError, ValueError):  # never locked, or not ours to ask
        return False
    try:
        _lock(handle, shared=True)
    except OSError as error:
        return error.errno in _BUSY
    finally:
        os.close(handle)
    return False


class _NoLockFileError(OSError):
    """What is there can be no lock: a folder from outside may hold a link, a pipe, a device."""


def _open(path: Path, flags: int) -> int:
    """A regular file and never a link: a lock is no way to make or change a file elsewhere."""
    with contextlib.suppress(FileNotFoundError):
        _check(path.lstat().st_mode)  # before it is opened: opening a device may do something
    guard = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags | guard, 0o644)
    try:
        _check(os.fstat(handle).st_mode)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check(mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise _NoLockFileError("is a link, but a lock must be a file")
    if not stat.S_ISREG(mode):
        raise _NoLockFileError("is not a regular file")


def _lock(handle: int, *, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
