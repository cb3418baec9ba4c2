"""Victims: what is fooled. Importing this package imports neither torch nor onnxruntime."""

from __future__ import annotations

from evofool.classifiers.base import Classifier, Ensemble, Link, Output, Predict, Resize
from evofool.classifiers.build import from_module, from_predict
from evofool.classifiers.checks.probe import probe
from evofool.classifiers.ensembles import from_members
from evofool.classifiers.load import forms, inspect_classifier, load_classifier, names
from evofool.classifiers.pictures import prepare, with_crops
from evofool.classifiers.spec import ClassifierSpec, Inspection

__all__ = [
    "Classifier",
    "ClassifierSpec",
    "Ensemble",
    "Inspection",
    "Link",
    "Output",
    "Predict",
    "Resize",
    "forms",
    "from_members",
    "from_module",
    "from_predict",
    "inspect_classifier",
    "load_classifier",
    "names",
    "prepare",
    "probe",
    "with_crops",
]
