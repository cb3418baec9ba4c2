"""Attacks, transfer, bench and ``evofool score`` against ``evofool serve``, by real sockets.

Campaigns have their own: tests/evolution/test_http_campaign.py.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served_nets import Served, box, one_in_twenty, servers

import evofool
from evofool.classifiers import load_classifier
from evofool.errors import ServiceError
from evofool.evolution.reading import read
from evofool.experiments import bench as benches
from evofool.experiments.bench import bench
from evofool.experiments.driving import drive_by
from evofool.experiments.engine.life import begin
from evofool.experiments.runs import resume, status, verify
from evofool.experiments.transfer.study import TransferStudy
from evofool.images import encode_png
from evofool.signs.footage import Approach

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with servers() as start:
        yield start


def victim(served: Served, **http: Any) -> dict[str, Any]:
    often = {"retries": 50, "circuit": 1000, "backoff": {"first": 0.001, "most": 0.002}}
    return {"http": {"url": served.server.url, "pictures": 4, **often, **http}}


def attacks(served: Served, **http: Any) -> dict[str, Any]:
    return {
        "classifier": victim(served, **http),
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {"name": "square", "eps": "8/255", "queries": 12},
            {"name": "one-pixel", "population": 6, "generations": 2},
        ],
        "scoring": {"batch": 8, "workers": 2},
        "chunk": 4,
        "seed": 3,
    }


def results(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_what_attacks_book_is_what_the_server_received(serve: Serve, tmp_path: Path) -> None:
    served = serve(one_in_twenty(5))
    run = tmp_path / "run"
    summary = evofool.attack(attacks(served), out=run).summary
    sent = summary["sent"]
    assert sent["total"] == served.logged == served.faults.received > 100
    assert sent["retries"] > 0
    assert max(served.faults.answered.values()) == 1  # no answer is paid for twice
    assert all(check.ok is not False for check in verify(run))
    assert served.logged == sent["total"]  # verify pays for nothing
    # the same as against the net itself, but for the last bits of a float
    alone = tmp_path / "alone"
    evofool.attack({**attacks(served), "classifier": box()}, out=alone)
    fooled = [row["success_png"] for row in results(run)]
    assert fooled == [row["success_png"] for row in results(alone)]


def test_attacks_go_on_when_the_service_is_back(serve: Serve, tmp_path: Path) -> None:
    down: list[bool] = []
    served = serve(lambda _: "status" if down else "")
    served.faults.on_question = lambda n: down.append(True) if n == 20 else None
    run = tmp_path / "run"
    with pytest.raises(ServiceError, match=r"requests in a row have failed.*evofool resume"):
        evofool.attack(attacks(served, circuit=5), out=run)
    assert status(run)["sent"]["total"] == served.logged
    served.faults.on_question = lambda _: None
    down.clear()
    summary = resume(run).summary
    assert summary["sent"]["total"] == served.logged
    assert max(served.faults.answered.values()) == 1
    evofool.attack(attacks(serve()), out=tmp_path / "whole")
    assert results(run) == results(tmp_path / "whole")


def test_gradients_of_a_service_are_refused_before_it_is_asked(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve()
    config = {**attacks(served), "attacks": [{"name": "pgd", "eps": "8/255"}]}
    with pytest.raises(evofool.errors.ConfigError, match="gradients"):
        evofool.attack(config, out=tmp_path / "run")
    assert served.logged == 0
    assert not (tmp_path / "run").exists()


def transfer(targets: list[Any]) -> dict[str, Any]:
    return {
        "kind": "transfer",
        "sources": targets[-1:],
        "targets": targets,
        "evolution": {
            "encodings": ["direct"], "initial": 12, "children": 12, "generations": 2, "seeds": [1],
        },
        "noise": 10,
    }  # fmt: skip


def cells(run: Path) -> dict[tuple[str, str], tuple[str, str]]:
    with (run / "transfer.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["measure"], row["target"]): (row["hits"], row["n"]) for row in csv.DictReader(file)
        }


def test_services_are_targets_and_sources_of_a_transfer(serve: Serve, tmp_path: Path) -> None:
    """Two of the same net: each has its own answers, and both cells are the same."""
    first, second = serve(one_in_twenty(7), box()), serve(one_in_twenty(8), box("other"))
    nets = [victim(first, cache=str(tmp_path / "first")), victim(second)]
    run = tmp_path / "run"
    begin(TransferStudy, transfer(nets), run)
    for served in (first, second):
        assert served.faults.received > 10
        assert max(served.faults.answered.values()) == 1
    assert status(run)["status"] == "finished"
    by_target: dict[str, list[Any]] = {}
    for (measure, target), cell in cells(run).items():
        by_target.setdefault(target, []).append((measure, cell))
    assert len(by_target) == 2
    one, other = by_target.values()
    assert one == other
    before = (first.logged, second.logged)
    assert all(check.ok is not False for check in verify(run))
    assert (first.logged, second.logged) == before
    # answers lie where each victim's config says
    begin(TransferStudy, transfer(nets[:1]), tmp_path / "again")
    assert not (tmp_path / "again" / "answers.sqlite").exists()


def test_a_bench_of_a_service_says_what_it_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "BATCHES", (4, 8))
    served = serve()
    said: list[str] = []
    report = bench([victim(served, pictures=16)], alternations=1, seconds=0.01, workers=1,
                   say=said.append)  # fmt: skip
    (run,) = report.campaign
    assert (run.engine, {row.engine for row in report.scoring}) == ("http", {"http"})
    assert run.images_per_second > 0
    (sent,) = report.sent.values()
    assert sent == served.logged > 0
    assert any("each picture is sent" in line for line in said)


def test_a_bench_of_a_predict_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "BATCHES", (4, 8))
    toy = f"{Path(__file__).parents[1] / 'toys' / 'exact.py'}:victim"
    report = bench([toy], alternations=1, seconds=0.01, workers=1)
    assert {row.engine for row in report.scoring} == {"predict"}
    assert report.sent == {}


def test_a_score_again_pays_for_nothing(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    images = np.random.default_rng(1).integers(0, 256, (3, 1, 6, 6), dtype=np.uint8)
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(encode_png(image))
    kept = victim(served, cache=str(tmp_path / "answers"))
    first = read(paths, kept)
    assert served.logged == 3
    assert [r.top for r in read(paths, kept)] == [r.top for r in first]
    assert served.logged == 3
    read(paths, victim(served))  # without a place for answers each is asked again
    assert served.logged == 6


def test_a_score_uses_what_a_run_has_kept(serve: Serve, tmp_path: Path) -> None:
    """The run folder is such a place."""
    served = serve()
    run = tmp_path / "run"
    evofool.attack(attacks(served), out=run)
    before = served.logged
    read(sorted((run / "images").glob("*.png")), victim(served, cache=str(run)))
    assert served.logged == before


def test_a_drive_uses_the_answers_that_a_service_gave_before(serve: Serve, tmp_path: Path) -> None:
    served = serve(net=box())
    sign = tmp_path / "sign.png"
    sign.write_bytes(encode_png(np.full((3, 32, 32), 200, np.uint8)))
    few = Approach(frames=3, far=20, near=8)
    asked = load_classifier(victim(served, cache=str(tmp_path / "answers")))
    first = drive_by([sign], tmp_path / "first", classifier=asked, target="0", approach=few)
    paid = served.logged
    second = drive_by([sign], tmp_path / "second", classifier=asked, target="0", approach=few)
    assert (paid, served.logged) == (3, 3)
    assert (first.summary["forward_images"], second.summary["forward_images"]) == (3, 0)
