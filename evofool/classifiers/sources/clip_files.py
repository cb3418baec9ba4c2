"""The files of a CLIP: of a folder, of the hub, or of an architecture that open_clip has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evofool.classifiers.sources.hub import cached_folder, fetch, hub_resolves, local_folder
from evofool.classifiers.spec import ClassifierSpec, resolve
from evofool.config.folders import without_prefix
from evofool.errors import ClassifierError
from evofool.files import is_file, read_file, reason

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "model.safetensors")
_TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
"""Each the file, or one of the files, of a tokenizer of transformers."""
_PATTERNS = (CONFIG, *WEIGHTS, *_TOKENIZERS, "merges.txt", "special_tokens_map.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_MAX_CONFIG = 16 * 1024 * 1024
_PARTS = ("embed_dim", "vision_cfg", "text_cfg")


@dataclass(frozen=True)
class ClipFiles:
    """A CLIP whose files are all on this machine.

    Attributes:
        model: as open_clip names it: an architecture, or ``local-dir:FOLDER``.
        weights: the file.
        local: whether the spec names this file or its folder.
        config: the architecture as its file has it.
        identity: what the digest holds of the architecture, as one text.
        preprocessing: keys of open_clip's ``PreprocessCfg`` that the weights bring.
        tokenizer: keywords for its tokenizer.
    """

    model: str
    weights: Path
    local: bool
    config: Mapping[str, Any]
    identity: str
    preprocessing: Mapping[str, Any]
    tokenizer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quick_gelu(self) -> bool:
        """Whether the weights were trained with OpenAI's approximation of GELU."""
        return bool(self.preprocessing.get("quick_gelu"))


def find_clip(spec: ClassifierSpec, base: Path, download: bool) -> ClipFiles:
    """The files of the CLIP that `spec` names, checked without reading weights.

    Args:
        spec: of a ``clip:`` classifier.
        base: where relative paths start.
        download: whether what is not on this machine may be fetched from the hub.

    Raises:
        ClassifierError: files are missing or of another kind; the message says which, and where to
            put them.
    """
    model = without_prefix(spec.name)
    if not model:
        raise ClassifierError(
            f"classifier {spec.name}: name an architecture of open_clip, a folder or a model of the"
            " hub: clip:ViT-B-32, clip:path/to/folder, clip:OWNER/NAME"
        )
    try:
        folder = local_folder(model, base)
        if folder is not None:
            return _of_folder(folder, spec, base, local=True)
        if "/" in model:
            return _of_folder(_from_hub(model, download), spec, base, local=False)
        return _of_architecture(model, spec, base, download)
    except ClassifierError as error:
        message = str(error).removeprefix("classifier: ")
        raise ClassifierError(f"classifier {spec.name}: {message}") from error


def _of_folder(folder: Path, spec: ClassifierSpec, base: Path, local: bool) -> ClipFiles:
    content = _read(folder / CONFIG)
    config = content.get("model_cfg", content)
    if not isinstance(config, dict) or not all(key in config for key in _PARTS):
        raise ClassifierError(
            f"{folder / CONFIG}: has no model_cfg with {', '.join(_PARTS)}, so it is not a CLIP of"
            " open_clip; save one with open_clip.push_to_hf_hub.save_for_hf"
        )
    if spec.weights is not None:
        weights = resolve(spec.weights, base)
        if not is_file(weights):
            raise ClassifierError(f"weights: {weights}: no such file")
    else:
        weights = _weights(folder)
    wanted = config["text_cfg"].get("hf_tokenizer_name")
    if wanted and not any(is_file(folder / name) for name in _TOKENIZERS):
        raise ClassifierError(
            f"{folder}: has no tokenizer, and its texts are split by that of {wanted}; put"
            f" tokenizer.json of {wanted} there"
        )
    said = content.get("preprocess_cfg")
    return ClipFiles(
        f"local-dir:{folder}",
        weights,
        local,
        config,
        json.dumps(config, sort_keys=True),
        said if isinstance(said, dict) else {},
        _safe_tokenizer(wanted),
    )


def _safe_tokenizer(wanted: object) -> dict[str, Any]:
    """Keywords over those of the file, which could ask for code that lies beside it to be run."""
    return {"trust_remote_code": False} if wanted else {}


