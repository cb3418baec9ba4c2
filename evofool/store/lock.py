"""An advisory lock that the kernel releases whenever the process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from evofool.errors import RunBusyError, StoreError


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
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise StoreError(f"{path}: cannot be locked ({error.strerror})") from error
        raise RunBusyError(
            f"{path.parent}: is in use by another evofool; wait for it or stop it"
        ) from error
    return handle
