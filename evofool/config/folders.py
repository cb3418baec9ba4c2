"""Victims that are folders: ``hf:FOLDER`` and ``clip:FOLDER``, which may be names on a hub too."""

from __future__ import annotations

from pathlib import Path, PurePath

from evofool.files import is_folder

PREFIXES = ("hf:", "clip:")
"""What stands before a folder or a name."""


def written_as_folder(model: str) -> bool:
    """Whether `model` can be nothing but a path: ``./vit``, ``/nets/vit``, ``~/vit``, ``a/b/c``."""
    plain = model.replace("\\", "/")
    return (
        plain.startswith((".", "/", "~"))
        or plain.endswith("/")
        or plain.count("/") > 1
        or PurePath(model).is_absolute()
    )


def without_prefix(name: str) -> str:
    """The model that the name of a victim, ``hf:...`` or ``clip:...``, stands for; else `name`."""
    return name.removeprefix(_prefix(name))


def with_prefix_of(name: str, model: str) -> str:
    """`model` as a name of the kind that `name` is of."""
    return model if _prefix(model) else _prefix(name) + model


def names_folder(name: str, base: Path) -> bool:
    """Whether the name of a victim, ``hf:...`` or ``clip:...``, is that of a folder.

    Args:
        name: as in a config.
        base: where relative paths start.
    """
    model = without_prefix(name)
    if not _prefix(name) or not model:
        return False
    return written_as_folder(model) or is_folder(base / model)


def _prefix(name: str) -> str:
    return next((each for each in PREFIXES if name.startswith(each)), "")
