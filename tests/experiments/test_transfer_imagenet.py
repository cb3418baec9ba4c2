"""The matrix over six nets of ImageNet: its config names what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evofool.classifiers import load_classifier
from evofool.experiments.transfer.config import TransferConfig
from evofool.experiments.transfer.matrix import read_pictures
from evofool.experiments.transfer.study import TransferStudy

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests" / "victims" / "transfer-imagenet.yaml"
FAMILIES = ("efficientnet-lite", "mobilenet", "squeezenet")


def names(config: TransferConfig) -> list[str]:
    return [net.model_dump()["name"] for net in config.sources]


def test_six_nets_of_three_families(tmp_path: Path) -> None:
    loaded = TransferStudy.load(CONFIG, [f"images.folder={tmp_path}"])
    sources = names(loaded.config)
    assert len(sources) == 6
    assert all(any(family in name for name in sources) for family in FAMILIES)
    files = [Path(name.rpartition(":")[0]) for name in sources if ".py:" in name]
    assert len(files) == 3
    assert all(file.is_absolute() and file.is_file() for file in files)
    # as the config that ships, but for nets and photographs
    shipped = TransferStudy.load(ROOT / "configs" / "transfer" / "imagenet.yaml").config
    assert shipped.evolution == loaded.config.evolution
    assert set(names(shipped)) < set(sources)


@pytest.mark.data
def test_its_photographs_have_the_classes_of_the_nets() -> None:
    if not (data := os.environ.get("EVOFOOL_DATA")):
        pytest.skip("EVOFOOL_DATA is not set")
    folder = Path(data) / "imagenet1000" / "images"
    loaded = TransferStudy.load(CONFIG, [f"images.folder={folder}", "images.limit=5"])
    pictures, notes = read_pictures(loaded, load_classifier("imagenet-efficientnet-lite0"))
    assert pictures.labels.tolist() == [0, 4, 8, 12, 16]
    (note,) = notes
    assert note.startswith("750 pictures (")
    assert note.endswith("left out, without a label")
