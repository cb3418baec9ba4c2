"""What a work wrote in a folder of its worker, as if it had been written in the run folder.

Files that a work makes name the net that was attacked by its path: configs, manifests, summaries,
and the provenance inside pictures, whose sums stand in tables. A worker's folder is gone once the
work is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from evofool.files import read_file
from evofool.seal import sealed
from evofool.store.files import json_bytes, json_object
from evofool.store.manifest import MANIFEST
from evofool.store.records.works import StoredRow

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"iTXt")
_SUM = re.compile(rb"\b[0-9a-f]{64}\b")


class Homeward:
    """Takes files and rows from a worker's run folder to the driver's.

    Args:
        root: the run folder there.
        home: the run folder of the driver.
    """

    def __init__(self, root: Path, home: str) -> None:
        self._root, self._home = root, home
        self._sums: dict[bytes, bytes] = {}

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Files below the run folder with what they hold, as it is to be at home.

        Raises:
            OSError: one cannot be read.
        """
        # pictures first: tables name their sums
        for name in sorted(names, key=lambda name: (not name.endswith(".png"), name)):
            yield name, self._at_home(Path(name), read_file(self._root / name))

    def row(self, row: StoredRow) -> StoredRow:
        """A row with its picture, likewise."""
        content, png = row.content.replace(str(self._root), _in_json(self._home)), row.png
        if png is not None:
            png = self._picture(png)
        return dataclasses.replace(row, content=content, png=png)

    def _at_home(self, path: Path, data: bytes) -> bytes:
        if path.suffix == ".png":
            return self._picture(data)
        if path.suffix == ".csv":
            return _SUM.sub(lambda found: self._sums.get(found[0], found[0]), data)
        if str(self._root).encode() not in data:
            return data
        if path.suffix == ".json":
            text = data.decode().replace(str(self._root), _in_json(self._home))
            if path.name == MANIFEST:  # whose seal is over what it says
                return json_bytes(sealed(json_object(text, path)))
            return text.encode()
        if path.suffix == ".yaml":
            return data.decode().replace(str(self._root), self._home).encode()
        return data

    def _picture(self, png: bytes) -> bytes:
        """A PNG whose texts name the home; its pixels are left as they are compressed."""
        there = str(self._root).encode()
        if there not in png:
            return png
        parts = [_SIGNATURE]
        for kind, body in _chunks(png):
            if kind in _TEXTS:  # what they hold is JSON
                body = body.replace(there, _in_json(self._home).encode())
            parts += [
                len(body).to_bytes(4, "big"), kind, body, zlib.crc32(kind + body).to_bytes(4, "big")
            ]  # fmt: skip
        renamed = b"".join(parts)
        self._sums[_sum(png)] = _sum(renamed)
        return renamed


def _sum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : end]
        at = end + 4
