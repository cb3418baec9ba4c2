"""Collections of run folders of kind ``attack``: one exhibit an attacked image."""

from __future__ import annotations

import hashlib
import shlex
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from evofool.attacks.result import NONE, name_of
from evofool.attacks.runs.pictures import amplified
from evofool.attacks.runs.planning import Planned, check_rows, items_of, planned_attacks
from evofool.attacks.runs.restoring import load_attack_run
from evofool.attacks.runs.rows import (
    IMAGES,
    ImageRow,
    ResultRow,
    held_back_role,
    picture_of,
    png_of,
    read_chunks,
    read_held_back,
    read_images,
    read_results,
    role_of,
)
from evofool.attacks.runs.summary import held_back_line, line_of, stem
from evofool.classifiers.sources.bundled import BUNDLED
from evofool.config import AttackCampaign
from evofool.errors import DamagedError, EncodingError
from evofool.files import read_file
from evofool.gallery.reading.asking import StoredVictim
from evofool.gallery.reading.exhibits import (
    IN_PLACE,
    Attacks,
    AttackVariant,
    Clean,
    Collection,
    Exhibit,
    Moved,
    Step,
)
from evofool.images import Size, UInt8Images, encode_png, to_hwc
from evofool.render.masks import in_words
from evofool.report.tables import Cell, Column, Estimate, Number, Rate, Text
from evofool.store import Folder, IndividualId, state_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.fixed import refuse_encoding
from evofool.store.folder import CONFIG
from evofool.store.history import commands_of
from evofool.store.manifest import headline
from evofool.store.records.works import Cost

KIND = "attack"
COLUMNS: Sequence[Column] = (
    Text("attack"), Text("images", at_right=True), Rate("fooled", bounds=("low", "high")),
    Rate("as floats"), Number("L2", form=".2f"), Number("L∞", form=".3f"),
    Number("forward", form=".1f"), Number("backward", form=".1f"),
)  # fmt: skip
"""The name of an attack and `AttackVariant.row`; norms and passes are means of an image."""


def attacked(run: Folder, key: str, *, write: bool, moved: Moved = IN_PLACE) -> Collection:
    """The images of a run of attacks as they are stored now, finished or not.

    Args:
        run: an `ExperimentFolder`, open for as long as the collection is used.
        key: of the collection.
        write: is not used: pictures that the run folder lacks are taken from its database.
        moved: where the victim's file is now.

    Raises:
        StoreError: the run folder is damaged.
        ConfigError: one of its attacks is not to be had here.
    """
    assert isinstance(run, ExperimentFolder)
    refuse_encoding(moved.encoding)
    loaded = load_attack_run(run, runs_code=False)
    manifest = run.manifest
    labels = tuple(manifest["classifier"]["labels"])
    planned = planned_attacks(loaded, labels)
    roles = run.roles()
    images = read_images(run, roles.get(IMAGES, ""))
    exhibits, rows = _exhibits(run, roles, planned, images, labels)
    source = Results(run, roles, images, exhibits)
    channels, height, width = manifest["classifier"]["input_shape"]
    status = state_of(run)[0]
    reached = sorted({row.image for of_attack in rows for row in of_attack})
    return Collection(
        key=key,
        name=run.path.resolve().name,
        kind=KIND,
        victim=headline(manifest),
        digest=str(manifest["classifier"]["digest"]),
        encoding="",
        algorithm="",
        seed=int(manifest["seed"]),
        run_id=str(manifest["run_id"]),
        status=status,
        command=commands_of(manifest) or f"evofool attack {shlex.quote(str(run.path / CONFIG))}",
        config=run.config_text,
        shape=(channels, height, width),
        labels=labels,
        classes=len(labels),
        exhibits=exhibits,
        source=source,
        facts=_facts(run, roles, loaded.config, images),
        no_ancestry="What is attacked has no ancestors.",
        stored_victim=StoredVictim(
            run,
            lambda: load_attack_run(run, moved.classifier),
            shipped=loaded.config.classifier.name in BUNDLED,
        ),
        attacks=Attacks(
            _variants(run, roles, loaded.config, planned, rows, images),
            {index: Clean(images[index], source.digest(index)) for index in reached},
            source.clean,
            source.change,
            _has_own_labels(loaded.config),
        ),
        saved=status == "finished" and source.are_saved(),
    )


