"""Whether a defense keeps the contract of `evofool.defenses.base.Defense`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier, load_classifier
from evofool.defenses.base import Defense
from evofool.defenses.registry import make
from evofool.defenses.victims import adapted, put_around
from evofool.errors import EvofoolError, UsageError
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.testing.faults import Faults
from evofool.testing.victim import boundary_images, small_net

CLEAN = 64
"""Pictures that a defense is given to learn from."""
CLOSE = 1e-4
"""Outputs nearer than this are the same, whatever the order of their sums."""


def check_defense(
    defense: Defense | type[Defense] | str,
    classifier: Classifier | str | None = None,
    *,
    seed: int = 0,
) -> None:
    """Test that a defense goes around a net, and that what is behind it can be judged.

    That is: its options are plain values that make the same defense again; the defended net gives
    finite outputs, one per class (and one for "no answer", if it rejects), the same again, which do
    not depend on the other pictures; neither pictures nor the undefended net are changed; what it
    learns from clean pictures is in its options; and what attacks that know it differentiate gives
    the same outputs, and gradients.

    Args:
        defense: with its options; or its class or name (``path/to/file.py:Class``), which then
            takes its defaults.
        classifier: the undefended net, a white box; by default a small smooth net.
        seed: of the pictures.

    Raises:
        ConformanceError: it does not conform; the error lists every fault with its mend.
    """
    name = defense if isinstance(defense, str) else getattr(defense, "name", repr(defense))
    faults = Faults(f"defense {name}")
    made = _made(faults, defense)
    base = load_classifier(classifier) if isinstance(classifier, str) else classifier
    base = base or small_net()
    images = boundary_images(base, seed)
    before = _outputs(base, images)
    made = _fitted(faults, made, base, seed)
    _options(faults, made)
    victim = _around(faults, made, base)
    _answers(faults, made, victim, base, images)
    _adapted(faults, victim, images)
    with faults.expecting(
        "it changes the undefended net",
        "leave base.module and its weights as they are; copy what is to be changed",
    ):
        np.testing.assert_array_equal(
            _outputs(base, images), before, "outputs of the base, after and before"
        )
    faults.stop_if_any()


def _made(faults: Faults, defense: Any) -> Defense:
    made = defense
    with faults.expecting("it cannot be made with its defaults", "give every option a default"):
        try:
            if isinstance(defense, str):
                made = make(defense, {}, Path.cwd())
            elif isinstance(defense, type):
                made = defense()
        except EvofoolError as error:
            faults.add("it cannot be loaded", str(error), "see the message above")
    faults.stop_if_any()
    if not isinstance(made, Defense):
        faults.add(
            f"{type(made).__name__} is not a defense", "",
            "derive it from evofool.defenses.base.Defense",
        )  # fmt: skip
    faults.stop_if_any()
    built: Defense = made
    return built


def _fitted(faults: Faults, defense: Defense, base: Classifier, seed: int) -> Defense:
    """What it is once it has learnt; the same pictures must teach it the same."""
    if not defense.learns:
        return defense
    rng = np.random.default_rng((20151001, seed))
    clean = rng.integers(0, 256, (CLEAN, *base.input_shape), dtype=np.uint8)
    taught = []
    for _ in range(2):
        with (
            faults.expecting("it learns nothing", "let fit return a defense with what it learnt"),
            Scorer(base, engine="torch", workers=1) as scorer,
        ):
            defense.check_clean(CLEAN)
            taught.append(defense.fit(clean, scorer))
            assert isinstance(taught[-1], type(defense)), (
                f"fit gives a {type(taught[-1]).__name__}, not a {type(defense).__name__}"
            )
    faults.stop_if_any()
    with faults.expecting(
        "it learns something else from the same pictures", "draw from a generator with a fixed seed"
    ):
        assert taught[0].options() == taught[1].options(), (
            f"{taught[0].options()}, then {taught[1].options()}"
        )
    return taught[0]


def _options(faults: Faults, defense: Defense) -> None:
    with faults.expecting(
        "its options do not make the same defense again",
        "keep everything that it is made of in fields of plain YAML values",
    ):
        options = json.loads(json.dumps(defense.options()))
        again = make_again(type(defense), options)
        assert again.options() == defense.options(), f"{again.options()} of {defense.options()}"
        assert again.identity() == defense.identity(), f"{again.identity()} as its identity"


def make_again(kind: type[Defense], options: dict[str, Any]) -> Defense:
    """A defense from its options, checked as those of a config are."""
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Defense] = TypeAdapter(kind)
    return adapter.validate_json(json.dumps(options))


def _around(faults: Faults, defense: Defense, base: Classifier) -> Classifier:
    victim = base
    with faults.expecting("it does not go around the net", "return a module from module(base)"):
        try:
            victim = put_around(base, defense)
        except UsageError as error:
            raise AssertionError(str(error)) from error
    faults.stop_if_any()
    return victim


def _answers(
    faults: Faults, defense: Defense, victim: Classifier, base: Classifier, images: UInt8Images
) -> None:
    n, classes = len(images), base.n_classes + defense.rejects
    with faults.expecting(
        "the defended net does not give one output per class",
        "give N x classes outputs as the base does, and one more, the last, if rejects is true",
    ):
        outputs = _outputs(victim, images)
        assert outputs.shape == (n, classes), f"shape {outputs.shape}, not {(n, classes)}"
        assert np.isfinite(outputs).all(), f"{int((~np.isfinite(outputs)).sum())} are not finite"
    faults.stop_if_any()
    with faults.expecting(
        "it gives different outputs the second time",
        "a verdict must be reproducible: use no randomness, and keep nothing between calls",
    ):
        np.testing.assert_allclose(_outputs(victim, images), outputs, atol=CLOSE)
    with faults.expecting(
        "the output of a picture depends on the others",
        "treat each picture by itself, without statistics of the batch",
    ):
        alone = np.concatenate([_outputs(victim, images[k : k + 1]) for k in range(n)])
        np.testing.assert_allclose(alone, outputs, atol=CLOSE)
    with faults.expecting("it changes the pictures it is given", "work on a copy: images.clone()"):
        import torch

        given = torch.from_numpy(images.astype(np.float32) / 255)
        kept = given.clone()
        assert victim.module is not None
        with torch.no_grad():
            victim.module(given)
        assert torch.equal(given, kept), "the tensor has changed after the call"


def _adapted(faults: Faults, victim: Classifier, images: UInt8Images) -> None:
    with faults.expecting(
        "the version for an attack that knows the defense gives other outputs",
        "let adapted() return a module that runs the real defense forward",
    ):
        knowing = adapted(victim) or victim
        np.testing.assert_allclose(_outputs(knowing, images), _outputs(victim, images), atol=CLOSE)
    with faults.expecting(
        "an attack that knows it has no gradient to climb",
        "give the module a method adapted() whose gradients pass, as through a stand-in (BPDA)",
    ):
        import torch

        x = torch.from_numpy(images.astype(np.float32) / 255).requires_grad_()
        assert knowing.module is not None
        # a sum of all outputs may be flat where each of them is not
        outputs = knowing.module(x)
        weights = torch.linspace(1, 2, outputs.shape[1])
        (slope,) = torch.autograd.grad((outputs * weights).sum(), x)
        assert torch.isfinite(slope).all(), "some of the gradient is not finite"
        assert slope.abs().sum() > 0, "it is zero everywhere"


def _outputs(net: Classifier, images: UInt8Images) -> NDArray[np.float64]:
    """What the module of a net gives for uint8 N x C x H x W, float64 N x outputs."""
    import torch

    assert net.module is not None
    with torch.no_grad():
        outputs = net.module(torch.from_numpy(images.astype(np.float32) / 255))
    values: NDArray[np.float64] = outputs.double().numpy()
    return values
