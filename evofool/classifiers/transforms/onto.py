"""The natural pictures that a picture is stuck onto, a different one under each transform."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evofool.classifiers.base import Classifier, Onto
from evofool.classifiers.reading import MOST_PICTURES, picture_files, read_npz, read_prepared
from evofool.classifiers.spec import resolve
from evofool.classifiers.transforms.drawing import Stage
from evofool.config.transforms import TransformsConfig
from evofool.errors import ClassifierError
from evofool.files import is_file, is_folder, reason
from evofool.images import PICTURE_SUFFIXES, UInt8Images
from evofool.randomness import Stream, generator

KEY = "images"
"""What the array of a file is called."""
_WHERE = "classifier: transforms.onto"


def load_onto(config: TransformsConfig, classifier: Classifier, base: Path) -> Onto | None:
    """The pictures that a config names, in the random order of its seed; None if it names none.

    Brown et al. 2017, 1712.09665, equation 1, take the expectation of the log-probability of the
    target over pictures, places and transformations of a patch.

    Args:
        config: of the transforms.
        classifier: whose inputs the pictures become.
        base: folder that relative paths start from.

    Raises:
        ClassifierError: pictures that are missing, damaged, too many or, in a ``.npz``, of another
            size than the input.
    """
    if config.onto is None:
        return None
    scored = _pictures(resolve(config.onto.path, base), classifier, "train")
    others = _pictures(resolve(config.onto.held_back, base), classifier, "test")
    told = "".join(hashlib.sha256(each.tobytes()).hexdigest() for each in (scored, others))
    return Onto(
        _drawn(scored, config, Stream.TRANSFORM, config.k),
        _drawn(others, config, Stream.HELD_BACK, config.held_back),
        hashlib.sha256(told.encode()).hexdigest(),
    )


def missing_pictures(config: TransformsConfig | None, base: Path) -> str:
    """What is not on this machine of the pictures that a config names, and how to get it.

    Raises:
        ClassifierError: a text that can be no path.
    """
    if config is None or config.onto is None:
        return ""
    both = {"train": config.onto.path, "test": config.onto.held_back}
    paths = {part: resolve(path, base) for part, path in both.items()}
    absent = {part: path for part, path in paths.items() if not (is_file(path) or is_folder(path))}
    return f"transforms.onto: {_missing(absent)}" if absent else ""


def _missing(absent: Mapping[str, Path]) -> str:
    return f"{' and '.join(map(str, absent.values()))}: no such file or folder; {_form(absent)}"


def _form(wanted: Mapping[str, Path]) -> str:
    """What may be at some paths, and the Python that saves it, from parts of a data set."""
    lines = [
        f'np.savez({str(path)!r}, {KEY}=evofool.load_dataset("gtsrb", "{part}").images)'
        for part, path in wanted.items()
    ]
    return (
        f"give a folder of pictures, or a .npz with an array {KEY!r}, uint8 N x C x H x W, saved"
        f" in Python, of a data set for example: import evofool, numpy as np; {'; '.join(lines)}"
    )


def _drawn(
    pictures: UInt8Images, config: TransformsConfig, stream: Stream, count: int
) -> UInt8Images:
    """`count` of the pictures, at least one, in random order; again from the first after the last.

    The random numbers are those of a stage of their own, so that transforms are the same without.
    """
    order = generator(config.seed, stream, Stage.ONTO, 0).permutation(len(pictures))
    return pictures[np.resize(order, max(1, count))]


def _pictures(path: Path, classifier: Classifier, part: str) -> UInt8Images:
    """All pictures of a folder or a file, uint8 N x C x H x W of the input's shape.

    `part` is that of a data set that a message gives as an example.
    """
    if is_folder(path):
        return _of_folder(path, classifier, part)
    if is_file(path):
        return _of_file(path, classifier, part)
    raise ClassifierError(f"{_WHERE}: {_missing({part: path})}")


def _of_folder(path: Path, classifier: Classifier, part: str) -> UInt8Images:
    try:
        files = picture_files(path)
    except OSError as error:
        raise ClassifierError(f"{_WHERE}: {path}: cannot be read ({reason(error)})") from error
    if not files:
        raise ClassifierError(
            f"{_WHERE}: {path}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))});"
            f" {_form({part: path})}"
        )
    if len(files) > MOST_PICTURES:
        raise ClassifierError(
            f"{_WHERE}: {path}: holds more than {MOST_PICTURES} pictures; give fewer"
        )
    return np.stack([read_prepared(file, classifier, _WHERE) for file in files])


def _of_file(path: Path, classifier: Classifier, part: str) -> UInt8Images:
    try:
        images = read_npz(path, (KEY,)).get(KEY)
    except Exception as error:  # a damaged archive gives errors of a dozen types
        raise ClassifierError(
            f"{_WHERE}: {path}: cannot be read ({reason(error)}); {_form({part: path})}"
        ) from error
    if images is None:
        raise ClassifierError(f"{_WHERE}: {path}: holds no array {KEY!r}; {_form({part: path})}")
    told = f"{images.dtype} {' x '.join(map(str, images.shape))}"
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
        raise ClassifierError(f"{_WHERE}: {path}: {KEY!r} is {told}; {_form({part: path})}")
    if images.shape[1:] != tuple(classifier.input_shape):
        shape = " x ".join(map(str, classifier.input_shape))
        raise ClassifierError(
            f"{_WHERE}: {path}: {KEY!r} is {told}, but the net takes {shape}; save pictures of that"
            " size, or name a folder of pictures, which are resized"
        )
    return np.ascontiguousarray(images, np.uint8)
