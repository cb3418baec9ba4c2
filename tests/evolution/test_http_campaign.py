"""Campaigns against ``evofool serve`` through real sockets: what is booked is what was received."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served_nets import Served, one_in_twenty, servers

from evofool.errors import ServiceError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify

CONCURRENCY = 4


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with servers() as start:
        yield start


def campaign(served: Served, generations: int, **more: Any) -> dict[str, Any]:
    http = {
        "url": served.server.url,
        "pictures": 1,
        "concurrency": CONCURRENCY,
        "circuit": 1000,
        "retries": 50,
        "backoff": {"first": 0.001, "most": 0.002},
    }
    return {
        "classifier": {"http": {**http, **more.pop("http", {})}},
        "encoding": {"name": "direct"},
        "evolution": {"initial": 100, "children": 100},
        "stop": {"generations": generations},
        "scoring": {"batch": 20, "workers": 2, **more.pop("scoring", {})},
        "seed": 1,
        **more,
    }


def test_what_is_booked_is_what_the_server_logged(serve: Any, tmp_path: Path) -> None:
    """1,000 queries through real sockets, 5 % of the answers failing."""
    served = serve(one_in_twenty(1))
    summary = evolve(campaign(served, 9), tmp_path / "run").summary
    sent = summary["sent"]
    assert summary["evaluations"] == sent["queries"] + sent["cached"] == 1000
    assert sent["total"] == served.logged == served.faults.received
    assert sent["retries"] == served.faults.received - sent["queries"] > 20
    assert max(served.faults.answered.values()) == 1
    assert all(check.ok is not False for check in verify(tmp_path / "run"))
    assert served.logged == sent["total"]  # verify pays for nothing


def test_a_campaign_again_pays_for_nothing(serve: Any, tmp_path: Path) -> None:
    served = serve()
    config = campaign(served, 2, http={"cache": str(tmp_path / "cache")})
    first = evolve(config, tmp_path / "first").summary
    count = served.logged
    second = evolve(config, tmp_path / "second").summary
    assert served.logged == count
    assert first["archive_digest"] == second["archive_digest"]
    assert (second["sent"]["total"], second["sent"]["cached"]) == (0, 300)
    assert not (tmp_path / "first" / "answers.sqlite").exists()


def test_killed_and_resumed_no_answer_is_paid_for_twice(
    serve: Any, forked: Any, until: Any, tmp_path: Path
) -> None:
    kills(serve, forked, until, tmp_path, times=1, generations=1)


@pytest.mark.slow
def test_killed_ten_times(serve: Any, forked: Any, until: Any, tmp_path: Path) -> None:
    kills(serve, forked, until, tmp_path, times=10, generations=9)


def kills(
    serve: Any, forked: Any, until: Any, tmp_path: Path, times: int, generations: int
) -> None:
    """SIGKILL between two questions, again and again; then to the end."""
    served = serve(one_in_twenty(2))
    (tmp_path / "config.json").write_text(json.dumps(campaign(served, generations)))
    program = (
        "import json, os, sys; from evofool.evolution.campaign import evolve, resume;"
        "run = sys.argv[2];"
        "resume(run) if os.path.exists(run + '/manifest.json') else"
        " evolve(json.load(open(sys.argv[1])), run)"
    )
    run = tmp_path / "run"
    draw = random.Random(3)
    whole = 100 * (generations + 1)
    for at in sorted(draw.sample(range(30, whole - 30), times)):
        reached = threading.Event()
        served.faults.on_question = lambda n, at=at, reached=reached: (
            reached.set() if n >= at else None
        )
        started = forked(program, tmp_path / "config.json", run)
        until(started, reached.is_set)
        started.send_signal(signal.SIGKILL)
        started.end()
    served.faults.on_question = lambda _: None
    booked = status(run)["sent"]
    assert served.faults.received <= booked["total"] <= served.faults.received + CONCURRENCY * times
    summary = resume(run).summary
    sent, received = summary["sent"], served.faults.received
    # a request that was booked and never left is counted, one that left is never missing
    assert received <= sent["total"] <= received + CONCURRENCY * times
    assert summary["evaluations"] == whole
    # whatever was answered and arrived was never sent again: at most what was under way at a kill
    twice = sum(count - 1 for count in served.faults.answered.values())
    assert twice <= CONCURRENCY * times
    other = serve()
    alone = evolve(campaign(other, generations), tmp_path / "alone").summary
    assert alone["archive_digest"] == summary["archive_digest"]


def test_a_service_that_is_down_ends_the_run_which_goes_on_later(
    serve: Any, tmp_path: Path
) -> None:
    down = threading.Event()
    served = serve(lambda _: "status" if down.is_set() else "")
    served.faults.on_question = lambda n: down.set() if n == 250 else None
    config = campaign(served, 4, http={"circuit": 5, "retries": 20})
    with pytest.raises(ServiceError, match=r"[5-9] requests in a row have failed.*evofool resume"):
        evolve(config, tmp_path / "run")
    assert status(tmp_path / "run")["sent"]["total"] == served.logged
    served.faults.on_question = lambda _: None
    down.clear()
    summary = resume(tmp_path / "run").summary
    assert summary["evaluations"] == 500
    assert summary["sent"]["total"] == served.logged
    assert max(served.faults.answered.values()) == 1


def test_a_budget_holds_over_failures_and_resumes(serve: Any, tmp_path: Path) -> None:
    served = serve(lambda n: "junk" if n % 4 == 3 else "")
    budget = {"cost_per_query": 0.01}
    config = campaign(served, 9, http=budget, scoring={"budget": {"money": 3.5}})
    first = evolve(config, tmp_path / "run").summary
    assert first["stop_reason"] == "budget"
    assert served.logged == first["sent"]["total"] <= 350
    longer = resume(tmp_path / "run", overrides=["scoring.budget=700"]).summary
    assert longer["evaluations"] > first["evaluations"]
    assert served.logged == longer["sent"]["total"] <= 700


def test_a_service_may_move_but_not_become_another(serve: Any, tmp_path: Path) -> None:
    served, other = serve(), serve()
    evolve(campaign(served, 1), tmp_path / "run")
    moved = [f"classifier.http.url={other.server.url}", "stop.generations=2"]
    assert resume(tmp_path / "run", overrides=moved).summary["evaluations"] == 300
    assert other.logged > 0
