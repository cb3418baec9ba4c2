"""The text of each class of a zero-shot CLIP: prompts, and the mean of their features."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers.labels import MAX_FILE
from evofool.classifiers.spec import ClassifierSpec, resolve
from evofool.errors import ClassifierError
from evofool.files import read_file, reason

if TYPE_CHECKING:
    import torch

DEFAULT_TEMPLATES = ("a photo of a {}.",)
PLACE = "{}"
"""Where a template has the name of the class."""
BATCH = 256
"""Prompts that are encoded at once: memory does not grow with their number."""
MOST_PROMPTS = 1_000_000
MANY_PROMPTS = 20_000
"""From here on somebody who waits is told why."""


def read_templates(spec: ClassifierSpec, base: Path) -> tuple[str, ...]:
    """The templates that a spec gives: a list, one text, or a file with one a line.

    Raises:
        ClassifierError: a file that cannot be read, or a template without the place of the name.
    """
    given = spec.templates
    if given is None:
        return DEFAULT_TEMPLATES
    where = f"classifier {spec.name}: templates"
    if isinstance(given, str):
        given = (given,) if PLACE in given else _lines(resolve(given, base), where)
    for template in given:
        if template.count(PLACE) != 1:
            raise ClassifierError(
                f"{where}: {template[:100]!r} must hold {PLACE} once, where the name of the class"
                " goes: a photo of a {}."
            )
    if not given:
        raise ClassifierError(f"{where}: the file is empty; write one template a line")
    return given


def check_count(labels: Sequence[str], templates: Sequence[str], name: str) -> None:
    """Refuse prompts that would take days.

    Raises:
        ClassifierError: there are more than `MOST_PROMPTS`.
    """
    count = len(labels) * len(templates)
    if count > MOST_PROMPTS:
        raise ClassifierError(
            f"classifier {name}: {len(labels):,} labels in {len(templates):,} templates are"
            f" {count:,} prompts, but at most {MOST_PROMPTS:,} can be encoded; give fewer"
        )


def tell_count(labels: Sequence[str], templates: Sequence[str], name: str) -> None:
    """Log how many prompts are about to be encoded, where that takes long."""
    count = len(labels) * len(templates)
    if count >= MANY_PROMPTS:
        logging.getLogger("evofool").warning(
            "%s: encodes %s prompts (%s labels in %s templates) each time it is loaded, which takes"
            " minutes or more; fewer labels or templates take less",
            name, f"{count:,}", f"{len(labels):,}", f"{len(templates):,}",
        )  # fmt: skip


def text_of_classes(
    encode: Callable[[torch.Tensor], torch.Tensor],
    tokenize: Callable[[list[str]], Any],
    labels: Sequence[str],
    templates: Sequence[str],
) -> tuple[torch.Tensor, str]:
    """The mean of the features of each class's prompts, of length 1, and what was encoded.

    Args:
        encode: tokens, n x context, to features of length 1, n x d.
        tokenize: n texts to tokens, n x context.
        labels: of the classes.
        templates: each holds `PLACE` once.

    Returns:
        float32 classes x d; and a hex sha256 of all tokens, which says the same on every machine.
    """
    import torch
    from torch.nn import functional

    digest = hashlib.sha256()
    prompts = _prompts(labels, templates)
    sums: torch.Tensor | None = None
    with torch.no_grad():
        while part := list(islice(prompts, BATCH)):
            tokens = tokenize([text for _, text in part])
            digest.update(tokens.numpy().astype("<i8").tobytes())
            features = encode(tokens).float()
            if sums is None:
                sums = torch.zeros(len(labels), features.shape[1])
            sums.index_add_(0, torch.tensor([index for index, _ in part]), features)
    assert sums is not None
    return functional.normalize(sums, dim=-1), digest.hexdigest()


def _prompts(labels: Sequence[str], templates: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Class and text of each prompt, class by class."""
    for index, label in enumerate(labels):
        for template in templates:
            yield index, template.replace(PLACE, label)


def _lines(path: Path, where: str) -> tuple[str, ...]:
    try:
        text = read_file(path, MAX_FILE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ClassifierError(
            f"{where}: {path}: cannot be read ({reason(error)}); give a file with one template a"
            " line, or a text that holds {}"
        ) from error
    return tuple(line for line in text.splitlines() if line.strip())
