"""``manifest.json``: what a new one says, and what one must hold before anything of it is used."""

from __future__ import annotations

import platform
import reprlib
import shlex
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evofool import kinds
from evofool.classifiers import Classifier
from evofool.classifiers.base import DIGEST_VERSION, Ensemble, short_name
from evofool.classifiers.identity.files import sha256_file
from evofool.errors import DamagedError, FolderError, KindError, StoreError
from evofool.kinds import Kind
from evofool.validation import problem_of

REPORTED = ("evofool", "torch", "torchvision", "numpy", "deap", "onnxruntime", "numba")
"""Packages whose versions the manifest records: they can move a score or a pixel."""

MANIFEST = "manifest.json"
CONFIG = "config.yaml"

_LONGEST_COMMAND = 1000
_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 40
_Text = Annotated[str, Field(max_length=4096)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Side = Annotated[int, Field(ge=1, le=65536)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    name: _Text
    path: _Text | None = None
    sha256: _Sha256 | None = None


class _Net(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    name: _Text
    title: _Text
    digest: _Text


class _Classifier(_Part):
    digest: _Text
    digest_version: Annotated[int, Field(ge=1, le=DIGEST_VERSION)] = 1
    title: _Text | None = None
    input_shape: Annotated[list[_Side], Field(min_length=3, max_length=3)]
    labels: list[str]
    reject: Annotated[int, Field(ge=0)] | None = None
    rule: Literal["least", "mean"] | None = None
    members: Annotated[list[_Net], Field(min_length=1)] | None = None


class _Change(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    command: str
    set: dict[str, list[Any]]


class RunManifest(BaseModel):
    """What the manifest of every kind of run must hold; more is allowed."""

    model_config = ConfigDict(strict=True, extra="allow")

    kind: _Text
    run_id: _Text
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    command: str | None = None
    created: _Text | None = None
    changes: list[_Change] = []


class ClassifierManifest(RunManifest):
    """Of a run that is about one classifier."""

    classifier: _Classifier


class CampaignManifest(ClassifierManifest):
    """Of a campaign of evolution."""

    encoding: _Part
    renderer: _Text = "host"
    breeder: _Text = "host"
    toolbox: dict[Literal["sample", "mate", "mutate", "select", "fitness"], _Text | None] = {}


def kind_in(manifest: Mapping[str, Any], folder: Path) -> Kind:
    """The kind of the run in `folder`.

    Raises:
        FolderError: there is no such kind, or the package that declares it is broken.
        StoreError: the manifest is damaged.
    """
    name = manifest.get("kind")
    if not isinstance(name, str):
        raise DamagedError(f"{folder / MANIFEST}: damaged: kind: is not text")
    try:
        kind = kinds.find(name)
    except KindError as error:
        raise FolderError(f"{folder}: cannot be read: {error}") from error
    if not kind.folder:
        raise DamagedError(f"{folder / MANIFEST}: damaged: {kind.about} has no run folder")
    return kind


def check_manifest(manifest: dict[str, Any], folder: Path) -> Kind:
    """The kind of the run in `folder`, once all that is read of its manifest has the right type.

    Raises:
        FolderError: as `kind_in`.
        StoreError: it is of another schema version, or a part is missing or of the wrong type;
            the message names it.
    """
    kind = kind_in(manifest, folder)
    _check_version(manifest, kind, folder)
    model = kind.part("manifest")
    try:
        model.model_validate(manifest)
    except ValidationError as error:
        found = problem_of(error, manifest, model)
        raise DamagedError(f"{folder / MANIFEST}: damaged: {found}") from error
    return kind


def _check_version(manifest: Mapping[str, Any], kind: Kind, folder: Path) -> None:
    version, wanted = manifest.get("schema_version"), kind.schema_version
    if type(version) is int and version == wanted:
        return
    message = (
        f"{folder}: has schema version {_brief.repr(version)}, but this evofool reads {wanted}"
    )
    if kind.schema_version != 1:
        message += f" of {kind.about}"
    if type(version) is int and version > wanted:
        raise StoreError(f"{message}: a newer evofool wrote it")
    if type(version) is int and version >= 1:
        message += f"; make it again, in another folder, with: {_again(manifest, kind, folder)}"
        if kind.page:
            message += f"; its pages stay as they are: {folder / kind.page}"
    raise StoreError(message)


def _again(manifest: Mapping[str, Any], kind: Kind, folder: Path) -> str:
    """The command that makes a run again: its own, if that is one, else one with its config.

    A manifest may come from anyone, so its command is taken apart and quoted anew.
    """
    written = manifest.get("command")
    if isinstance(written, str) and len(written) <= _LONGEST_COMMAND and written.isprintable():
        try:
            words = shlex.split(written)
        except ValueError:
            words = []
        if words[:1] == ["evofool"]:
            return shlex.join(words)
    return shlex.join(["evofool", kind.command, str(folder / CONFIG)])


def new_manifest(
    kind: str, classifier: Classifier | None, seed: int, command: str | None
) -> dict[str, Any]:
    """``manifest.json`` of a new run, as far as it is the same for every kind of run.

    A run that trains its nets first has no `classifier`.
    """
    return {
        "kind": kind,
        "run_id": uuid.uuid4().hex,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        **({} if classifier is None else {"classifier": _described(classifier)}),
        "versions": {"python": platform.python_version(), **versions()},
        "platform": f"{sys.platform} {platform.machine()}",
    }


def _described(classifier: Classifier) -> dict[str, Any]:
    victim: dict[str, Any] = {
        "name": classifier.name,
        "title": classifier.headline,
        "digest": classifier.digest,
        "digest_version": DIGEST_VERSION,
        "input_shape": list(classifier.input_shape),
        "labels": list(classifier.labels),
    }
    if classifier.reject is not None:
        victim["reject"] = classifier.reject
    if classifier.source is not None:
        victim["path"], victim["sha256"] = str(classifier.source[0]), classifier.source[1]
    if classifier.ensemble is not None:
        victim["rule"] = classifier.ensemble.rule
        victim["members"] = _members(classifier.ensemble)
    return victim


def _members(ensemble: Ensemble) -> list[dict[str, Any]]:
    return [
        {"name": net.name, "title": net.headline, "digest": net.digest} for net in ensemble.members
    ]


def repointed(manifest: Mapping[str, Any], classifier: Classifier) -> dict[str, Any]:
    """`manifest` with the victim where it was found this time."""
    victim = {**manifest["classifier"], "name": classifier.name}
    if "title" in victim:
        victim["title"] = classifier.headline
    if classifier.source is not None:
        victim["path"] = str(classifier.source[0])
    if classifier.ensemble is not None:
        victim["members"] = _members(classifier.ensemble)
    return {**manifest, "classifier": victim}


def check_classifier(path: Path, manifest: Mapping[str, Any], classifier: Classifier) -> None:
    """Refuse to go on with another victim than the run in `path` was made with.

    Raises:
        FolderError: its weights or its source file differ.
    """
    known = manifest["classifier"]
    version = known.get("digest_version", 1)
    if not classifier.is_known_as(known["digest"], version):
        now = classifier.digest
        if version < DIGEST_VERSION:
            now = classifier.old_digest or now
        raise FolderError(
            f"{path}: was made with {known['name']} of digest {known['digest'][:12]}, but the"
            f" one found now has {now[:12]}; give the right one with --classifier"
        )
    if classifier.source is not None and not _same_source(known, classifier.source, version):
        raise FolderError(
            f"{path}: {classifier.source[0]} has changed since the run was made, or a file"
            " beside it that it imports; give the original files with --classifier"
        )


def _same_source(known: Mapping[str, Any], source: tuple[Path, str], version: int) -> bool:
    """Whether a victim's file is the one of a manifest; by rule 1 without the files beside it."""
    sha256 = known.get("sha256")
    if sha256 is None or sha256 == source[1]:
        return True
    if version >= DIGEST_VERSION:
        return False
    # rule 1 named the graph or weights that a user's function loads, rather than its own file
    other = Path(known.get("path", "")).suffix != source[0].suffix
    return other or sha256 == sha256_file(source[0])


def headline(manifest: Mapping[str, Any]) -> str:
    """What pages call the victim of a run: its title, else its name without folders."""
    known = manifest["classifier"]
    return str(known.get("title") or short_name(str(known["name"])))


def versions() -> dict[str, str]:
    """Installed versions of the packages a result may depend on."""
    installed = {}
    for package in REPORTED:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = "not installed"
    return installed
