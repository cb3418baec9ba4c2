"""A campaign over workers of Ray: genomes travel, and are drawn where they arrive.

Archive, store and budget stay here. Nothing of this is part of the result: a run that was begun
with Ray goes on without it, and the other way round.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evofool import encodings
from evofool.config import Campaign
from evofool.errors import UsageError
from evofool.evolution.drawing import HOST, Drawing, accelerated, breeder_of, drawing_on
from evofool.evolution.guarded import guarded
from evofool.evolution.setup import Parts
from evofool.images import Shape
from evofool.ray_session import session
from evofool.scoring import Batch


@dataclass(frozen=True)
class Painting:
    """What a worker makes an encoding of.

    Attributes:
        name: of the encoding, as in a config.
        options: of it, resolved.
        shape: of its pictures.
        sha256: of its file, None of one that is installed.
        device: on which pictures are drawn, as the worker sees it; None for the host.
        renderer: what has to draw there.
    """

    name: str
    options: Mapping[str, Any]
    shape: Shape
    sha256: str | None
    device: str | None
    renderer: str

    def __call__(self) -> Callable[[bytes | list[bytes]], Batch]:
        """What draws genomes that `Evaluator.packed` has packed.

        Raises:
            EncodingError: there is no such encoding here.
            UsageError: it is another one, or would draw by other means.
        """
        found = encodings.find(self.name)
        if self.sha256 is not None and found.sha256 != self.sha256:
            raise UsageError(
                f"encoding {self.name}: the file on this machine is different; the same file"
                " must lie at the same path on every machine"
            )
        encoding = guarded(encodings.load(self.name, self.shape, self.options))
        drawing = Drawing(encoding)
        if self.device is not None:
            drawing = drawing_on(self.device, encoding, self.renderer)
        if drawing.name != self.renderer:
            raise UsageError(
                f"pictures are drawn by {self.renderer}, but this machine has {drawing.name}"
            )
        size = self.shape[1:]

        def paint(packed: bytes | list[bytes]) -> Batch:
            if isinstance(packed, bytes):
                return drawing.to_score(pickle.loads(packed), size)
            return drawing.to_score([encoding.load(dump) for dump in packed], size)

        return paint


@contextmanager
def joined(parts: Parts) -> Iterator[None]:
    """While it lasts, there is a cluster for `parts`, if their config asks for one.

    So one that cannot be had is known before a run folder is made for nothing.

    Raises:
        UsageError: as `spread`.
    """
    wanted = parts.config.scoring.ray
    if wanted is None:
        yield
        return
    _check(parts)
    with session(wanted.address):
        yield


@contextmanager
def spread(parts: Parts, should_stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """While it lasts, `parts` draw and score where their config says: here, or in Ray's workers.

    Args:
        parts: of a campaign.
        should_stop: asked while there is no worker.

    Raises:
        UsageError: Ray is missing, no cluster answers, or this campaign cannot be sent.
        ScoringError: no worker can be started.
        Interrupted: a stop was asked for before there was one.
    """
    wanted = parts.config.scoring.ray
    if wanted is None:
        yield
        return
    _check(parts)
    from evofool.scoring.ray import Layout, RayPool

    gpus = int(accelerated(parts.scorer.device))
    cores = wanted.cores or (2 if gpus else 1)
    layout = Layout(wanted.actors, cores, gpus, wanted.timeout)
    with (
        session(wanted.address) as ray,
        RayPool(
            ray, parts.scorer, painting(parts), _specs(parts.config), layout, should_stop
        ) as pool,
    ):
        parts.scorer.elsewhere = pool
        try:
            yield
        finally:
            parts.scorer.elsewhere = None


def painting(parts: Parts) -> Painting:
    """What draws the pictures of a campaign in other processes."""
    encoding = parts.config.encoding
    return Painting(
        encoding.name,
        dict(encoding.options),
        parts.classifier.input_shape,
        parts.encoding_source.sha256,
        None if parts.drawing.device is None else "cuda:0",
        parts.drawing.name,
    )


def _check(parts: Parts) -> None:
    """Refuse what cannot be spread, before a cluster is started for it."""
    if parts.classifier.metered:
        raise UsageError(
            f"scoring.ray: {parts.classifier.name} is a predict function, which may be a service"
            " that charges per picture, so only one process may call it; remove scoring.ray"
        )
    if breeder_of(parts.encoding) != HOST:
        raise UsageError(
            "scoring.ray: the genomes of this run live on a GPU, and would have to leave it for"
            " every picture; remove scoring.ray, or start a run with scoring.device=cpu"
        )


def _specs(config: Campaign) -> list[dict[str, Any]]:
    """Of the nets of a victim, as in a config."""
    nets = config.classifier.ensemble or (config.classifier,)
    return [net.model_dump(exclude_none=True, exclude={"transforms"}) for net in nets]
