"""The penultimate layer of a net: what its last layer decides from."""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import nn

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import freeze
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.transformed import untransformed
from evofool.errors import ClassifierError
from evofool.images import to_float


def penultimate(classifier: Classifier) -> Classifier:
    """A victim whose "logits" are the features that `classifier` decides from.

    It goes through a `Scorer` like any other, so that every picture is counted;
    `evofool.scoring.features` does this in one call. Maps of features (of a net that ends in a
    convolution) are averaged over the picture.

    Args:
        classifier: a net with gradients; where it is behind transforms, its features are those of
            the picture as it is.

    Returns:
        A white box with as many "classes" as there are features, named ``"0"`` to ``"d-1"``. Its
        digest follows from that of `classifier`.

    Raises:
        ClassifierError: it is a black box, averages crops, or has no last layer that can be told
            from the rest.
    """
    classifier = untransformed(classifier)
    name = classifier.name
    if classifier.module is None:
        raise ClassifierError(
            f"classifier {name}: has no features, since a black box shows only its answers"
        )
    if classifier.crops > 1:
        raise ClassifierError(
            f"classifier {name}: features are computed from one picture; leave out crops"
        )
    probe = torch.from_numpy(to_float(probe_pictures(classifier.input_shape)[:2]))
    device = next((weight.device for weight in classifier.module.parameters()), probe.device)
    net = without_last_layer(classifier.module, probe.to(device), name, tapped=True)
    with torch.no_grad():
        size = net(probe.to(device)).shape[1]
    return Classifier(
        name=f"{name} without its last layer",
        labels=numbered_labels(size),
        input_shape=classifier.input_shape,
        digest=hashlib.sha256(f"penultimate {classifier.digest}".encode()).hexdigest(),
        output="logits",
        module=net,
        resize=classifier.resize,
        preprocessing=classifier.preprocessing,
    )


def without_last_layer(
    module: nn.Module, images: torch.Tensor, name: str, *, tapped: bool = False
) -> nn.Module:
    """A copy of `module` in evaluation mode that gives what its last layer was given, n x d.

    The last layer is the last part with weights that is called. It is taken out where what comes
    after it leaves features as they are.

    Args:
        module: images to outputs; it is not changed.
        images: float32 n x C x H x W on [0, 1], to try it on.
        name: of the net, for messages.
        tapped: of a net that does more after its last layer, the layer is kept and its input read
            in passing, by a hook. One thread at a time may call such a copy.

    Raises:
        ClassifierError: there is no such layer, or it cannot be taken out.
    """
    whole = copy.deepcopy(module)
    freeze(whole)
    path, given = _last_layer(whole, images, name)
    wanted = pooled(given)
    short = copy.deepcopy(whole)
    parent, _, own = path.rpartition(".")
    setattr(short.get_submodule(parent), own, nn.Identity())
    try:
        with torch.no_grad():
            answers = short(images.clone())
            if answers.shape == wanted.shape and torch.allclose(answers, wanted, 1e-4, 1e-5):
                return short
    except (RuntimeError, ValueError, TypeError, IndexError):
        pass  # what follows the layer does not fit features
    if not tapped:
        raise ClassifierError(
            f"classifier {name}: its last layer {path} cannot be replaced, since the net changes"
            " the output of that layer"
        )
    return _Tapped(whole, path).eval()


def pooled(features: torch.Tensor) -> torch.Tensor:
    """What a last layer is given, as one row a picture: n x d, float32.

    Args:
        features: float32 n x d, which stay as they are, or maps n x d x H x W, which are averaged
            over the picture.
    """
    return features.flatten(2).mean(2) if features.ndim == 4 else features


class _Tapped(nn.Module):
    """A net whose last layer is read in passing: images to what that layer was given."""

    def __init__(self, net: nn.Module, path: str) -> None:
        super().__init__()
        self.net = net
        self.given: torch.Tensor | None = None
        # a net with hooks is called by one thread at a time, see `classifiers.checks.threads`
        net.get_submodule(path).register_forward_pre_hook(self._keep)

    def _keep(self, _layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.given = inputs[0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to features, N x d."""
        self.net(images)
        given, self.given = self.given, None
        assert given is not None
        return pooled(given)


def _last_layer(net: nn.Module, images: torch.Tensor, name: str) -> tuple[str, torch.Tensor]:
    """Where the last layer is (a dotted path), and what it is given for `images`."""
    calls: list[tuple[str, torch.Tensor]] = []
    hooks = []
    for path, part in net.named_modules():
        weighs = any(weight.ndim >= 2 for weight in part.parameters(recurse=False))
        if not path or not weighs:
            continue

        def note(_part: nn.Module, inputs: tuple[object, ...], path: str = path) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor):
                calls.append((path, inputs[0].detach().clone()))

        hooks.append(part.register_forward_pre_hook(note))
    try:
        with torch.no_grad():
            net(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    if not calls or calls[-1][1].ndim not in (2, 4) or len(calls[-1][1]) != len(images):
        raise ClassifierError(
            f"classifier {name}: has no last layer that can be separated from the rest; it must"
            " be a module of its own, such as torch.nn.Linear"
        )
    return calls[-1]
