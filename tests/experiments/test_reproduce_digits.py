"""Claims that train nets on digits, with a hundred of them: nets, verdicts, minutes, the page."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evofool.data import Dataset, load, load_dataset
from evofool.experiments.engine.life import begin
from evofool.experiments.reproduce import study as studied
from evofool.experiments.reproduce.again import add_claims
from evofool.experiments.reproduce.scales import SCALES
from evofool.experiments.reproduce.study import ReproduceStudy
from evofool.experiments.runs import resume, status, verify

TINY = dataclasses.replace(
    SCALES["small"], digits=1, rounds=1, retrained=1, noise=10, defended=1, shown=20
)
CLAIMS = ["P8", "P8-direct", "table2-masked", "table4-masked", "table4"]


@pytest.fixture(scope="module", autouse=True)
def hundred() -> Iterator[None]:
    """The hundred digits that ship stand for both parts of MNIST."""

    def few(split: str, _root: Path) -> Dataset:
        return dataclasses.replace(load_dataset("mnist-sample"), name="mnist", split=split)  # type: ignore[arg-type]

    entry = dataclasses.replace(load._ENTRIES["mnist"], load=few, missing=lambda _root: "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(load._ENTRIES, "mnist", entry)
        patch.setattr(studied, "SCALES", {"small": TINY})
        yield


@pytest.fixture(scope="module")
def finished(hundred: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("reproduce") / "run"
    begin(ReproduceStudy, {"kind": "reproduce", "claims": CLAIMS}, run)
    return run


def claims(run: Path) -> dict[str, dict[str, object]]:
    summary = json.loads((run / "summary.json").read_text())
    return {claim["name"]: claim for claim in summary["claims"]}


def test_an_ensemble_is_taught_by_nets_of_the_same_run(finished: Path) -> None:
    cards = {
        name: json.loads((finished / "nets" / f"mnist-{name}.json").read_text())
        for name in ("b", "b-fgsm", "b-ensemble", "c", "d", "a")
    }
    sources = cards["b-ensemble"]["sources"]
    assert [source["name"] for source in sources] == ["mnist-b", "mnist-c", "mnist-d"]
    assert cards["b"].get("sources") is None


def test_tables_stand_beside_the_verdicts(finished: Path) -> None:
    rows = claims(finished)
    heads, *lines = rows["table4"]["table"]  # type: ignore[misc]
    assert heads == ["errors of", "clean", "white box", "black box"]
    assert [line[0] for line in lines] == ["mnist-b", "mnist-b-fgsm", "mnist-b-ensemble"]
    assert rows["table4"]["n"] == 2 * TINY.shown
    curve = rows["P8"]["table"]
    assert [line[0] for line in curve] == [  # type: ignore[attr-defined]
        "direct, median after", "the base", "round 1",
        "cppn, median after", "the base", "round 1",
    ]  # fmt: skip
    assert rows["P8"]["n"] == rows["P8-direct"]["n"] == 10


def test_the_page_shows_both_curves_and_the_pictures_of_the_last_round(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text()
    for name in ("P8", "P8-direct"):
        for number in (0, 1):
            assert f"curves-{name}-{number}.png" in page
            assert (finished / "report" / f"curves-{name}-{number}-dark.png").is_file()
    assert "planned beforehand, on two CPU cores" in page
    assert "one seed" in page


def test_minutes_count_each_work_once(finished: Path) -> None:
    lines = list(csv.DictReader((finished / "reproduce.csv").open()))
    minutes = sum(float(line["minutes"]) for line in lines)
    assert minutes * 60 == pytest.approx(status(finished)["seconds"], abs=2)
    assert float(lines[1]["minutes"]) == 0  # P8-direct: all of its works are P8's
    assert [float(line["planned_minutes"]) for line in lines] == [8, 0, 3, 2, 8]


def test_a_second_call_costs_nothing(finished: Path) -> None:
    before = status(finished)
    add_claims(finished, ["table4"], "small")
    resume(finished)
    assert status(finished)["queries"] == before["queries"]
    assert [check for check in verify(finished) if check.ok is False] == []
