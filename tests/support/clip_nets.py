"""Tiny CLIPs of open_clip's own class, with weights that are drawn, saved as its users do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIDE = 32
CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": SIDE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8,
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}  # fmt: skip
PREPROCESSING = {
    "mean": [0.48, 0.46, 0.41],
    "std": [0.27, 0.26, 0.28],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def save(folder: Path, preprocessing: dict[str, Any] | None = None, **config: Any) -> Path:
    """A CLIP in `folder`, under the names that open_clip's exporter gives to files.

    Its texts are split by the tokenizer that comes with open_clip.

    Args:
        folder: is made.
        preprocessing: beyond `PREPROCESSING`.
        config: of the architecture, beyond `CONFIG`.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    architecture = json.loads(json.dumps({**CONFIG, **config}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = open_clip.CLIP(**architecture)
        for parameter in net.parameters():  # drawn so small that all pictures look alike
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    save_file(net.state_dict(), folder / "open_clip_model.safetensors")
    said = {**PREPROCESSING, **(preprocessing or {})}
    content = {"model_cfg": architecture, "preprocess_cfg": said}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder
