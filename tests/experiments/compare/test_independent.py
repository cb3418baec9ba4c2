"""Every number of a comparison, recomputed from its PNGs and CSVs alone.

Nothing of ``evofool.experiments.compare`` is imported here but the study that makes the run folder.
The net is computed in plain torch, all else with NumPy, SciPy, Pillow and the csv module.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layered_nets as layers
import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from evofool.data import Dataset
from evofool.experiments.compare import held_against, report, study
from evofool.experiments.engine import begin

TOY = str(Path(layers.__file__).resolve())
CLASSES, BUDGET, SEEDS = 4, 160, (1, 2, 3)
BARS = ("0.5", "0.9", "0.99")
METHODS: list[dict[str, Any]] = [
    {"evolution": "direct", "initial": 8, "children": 8},
    {"evolution": "cppn", "initial": 8, "children": 8},
    {"attack": "gradient-ascent", "step_size": 0.5},
    {"attack": "pgd", "step_size": 0.05},
    {"attack": "square"},
    {"random": "cppn"},
    {"noise": "uniform"},
    {"pictures": "test"},
]
AIMED = {"gradient-ascent", "pgd", "square"}
"""Methods that work for each class by itself: what one search costs counts so many times."""
Floats = NDArray[np.float64]
Row = dict[str, str]


def natural(name: str, split: str, _folder: object = None) -> Dataset:
    """30 pictures; those of the two splits differ."""
    rng = np.random.default_rng({"train": 1, "test": 2}[split])
    images = rng.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    return Dataset(name, split, images, np.zeros(30, np.int64), ("a",))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("independent") / "run"
    config = {
        "kind": "compare", "victims": [f"{TOY}:victim"], "methods": METHODS, "budget": BUDGET,
        "seeds": list(SEEDS), "data": "mnist", "scoring": {"batch": 16},
        "transfer": [f"{TOY}:other"],
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_dataset", natural)
        patch.setattr(held_against, "load_dataset", natural)
        patch.setattr(report, "figures", lambda *_: {})
        begin(study.CompareStudy, config, path)
    return path


def rows(run: Path, name: str) -> list[Row]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_method(table: list[Row]) -> dict[str, list[Row]]:
    grouped = defaultdict(list)
    for row in table:
        grouped[row["method"]].append(row)
    return dict(grouped)


def pixels(path: Path) -> NDArray[np.uint8]:
    with PIL.Image.open(path) as image:
        return np.asarray(image)


def number(text: str) -> float:
    """Of a cell; NaN of an empty one."""
    return float(text) if text else math.nan


def hidden(images: NDArray[np.uint8], seed: int = 1) -> Floats:
    """What goes into the last layer of the victim, n x 12, in float64."""
    first, bias, _, _ = (w.double() for w in layers.weights(seed))
    x = torch.from_numpy(images.reshape(len(images), -1).astype(np.float64)) / 255
    found: Floats = torch.relu(x @ first.T + bias).numpy()
    return found


def log_odds(images: NDArray[np.uint8]) -> Floats:
    """n x classes, of the victim."""
    _, _, second, bias = (w.double().numpy() for w in layers.weights(1))
    return odds_of(hidden(images) @ second.T + bias)


def odds_of(logits: Floats) -> Floats:
    columns = [
        logits[:, c] - np.logaddexp.reduce(np.delete(logits, c, axis=1), axis=1)
        for c in range(logits.shape[1])
    ]
    return np.stack(columns, axis=1)


def sure(odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(odds, float)))


def bootstrap(values: Floats, middle: Callable[..., Any] = np.median) -> tuple[Any, Any, Any]:
    """As docs/comparing.md says: 2000 draws of all seeds, Philox keyed (seed of the config, 10),
    counter (0, 0, seeds, 0)."""
    n = len(values)
    words = np.array([0, 0, n, 0], np.uint64)
    philox = np.random.Philox(key=np.array([1, 10], np.uint64), counter=words)
    drawn = np.random.Generator(philox).integers(n, size=(2000, n))
    middles = middle(values[drawn], axis=1)
    return middle(values, axis=0), *np.percentile(middles, (2.5, 97.5), axis=0)


def per_seed(searches: list[Row], cell: str, missing: float) -> Floats:
    """Seeds x classes."""
    found = np.full((len(SEEDS), CLASSES), missing, np.float64)
    for row in searches:
        if row[cell]:
            found[SEEDS.index(int(row["seed"])), int(row["class_index"])] = float(row[cell])
    return found


def test_pictures_are_beside_the_tables_and_as_sure_as_they_say(run: Path) -> None:
    pictures, searches = rows(run, "pictures.csv"), rows(run, "searches.csv")
    assert len(pictures) == len(METHODS) * len(SEEDS) * CLASSES
    assert {p.name for p in (run / "pictures").iterdir()} == {
        Path(row["file"]).name for row in pictures
    }
    own = {(r["method"], r["seed"], r["class_index"]): r for r in searches}
    for row in pictures:
        path, c = run / row["file"], int(row["class_index"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        odds = log_odds(pixels(path)[None])[0]
        assert float(row["confidence"]) == pytest.approx(sure(odds[c]), abs=1e-6)
        search = own[row["method"], row["seed"], row["class_index"]]
        assert float(search["log_odds"]) == pytest.approx(odds[c], abs=1e-4)
        assert float(search["confidence"]) == pytest.approx(sure(odds[c]), abs=1e-6)
        assert int(search["predicted"]) == int(np.argmax(odds))
        assert row["label"] == search["label"] == layers.LABELS[c]


def test_the_table_of_methods(run: Path) -> None:
    searches, costs = by_method(rows(run, "searches.csv")), by_method(rows(run, "costs.csv"))
    table = rows(run, "compare.csv")
    assert len(table) == len(METHODS)
    for row in table:
        name = row["method"]
        found = per_seed(searches[name], "confidence", 0)
        middle, low, high = bootstrap(np.median(found, axis=1))
        assert float(row["median_confidence"]) == pytest.approx(middle)
        assert float(row["median_low"]) == pytest.approx(low)
        assert float(row["median_high"]) == pytest.approx(high)
        for bar in BARS:
            middle, low, high = bootstrap((found >= float(bar)).mean(axis=1), np.mean)
            assert float(row[f"share_{bar}"]) == pytest.approx(middle)
            assert float(row[f"share_{bar}_low"]) == pytest.approx(low)
            assert float(row[f"share_{bar}_high"]) == pytest.approx(high)
        reached = np.sort(per_seed(searches[name], "cost_at_0.99", math.inf), axis=1)
        half = np.median(reached[:, CLASSES // 2 - 1])
        assert number(row["half_at"]) == pytest.approx(half if half < math.inf else math.nan,
                                                       nan_ok=True)  # fmt: skip
        assert [int(each["seed"]) for each in costs[name]] == list(SEEDS)
        spent = np.mean([float(each["spent"]) for each in costs[name]])
        seconds = np.mean([float(each["seconds"]) for each in costs[name]])
        successes = (found >= 0.99).sum(axis=1).mean()
        assert float(row["spent"]) == pytest.approx(spent)
        assert spent <= BUDGET
        assert float(row["seconds"]) == pytest.approx(seconds)
        assert float(row["cost_a_class"]) == pytest.approx(spent / CLASSES)
        assert number(row["cost_a_success"]) == pytest.approx(
            spent / successes if successes else math.nan, nan_ok=True
        )


def test_costs_at_the_bars_follow_the_traces(run: Path) -> None:
    """A bar is reached between the last cost at which the best is below it and the next one."""
    best: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in rows(run, "traces.csv"):
        key = row["method"], row["seed"], row["class_index"]
        best[key].append((int(row["cost"]), float(row["log_odds"])))
    searches = rows(run, "searches.csv")
    assert len(best) == len(searches)
    for row in searches:
        trace = best[row["method"], row["seed"], row["class_index"]]
        each = CLASSES if row["method"] in AIMED else 1
        share = BUDGET // each
        powers = [each * 2**k for k in range(20) if 2**k < share] + [each * share]
        assert [cost for cost, _ in trace] == powers[-len(trace) :]
        odds = [value for _, value in trace]
        assert odds == sorted(odds)
        assert odds[-1] == pytest.approx(float(row["log_odds"]), abs=1e-4)
        for bar in BARS:
            over = [sure(value) >= float(bar) for value in odds]
            assert bool(row[f"cost_at_{bar}"]) == any(over)
            if any(over):
                cost, first = int(row[f"cost_at_{bar}"]), over.index(True)
                before = powers[powers.index(trace[first][0]) - 1] if first else 0
                assert before < cost <= trace[first][0]
                assert cost % each == 0


def test_the_curves(run: Path) -> None:
    traces, searches = by_method(rows(run, "traces.csv")), by_method(rows(run, "searches.csv"))
    for name, curve in by_method(rows(run, "curves.csv")).items():
        for row in curve:
            cost = int(row["cost"])
            now = [t for t in traces[name] if int(t["cost"]) == cost]
            found = sure(per_seed(now, "log_odds", math.nan))
            medians = np.median(found, axis=1)
            for cell, value in zip(
                ("median_confidence", "low", "high"), bootstrap(medians), strict=True
            ):
                assert number(row[cell]) == pytest.approx(value, nan_ok=True)
            for bar in BARS:
                reached = per_seed(searches[name], f"cost_at_{bar}", math.inf)
                assert float(row[f"share_{bar}"]) == pytest.approx((reached <= cost).mean())


def noise(seed: int, k: int) -> NDArray[np.uint8]:
    """Picture `k` of uniform noise: Philox keyed (seed, 7), counter (0, 0, k, 0)."""
    counter = np.array([0, 0, k, 0], np.uint64)
    philox = np.random.Philox(key=np.array([seed, 7], np.uint64), counter=counter)
    return np.random.Generator(philox).integers(0, 256, (1, 8, 8), dtype=np.uint8)


def test_what_noise_reaches_by_a_cost(run: Path) -> None:
    """The pictures are drawn again here, and looked at one after the other."""
    for seed in SEEDS:
        images = np.stack([noise(seed, k) for k in range(BUDGET - CLASSES)])
        odds = log_odds(images)
        for row in rows(run, "traces.csv"):
            if row["method"] == "noise uniform" and row["seed"] == str(seed):
                seen = odds[: int(row["cost"]), int(row["class_index"])]
                assert float(row["log_odds"]) == pytest.approx(seen.max(), abs=1e-4)


def test_evolution_begins_with_the_random_pictures_of_its_encoding(run: Path) -> None:
    """Both draw from the same numbers, so their curves are one until the first generation ends."""
    traces = by_method(rows(run, "traces.csv"))
    early = [
        {
            (r["seed"], r["class_index"], r["cost"]): float(r["log_odds"])
            for r in traces[name]
            if int(r["cost"]) <= 8
        }
        for name in ("evolution cppn", "random cppn")
    ]
    assert len(early[0]) == len(SEEDS) * CLASSES * 4  # after 1, 2, 4, 8
    assert early[0] == pytest.approx(early[1], abs=1e-4)


def test_the_tests(run: Path) -> None:
    searches = by_method(rows(run, "searches.csv"))
    names = [row["method"] for row in rows(run, "compare.csv")]
    odds = {n: np.median(per_seed(searches[n], "log_odds", -1000), axis=0) for n in names}
    over = {
        n: (per_seed(searches[n], "confidence", 0) >= 0.99).sum(axis=0) > len(SEEDS) / 2
        for n in names
    }
    pairs = list(itertools.combinations(names, 2))
    wilcoxon, mcnemar = [], []
    table = rows(run, "tests.csv")
    assert [(r["first"], r["second"]) for r in table] == pairs
    for (a, b), row in zip(pairs, table, strict=True):
        differences = [d for d in odds[a] - odds[b] if d]
        ranks = stats.rankdata(np.abs(differences))
        plus = sum(rank for rank, d in zip(ranks, differences, strict=True) if d > 0)
        effect = (2 * plus - ranks.sum()) / ranks.sum()
        assert float(row["effect"]) == pytest.approx(effect)
        wilcoxon.append(_signed_rank(ranks, plus))
        first, second = (over[a] & ~over[b]).sum(), (over[b] & ~over[a]).sum()
        assert (int(row["only_first"]), int(row["only_second"])) == (first, second)
        tail = sum(math.comb(first + second, k) for k in range(min(first, second) + 1))
        mcnemar.append(min(1.0, 2 * tail / 2 ** (first + second)))
        assert int(row["classes"]) == CLASSES
    for p_values, cell in ((wilcoxon, "wilcoxon_p"), (mcnemar, "mcnemar_p")):
        order = np.argsort(p_values, kind="stable")
        raised = np.array(p_values)[order] * np.arange(len(order), 0, -1)
        corrected = np.empty(len(order))
        corrected[order] = np.minimum(1, np.maximum.accumulate(raised))
        assert [float(row[cell]) for row in table] == pytest.approx(corrected.tolist())


def _signed_rank(ranks: Floats, plus: float) -> float:
    """Two-sided p by the enumeration of all signs."""
    sums = [
        sum(itertools.compress(ranks, signs))
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    least = min(plus, ranks.sum() - plus)
    return min(1.0, 2 * float(np.mean([s <= least + 1e-9 for s in sums])))


def test_what_pictures_are_like(run: Path) -> None:
    for row in rows(run, "pictures.csv"):
        levels = pixels(run / row["file"]).astype(int)
        image = levels / 255
        steps = np.abs(np.concatenate([np.diff(levels, axis=k).ravel() for k in (0, 1)]))
        assert float(row["variation"]) == pytest.approx(steps.mean() / 255)
        assert float(row["edges"]) == pytest.approx((steps > 51).mean())
        assert int(row["colours"]) == len(set(image.ravel()))
        assert int(row["png_bytes"]) == (run / row["file"]).stat().st_size
        power = np.zeros(5)
        count = np.zeros(5)
        for v, h in itertools.product(range(8), range(8)):
            radius = round(math.hypot(min(v, 8 - v), min(h, 8 - h)))
            if 1 <= radius <= 4:
                wave = np.exp(-2j * np.pi * (v * np.arange(8)[:, None] + h * np.arange(8)) / 8)
                power[radius] += abs((image * wave).sum()) ** 2
                count[radius] += 1
        usable = [k for k in range(1, 5) if power[k] > 1e-20]
        if len(usable) < 4:  # a flat picture: the slope is that of rounding noise, or none
            continue
        x = np.log(usable)
        y = np.log([power[k] / count[k] for k in usable])
        slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
        assert float(row["slope"]) == pytest.approx(slope, abs=1e-6)


def test_distances_to_natural_pictures(run: Path) -> None:
    images = natural("mnist", "train").images
    features = hidden(images)
    for row in rows(run, "pictures.csv"):
        image = pixels(run / row["file"])
        squares = [float(np.mean((image.astype(float) - one[0]) ** 2)) for one in images]
        assert int(row["nearest"]) == int(np.argmin(squares))
        assert float(row["nearest_rms"]) == pytest.approx(math.sqrt(min(squares)))
        away = np.linalg.norm(features - hidden(image[None]), axis=1).min()
        assert float(row["nearest_features"]) == pytest.approx(away, rel=1e-4)


def test_medians_over_the_pictures(run: Path) -> None:
    pictures = by_method(rows(run, "pictures.csv"))
    for row in rows(run, "likeness.csv"):
        own = pictures[row["method"]]
        assert int(row["pictures"]) == len(own)
        for cell in ("variation", "slope", "edges", "colours", "png_bytes", "nearest_rms",
                     "nearest_features"):  # fmt: skip
            values = [float(each[cell]) for each in own if each[cell]]
            assert number(row[cell]) == pytest.approx(
                np.median(values) if values else math.nan, nan_ok=True
            )


def test_what_another_net_makes_of_them(run: Path) -> None:
    other = layers.other()
    module = other.module
    assert module is not None
    module.double()
    pictures = {(r["method"], r["seed"], r["class_index"]): r for r in rows(run, "pictures.csv")}
    shown = rows(run, "shown.csv")
    assert len(shown) == len(pictures)
    for row in shown:
        file = pictures[row["method"], row["seed"], row["class_index"]]["file"]
        image = torch.from_numpy(pixels(run / file).astype(np.float64) / 255)[None, None]
        with torch.no_grad():
            odds = odds_of(module(image).numpy())[0]
        aim = int(row["target_class"])
        assert other.labels[aim] == layers.LABELS[int(row["class_index"])]
        assert float(row["confidence"]) == pytest.approx(sure(odds[aim]), abs=1e-5)
        assert int(row["predicted"]) == int(np.argmax(odds))
    grouped = by_method(shown)
    for row in rows(run, "transfer.csv"):
        found = per_seed(grouped[row["method"]], "confidence", 0)
        assert float(row["median_confidence"]) == pytest.approx(np.median(np.median(found, axis=1)))
        for bar in BARS:
            middle, low, high = bootstrap((found >= float(bar)).mean(axis=1), np.mean)
            assert float(row[f"share_{bar}"]) == pytest.approx(middle)
            assert float(row[f"share_{bar}_low"]) == pytest.approx(low)
            assert float(row[f"share_{bar}_high"]) == pytest.approx(high)
