"""Nets and data that the config of an experiment names, with every error at its place in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool import encodings
from evofool.classifiers import Classifier, Inspection, inspect_classifier, load_classifier
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.matching import match_classes
from evofool.config import ClassifierConfig, Loaded
from evofool.data import Dataset, DataSets
from evofool.errors import ClassifierError, DataError, UsageError
from evofool.scoring.setup import inspection_of, only_loading_tells
from evofool.validation import KeyPath


def inspected(
    loaded: Loaded[Any],
    where: KeyPath,
    config: ClassifierConfig,
    check: Callable[[Loaded[Any], KeyPath, Classifier], None] = lambda *_: None,
) -> Inspection:
    """What is known of the net that a config names; a user's own is loaded, all others are not.

    Args:
        loaded: the config.
        where: the key that names the net.
        config: of the net.
        check: refuses a net that is loaded and does not fit.

    Raises:
        ConfigError: at `where`.
    """
    try:
        inspection = inspect_classifier(config.model_dump(exclude_none=True))
    except ClassifierError as error:
        raise loaded.error_at(where, str(error)) from error
    if not only_loading_tells(inspection):
        return inspection
    net = loaded_net(loaded, where, config)
    check(loaded, where, net)
    return inspection_of(net)


def loaded_net(loaded: Loaded[Any], where: KeyPath, config: ClassifierConfig) -> Classifier:
    """The net that a config names.

    Raises:
        ConfigError: at `where`.
    """
    try:
        return load_classifier(config.model_dump(exclude_none=True))
    except ClassifierError as error:
        raise loaded.error_at(where, str(error)) from error


def told_apart(nets: Sequence[Classifier]) -> list[str]:
    """What each net is called in tables: nets of one name have the start of their digest added."""
    names = [net.headline for net in nets]
    return [
        name if names.count(name) == 1 else f"{name} ({net.digest[:6]})"
        for name, net in zip(names, nets, strict=True)
    ]


def check_encodings(loaded: Loaded[Any]) -> None:
    """Refuse encodings of the section ``evolution``, if there is one, that cannot be loaded.

    Raises:
        ConfigError: at its place.
    """
    evolution = loaded.config.evolution
    for index, one in enumerate(evolution.encodings if evolution is not None else ()):
        try:
            encodings.find(one.name)
        except UsageError as error:
            raise loaded.error_at(("evolution", "encodings", index), str(error)) from error


def check_white(loaded: Loaded[Any], where: KeyPath, net: Classifier) -> None:
    """Refuse a net without gradients, or with averaged crops.

    Raises:
        ConfigError: at `where`.
    """
    if not net.white_box:
        raise loaded.error_at(
            where,
            f"{net.name} is a black box, but a defense goes around a net, and its tests need"
            " gradients: name a bundled, torchvision or timm classifier, weights, or a .py file"
            " that returns a module",
        )
    if net.crops > 1:
        raise loaded.error_at(where, f"{net.name} averages crops; set crops: 1")
    if net.transformed is not None:
        raise loaded.error_at(
            where,
            f"{net.name} has transforms, but a defense goes around the net itself; remove"
            " transforms, and give them to the defended net afterwards",
        )


def check_like(loaded: Loaded[Any], where: KeyPath, net: Classifier, base: Classifier) -> None:
    """Refuse a net of other labels or another input than `base`.

    Raises:
        ConfigError: at `where`.
    """
    if (fault := difference(net, base)) is not None:
        raise loaded.error_at(where, fault)


def difference(net: Classifier, base: Classifier) -> str | None:
    """How labels or input of a net differ from those of `base`; None if they do not."""
    if net.labels != base.labels:
        return (
            f"{net.name} has other labels than {base.name} ({net.n_classes} against"
            f" {base.n_classes}, the first {net.labels[0][:40]!r} against"
            f" {base.labels[0][:40]!r}); name a net of the same classes"
        )
    if net.input_shape != base.input_shape:
        return (
            f"{net.name} takes {_by(net.input_shape)} images, but {base.name}"
            f" {_by(base.input_shape)}; name a net with the same input"
        )
    return None


def load_split(
    loaded: Loaded[Any], split: str, data: DataSets, where: str = "data.split"
) -> Dataset:
    """A split of ``data.dataset``; `where` is the key that names it, `data` holds what was read.

    Raises:
        ConfigError: it is missing or damaged, or there is no such split.
    """
    try:
        return data.load(loaded.config.data.dataset, split)
    except DataError as error:
        key = where if "no split" in str(error) else "data.dataset"
        raise loaded.error_at(key, str(error)) from error


def check_images(loaded: Loaded[Any], data: Dataset, base: Classifier) -> None:
    """Refuse images of another size than the net takes.

    Raises:
        ConfigError: at ``data.dataset``.
    """
    if data.shape != base.input_shape:
        raise loaded.error_at(
            "data.dataset",
            f"the images of {data.name} are {_by(data.shape)}, but {base.name} takes"
            f" {_by(base.input_shape)}; name the data set it was trained on",
        )


def classes_of(loaded: Loaded[Any], data: Dataset, base: Classifier) -> NDArray[np.int64]:
    """The labels of `data` as classes of `base`, (N,).

    Raises:
        ConfigError: it has other classes.
    """
    try:
        own, note = match_classes(data.label_names, base.labels)
    except LookupError as error:
        raise loaded.error_at(
            "data.dataset", f"{data.name} has other classes than {base.name} ({error})"
        ) from error
    if note and base.labels != numbered_labels(base.n_classes):
        raise loaded.error_at(
            "data.dataset",
            f"{data.name} and {base.name} name their classes differently ({note}); if they mean"
            " the same classes, give the net the names of the data set with `labels`",
        )
    return np.array(own, np.int64)[data.labels]


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
