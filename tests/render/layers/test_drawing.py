"""Layered pictures: numba held to PyTorch in float64, what kinds and genes mean, sizes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from evofool import encodings
from evofool.images import UInt8Images
from evofool.render.layers import (
    CHARTS,
    FIELDS,
    GENES,
    GROUND,
    MASKS,
    Stack,
    Stacks,
    colour_matrix,
    render_fields,
    render_fields_tensor,
    render_layers,
    render_layers_tensor,
)
from evofool.render.layers.colour import light, toned
from evofool.render.layers.tables import SIDE, noise_tables

PLAIN = {
    "scale": 0.4, "angle": 0.0, "x": 0.5, "y": 0.5, "stretch": 0.5, "warp": 0.0, "softness": 1.0,
    "colours": 0.0, "shade": 0.0, "mask x": 0.5, "mask y": 0.5, "mask size": 0.5,
    "mask softness": 0.0, "transparency": 0.0, "mask angle": 0.0, "mask stretch": 0.5,
}  # fmt: skip
"""Genes of a layer that is not moved, turned, warped or shaded."""


def every_kind() -> Stacks:
    """Stacks of which each shows one kind of field on one chart in one mask, and random ones."""
    rng = np.random.default_rng(1)
    kinds = np.array(
        [
            (chart, field, mask)
            for chart in range(len(CHARTS))
            for field in range(len(FIELDS))
            for mask in range(len(MASKS))
        ],
        np.uint8,
    )
    stacks = [
        Stack(
            rng.random(len(GROUND), dtype=np.float32),
            kind[None].copy(),
            rng.random((1, len(GENES)), dtype=np.float32),
        )
        for kind in kinds
    ]
    encoding = encodings.load("layers", (3, 8, 8))
    return Stacks.of([*stacks, *(encoding.sample(rng) for _ in range(40))])


def layer(field: str, mask: str = "none", chart: str = "plane", **genes: float) -> Stack:
    """A stack of one layer, white where the field is 1 and black where it is 0, over grey."""
    named = {**PLAIN, **{name.replace("_", " "): value for name, value in genes.items()}}
    row = np.zeros(len(GENES), np.float32)
    for name, value in named.items():
        row[GENES.index(name)] = value
    row[GENES.index("second a")] = 1.0
    ground = np.zeros(len(GROUND), np.float32)
    ground[[0, 3]] = 0.5
    kinds = np.array([[CHARTS.index(chart), FIELDS.index(field), MASKS.index(mask)]], np.uint8)
    return Stack(ground, kinds, row[None])


def grey(*stacks: Stack, size: tuple[int, int] = (64, 64)) -> UInt8Images:
    return render_layers(Stacks.of(stacks), size, channels=1, colour="natural")[:, 0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (37, 61)])
def test_numba_draws_what_float64_gives(channels: int, size: tuple[int, int]) -> None:
    stacks = every_kind()
    options: dict[str, Any] = {"channels": channels, "colour": "natural"}
    drawn = render_layers(stacks, size, **options).astype(int)
    for dtype, share in ((torch.float64, 0.01), (torch.float32, 0.01)):
        exact = render_layers_tensor(stacks, size, device="cpu", dtype=dtype, **options).numpy()
        away = np.abs(drawn - exact)
        assert (away > 0).mean() < share
        assert (away > 1).mean() < 1e-3  # at a jump of a table or an angle


def test_a_batch_is_drawn_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from evofool.render.layers import torch_backend

    stacks = every_kind()
    options: dict[str, Any] = {"channels": 3, "colour": "uniform"}
    size = (9, 11)
    whole = render_layers(stacks, size, **options)
    tensors = render_layers_tensor(stacks, size, device="cpu", **options)
    monkeypatch.setattr(torch_backend, "PIXELS_AT_ONCE", 300)  # a few stacks at a time
    assert torch.equal(render_layers_tensor(stacks, size, device="cpu", **options), tensors)
    for n in range(0, len(stacks), 13):
        part = slice(stacks.first[n], stacks.first[n + 1])
        one = Stacks(
            stacks.first[n : n + 2] - stacks.first[n],
            stacks.grounds[n : n + 1],
            stacks.kinds[part],
            stacks.genes[part],
        )
        np.testing.assert_array_equal(render_layers(one, size, **options)[0], whole[n])


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (37, 61)])
def test_fields_alone_are_those_of_pytorch(size: tuple[int, int]) -> None:
    stacks = every_kind()
    kinds = np.ascontiguousarray(stacks.kinds[:, :2])
    drawn = render_fields(kinds, stacks.genes, size)
    assert drawn.dtype == np.float32
    away = np.abs(drawn - render_fields_tensor(kinds, stacks.genes, size, "cpu").numpy())
    assert (away > 1e-4).mean() < 2e-3  # at a jump of a table or an angle
    assert np.median(away) < 1e-6


def test_a_larger_picture_has_the_same_content() -> None:
    """The centre of every third pixel is that of a pixel of the smaller picture."""
    stacks = every_kind()
    small = render_layers(stacks, (20, 30), channels=3, colour="natural").astype(int)
    large = render_layers(stacks, (60, 90), channels=3, colour="natural")[:, :, 1::3, 1::3]
    away = np.abs(small - large)
    assert (away > 1).mean() < 2e-3
    assert (away == 0).mean() > 0.99


def test_what_a_layer_hides_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    top = layer("cells", seed_u=0.3)
    under = encodings.load("layers", (1, 8, 8)).sample(rng)
    both = Stack(
        under.ground,
        np.concatenate((under.kinds, top.kinds)),
        np.concatenate((under.genes, top.genes)),
    )
    np.testing.assert_array_equal(*grey(top, both))


def test_stripes_grid_dots_and_blob() -> None:
    # scale gene .4 is 2^2 = 4 periods across the picture
    stripes, grid, dots, blob = grey(
        layer("stripes"), layer("grid"), layer("dots"), layer("blob"), size=(32, 32)
    )
    assert (stripes == stripes[:1]).all()
    np.testing.assert_array_equal(stripes[:, :8], stripes[:, 8:16])
    assert stripes.max() > 240
    assert stripes.min() < 15
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_array_equal(grid, np.minimum(stripes, stripes.T))
    np.testing.assert_array_equal(dots[:8, :8], dots[8:16, 16:24])
    assert blob[15:17, 15:17].min() == blob.max()
    assert (np.diff(blob[16, 16:].astype(int)) <= 0).all()


def test_turning_and_moving() -> None:
    upright, turned, moved = grey(
        layer("stripes"), layer("stripes", angle=0.25), layer("stripes", x=0.5 + 0.125 / 1.4)
    )
    np.testing.assert_allclose(turned, upright.T[::-1], atol=1)
    np.testing.assert_allclose(moved[:, 8:], upright[:, :-8], atol=1)


def test_rings_are_stripes_on_the_polar_chart() -> None:
    (rings,) = grey(layer("stripes", chart="polar"), size=(65, 65))
    np.testing.assert_allclose(rings, rings[::-1], atol=1)
    np.testing.assert_allclose(rings, rings.T, atol=1)


@pytest.mark.parametrize(
    ("mask", "share"),
    [("none", 1.0), ("disc", np.pi * 0.33**2), ("square", 0.66**2), ("half", 0.5)],
)
def test_masks_show_the_share_that_they_should(mask: str, share: float) -> None:
    shown = dataclasses.replace(layer("stripes", mask), genes=layer("stripes", mask).genes.copy())
    shown.genes.flags.writeable = True
    shown.genes[0, [GENES.index("first a"), GENES.index("second a")]] = 1.0  # all white
    (picture,) = grey(shown, size=(200, 200))
    assert (picture > 200).mean() == pytest.approx(share, abs=0.01)
    assert set(np.unique(picture[:2, :2])) <= ({255} if mask == "none" else {127, 128})


def test_transparency_lets_through_what_lies_under() -> None:
    opaque, half = grey(layer("stripes"), layer("stripes", transparency=1.0))
    ground = 127.5
    np.testing.assert_allclose(half, ground + 0.3 * (opaque.astype(float) - ground), atol=1)


@pytest.mark.parametrize("mask", MASKS[1:])
def test_a_shadow_falls_outside_and_an_outline_inside(mask: str) -> None:
    plain, shadow, outline = (
        picture.astype(int)
        for picture in grey(
            *(
                _over_light(layer("blob", mask, scale=0.0, seed_u=0.4, **edge))
                for edge in ({}, {"shadow": 1.0}, {"outline": 1.0, "outline_width": 1.0})
            ),
            size=(96, 96),
        )
    )
    inside = plain == 255
    darker = plain - shadow
    assert darker.max() > 60
    assert darker.min() >= 0
    assert darker[inside].max() <= 1
    darker = plain - outline
    assert darker.max() > 100
    assert darker.min() >= 0
    assert (darker[inside] > 0).any()
    far = plain <= 191  # a ground of .75 where nothing of the layer is
    assert darker[far].max() <= 1


def _over_light(stack: Stack) -> Stack:
    """A white layer on a ground of three quarters."""
    genes, ground = stack.genes.copy(), stack.ground.copy()
    genes[0, [GENES.index("first a"), GENES.index("second a")]] = 1.0
    ground[[0, 3]] = 0.75
    return Stack(ground, stack.kinds, genes)


def test_a_layer_over_everything_has_no_edge() -> None:
    np.testing.assert_array_equal(*grey(layer("cells"), layer("cells", shadow=1.0, outline=1.0)))


def test_a_folded_layer_is_mirrored_and_a_mirrored_picture_altogether() -> None:
    rng = np.random.default_rng(2)
    genes = rng.random((2, len(GENES)), dtype=np.float32)
    genes[:, GENES.index("fold")] = (1.0, 0.0)
    genes[:, GENES.index("shade")] = 0.0  # which is not folded
    genes[:, GENES.index("transparency")] = 0.0
    kinds = np.array([[0, 1, 0], [0, 2, 1]], np.uint8)
    ground = rng.random(len(GROUND), dtype=np.float32)
    ground[10] = 0.0
    folded, both = grey(Stack(ground, kinds[:1], genes[:1]), Stack(ground, kinds, genes))
    np.testing.assert_array_equal(folded, folded[:, ::-1])
    assert (both != both[:, ::-1]).mean() > 0.1
    mirrored = ground.copy()
    mirrored[10] = 1.0
    genes = genes.copy()
    genes[:, GENES.index("shade")] = 1.0
    (whole,) = grey(Stack(mirrored, kinds, genes), size=(33, 47))
    np.testing.assert_array_equal(whole, whole[:, ::-1])


def test_tables_are_uniform_and_have_no_seam() -> None:
    tables = noise_tables()
    assert tables.shape == (4, SIDE, SIDE)
    assert tables.dtype == np.float32
    for table in tables:
        uniform = (np.arange(SIDE**2) + 0.5) / SIDE**2
        np.testing.assert_allclose(np.sort(table.ravel()), uniform, atol=1e-6)
        steps = np.abs(np.diff(table, axis=0)).mean()
        assert np.abs(table[0] - table[-1]).mean() < 1.5 * steps
        assert np.abs(table[:, 0] - table[:, -1]).mean() < 1.5 * steps


def test_cracks_are_dark_where_cells_meet() -> None:
    """Worley's second distance equals the first on the border between two cells."""
    _, _, cells, cracks = noise_tables()
    assert cracks[cells < 0.02].mean() > 0.7  # at a point the second one is far
    assert cells[cracks < 0.02].mean() > 0.6


