"""Transforms of pictures: what they are, that they are OpenCV's, and how they are scored."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_members, from_module, from_predict
from evofool.classifiers.nets.transformed import combined_tensor
from evofool.classifiers.transformed import untransformed, with_transforms
from evofool.classifiers.transforms.drawing import draw, resampling
from evofool.classifiers.transforms.pictures import Transformation, sampling_grid
from evofool.config.transforms import TransformsConfig
from evofool.defenses.transforms import Jpeg
from evofool.defenses.victims import check_defense
from evofool.errors import ClassifierError, UsageError
from evofool.randomness import Stream
from evofool.scoring import Scorer, features
from evofool.scoring.cuda import MODES
from evofool.scoring.ranking import average_log_odds, sigmoid
from evofool.scoring.transformed import combined_log_odds

SHAPE = (3, 24, 20)
ALL: dict[str, Any] = {
    "k": 5,
    "seed": 3,
    "perspective": 0.07,
    "rotation": (-15.0, 15.0),
    "scale": (0.8, 1.1),
    "shift": (-0.1, 0.1),
    "brightness": (-0.15, 0.15),
    "contrast": (0.8, 1.2),
    "motion_blur": (0.0, 3.0),
    "defocus": (0.0, 2.0),
    "resample": (16, 600),
    "noise": (0.0, 0.03),
    "jpeg": (60, 95),
}


class Net(nn.Module):
    """Smooth, so that finite differences hold."""

    def __init__(self, shape: tuple[int, int, int] = SHAPE) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        size = shape[0] * shape[1] * shape[2]
        self.weight = nn.Parameter(torch.randn(4, size, generator=rng) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x.flatten(1) @ self.weight.t()) * 3


@pytest.fixture(scope="module")
def net() -> Classifier:
    return from_module(Net(), input_shape=SHAPE, name="smooth")


def pictures(n: int = 6, seed: int = 0) -> NDArray[np.uint8]:
    """Blurred noise: what a camera sees has no single bright pixels."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (n, *SHAPE)).astype(np.float32)
    soft = [cv2.GaussianBlur(image.transpose(1, 2, 0), (0, 0), 2.0) for image in raw]
    rows = np.stack(soft).transpose(0, 3, 1, 2)
    rows = (rows - rows.min()) / (rows.max() - rows.min())
    return np.rint(255 * rows).astype(np.uint8)


