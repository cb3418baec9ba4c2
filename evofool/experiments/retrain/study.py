"""A retraining loop as a study: its nets and campaigns, round by round, in one plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evofool.classifiers import Classifier
from evofool.config import Loaded
from evofool.data import DataSets
from evofool.errors import DataError
from evofool.experiments.checked import check_encodings
from evofool.experiments.engine import Plan, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.retrain.base import FOOLING, make_base
from evofool.experiments.retrain.config import RetrainConfig, is_training, resolve
from evofool.experiments.retrain.loop import Loop
from evofool.experiments.retrain.setup import (
    by_name,
    load_base_training,
    make_examples,
    make_others,
)
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.trained import Trained
from evofool.report.output import Report


class RetrainStudy(Study[RetrainConfig]):
    """A net, retrained on what fools it, again and again."""

    kind = "retrain"
    config = RetrainConfig
    moved = "a retraining loop names several nets; put the file where config.yaml says"
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[RetrainConfig], loop: Loop) -> None:
        super().__init__(loaded, Plan(list(loop.planned())), loop.known)
        self.loop = loop

    @classmethod
    def make(cls, loaded: Loaded[RetrainConfig], data: DataSets | None = None) -> RetrainStudy:
        """As every study; `data` holds what was read before."""
        sets = data or DataSets()
        check_encodings(loaded)
        config = loaded.config
        base: Net
        if is_training(config.base.name):
            base, known, architecture = _base_to_train(loaded, sets)
        else:
            made = make_base(loaded)
            known, architecture = made.net, made.architecture
            base = GivenNet.of(known, config.base.model_dump(mode="json", exclude_none=True))
        others = by_name(make_others(loaded, known))
        given = {name: GivenNet.of(net, {"name": net.name}) for name, net in others.items()}
        clean = make_examples(loaded, known, sets)
        return cls(loaded, Loop(config, base, known, architecture, clean, given))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.retrain.report import report  # which imports matplotlib

        return report(self.loop, results, manifest)


def _base_to_train(
    loaded: Loaded[RetrainConfig], sets: DataSets
) -> tuple[Trained, Classifier, str]:
    """The training of the base, and what the net will be like."""
    config = load_base_training(loaded).config
    if config.loss != "cross-entropy":
        raise loaded.error_at(
            "base",
            f"{config.name} is trained with loss {config.loss}, but class n + 1 is learnt by"
            " softmax cross entropy: name a training with that loss",
        )
    try:
        data = sets.load(config.dataset, "train")
    except DataError as error:
        raise loaded.error_at("base", str(error)) from error
    if FOOLING in data.label_names:
        raise loaded.error_at("base", f"{data.name} has a class {FOOLING!r} already")
    known = Classifier(config.name, data.label_names, data.shape, "trained by the run itself")
    return Trained.of(config, data, (), "training"), known, config.architecture
