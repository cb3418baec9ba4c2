"""Zero-shot CLIPs of open_clip: ``clip:ARCHITECTURE``, ``clip:FOLDER``, ``clip:OWNER/NAME``."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Interpolation, Resize
from evofool.classifiers.build import check_shape, from_module
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.pictures import in_words
from evofool.classifiers.sources.clip_files import ClipFiles, find_clip
from evofool.classifiers.sources.clip_text import (
    check_count,
    read_templates,
    tell_count,
    text_of_classes,
)
from evofool.classifiers.sources.library_pixels import LEVELS, furthest
from evofool.classifiers.spec import ClassifierSpec, Inspection
from evofool.errors import ClassifierError
from evofool.files import reason
from evofool.images import Shape

if TYPE_CHECKING:
    pass

PREFIX = "clip:"
_KEYS = ("weights", "labels", "templates", "output", "link", "mean", "std")
_INSTALL = "open_clip is not installed: pip install 'evofool[clip]'"
_CHANNELS = 3


def load_clip(spec: ClassifierSpec, base: Path) -> Classifier:
    """A CLIP that tells pictures apart by the names of the classes, without training.

    A class's text is the mean of the features of its prompts (each template with the name of the
    class), made once when the net is loaded; the logits are cosines times the CLIP's own scale. The
    digest covers the weights of both encoders, the architecture, the tokens of the prompts and the
    normalisation.

    Raises:
        ClassifierError: open_clip is not installed; no labels; files are missing, damaged or of
            another kind of model; or too many prompts.
    """
    spec.allow("a zero-shot CLIP", _KEYS)
    if find_spec("open_clip") is None:
        raise ClassifierError(f"classifier {spec.name}: {_INSTALL}")
    labels = spec.read_labels(base)
    if labels is None:
        raise ClassifierError(
            f"classifier {spec.name}: labels: is missing, and a CLIP has no classes of its own;"
            " set a list of names, or a file with one a line"
        )
    templates = read_templates(spec, base)
    check_count(labels, templates, spec.name)
    from evofool.classifiers.nets.checkpoints import digest_module
    from evofool.classifiers.nets.zero_shot import ZeroShot

    with _quiet():
        files = find_clip(spec, base, download=True)
        clip = _clip(files, spec)
        shape, resize, mean, std = _preparation(clip, spec)
        weights = digest_module(clip)
        tokenizer = _tokenizer(files, spec.name)
        tell_count(labels, templates, spec.name)
        try:
            text, tokens = text_of_classes(
                lambda batch: clip.encode_text(batch, normalize=True), tokenizer, labels, templates
            )
        except Exception as error:  # a tokenizer may fit neither its library nor the net
            raise ClassifierError(
                f"classifier {spec.name}: its prompts cannot be encoded ({_line(error)}); the"
                " tokenizer must be that of the net, and open_clip_torch as new as transformers"
            ) from error
    bias = getattr(clip, "logit_bias", None)
    victim = from_module(
        ZeroShot(
            clip.visual,
            text,
            float(clip.logit_scale.detach().exp()),
            0.0 if bias is None else float(bias.detach()),
        ),
        input_shape=shape,
        name=spec.name,
        labels=labels,
        output=spec.output or "logits",
        link=spec.link,
        mean=mean,
        std=std,
        resize=resize,
        preprocessing=in_words(resize, shape, mean, std),
        source=(files.weights, sha256_file(files.weights)) if files.local else None,
        keep=True,
    )
    # of what the text is made from, and not the text: its last digits depend on the machine
    whole = json.dumps([weights, files.identity, tokens, mean, std])
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return dataclasses.replace(victim, digest=digest, old_digest=None)


def inspect_clip(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and classes, and whether all files are on this machine."""
    spec.allow("a zero-shot CLIP", _KEYS)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    if labels is not None:
        check_count(labels, read_templates(spec, base), spec.name)
    if find_spec("open_clip") is None:
        return Inspection(spec.name, None, n_classes, False, _INSTALL)
    try:
        files = find_clip(spec, base, download=False)
    except ClassifierError as error:
        missing = str(error).removeprefix(f"classifier {spec.name}: ")
        return Inspection(spec.name, None, n_classes, False, missing)
    vision = files.config["vision_cfg"]
    size = vision.get("image_size", 224) if isinstance(vision, Mapping) else None
    sides = (size, size) if isinstance(size, int) else tuple(size or ())
    shape = cast(Shape, (_CHANNELS, *sides)) if len(sides) == 2 else None
    missing = "" if labels is not None else "labels: are needed, a CLIP has no classes of its own"
    return Inspection(spec.name, shape, n_classes, not missing, missing)


