"""Folding batch normalisation into the convolutions before it, for faster inference."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """A copy of `module` whose convolutions contain the batch normalisations that follow them.

    With running mean m and variance v, BN(W x + b) = s (W x + b - m) + beta is the convolution
    with weights s W and bias s (b - m) + beta, where s = gamma / sqrt(v + eps). The arithmetic
    is float64, rounded once; logits change in about the sixth digit.

    Only what is certainly equal is folded: a normalisation in evaluation mode whose only input is
    a convolution that nothing else reads. A module that cannot be traced comes back as an
    unfolded copy.

    Args:
        module: in evaluation mode. It is not changed.

    Returns:
        The copy, in which every folded normalisation is an `nn.Identity`.
    """
    folded = copy.deepcopy(module)
    for convolution_name, norm_name in _pairs(folded):
        convolution = folded.get_submodule(convolution_name)
        norm = folded.get_submodule(norm_name)
        if isinstance(convolution, _CONVOLUTIONS) and isinstance(norm, _BatchNorm):
            _fold(convolution, norm)
            folded.set_submodule(norm_name, nn.Identity())
    return folded


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the normalisations that alone read them."""
    try:
        graph = fx.Tracer().trace(module)
    except Exception:  # tracing runs the module's own code on stand-ins: anything may come out
        return []
    modules = dict(module.named_modules())
    calls = Counter(
        id(modules[str(node.target)]) for node in graph.nodes if node.op == "call_module"
    )
    pairs = []
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        norm, convolution = modules[str(node.target)], modules[str(before.target)]
        if (
            _is_frozen(norm)
            and type(convolution) in _CONVOLUTIONS
            and calls[id(norm)] == calls[id(convolution)] == 1  # shared ones are left alone
        ):
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _is_frozen(norm: nn.Module) -> bool:
    """Whether it normalises with stored statistics, which then are constants."""
    return (
        isinstance(norm, _BatchNorm)
        and not norm.training
        and norm.running_mean is not None
        and norm.running_var is not None
    )


def _fold(convolution: nn.Conv1d | nn.Conv2d | nn.Conv3d, norm: _BatchNorm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        return
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    weight = convolution.weight.detach()
    bias = torch.zeros_like(mean) if convolution.bias is None else convolution.bias.detach()
    new_bias = (bias.double() - mean) * scale
    if norm.bias is not None:
        new_bias = new_bias + norm.bias.detach().double()
    scales = scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    grad = convolution.weight.requires_grad
    convolution.weight = nn.Parameter((weight.double() * scales).to(weight.dtype), grad)
    convolution.bias = nn.Parameter(new_bias.to(weight.dtype), grad)
