"""Image classifiers of Hugging Face: ``hf:OWNER/NAME`` or ``hf:path/to/folder``."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers.base import Classifier, Resize
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.checks.answers import ONE_VALUE
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.pictures import in_words
from evofool.classifiers.sources.hf_files import PREFIX as PREFIX
from evofool.classifiers.sources.hf_files import ModelFiles, find_files
from evofool.classifiers.sources.hf_processor import FILE, Preparation, read_processor
from evofool.classifiers.spec import ClassifierSpec, Inspection
from evofool.classifiers.tasks import with_task
from evofool.errors import ClassifierError
from evofool.files import read_file, reason
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

_KEYS = ("input_shape", "labels", "output", "link", "mean", "std", "task")
_INSTALL = "transformers is not installed: pip install 'evofool[hf]'"


def load_hf(spec: ClassifierSpec, base: Path) -> Classifier:
    """An image classifier of Hugging Face, with the preparation of pictures that its files say.

    Only safetensors are read, and no code of a model is run. What is not in the folder or in the
    hub's cache is downloaded. The digest covers weights, ``config.json`` and normalisation.

    Raises:
        ClassifierError: transformers is not installed; files are missing, damaged, of another kind
            of model, or hold no weights of a last layer; or the processor does what evofool cannot.
    """
    spec.allow("a model of Hugging Face", _KEYS)
    if find_spec("transformers") is None:
        raise ClassifierError(f"classifier {spec.name}: {_INSTALL}")
    files = find_files(spec, base, download=True)
    labels = spec.read_labels(base) or _named(files, spec)
    with _quiet():
        prepared = _prepared(spec, files)
        net = _net(files, spec.name)
    from evofool.classifiers.nets.hugging_face import HuggingFace

    made = partial(
        from_module,
        HuggingFace(net, prepared.blue_first),
        input_shape=prepared.input_shape,
        name=spec.name,
        labels=labels,
        output=spec.output or "logits",
        link=spec.link,
        mean=prepared.mean,
        std=prepared.std,
        resize=prepared.resize,
        preprocessing=None
        if prepared.resize is None
        else in_words(prepared.resize, prepared.input_shape, prepared.mean, prepared.std),
        source=(files.weights, sha256_file(files.weights)) if files.local else None,
        keep=True,
        task=spec.task,
    )
    try:
        victim = made()
    except ClassifierError as error:
        if spec.input_shape is not None or not files.has_processor:
            raise
        asked = f"are size and crop_size in {FILE} right (or set input_shape)?"
        text = str(error).replace("is input_shape right?", asked)
        raise ClassifierError(text) from error
    weights = by_weights(victim).digest
    digest = hashlib.sha256(f"{weights} {files.architecture}".encode()).hexdigest()
    victim = dataclasses.replace(victim, digest=digest, old_digest=None)
    several = files.config.get("problem_type") == "multi_label_classification"
    several = several and spec.link is None and spec.task is None
    return with_task(victim, "multi-label" if several else None)


def inspect_hf(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and classes as the JSON files say them, and whether all files are on this machine."""
    spec.allow("a model of Hugging Face", _KEYS)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    if find_spec("transformers") is None:
        return Inspection(spec.name, spec.input_shape, n_classes, False, _INSTALL)
    try:
        files = find_files(spec, base, download=False)
    except ClassifierError as error:
        missing = str(error).removeprefix(f"classifier {spec.name}: ")
        return Inspection(spec.name, spec.input_shape, n_classes, False, missing)
    labels = labels or _named(files, spec)
    return Inspection(spec.name, spec.input_shape or _shape_said(files), len(labels), True)


def _named(files: ModelFiles, spec: ClassifierSpec) -> tuple[str, ...]:
    names, name = files.names, spec.name
    if spec.task == "binary":
        return numbered_labels(2)
    if files.outputs == 1:
        raise ClassifierError(f"classifier {name}: gives one value per picture; {ONE_VALUE}")
    if names is None:
        raise ClassifierError(
            f"classifier {name}: its config.json names no classes (id2label is missing, has gaps or"
            " says LABEL_0, LABEL_1, ...); set labels to a list or a file of names"
        )
    return names


@dataclasses.dataclass(frozen=True)
class _Prepared:
    input_shape: Shape
    resize: Resize | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    blue_first: bool = False


def _prepared(spec: ClassifierSpec, files: ModelFiles) -> _Prepared:
    channels = files.config.get("num_channels", 3)
    if not files.has_processor:
        assert spec.input_shape is not None
        assert spec.mean is not None
        assert spec.std is not None
        return _Prepared(spec.input_shape, None, spec.mean, spec.std)
    said = read_processor(_processor(files, spec.name), channels, spec.name)
    return _Prepared(
        spec.input_shape or said.input_shape,
        _scaled(said, spec.input_shape),
        spec.mean or said.mean,
        spec.std or said.std,
        said.blue_first,
    )


def _scaled(said: Preparation, shape: Shape | None) -> Resize:
    """The same share of a picture, for an input of another size."""
    if shape is None or shape == said.input_shape:
        return said.resize
    by = min(shape[1:]) / min(said.input_shape[1:])
    frame = said.resize.frame
    return dataclasses.replace(
        said.resize,
        shorter_side=round(said.resize.shorter_side * by),
        frame=None if frame is None else (round(frame[0] * by), round(frame[1] * by)),
    )


def _processor(files: ModelFiles, name: str) -> Any:
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers' errors have no common base
        raise ClassifierError(
            f"classifier {name}: {FILE} gives no image processor ({_line(error)}); correct it, or"
            " remove it and set input_shape, mean and std"
        ) from error


def _net(files: ModelFiles, name: str) -> nn.Module:
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    from evofool.classifiers.nets.checkpoints import check_finite

    where = f"classifier {name}: {files.folder}"
    try:
        config = AutoConfig.from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise ClassifierError(
            f"{where}: config.json describes a model that transformers does not have"
            f" ({_line(error)}); code that"
            " comes with a model is never run"
        ) from error
    if type(config) not in AutoModelForImageClassification._model_mapping:
        raise ClassifierError(
            f"{where}: is a {config.model_type} model, which does not classify images; name one"
            " whose class ends in ForImageClassification"
        )
    try:
        net, loading = AutoModelForImageClassification.from_pretrained(
            files.folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        raise ClassifierError(
            f"{where}: its weights cannot be loaded ({_line(error)}); fetch {files.weights.name}"
            " and config.json of the same model again"
        ) from error
    missing = sorted(loading["missing_keys"])
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ClassifierError(
            f"{where}: {files.weights.name} has no {', '.join(missing[:3])}{more}, so the net would"
            " answer at random; name a model that was trained to classify (a zero-shot CLIP:"
            " clip:NAME)"
        )
    check_finite(net, f"{where}: {files.weights.name}")
    made: nn.Module = net
    return made


def _shape_said(files: ModelFiles) -> Shape | None:
    """The input as the processor's file has it; None where only running it would show that."""
    path = files.folder / FILE
    try:
        said: object = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, Mapping):
        return None
    sizes = [said.get("size"), said.get("crop_size") if said.get("do_center_crop") else None]
    size = next((each for each in reversed(sizes) if isinstance(each, Mapping)), {})
    sides = (
        size.get("height", size.get("shortest_edge")),
        size.get("width", size.get("shortest_edge")),
    )
    channels = files.config.get("num_channels", 3)
    whole = all(isinstance(side, int) and side > 0 for side in (*sides, channels))
    return (channels, *sides) if whole else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice of transformers on the terminal."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    """The first line of what is often a page."""
    return reason(error).strip().partition("\n")[0][:300]
