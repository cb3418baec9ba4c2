"""Tensors of every kind, and compiled modules, as bytes that are the same for the same content."""

from __future__ import annotations

import hashlib
import io
import pickletools
import re
import zipfile

import torch

_MANGLED = re.compile(r"___torch_mangle_\d+")


def tensor_parts(tensor: torch.Tensor) -> list[object] | None:
    """A header, then sha256 digests of bytes and inner tensors or numbers; None if unreadable.

    Quantised and sparse tensors and subclasses that wrap others come apart into what they hold.
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
    """The numbers of a plain tensor in row-major order."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes()


def script_parts(module: torch.jit.ScriptModule) -> list[tuple[str, bytes]] | None:
    """Code, attributes, weights and constants of a compiled module; None if it cannot be saved.

    Taken from what saving it writes, without what differs between two savings: positions in
    source files, an identifier, and the numbers that torch gives to classes of one name.
    """
    buffer = io.BytesIO()
    try:
        torch.jit.save(module, buffer)
    except (RuntimeError, AttributeError, NotImplementedError):
        return None
    parts = []
    numbers: dict[str, str] = {}

    def plain(text: str) -> str:
        return _MANGLED.sub(
            lambda found: numbers.setdefault(found[0], f"mangled {len(numbers)}"), text
        )

    with zipfile.ZipFile(buffer) as archive:
        for entry in archive.namelist():
            name = entry.partition("/")[2]
            content = archive.read(entry)
            if name.endswith(".pkl"):
                steps = (f"{op.name} {arg!r}" for op, arg, _ in pickletools.genops(content))
                content = plain("\n".join(steps)).encode()
            elif name.endswith(".py"):
                content = plain(content.decode("utf-8", "replace")).encode()
            elif not name.startswith(("data/", "constants/")):
                continue
            parts.append((plain(name), hashlib.sha256(content).digest()))
    return parts


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
