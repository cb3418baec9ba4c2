"""The renderer of a run's pictures: its name is recorded, since another would round differently.

The pixels that were scored are those that are stored. A campaign whose scorer runs on a GPU draws
there; when its run folder is opened, the same renderer is used, or a note tells that it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evofool.encodings import DeviceEncoding, Encoding, TensorEncoding
from evofool.errors import UsageError
from evofool.evolution.guarded import guarded
from evofool.images import Size, UInt8Images
from evofool.scoring import Batch, pick_device

HOST = "host"
"""The encoding's own ``render``, or pixels that are the same to the last bit; and its own
operators."""


class Drawing:
    """Genomes to pixels, by one renderer.

    Attributes:
        name: of the renderer, as the manifest records it.
        device: where pixels are drawn, None for ``render``.
    """

    def __init__(
        self, encoding: Encoding[Any], name: str = HOST, device: str | None = None
    ) -> None:
        self.name = name
        self.device = device
        self._encoding = encoding

    def __call__(self, genomes: Sequence[Any], size: Size) -> UInt8Images:
        """The pixels of `genomes` as an array, uint8 N x C x H x W."""
        if self.device is None:
            return self._encoding.render(genomes, size)
        pixels: UInt8Images = self.to_score(genomes, size).cpu().numpy()  # type: ignore[union-attr]
        return pixels

    def to_score(self, genomes: Sequence[Any], size: Size) -> Batch:
        """The same pixels, on the scorer's device if they are drawn there, else as an array."""
        if self.device is None:
            return self._encoding.render(genomes, size)
        assert isinstance(self._encoding, TensorEncoding)
        return self._encoding.render_tensor(genomes, size, self.device)


def accelerated(device: str) -> bool:
    """Whether `device` is one on which pictures are drawn where they are scored."""
    return device.startswith("cuda")


def is_here(device: str) -> bool:
    """Whether a device of a config is on this machine; torch is imported only for a GPU."""
    if not device.startswith("cuda"):
        return True
    try:
        pick_device(device)
    except UsageError:
        return False
    return True


def drawing_on(device: str, encoding: Encoding[Any], recorded: str | None = None) -> Drawing:
    """The renderer of a campaign that is scored on `device`; nothing else decides this.

    Args:
        device: of the scorer.
        encoding: its genomes.
        recorded: the renderer that the run was begun with, None for a new run. If it is ``host``,
            the host draws even where another renderer would be chosen. Any other may be missing
            here: compare it with the name of what is returned.
    """
    if not accelerated(device) or not isinstance(encoding, TensorEncoding):
        return Drawing(encoding)
    name = encoding.renderer(device)
    if recorded == HOST != name:
        return Drawing(encoding)
    return Drawing(encoding, name, device)


def drawing_again(encoding: Encoding[Any], recorded: str) -> tuple[Drawing, str]:
    """The renderer that draws a stored run again, and a note ("" if it is the recorded one)."""
    if recorded == HOST:
        return Drawing(encoding), ""
    device = pick_device("auto")
    current = drawing_on(device, encoding, recorded)
    if current.name == recorded:
        return current, ""
    return Drawing(encoding), (
        f"the run was drawn by {recorded} on a GPU, which cannot draw here; some levels of"
        " pictures that are drawn again may differ from what was scored"
    )


def breeding_on(device: str, encoding: Encoding[Any], recorded: str | None = None) -> Encoding[Any]:
    """`encoding` with its genomes on `device`, where it can have them there.

    Args:
        device: of the scorer.
        encoding: as it was loaded.
        recorded: the breeder of a run that is resumed or read, None for a new one.
    """
    if not isinstance(encoding, DeviceEncoding):
        return encoding
    moved = accelerated(device) if recorded is None else recorded != HOST
    return guarded(encoding.on(device)) if moved else encoding


def breeder_of(encoding: Encoding[Any]) -> str:
    """The name of what varies genomes of `encoding`, as the manifest records it."""
    return str(getattr(encoding, "breeder", HOST))


def recorded_in(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Renderer and breeder of a run; those of before they were recorded were the host's."""
    return str(manifest.get("renderer", HOST)), str(manifest.get("breeder", HOST))