def seen(config: TransformsConfig, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """N x k x C x H x W."""
    made = Transformation(config, SHAPE)(torch.from_numpy(images / np.float32(255)))
    return made.reshape(len(images), config.k, *SHAPE).numpy()


def hwc(image: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(image.transpose(1, 2, 0))


@pytest.mark.parametrize("fill", ["edge", 0.25])
def test_geometry_is_warp_perspective(fill: Any) -> None:
    geometry = {key: ALL[key] for key in ("perspective", "rotation", "scale", "shift")}
    config = TransformsConfig(k=6, quantise=False, fill=fill, **geometry)
    images, drawn = pictures(), draw(config, SHAPE)
    assert drawn.matrices is not None
    border = cv2.BORDER_REPLICATE if fill == "edge" else cv2.BORDER_CONSTANT
    value = (0.25,) * 3
    for image, views in zip(images, seen(config, images), strict=True):
        floats = hwc(image) / np.float32(255)
        for view, matrix in zip(views, drawn.matrices, strict=True):
            wanted = cv2.warpPerspective(
                floats, matrix, (SHAPE[2], SHAPE[1]), borderMode=border, borderValue=value
            )
            # OpenCV rounds places to 1/32 pixel
            assert np.abs(hwc(view) - wanted).max() < 0.02


def test_blurs_are_filter_2d() -> None:
    config = TransformsConfig(k=4, quantise=False, motion_blur=(1.0, 4.0), defocus=(0.5, 2.0))
    images, drawn = pictures(), draw(config, SHAPE)
    assert drawn.motion is not None
    assert drawn.defocus is not None
    assert np.allclose(drawn.motion.sum((1, 2)), 1)
    assert np.allclose(drawn.defocus.sum((1, 2)), 1)
    for image, views in zip(images, seen(config, images), strict=True):
        for view, motion, disc in zip(views, drawn.motion, drawn.defocus, strict=True):
            wanted = hwc(image) / np.float32(255)
            for kernel in (motion, disc):
                wanted = cv2.filter2D(wanted, -1, kernel, borderType=cv2.BORDER_REPLICATE)
            assert np.abs(hwc(view) - wanted).max() < 1e-5


def test_a_camera_of_other_pixels_is_resize_there_and_back() -> None:
    config = TransformsConfig(k=6, quantise=False, resample=(12, 600))
    images, drawn = pictures(), draw(config, SHAPE)
    assert drawn.sides is not None
    assert len(set(drawn.sides[:, 0].tolist())) > 3
    for image, views in zip(images, seen(config, images), strict=True):
        for view, (height, width) in zip(views, drawn.sides.tolist(), strict=True):
            wanted = hwc(image) / np.float32(255)
            for size in ((width, height), (SHAPE[2], SHAPE[1])):
                grows = size[0] >= wanted.shape[1]
                how = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
                wanted = cv2.resize(wanted, size, interpolation=how)
            assert np.abs(hwc(view) - wanted).max() < 1e-4


def test_jpeg_is_opencvs_to_the_bit() -> None:
    config = TransformsConfig(k=3, jpeg=(40, 90))
    images, drawn = pictures(), draw(config, SHAPE)
    assert drawn.jpeg is not None
    for image, views in zip(images, seen(config, images), strict=True):
        for view, quality in zip(views, drawn.jpeg.tolist(), strict=True):
            flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
            _, data = cv2.imencode(".jpg", hwc(image)[..., ::-1], flags)
            wanted = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
            assert np.array_equal(np.rint(hwc(view) * 255).astype(np.uint8), wanted)


def test_light_and_noise() -> None:
    images = pictures()
    lit = TransformsConfig(k=3, quantise=False, brightness=(0.1, 0.1), contrast=(0.5, 0.5))
    wanted = np.clip((images / 255 - 0.5) * 0.5 + 0.6, 0, 1)
    assert np.abs(seen(lit, images) - wanted[:, None]).max() < 1e-6
    grey = np.full((1, *SHAPE), 128, np.uint8)
    noisy = seen(TransformsConfig(k=64, quantise=False, noise=(0.05, 0.05)), grey)
    assert noisy.std() == pytest.approx(0.05, rel=0.02)
    assert noisy.mean() == pytest.approx(128 / 255, abs=1e-3)


def test_an_identity_grid_samples_the_picture_itself() -> None:
    """`align_corners` is not what the matrices mean: with it, borders would move."""
    images = torch.from_numpy(pictures() / np.float32(255))
    grid = torch.from_numpy(sampling_grid(np.eye(3)[None], *SHAPE[1:])).float()
    grid = grid.expand(len(images), -1, -1, -1)
    for aligned, equal in ((False, True), (True, False)):
        made = torch.nn.functional.grid_sample(images, grid, align_corners=aligned)
        assert bool((made - images).abs().max() < 1e-5) is equal


def test_camera_pixels_of_the_same_number_change_nothing() -> None:
    assert np.allclose(resampling(20, 20), np.eye(20))


def test_behind_the_camera_there_is_only_fill() -> None:
    steep = np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0.2, 1]]])
    grid = sampling_grid(steep, 24, 20)
    assert np.isfinite(grid).all()
    assert np.abs(grid).max() <= 1e4


@pytest.mark.parametrize("combine", ["mean", "mean_log_odds", "least"])
def test_what_is_scored_is_each_transform_scored_alone(net: Classifier, combine: Any) -> None:
    config = TransformsConfig(combine=combine, **ALL)
    images = pictures()
    with (
        Scorer(with_transforms(net, config), engine="torch") as scorer,
        Scorer(net, engine="torch") as plain,
    ):
        scores = scorer.score(images)
        views = seen(config, images).reshape(-1, *SHAPE)
        odds = plain.score(views).log_odds.reshape(len(images), config.k, -1)
        wanted = {
            "mean": np.log(sigmoid(odds).mean(1)) - np.log(sigmoid(-odds).mean(1)),
            "mean_log_odds": odds.mean(1),
            "least": odds.min(1),
        }[combine]
        assert np.allclose(scores.log_odds, wanted, atol=1e-6)
        assert (scores.labels == scores.log_odds.argmax(1)).all()
        assert (scorer.queries, scorer.forward_images) == (len(images), len(images) * config.k)


def test_confidences_that_saturate_still_rank() -> None:
    odds = np.array([[[60.0, -60], [61, -61]], [[60, -60], [62, -62]]])
    combined = combined_log_odds(odds, "mean")
    assert combined[1, 0] > combined[0, 0] > 59
    assert np.array_equal(combined, average_log_odds(odds))
    tensor = combined_tensor(torch.from_numpy(odds), "mean").numpy()
    assert np.allclose(tensor, combined, rtol=1e-12)


