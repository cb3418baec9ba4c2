"""Whether a classifier behaves as scoring and attacks rely on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.checks.answers import owned
from evofool.classifiers.checks.defaults import DEFAULTS
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.errors import ClassifierError
from evofool.images import UInt8Images, check_images, to_float, to_uint8
from evofool.scoring import Scorer
from evofool.testing.faults import Faults

if TYPE_CHECKING:
    import torch
    from torch import nn

Matrix: TypeAlias = NDArray[np.float64]
_Call: TypeAlias = Callable[[UInt8Images], Matrix]

TOLERANCE = 1e-2
"""Of the largest score: batch shapes change the last bits, batch statistics change far more."""
EXACT = 1e-5
"""The same, of the same pictures in the same batch."""
DIRECTIONS = 8
"""Directions in which gradients are held to finite differences."""


def check_classifier(
    classifier: Classifier | str | Mapping[str, Any],
    images: ArrayLike | None = None,
    *,
    gradients: bool = True,
    seed: int = 0,
) -> None:
    """Test that a classifier scores each picture by itself, the same way each time.

    That is: one row of finite scores a picture, of the kind that `output` names, and one label a
    column; no randomness, no state, no look at the other pictures of a batch; its input is left
    alone; gradients of a white box are those of finite differences.

    At most 50 pictures are sent to a predict function.

    Args:
        classifier: the victim, or how a config names it.
        images: pictures N x C x H x W (uint8, or floats on [0, 1]) it is tried on; by default eight
            that are unlike each other. At least two.
        gradients: whether those of a white box are tested; not, where they are an approximation on
            purpose.
        seed: of the directions in which gradients are tested.

    Raises:
        ConformanceError: it does not conform; the error lists every fault with its mend.
    """
    named = not isinstance(classifier, Classifier)
    name = classifier if isinstance(classifier, str) else _name_of(classifier)
    faults = Faults(f"classifier {name}")
    victim = _loaded(faults, classifier) if named else classifier
    assert isinstance(victim, Classifier)
    shape = victim.input_shape
    if victim.crop_size is not None:
        shape = (shape[0], victim.crop_size, victim.crop_size)
    given = probe_pictures(shape) if images is None else check_images(images, shape)
    pictures = given if given.dtype == np.uint8 else to_uint8(given.astype(np.float32))
    if victim.module is not None:
        _check_mode(faults, victim.module)
    if victim.onnx is not None:
        with Scorer(victim, engine="onnxruntime", workers=1, batch=64) as scorer:
            _check(faults, victim, pictures.astype(np.uint8), lambda x: _by_scorer(scorer, x))
    else:
        _check(faults, victim, pictures.astype(np.uint8), _caller(victim))
    if victim.module is not None:
        _check_module(faults, victim.module, pictures.astype(np.uint8), gradients, seed)
    faults.stop_if_any()


def _name_of(classifier: Any) -> str:
    if isinstance(classifier, Classifier):
        return classifier.headline
    return str(classifier.get("name")) if isinstance(classifier, Mapping) else repr(classifier)


def _loaded(faults: Faults, spec: Any) -> Classifier | None:
    try:
        return load_classifier(spec)
    except ClassifierError as error:
        faults.add("it cannot be loaded", str(error), "see the message above")
    faults.stop_if_any()
    return None


def _check_mode(faults: Faults, module: nn.Module) -> None:
    """Whether it is in evaluation mode; nothing is run else, since running it would change it."""
    with faults.expecting("it is in train mode", "call module.eval() before it is handed over"):
        training = [name or "itself" for name, part in module.named_modules() if part.training]
        assert not training, f"{len(training)} modules are, such as {training[0]}"
    faults.stop_if_any()


def _caller(victim: Classifier) -> _Call:
    """The outputs of the victim itself, past every scorer: what it does is what is tested."""

    def by_module(images: UInt8Images) -> Matrix:
        import torch

        assert victim.module is not None
        with DEFAULTS.use(), torch.no_grad():
            x = torch.from_numpy(to_float(images)).to(_device(victim.module))
            return owned(victim.module(x), victim.name).astype(np.float64)

    def by_function(images: UInt8Images) -> Matrix:
        assert victim.predict is not None
        return owned(victim.predict(images.copy()), victim.name).astype(np.float64)

    return by_function if victim.predict is not None else by_module


def _by_scorer(scorer: Scorer, images: UInt8Images) -> Matrix:
    outputs = scorer.score(images, keep_unscored=True).outputs
    assert outputs is not None
    return outputs.astype(np.float64)


def _device(module: nn.Module) -> torch.device | str:
    anchor = next(module.parameters(), None)
    return "cpu" if anchor is None else anchor.device


def _check(faults: Faults, victim: Classifier, pictures: UInt8Images, call: _Call) -> None:
    n, classes = len(pictures), len(victim.labels)
    first: Matrix = np.empty(0)
    one_label = victim.output == "label"
    with faults.expecting(
        "it does not give one row of scores per picture",
        f"return one row of {classes} scores per picture (N integers where output is 'label')",
    ):
        first = call(pictures)
        if one_label:
            assert first.shape == (n,), f"shape: {first.shape}, not ({n},)"
        else:
            assert first.ndim == 2, f"shape: {first.shape}, not ({n}, classes)"
            assert len(first) == n, f"{len(first)} rows for {n} pictures"
    faults.stop_if_any()
    with faults.expecting(
        "it does not have one label per class",
        "give one label per column of scores, in their order",
    ):
        if one_label:
            inside = (first >= 0) & (first < classes)
            assert inside.all(), f"it answers {first[~inside][0]:g}, of {classes} labels"
        else:
            assert first.shape[1] == classes, f"{first.shape[1]} scores and {classes} labels"
        assert len(set(victim.labels)) == classes, "two labels are the same"
    _check_values(faults, victim, first)
    again = first
    with faults.expecting(
        "it gives different scores for the same pictures the second time",
        "switch off dropout and all other randomness (module.eval()), and keep no state",
    ):
        again = call(pictures)
        _assert_same(again, first, EXACT, "second and first time")
    if any(fault.what.startswith("it gives different scores") for fault in faults.found):
        return  # nothing can be told from differences now
    with faults.expecting(
        "the scores of a picture depend on the others of its batch, or on its place there",
        "score each picture by itself: batch statistics belong to training",
    ):
        _assert_same(call(pictures[:1]), first[:1], TOLERANCE, "a picture alone and in a batch")
        _assert_same(call(pictures[1:2]), first[1:2], TOLERANCE, "a picture alone and in a batch")
        _assert_same(call(pictures[::-1])[::-1], first, TOLERANCE, "pictures in another order")
    with faults.expecting(
        "the scores of a picture depend on what was asked before", "keep nothing between calls"
    ):
        call(255 - pictures)
        _assert_same(call(pictures), first, EXACT, "after other pictures and before")
    if victim.predict is not None:
        with faults.expecting(
            "it writes into its input", "work on a copy: images = images.astype(...)"
        ):
            mine = pictures.copy()
            victim.predict(mine)
            np.testing.assert_array_equal(mine, pictures, "the images after and before the call")


def _check_values(faults: Faults, victim: Classifier, scores: Matrix) -> None:
    kind = victim.output
    with faults.expecting(
        "it gives NaN or infinite scores",
        "look for a division by zero (a picture of one level has a deviation of 0), a logarithm"
        " of 0, and damaged weights",
    ):
        good = _usable(scores, kind)
        assert good.all(), f"{int((~good).sum())} of {scores.size} scores"
    with faults.expecting(
        f"its scores are not {kind}",
        "set the kind of its scores: output=logits, log_probs, probs...",
    ):
        values = scores[np.isfinite(scores)]
        low, high = float(values.min(initial=0)), float(values.max(initial=0))
        if kind in ("probs", "topk"):
            assert low >= -1e-6, f"the smallest is {low:g}"
            assert high <= 1 + 1e-4, f"the largest is {high:g}"
        if kind == "log_probs":
            assert high <= 1e-4, f"the largest is {high:g}, and log 1 is 0"


def _usable(scores: Matrix, kind: str) -> NDArray[np.bool_]:
    """Which scores a victim may give: of a masked class -inf, of one that is not told NaN."""
    finite = np.isfinite(scores)
    if kind == "topk":
        return finite | np.isnan(scores)
    if kind in ("logits", "log_probs"):
        masked = np.isneginf(scores)
        return finite | (masked & ~masked.all(axis=1, keepdims=True))
    return finite


def _check_module(
    faults: Faults, module: nn.Module, pictures: UInt8Images, gradients: bool, seed: int
) -> None:
    import torch

    with faults.expecting(
        "it writes into its input", "use x = x - mean, not x -= mean or x.sub_(mean)"
    ):
        x = torch.from_numpy(to_float(pictures[:2])).to(_device(module))
        kept = x.clone()
        with DEFAULTS.use(), torch.no_grad():
            module(x)
        np.testing.assert_array_equal(
            x.cpu().numpy(), kept.cpu().numpy(), "the images after and before the call"
        )
    unsteady = ("it gives different scores", "the scores of a picture depend", "it gives NaN")
    if gradients and not any(fault.what.startswith(unsteady) for fault in faults.found):
        _check_gradients(faults, module, len(pictures), tuple(pictures.shape[1:]), seed)


def _check_gradients(
    faults: Faults, module: nn.Module, n: int, shape: tuple[int, ...], seed: int
) -> None:
    import torch

    rng = np.random.default_rng((20150608, seed))
    # away from 0 and 1, where a net may cut off
    images = rng.integers(64, 192, (min(n, 4), *shape)).astype(np.float64) / 255
    mend = (
        "let every step be differentiable by autograd: no detach, no numpy, no rounding, no custom"
        " backward. Where it is an approximation on purpose, say gradients=False here"
    )
    with faults.expecting("its gradients do not reach the picture", mend), DEFAULTS.use():
        x = torch.from_numpy(images).float().to(_device(module)).requires_grad_()
        outputs = module(x)
        assert outputs.requires_grad, "the outputs have no gradient at all"
        weights = torch.from_numpy(rng.normal(size=outputs.shape[1]))
        loss = (outputs.double() * weights.to(outputs.device)).sum()
        (gradient,) = torch.autograd.grad(loss, x, allow_unused=True)
        assert gradient is not None, "the outputs have one, but not with respect to the images"
    if any(fault.what.startswith("its gradients") for fault in faults.found):
        return
    with faults.expecting("its gradients are not those of finite differences", mend):
        taken = gradient.cpu().double().numpy()
        assert np.isfinite(taken).all(), "they are not finite"
        exact, step, allowed = _precise(module, images)
        directions = rng.choice([-1.0, 1.0], (DIRECTIONS, *shape))
        along = np.einsum("nchw,dchw->nd", taken, directions)
        across = np.stack(
            [
                (exact(images + step * d) - exact(images - step * d)) @ weights.numpy() / (2 * step)
                for d in directions
            ],
            axis=1,
        )
        error = float(np.linalg.norm(along - across))
        size = max(float(np.linalg.norm(along)), float(np.linalg.norm(across)))
        assert error <= allowed * size + 1e-6, (
            f"relative difference {error / size:.2g} (at most {allowed:g}), over"
            f" {along.size} derivatives along random directions\n"
            f" by autograd: {np.array2string(along.ravel()[:4], precision=4)}...\n"
            f" by differences: {np.array2string(across.ravel()[:4], precision=4)}..."
        )


def _precise(
    module: nn.Module, images: NDArray[np.float64]
) -> tuple[Callable[[NDArray[np.float64]], Matrix], float, float]:
    """The module in float64 where it can be had, the step of differences, the error allowed."""
    import torch

    def of(net: nn.Module, kind: torch.dtype) -> Callable[[NDArray[np.float64]], Matrix]:
        def call(x: NDArray[np.float64]) -> Matrix:
            with DEFAULTS.use(), torch.no_grad():
                given = torch.from_numpy(x).to(_device(net), kind)
                return net(given).cpu().double().numpy()  # type: ignore[no-any-return]

        return call

    plain = of(module, torch.float32)
    try:
        double = of(copy.deepcopy(module).double(), torch.float64)
        np.testing.assert_allclose(double(images), plain(images), rtol=1e-3, atol=1e-3)
    except Exception:  # it has constants of float32, cannot be copied...
        return plain, 4e-3, 0.2
    return double, 1e-5, 0.02


def _assert_same(actual: Matrix, wanted: Matrix, tolerance: float, what: str) -> None:
    finite = np.abs(wanted[np.isfinite(wanted)])
    largest = float(finite.max(initial=0.0))
    np.testing.assert_allclose(
        actual, wanted, rtol=0, atol=tolerance * largest, equal_nan=True, err_msg=what
    )
