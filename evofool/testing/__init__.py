"""Conformance tests for parts that others write: encodings, attacks and classifiers.

Call them from your own tests; they need nothing but numpy and evofool:

>>> from evofool.testing import check_attack, check_classifier, check_encoding
>>> def test_my_encoding():
...     check_encoding("my_encoding.py:Waves", (3, 32, 32))
>>> def test_my_attack():
...     check_attack(MyAttack(eps=0.1))
>>> def test_my_classifier():
...     check_classifier("my_net.py:victim")

Each returns None, or raises one `ConformanceError` that lists every fault, with what was seen and
how it is mended.
"""

from __future__ import annotations

from evofool.testing.attacks import check_attack
from evofool.testing.classifiers import check_classifier
from evofool.testing.encodings import check_encoding
from evofool.testing.faults import ConformanceError, Fault

__all__ = [
    "ConformanceError",
    "Fault",
    "check_attack",
    "check_classifier",
    "check_encoding",
]
