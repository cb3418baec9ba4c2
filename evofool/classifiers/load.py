"""From a spec to a victim: the table of sources, tried in order.

Other packages add sources by the entry point group ``evofool.classifiers``: each names a `Source`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from evofool.classifiers.answers import with_answers
from evofool.classifiers.base import Classifier
from evofool.classifiers.checks.defaults import DEFAULTS
from evofool.classifiers.ensembles import inspect_ensemble, load_ensemble
from evofool.classifiers.nets.architectures import ARCHITECTURES
from evofool.classifiers.pictures import cropped_side, with_crops
from evofool.classifiers.prototypes import features_spec, inspect_prototypes, with_prototypes
from evofool.classifiers.sources import (
    bundled,
    clip_model,
    hf_model,
    live,
    onnx_file,
    pt2_file,
    sklearn_file,
    timm_zoo,
    torchvision_zoo,
    trained,
    user_file,
)
from evofool.classifiers.spec import ClassifierSpec, Inspection, parse_spec, resolve
from evofool.classifiers.tasks import with_task
from evofool.classifiers.transformed import with_transforms
from evofool.classifiers.transforms.onto import missing_pictures
from evofool.errors import ClassifierError
from evofool.files import is_folder
from evofool.text import suggestion

GROUP = "evofool.classifiers"
"""The entry point group by which packages offer sources of victims."""


@dataclass(frozen=True)
class Source:
    """A kind of victim.

    Attributes:
        form: how it is named in a config.
        about: one line for people.
        matches: whether a name is of this kind.
        load: the victim, probed.
        inspect: the victim's description, without loading it.
        names: those that can be listed without a download or a heavy import.
    """

    form: str
    about: str
    matches: Callable[[str], bool]
    load: Callable[[ClassifierSpec, Path], Classifier]
    inspect: Callable[[ClassifierSpec, Path], Inspection]
    names: Callable[[], tuple[str, ...]] = tuple


SOURCES: tuple[Source, ...] = (
    Source(
        "NAME",
        "bundled, ready to use",
        bundled.BUNDLED.__contains__,
        bundled.load_bundled,
        bundled.inspect_bundled,
        lambda: tuple(bundled.BUNDLED),
    ),
    Source(
        "ARCHITECTURE",
        "an architecture with your weights: FILE.safetensors",
        ARCHITECTURES.__contains__,
        bundled.load_architecture,
        bundled.inspect_architecture,
        lambda: tuple(ARCHITECTURES),
    ),
    Source(
        "torchvision:NAME",
        "torchvision's classification models",
        lambda name: name.startswith(torchvision_zoo.PREFIX),
        torchvision_zoo.load_torchvision,
        torchvision_zoo.inspect_torchvision,
    ),
    Source(
        "timm:NAME",
        "timm's models (needs the extra evofool[timm])",
        lambda name: name.startswith(timm_zoo.PREFIX),
        timm_zoo.load_timm,
        timm_zoo.inspect_timm,
    ),
    Source(
        "hf:OWNER/NAME or hf:path/to/folder",
        "image classifiers of Hugging Face (needs the extra evofool[hf])",
        lambda name: name.startswith(hf_model.PREFIX),
        hf_model.load_hf,
        hf_model.inspect_hf,
    ),
    Source(
        "clip:ARCHITECTURE or clip:path/to/folder",
        "zero-shot CLIPs of open_clip, with labels: (needs the extra evofool[clip])",
        lambda name: name.startswith(clip_model.PREFIX),
        clip_model.load_clip,
        clip_model.inspect_clip,
    ),
    Source(
        "path/to/NAME.safetensors",
        "weights that evofool train wrote, with their card NAME.json beside them",
        lambda name: name.endswith(trained.SUFFIX),
        trained.load_trained,
        trained.inspect_trained,
    ),
    Source(
        "path/to/file.onnx",
        "an ONNX graph, scored without gradients",
        lambda name: name.endswith(".onnx"),
        onnx_file.load_onnx,
        onnx_file.inspect_onnx,
    ),
    Source(
        "path/to/file.pt2",
        "a program that torch.export.save wrote, with gradients",
        lambda name: name.endswith(pt2_file.SUFFIX),
        pt2_file.load_pt2,
        pt2_file.inspect_pt2,
    ),
    Source(
        "sklearn:path/to/file.skops",
        "a scikit-learn classifier, used as a black box (needs the extra evofool[sklearn])",
        sklearn_file.is_sklearn,
        sklearn_file.load_sklearn,
        sklearn_file.inspect_sklearn,
    ),
    Source(
        "object:NAME",
        "a Classifier made in Python, passed to evolve, attack, defend or resume as classifier=",
        lambda name: name.startswith(live.PREFIX),
        live.load_live,
        live.inspect_live,
    ),
    Source(
        "path/to/file.py:function",
        "your own: a function that returns a module, a predict function or a Classifier",
        user_file.matches,
        user_file.load_user,
        user_file.inspect_user,
    ),
)


def load_classifier(
    spec: str | Mapping[str, object] | ClassifierSpec, *, base: Path | None = None
) -> Classifier:
    """Load the classifier (the victim) that a config names, in evaluation mode, and probe it.

    >>> victim = evofool.load_classifier("mnist-lenet")
    >>> victim = evofool.load_classifier({"name": "torchvision:alexnet", "weights": "alexnet.pth"})

    Args:
        spec: a name, or a mapping ``{name, weights?, crops?, input_shape?, labels?, templates?,
            output?, link?, mean?, std?, task?, prototypes?, transforms?}``, that of an ensemble
            ``{ensemble: [...], rule?, transforms?}`` or of a service ``{http: {url: ...}}``; see
            `ClassifierSpec`.
        base: folder that relative paths start from (the config's); by default the working
            directory.

    Raises:
        ClassifierError: unknown, missing, damaged, refused as unsafe, or not a classifier; the
            message explains what to do.
    """
    parsed = parse_spec(spec)
    folder = Path.cwd() if base is None else base
    if parsed.ensemble is not None:
        victim = with_task(load_ensemble(parsed, folder, load_classifier), parsed.task)
    elif parsed.http is not None:
        from evofool.classifiers.sources.http.source import load_http

        victim = with_task(load_http(parsed, folder), parsed.task)
        return with_answers(victim, parsed.answers)
    else:
        with DEFAULTS.use():
            net = _source(parsed, folder).load(features_spec(parsed), folder)
            net = with_task(with_prototypes(net, parsed, folder), parsed.task)
            victim = with_crops(net, parsed.crops)
    return with_transforms(with_answers(victim, parsed.answers), parsed.transforms, base=folder)


def inspect_classifier(
    spec: str | Mapping[str, object] | ClassifierSpec, *, base: Path | None = None
) -> Inspection:
    """A description of a victim, without loading weights, running its code or using a network.

    Raises:
        ClassifierError: the spec itself is wrong. What is only absent from this machine is
            reported in the result.
    """
    parsed = parse_spec(spec)
    folder = Path.cwd() if base is None else base
    found = _inspected(parsed, folder)
    absent = missing_pictures(parsed.transforms, folder)
    if not absent:
        return found
    missing = "; ".join(text for text in (found.missing, absent) if text)
    return dataclasses.replace(found, ready=False, missing=missing)


def _inspected(parsed: ClassifierSpec, folder: Path) -> Inspection:
    if parsed.ensemble is not None:
        return inspect_ensemble(parsed, folder, inspect_classifier)
    if parsed.http is not None:
        from evofool.classifiers.sources.http.source import inspect_http

        return inspect_http(parsed, folder)
    net = _source(parsed, folder).inspect(features_spec(parsed), folder)
    inspection = inspect_prototypes(net, parsed, folder)
    if parsed.crops == 1 or inspection.input_shape is None:
        return inspection
    channels, height, width = inspection.input_shape
    if height != width:
        raise ClassifierError(
            f"classifier {parsed.name}: crops: {parsed.crops} needs a square input,"
            f" not {height} x {width}"
        )
    side = cropped_side(width)
    return dataclasses.replace(inspection, input_shape=(channels, side, side))


def sources() -> tuple[Source, ...]:
    """`SOURCES`, then those of entry points."""
    return (*SOURCES, *(point.load() for point in entry_points(group=GROUP)))


def names() -> tuple[str, ...]:
    """Names that can be listed: what is bundled, then the architectures that want weights."""
    return tuple(name for source in SOURCES for name in source.names())


def forms() -> tuple[tuple[str, str], ...]:
    """Every form in which a config can name a victim, each with one line of explanation."""
    return tuple((source.form, source.about) for source in sources())


def _source(spec: ClassifierSpec, base: Path) -> Source:
    for source in SOURCES:
        if source.matches(spec.name):
            return source
    for source in sources()[len(SOURCES) :]:  # not imported before they are needed
        if source.matches(spec.name):
            return source
    path = resolve(spec.name, base)
    if is_folder(path):
        raise ClassifierError(
            f"classifier {spec.name}: is a folder; name a model of Hugging Face hf:{spec.name}, and"
            f" a CLIP of open_clip clip:{spec.name}"
        )
    if path.suffix in (".pth", ".pt", ".bin", ".ckpt"):
        raise ClassifierError(
            f"classifier {spec.name}: is a file of weights; name the net that they belong to:"
            f" {{name: torchvision:NAME, weights: {spec.name}}} (or timm:NAME, or an architecture),"
            " or load it in a file of your own, path/to/file.py:function"
        )
    ways = ", ".join(source.form for source in sources()[2:])
    known = f"; known: {', '.join(names())}; or {ways}"
    mend = suggestion(spec.name, names()) or known
    raise ClassifierError(f"classifier {spec.name}: unknown{mend}")
