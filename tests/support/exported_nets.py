"""Nets as `.pt2` files."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

Dynamic = dict[int, Any]


def save(net: nn.Module, path: Path, example: torch.Tensor, dynamic: Dynamic | None) -> Path:
    """`net` as `torch.export.save` writes it; skips the test where that is the older format."""
    program = torch.export.export(net, (example,), dynamic_shapes=dynamic and (dynamic,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        if any(entry.endswith("model_weights_config.json") for entry in archive.namelist()):
            return path
    path.unlink()  # or the next test would take it for one that is made already
    pytest.skip("this torch writes the older format")
