"""Victims from a module or a function: for users of the library, and for all loaders."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers.base import Classifier, Link, Output, Predict, Resize
from evofool.classifiers.checks.defaults import DEFAULTS
from evofool.classifiers.checks.locks import CallLock
from evofool.classifiers.checks.probe import ProbeLevel, probe_source
from evofool.classifiers.identity.functions import digest_function, old_digest_function
from evofool.classifiers.labels import check_labels, numbered_labels
from evofool.classifiers.tasks import Task, check_binary, two_classes, two_predicted, with_task
from evofool.errors import ClassifierError
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

MAX_SIDE = 8192
"""Longest side of an input, in pixels, as in configs."""

_LINKS: dict[Output, tuple[Link, ...]] = {
    "logits": ("softmax", "sigmoid", "identity"),
    "log_probs": ("softmax", "identity"),  # softmax(log p) is p; identity: each p for itself
    "probs": ("identity",),
    "topk": ("identity",),
    "label": ("identity",),
}
"""The links that make sense for an output; the first is the default."""
UNNAMED = ("module", "predict")
"""Names of victims that were given none."""


def from_module(
    module: nn.Module,
    *,
    input_shape: Shape,
    name: str = UNNAMED[0],
    labels: Sequence[str] | None = None,
    output: Output | None = None,
    link: Link | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: Resize | None = None,
    preprocessing: str | None = None,
    source: tuple[Path, str] | None = None,
    keep: bool = False,
    probe: ProbeLevel = "full",
    task: Task | None = None,
) -> Classifier:
    """Make a classifier (the victim) from a torch module; it has gradients, so it is a white box.

    >>> victim = evofool.from_module(net, input_shape=(3, 32, 32), labels=NAMES, mean=[0.5])

    The module is copied, put in evaluation mode and frozen, so that later training of the
    original neither changes the victim nor makes its digest untrue.

    Args:
        module: float32 N x C x H x W on [0, 1] (normalised by `mean` and `std`, if given) to
            N x classes.
        input_shape: channels, height, width of one image.
        name: for messages and run folders.
        labels: one per class; by default ``"0"`` to ``"n-1"``, as many as a probe finds classes.
        output: what the module gives: ``logits``, ``log_probs`` or ``probs``; by default
            ``probs`` if all rows of a probe are probabilities that sum to 1, else ``logits``.
        link: how logits become confidences; by default a softmax (for ``probs``: as they are).
            ``log_probs`` with ``identity`` are confidences that need not sum to 1.
        mean: subtracted from every channel of the input.
        std: divided by afterwards.
        resize: how natural pictures are resized; by default to just cover the input.
        preprocessing: one line for people, by default made from `mean` and `std`.
        source: path and sha256 of the file that defines it.
        keep: take the module itself rather than a copy (it is changed in place).
        probe: how thoroughly it is tested first; see `evofool.classifiers.checks.probe`.
        task: ``binary`` for a module that gives one logit per image (or with `output` ``probs``
            one confidence), N or N x 1, and has the two labels no and yes; ``multi-label`` for
            one whose classes do not exclude each other.

    Raises:
        ClassifierError: it does not behave as a classifier: see `classifiers.checks.probe`.
    """
    if output in ("topk", "label"):
        raise ClassifierError(
            f"classifier {name}: a module cannot have output {output!r}; use from_predict"
        )
    from evofool.classifiers.nets.checkpoints import digest_module

    shape = check_shape(input_shape, name)
    if task == "binary":
        check_binary(output, link, name)
    if output is not None:
        check_link(output, link, name)
    if not keep:
        from evofool.classifiers.checks.threads import refers_to

        try:
            with DEFAULTS.use():
                copied = copy.deepcopy(module, _empty_buffers(module))
        except (RuntimeError, TypeError) as error:
            raise ClassifierError(
                f"classifier {name}: the module cannot be copied ({error});"
                " give keep=True to hand it over"
            ) from error
        if refers_to(copied, module):
            raise ClassifierError(
                f"classifier {name}: the module cannot be copied (a hook or function in it"
                " refers to the module itself; in a copy it would still refer to the original);"
                " give keep=True to hand it over"
            )
        module = copied
    if task == "binary":
        module = two_classes(module, output)
    wrapped = normalised(module, mean, std, shape[0], name)
    materialise(wrapped, shape, name)
    freeze(wrapped)
    from evofool.classifiers.identity.digest import identity

    encoded = identity(wrapped)  # before it runs: it may keep something of its last batch
    old_digest = digest_module(wrapped)
    known = None if labels is None else check_labels(labels, f"classifier {name}")
    lock = CallLock()
    probed = probe_source(
        name,
        shape,
        output,
        n_labels=None if known is None else len(known),
        module=wrapped,
        level=probe,
        lock=lock,
    )
    victim = Classifier(
        name=name,
        labels=known or numbered_labels(probed.n_classes),
        input_shape=shape,
        digest=encoded.digest,
        output=probed.output,
        link=check_link(probed.output, link, name),
        module=wrapped,
        resize=resize,
        preprocessing=_describe(mean, std) if preprocessing is None else preprocessing,
        source=source,
        old_digest=old_digest,
        opaque=encoded.opaque,
        lock=lock,
    )
    return with_task(victim, task)


def from_predict(
    predict: Predict,
    *,
    input_shape: Shape,
    name: str = UNNAMED[1],
    labels: Sequence[str] | None = None,
    output: Output = "probs",
    link: Link | None = None,
    resize: Resize | None = None,
    preprocessing: str = "",
    source: tuple[Path, str] | None = None,
    probe: ProbeLevel = "small",
    task: Task | None = None,
) -> Classifier:
    """Make a classifier (the victim) from a function of images: a black box.

    >>> victim = evofool.from_predict(call_the_service, input_shape=(3, 64, 64), labels=NAMES)

    Its digest is the sha256 of the file that defines it, or of the file of `predict` itself, with
    the arrays, tensors and modules that the function holds. For a function made at a prompt, the
    compiled code replaces the file. The digest does not cover a service that the function calls.

    Args:
        predict: called with C-contiguous uint8 batches N x C x H x W of any length; gives what
            `output` says, N x classes or N labels.
        input_shape: channels, height, width of one image.
        name: for messages and run folders.
        labels: one per class; needed for ``label``, otherwise by default ``"0"`` to ``"n-1"``.
        output: what it returns: N x classes of ``probs``, ``logits``, ``log_probs`` or ``topk``
            (NaN for classes that are left out), or ``label``, (N,) integers.
        link: how logits become confidences; by default a softmax.
        resize: how natural pictures are resized; by default to just cover the input.
        preprocessing: one line for people.
        source: path and sha256 of the file that defines it.
        probe: how thoroughly it is tested first: with no picture, at most 8 pictures, or more.
        task: ``binary`` for a function that returns one confidence per image (or with `output`
            ``logits`` one logit), N or N x 1, and has the two labels no and yes; ``multi-label``
            for one whose classes do not exclude each other.

    Raises:
        ClassifierError: it does not behave as a classifier: see `classifiers.checks.probe`.
    """
    shape = check_shape(input_shape, name)
    if task == "binary":
        check_binary(output, link, name)
    link = check_link(output, link, name)
    known = None if labels is None else check_labels(labels, f"classifier {name}")
    old_digest = old_digest_function(predict) if source is None else source[1]
    digest = digest_function(predict, source)  # before it runs, see `from_module`
    if task == "binary":
        predict = two_predicted(predict, output)
    probed = probe_source(
        name,
        shape,
        output,
        n_labels=None if known is None else len(known),
        predict=predict,
        level=probe,
    )
    victim = Classifier(
        name=name,
        labels=known or numbered_labels(probed.n_classes),
        input_shape=shape,
        digest=digest,
        output=output,
        link=link,
        predict=predict,
        resize=resize,
        preprocessing=preprocessing,
        source=source,
        old_digest=None if old_digest == digest else old_digest,
        probed=probed.pictures,
    )
    return with_task(victim, task)


def check_link(output: Output, link: Link | None, name: str) -> Link:
    """The default link of an output, or `link` if it makes sense for it.

    Raises:
        ClassifierError: for example a softmax over probabilities.
    """
    allowed = _LINKS[output]
    if link is None:
        return allowed[0]
    if link not in allowed:
        raise ClassifierError(
            f"classifier {name}: link {link!r} makes no sense for output {output!r};"
            f" allowed: {', '.join(allowed)}"
        )
    return link


def check_shape(shape: Sequence[int], name: str) -> Shape:
    """`shape` as channels, height, width.

    Raises:
        ClassifierError: not three positive integers with 1 or 3 channels, or absurd ones.
    """
    parts = tuple(shape)
    whole = all(isinstance(part, int) and not isinstance(part, bool) for part in parts)
    if len(parts) != 3 or not whole or parts[0] not in (1, 3) or min(parts) < 1:
        raise ClassifierError(
            f"classifier {name}: input_shape must be channels (1 or 3), height, width,"
            f" not {list(parts)!r:.200}"
        )
    if max(parts) > MAX_SIDE:
        raise ClassifierError(
            f"classifier {name}: input_shape: no side can be longer than {MAX_SIDE} pixels"
        )
    return (parts[0], parts[1], parts[2])


def normalised(
    module: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels: int,
    name: str,
) -> nn.Module:
    """`module` behind (x - mean) / std, or itself where neither is given.

    Raises:
        ClassifierError: `mean` or `std` has neither one entry nor one per channel.
    """
    if mean is None and std is None:
        return module
    from evofool.classifiers.nets.normalised import Normalised

    parts = {"mean": tuple(mean or (0.0,)), "std": tuple(std or (1.0,))}
    for key, values in parts.items():
        if len(values) not in (1, channels):
            raise ClassifierError(
                f"classifier {name}: {key} has {len(values)} numbers for {channels} channels"
            )
    if min(parts["std"]) <= 0:
        raise ClassifierError(f"classifier {name}: std must be positive")
    return Normalised(module, parts["mean"], parts["std"])


def by_weights(classifier: Classifier) -> Classifier:
    """`classifier`, a named architecture, with the digest of its weights alone.

    The name fixes its layers, and their code may change from version to version of a library.
    """
    assert classifier.module is not None
    digest = classifier.old_digest or classifier.digest
    return dataclasses.replace(classifier, digest=digest, old_digest=None)


def materialise(module: nn.Module, shape: Shape, name: str) -> None:
    """Runs lazy layers once, which gives them their sizes, and their weights if these are not set.

    Raises:
        ClassifierError: they cannot take images of `shape`.
    """
    import torch
    from torch.nn.modules.lazy import LazyModuleMixin

    if not any(isinstance(inner, LazyModuleMixin) for inner in module.modules()):
        return
    module.eval()
    try:
        with DEFAULTS.use(), torch.no_grad():
            module(torch.zeros(1, *shape))
    except Exception as error:  # the user's own code
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClassifierError(
            f"classifier {name}: its lazy layers cannot be built from one image of"
            f" {' x '.join(map(str, shape))} ({type(error).__name__}: {line})"
        ) from error


def _empty_buffers(module: nn.Module) -> dict[int, Any]:
    """Copies of buffers without a size yet, which `copy.deepcopy` cannot make."""
    from torch.nn.parameter import UninitializedBuffer, is_lazy

    empty: Any = UninitializedBuffer  # whose type stub lacks its arguments
    return {
        id(buffer): empty(device=buffer.device, dtype=buffer.dtype)
        for buffer in module.buffers()
        if is_lazy(buffer)
    }


def freeze(module: nn.Module) -> None:
    """Evaluation mode, without gradients for parameters (gradients for images stay available).

    Nets in plain lists and other attributes are reached too, which `nn.Module.eval` does not do.
    """
    from torch import nn

    from evofool.classifiers.identity.reachable import modules_of

    for inner in modules_of(module):
        assert isinstance(inner, nn.Module)
        inner.eval()
        for parameter in inner.parameters(recurse=False):  # compiled modules have no other way
            # a copied compiled module has parameters that are views of another's
            parameter.detach_().requires_grad_(False)


def _describe(mean: Sequence[float] | None, std: Sequence[float] | None) -> str:
    if mean is None and std is None:
        return "[0, 1] as it is"
    return f"(x - {_numbers(mean or (0.0,))}) / {_numbers(std or (1.0,))}"


def _numbers(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:.4g}" for value in values)
    return text if len(values) == 1 else f"({text})"
