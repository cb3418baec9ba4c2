"""An advisory lock that the kernel releases whenever the process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from evofool.errors import RunBusyError, StoreError

ATTEMPTS = 5
"""A process that only asks (`is_held`) holds a lock for an instant: try again before giving up."""
PAUSE = 0.02


def acquire(path: Path) -> int:
    """Lock `path` for this process; closing the returned file descriptor releases it.

    Raises:
        RunBusyError: another process holds it.
        StoreError: the file cannot be written or locked.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be written ({error.strerror})") from error
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
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # never locked, or not ours to ask
        return False
    try:
        _lock(handle, shared=True)
    except OSError as error:
        return error.errno in _BUSY
    finally:
        os.close(handle)
    return False


def _lock(handle: int, *, shared: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
