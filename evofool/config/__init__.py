"""Configs: safe YAML with places, one schema, overrides, and errors that name file and line.

A config is loaded to a `Loaded`: the checked model (``loaded.config``) together with the document
it was written in, so that what is found wrong only later (an unknown label, an option that the
encoding refuses) is reported at its line: ``raise loaded.error_at("encoding.preset", "...")``.
"""

from __future__ import annotations

from evofool.config.classes import cells
from evofool.config.document import Document, Place, load_value, load_yaml
from evofool.config.loading import (
    Loaded,
    Shipped,
    find,
    load_campaign,
    load_model,
    shipped,
    shipped_folder,
    to_yaml,
)
from evofool.config.models import (
    Campaign,
    ClassifierConfig,
    CmaEsConfig,
    EncodingConfig,
    EvolutionConfig,
    MapElitesConfig,
    Model,
    MuPlusLambdaConfig,
    ScoringConfig,
    StopConfig,
)

__all__ = [
    "Campaign",
    "ClassifierConfig",
    "CmaEsConfig",
    "Document",
    "EncodingConfig",
    "EvolutionConfig",
    "Loaded",
    "MapElitesConfig",
    "Model",
    "MuPlusLambdaConfig",
    "Place",
    "ScoringConfig",
    "Shipped",
    "StopConfig",
    "cells",
    "find",
    "load_campaign",
    "load_model",
    "load_value",
    "load_yaml",
    "shipped",
    "shipped_folder",
    "to_yaml",
]