def test_an_identity_gives_the_logits_of_none(net: Classifier) -> None:
    images = pictures()
    with Scorer(net) as plain:
        logits, odds = plain.logits(images), plain.score(images).log_odds
    for config in (TransformsConfig(k=1), TransformsConfig(k=1, rotation=(0.0, 0.0))):
        with Scorer(with_transforms(net, config)) as scorer:
            assert np.array_equal(scorer.logits(images), logits)
            assert np.array_equal(scorer.score(images).log_odds, odds)
    with Scorer(with_transforms(net, TransformsConfig(k=3))) as scorer:
        assert np.allclose(scorer.score(images).log_odds, odds, atol=1e-12)


def test_a_score_depends_on_the_picture_alone(net: Classifier) -> None:
    victim, images = with_transforms(net, TransformsConfig(**ALL)), pictures(9)
    order = np.random.default_rng(1).permutation(len(images))
    with Scorer(victim, engine="torch", batch=64, workers=1) as scorer:
        first = scorer.score(images).log_odds
        assert np.array_equal(scorer.score(images[order]).log_odds, first[order])
    for batch, workers in ((1, 1), (5, 3), (20, 2)):
        with Scorer(victim, engine="torch", batch=batch, workers=workers) as scorer:
            assert np.allclose(scorer.score(images).log_odds, first, atol=1e-5)


def test_transforms_are_those_of_the_seed() -> None:
    config = TransformsConfig(**ALL)
    first, again = draw(config, SHAPE), draw(config, SHAPE)
    other = draw(config.model_copy(update={"seed": 4}), SHAPE)
    held = draw(config, SHAPE, stream=Stream.HELD_BACK)
    part = draw(config, SHAPE, range(2, 4))
    for name in ("matrices", "brightness", "contrast", "noise"):
        values = getattr(first, name)
        assert np.array_equal(values, getattr(again, name))
        assert np.array_equal(values[2:4], getattr(part, name))
        assert not np.isclose(values, getattr(other, name)).any(-1).all()
        assert not np.isclose(values, getattr(held, name)).any(-1).all()
    alone = draw(TransformsConfig(k=5, seed=3, brightness=(-0.15, 0.15)), SHAPE)
    assert np.array_equal(alone.brightness, first.brightness)  # whatever other stages do


@pytest.mark.parametrize("combine", ["mean", "mean_log_odds", "least"])
def test_gradients_are_finite_differences_in_float64(combine: Any) -> None:
    keys = {key: value for key, value in ALL.items() if key != "jpeg"}
    config = TransformsConfig(quantise=False, combine=combine, **keys)
    victim = with_transforms(from_module(Net(), input_shape=SHAPE, name="smooth"), config)
    assert victim.module is not None
    module = victim.module.double()
    x = torch.from_numpy(pictures(2) / 255 * 0.5 + 0.25).requires_grad_(True)
    module(x)[:, 1].sum().backward()
    assert x.grad is not None
    rng = np.random.default_rng(2)
    for _ in range(4):
        step = torch.from_numpy(rng.standard_normal(x.shape)) * 1e-6
        with torch.no_grad():
            up, down = module(x + step)[:, 1].sum(), module(x - step)[:, 1].sum()
        assert float((up - down) / 2) == pytest.approx(float((x.grad * step).sum()), rel=1e-4)


def test_gradients_pass_straight_through_8_bits_and_jpeg(net: Classifier) -> None:
    images = pictures()
    made = []
    for config in (TransformsConfig(k=2, jpeg=(90, 90)), TransformsConfig(k=2)):
        with Scorer(with_transforms(net, config), engine="torch") as scorer:
            made.append(scorer.gradients(images, lambda outputs, _: outputs[:, 1]).values)
            counts = (scorer.forward_images, scorer.backward_images, scorer.queries)
            assert counts == (2 * len(images), 2 * len(images), len(images))
    cosine = (made[0] * made[1]).sum() / np.sqrt((made[0] ** 2).sum() * (made[1] ** 2).sum())
    assert cosine > 0.95


def test_engines_agree(net: Classifier) -> None:
    victim, images = with_transforms(net, TransformsConfig(**ALL)), pictures()
    odds = []
    for engine in ("torch", "onnxruntime"):
        with Scorer(victim, engine=engine) as scorer:
            assert scorer.engine == engine
            odds.append(scorer.score(images).log_odds)
    assert np.abs(odds[0] - odds[1]).max() < 1e-3


def test_an_ensemble_sees_the_same_transforms(net: Classifier) -> None:
    torch.manual_seed(1)
    other = from_module(nn.Sequential(nn.Flatten(), nn.Linear(1440, 4)), input_shape=SHAPE)
    both = from_members([net, other])
    victim = with_transforms(both, TransformsConfig(**ALL))
    assert victim.passes == 10
    assert untransformed(victim) is both
    images = pictures()
    with Scorer(victim) as scorer, Scorer(both) as plain:
        views = seen(TransformsConfig(**ALL), images).reshape(-1, *SHAPE)
        odds = plain.score(views).log_odds.reshape(len(images), 5, -1)
        assert np.allclose(scorer.score(images).log_odds, average_log_odds(odds), atol=1e-6)
        assert scorer.forward_images == 10 * len(images)


