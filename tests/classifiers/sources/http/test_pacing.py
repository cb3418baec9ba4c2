"""When requests may be sent, by a clock of our own."""

from __future__ import annotations

import asyncio
import email.utils

import pytest

from evofool.classifiers.sources.http.failures import Failed
from evofool.classifiers.sources.http.pacing import Circuit, Pace, retry_after


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0

        async def sleep(seconds: float) -> None:
            self.now += seconds

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def __call__(self) -> float:
        return self.now


def test_requests_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(4.0, clock)
    times = []
    for _ in range(4):
        asyncio.run(pace.turn())
        times.append(clock.now)
    assert times == [100.0, 100.25, 100.5, 100.75]


def test_without_a_rate_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(None, clock)
    for _ in range(5):
        asyncio.run(pace.turn())
    assert clock.now == 100.0


def test_a_service_that_wants_quiet_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(None, clock)
    pace.quiet(7.0)
    pace.quiet(3.0)
    asyncio.run(pace.turn())
    assert clock.now == 107.0


def test_a_circuit() -> None:
    circuit = Circuit(3)
    for _ in range(2):
        circuit.failure("x")
    circuit.success()
    for _ in range(2):
        circuit.failure("y")
    circuit.check()
    circuit.failure("z")
    with pytest.raises(Failed, match="3 requests in a row have failed, the last because z"):
        circuit.check()
    circuit.close()
    circuit.check()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("100000000000000000000", 60.0),
        (email.utils.formatdate(1030, usegmt=True), 30.0),
        (email.utils.formatdate(970, usegmt=True), 0.0),
        (email.utils.formatdate(9999, usegmt=True), 60.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("١", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    found = retry_after(value, 60.0, lambda: 1000.0)
    if value is not None and "9999 23" in value:
        assert found in (None, 60.0)  # a moment that no clock knows
    else:
        assert found == seconds
