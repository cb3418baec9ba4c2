"""A net behind transforms as one module: a picture in, combined log-odds out, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evofool.classifiers.base import Classifier
from evofool.classifiers.nets.ensemble import tensor_log_odds
from evofool.classifiers.transforms.pictures import Transformation
from evofool.config.transforms import Combine


class TransformedModule(nn.Module):
    """Floating N x C x H x W on [0, 1] to N x classes: log-odds, or outputs of one transform.

    Args:
        classifier: the victim, whose net has a module.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        transformed = classifier.transformed
        assert transformed is not None
        assert transformed.net.module is not None
        net, config = transformed.net, transformed.config
        self.net = net.module
        onto = transformed.onto
        self._transformation = Transformation(
            config, net.input_shape, onto=None if onto is None else onto.scored
        )
        self._combine = config.combine
        self._output, self._link = net.output, net.link

    def forward(self, images: Tensor) -> Tensor:
        """The scores of `images`, floating N x C x H x W on [0, 1]: N x classes.

        float64 log-odds; of a single transform the outputs of the net, as they are.
        """
        k = self._transformation.k
        assert self.net is not None
        outputs: Tensor = self.net(self._transformation(images).clone())
        if k == 1:
            return outputs
        odds = tensor_log_odds(outputs, self._output, self._link)
        return combined_tensor(odds.reshape(-1, k, odds.shape[-1]), self._combine)


def combined_tensor(log_odds: Tensor, combine: Combine) -> Tensor:
    """The log-odds of k transforms as one figure a class, with gradients.

    Args:
        log_odds: floating N x k x classes.
        combine: how.

    Returns:
        floating N x classes.
    """
    if combine == "least":
        return log_odds.amin(1)
    if combine == "mean_log_odds":
        return log_odds.mean(1)
    yes = torch.logsumexp(nn.functional.logsigmoid(log_odds), 1)
    no = torch.logsumexp(nn.functional.logsigmoid(-log_odds), 1)
    return yes - no
