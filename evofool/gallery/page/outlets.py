"""Where a gallery is written: into a run folder, into a folder of its own, into memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from evofool.errors import FolderError, StoreError
from evofool.files import TEMPORARY
from evofool.store import Folder, write_atomically
from evofool.store.files import json_bytes

MARK = "gallery.json"
"""In a folder that evofool may write a gallery into again."""


class Outlet(Protocol):
    """A place for the files of a gallery, named relative to its page."""

    inline: bool
    """Whether files end inside the page: then only what it cannot do without is written."""

    def write(self, name: str, data: bytes) -> Path:
        """Write one file."""
        ...

    def path(self, name: str) -> Path:
        """Where a file lies."""
        ...


class RunOutlet:
    """The folder ``gallery/`` of a run, through the store."""

    inline = False

    def __init__(self, run: Folder) -> None:
        self._run = run

    def write(self, name: str, data: bytes) -> Path:
        return self._run.write_file(f"gallery/{name}", data, durable=False)

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a JSON object."""
        return self.write(name, json_bytes(value))

    def path(self, name: str) -> Path:
        return self._run.path / "gallery" / name


class FolderOutlet:
    """A folder of its own."""

    inline = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: set[Path] = set()

    @classmethod
    def open(cls, folder: Path) -> FolderOutlet:
        """A new or empty folder, or one with an older gallery.

        Raises:
            FolderError: it holds other files, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in folder.iterdir()}
            names = {name for name in names if not TEMPORARY.fullmatch(name)}
        except OSError as error:
            raise FolderError(f"{folder}: cannot be used ({error.strerror})") from error
        if names and MARK not in names:
            raise FolderError(
                f"{folder}: holds files that do not belong to a gallery; give another --out"
            )
        outlet = cls(folder)
        outlet.write(MARK, json_bytes({"made_by": "evofool gallery"}))
        return outlet

    @staticmethod
    def named(out: Path, default: str, suffixes: tuple[str, ...] = ()) -> Path:
        """The file that `out` means: a folder gets the `default` name; a name without the suffix
        of its content gets that, since nothing else opens it as what it is.

        Args:
            out: as it was asked for.
            default: the name in a folder; its suffix is what is added.
            suffixes: that are as good as that of `default`.
        """
        if out.is_dir():
            return out / default
        suffix = Path(default).suffix
        if out.suffix.lower() in (suffix, *suffixes):
            return out
        return out.with_name(f"{out.name}{suffix}")

    @staticmethod
    def file(path: Path, data: bytes) -> Path:
        """Write a single file.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent}: cannot be written ({error.strerror})") from error
        write_atomically(path, data, durable=False)
        return path

    def write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        if path.parent not in self._made:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{path.parent}: cannot be written ({error.strerror})") from error
            self._made.add(path.parent)
        write_atomically(path, data, durable=False)
        return path

    def path(self, name: str) -> Path:
        return self._folder / name


class MemoryOutlet:
    """Files that will be embedded in the page."""

    inline = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> Path:
        self.files[name] = data
        return Path(name)

    def path(self, name: str) -> Path:
        return Path(name)
