"""Any encoding, painted on a part of a picture: on a sign, a sticker, a patch.

The inner encoding draws the smallest rectangle around the mask, of which the mask shows its part;
everything else is the background, bit for bit. A genome is one of the inner encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evofool.encodings import DeviceEncoding, Encoding, TensorEncoding, load
from evofool.errors import EncodingError
from evofool.images import Shape, Size, UInt8Images
from evofool.render.backgrounds import Background
from evofool.render.masks import Mask, bounds

if TYPE_CHECKING:
    import torch

_PASSED_ON = ("mutate_many", "mate_many", "to_vector", "from_vector", "stages", "breeder")
"""What the inner encoding may have, and is then had here: all of it is about genomes alone."""


class Options(BaseModel):
    """Options of the masked encoding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inner: dict[str, Any]
    """The encoding that draws: ``{name: cppn, ...}`` with options of its own."""
    mask: Mask
    """Where it draws."""
    background: Background = Field(default_factory=lambda: Background(colour=(128, 128, 128)))
    """What is everywhere else."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        short = dict(data)
        if isinstance(short.get("inner"), str):
            short["inner"] = {"name": short["inner"]}
        background = short.get("background")
        if isinstance(background, str):
            short["background"] = {"sign": background}
        elif isinstance(background, list | tuple):
            short["background"] = {"colour": background}
        return short

    @model_validator(mode="after")
    def _inner_named(self) -> Options:
        name = self.inner.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("inner: must name an encoding, as in {name: cppn, preset: evofool}")
        if name == Masked.name:
            raise ValueError("inner: is masked itself; give the encoding that draws")
        return self


class Masked:
    """Pictures of another encoding on a part of a background.

    At another size mask and background are drawn anew at that size, and the inner encoding in the
    rectangle that is then around the mask: shapes and drawn signs stay sharp, pictures are
    resized (`Background`, `Mask`).

    Args:
        shape: channels, height, width of the victim's input.
        **options: see `Options`.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
        ValueError: a mask that holds no pixel or all, a picture that cannot be read, is of another
            size or another one than its sha256 says.
        EncodingError: the inner encoding, or an option of it, is unknown or wrong.
    """

    name: ClassVar[str] = "masked"
    settings_model: ClassVar[type[Options]] = Options

    def __init__(self, shape: Shape, **options: Any) -> None:
        settings = Options(**options)
        self.shape: Shape = (shape[0], shape[1], shape[2])
        self._mask, self._background = _pinned(settings)
        size = (shape[1], shape[2])
        try:
            self._mask.check(size)
        except ValueError as error:
            raise ValueError(f"mask: {error}") from error
        inside = self._mask.raster(size)
        rows, columns = bounds(inside)
        given = {key: value for key, value in settings.inner.items() if key != "name"}
        box = (shape[0], rows.stop - rows.start, columns.stop - columns.start)
        try:
            inner: Encoding[Any] = load(settings.inner["name"], box, given)
        except EncodingError as error:
            option = f"inner.{error.option}" if error.option else "inner"
            raise EncodingError(error.message, option, owner="encoding masked") from error
        self._covers = float(inside.mean())
        self.options: dict[str, Any] = {
            "inner": {"name": settings.inner["name"], **inner.options},
            "mask": self._mask.model_dump(mode="json", exclude_defaults=True),
            "background": self._background.model_dump(mode="json", exclude_defaults=True),
        }
        self._take(inner)

    def _take(self, inner: Encoding[Any]) -> None:
        """Draw with `inner`, and have what it has beyond what every encoding does."""
        for name in (*_PASSED_ON, "renderer", "render_tensor", "on"):
            self.__dict__.pop(name, None)
        self._inner = inner
        self.any_size = bool(getattr(inner, "any_size", False))
        for name in _PASSED_ON:
            if (had := getattr(inner, name, None)) is not None:
                setattr(self, name, had)
        # runtime protocols look for methods on the object, so those that lack a base are left out
        if isinstance(inner, TensorEncoding):
            self.renderer, self.render_tensor = inner.renderer, self._render_tensor
        if isinstance(inner, DeviceEncoding):
            self.on = self._on

    def sample(self, rng: np.random.Generator) -> Any:
        """As the inner encoding."""
        return self._inner.sample(rng)

    def mutate(self, genome: Any, rng: np.random.Generator, generation: int = 0) -> Any:
        """As the inner encoding."""
        return self._inner.mutate(genome, rng, generation)

    def mate(self, first: Any, second: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """As the inner encoding."""
        return self._inner.mate(first, second, rng)

    def render(self, genomes: Sequence[Any], size: Size) -> UInt8Images:
        """The pixels of `genomes`, uint8 N x C x height x width."""
        images = np.repeat(self.backdrop(size)[None], len(genomes), axis=0)
        inside = self._mask.raster(size)
        rows, columns = bounds(inside)
        box = (rows.stop - rows.start, columns.stop - columns.start)
        if len(genomes) and box[0]:  # at a small size no pixel's centre may lie in the mask
            drawn = self._inner.render(genomes, box)
            np.copyto(images[:, :, rows, columns], drawn, where=inside[rows, columns])
        return images

    def backdrop(self, size: Size | None = None) -> UInt8Images:
        """The background alone, uint8 C x height x width, by default of the victim's size."""
        return self._background.draw(self.shape[0], size or (self.shape[1], self.shape[2]))

    def dump(self, genome: Any) -> bytes:
        """As the inner encoding."""
        return self._inner.dump(genome)

    def load(self, data: bytes) -> Any:
        """As the inner encoding.

        Raises:
            ValueError: the bytes are no genome of it.
        """
        return self._inner.load(data)

    def describe(self, genome: Any) -> dict[str, Any]:
        """What the inner encoding says, its kind as ``inner``; `covers` is the mask's share."""
        said = self._inner.describe(genome)
        covers = round(self._covers, 6)
        return {**said, "kind": self.name, "inner": said.get("kind"), "covers": covers}

    def _render_tensor(
        self, genomes: Sequence[Any], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        import torch

        assert isinstance(self._inner, TensorEncoding)
        images = torch.tensor(self.backdrop(size)).to(device).repeat(len(genomes), 1, 1, 1)
        inside = self._mask.raster(size)
        rows, columns = bounds(inside)
        box = (rows.stop - rows.start, columns.stop - columns.start)
        if len(genomes) and box[0]:
            drawn = self._inner.render_tensor(genomes, box, device)
            shown = torch.tensor(inside[rows, columns]).to(device)
            window = images[:, :, rows, columns]
            window.copy_(torch.where(shown, drawn, window))
        return images

    def _on(self, device: torch.device | str) -> Masked:
        assert isinstance(self._inner, DeviceEncoding)
        moved = Masked(self.shape, **self.options)
        moved._take(self._inner.on(device))
        return moved


def _pinned(settings: Options) -> tuple[Mask, Background]:
    """Mask and background with the digests of their pictures."""
    try:
        mask = settings.mask.pinned()
    except ValueError as error:
        raise ValueError(f"mask: {error}") from error
    try:
        return mask, settings.background.pinned()
    except ValueError as error:
        raise ValueError(f"background: {error}") from error


ENCODING = Masked
