"""Graphs, ancestry, films, plots, prints, provenance."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from evofool.encodings import load
from evofool.errors import StoreError, UsageError
from evofool.evolution.campaign import evolve
from evofool.evolution.reading import read
from evofool.gallery import build
from evofool.gallery.drawing import plots
from evofool.gallery.drawing.films import film
from evofool.gallery.drawing.graph import graph_svg, summary
from evofool.gallery.drawing.printing import animate, animate_surest, enlarge
from evofool.gallery.reading import ancestry
from evofool.gallery.reading.collect import collect, slug
from evofool.gallery.reading.exhibits import Exhibit, Point, Step
from evofool.images import decode_png, read_picture
from evofool.store import CampaignFolder, IndividualId

SVG = "{http://www.w3.org/2000/svg}"


def grown_cppn(steps: int = 60) -> Any:
    encoding = load("cppn", (3, 16, 16))
    rng = np.random.default_rng(4)
    genome = encoding.sample(rng)
    for generation in range(steps):
        genome = encoding.mutate(genome, rng, generation)
    return encoding.describe(genome)


def test_a_graph_shows_every_node_and_edge() -> None:
    described = grown_cppn()
    svg = graph_svg(described, ("H", "L", "S"))
    assert svg
    root = ET.fromstring(svg)
    assert len(root.findall(f".//{SVG}circle")) == len(described["nodes"])
    assert len(root.findall(f"{SVG}path")) == described["connections"]
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"x", "y", "radius", "bias", "H", "L", "S"} <= words
    negative = sum(edge["weight"] < 0 for edge in described["edges"])
    dashed = [p for p in root.findall(f"{SVG}path") if p.get("class", "").split()[1] == "m"]
    assert len(dashed) == negative
    assert f"{described['hidden']} hidden nodes" in summary(described)


def test_hostile_graphs_are_drawn_inert_or_not_at_all() -> None:
    node = {"id": 0, "kind": "input", "name": "</text><script>x</script>"}
    other = {"id": 1, "kind": "output", "activation": "<b>"}
    svg = graph_svg({"nodes": [node, other], "edges": [{"source": 0, "target": 1, "weight": 1}]})
    assert svg
    assert b"<script" not in svg
    ET.fromstring(svg)
    for edges in (
        [{"source": 0, "target": 7, "weight": 1}],
        [{"source": 0, "target": 1, "weight": float("nan")}],
        [{"source": 0, "target": 1, "weight": 1}, {"source": 1, "target": 0, "weight": 1}],
        [{"source": "x"}],
        7,
    ):
        assert graph_svg({"nodes": [node, other], "edges": edges}) is None
    assert graph_svg({"kind": "direct"}) is None


def test_steps_are_both_ends_and_changes_of_class() -> None:
    line = [Step(IndividualId(k, 0), k // 40, 0.5) for k in range(100)]
    chosen = ancestry.choose(line)
    assert len(chosen) == ancestry.STEPS
    assert chosen[0] is line[0]
    assert chosen[-1] is line[-1]
    assert {line[40], line[80]} <= set(chosen)
    assert [s.id for s in chosen] == sorted(s.id for s in chosen)
    assert ancestry.choose(line[:3]) == line[:3]


def test_the_last_frame_of_an_ancestry_is_the_picture(toy_run: Path) -> None:
    with CampaignFolder.open(toy_run) as run:
        (collection,) = collect([toy_run], lambda opened: opened, write=False)
        for strip in ancestry.strips(collection, ancestry.affordable(collection, None)):
            png = decode_png(collection.source.png(strip.exhibit))
            assert np.array_equal(strip.frames[-1], png)
            parents = [run.individual(step.id) for step in strip.steps]
            assert all(row is not None for row in parents[1:])


def test_ancestry_of_a_changed_run_is_refused(toy_campaign: Any, tmp_path: Path) -> None:
    import sqlite3

    evolve(toy_campaign(stop={"generations": 4}), tmp_path / "run")
    database = sqlite3.connect(tmp_path / "run" / "run.sqlite")
    database.execute("UPDATE individuals SET sha256 = zeroblob(32) WHERE genome IS NULL")
    database.commit()
    database.close()
    (collection,) = collect([tmp_path / "run"], lambda _: None, write=False)
    with pytest.raises(StoreError, match="is different"):
        list(ancestry.strips(collection, list(collection.exhibits)))


@pytest.mark.parametrize("form", ["webp", "gif"])
def test_films_hold_every_frame(form: Any) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (1, 6, 6), np.uint8) for _ in range(5)]
    picture = PIL.Image.open(io.BytesIO(film(frames, form, 60)))
    assert (picture.size, getattr(picture, "n_frames", 1)) == ((60, 60), 5)
    with pytest.raises(ValueError, match="at least one"):
        film([], form)


@pytest.mark.parametrize("form", ["webm", "mp4"])
def test_videos_where_there_is_an_encoder(form: Any, tmp_path: Path) -> None:
    import cv2

    frames = [np.full((3, 8, 8), level, np.uint8) for level in (0, 255)]
    try:
        (tmp_path / "film").write_bytes(film(frames, form, 64))
    except UsageError as error:
        pytest.skip(str(error))
    video = cv2.VideoCapture(str(tmp_path / "film"))
    ok, first = video.read()
    assert ok
    assert first.shape == (64, 64, 3)
    assert first.mean() < 20


def test_plots_are_pictures_or_nothing() -> None:
    points = [Point(k * 100, k / 9, (k / 20, k / 9), {"0.5": k / 9}) for k in range(9)]
    data = plots.convergence(points)
    assert data
    assert decode_png(data).shape[2] > 1000
    assert plots.convergence(points[:1]) is None
    assert plots.by_class([]) is None
    dark = plots.by_class([Exhibit("0", 0, "a", 0.5, True)], plots.DARK)
    assert dark
    assert decode_png(dark)[:, 0, 0].max() < 40


def test_the_course_of_a_saturated_run_is_no_line_along_the_top() -> None:
    """Medians from two to nine nines: on a linear axis they are within one row of pixels."""
    nines = np.linspace(2, 9, 20)
    points = [Point(k * 100, 1 - 10**-n, None, {"0.5": 1.0}) for k, n in enumerate(nines.tolist())]
    data = plots.convergence(points)
    assert data
    left = decode_png(data)[:, :, :780].astype(int)
    line = np.array([int(plots.LIGHT["main"][k : k + 2], 16) for k in (1, 3, 5)]).reshape(3, 1, 1)
    rows = np.flatnonzero((np.abs(left - line) <= 2).all(axis=0).any(axis=1))
    assert np.ptp(rows) > left.shape[1] / 2


def test_the_course_ends_where_the_archive_stands(toy_run: Path) -> None:
    (collection,) = collect([toy_run], lambda _: None, write=False)
    confidences = [exhibit.confidence for exhibit in collection.exhibits]
    last = collection.course[-1]
    assert last.median == pytest.approx(np.median(confidences), abs=1e-9)
    assert last.shares["0.5"] == np.mean(np.array(confidences) >= 0.5)
    medians = [point.median for point in collection.course]
    assert medians == sorted(medians)


def test_a_cppn_is_printed_at_any_size(tmp_path: Path) -> None:
    config = {
        "classifier": {"name": "mnist-lenet"}, "encoding": {"name": "cppn"},
        "evolution": {"initial": 20, "children": 20}, "stop": {"generations": 2},
        "scoring": {"batch": 20, "workers": 1, "engine": "torch"}, "seed": 1,
    }  # fmt: skip
    evolve(config, tmp_path / "run")
    done = enlarge(tmp_path / "run", 3, 500, tmp_path / "print.png")
    assert read_picture(done.path).size == (500, 500)
    (reading,) = read([tmp_path / "run" / "images" / "0003.png"], None)
    assert reading.claim
    assert reading.now == pytest.approx(reading.claim["confidence"], abs=1e-4)
    same = enlarge(tmp_path / "run", 3, 28)
    assert np.array_equal(
        np.asarray(read_picture(same.path)),
        np.asarray(read_picture(tmp_path / "run" / "images" / "0003.png")),
    )
    with pytest.raises(UsageError, match="size"):
        enlarge(tmp_path / "run", 3, 10**6)


def test_pixels_are_repeated_only_when_asked(folder: Any, tmp_path: Path) -> None:
    run = folder("run", ["a", "b"])
    with pytest.raises(UsageError, match="--enlarge"):
        enlarge(run, 1, 64, tmp_path / "x.png")
    done = enlarge(run, 1, 64, tmp_path / "x.png", repeat=True)
    large = np.asarray(read_picture(done.path))
    assert np.array_equal(large, large[::8, ::8].repeat(8, 0).repeat(8, 1))
    with pytest.raises(UsageError, match="--class 9"):
        enlarge(run, 9, 64, repeat=True)


@pytest.mark.parametrize(("algorithm", "ancestors"), [("mu_plus_lambda", True), ("cma_es", False)])
def test_campaigns_for_one_class(algorithm: str, ancestors: bool, tmp_path: Path) -> None:
    config = {
        "classifier": {"name": "mnist-lenet"},
        "encoding": {"name": "direct", "resolution": [4, 4]},
        "evolution": {"algorithm": algorithm, "target": 3, "initial": 10, "children": 10},
        "stop": {"generations": 3}, "scoring": {"batch": 10, "workers": 1, "engine": "torch"},
    }  # fmt: skip
    if algorithm == "mu_plus_lambda":
        config["evolution"]["mu"] = 5  # type: ignore[index]
    evolve(config, tmp_path / "run")
    page = build(tmp_path / "run").page.read_text()
    assert ("Points of CMA-ES have no parents" in page) is not ancestors
    assert (tmp_path / "run" / "gallery" / "ancestry" / "0003.webp").is_file() is ancestors


def test_films_and_prints_are_named_as_what_they_are(toy_run: Path, tmp_path: Path) -> None:
    assert animate(toy_run, 3, "gif", tmp_path / "film", side=48).path == tmp_path / "film.gif"
    done = enlarge(toy_run, 3, 48, tmp_path / "print", repeat=True)
    assert done.path == tmp_path / "print.png"
    assert read_picture(done.path).size == (48, 48)
    assert enlarge(toy_run, 3, 48, tmp_path, repeat=True).path == tmp_path / "print-0003-48.png"


def test_a_film_of_the_surest_side_by_side(toy_run: Path, tmp_path: Path) -> None:
    done = animate_surest(toy_run, 4, "webp", tmp_path / "film")
    assert done.path == tmp_path / "film.webp"
    film = PIL.Image.open(done.path)
    assert film.size == (done.width, done.height)
    assert getattr(film, "n_frames", 1) > 1
    one = animate_surest(toy_run, 1, "webp", tmp_path / "one")
    assert one.width < done.width
    first, last = (np.asarray(_page(done.path, at)) for at in (0, -1))
    assert not np.array_equal(first, last)


def _page(path: Path, at: int) -> PIL.Image.Image:
    film = PIL.Image.open(path)
    film.seek(at % getattr(film, "n_frames", 1))
    return film.convert("RGB")


def test_a_film_of_one_class(toy_run: Path, tmp_path: Path) -> None:
    done = animate(toy_run, 3, "gif", tmp_path / "film.gif", side=48)
    assert getattr(PIL.Image.open(done.path), "n_frames", 1) > 1


def test_a_stripped_picture_is_found_again_by_its_pixels(toy_run: Path, toy_victim: Any) -> None:
    pictures = toy_run / "images"
    stripped = pictures / "renamed.png"
    PIL.Image.fromarray(np.asarray(read_picture(pictures / "0003.png"))).save(stripped)
    try:
        (reading,) = read([stripped], toy_victim)
        assert reading.sidecar
        assert reading.claim
        assert reading.claim["class_index"] == 3
        assert reading.now == reading.claim["confidence"]
        claims = json.loads((pictures / "provenance.json").read_text())
        wanted = {"class_index", "confidence", "classifier_digest", "run_id", "seed", "generation"}
        assert wanted <= set(claims["0003.png"])
    finally:
        stripped.unlink()


def test_a_claim_never_chooses_a_classifier_that_is_not_ours(toy_run: Path) -> None:
    with pytest.raises(UsageError, match="--classifier"):
        read([toy_run / "images" / "0003.png"], None)


def test_keys_are_made_of_harmless_characters() -> None:
    assert slug("</script>") == "script"
    assert slug("שלום") == "run"
    assert slug("A b" * 40) == ("a-b" * 40)[:40] or len(slug("A b" * 40)) <= 40