def test_the_digest_is_of_net_and_transforms(net: Classifier) -> None:
    config = TransformsConfig(**ALL)
    digest = with_transforms(net, config).digest
    assert digest == with_transforms(net, config).digest != net.digest
    for update in ({"k": 6}, {"seed": 4}, {"combine": "least"}, {"jpeg": None}, {"fill": 0.5}):
        assert with_transforms(net, config.model_copy(update=update)).digest != digest
    more = config.model_copy(update={"held_back": 100})
    assert with_transforms(net, more).digest == digest  # decides no score


def test_what_cannot_be_transformed_says_why(net: Classifier) -> None:
    config = TransformsConfig(**ALL)

    def ask(x: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.full((len(x), 4), 0.25)

    def first(x: NDArray[np.uint8]) -> NDArray[np.int64]:
        return np.zeros(len(x), np.int64)

    service = from_predict(ask, input_shape=SHAPE)
    with pytest.raises(ClassifierError, match="send it each picture 5 times"):
        with_transforms(service, config)
    with pytest.raises(ClassifierError, match="'topk'"):
        with_transforms(from_predict(ask, input_shape=SHAPE, output="topk"), config)
    labels = from_predict(first, input_shape=SHAPE, labels=list("abcd"), output="label")
    with pytest.raises(ClassifierError, match="'label'"):
        with_transforms(labels, config)
    with pytest.raises(ClassifierError, match="already has transforms"):
        with_transforms(with_transforms(net, config), config)
    with pytest.raises(ClassifierError, match="give them to the ensemble"):
        from_members([with_transforms(net, config)])


def test_features_are_of_the_picture_as_it_is() -> None:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(1440, 5), nn.Tanh(), nn.Linear(5, 4))
    plain = from_module(layers, input_shape=SHAPE)
    behind = with_transforms(plain, TransformsConfig(**ALL))
    images = pictures()
    assert np.array_equal(features(behind, images), features(plain, images))


def test_a_defense_goes_around_the_net_itself(net: Classifier) -> None:
    with pytest.raises(UsageError, match=r"give them to the victim\.yaml"):
        check_defense(with_transforms(net, TransformsConfig(**ALL)), Jpeg(quality=75))


@pytest.mark.gpu
def test_a_device_sees_the_same_views() -> None:
    """All stages, so that a convolution or a product in TF32 would show: it errs by 1e-3."""
    config = TransformsConfig(**ALL | {"quantise": False, "jpeg": None})
    made = Transformation(config, SHAPE)
    images = torch.from_numpy(pictures() / np.float32(255))
    weights = torch.rand(len(images) * config.k, *SHAPE, generator=torch.Generator().manual_seed(2))

    def views(device: str) -> tuple[torch.Tensor, torch.Tensor]:
        there = images.to(device).requires_grad_()
        out = made(there)
        (slope,) = torch.autograd.grad((out * weights.to(device)).sum(), there)
        return out.detach().cpu(), slope.cpu()

    with MODES.use("float32"):  # as a scorer has it
        on_gpu = views("cuda")
    for one, other in zip(views("cpu"), on_gpu, strict=True):
        assert (one - other).abs().max() < 1e-4

    with MODES.use("float32"):
        levels = [
            Transformation(TransformsConfig(**ALL), SHAPE).to_score(images.to(device)).cpu().int()
            for device in ("cpu", "cuda")
        ]
    # a value next to a half is rounded either way, and JPEG makes a block of that
    assert (levels[0] - levels[1]).abs().float().mean() < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("combine", ["mean", "mean_log_odds", "least"])
def test_a_device_gives_the_same_answers_and_gradients(combine: str, net: Classifier) -> None:
    victim = with_transforms(net, TransformsConfig(**ALL | {"combine": combine, "jpeg": None}))
    images = pictures()
    with (
        Scorer(victim, engine="torch", device="cpu") as here,
        Scorer(victim, engine="torch", device="cuda") as there,
    ):
        one, other = here.score(images), there.score(images)
        assert np.abs(one.log_odds - other.log_odds).max() < 5e-3
        assert here.ledger.sent == there.ledger.sent
        a, b = (s.gradients(images, lambda outputs, _: outputs[:, 1]).values for s in (here, there))
        assert np.abs(a - b).max() < 5e-3 * np.abs(a).max()
        again = there.gradients(images, lambda outputs, _: outputs[:, 1]).values
        assert np.array_equal(again, b)
