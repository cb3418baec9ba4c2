"""What a page calls its victim: never the folders of whoever made the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evofool.gallery.reading.campaigns import campaign
from evofool.store import CampaignFolder


@pytest.mark.parametrize(
    ("victim", "shown"),
    [
        ({"name": "/home/me/nets/own.py:victim"}, "own.py:victim"),
        ({"name": "/home/me/nets/own.py:victim", "title": "My net"}, "My net"),
        ({"name": "mnist-lenet"}, "mnist-lenet"),
    ],
)
def test_the_headline(folder: Callable[..., Path], victim: dict[str, str], shown: str) -> None:
    path = folder("run", ["a", "b"])
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["classifier"] |= victim
    (path / "manifest.json").write_text(json.dumps(manifest))
    with CampaignFolder.open(path) as run:
        assert campaign(run, "run", write=False).victim == shown
