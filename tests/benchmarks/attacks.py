"""What the attacks reach and cost, as Markdown; the figures of docs/attacks.md.

    uv run python tests/benchmarks/attacks.py [imagenet] [ascent] [jsma] [substitute]

``imagenet`` takes foolbox's 20 labelled samples (foolbox is in the dev group); ``jsma`` and
``substitute`` take MNIST from $EVOFOOL_DATA. Several seeds where an attack draws at random.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.attacks import (
    FGSM,
    JSMA,
    PGD,
    CarliniWagner,
    DeepFool,
    GradientAscent,
    SimplifiedJSMA,
    Square,
    StepLL,
    SubstituteSettings,
    noise_images,
    train_substitute,
)
from evofool.attacks.query.noise import NoiseKind
from evofool.classifiers import load_classifier, prepare
from evofool.data import load_dataset
from evofool.images import read_picture, to_float
from evofool.scoring import Scorer

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
LITE0 = "imagenet-efficientnet-lite0"


def samples() -> tuple[Images, Labels]:
    """Those of foolbox's ImageNet samples that Lite0 classifies right."""
    import foolbox

    victim = load_classifier(LITE0)
    files = sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*"))
    pictures = np.stack([prepare(read_picture(file), victim) for file in files])
    labels = np.array([int(file.stem.split("_")[2]) for file in files])
    with Scorer(victim) as scorer:
        right = scorer.labels(pictures) == labels
    print(f"{right.sum()} of {len(files)} samples are classified right\n")
    return pictures[right], labels[right]


