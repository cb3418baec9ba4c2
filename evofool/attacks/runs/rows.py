"""What a run of attacks stores: clean images, attacked ones, and what was done at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from evofool.attacks.result import NONE
from evofool.errors import DamagedError, ImageError, StoreError
from evofool.images import UInt8Images, decode_png
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.rows import Row

Count = Annotated[int, Field(ge=0, lt=2**62)]
Class = Annotated[int, Field(ge=NONE)]
"""A class, or `NONE` where there is none."""
Probability = Annotated[float, Field(ge=0, le=1)]

IMAGES = "images"
"""The name by which a run folder knows its clean images."""


def role_of(index: int) -> str:
    """The name by which a run folder knows the attack of a number."""
    return f"attack {index}"


def held_back_role(index: int) -> str:
    """The name by which it knows what that attack's pictures are worth under other transforms."""
    return f"held back {index}"


@dataclass(frozen=True)
class ImageRow(Row):
    """A clean image, `item` its number in the run: it keys random draws and names files.

    Attributes:
        source: where it comes from, for people: a file name or ``mnist-sample:12``.
        label: its class.
        predicted: the victim's answer to it.
        confidence: in that answer (None: the victim gives labels alone).
        least_likely: the class that the victim holds least likely, or `NONE`.
        used: False if it was left out because the victim gets it wrong.
        claimed: where classes do not exclude each other, all that the victim claims for it: nothing
            has to be done for these. Else None, and not stored.
    """

    type: ClassVar[str] = "image"

    source: str
    label: Class
    predicted: Class
    confidence: Probability | None
    least_likely: Class
    used: bool
    claimed: tuple[Class, ...] | None = None

    def content(self) -> str:
        whole = super().content()
        return whole if self.claimed is not None else whole.replace(',"claimed":null', "", 1)


@dataclass(frozen=True)
class ResultRow(Row):
    """One attacked image; the words are those of `evofool.attacks.AttackResult`.

    `item` is the number of the image, with its target, among those of the attack.

    Attributes:
        image: number of the clean image.
    """

    type: ClassVar[str] = "result"

    image: Count
    target: Class
    predicted: Class
    predicted_float: Class
    confidence: Probability | None
    sought_confidence: Probability | None
    success: bool
    success_float: bool
    complete: bool
    eps: float | None
    effective_eps: float | None
    l0: int
    l2: float
    linf: float
    ssim: float
    forward_images: Count
    backward_images: Count
    verify_forward_images: Count
    seconds: float

    def is_no_worse_than(self, other: ResultRow) -> bool:
        """Whether it may take the place of `other`, an earlier result of the same image."""
        return self.complete or (not other.complete and self.success >= other.success)


@dataclass(frozen=True)
class HeldBackRow(Row):
    """An attacked image under transforms that are held back; `item` as of its `ResultRow`.

    Attributes:
        transforms: under how many the picture was seen.
        successes: under how many of them it is a success.
    """

    type: ClassVar[str] = "held-back"

    transforms: Count
    successes: Count


@dataclass(frozen=True)
class ChunkRow(Row):
    """Images that were scored, or attacked, at a time; `item` numbers the chunk.

    Attributes:
        forward_shared: images that went forward for all of them together.
        notes: what a person should know of them.
        cut: queries for images that the budget has cut short, which are attacked anew with a larger
            one.
        budget: of the run, where it has cut some short; else None.
        wasted: queries for images that smaller budgets had cut short before.
    """

    type: ClassVar[str] = "chunk"

    forward_shared: Count = 0
    notes: tuple[str, ...] = ()
    cut: Count = 0
    budget: Count | None = None
    wasted: Count = 0

    def lost(self, budget: int) -> int:
        """Queries that a run with this budget has sent for images that it attacks anew."""
        anew = self.budget is not None and self.budget < budget
        return self.wasted + (self.cut if anew else 0)


def read_images(run: ExperimentFolder, address: str) -> list[ImageRow]:
    """The clean images of a run, in order, checked to be 0, 1, 2... of the victim's classes.

    Raises:
        StoreError: damaged.
    """
    classes = len(run.manifest["classifier"]["labels"])
    rows = [
        ImageRow.parse(item, content, None, str(run.path))
        for item, content in run.contents(address, ImageRow.type)
    ]
    for position, row in enumerate(rows):
        sane = (
            row.item == position
            # without a label of its own an image has the victim's answer, if there is one
            and (0 <= row.label < classes or (row.label == row.predicted == NONE and not row.used))
            and (0 <= row.predicted < classes or (row.predicted == NONE and row.confidence is None))
            and row.least_likely < classes
            and all(0 <= claimed < classes for claimed in row.claimed or ())
        )
        if not sane:
            raise DamagedError(f"{run.path}: image {row.item} is damaged")
    return rows


def read_results(run: ExperimentFolder, address: str) -> list[ResultRow]:
    """The results of an attack in the order of their items, without their pictures.

    Raises:
        StoreError: damaged.
    """
    classes = len(run.manifest["classifier"]["labels"])
    rows = [
        ResultRow.parse(item, content, None, str(run.path))
        for item, content in run.contents(address, ResultRow.type)
    ]
    for row in rows:
        of_classes = max(row.predicted, row.predicted_float, row.target) < classes
        answered = row.predicted != NONE or row.confidence is None
        if not (of_classes and answered and row.item >= 0):
            raise DamagedError(f"{run.path}: result {row.item} is damaged")
    return rows


def read_chunks(run: ExperimentFolder, address: str) -> list[ChunkRow]:
    """What was done at a time, in order.

    Raises:
        StoreError: damaged.
    """
    return [
        ChunkRow.parse(item, content, None, str(run.path))
        for item, content in run.contents(address, ChunkRow.type)
    ]


def read_held_back(run: ExperimentFolder, address: str) -> list[HeldBackRow]:
    """What pictures are worth under other transforms, as far as that is known, in order.

    Raises:
        StoreError: damaged.
    """
    rows = [
        HeldBackRow.parse(item, content, None, str(run.path))
        for item, content in run.contents(address, HeldBackRow.type)
    ]
    for row in rows:
        if row.successes > row.transforms:
            raise DamagedError(f"{run.path}: held-back result {row.item} is damaged")
    return rows


def png_of(run: ExperimentFolder, address: str, row: Row) -> bytes:
    """The PNG file of a clean image or a result.

    Raises:
        StoreError: it is missing.
    """
    png = run.png(address, row.type, row.item)
    if png is None:
        raise StoreError(f"{run.path}: the picture of {row.type} {row.item} is missing")
    return png


def picture_of(run: ExperimentFolder, png: bytes) -> UInt8Images:
    """The pixels of a stored PNG, uint8 C x H x W.

    Raises:
        StoreError: it is damaged, or not of the victim's shape.
    """
    try:
        pixels = decode_png(png)
    except ImageError as error:
        raise DamagedError(f"{run.path}: a picture is damaged ({error})") from error
    if list(pixels.shape) != run.manifest["classifier"]["input_shape"]:
        raise StoreError(f"{run.path}: a picture does not have the shape of the victim's input")
    return pixels


def pixels_of(run: ExperimentFolder, address: str, row: Row) -> UInt8Images:
    """The pixels of a clean image or a result, uint8 C x H x W; raises as `picture_of`."""
    return picture_of(run, png_of(run, address, row))
