"""Where the files of a model lie: a folder, the hub's cache, or the hub itself."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from evofool.classifiers.spec import resolve
from evofool.config.folders import written_as_folder
from evofool.errors import ClassifierError
from evofool.files import is_file, is_folder, reason


def hub_resolves() -> bool:
    """Whether the hub can be reached at all: without a network its client retries for a minute."""
    if urllib.request.getproxies():
        return True
    try:
        from huggingface_hub import constants

        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except (ImportError, OSError):
        return False
    return True


def local_folder(model: str, base: Path) -> Path | None:
    """The folder on this machine that `model` names, None where it is a name on the hub.

    Args:
        model: a path, or ``OWNER/NAME``; a folder of that name comes first.
        base: where relative paths start.

    Raises:
        ClassifierError: a path that is no folder.
    """
    path = resolve(model, base)
    if is_folder(path):
        return path
    if is_file(path):
        raise ClassifierError(f"{path}: is a file; name the folder that holds the model's files")
    if written_as_folder(model):
        raise ClassifierError(f"{path}: no such folder")
    return None


def cached_folder(model: str, file: str) -> Path | None:
    """The folder of the hub's cache that holds `file` of `model`, if there is one.

    Args:
        model: ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.
        file: its name.

    Raises:
        ClassifierError: the hub has no such names.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = model.partition("@")
    try:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
    except HFValidationError as error:
        raise ClassifierError(
            f"{model!r} is not a folder on this machine, and cannot be a name on the hub; write"
            " OWNER/NAME, or the path of a folder"
        ) from error
    return Path(found).parent if isinstance(found, str) else None


def fetch(model: str, patterns: Sequence[str]) -> Path:
    """Downloads the files of `model` whose names fit `patterns` into the hub's cache.

    Args:
        model: a name on the hub, ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.
        patterns: as of a shell.

    Raises:
        ClassifierError: it cannot be had; the message gives the reason alone.
    """
    if not hub_resolves():
        raise ClassifierError("no network")
    from huggingface_hub import snapshot_download

    repository, _, revision = model.partition("@")
    try:
        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=list(patterns)
        )
    except Exception as error:  # the hub's errors have several unrelated bases
        raise ClassifierError(f"tried to get it: {reason(error)}") from error
    return Path(folder)
