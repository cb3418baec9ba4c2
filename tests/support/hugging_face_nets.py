"""Tiny nets of Hugging Face's own classes, with weights that are drawn, saved as its users do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = {0: "adder", 1: "bullfrog", 2: "cockatoo"}
SIDE = 32
KINDS = ("vit", "swin", "convnext", "dinov2")


def save(kind: str, folder: Path, **config: Any) -> Path:
    """A net of `kind` and its image processor in `folder`; `config` changes the net's config."""
    import torch
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net, processor = _MAKERS[kind](config)
            for parameter in net.parameters():  # drawn so small that all pictures look alike
                if parameter.ndim > 1:
                    torch.nn.init.normal_(parameter, std=0.3)
        net.save_pretrained(folder)
        processor.save_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()
    return folder


def _vit(config: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "image_size": SIDE, "patch_size": 8}
    net = ViTForImageClassification(ViTConfig(**{**sizes, "id2label": NAMES, **config}))
    return net, ViTImageProcessor(size={"height": SIDE, "width": SIDE})


def _swin(config: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import BeitImageProcessor, SwinConfig, SwinForImageClassification

    sizes = {"image_size": SIDE, "patch_size": 4, "embed_dim": 16, "window_size": 4}
    sizes |= {"depths": [1, 1], "num_heads": [2, 2]}
    net = SwinForImageClassification(SwinConfig(**{**sizes, "id2label": NAMES, **config}))
    # resized to more than is cropped, and neither is square
    size, crop = {"height": 37, "width": 41}, {"height": SIDE, "width": SIDE}
    return net, BeitImageProcessor(size=size, crop_size=crop, do_center_crop=True, resample=3)


def _convnext(config: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessor

    sizes = {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2}
    net = ConvNextForImageClassification(ConvNextConfig(**{**sizes, "id2label": NAMES, **config}))
    means = {"image_mean": [0.48, 0.45, 0.41], "image_std": [0.23, 0.22, 0.23]}
    return net, ConvNextImageProcessor(size={"shortest_edge": SIDE}, crop_pct=0.875, **means)


def _dinov2(config: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import BitImageProcessor, Dinov2Config, Dinov2ForImageClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"image_size": 56, "patch_size": 14}  # pictures are smaller than in its training
    net = Dinov2ForImageClassification(Dinov2Config(**{**sizes, "id2label": NAMES, **config}))
    crop = {"height": 42, "width": 42}
    return net, BitImageProcessor(size={"shortest_edge": 47}, crop_size=crop, resample=3)


_MAKERS: dict[str, Callable[[dict[str, Any]], tuple[Any, Any]]] = {
    "vit": _vit,
    "swin": _swin,
    "convnext": _convnext,
    "dinov2": _dinov2,
}
