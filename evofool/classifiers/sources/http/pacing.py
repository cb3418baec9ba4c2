"""When a request may be sent: the rate, what the service asked for, and when to give up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from evofool.classifiers.sources.http.failures import Failed


class Pace:
    """Lets requests through, at most `rate` a second, and none while the service wants quiet.

    Args:
        rate: requests a second, or None.
        clock: seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._clock = clock
        self._next = self._quiet_until = 0.0

    async def turn(self) -> None:
        """Wait until the next request may be sent."""
        now = self._clock()
        at = max(self._next, self._quiet_until, now)
        self._next = at + self._gap
        while (left := max(at, self._quiet_until) - self._clock()) > 0:
            await asyncio.sleep(left)

    def quiet(self, seconds: float) -> None:
        """The service wants no request for so long."""
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)


class Circuit:
    """Opens after so many failures in a row, whichever requests they were of."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._row = 0
        self.last = ""

    def success(self) -> None:
        """A request was answered."""
        self._row = 0

    def failure(self, reason: str) -> None:
        """A request was not."""
        self._row += 1
        self.last = reason

    def check(self) -> None:
        """Raises `Failed`, not to be sent again, once it is open."""
        if self.is_open:
            raise Failed(
                f"{self._row} requests in a row have failed, the last because {self.last}",
                again=False,
            )

    @property
    def is_open(self) -> bool:
        """Whether nothing is sent any more."""
        return self._row >= self._most

    def close(self) -> None:
        """Begin anew."""
        self._row = 0


def retry_after(
    value: str | None, most: float, now: Callable[[], float] = time.time
) -> float | None:
    """The seconds of a ``Retry-After`` (seconds or an HTTP date), at most `most`; None of none.

    What cannot be read is taken for none.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), most)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    try:
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return min(max(0.0, aware.timestamp() - now()), most)
    except (ValueError, OverflowError):
        return None
