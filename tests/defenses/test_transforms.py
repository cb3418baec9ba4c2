"""Input transforms: the real ones, their stand-ins, and what gradients see of them."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from evofool.classifiers import load_classifier
from evofool.defenses.transforms import (
    BitDepth,
    Jpeg,
    MedianBlur,
    Transform,
    Transformed,
    jpeg_stand_in,
)
from evofool.defenses.victims import BitDepthConfig, defend
from evofool.errors import EvofoolError, UsageError
from evofool.scoring import Scorer

ALL: list[Transform] = [BitDepth(2), MedianBlur(3), MedianBlur(5), Jpeg(30)]


def smooth(n: int, channels: int, side: int) -> np.ndarray:
    """Pictures with structure: what compression is made for."""
    rng = np.random.default_rng(0)
    small = torch.from_numpy(rng.random((n, channels, side // 4, side // 4), dtype=np.float32))
    large = nn.functional.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1)
    return (large.numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transform", ALL, ids=str)
def test_pictures_stay_pictures(transform: Transform, channels: int) -> None:
    pictures = smooth(3, channels, 24)
    before = pictures.copy()
    found = transform.apply(pictures)
    assert (found.shape, found.dtype) == (pictures.shape, np.uint8)
    assert np.array_equal(pictures, before)
    assert not np.array_equal(found, pictures)
    one = transform.apply(pictures[1:2])
    assert np.array_equal(one[0], found[1])


@given(st.integers(1, 7))
def test_bit_depth_has_so_many_levels_and_is_idempotent(bits: int) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    found = BitDepth(bits).apply(levels)
    assert len(np.unique(found)) == 2**bits
    assert {0, 255} <= set(found.ravel().tolist())
    assert np.array_equal(BitDepth(bits).apply(found), found)
    assert np.abs(found.astype(int) - levels).max() <= 255 / (2**bits - 1) / 2 + 1


def test_the_median_and_its_stand_in_are_the_same() -> None:
    pictures = smooth(2, 3, 16)
    for size in (3, 5):
        real = MedianBlur(size).apply(pictures)  # type: ignore[arg-type]
        soft = MedianBlur(size).stand_in(torch.from_numpy(pictures).float() / 255)  # type: ignore[arg-type]
        assert soft.numpy() * 255 == pytest.approx(real, abs=1e-3)


@pytest.mark.parametrize("quality", [20, 75])
def test_jpeg_is_what_another_library_makes_of_it(quality: int) -> None:
    for channels in (1, 3):
        pictures = smooth(1, channels, 32)
        rows = np.moveaxis(pictures[0], 0, -1)
        buffer = io.BytesIO()
        picture = PIL.Image.fromarray(rows[..., 0] if channels == 1 else rows)
        picture.save(buffer, "JPEG", quality=quality)
        theirs = np.asarray(PIL.Image.open(buffer)).reshape(rows.shape)
        ours = np.moveaxis(Jpeg(quality).apply(pictures)[0], 0, -1)
        assert np.abs(ours.astype(int) - theirs).mean() < 1.5  # decoders differ in chroma


@pytest.mark.parametrize(("channels", "close"), [(1, 1.0), (3, 3.0)])
def test_the_jpeg_stand_in_is_near_the_real_one(channels: int, close: float) -> None:
    pictures = smooth(2, channels, 30)  # not a multiple of eight
    for quality in (20, 50, 90):
        real = Jpeg(quality).apply(pictures).astype(float)
        soft = jpeg_stand_in(torch.from_numpy(pictures).float() / 255, quality).numpy() * 255
        assert soft.shape == real.shape
        assert np.abs(soft - real).mean() < close
        changed = np.abs(real - pictures).mean()
        if quality == 20:  # nearer to the real one than doing nothing
            assert np.abs(soft - real).mean() < changed


@pytest.mark.parametrize("transform", ALL, ids=str)
def test_gradients_are_zero_until_adapted(transform: Transform) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    x = torch.from_numpy(smooth(2, 3, 16)).float().div(255).requires_grad_(True)
    plain, adaptive = Transformed(net, transform), Transformed(net, transform, adaptive=True)
    assert adaptive(x).detach().numpy() == pytest.approx(plain(x).detach().numpy(), abs=1e-5)
    direct = net(torch.from_numpy(transform.apply(smooth(2, 3, 16))).float() / 255)
    assert plain(x).detach().numpy() == pytest.approx(direct.detach().numpy(), abs=1e-5)
    (hidden,) = torch.autograd.grad(plain(x)[:, 0].sum(), x)
    (seen,) = torch.autograd.grad(adaptive(x)[:, 0].sum(), x)
    assert not hidden.any()
    assert seen.abs().sum() > 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BitDepth(0), "bits"),
        (lambda: BitDepth(8), "bits"),
        (lambda: MedianBlur(4), "size"),
        (lambda: Jpeg(0), "quality"),
        (lambda: Jpeg(101), "quality"),
    ],
)
def test_parameters(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]


def test_a_transform_is_scored_by_torch_since_a_graph_would_hold_its_pictures() -> None:
    victim = defend(load_classifier("mnist-lenet"), BitDepthConfig(name="bit-depth", bits=2))
    with Scorer(victim) as scorer:
        assert scorer.engine == "torch"
        assert "bit-depth runs outside torch" in scorer.note
    with pytest.raises(EvofoolError, match="bit-depth runs outside torch"):
        Scorer(victim, engine="onnxruntime")
