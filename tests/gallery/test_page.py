"""The page: what it says, and that hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from evofool.gallery import Elite, GalleryRun, page
from evofool.text import bare, percent, printable


class Outline(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def elite(index: int, confidence: float = 0.5, label: str = "goldfish", won: bool = True) -> Elite:
    return Elite(index, label, confidence, 7, f"../images/{index:04d}.png", won)


RUN = GalleryRun(
    "A run",
    [elite(0, 0.2, "tench", won=False), elite(1, 0.995), elite(2, 0.6, "hen")],
    {"victim": "toy", "seed": "1"},
    "evofool evolve quickstart",
)


def test_pictures_stand_in_order_of_confidence_with_alt_texts_and_lazy_loading() -> None:
    images = Outline(page(RUN)).all("img")
    assert [image["src"] for image in images] == [
        "../images/0001.png",
        "../images/0002.png",
        "../images/0000.png",
    ]
    assert all(image["loading"] == "lazy" and image["alt"] for image in images)
    assert "goldfish" in str(images[0]["alt"])
    assert images[0]["width"] == images[0]["height"] == "224"


def test_the_header_says_what_was_run_and_what_came_out() -> None:
    words = " ".join(" ".join(Outline(page(RUN)).words).split())
    for expected in ("victim toy", "seed 1", "evofool evolve quickstart", "2 of 3", "60.0 %"):
        assert expected in words
    assert "0.5 66.6 %" in words
    assert "0.9999 0.0 %" in words


def test_the_policy_allows_this_style_by_hash_and_nothing_else_runs() -> None:
    text = page(RUN)
    outline = Outline(text)
    policy = next(m["content"] for m in outline.all("meta") if "http-equiv" in m)
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert policy
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not outline.all("script")
    assert not outline.all("link")
    for _, attributes in outline.tags:  # the policy would block these
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "</style><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "\u202egnp.elif\u2066",
    "two\nlines\x00\x1b[31m",
    "lone \ud800 surrogate",
    "x" * 300,
    "שלום",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_text_adds_no_tag_and_no_attribute(label: str) -> None:
    calm = Outline(page(GalleryRun("t", [elite(0)], {"victim": "v"}, "c")))
    text = page(GalleryRun(label, [elite(0, label=label)], {label: label}, label))
    text.encode("utf-8")
    wild = Outline(text)
    assert [(tag, set(attributes)) for tag, attributes in wild.tags] == [
        (tag, set(attributes)) for tag, attributes in calm.tags
    ]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", text)
    assert "49" not in text.split("</style>")[1] or "49" in label


def test_labels_are_isolated_for_direction() -> None:
    assert "<bdi>שלום</bdi>" in page(GalleryRun("t", [elite(0, label="שלום")]))


def test_no_elite_and_a_thousand_elites() -> None:
    assert "No image yet" in page(GalleryRun("t", []))
    many = page(GalleryRun("t", [elite(i, i / 1000) for i in range(1000)]))
    assert len(Outline(many).all("img")) == 1000


def test_small_pictures_keep_square_pixels() -> None:
    assert 'class="small few"' in page(replace(RUN, size=(28, 28)))


@pytest.mark.parametrize(
    "path", ["/etc/x.png", "//host/x.png", "javascript:x.png", "a b.png", "x.html", "../../..", ""]
)
def test_a_picture_must_be_a_relative_png(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        Elite(0, "a", 0.5, 0, path, True)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_confidence_lies_between_0_and_1(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        elite(0, confidence)


def test_percent_never_rounds_up() -> None:
    assert [percent(c) for c in (0.0, 0.123, 0.9899, 0.99, 0.99985, 0.9999999, 1.0)] == [
        "0.0 %",
        "12.3 %",
        "98.9 %",
        "99.00 %",
        "99.98 %",
        "99.9999 %",
        "100 %",
    ]


def test_text_keeps_direction_marks_only_where_they_can_be_isolated() -> None:
    assert printable("a\u200fb\u202ec\n d") == "a\u200fbc d"
    assert bare("a\u200fb\u202ec") == "a b c"