class Results:
    """The attacked images of a run as a `Source`; several threads may ask it."""

    def __init__(
        self,
        run: ExperimentFolder,
        roles: Mapping[str, str],
        images: Sequence[ImageRow],
        exhibits: Sequence[Exhibit],
    ) -> None:
        self._run, self._roles, self._images = run, roles, images
        self._exhibits = exhibits
        self._lock = threading.Lock()

    def png(self, exhibit: Exhibit) -> bytes:
        with self._lock:
            address = self._roles[role_of(exhibit.attack)]
            data = png_of(self._run, address, _result(exhibit))
        picture_of(self._run, data)
        return data

    def clean(self, exhibit: Exhibit) -> bytes:
        """The picture before the attack."""
        return self._clean(_result(exhibit).image)

    def change(self, exhibit: Exhibit) -> bytes:
        """What the attack added, amplified around grey."""
        before = picture_of(self._run, self.clean(exhibit))
        shown, factor = amplified(before, picture_of(self._run, self.png(exhibit)))
        text = {"Software": "evofool", "Amplified": f"{factor:g} times around grey"}
        return encode_png(shown, text)

    def digest(self, image: int) -> str:
        """A short name of the pixels of a clean image."""
        pixels = to_hwc(picture_of(self._run, self._clean(image)))
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]

    def are_saved(self) -> bool:
        """Whether the files of the run folder are what its database holds."""
        for exhibit in self._exhibits:
            try:
                saved = read_file(self._run.path / "images" / f"{exhibit.stem}.png")
                change = self._run.path / "perturbations" / f"{exhibit.stem}.png"
                if saved != self.png(exhibit) or not change.is_file():
                    return False
            except OSError:
                return False
        return True

    def render(self, exhibit: Exhibit, size: Size) -> UInt8Images:
        raise EncodingError("an attacked image has no genome to draw it from at another size")

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        return {}

    def line(self, exhibit: Exhibit) -> Sequence[Step]:
        return ()

    def family(self, exhibit: Exhibit) -> set[IndividualId]:
        return set()

    def genome_bytes(self, exhibit: Exhibit) -> int:
        return 0

    def frames(self, ids: Sequence[IndividualId]) -> Mapping[IndividualId, UInt8Images]:
        return {}

    def _clean(self, image: int) -> bytes:
        with self._lock:
            return png_of(self._run, self._roles[IMAGES], self._images[image])


def _result(exhibit: Exhibit) -> ResultRow:
    assert exhibit.result is not None
    return exhibit.result


def _exhibits(
    run: ExperimentFolder,
    roles: Mapping[str, str],
    planned: Sequence[Planned],
    images: Sequence[ImageRow],
    labels: Sequence[str],
) -> tuple[list[Exhibit], list[list[ResultRow]]]:
    """The exhibits in the order of attacks and images, and the rows of each attack."""
    exhibits, of_attacks = [], []
    seen: set[str] = set()
    for each in planned:
        rows = read_results(run, roles.get(role_of(each.index), ""))
        of_attacks.append(rows)
        for row in rows:
            key = stem(each, row)
            if row.image >= len(images) or key in seen:
                raise DamagedError(
                    f"{run.path}: result {row.item} of attack {each.index} is damaged: image"
                    f" {row.image} {'is there twice' if key in seen else 'is missing'}"
                )
            seen.add(key)
            exhibits.append(
                Exhibit(
                    key,
                    row.predicted,
                    name_of(labels, row.predicted),
                    row.confidence,
                    row.success,
                    # with its passes: an image that a budget cut short may be attacked anew
                    individual=f"{key}:{row.forward_images}+{row.backward_images}",
                    result=row,
                    attack=each.index,
                )
            )
    return exhibits, of_attacks


