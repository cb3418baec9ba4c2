"""Fetching a data set through torchvision, for who has a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evofool.errors import DataError
from evofool.files import reason


def _mnist(root: str) -> None:
    from torchvision.datasets import MNIST

    MNIST(root, download=True)


def _fashion_mnist(root: str) -> None:
    from torchvision.datasets import FashionMNIST

    FashionMNIST(root, download=True)


def _cifar10(root: str) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(root, download=True)


def _gtsrb(root: str) -> None:
    from torchvision.datasets import GTSRB

    for split in ("train", "test"):
        GTSRB(root, split=split, download=True)


FETCHERS: dict[str, Callable[[str], None]] = {
    "mnist": _mnist,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "gtsrb": _gtsrb,
}
"""Each leaves the layout of torchvision's own class, whose archives it checks by MD5."""


def fetch(name: str, root: Path, missing: str) -> None:
    """Downloads a data set into the data folder `root`; `missing` goes into the error if it fails.

    Raises:
        DataError: it cannot be downloaded, there is no network, or `root` cannot be written.
    """
    if name not in FETCHERS:
        raise DataError(f"data set {name}: comes with evofool, there is nothing to download")
    try:
        root.mkdir(parents=True, exist_ok=True)
        FETCHERS[name](str(root))
    except Exception as error:  # of the network, of archives, of torchvision: they share no base
        raise DataError(
            f"data set {name}: could not be downloaded into {root} ({reason(error)})."
            f" Without a network, fetch it elsewhere and copy it. {missing}"
        ) from error
