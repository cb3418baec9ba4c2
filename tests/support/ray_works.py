"""Experiments whose works tests send to Ray."""

from __future__ import annotations

import csv
import json
import sqlite3
from io import BytesIO
from pathlib import Path
from typing import Any

from evofool.images import decode_png, pixels_sha256, read_text

TOYS = Path(__file__).parents[1] / "toys"


def attacks(budget: int | None = 300, **sections: Any) -> dict[str, Any]:
    return {
        "kind": "attack",
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {"name": "pgd", "eps": "24/255", "step_size": "1/255", "steps": 30, "targets": "next"},
            {"name": "fgsm", "eps": "4/255"},
            {"name": "square", "eps": "8/255", "queries": 25},
            "deepfool",
        ],
        "scoring": {"batch": 8, "workers": 1, "engine": "torch", "budget": budget},
        "chunk": 4,
        "seed": 3,
        **sections,
    }


def search(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "search",
        "victims": ["mnist-lenet"],
        "variants": ["direct", {"name": "small", "encoding": "cppn"}],
        "evaluations": 60,
        "initial": 20,
        "children": 20,
        "seeds": [1, 2],
        **sections,
    }


def _picture(png: bytes | None, run: Path) -> tuple[str, dict[str, Any]]:
    """Its pixels, and what it says of them, but for the run that it is of."""
    if png is None:
        return "", {}
    said = {key: json.loads(text) for key, text in read_text(BytesIO(png)).items() if "{" in text}
    for values in said.values():
        values.pop("run_id", None)
        values["classifier"] = str(values.get("classifier")).replace(str(run), "RUN")
    return pixels_sha256(decode_png(png)), said


def stored(run: Path) -> list[tuple[Any, ...]]:
    """Rows of all works, and what these took, but for seconds."""
    db = sqlite3.connect(run / "run.sqlite")
    rows: list[tuple[Any, ...]] = []
    for address, kind, item, content, png in db.execute("SELECT * FROM rows ORDER BY 1, 2, 3"):
        fields = json.loads(content)
        fields.pop("seconds", None)
        rows.append((address, kind, item, fields, _picture(png, run)))
    works = "SELECT address, finished, queries, forward_images, backward_images, notes FROM works"
    # the card of a net says how long the training took
    digests = "SELECT address, name, path, iif(name = 'card', '', digest) FROM artifacts"
    for query in (works, digests):
        rows += db.execute(f"{query} ORDER BY 1, 2").fetchall()
    db.close()
    return rows


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    for row in rows:
        row.pop("seconds", None)
    return rows


def seconds(run: Path) -> dict[str, float]:
    """Of the works that are finished: what is done again takes other ones."""
    db = sqlite3.connect(run / "run.sqlite")
    found = dict(db.execute("SELECT address, seconds FROM works WHERE finished").fetchall())
    db.close()
    return found