def _clip(files: ClipFiles, spec: ClassifierSpec) -> Any:
    import open_clip
    import torch

    from evofool.classifiers.nets.checkpoints import check_finite, read_state_dict

    where = f"classifier {spec.name}"
    try:
        with torch.random.fork_rng(devices=[]):  # it draws weights, which are replaced below
            clip = open_clip.create_model(
                files.model,
                load_weights=False,
                pretrained_text=False,
                force_quick_gelu=files.quick_gelu,
                force_preprocess_cfg=dict(files.preprocessing),
            )
    except Exception as error:  # the config may be wrong in any way
        raise ClassifierError(
            f"{where}: open_clip cannot build it from its config ({_line(error)}); fetch the config"
            " again, or upgrade open_clip_torch"
        ) from error
    read_state_dict(files.weights, spec.name)  # refuses what is damaged or could run code
    try:
        open_clip.load_checkpoint(clip, str(files.weights), strict=True, weights_only=True)
    except Exception as error:
        raise ClassifierError(
            f"{where}: weights: {files.weights}: do not fit the architecture ({_line(error)});"
            " name the one that they were trained in"
        ) from error
    check_finite(clip, f"{where}: weights: {files.weights}")
    return clip.eval()


def _tokenizer(files: ClipFiles, name: str) -> Any:
    import open_clip

    try:
        return open_clip.get_tokenizer(files.model, **files.tokenizer)
    except Exception as error:
        raise ClassifierError(
            f"classifier {name}: its tokenizer cannot be loaded ({_line(error)}); put"
            " tokenizer.json of the same model into its folder, which transformers reads"
            " (pip install 'evofool[hf]')"
        ) from error


def _preparation(
    clip: Any, spec: ClassifierSpec
) -> tuple[Shape, Resize, tuple[float, ...], tuple[float, ...]]:
    """Input shape, resizing, mean and deviation, as open_clip's own transform has them."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    said = clip.visual.preprocess_cfg
    try:
        config = PreprocessCfg(**said)
        own = image_transform_v2(config, is_train=False)
        size = (config.size,) * 2 if isinstance(config.size, int) else tuple(config.size)
        shape = check_shape((_CHANNELS, *size), spec.name)
        resize = _resize(config, shape)
        numbers = (tuple(map(float, config.mean)), tuple(map(float, config.std)))

        def pixels(picture: PIL.Image.Image) -> NDArray[np.floating[Any]]:
            made: NDArray[np.floating[Any]] = own(picture).numpy()
            return made

        same = furthest(pixels, shape, resize, *numbers) <= LEVELS
    except Exception as error:
        raise ClassifierError(
            f"classifier {spec.name}: its preprocess_cfg asks for what evofool cannot do"
            f" ({_line(error)});"
            " correct it"
        ) from error
    if not same:
        raise ClassifierError(
            f"classifier {spec.name}: its preprocess_cfg ({said}) changes pictures in ways that"
            " evofool"
            " cannot; load the net in a file of your own (path/to/file.py:function)"
        )
    return shape, resize, spec.mean or numbers[0], spec.std or numbers[1]


def _resize(config: Any, shape: Shape) -> Resize:
    height, width = shape[1:]
    frame = None if height == width else (height, width)
    asked = config.interpolation
    filter_ = cast(Interpolation, asked if asked in get_args(Interpolation) else "bicubic")
    if config.resize_mode == "squash":
        return Resize(min(height, width), filter_, "squash", frame)
    if config.resize_mode == "longest":
        fill = (config.fill_color,) * _CHANNELS
        return Resize(min(height, width), filter_, "pad", frame, fill)
    # where the input is not square, open_clip takes its default filter
    return Resize(min(height, width), "bicubic" if frame else filter_, "crop", frame)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells the root logger that it drew weights, before they are read."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _line(error: Exception) -> str:
    return reason(error).strip()[:300]
