"""What a page calls a victim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evofool.gallery import Options, build
from evofool.gallery.page.naming import display_name, display_names
from evofool.text import counted


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        ("/home/ann/work/nets/mine.py:net", "mine.py:net"),
        ("nets/mine.py:net", "mine.py:net"),
        ("~/mine.py:net", "mine.py:net"),
        ("../mine.py:net", "mine.py:net"),
        ("C:\\Users\\ann\\mine.py:net", "mine.py:net"),
        ("/home/ann/net.onnx", "net.onnx"),
        ("/home/ann/net", "net"),
        ("mnist-lenet", "mnist-lenet"),
        ("torchvision:alexnet", "torchvision:alexnet"),
        ("timm:hf_hub:org/model", "timm:hf_hub:org/model"),
        ("hf:org/model", "hf:org/model"),
        ("hf:/home/ann/nets/vit", "vit"),
        ("clip:~/nets/clip", "clip"),
        ("", ""),
        ("/", "/"),
    ],
)
def test_a_file_is_called_by_its_name(victim: str, name: str) -> None:
    assert display_name(victim) == name


def test_two_victims_never_share_a_name() -> None:
    found = display_names(["/a/x/m.py:f", "/b/x/m.py:f", "/c/m.py:f", "/c/m.py:g", "/c/m.py:f"])
    assert list(found.values()) == ["a/x/m.py:f", "b/x/m.py:f", "c/m.py:f", "m.py:g"]


def test_no_headline_is_a_path(folder: Any) -> None:
    run = folder("run", ["a", "b"])
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["classifier"]["name"] = "/home/ann/secret project/nets/mine.py:net"
    path.write_text(json.dumps(manifest))
    text = build(run).page.read_text()
    assert "<title>Pictures that fool mine.py:net</title>" in text
    assert "<h1><bdi>Pictures that fool mine.py:net</bdi></h1>" in text


def test_one_is_no_plural(folder: Any, tmp_path: Path) -> None:
    assert [counted(n, "picture") for n in (0, 1, 2, 1000)] == [
        "0 pictures", "1 picture", "2 pictures", "1,000 pictures",
    ]  # fmt: skip
    assert counted(2, "class", "classes") == "2 classes"
    text = build(folder("run", ["a"])).page.read_text()
    assert "1 of 1 class fooled" in text
    text = build(folder("two", ["a", "b"]), tmp_path / "x", Options(top=1)).page.read_text()
    assert "The surest of 2 classes, 1 fooled" in text
