"""The files of a model of Hugging Face: which are wanted, and what ``config.json`` says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.classifiers.sources.hf_processor import FILE as PROCESSOR
from evofool.classifiers.sources.hub import cached_folder, fetch, local_folder
from evofool.classifiers.spec import ClassifierSpec
from evofool.config.folders import without_prefix
from evofool.errors import ClassifierError
from evofool.files import read_file, reason

PREFIX = "hf:"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_SHARDS = "model.safetensors.index.json"
_PROCESSORS = (PROCESSOR, "processor_config.json")
_PATTERNS = (CONFIG, *_PROCESSORS, WEIGHTS, _SHARDS, "model-*.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".pkl")
_MAX_CONFIG = 16 * 1024 * 1024
_TASK = "ForImageClassification"
"""In the name of every class of transformers that classifies images."""
_SAID_ELSEWHERE = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "id2label", "label2id", "dtype",
     "torch_dtype"}
)  # fmt: skip
"""Keys of ``config.json`` that leave the answers of a net as they are."""


@dataclass(frozen=True)
class ModelFiles:
    """A model whose files are all on this machine.

    Attributes:
        folder: that holds them.
        local: whether the spec names this folder; else it is one of the hub's cache.
        config: what ``config.json`` holds.
        has_processor: whether a file says how pictures are prepared.
    """

    folder: Path
    local: bool
    config: Mapping[str, Any]
    has_processor: bool

    @property
    def weights(self) -> Path:
        """The file of the weights, or the list of the files among which they are divided."""
        whole = self.folder / WEIGHTS
        return whole if whole.is_file() else self.folder / _SHARDS

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes, None where the file has only numbers for them."""
        written = self.config.get("id2label")
        if not isinstance(written, Mapping):
            return None
        named = [written.get(str(index)) for index in range(len(written))]
        if not all(isinstance(name, str) and name.strip() for name in named):
            return None
        if all(name == f"LABEL_{index}" for index, name in enumerate(named)):
            return None
        return tuple(map(str, named))

    @property
    def outputs(self) -> int | None:
        """How many values the net gives, None where the file leaves that to the library."""
        written = self.config.get("id2label")
        return len(written) if isinstance(written, Mapping) else None

    @property
    def architecture(self) -> str:
        """What the weights alone do not tell of the net, as one text."""
        told = {key: self.config[key] for key in self.config if key not in _SAID_ELSEWHERE}
        return json.dumps(told, sort_keys=True)


def find_files(spec: ClassifierSpec, base: Path, download: bool) -> ModelFiles:
    """The files of the model that `spec` names, checked without reading weights.

    Args:
        spec: of an ``hf:`` classifier.
        base: where relative paths start.
        download: whether what is not on this machine may be fetched from the hub.

    Raises:
        ClassifierError: files are missing, or are not those of an image classifier; the message
            says which, and where to put them.
    """
    model, where = without_prefix(spec.name), f"classifier {spec.name}"
    if not model:
        raise ClassifierError(
            f"{where}: name a model or its folder: hf:OWNER/NAME, hf:path/to/folder"
        )
    wanted = () if spec.input_shape and spec.mean and spec.std else _PROCESSORS
    try:
        folder = local_folder(model, base)
        local = folder is not None
        if folder is None:
            folder = _from_hub(model, wanted, download)
    except ClassifierError as error:
        raise ClassifierError(f"{where}: {error}") from error
    config = _read(folder / CONFIG, where)
    _check_task(config, where)
    missing = _missing(folder, wanted)
    if missing:
        raise ClassifierError(f"{where}: {folder}: {_of_folder(folder, missing)}")
    has_processor = any((folder / name).is_file() for name in _PROCESSORS)
    return ModelFiles(folder, local, config, has_processor)


def _from_hub(model: str, wanted: tuple[str, ...], download: bool) -> Path:
    """The folder of the hub's cache that holds all files of `model`."""
    folder = cached_folder(model, CONFIG)
    if folder is not None and not _missing(folder, wanted):
        return folder
    why = "looked in the hub's cache"
    if download:
        try:
            folder = fetch(model, _PATTERNS)
        except ClassifierError as error:
            why = str(error)
        else:
            why = "the hub does not have all of it"
    missing = [CONFIG, PROCESSOR, WEIGHTS] if folder is None else _missing(folder, wanted)
    if folder is None or missing:
        raise ClassifierError(
            f"no folder {model} is here, and for a model of this name on the hub,"
            f" {_listed(missing)} not on this machine ({why}); put {CONFIG}, {PROCESSOR} and"
            f" {WEIGHTS} of {model} into a folder and name it: hf:path/to/folder"
        )
    return folder


def _missing(folder: Path, processors: tuple[str, ...]) -> list[str]:
    """Of the files that every model has, those that are not in `folder`."""
    missing = [] if (folder / CONFIG).is_file() else [CONFIG]
    if processors and not any((folder / name).is_file() for name in processors):
        missing.append(processors[0])
    if not any((folder / name).is_file() for name in (WEIGHTS, _SHARDS)):
        missing.append(WEIGHTS)
    return missing


def _of_folder(folder: Path, missing: list[str]) -> str:
    pickles = sorted(each.name for each in folder.iterdir() if each.suffix in _PICKLES)
    if WEIGHTS in missing and pickles:
        return (
            f"its weights are in {pickles[0]}, which is not read, since reading it could run code;"
            f" write them as {WEIGHTS} by model.save_pretrained(FOLDER) where you trust the file"
        )
    if PROCESSOR in missing and len(missing) == 1:
        return (
            f"has no {PROCESSOR}, which says how pictures are prepared; put it there, or set"
            " input_shape, mean and std"
        )
    return f"{_listed(missing)} missing; put the files of the model there"


def _listed(names: list[str]) -> str:
    whole = ", ".join(names[:-1])
    return f"{whole} and {names[-1]} are" if whole else f"{names[0]} is"


def _read(path: Path, where: str) -> dict[str, Any]:
    if not path.is_file():
        raise ClassifierError(
            f"{where}: {path.parent}: has no {CONFIG}, so it is not a Hugging Face model;"
            " model.save_pretrained(FOLDER) writes one"
        )
    try:
        content: object = json.loads(read_file(path, _MAX_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise ClassifierError(f"{where}: {path}: cannot be read ({reason(error)})") from error
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise ClassifierError(
            f"{where}: {path}: has no model_type, so it is not the config of a model of"
            " transformers; model.save_pretrained(FOLDER) writes one"
        )
    return content


def _check_task(config: Mapping[str, Any], where: str) -> None:
    written = config.get("architectures")
    named = written if isinstance(written, list) else []
    other = [name for name in named if isinstance(name, str) and _TASK not in name]
    if other and len(other) == len(named):
        raise ClassifierError(
            f"{where}: is a {other[0]}, which does not classify images; name a model whose class"
            f" ends in {_TASK}"
        )
    if config.get("problem_type") == "regression":
        raise ClassifierError(
            f"{where}: its {CONFIG} says problem_type regression, so its outputs are not classes;"
            " name a model that was trained to classify"
        )