def test_colours() -> None:
    np.testing.assert_array_equal(colour_matrix(1, "natural"), [[1, 0, 0, 0]])
    np.testing.assert_array_equal(colour_matrix(3, "uniform"), np.eye(3, 4))
    genes = np.random.default_rng(0).random((20_000, 3))
    natural = genes @ colour_matrix(3, "natural")[:, :3].T + colour_matrix(3, "natural")[:, 3]
    np.testing.assert_allclose(natural.mean(0), [0.48, 0.46, 0.41], atol=0.01)
    correlation = np.corrcoef(natural.T)
    assert correlation[0, 2] < correlation[0, 1]  # red is nearer to green than to blue
    assert correlation.min() > 0.7


def test_vivid_colours_are_rare_and_grey_stays_grey() -> None:
    rng = np.random.default_rng(0)
    stack = encodings.load("layers", (3, 8, 8), {"fewest": 60, "most": 60, "limit": 60}).sample(rng)
    stacks = Stacks.of([stack])
    for channels, colour in ((1, "natural"), (3, "uniform")):
        assert toned(stacks, channels, colour) is stacks  # type: ignore[arg-type]
    natural = toned(stacks, 3, "natural")
    chroma = [GENES.index(f"{which} {k}") for which in ("first", "second") for k in "bc"]
    t = 2.0 * stacks.genes[:, chroma] - 1
    expected = 0.5 + 0.35 * t * np.abs(t)
    np.testing.assert_allclose(natural.genes[:, chroma], expected, atol=1e-6)
    rest = np.array([name[-2:] not in (" b", " c") for name in GENES])
    np.testing.assert_array_equal(natural.genes[:, rest], stacks.genes[:, rest])
    np.testing.assert_array_equal(natural.grounds[:, [0, 3, 6]], stacks.grounds[:, [0, 3, 6]])
    np.testing.assert_array_equal(light(1, "natural"), [1])
    np.testing.assert_allclose(light(3, "natural"), [1, 0.3, 0.3])
    np.testing.assert_array_equal(light(3, "uniform"), [1, 1, 1])
