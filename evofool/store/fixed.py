"""What of a run's config must not change: written into the manifest, held against config.yaml.

This knows no kind of run: whoever opens one says which keys are `Changeable`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ValidationError

from evofool.classifiers import Classifier
from evofool.config.document import plain_document
from evofool.config.folders import with_prefix_of, without_prefix
from evofool.errors import DamagedError, FolderError, StoreError, UsageError
from evofool.store.folder import CONFIG, Check, Folder

UNCHECKED = (
    "was made by an evofool that wrote no digest of the config, so it cannot be checked whether"
    " config.yaml was edited since"
)
_SHOWN = 3
"""Keys that one message names."""


@dataclass(frozen=True)
class Changeable:
    """What may be another when a run goes on.

    Attributes:
        keys: that change no result, with all that is below them: ``stop``, ``scoring.workers``.
        files: keys whose file may lie elsewhere. What it holds is another matter (`store.code`,
            the classifier's digest); of ``file.py:function`` the function must stay. The key of a
            list of nets (``classifier.ensemble``) stands for the files of each.
    """

    keys: tuple[str, ...]
    files: tuple[str, ...] = ()

    def check_overrides(self, overrides: Sequence[str]) -> None:
        """Refuse overrides of anything else than `keys`.

        Raises:
            UsageError: there is one; the message names what can change.
        """
        for override in overrides:
            if not _below(override.partition("=")[0].strip(), self.keys):
                names = [f"{key}.*" if "." not in key else key for key in self.keys]
                listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
                raise UsageError(
                    f"override {override}: only {listed} can change on resume; anything else"
                    " would make another run"
                )


def fixed_part(config: BaseModel, changeable: Changeable) -> dict[str, Any]:
    """The entry ``config`` of a manifest.

    ``fixed`` is what must not change, ``sha256`` its digest, ``changeable`` the rest by dotted key
    as the run last went on with it.
    """
    values = _fixed(config, changeable)
    rest = changeable_part(config, changeable)
    return {"sha256": _digest(values), "fixed": values, "changeable": rest}


def changeable_part(config: BaseModel, changeable: Changeable) -> dict[str, Any]:
    """The values of what may change, by dotted key."""
    free = (*changeable.keys, *changeable.files)
    return {key: value for key, value in _leaves(plain(config)) if _below(key, free)}


def check_config(
    run: Folder, config: BaseModel, changeable: Changeable, otherwise: str = ""
) -> None:
    """Refuse a config that is not the one `run` was begun with.

    A folder from before there was a digest passes: `is_checked` says so.

    Args:
        run: the folder.
        config: as ``config.yaml`` says it now.
        changeable: what may differ.
        otherwise: what may be done beside putting it back.

    Raises:
        FolderError: something was edited; the message names the key and both values.
        StoreError: the manifest's own entry is damaged.
    """
    if not is_checked(run):
        return
    stored = _stored(run)
    now = _fixed(config, changeable)
    edited = list(differences(_completed(stored, config, changeable), now))
    if edited:
        listed = "; ".join(
            f"{key} is {_shown(new)}, but the run was started with {_shown(old)}"
            for key, old, new in edited[:_SHOWN]
        )
        more = f" (and {len(edited) - _SHOWN} more)" if len(edited) > _SHOWN else ""
        it = "it" if len(edited) == 1 else "them"
        raise FolderError(
            f"{run.path / CONFIG}: was edited: {listed}{more}; undo {it}, or"
            f" {otherwise or 'start a new run with the edited config'}"
        )


def _stored(run: Folder) -> dict[str, Any]:
    entry = run.manifest["config"]
    stored = entry.get("fixed") if isinstance(entry, dict) else None
    with contextlib.suppress(RecursionError):
        if isinstance(stored, dict) and _digest(stored) == entry.get("sha256"):
            return stored
    raise DamagedError(
        f"{run.path / 'manifest.json'}: damaged: config does not match its own sha256"
    )


def is_checked(run: Folder) -> bool:
    """Whether the manifest says what the config was; it does not in folders of before."""
    return "config" in run.manifest


def check_labels_file(run: Folder, written: object, classifier: Classifier) -> None:
    """Refuse labels that are read from a file whose content is another than it was.

    Args:
        run: the folder.
        written: ``classifier.labels`` of its config; only a path names a file.
        classifier: as it was loaded now.

    Raises:
        FolderError: a class has another name.
    """
    then = run.manifest["classifier"]["labels"]
    if not isinstance(written, str) or list(classifier.labels) == then:
        return
    pairs = enumerate(zip(then, classifier.labels, strict=False))
    which = next(
        (
            f"class {c} was {old[:40]!r} and is {new[:40]!r}"
            for c, (old, new) in pairs
            if old != new
        ),
        f"{len(then)} classes then, {classifier.n_classes} now",
    )
    raise FolderError(
        f"{run.path}: {written} has changed since the run was made: {which}; restore the original"
    )


def warn_unchecked(run: Folder) -> None:
    """Say of a folder of before that nobody can tell whether its config was edited."""
    if not is_checked(run):
        logging.getLogger("evofool").warning("%s: %s", run.path, UNCHECKED)


def refuse_encoding(encoding: str | None) -> None:
    """For kinds of runs whose config names no encoding's file that could have moved.

    Raises:
        UsageError: one is given.
    """
    if encoding is not None:
        raise UsageError("--encoding: only a run of evolution has an encoding whose file can move")


def config_check(run: Folder, load: Callable[[], object]) -> Check:
    """``evofool verify`` of a config.

    Args:
        run: the folder.
        load: reads its config, calls `check_config`, and holds the code that it names to what was
            run (`evofool.store.code`).

    Raises:
        ConfigError: ``config.yaml`` is no config any more.
    """
    try:
        load()
    except StoreError as error:
        return Check("config", False, str(error))
    if not is_checked(run):
        return Check("config", None, f"the run {UNCHECKED}")
    return Check("config", True, "is the one with which the run was started")


def differences(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys at which two plain values differ, with both values; None where one has no key."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            yield from differences(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{at}.{index}")
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield at, old, new


def plain(config: BaseModel) -> dict[str, Any]:
    """A config as JSON values; numbers that JSON has not are texts."""
    values: dict[str, Any] = _finite(plain_document(config.model_dump(), "config").data)
    return values


def _fixed(config: BaseModel, changeable: Changeable) -> dict[str, Any]:
    values: dict[str, Any] = _cut(plain(config), changeable)
    return values


def _cut(value: Any, changeable: Changeable, at: str = "") -> Any:
    """`value` without what may change, and of files only what must not."""
    if isinstance(value, Mapping):
        inner = {key: f"{at}.{key}" if at else str(key) for key in value}
        return {
            key: _cut(value[key], changeable, path)
            for key, path in inner.items()
            if path not in changeable.keys
        }
    if at in changeable.files and isinstance(value, str):
        return _without_path(value)
    if at in changeable.files and isinstance(value, list):
        return [_cut_net(net) for net in value]
    return value


def _cut_net(net: Any) -> Any:
    """A net of an ensemble without where its files lie."""
    if not isinstance(net, Mapping):
        return net
    files = ("name", "weights")
    return {
        key: _without_path(value) if key in files and isinstance(value, str) else value
        for key, value in net.items()
    }


def _without_path(name: str) -> str:
    model = without_prefix(name)
    if model != name and PurePath(model).is_absolute():
        return with_prefix_of(name, "*")
    file, colon, function = name.rpartition(":") if ".py:" in name else (name, "", "")
    if not PurePath(file).is_absolute():  # a name; configs are written with absolute paths
        return name
    return f"*.py{colon}{function}" if colon else "*"


def _completed(stored: dict[str, Any], config: BaseModel, changeable: Changeable) -> dict[str, Any]:
    """`stored` with the defaults of keys that are younger than the run."""
    now = plain(config)
    whole: dict[str, Any] = json.loads(json.dumps(stored))
    for key in (*changeable.keys, *changeable.files):  # without them it is no config
        _copy(now, whole, key.split("."))
    try:
        completed = _fixed(type(config).model_validate(whole), changeable)
    except ValidationError:  # of a schema that has changed since: as it is
        return stored
    for key in changeable.files:
        _copy(stored, completed, key.split("."))
    return completed


def _copy(source: Any, target: Any, key: list[str]) -> None:
    for part in key[:-1]:
        source = source.get(part) if isinstance(source, dict) else None
        target = target.get(part) if isinstance(target, dict) else None
    if isinstance(source, dict) and isinstance(target, dict) and key[-1] in source:
        target[key[-1]] = source[key[-1]]


def _leaves(values: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{at}.{key}" if at else str(key)
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        else:
            yield path, value


def _below(key: str, keys: Sequence[str]) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in keys)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
