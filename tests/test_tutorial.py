"""The tutorial: its notebook is its page, its code runs, and what it says comes out."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    path = ROOT / "docs" / "site" / "notebook.py"
    spec = importlib.util.spec_from_file_location("notebook_of_the_tutorial", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_the_page(maker: ModuleType) -> None:
    text = (ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8")
    assert text == maker.notebook(PAGE.read_text(encoding="utf-8")), (
        "python docs/site/notebook.py makes it anew"
    )
    made = json.loads(text)
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert len(code) == PAGE.read_text(encoding="utf-8").count("```python")
    assert all(cell["outputs"] == [] for cell in code)


@pytest.mark.slow
def test_it_runs_and_comes_out_as_the_page_says(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    written = PAGE.read_text(encoding="utf-8")
    made = maker.with_outputs(written)
    plt.close("all")
    # in the last digits machines differ; what is said of the figures does not
    assert in_words(made) == in_words(written)
    drawn = {path.name for path in (tmp_path / "tutorial").iterdir()}
    assert drawn == set(re.findall(r"\(tutorial/(.*?)\)", written))
    assert drawn == {path.name for path in (ROOT / "docs" / "tutorial").iterdir()}
    assert all(path.stat().st_size > 2000 for path in (tmp_path / "tutorial").iterdir())
    holds(made)


def in_words(page: str) -> str:
    return re.sub(r"-?[\d.]+", "N", re.sub(" +", " ", page))


def holds(page: str) -> None:
    """What the lesson stands on, with room for other machines."""

    def number(pattern: str) -> float:
        found: Any = re.search(pattern, page)
        return float(found[1])

    assert number(r"more than 50 %: (\d+) of 100") > 80
    assert number(r"softmax: .*sure of (\d+)") > number(r"sigmoid: .*sure of (\d+)")
    assert number(r"FGSM fools with (\d+)") > 80
    assert number(r"PGD fools with (\d+)") > 95
    assert number(r"(\d+) of 10 become") >= 8
    assert number(r"Square fools with (\d+)") > 10
    assert number(r"fool it and (\d+) the service") > 5
    unaware, aware = number(r"now with (\d+)"), number(r"rounding fools with (\d+)")
    assert unaware < 5 < aware < number(r"PGD fooled with (\d+)")
    assert all(float(value) > 0.99 for value in re.findall(r"median confidence ([\d.]+)", page))
