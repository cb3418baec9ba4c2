"""What ``evofool verify`` looks at in a run folder of any kind: its database and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evofool.classifiers import Classifier
from evofool.classifiers.base import short_name
from evofool.errors import StoreError
from evofool.seal import is_sealed
from evofool.store.folder import MANIFEST, Check, Folder


def check_folder(run: Folder) -> Iterator[Check]:
    """Whether SQLite finds the database whole, and the manifest is as evofool wrote it."""
    faults = run.check()
    yield Check("database", not faults, "; ".join(faults[:3]) or "sound")
    rows = {
        True: "are those with which the run ended",
        False: "are not those with which the run ended",
        None: "have no digest yet: the run has not ended, or an older evofool ended it",
    }
    try:
        same = run.whole()
    except StoreError as error:
        yield Check("rows", False, str(error))
    else:
        yield Check("rows", same, rows[same])
    whole = is_sealed(run.manifest)
    detail = {
        True: "is as it was written",
        False: f"{MANIFEST} was changed after it was written",
        None: "was written before manifests held a digest of themselves",
    }
    yield Check("manifest", whole, detail[whole])


def victim_faults(manifest: Mapping[str, Any], classifier: Classifier) -> list[str]:
    """What a manifest says of its victim that is not so."""
    recorded = manifest["classifier"]
    labels = list(classifier.labels)
    faults = []
    if recorded["labels"] != labels:
        differing = sum(a != b for a, b in zip(recorded["labels"], labels, strict=False))
        differing += abs(len(recorded["labels"]) - len(labels))
        faults.append(f"{differing} labels are not the classifier's")
    title = classifier.title or short_name(str(recorded["name"]))  # the file may have moved
    if recorded.get("title", title) != title:
        faults.append(f"title {recorded['title']!r} is not {title!r}")
    if recorded["input_shape"] != list(classifier.input_shape):
        faults.append(f"input_shape {recorded['input_shape']} is not {classifier.input_shape}")
    if recorded.get("reject") != classifier.reject:
        faults.append(f"reject {recorded.get('reject')} is not {classifier.reject}")
    ensemble = classifier.ensemble
    if recorded.get("rule") != (None if ensemble is None else ensemble.rule):
        faults.append(f"rule {recorded.get('rule')} is not the classifier's")
    members = [net["digest"] for net in recorded.get("members") or ()]
    if members != [net.digest for net in (ensemble.members if ensemble is not None else ())]:
        faults.append("members are not the classifier's")
    return faults


def seed_faults(manifest: Mapping[str, Any], seed: int) -> list[str]:
    """What a manifest says of the seed of the config that is not so."""
    recorded = manifest.get("seed")
    return [] if recorded == seed else [f"seed {recorded} is not the config's, {seed}"]


def check_victim(faults: list[str]) -> Check:
    """The manifest beside the config and the victim, from what is wrong with it."""
    return Check("victim", not faults, "; ".join(faults[:3]) or "is as the manifest says")
