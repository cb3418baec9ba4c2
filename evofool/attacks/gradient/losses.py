"""What a gradient attack climbs, and when an image counts as fooled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.result import NONE, Labels
from evofool.classifiers.base import Classifier, Output
from evofool.classifiers.tasks import CLAIMED

if TYPE_CHECKING:
    import torch

LossName: TypeAlias = Literal["cross_entropy", "margin"]

SLACK = 1e-3
"""Lead in logits that a fooled image must have before it leaves a batch: PyTorch, which gives the
gradients, and the engine that judges the picture differ by less than this."""


class Goal:
    """The goal of each of N images: its target class, or any class but its label.

    Losses grow towards the goal: the cross-entropy of the label, or minus that of the target. They
    take `outputs` (floating n x classes, as `Scorer.gradients` gives them) and `rows` (int64 (n,),
    which of the N images these are), and return (n,).

    Args:
        classifier: the victim.
        labels: (N,), true classes or `NONE`.
        targets: (N,), target classes or `NONE`.
    """

    def __init__(self, classifier: Classifier, labels: Labels, targets: Labels) -> None:
        self._classifier = classifier
        self.targets = targets
        self.sought = np.where(targets == NONE, labels, targets)
        """int64 (N,), the class whose score must rise (targets) or fall (labels)."""
        self.sign = np.where(targets == NONE, -1.0, 1.0).astype(np.float32)

    def success(
        self,
        predicted: Labels,
        rows: NDArray[np.int64],
        confidence: NDArray[np.floating] | None = None,
    ) -> NDArray[np.bool_]:
        """Whether the classes `predicted` for pictures of `rows` are what was wanted.

        Args:
            predicted: (n,), the victim's top-1 classes.
            rows: (n,), which of the N images the pictures belong to.
            confidence: (n,), in the class sought; needed where classes do not exclude each other,
                and the goal is that the target is claimed, or the label is not.

        Returns:
            (n,), whether the goal is reached; of an image without a goal, whether the victim gave
            any class.
        """
        same = predicted == self.sought[rows]
        if self._classifier.multi_label:
            assert confidence is not None
            same = (self.sought[rows] != NONE) & (confidence > CLAIMED)
        hit: NDArray[np.bool_] = np.where(self.targets[rows] == NONE, ~same, same)
        hit &= predicted != NONE  # the victim gave no usable scores
        if self._classifier.reject is not None:  # no answer fools nobody
            hit &= predicted != self._classifier.reject
        return hit

    def fooled(
        self, outputs: torch.Tensor, rows: torch.Tensor, lead: float = SLACK
    ) -> torch.Tensor:
        """Whether each image fools with a margin above `lead`, booleans (n,).

        Args:
            outputs: floating n x classes.
            rows: int64 (n,).
            lead: the margin to exceed, in the unit of `margin`.
        """
        return self.margin(outputs, rows) > lead

    def loss(self, name: LossName, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The loss called `name`, (n,), which grows towards the goal.

        Args:
            name: which loss.
            outputs: floating n x classes.
            rows: int64 (n,).
        """
        return (self.cross_entropy if name == "cross_entropy" else self.climb)(outputs, rows)

    def cross_entropy(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """-log p of the label, or log p of the target, (n,).

        Args:
            outputs: floating n x classes.
            rows: int64 (n,).
        """
        import torch

        sought = torch.from_numpy(self.sought).to(rows.device)[rows]
        sign = torch.from_numpy(self.sign).to(rows.device)[rows]
        logs = log_probabilities(outputs, self._classifier)
        return sign * logs.gather(1, sought[:, None])[:, 0]

    def climb(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """As `margin`, (n,), but a rejection does not stop the climb from one class to another.

        Between a confident label and a confident other class a detector rejects, and an attack
        that avoided the rejection would turn back there. So the lead over the label counts first,
        and the lead over the rejection only once the label has been left.

        Args:
            outputs: floating n x classes.
            rows: int64 (n,).
        """
        import torch

        margin = self.margin(outputs, rows)
        reject = self._classifier.reject
        if reject is None:
            return margin
        outputs = class_scores(outputs, self._classifier)
        kept = torch.cat([outputs[:, :reject], outputs[:, reject + 1 :]], 1)
        sought = torch.from_numpy(self.sought).to(rows.device)[rows]
        at = (sought - (sought > reject).long())[:, None]
        own = kept.gather(1, at)[:, 0]
        others = kept.scatter(1, at, float("-inf")).amax(1)
        sign = torch.from_numpy(self.sign).to(rows.device)[rows]
        lead = sign * (own - others)
        return torch.where(lead > 0, lead + margin.clamp(max=0), lead)

    def margin(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Lead of the best other class over the label, or of the target over the best other, (n,).

        It is a difference of logits where the victim gives them, else of log-confidences. Where the
        victim may reject, an untargeted image must lead over the rejection as well. Where several
        classes may be claimed, it is the log-odds of the target, or minus those of the label.

        Args:
            outputs: floating n x classes.
            rows: int64 (n,).
        """
        import torch

        outputs = class_scores(outputs, self._classifier)
        sought = torch.from_numpy(self.sought).to(rows.device)[rows]
        sign = torch.from_numpy(self.sign).to(rows.device)[rows]
        own = outputs.gather(1, sought[:, None])[:, 0]
        if self._classifier.multi_label:
            return sign * own
        others = outputs.scatter(1, sought[:, None], float("-inf"))
        reject = self._classifier.reject
        if reject is None:
            return sign * (own - others.amax(1))
        declined = outputs[:, reject]
        others = torch.cat([others[:, :reject], others[:, reject + 1 :]], 1).amax(1)
        # rivals of a target are all the rest; of any other class, the label and the rejection
        return torch.where(
            sign > 0,
            own - torch.maximum(others, declined),
            others - torch.maximum(own, declined),
        )


def class_scores(outputs: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """Scores that are nearly linear in the image, n x classes: logits, else log-confidences.

    Where classes do not compete, log-odds take the place of log-confidences: above 0 a class is
    claimed.

    Args:
        outputs: floating n x classes, as `Scorer.gradients` gives them.
        classifier: the victim.
    """
    averaged = classifier.crops > 1
    if classifier.multi_label and (averaged or classifier.output != "logits"):
        from evofool.classifiers.nets.ensemble import tensor_log_odds

        output: Output = "log_probs" if averaged else classifier.output
        return tensor_log_odds(outputs, output, "identity").to(outputs.dtype)
    if classifier.output == "logits":
        return outputs
    return log_probabilities(outputs, classifier)


def log_probabilities(outputs: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """Log-confidences of a white box, n x classes.

    Args:
        outputs: floating n x classes, as `Scorer.gradients` gives them.
        classifier: the victim.
    """
    import torch

    if classifier.crops > 1 or classifier.output == "log_probs":
        return outputs
    if classifier.output in ("probs", "topk") or classifier.link == "identity":
        return outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()
    if classifier.link == "sigmoid":
        return torch.nn.functional.logsigmoid(outputs)
    return outputs.log_softmax(-1)