def imagenet() -> None:
    """White and black box on Lite0."""
    victim = load_classifier(LITE0)
    images, labels = samples()
    few = slice(0, 8)
    cases = [
        ("FGSM .007", FGSM(eps=0.007), slice(None)),
        ("FGSM 8/255", FGSM(eps=8 / 255), slice(None)),
        ("Step-LL 8/255", StepLL(eps=8 / 255), slice(None)),
        ("PGD-40 8/255", PGD(eps=8 / 255), few),
        ("DeepFool", DeepFool(), slice(None)),
        ("C&W L2", CarliniWagner(), slice(0, 4)),
        *((f"Square 8/255, seed {s}", Square(queries=300, seed=s), few) for s in range(5)),
    ]
    print(
        "| attack | n | fooled PNG | floats | forward | backward | verify | L2 PNG | L2 float | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    with Scorer(victim, batch=9) as scorer:
        for name, attack, part in cases:
            began = time.perf_counter()
            r = attack(scorer, images[part], labels[part])
            print(
                f"| {name} | {len(r)} | {r.success.mean():.1%} | {r.success_float.mean():.1%} |"
                f" {r.forward_images} | {r.backward_images} | {r.verify_forward_images} |"
                f" {r.norms.l2.mean():.3f} | {r.norms_float.l2.mean():.3f} |"
                f" {time.perf_counter() - began:.1f} |",
                flush=True,
            )
    try:
        import foolbox
    except ImportError:
        return
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = foolbox.PyTorchModel(victim.module, bounds=(0, 1), device="cpu")
    x, y = torch.from_numpy(to_float(images)), torch.from_numpy(labels)
    _, found, fooled = foolbox.attacks.L2DeepFoolAttack()(peer, x, y, epsilons=None)
    length = (found - x).flatten(1).norm(dim=1).mean()
    with Scorer(victim) as scorer:
        rounded = np.rint(found.numpy() * 255).astype(np.uint8)
        png = (scorer.labels(rounded) != labels).mean()
    print(
        f"\nfoolbox's DeepFool: {fooled.float().mean():.1%} on floats,"
        f" {png:.1%} as PNG, mean L2 {length:.3f} (floats)\n"
    )


def ascent() -> None:
    """Gradient ascent to .99 for 20 random classes of Lite0."""
    victim = load_classifier(LITE0)
    targets = np.random.default_rng(0).choice(1000, 20, replace=False)
    print("| start | reached .99 | least | forward | backward a class | s |")
    print("|---|---|---|---|---|---|")
    with Scorer(victim, batch=10) as scorer:
        kinds: tuple[NoiseKind, ...] = ("dim", "uniform", "grey")
        for kind in kinds:
            start = noise_images(kind, victim.input_shape, 20, 1)
            began = time.perf_counter()
            r = GradientAscent()(scorer, start, targets=targets)
            print(
                f"| {kind} | {r.success.sum()} of 20 | {r.sought_confidence.min():.4f} |"
                f" {r.forward_images} | {r.backward_images / 20:.1f} |"
                f" {time.perf_counter() - began:.1f} |",
                flush=True,
            )
    print()


def jsma() -> None:
    """Ten digits to nine targets each, on mnist-lenet; and FGSM .25 on the test split."""
    victim = load_classifier("mnist-lenet")
    data = load_dataset("mnist", "test")
    with Scorer(victim, batch=90) as scorer:
        right = scorer.labels(data.images[:1000]) == data.labels[:1000]
        first = [int(np.flatnonzero(right & (data.labels[:1000] == c))[0]) for c in range(10)]
        rows = np.repeat(first, 9)
        targets = np.array([t for c in range(10) for t in range(10) if t != c])
        images, labels = data.images[rows], data.labels[rows]
        print("| attack | success | share of pixels, all | of successes | forward | backward |")
        print("|---|---|---|---|---|---|")
        for name, attack in (
            ("JSMA, faithful pairs", JSMA()),
            ("JSMA, faithful pairs, theta -1", JSMA(theta=-1.0)),
            ("JSMA, simplified", SimplifiedJSMA()),
        ):
            r = attack(scorer, images, labels, targets=targets)
            share = r.norms.l0 / 784
            print(
                f"| {name} | {r.success.mean():.1%} | {share.mean():.2%} |"
                f" {share[r.success].mean():.2%} | {r.forward_images} | {r.backward_images} |",
                flush=True,
            )
        r = FGSM(eps=0.25)(scorer, data.images, data.labels)
    print(f"\nFGSM .25 on the 10,000 test digits: {r.success.mean():.2%} errors as PNG\n")


def substitute() -> None:
    """Papernot's substitute of mnist-lenet, labels only, three seeds."""
    victim = load_classifier("mnist-lenet")
    data = load_dataset("mnist", "test")
    start, exam = data.images[:150], data.images[9000:]
    images, labels = data.images[1000:2000], data.labels[1000:2000]
    inner: list[tuple[str, Callable[[], FGSM | PGD]]] = [
        ("FGSM .3", lambda: FGSM(eps=0.3)),
        (
            "PGD-20 .3, margin",
            lambda: PGD(eps=0.3, step_size=0.03, steps=20, early_stop=False, loss="margin"),
        ),
    ]
    print("| settings | seed | agreement a round, % | queries | transfer: FGSM .3 | PGD-20 .3 |")
    print("|---|---|---|---|---|---|")
    for name, options in (("default", {}), ("shift 2", {"shift": 2})):
        for seed in range(3):
            with Scorer(victim, batch=128) as scorer:
                settings = SubstituteSettings(seed=seed, **options)  # type: ignore[arg-type]
                taught = train_substitute(scorer, start, settings, evaluation=exam)
                rates = []
                with Scorer(taught.classifier, batch=128) as own:
                    for _, make in inner:
                        pixels = make()(own, images, labels).pixels
                        rates.append((scorer.labels(pixels) != labels).mean())
            rounds = " ".join(f"{100 * r.agreement:.0f}" for r in taught.rounds)
            print(
                f"| {name} | {seed} | {rounds} | {taught.queries} | {rates[0]:.1%} |"
                f" {rates[1]:.1%} |",
                flush=True,
            )
    print()


PARTS = {"imagenet": imagenet, "ascent": ascent, "jsma": jsma, "substitute": substitute}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()
