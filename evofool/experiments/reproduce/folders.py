"""Folders of pictures that claims need: of ImageNet, and of what people know again in CPPNs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evofool.classifiers import Classifier
from evofool.config import AttackCampaign, load_model
from evofool.data import data_folder
from evofool.errors import ConfigError, DataError
from evofool.experiments.attack.sources import open_source, read_samples
from evofool.experiments.works.pictures import Pictures
from evofool.files import is_file

IMAGENET = "imagenet1000"
"""Below the folder of data sets."""
LABELS = "labels.csv"


def imagenet_folder(given: Path | None) -> Path:
    """The folder of labelled pictures of ImageNet.

    Args:
        given: by the user; None for `IMAGENET` among the data sets.

    Raises:
        DataError: it is not there, or has no labels.
    """
    folder = data_folder() / IMAGENET if given is None else given
    if not is_file(folder / LABELS):
        raise DataError(
            f"pictures of ImageNet: {folder / LABELS} does not exist; name a folder that holds"
            f" {LABELS} (columns file and label, an index or a name) and the pictures, beside it"
            " or in images/, with --imagenet DIR (imagenet: in a config)"
        )
    return folder


def labelled_pictures(folder: Path, net: Classifier, count: int) -> Pictures:
    """Pictures of a folder as inputs of a net, spread evenly over the order of their names.

    Args:
        folder: see `imagenet_folder`.
        net: whose classes the labels are.
        count: at most so many.

    Raises:
        DataError: none can be read, or the labels do not fit.
    """
    own = folder / "images"
    where = own if own.is_dir() else folder
    return _read(net, {"folder": str(where), "labels": str(folder / LABELS)}, count, folder)


def bare_pictures(folder: Path, net: Classifier, label: int) -> Pictures:
    """All pictures of a folder as inputs of a net, each with the same class.

    Raises:
        DataError: none can be read.
    """
    read = _read(net, {"folder": str(folder)}, 1_000_000, folder)
    return Pictures.of(read.images, np.full(len(read), label, np.int64))


def _read(net: Classifier, images: dict[str, str], count: int, folder: Path) -> Pictures:
    # an attack's config is what says how pictures of a folder are read
    config = {"kind": "attack", "classifier": net.name, "images": images, "attacks": ["fgsm"]}
    try:
        source = open_source(load_model(config, AttackCampaign), net)
    except ConfigError as error:
        raise DataError(str(error)) from error
    step = max(1, len(source) // count)
    samples, faults = read_samples(source, range(0, len(source), step)[:count])
    if not samples:
        raise DataError(f"{folder}: no picture can be used: {faults[0]}")
    labels = np.array([sample.label for sample in samples], np.int64)
    return Pictures.of(np.stack([sample.pixels for sample in samples]), labels)
