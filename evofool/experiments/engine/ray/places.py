"""What a work wrote in a folder of its worker, as if it had been written in the run folder.

Files that a work makes name the net that was attacked by its path: configs, manifests, summaries,
and the provenance inside pictures. A worker's folder is gone once the work is done.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from evofool.seal import sealed
from evofool.store.files import json_bytes, json_object
from evofool.store.manifest import MANIFEST
from evofool.store.records.works import StoredRow

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"iTXt")


def at_home(name: str, data: bytes, root: str, home: str) -> bytes:
    """The content of a file below a run folder, with `home` wherever it names `root`.

    Args:
        name: of the file; its ending says what it holds.
        data: as a worker wrote it.
        root: the run folder there.
        home: the run folder of the driver.
    """
    if root.encode() not in data:
        return data
    path = Path(name)
    if path.suffix == ".png":
        return _picture(data, root, home)
    if path.suffix == ".json":
        text = data.decode().replace(root, _in_json(home))
        return (
            json_bytes(sealed(json_object(text, path))) if path.name == MANIFEST else text.encode()
        )
    if path.suffix == ".yaml":
        return data.decode().replace(root, home).encode()
    return data


def row_at_home(row: StoredRow, root: str, home: str) -> StoredRow:
    """A row with its picture, likewise."""
    content, png = row.content.replace(root, _in_json(home)), row.png
    if png is not None and root.encode() in png:
        png = _picture(png, root, home)
    return dataclasses.replace(row, content=content, png=png)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _picture(png: bytes, root: str, home: str) -> bytes:
    """A PNG whose texts name `home`; its pixels are left as they are compressed."""
    parts = [_SIGNATURE]
    for kind, body in _chunks(png):
        if kind in _TEXTS:  # what they hold is JSON
            body = body.replace(root.encode(), _in_json(home).encode())
        parts += [
            len(body).to_bytes(4, "big"), kind, body, zlib.crc32(kind + body).to_bytes(4, "big")
        ]  # fmt: skip
    return b"".join(parts)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : end]
        at = end + 4
