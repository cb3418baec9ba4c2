"""A run of attacks as a study: its plan of works, and what `resume` accepts."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evofool.attacks import Attack
from evofool.attacks.runs.planning import Planned as PlannedAttack
from evofool.attacks.runs.planning import planned_attacks
from evofool.attacks.runs.restoring import CHANGEABLE
from evofool.attacks.runs.rows import (
    IMAGES,
    held_back_role,
    read_chunks,
    read_images,
    read_results,
    role_of,
)
from evofool.classifiers import Classifier
from evofool.config import AttackCampaign, Loaded, ScoringConfig, load_attacks
from evofool.errors import AttackError, DamagedError, FolderError, UsageError
from evofool.experiments.attack.held_back import AttackHeldBack
from evofool.experiments.attack.sources import Source, open_source
from evofool.experiments.attack.works import AttackOnImages, JudgedImages, SourceImages
from evofool.experiments.engine import Plan, Planned, Results
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.spending import Spending, equal_shares, queries_of
from evofool.experiments.engine.study import Study
from evofool.experiments.works.nets import GivenNet
from evofool.files import read_file
from evofool.report.output import Drawn
from evofool.scoring import Scorer, settled
from evofool.scoring.ledger import Heading
from evofool.scoring.setup import make_scorer, make_victim
from evofool.store import Check, state_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object
from evofool.store.fixed import check_labels_file, warn_unchecked

CHUNK_VALUES = 3_000_000
"""Pixel values an attack gets at a time unless the config says how many images."""
MOST_CHUNK = 256
_OF_IMAGES = ("images", "seed", "classifier")
"""Keys of the config that decide which images there are."""
_PACKAGE = Path(__file__).resolve().parents[2]


class AttackStudy(Study[AttackCampaign]):
    """Attacks on images against one classifier.

    Attributes:
        victim: the classifier.
        judged: the clean images.
        attacks: by their number, each with its work; two of the same parameters share one.
        held_back: of each attack what its pictures are worth under transforms of the victim that
            are held back; empty where it has none.
    """

    kind = "attack"
    config = AttackCampaign
    moved = ""
    changeable = CHANGEABLE
    partial = True
    load = staticmethod(load_attacks)
    victim: Classifier

    def __init__(
        self,
        loaded: Loaded[AttackCampaign],
        scorer: Scorer,
        judged: JudgedImages,
        attacks: Sequence[AttackOnImages],
        held_back: int = 0,
    ) -> None:
        self.judged, self.attacks = judged, tuple(attacks)
        self.held_back = tuple(AttackHeldBack(each, held_back) for each in attacks if held_back)
        count = len(attacks)
        titles = [f"{each.planned.name} ({each.planned.index + 1}/{count})" for each in attacks]
        plan = Plan(
            [
                Planned("clean images", judged),
                *(Planned(title, each) for title, each in zip(titles, attacks, strict=True)),
                *(
                    Planned(f"{each.attacked.planned.name} under other transforms", each)
                    for each in self.held_back
                ),
            ]
        )
        super().__init__(loaded, plan, scorer.classifier)
        scoring = judged.scoring
        self.engines = {(id(self.victim), scoring.engine, scoring.on): scorer}
        self.roles = {
            IMAGES: judged,
            **{role_of(each.planned.index): each for each in attacks},
            **{held_back_role(each.attacked.planned.index): each for each in self.held_back},
        }

    @classmethod
    def make(cls, loaded: Loaded[AttackCampaign]) -> AttackStudy:
        resolved, scorer, attacks = prepared(loaded)
        return cls._of(resolved, scorer, attacks, _opened(loaded, scorer.classifier, new=True))

    @classmethod
    def restored(
        cls, loaded: Loaded[AttackCampaign], run: ExperimentFolder, edited: Sequence[str]
    ) -> AttackStudy:
        warn_unchecked(run)
        resolved, scorer, attacks = prepared(loaded)
        if not edited:
            check_labels_file(run, loaded.config.classifier.labels, scorer.classifier)
        stored = None
        if not any(key.partition(".")[0] in _OF_IMAGES for key in edited):
            stored = _stored_images(run)
        if stored is not None:
            made = cls._of(resolved, scorer, attacks, stored)
            if Results(run, made.plan).is_finished(made.judged):
                return made  # wherever the pictures are now
        images = _opened(loaded, scorer.classifier, new=False)
        if stored is not None and stored != images:
            raise FolderError(
                f"{run.path}: its images have changed since it started; start a new run"
            )
        return cls._of(resolved, scorer, attacks, images)

    @classmethod
    def _of(
        cls,
        loaded: Loaded[AttackCampaign],
        scorer: Scorer,
        attacks: Sequence[PlannedAttack],
        images: SourceImages,
    ) -> AttackStudy:
        config, victim = loaded.config, scorer.classifier
        scoring = _scoring(config.scoring)
        given = config.classifier.model_dump(mode="json", exclude_none=True)
        known = ("name", "weights", "labels", "prototypes")  # by the digest
        how = {key: given[key] for key in given if key not in known}
        transforms = config.classifier.transforms
        if transforms is not None:
            how["transforms"] = transforms.result
        judged = JudgedImages(
            GivenNet.of(victim, given),
            how,
            f"{victim.input_shape} {victim.resize}",
            images,
            config.only_correct,
            scoring,
        )
        assert config.chunk is not None
        works = [
            AttackOnImages(
                judged,
                {"name": each.name, **each.parameters},
                code_digest(each.attack),
                each.targets,
                config.seed if each.targets == "random" else None,
                config.chunk,
                scoring,
                each,
                images.count * _targets(each, victim) * (each.attack.most_queries or 1),
            )
            for each in attacks
        ]
        held_back = 0 if victim.transformed is None else victim.transformed.config.held_back
        return cls(loaded, scorer, judged, works, held_back)

    @classmethod
    def budget_of(cls, config: AttackCampaign) -> int | None:
        return config.scoring.budget

    @classmethod
    def check_resume(
        cls, run: ExperimentFolder, config: AttackCampaign, overrides: Sequence[str]
    ) -> None:
        """Refuse a new budget below what is spent."""
        spent, budget = queries_of(run), config.scoring.budget
        if overrides and budget is not None and budget < spent:
            raise UsageError(
                f"{run.path}: scoring.budget: {budget} is less than the {spent} queries that are"
                " already spent; nothing was changed: give a larger value"
            )

    def spending(self, run: ExperimentFolder) -> Spending:
        """The budget, shared out: the clean images first, the attacks as `equal_shares` says.

        So the shares depend on the config alone, but for what is lost already: of a service what it
        was sent beside the queries (for the probe, in vain, by ``evofool verify``), and what went
        to images that a smaller budget had cut short.
        """
        budget = self.loaded.config.scoring.budget
        if budget is None:
            return Spending(run.bookings, every_net=True)
        sent = run.sent() if self.victim.metered else {}
        beside = sum(count for heading, count in sent.items() if heading != Heading.QUERIES)
        left = max(0, budget - beside)
        wishes: dict[str, int | None] = {}
        wasted: dict[str, int] = {}
        for each in self.attacks:
            most = each.planned.attack.most_queries
            images = self.judged.source.count * _targets(each.planned, self.victim)
            wishes[each.address] = None if most is None else most * images
            wasted[each.address] = sum(c.lost(budget) for c in read_chunks(run, each.address))
        rest = left - self.judged.source.count - sum(wasted.values())
        shares = {
            address: share + wasted[address]
            for address, share in equal_shares(max(0, rest), wishes).items()
        }
        return Spending(run.bookings, budget, {self.judged.address: left, **shares}, every_net=True)

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Drawn:
        from evofool.experiments.attack.outputs import AttackOutputs

        return AttackOutputs(self, results)

    def checks(self, results: Results, engine: str | None) -> Iterator[Check]:
        from evofool.experiments.attack.verify import verify

        yield from verify(self, results, engine)

    @classmethod
    def counted(cls, run: ExperimentFolder, roles: Mapping[str, str]) -> dict[str, Any]:
        works = run.works()
        images = read_images(run, roles[IMAGES]) if IMAGES in roles else []
        attacks = [address for role, address in roles.items() if role != IMAGES]
        rows = [row for address in attacks for row in read_results(run, address)]
        own = [works[address] for address in dict.fromkeys(roles.values()) if address in works]
        queries = sum(work.cost.queries for work in own)
        going = state_of(run)[0] == "running"
        return {
            "images": len(images),
            "attacked": sum(image.used for image in images),
            "results": len(rows),
            "fooled": sum(row.success for row in rows),
            "incomplete": sum(not row.complete for row in rows),
            "queries": queries,
            "forward_images": sum(work.cost.forward_images for work in own),
            "backward_images": sum(work.cost.backward_images for work in own),
            "sent": settled(run.sent(), queries_of(run), going=going),
            "seconds": round(run.seconds(), 3),
        }


def prepared(
    loaded: Loaded[AttackCampaign],
) -> tuple[Loaded[AttackCampaign], Scorer, tuple[PlannedAttack, ...]]:
    """The config with nothing left to `auto`, a closed scorer of its victim, and the attacks.

    Raises:
        ConfigError: the config does not fit the victim or this machine.
    """
    planned_attacks(loaded)  # before a victim is loaded for nothing
    victim = make_victim(loaded)
    attacks = planned_attacks(loaded, victim.labels)
    for each in attacks:
        place = ("attacks", each.entry)
        try:
            each.attack.check_victim(victim)
        except AttackError as error:
            raise loaded.option_error_at(place, error) from error
        except UsageError as error:
            raise loaded.error_at(place, str(error)) from error
        if each.targets == victim.reject and victim.reject is not None:
            raise loaded.error_at(
                place, f'targets: class {victim.reject} of {victim.name} means "no answer";'
                       " reaching it fools nobody"
            )  # fmt: skip
        if each.targets == "least_likely" and victim.output == "label":
            raise loaded.error_at(
                place, f"{victim.name} gives only labels, so no class is least likely"
            )
    scorer, scoring = make_scorer(loaded, victim)
    scorer.close()
    chunk = loaded.config.chunk
    if chunk is None:
        channels, height, width = victim.input_shape
        chunk = max(1, min(MOST_CHUNK, CHUNK_VALUES // (channels * height * width)))
    config = loaded.config.model_copy(update={"scoring": scoring, "chunk": chunk})
    return replace(loaded, config=config), scorer, attacks


def open_images(loaded: Loaded[AttackCampaign], victim: Classifier) -> Source:
    """The images of a config, which its budget covers.

    Raises:
        ConfigError: there are none, they do not fit the victim, or the budget is too small.
    """
    source = open_source(loaded, victim)
    budget = loaded.config.scoring.budget
    if budget is not None and budget - victim.probed <= len(source):
        probe = f" and the {victim.probed} pictures of the probe" if victim.probed else ""
        raise loaded.error_at(
            "scoring.budget",
            f"{budget} queries are needed for the {len(source)} clean images{probe} alone; raise"
            " it, or set images.limit",
        )
    return source


def _opened(loaded: Loaded[AttackCampaign], victim: Classifier, *, new: bool) -> SourceImages:
    source = open_images(loaded, victim) if new else open_source(loaded, victim)
    return SourceImages.of(source, str(loaded.error_at("images", "")))


def _stored_images(run: ExperimentFolder) -> SourceImages | None:
    """The images that a run was last begun or resumed with; None if it does not say."""
    work = run.works().get(run.roles().get(IMAGES, ""))
    if work is None:
        return None
    try:
        fields = json_object(work.definition, run.path)["fields"]["source"]
        return SourceImages(str(fields["digest"]), int(fields["count"]), bool(fields["labelled"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{run.path}: work {work.address[:16]} is damaged") from error


def _scoring(config: ScoringConfig) -> Scoring:
    kind = config.device.partition(":")[0]
    return Scoring(config.batch, kind, config.engine, config.device, config.workers)


def _targets(planned: PlannedAttack, victim: Classifier) -> int:
    """Most targets that an image has."""
    return max(1, victim.n_classes - 1) if planned.targets == "all" else 1


def code_digest(attack: Attack) -> str:
    """Hex sha256 of the file with the class of an attack; empty if it is one of evofool's.

    Raises:
        FolderError: the file cannot be read.
    """
    file = inspect.getsourcefile(type(attack))
    if file is None or Path(file).resolve().is_relative_to(_PACKAGE):
        return ""
    try:
        return hashlib.sha256(read_file(Path(file))).hexdigest()
    except OSError as error:
        raise FolderError(f"{file}: cannot be read ({error.strerror})") from error