def _variants(
    run: ExperimentFolder,
    roles: Mapping[str, str],
    config: AttackCampaign,
    planned: Sequence[Planned],
    rows: Sequence[Sequence[ResultRow]],
    images: Sequence[ImageRow],
) -> list[AttackVariant]:
    """By number of the attack; two of the same name get their numbers."""
    victim = run.manifest["classifier"]
    classes, reject = len(victim["labels"]), victim.get("reject")
    names = [_name(config, each) for each in planned]
    attacks = []
    for each, name, of_attack in zip(planned, names, rows, strict=True):
        items = items_of(each.attack, each.targets, images, classes, config.seed, reject)
        check_rows(run.path, each.name, items, of_attack)
        chunks = read_chunks(run, roles.get(role_of(each.index), ""))
        line = line_of(each, of_attack, chunks, items, images)
        held_back = read_held_back(run, roles.get(held_back_role(each.index), ""))
        line = held_back_line(line, held_back)
        unique = name if names.count(name) == 1 else f"{name} ({each.index})"
        parameters = {**each.parameters, "targets": each.targets}
        attacks.append(AttackVariant(unique, _spelt(parameters), _cells(line), line["notes"]))
    return attacks


def _name(config: AttackCampaign, planned: Planned) -> str:
    """The attack with those of its parameters that the config gives: the others are defaults."""
    given = config.attacks[planned.entry].options
    shown = {key: value for key, value in planned.parameters.items() if key in given}
    if planned.targets != "none":
        shown["targets"] = planned.targets
    return ", ".join([planned.name, _spelt(shown)] if shown else [planned.name])


def _spelt(parameters: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {spelt(value)}" for key, value in parameters.items() if value is not None
    )


def spelt(value: Any) -> str:
    """A parameter as people write it: 8/255 stays 8/255."""
    if isinstance(value, float):
        short = f"{value:.4g}"
        level = value * 255
        if float(short) != value and 0 < level < 255 and abs(level - round(level)) < 1e-9:
            return f"{round(level)}/255"
        return short
    return in_words(value) if isinstance(value, Mapping) else str(value)


def _cells(line: Mapping[str, Any]) -> list[Cell]:
    png, norms = line["success_png"], line["norms"]
    n = f"{line['n']:,}" + (f" of {line['planned']:,}" if line["n"] < line["planned"] else "")
    if norms is None:
        return [n, *[None] * (len(COLUMNS) - 2)]
    return [
        n,
        Estimate(png["rate"], png["low"], png["high"]),
        line["success_float"]["rate"],
        norms["l2"]["mean"],
        norms["linf"]["mean"],
        line["forward_images_per_image"],
        line["backward_images_per_image"],
    ]


def _facts(
    run: ExperimentFolder,
    roles: Mapping[str, str],
    config: AttackCampaign,
    images: Sequence[ImageRow],
) -> list[tuple[str, str]]:
    manifest, works, status = run.manifest, run.works(), state_of(run)[0]
    own = [works[address] for address in dict.fromkeys(roles.values()) if address in works]
    cost = sum((work.cost for work in own), Cost())
    used = sum(image.used for image in images)
    facts = [
        ("status", status),
        ("images", f"{used:,} attacked, {len(images) - used:,} left out"),
        ("queries", f"{cost.queries:,}"),
        ("passes", f"{cost.forward_images:,} forward, {cost.backward_images:,} backward"),
        ("seconds", f"{run.seconds():,.0f}"),
        ("seed", str(manifest["seed"])),
        ("run", str(manifest["run_id"])),
        ("weights", f"sha256 {manifest['classifier']['digest']}"),
    ]
    if images and _has_own_labels(config):
        facts.insert(2, ("labels", "the classifier's own answers to the clean images"))
    reason = state_of(run)[1]
    if reason:
        facts[0] = ("status", f"{status}: {reason}")
    if manifest.get("created"):
        facts.append(("begun", str(manifest["created"])))
    versions = manifest.get("versions")
    if isinstance(versions, Mapping):
        facts.append(("made with", ", ".join(f"{k} {v}" for k, v in versions.items())))
    return facts


def _has_own_labels(config: AttackCampaign) -> bool:
    """Whether the victim's own answers are used as labels, as `open_source` decides."""
    images = config.images
    if images.dataset is not None:
        return images.labels == "victim"
    return images.labels in (None, "victim")


def target_of(row: ResultRow) -> int | None:
    """The class that was aimed at, None without one."""
    return None if row.target == NONE else row.target
