"""Tensors of every kind, and compiled modules, as bytes that are the same for the same content."""

from __future__ import annotations

import hashlib
import io
import pickletools
import re
import zipfile
from itertools import groupby

import torch

_DECLARATION = re.compile(r"  \w+ : ")
_QUALIFIED = re.compile(r"(?<=GLOBAL ')__torch__[\w.]* \w+|__torch__[\w.]*")
"""A class or function by its module, in a pickle and in code."""


def tensor_parts(tensor: torch.Tensor) -> list[object] | None:
    """What determines the content of `tensor` (of any shape and data type); None if unreadable.

    It is a header, followed by the sha256 digest of the tensor's bytes. Quantised and sparse
    tensors
    and subclasses that wrap others are taken apart: inner tensors and numbers follow the header.
    """
    tensor = tensor.detach()
    header = f"{tensor.dtype} {tuple(tensor.shape) if not _lazy(tensor) else 'lazy'}"
    try:
        if _lazy(tensor) or tensor.is_meta:
            return [f"{header} without data"]
        flatten = getattr(tensor, "__tensor_flatten__", None)
        if flatten is not None and type(tensor) is not torch.Tensor:
            names, context = flatten()
            return [
                f"{header} {type(tensor).__qualname__}",
                *(getattr(tensor, name) for name in names),
                context,
            ]
        if tensor.is_quantized:
            return [f"{header} {tensor.qscheme()}", tensor.int_repr(), *_scales(tensor)]
        if tensor.layout is torch.sparse_coo:
            whole = tensor.coalesce()
            return [f"{header} sparse", whole.indices(), whole.values()]
        if tensor.layout is not torch.strided:
            return [f"{header} {tensor.layout}", tensor.to_dense()]
        return [header, hashlib.sha256(tensor_bytes(tensor)).digest()]
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        return None


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    """The bytes of a plain `tensor`, of any shape and data type, in row-major order."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes()


def script_parts(module: torch.jit.ScriptModule) -> list[tuple[str, bytes]] | None:
    """Code, attributes, weights and constants of a compiled module; None if it cannot be saved.

    Taken from what saving it writes, without what differs between two savings: positions in
    source files, an identifier, and the modules and numbers by which torch names classes.
    """
    buffer = io.BytesIO()
    try:
        torch.jit.save(module, buffer)
    except (RuntimeError, AttributeError, NotImplementedError):
        return None
    parts = []
    numbers: dict[str, dict[str, int]] = {}

    def plain(text: str) -> str:
        def numbered(match: re.Match[str]) -> str:
            full = match[0].replace(" ", ".")
            name = full.rpartition(".")[2]
            same = numbers.setdefault(name, {})
            return f"{name} {same.setdefault(full, len(same))}"

        return _QUALIFIED.sub(numbered, text)

    with zipfile.ZipFile(buffer) as archive:
        for entry in archive.namelist():
            name = entry.partition("/")[2]
            content = archive.read(entry)
            if name.endswith(".pkl"):
                steps = (f"{op.name} {arg!r}" for op, arg, _ in pickletools.genops(content))
                content = plain("\n".join(steps)).encode()
            elif name.endswith(".py"):
                content = plain(_declared(content.decode("utf-8", "replace"))).encode()
                name = "code"
            elif not name.startswith(("data/", "constants/")):
                continue
            parts.append((name, hashlib.sha256(content).digest()))
    return parts


def _declared(code: str) -> str:
    """`code` with the declarations of each class in order of name: torch writes them in any."""
    lines: list[str] = []
    for declares, group in groupby(code.splitlines(), lambda line: bool(_DECLARATION.match(line))):
        part = list(group)
        lines += sorted(part) if declares else part
    return "\n".join(lines)


def _scales(tensor: torch.Tensor) -> list[object]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return [tensor.q_scale(), tensor.q_zero_point()]
    return [
        tensor.q_per_channel_scales(),
        tensor.q_per_channel_zero_points(),
        tensor.q_per_channel_axis(),
    ]


def _lazy(tensor: torch.Tensor) -> bool:
    return torch.nn.parameter.is_lazy(tensor)
