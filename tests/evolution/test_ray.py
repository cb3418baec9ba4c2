"""A campaign over Ray's workers is the campaign without them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ray_pools import linear_campaign, over_ray, watched_pools

from evofool.errors import ConfigError, UsageError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.verify import verify
from evofool.ray_session import session
from evofool.scoring.ray.worker import Report

SERVICE = {"name": f"{Path(__file__).parents[1] / 'toys' / 'exact.py'}:victim"}


def test_two_workers_give_the_archive_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun by two workers, gone on with by none; each computes with one thread."""
    pytest.importorskip("ray")
    pools = watched_pools(monkeypatch)
    reports: list[Report] = []
    run = tmp_path / "run"
    with session(cpus=2):
        begun = evolve(
            over_ray(linear_campaign(stop={"generations": 5})),
            run,
            progress=lambda _: reports.extend(pools[0].reports),
        ).summary
    last = resume(run, overrides=["stop.generations=12", "scoring.ray=null"]).summary
    alone = evolve(linear_campaign(), tmp_path / "alone").summary
    assert begun["sent"]["queries"] == 120
    assert last["archive_digest"] == alone["archive_digest"]
    assert last["sent"] == alone["sent"]
    assert last["forward_images"] == alone["forward_images"]
    assert all(check.ok is not False for check in verify(run))
    assert pools[0].actors == 2
    # asked in the thread that computes: the environment alone does not prove it
    assert {count for report in reports for count in report.threads.values()} == {1}
    assert "torch" in reports[0].threads


def test_a_predict_function_is_refused(tmp_path: Path) -> None:
    """It may be a service: before any cluster is asked for."""
    with pytest.raises(UsageError, match=r"only one process may call it; remove scoring\.ray"):
        evolve(over_ray(linear_campaign(classifier=SERVICE)), tmp_path / "run")


def test_engine_ray_is_any_engine_spread(tmp_path: Path) -> None:
    from evofool.config import load_campaign

    written = linear_campaign(scoring={"engine": "ray", "batch": 8})
    scoring = load_campaign(written).config.scoring
    assert scoring.engine == "auto"
    assert scoring.ray is not None
    assert scoring.ray.address is None
    with pytest.raises(ConfigError, match="auto or HOST:PORT"):
        load_campaign(written, ["scoring.ray.address=example"])


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'evofool\[ray\]'"):
        evolve(over_ray(linear_campaign()), tmp_path / "run")
