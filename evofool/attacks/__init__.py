"""Gradient and black-box attacks over a `Scorer`.

>>> from evofool.attacks import PGD
>>> result = PGD(eps=8/255, step_size=2/255, steps=40)(scorer, images, labels)
>>> result.success, result.images, result.forward_images, result.backward_images
"""

from __future__ import annotations

from evofool.attacks.base import Attack
from evofool.attacks.gradient.ascent import GradientAscent
from evofool.attacks.gradient.carlini_wagner import CarliniWagner
from evofool.attacks.gradient.deepfool import DeepFool
from evofool.attacks.gradient.iterative import IFGSM, MIFGSM, PGD, IterLL
from evofool.attacks.gradient.jsma import JSMA, SimplifiedJSMA
from evofool.attacks.gradient.one_step import FGSM, RFGSM, RStepLL, StepLL
from evofool.attacks.gradient.rubbish import Rubbish
from evofool.attacks.gradient.sign_embedding import SignEmbedding
from evofool.attacks.query.nes import NES
from evofool.attacks.query.noise import noise_images
from evofool.attacks.query.one_pixel import OnePixel
from evofool.attacks.query.sign_evolution import SignEvolution
from evofool.attacks.query.square import Square
from evofool.attacks.result import NONE, AttackResult
from evofool.attacks.substitute.learning import (
    Round,
    Substitute,
    SubstituteSettings,
    train_substitute,
)
from evofool.attacks.substitute.transfer import SubstituteAttack

__all__ = [
    "FGSM",
    "IFGSM",
    "JSMA",
    "MIFGSM",
    "NES",
    "NONE",
    "PGD",
    "RFGSM",
    "Attack",
    "AttackResult",
    "CarliniWagner",
    "DeepFool",
    "GradientAscent",
    "IterLL",
    "OnePixel",
    "RStepLL",
    "Round",
    "Rubbish",
    "SignEmbedding",
    "SignEvolution",
    "SimplifiedJSMA",
    "Square",
    "StepLL",
    "Substitute",
    "SubstituteAttack",
    "SubstituteSettings",
    "noise_images",
    "train_substitute",
]
