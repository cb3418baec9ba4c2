"""The Nth write, fsync, rename... of a run fails, or is the last thing that its process does.

Six to ten of the calls here; ``EVOFOOL_EVERY_CALL=1`` takes each of them, in each way, in parts
that processes of pytest may share.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from failing_calls import CLOCK, COMPILER, WAYS, carried_out

EVERY = bool(os.environ.get("EVOFOOL_EVERY_CALL"))
PARTS = 21 if EVERY else 1
"""No multiple of the number of ways, so that each part has some of each."""
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="preloads a library as Linux does"),
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt-get install gcc"),
]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("kind", "calls", "sample"), [("evolve", 274, 10), ("attack", 318, 6)])
def test_whichever_call_fails_the_run_ends_the_same(
    kind: str, calls: int, sample: int, part: int, tmp_path: Path
) -> None:
    """`calls`: about how many there are; more are no fault, but then the last are not tried."""
    step, ways = calls // sample, [way for way in WAYS if way != CLOCK]
    jobs = (
        [(call, way) for call in range(1, calls + 60) for way in ways]
        if EVERY
        else [(1 + k * step, ways[k % len(ways)]) for k in range(sample)]
    )
    whole, late, *ended = carried_out(
        kind, [(0, "fails"), (0, CLOCK), *jobs[part::PARTS]], tmp_path
    )
    assert whole.calls
    assert not EVERY or whole.calls <= calls + 59, "there are more calls than are tried"
    assert whole.digest
    assert (whole.error, whole.faults) == ("", [])
    assert (late.error, late.faults, late.digest) == ("", [], whole.digest)
    for each in ended:
        assert each.documented, (each.call, each.way, each.error)
        assert "Traceback" not in each.error
        assert "rollback" not in each.error  # what went wrong, not what went wrong after it
        assert each.faults == [], (each.call, each.way, each.error)
        assert each.digest == whole.digest, (each.call, each.way, each.error)
    assert any(each.killed for each in ended)
    assert any(each.error for each in ended)
