"""Gradient and black-box attacks over a `Scorer`.

>>> from evofool.attacks import PGD
>>> result = PGD(eps=8/255, step_size=2/255, steps=40)(scorer, images, labels)
>>> result.success, result.images, result.forward_images, result.backward_images
"""

from __future__ import annotations

from evofool.attacks.ascent import GradientAscent
from evofool.attacks.base import Attack
from evofool.attacks.carlini_wagner import CarliniWagner
from evofool.attacks.deepfool import DeepFool
from evofool.attacks.iterative import IFGSM, MIFGSM, PGD, IterLL
from evofool.attacks.jsma import JSMA, SimplifiedJSMA
from evofool.attacks.nes import NES
from evofool.attacks.noise import noise_images
from evofool.attacks.one_pixel import OnePixel
from evofool.attacks.one_step import FGSM, RFGSM, RStepLL, StepLL
from evofool.attacks.result import NONE, AttackResult
from evofool.attacks.rubbish import Rubbish
from evofool.attacks.square import Square
from evofool.attacks.substitute import Round, Substitute, SubstituteSettings, train_substitute
from evofool.attacks.transfer import SubstituteAttack

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
    "SimplifiedJSMA",
    "Square",
    "StepLL",
    "Substitute",
    "SubstituteAttack",
    "SubstituteSettings",
    "noise_images",
    "train_substitute",
]
