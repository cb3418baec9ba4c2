"""What works have in common that make a net: weights, and a card beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from evofool.classifiers import Classifier, load_classifier
from evofool.experiments.engine import Artifact, Context, Work
from evofool.files import is_file
from evofool.training.devices import THREADS

WEIGHTS, CARD = "weights", "card"


class WrittenNet(Work):
    """A work whose artifacts are a net that the path of its weights names."""

    makes: ClassVar[tuple[str, ...]] = (WEIGHTS, CARD)

    @property
    def threads(self) -> int:
        """As many as every training takes: they are part of its result."""
        return THREADS

    def place(self, artifact: str, called: str) -> str:
        return f"nets/{called}.{'safetensors' if artifact == WEIGHTS else 'json'}"

    def written(self, context: Context, make: Callable[[], object]) -> Iterator[Artifact]:
        """Both files, by `make` where they are not there yet."""
        weights, card = context.place(WEIGHTS), context.place(CARD)
        if not (is_file(weights) and is_file(card)):
            make()
        yield Artifact(WEIGHTS, self.digest_of(WEIGHTS, weights))
        yield Artifact(CARD, self.digest_of(CARD, card))

    def load(self, context: Context) -> Classifier:
        """The net."""
        return context.net(self, WEIGHTS, lambda path: load_classifier(str(path)))

    def named(self, context: Context) -> Mapping[str, Any]:
        """By its weights."""
        return {"name": str(context.artifact(self, WEIGHTS))}
