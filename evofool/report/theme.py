"""Colours and type, one set for the pages and the figures on them, each in light and in dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Colours: TypeAlias = Mapping[str, str]
"""Colours as ``#rrggbb``, by the names of `PALETTE`."""

PALETTE: Mapping[str, tuple[str, str]] = {
    "paper": ("#faf9f6", "#141315"),
    "card": ("#ffffff", "#1d1c1f"),
    "sunk": ("#f1efe9", "#0e0d0f"),
    "ink": ("#1d1b18", "#f1eee9"),
    "soft": ("#635e56", "#aaa49b"),
    "line": ("#e2ded6", "#322f33"),
    "track": ("#e8e4dc", "#2c2a2e"),
    "focus": ("#1f5f99", "#8cc0ea"),
    # what is drawn first, what is drawn beside it, and the band around a line
    "main": ("#97403f", "#e3ab62"),
    "second": ("#2f6690", "#7fb4dd"),
    "band": ("#d9a25f", "#8a5a48"),
    "red": ("#a3262a", "#f0918c"),
    "amber": ("#8a5a00", "#e8bd62"),
    "green": ("#2b6b3a", "#8fce9c"),
    # confidence: each step darker (on dark: lighter) than the one before, so that it reads in grey
    "c0": ("#cfc4b1", "#565053"),
    "c1": ("#d9a25f", "#8a5a48"),
    "c2": ("#c9703f", "#c17b4c"),
    "c3": ("#97403f", "#e3ab62"),
    "c4": ("#571f3c", "#fbe3a6"),
}
"""(light, dark) by name; a page has each as the custom property ``--name``."""
LIGHT: Colours = {name: light for name, (light, _) in PALETTE.items()}
DARK: Colours = {name: dark for name, (_, dark) in PALETTE.items()}


def custom_properties() -> str:
    """`PALETTE` as CSS: the page's colour scheme picks the light or the dark one."""
    lines = [f"  --{name}: light-dark({light}, {dark});" for name, (light, dark) in PALETTE.items()]
    return "\n".join((":root {", "  color-scheme: light dark;", *lines, "}", ""))
