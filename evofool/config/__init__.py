"""Configs: safe YAML with places, one schema, overrides, and errors that name file and line.

A config is loaded to a `Loaded`: the checked model (``loaded.config``) together with the document
it was written in, so that what is found wrong only later (an unknown label, an option that the
encoding refuses) is reported at its line: ``raise loaded.error_at("encoding.preset", "...")``.
"""

from __future__ import annotations

from evofool.config.attack import AttackCampaign, AttackEntry, ImagesConfig, load_attacks
from evofool.config.base import Model
from evofool.config.campaign import Campaign, EncodingConfig, StopConfig
from evofool.config.classes import (
    cells,
    chosen_classes,
    class_index,
    find_class,
    named_classes,
    typed_classes,
)
from evofool.config.classifier import ClassifierConfig
from evofool.config.document import Document, Place, load_value, load_yaml
from evofool.config.evolution import (
    CmaEsConfig,
    EvolutionConfig,
    MapElitesConfig,
    MuPlusLambdaConfig,
)
from evofool.config.loading import (
    Loaded,
    Shipped,
    find,
    kind_of,
    load_campaign,
    load_model,
    moved_classifier,
    moved_encoding,
    ray_overrides,
    shipped,
    shipped_folder,
    to_yaml,
    yaml_lines,
)
from evofool.config.scoring import RAY_ADDRESS, RayConfig, ScoringConfig, SpreadScoring

__all__ = [
    "RAY_ADDRESS",
    "AttackCampaign",
    "AttackEntry",
    "Campaign",
    "ClassifierConfig",
    "CmaEsConfig",
    "Document",
    "EncodingConfig",
    "EvolutionConfig",
    "ImagesConfig",
    "Loaded",
    "MapElitesConfig",
    "Model",
    "MuPlusLambdaConfig",
    "Place",
    "RayConfig",
    "ScoringConfig",
    "Shipped",
    "SpreadScoring",
    "StopConfig",
    "cells",
    "chosen_classes",
    "class_index",
    "find",
    "find_class",
    "kind_of",
    "load_attacks",
    "load_campaign",
    "load_model",
    "load_value",
    "load_yaml",
    "moved_classifier",
    "moved_encoding",
    "named_classes",
    "ray_overrides",
    "shipped",
    "shipped_folder",
    "to_yaml",
    "typed_classes",
    "yaml_lines",
]
