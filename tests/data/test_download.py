"""Downloads go through torchvision; without a network there is one message."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest

from evofool.data import download, download_dataset
from evofool.errors import DataError


def test_what_is_here_is_not_fetched(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(download.FETCHERS, "mnist", lambda root: pytest.fail("asked for"))
    download_dataset("mnist", tiny)


@pytest.mark.parametrize(
    "error", [URLError("no route"), RuntimeError("File not found or corrupted")]
)
def test_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(root: str) -> None:
        raise error

    monkeypatch.setitem(download.FETCHERS, "gtsrb", fail)
    with pytest.raises(DataError) as caught:
        download_dataset("gtsrb", tmp_path / "new")
    for part in ("could not be downloaded", "Without a network", "train.png", str(tmp_path)):
        assert part in str(caught.value)


def test_each_goes_to_torchvisions_own_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    asked: list[tuple[str, object]] = []
    for name in ("MNIST", "FashionMNIST", "CIFAR10", "GTSRB"):

        def fake(root: str, name: str = name, **options: object) -> None:
            assert options["download"] is True
            asked.append((name, options.get("split")))

        monkeypatch.setattr(datasets, name, fake)
    for name in ("mnist", "fashion-mnist", "cifar10", "gtsrb"):
        download_dataset(name, tmp_path / name)
    assert asked == [
        ("MNIST", None),
        ("FashionMNIST", None),
        ("CIFAR10", None),
        ("GTSRB", "train"),
        ("GTSRB", "test"),
    ]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be downloaded"):
        download_dataset("mnist", tmp_path / "file" / "below")