def _weights(folder: Path) -> Path:
    found = next((folder / name for name in WEIGHTS if is_file(folder / name)), None)
    if found is not None:
        return found
    pickles = sorted(each.name for each in folder.iterdir() if each.suffix in _PICKLES)
    if pickles:
        raise ClassifierError(
            f"{folder}: its weights are in {pickles[0]}, which is not read, since reading it"
            " could run"
            f" code; write them as {WEIGHTS[0]} by safetensors.torch.save_file where you trust it"
        )
    raise ClassifierError(f"{folder}: has no {WEIGHTS[0]}; put it there")


def _from_hub(model: str, download: bool) -> Path:
    folder = cached_folder(model, CONFIG)
    if folder is not None and any(is_file(folder / name) for name in WEIGHTS):
        return folder
    why = "looked in the hub's cache"
    if download:
        try:
            return fetch(model, _PATTERNS)
        except ClassifierError as error:
            why = str(error)
    raise ClassifierError(
        f"its files are not on this machine ({why}); put {CONFIG}, {WEIGHTS[0]} and, if it has one,"
        f" tokenizer.json of {model} into a folder and name it: clip:path/to/folder"
    )


def _of_architecture(model: str, spec: ClassifierSpec, base: Path, download: bool) -> ClipFiles:
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        near = [name for name in open_clip.list_models() if name[:5].lower() == model[:5].lower()]
        raise ClassifierError(
            f"open_clip has no architecture {model!r}, and there is no folder of that name;"
            f" near: {', '.join((near or open_clip.list_models())[:8])}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if spec.weights is None:
        raise ClassifierError(
            f"weights: is missing; an architecture needs a file, or one of"
            f" {', '.join(tags) or 'no tag (it has none)'}"
        )
    said: dict[str, Any] = {}
    local = spec.weights not in tags
    if local:
        weights = resolve(spec.weights, base)
        if not is_file(weights):
            raise ClassifierError(
                f"weights: {weights}: no such file, and none of the tags {', '.join(tags)}"
            )
    else:
        said = open_clip.get_pretrained_cfg(model, spec.weights)
        weights = _of_tag(said, spec.weights, download)
    wanted = config["text_cfg"].get("hf_tokenizer_name")
    if wanted and download and cached_folder(wanted, _TOKENIZERS[0]) is None and not hub_resolves():
        raise ClassifierError(
            f"its texts are split by the tokenizer of {wanted}, which is not on this machine (no"
            f" network); put {CONFIG}, {WEIGHTS[0]} and tokenizer.json into a folder and name it:"
            " clip:path/to/folder"
        )
    return ClipFiles(model, weights, local, config, model, said, _safe_tokenizer(wanted))


def _of_tag(said: Mapping[str, Any], tag: str, download: bool) -> Path:
    repository = "/".join(str(said.get("hf_hub") or "").split("/")[:2])
    if not repository:
        raise ClassifierError(
            f"weights: {tag} is not on the hub as safetensors; fetch {said.get('url')}, and give"
            " the"
            " file as weights: FILE"
        )
    folder = cached_folder(repository, WEIGHTS[0])
    why = "looked in the hub's cache"
    if folder is None and download:
        try:
            folder = fetch(repository, WEIGHTS[:1])
        except ClassifierError as error:
            why = str(error)
    if folder is None or not is_file(folder / WEIGHTS[0]):
        raise ClassifierError(
            f"weights: {tag}: {WEIGHTS[0]} of {repository} is not on this machine ({why}); give the"
            " file as weights: FILE"
        )
    return folder / WEIGHTS[0]


def _read(path: Path) -> dict[str, Any]:
    if not is_file(path):
        raise ClassifierError(
            f"{path.parent}: has no {CONFIG}, so it is not a CLIP of open_clip; save one with"
            " open_clip.push_to_hf_hub.save_for_hf (a classifier of transformers: hf:FOLDER)"
        )
    try:
        content: object = json.loads(read_file(path, _MAX_CONFIG))
    except (OSError, ValueError, RecursionError) as error:
        raise ClassifierError(f"{path}: cannot be read ({reason(error)})") from error
    if not isinstance(content, dict):
        raise ClassifierError(f"{path}: is not a JSON object; fetch it again")
    return content
