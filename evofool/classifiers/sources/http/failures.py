"""What goes wrong with one request."""

from __future__ import annotations


class Failed(Exception):
    """A request that got no usable answer.

    Attributes:
        again: whether it may be sent again.
        after: seconds that the service asked to wait before.
    """

    def __init__(self, reason: str, *, again: bool = True, after: float | None = None) -> None:
        super().__init__(reason)
        self.again, self.after = again, after


class Malformed(Failed):
    """An answer that is not what was agreed; the next one may be."""
