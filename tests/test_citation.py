"""What to cite is what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_citation_names_this_version_and_licence_in_both_forms() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (told["version"], told["license"]) == (project["version"], project["license"])
    fields = dict(re.findall(r"^# +(\w+) += \{+(.+?)\}+,?$", text, re.MULTILINE))
    assert fields["version"] == project["version"]
    assert fields["url"] == told["references"][0]["url"]
    assert fields["title"] == told["references"][0]["title"]
    assert fields["license"] == project["license"]
