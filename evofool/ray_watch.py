"""Whether the cluster of Ray that this process is connected to is still there.

Ray itself ends a process whose cluster is gone, in the middle of whatever it does and without a
word: at once when what runs on its own machine (the raylet) is missed, after a minute without the
head (the GCS). So whoever waits for Ray asks here, and has time to save and to tell.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from types import TracebackType
from typing import Any

from evofool.errors import ClusterLostError

HEAD_SECONDS = 20.0
"""How long the head may be away: it may be started again, and Ray waits a minute."""
_PERIOD = 1.0
_PATIENCE = 5.0
"""Seconds that a connection may take: a busy machine answers late, one that is gone refuses."""


class RayWatch:
    """Looks again and again, in a thread.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        context = ray.get_runtime_context()
        self._head = _parted(str(context.gcs_address))
        self._own = _raylet(ray.nodes(), str(context.get_node_id()))
        self._heard = time.monotonic()
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="ray-watch", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether the cluster is known to be gone for good."""
        return bool(self._lost)

    def check(self, *, now: bool = False) -> None:
        """Raise an error if the cluster is gone for good.

        Args:
            now: look now, and not only at what is known: before anything that Ray does not
                survive without it.

        Raises:
            ClusterLostError: it is gone.
        """
        if self._looked() if now else self._lost:
            raise ClusterLostError(f"the cluster of Ray was lost: {self._lost}")

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> RayWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _look(self) -> None:
        while not self._ended.wait(_PERIOD) and not self._looked():
            if _answers(self._head):
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > HEAD_SECONDS:
                host, port = self._head
                self._lost = f"its head at {host}:{port} has not answered for {HEAD_SECONDS:g} s"

    def _looked(self) -> bool:
        if not self._lost and self._own is not None and _refused(self._own):
            self._lost = "its process on this machine has ended"
        return bool(self._lost)


def _raylet(nodes: list[dict[str, Any]], own: str) -> tuple[str, int] | None:
    """Where the process of Ray listens that this one is connected through."""
    for node in nodes:
        if node.get("NodeID") == own and node.get("NodeManagerPort"):
            return str(node["NodeManagerAddress"]), int(node["NodeManagerPort"])
    logging.getLogger("evofool").debug("Ray does not say where node %s listens", own)
    return None


def _parted(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, _PATIENCE).close()
    except OSError:
        return False
    return True


def _refused(place: tuple[str, int]) -> bool:
    """Whether nobody listens there any more; one who is only slow is there."""
    try:
        socket.create_connection(place, _PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
