"""What a victim returned, as an array of our own."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from evofool.errors import ScoringError


def owned(result: object, name: str) -> NDArray[np.generic]:
    """`result` as an array that nobody else writes into.

    A victim may return a tensor (with a gradient, on a device, of half precision), a view, a
    buffer that its next answer overwrites, or nested lists.

    Args:
        result: array, tensor or nested lists of numbers.
        name: of the victim, for messages.

    Returns:
        A copy of the same shape: float16 and bfloat16 as float32, all else in its own data type.

    Raises:
        ScoringError: a tuple, a mapping, or anything else that is no array of numbers.
    """
    if isinstance(result, tuple | dict):
        raise ScoringError(
            f"{name} gives a {type(result).__name__}, not one matrix; wrap it so that it returns"
            " only the scores, N x classes"
        )
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(result, torch.Tensor):
        plain = result.detach().cpu()
        if plain.is_sparse:
            plain = plain.to_dense()
        if plain.dtype in (torch.float16, torch.bfloat16):
            plain = plain.float()
        return np.array(plain.numpy())
    try:
        array = np.array(result)
    except (TypeError, ValueError) as error:
        raise ScoringError(
            f"{name} gives a {type(result).__name__}, not a matrix of numbers"
        ) from error
    if array.dtype.kind not in "fiub":
        if isinstance(result, np.ndarray):
            raise ScoringError(f"{name} gives {array.dtype}, not real numbers")
        raise ScoringError(f"{name} gives a {type(result).__name__}, not a matrix of numbers")
    return array.astype(np.float32) if array.dtype == np.float16 else array


def two_columns(values: NDArray[np.generic], count: int, confidences: bool) -> NDArray[np.generic]:
    """The answers of a net of one value per picture (`task: binary`) as those for two classes.

    Args:
        values: floating, one for each of `count` pictures: N, or N x 1.
        count: N.
        confidences: whether the values are confidences p in "yes"; else they are its logits z.

    Returns:
        floating N x 2, no and yes: 1 - p and p, or 0 and z, whose softmax is the sigmoid of z.

    Raises:
        ScoringError: more or fewer values.
    """
    if values.shape not in ((count,), (count, 1)) and not values.size == count == 1:
        raise ScoringError(not_one(values.shape))
    yes = values.reshape(count, 1)
    no = 1 - yes if confidences else np.zeros_like(yes)
    return np.concatenate([no, yes], axis=1)


def not_one(shape: tuple[int, ...]) -> str:
    """What is said of a net of one value a picture whose outputs have another `shape`."""
    return (
        f"task: binary is for nets that give one value per picture, and this one gives"
        f" {' x '.join(map(str, shape)) or 'a single one'}; leave it away"
    )


ONE_VALUE = "set task: binary, and labels: [no, yes]"
"""What to do with a net that gives one value per picture."""
