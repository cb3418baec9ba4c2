"""Works that are not sent to Ray, and clusters that are not there: nothing is started for them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ray_works import attacks

from evofool.classifiers import from_predict
from evofool.classifiers.sources.live import handed_over
from evofool.errors import UsageError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import begin


def test_services_and_objects_stay(tmp_path: Path) -> None:
    """A function may be a service: no cluster is started for it, and the run says why."""
    shape = (1, 4, 4)

    def predict(images: Any) -> Any:
        sums = images.reshape(len(images), -1)[:, :3].astype(float)
        return sums / sums.sum(1, keepdims=True).clip(1)

    victim = from_predict(predict, input_shape=shape, labels=list("abc"), output="probs")
    told: list[str] = []
    with handed_over(victim) as name:
        config = attacks(None, classifier=name, attacks=["one-pixel"])
        config["scoring"] = {"batch": 8}
        begin(AttackStudy, config, tmp_path / "run", ray=True, say=told.append)
    assert "is called only from here; the works are done here, one after the other" in told[0]


def test_a_cluster_that_is_not_there_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # whatever another test has joined
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UsageError, match=r"is its head running there\?"):
        begin(AttackStudy, attacks(), tmp_path / "run", ray=f"127.0.0.1:{port}")
    assert not (tmp_path / "run").exists()
