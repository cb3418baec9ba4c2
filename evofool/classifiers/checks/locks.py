"""The lock that goes with a victim."""

from __future__ import annotations

import threading


class CallLock:
    """A lock for a victim that must be called by one thread at a time; a copy gets a new one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[CallLock], tuple[()]]:
        return CallLock, ()
