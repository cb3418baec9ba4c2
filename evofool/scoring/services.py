"""The engine of victims that are services: what was answered before is not asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.images import FloatImages, UInt8Images
from evofool.scoring.batches import levels_of
from evofool.scoring.ledger import Heading, Ledger

if TYPE_CHECKING:  # who asks no service imports no client
    from evofool.classifiers.sources.http.service import Service


class Answers(Protocol):
    """Where answers are kept: a store of bytes by address, which outlives the process."""

    def find(self, addresses: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Those that are there.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    def keep(self, answers: Mapping[bytes, bytes]) -> None:
        """Keep answers; after it returns they survive the process.

        Raises:
            StoreError: they cannot be written.
        """
        ...


class ServiceEngine:
    """Asks a service, and books and keeps what it answers.

    Args:
        classifier: whose predict function is a `Service`.
    """

    name = "http"
    device = "outside"

    def __init__(self, classifier: Classifier) -> None:
        assert classifier.is_service
        self._service = cast("Service", classifier.predict)
        self._classes = classifier.n_classes
        self._labels_only = classifier.output == "label"
        self._partial = classifier.output == "topk"
        self.answers: Answers | None = None

    @property
    def cache(self) -> Path | None:
        """The folder that the config names for answers."""
        return self._service.cache

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """What the service says of `images`, float64 N x classes or int64 (N,) labels, to nobody's
        account; see `asked`.

        Args:
            images: N x C x H x W, uint8, or float32 on the 8-bit lattice k/255.

        Raises:
            ServiceError: no usable answer.
        """
        return self._service(levels_of(images))

    def asked(
        self, images: UInt8Images | FloatImages, ledger: Ledger, heading: Heading
    ) -> tuple[NDArray[np.generic], int]:
        """What the service says of `images`, and how many pictures were sent for it.

        Every request is booked before it is sent, and its answer kept before it is counted as
        answered: a kill costs at most what was under way.

        Args:
            images: N x C x H x W, uint8, or float32 on the 8-bit lattice k/255.
            ledger: that books.
            heading: what for.

        Returns:
            float64 N x classes or int64 (N,) labels; and a count.

        Raises:
            ServiceError: no usable answer.
            BudgetError: the budget does not cover a request; it was not sent.
            StoreError: bookings or answers cannot be stored.
        """
        pixels = levels_of(images)
        if self.answers is None:
            account = _Account(ledger, heading, None, [])
            return self._service.ask(pixels, account), account.sent
        addresses = [self.address(image) for image in pixels]
        rows = self._known(addresses)
        wanted = list({a: i for i, a in enumerate(addresses) if a not in rows}.items())
        ledger.reused(heading, len(addresses) - len(wanted))
        if not wanted:
            return self._stacked([rows[a] for a in addresses]), 0
        account = _Account(ledger, heading, self.answers, [address for address, _ in wanted])
        fresh = self._service.ask(pixels[[index for _, index in wanted]], account)
        rows |= {address: row for (address, _), row in zip(wanted, fresh, strict=True)}
        return self._stacked([rows[a] for a in addresses]), account.sent

    def address(self, image: UInt8Images) -> bytes:
        """Of the answer about one `image`, uint8 C x H x W: service, request and pixels."""
        head = f"{self._service.identity} {image.shape} "
        return hashlib.sha256(head.encode() + np.ascontiguousarray(image).tobytes()).digest()

    def _known(self, addresses: Sequence[bytes]) -> dict[bytes, Any]:
        assert self.answers is not None
        found = self.answers.find(list(dict.fromkeys(addresses)))
        rows = {address: self._read(data) for address, data in found.items()}
        return {address: row for address, row in rows.items() if row is not None}

    def _read(self, data: bytes) -> Any:
        """A kept answer; None for one that is damaged, which is asked for again."""
        if self._labels_only:
            label = int.from_bytes(data[:8], "little", signed=True)
            return np.int64(label) if len(data) == 8 and 0 <= label < self._classes else None
        if len(data) != 8 * self._classes:
            return None
        row = np.frombuffer(data, "<f8").astype(np.float64)
        bad = np.isposinf(row).any() or (not self._partial and np.isnan(row).any())
        return None if bad else row

    def _stacked(self, rows: Sequence[Any]) -> NDArray[np.generic]:
        return np.array(rows, np.int64) if self._labels_only else np.stack(rows)


class _Account:
    """Books the requests of one call and keeps their answers."""

    def __init__(
        self,
        ledger: Ledger,
        heading: Heading,
        answers: Answers | None,
        addresses: Sequence[bytes],
    ) -> None:
        self._ledger, self._heading = ledger, heading
        self._answers, self._addresses = answers, addresses
        self.sent = 0

    def sending(self, count: int) -> None:
        self._ledger.sending(self._heading, count)
        self.sent += count

    def failed(self, count: int) -> None:
        self._ledger.failed(self._heading, count)

    def answered(self, part: slice, rows: NDArray[Any]) -> None:
        if self._answers is not None:
            kind = "<i8" if rows.ndim == 1 else "<f8"
            data = [row.tobytes() for row in rows.astype(kind)]
            self._answers.keep(dict(zip(self._addresses[part], data, strict=True)))
        self._ledger.answered(self._heading, len(rows))
