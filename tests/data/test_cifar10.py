"""CIFAR-10 from sheets and from torchvision's folder, whole and damaged."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from evofool.data import load_dataset
from evofool.data.sheet import read_sheet
from evofool.errors import DataError
from evofool.images import encode_png


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def write_sheet(path: Path, images: np.ndarray) -> None:
    rows = images.transpose(1, 0, 2, 3).reshape(3, len(images), -1)
    path.write_bytes(encode_png(np.ascontiguousarray(rows)))


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """Five training sheets of two pictures and a test sheet of three."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for number in range(1, 6):
        write_sheet(folder / f"data_batch_{number}.png", pictures(2, number))
    write_sheet(folder / "test_batch.png", pictures(3, 9))
    (folder / "train_lables.json").write_text(json.dumps(list(range(10))))
    (folder / "test_labels.json").write_text("[3, 8, 0]")
    return tmp_path


def test_sheets(sheets: Path) -> None:
    train = load_dataset("cifar10", "train", sheets)
    test = load_dataset("cifar10", "test", sheets)
    assert np.array_equal(train.images[4:6], pictures(2, 3))
    assert np.array_equal(test.images, pictures(3, 9))
    assert train.labels.tolist() == list(range(10))
    assert test.labels.tolist() == [3, 8, 0]
    assert test.label_names[8] == "ship"
    own = load_dataset("cifar10", "test", sheets / "cifar10")
    assert np.array_equal(own.images, test.images)


@pytest.fixture
def pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What torchvision's own data set leaves behind, with the checksums of tiny files."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: object) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def batch(seed: int) -> dict[str, object]:
        return {"data": pictures(2, seed).reshape(2, -1), "labels": [seed % 10, 1]}

    names = [f"data_batch_{number}" for number in range(1, 6)]
    lists = [[name, write(name, batch(seed))] for seed, name in enumerate(names)]
    monkeypatch.setattr(CIFAR10, "train_list", lists)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch(7))]])
    meta = {"label_names": ["airplane"] * 10}
    monkeypatch.setattr(
        CIFAR10,
        "meta",
        {"filename": "meta", "key": "label_names", "md5": write("meta", meta)},
    )
    return tmp_path


def test_torchvisions_folder(pickled: Path) -> None:
    train = load_dataset("cifar10", "train", pickled)
    assert train.images.shape == (10, 3, 32, 32)
    assert np.array_equal(train.images[2:4], pictures(2, 1))
    assert load_dataset("cifar10", "test", pickled).labels.tolist() == [7, 1]


def test_a_pickle_that_is_not_the_published_one_is_never_read(
    pickled: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (marker,))

    (pickled / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"not the published one; .*--download"):
        load_dataset("cifar10", "test", pickled)
    assert not marker.exists()


@pytest.mark.parametrize("file", ["data_batch_3.png", "train_lables.json"])
@pytest.mark.parametrize("cut", [0, 0.5, 0.99])
def test_a_truncated_file(sheets: Path, file: str, cut: float) -> None:
    path = sheets / "cifar10" / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(DataError, match=rf"{file}: truncated"):
        load_dataset("cifar10", "train", sheets)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("[3, 8]", "3 images but 2 labels in test_labels.json"),
        ("[3, 8, 10]", "has a label 10, beyond 9"),
        ("[3, 8, -1]", "has the labels -1 to 8"),
        ("[]", "holds no labels"),
        ('{"0": 1}', "not a list of class indices"),
        ("[1.5, 2, 3]", "not a list of class indices"),
    ],
)
def test_labels_that_do_not_fit(sheets: Path, labels: str, message: str) -> None:
    (sheets / "cifar10" / "test_labels.json").write_text(labels)
    with pytest.raises(DataError, match=message):
        load_dataset("cifar10", "test", sheets)


def test_a_picture_that_is_no_sheet(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(np.zeros((3, 4, 100), np.uint8)))
    with pytest.raises(DataError, match="rows are 100 pixels of 3 channels, not 1024 of 3"):
        read_sheet(path)


def test_missing_files(sheets: Path) -> None:
    (sheets / "cifar10" / "data_batch_2.png").unlink()
    with pytest.raises(DataError) as caught:
        load_dataset("cifar10", "train", sheets)
    for part in ("data_batch_2.png", str(sheets / "cifar10"), "--download", "$EVOFOOL_DATA"):
        assert part in str(caught.value)
    assert "data_batch_1" not in str(caught.value)


@pytest.mark.data
def test_the_real_test_part(real_data: Path) -> None:
    test = load_dataset("cifar10", "test", real_data)
    assert np.bincount(test.labels).tolist() == [1000] * 10


@pytest.mark.data
def test_known_weights_reach_their_known_accuracy(real_data: Path) -> None:
    """An architecture that is one connection off would not."""
    import torch

    from evofool.classifiers import load_classifier
    from evofool.images import to_float

    weights = str(real_data / "weights" / "cifar10_resnet20.safetensors")
    victim = load_classifier({"name": "cifar-resnet", "weights": weights})
    assert victim.module is not None
    test = load_dataset("cifar10", "test", real_data)
    with torch.inference_mode():
        logits = victim.module(torch.from_numpy(to_float(test.images[:1000])))
    right = (logits.argmax(1).numpy() == test.labels[:1000]).mean()
    assert 0.9 < right < 0.94
