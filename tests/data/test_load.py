"""Loading, finding and listing of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evofool.data import DataSets, data_folder, inspect_dataset, load_dataset, names
from evofool.errors import DataError


def test_both_splits(tiny: Path) -> None:
    train = load_dataset("mnist", "train", tiny)
    test = load_dataset("mnist", "test", tiny)
    assert train.images.shape == (7, 1, 28, 28)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert test.labels.tolist() == [0, 1, 2]
    assert (len(test), test.shape, test.split) == (3, (1, 28, 28), "test")
    assert test.label_names == tuple("0123456789")


def test_pixels_keep_their_place(tiny: Path) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    assert np.array_equal(load_dataset("mnist", "train", tiny).images[:, 0], expected)


def test_where_data_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVOFOOL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".cache" / "evofool"
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path / "shelf"))
    assert data_folder() == tmp_path / "shelf"
    assert data_folder(tmp_path / "given") == tmp_path / "given"


def test_the_environment_names_the_folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOFOOL_DATA", str(tiny))
    assert len(load_dataset("mnist", "test")) == 3


def test_inspection(tiny: Path) -> None:
    assert names() == (
        "mnist",
        "fashion-mnist",
        "cifar10",
        "gtsrb",
        "mnist-sample",
        "drawn-logos",
        "drawn-boards",
    )
    here = inspect_dataset("mnist", tiny)
    assert here.present
    assert here.splits == ("train", "test")
    absent = inspect_dataset("fashion-mnist", tiny)
    assert not absent.present
    assert "t10k-labels-idx1-ubyte.gz" in absent.missing
    assert str(tiny / "fashion_mnist") in absent.missing
    assert inspect_dataset("mnist-sample", tiny).present


def test_the_sample_that_ships() -> None:
    sample = load_dataset("mnist-sample")
    assert sample.images.shape == (100, 1, 28, 28)
    assert sample.images.flags.c_contiguous
    assert sample.labels.tolist() == [label for label in range(10) for _ in range(10)]
    assert sample.images.max() == 255
    assert (sample.images[:, 0, 0] == 0).all()  # MNIST's upper border is black: tiles are cut right


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_ones(name: str, real_data: Path) -> None:
    train = load_dataset(name, "train", real_data)
    test = load_dataset(name, "test", real_data)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(test.labels).shape == (10,)


@pytest.mark.data
def test_the_sample_is_of_the_test_split(real_data: Path) -> None:
    sample, test = load_dataset("mnist-sample"), load_dataset("mnist", "test", real_data)
    chosen = np.concatenate([np.flatnonzero(test.labels == label)[:10] for label in range(10)])
    assert np.array_equal(sample.images, test.images[chosen])


def test_the_folder_of_the_set_itself_may_be_named(tiny: Path) -> None:
    whole, own = load_dataset("mnist", "test", tiny), load_dataset("mnist", "test", tiny / "mnist")
    assert np.array_equal(whole.images, own.images)


def test_torchvisions_folder_of_the_same_files(tiny: Path) -> None:
    whole = load_dataset("mnist", "test", tiny)
    elsewhere = tiny / "other" / "MNIST" / "raw"
    elsewhere.mkdir(parents=True)
    for file in (tiny / "mnist").iterdir():
        file.rename(elsewhere / file.name)
    found = load_dataset("mnist", "test", tiny / "other")
    assert np.array_equal(found.images, whole.images)


def test_labels_are_those_of_the_architectures() -> None:
    from evofool.classifiers.labels import shipped_labels
    from evofool.data import cifar10, gtsrb

    assert shipped_labels("cifar10") == cifar10.LABELS
    assert shipped_labels("gtsrb") == gtsrb.LABELS
    assert len(set(gtsrb.LABELS)) == gtsrb.N_CLASSES


def test_data_sets_of_a_command_are_read_once() -> None:
    sets = DataSets()
    sample = sets.load("mnist-sample")
    assert sets.load("mnist-sample", "test") is sample
    assert DataSets().load("mnist-sample") is not sample
    for _ in range(2):
        with pytest.raises(DataError, match="no split 'train'"):
            sets.load("mnist-sample", "train")
