"""One folder for all that was ever asked for: claims are added to a reproduction that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evofool.config import to_yaml
from evofool.errors import UsageError
from evofool.experiments.reproduce.registry import ALL
from evofool.experiments.reproduce.study import ReproduceStudy
from evofool.store import ExperimentFolder, write_atomically
from evofool.store.folder import CONFIG


def add_claims(
    path: Path, claims: Sequence[str], scale: str, folders: Mapping[str, Path] | None = None
) -> None:
    """Add claims to the config of a reproduction; `evofool.resume` then tests them.

    Args:
        path: the run folder.
        claims: by name, or ``all``.
        scale: that was asked for.
        folders: of pictures, by their key in the config, instead of those it names.

    Raises:
        UsageError: the folder is of another scale.
        StoreError: it is no run of this kind, is damaged, or is in use.
        ConfigError: there is no such claim.
    """
    with ExperimentFolder.open(path, writable=True) as run:
        loaded = ReproduceStudy.load(run.path / CONFIG)
        config = loaded.config
        if config.scale != scale:
            raise UsageError(
                f"{path}: holds the {config.scale} scale, not {scale}; name another --out"
            )
        names = tuple(dict.fromkeys((*config.claims, *claims)))
        wanted = (ALL,) if ALL in names else names
        edited = {
            **config.model_dump(mode="json"),
            "claims": list(wanted),
            **{key: str(folder.absolute()) for key, folder in (folders or {}).items()},
        }
        if edited != config.model_dump(mode="json"):
            checked = ReproduceStudy.load(edited).config
            write_atomically(run.path / CONFIG, to_yaml(checked).encode())
