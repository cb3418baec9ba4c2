"""Listing and dry runs stay light."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from evofool import classifiers
from evofool.classifiers.sources.bundled import BUNDLED
for name in classifiers.names():
    if name in BUNDLED:  # an architecture wants weights
        classifiers.inspect_classifier(name)
classifiers.inspect_classifier({"name": "absent.onnx", "crops": 10})
classifiers.inspect_classifier("absent.py:make")
classifiers.forms()
heavy = {"torch", "torchvision", "timm", "onnxruntime", "onnx"} & set(sys.modules)
assert not heavy, heavy
"""


def test_no_heavy_imports() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=600)
