"""How a layered picture is put together, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from evofool import encodings
from evofool.evolution.campaign import evolve
from evofool.gallery import build
from evofool.store import CampaignFolder


def test_each_layer_is_shown_with_its_words(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path, visit: Any
) -> None:
    run = tmp_path / "stack"
    small = {"evolution": {"initial": 10, "children": 10}, "stop": {"generations": 1}}
    evolve(toy_campaign(encoding={"name": "layers", "fewest": 3}, **small), run)
    encoding: Any = encodings.load("layers", (1, 6, 6), {"fewest": 3})
    with CampaignFolder.open(run) as folder:
        elites = {row.class_index: row.id for row in folder.elites()}
        row = folder.individual(elites[2])
    assert row is not None
    assert row.genome is not None
    genome = encoding.load(row.genome)
    path = build(run).page
    page = visit.open(path, "#stack/2")
    words = page.locator(".built .who").all_text_contents()
    expected = [layer["words"] for layer in encoding.describe(genome)["layers"]]
    assert words == ["the ground", *(f"{n}. {text}" for n, text in enumerate(expected, 1))]
    assert page.locator(".built img").first.evaluate("image => image.decode().then(() => true)")
    strip = PIL.Image.open(io.BytesIO((path.parent / "stages" / "0002.webp").read_bytes()))
    side = strip.height
    assert strip.width == side * len(words)
    # the last one is the picture itself
    last = np.asarray(strip.convert("L").crop((strip.width - side, 0, strip.width, side)), float)
    picture = encoding.render([genome], (6, 6))[0, 0]
    enlarged = np.kron(picture, np.ones((side // 6 + 1, side // 6 + 1)))[:side, :side]
    assert np.abs(last - enlarged).mean() < 25


def test_a_picture_of_one_piece_has_no_such_part(toy_run: Path, visit: Any) -> None:
    page = visit.open(build(toy_run).page, "#toy/2")
    assert page.locator("#detail-name").count() == 1
    assert page.locator(".built").count() == 0
