"""A campaign that draws where it scores. The CPU stands in for a GPU: it is called one, and PyTorch
draws there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evofool import encodings
from evofool.config import load_campaign
from evofool.encodings import DeviceEncoding, TensorEncoding
from evofool.errors import FolderError, Interrupted, ScoringError
from evofool.evolution import drawing as drawing_module
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.drawing import Drawing, drawing_again, drawing_on
from evofool.evolution.guarded import guarded
from evofool.evolution.outputs import PROVENANCE
from evofool.evolution.setup import CHANGEABLE
from evofool.evolution.verify import verify
from evofool.gallery import build
from evofool.gallery.build import Options
from evofool.images import decode_png, read_text
from evofool.render import tensors, torch_backend
from evofool.scoring import OutOfMemory, Scorer
from evofool.seal import SEAL
from evofool.store.fixed import fixed_part

Make = Callable[..., dict[str, Any]]
VICTIM = """
import torch
from torch import nn
from evofool.classifiers import from_module


def victim():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(2592, 7))
    return from_module(net, input_shape=(3, 20, 20), name="soft")
"""


@pytest.fixture
def sections(toy_campaign: Make, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "victim.py").write_text(VICTIM)
    made: dict[str, Any] = toy_campaign(
        classifier={"name": f"{tmp_path / 'victim.py'}:victim"},
        encoding={"name": "cppn"},
        scoring={"batch": 8, "workers": 2, "engine": "torch", "device": "cpu"},
    )
    return made


@pytest.fixture
def gpu() -> Iterator[pytest.MonkeyPatch]:
    """While it lasts the CPU is a GPU without Triton, whose every level is another."""
    draw = torch_backend.render

    def rounding_differently(*args: Any, **options: Any) -> torch.Tensor:
        return draw(*args, **options) ^ 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_backend, "render", rounding_differently)
        patch.setattr(drawing_module, "accelerated", lambda device: True)
        patch.setattr(tensors, "tensor_backend", lambda device: "torch")
        tensors.working_backend.cache_clear()
        yield patch
    tensors.working_backend.cache_clear()


@pytest.fixture
def no_gpu(gpu: pytest.MonkeyPatch) -> Callable[[], None]:
    """The run folder goes to a machine without one."""

    def leave() -> None:
        gpu.undo()
        tensors.working_backend.cache_clear()

    return leave


def _manifest(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


def _checks(run: Path) -> dict[str, Any]:
    return {check.name: check for check in verify(run)}


def test_on_the_cpu_the_host_draws(sections: dict[str, Any], tmp_path: Path) -> None:
    evolve(sections, tmp_path / "run")
    assert (_manifest(tmp_path / "run")["renderer"], _manifest(tmp_path / "run")["breeder"]) == (
        "host",
        "host",
    )


def test_what_is_scored_on_the_device_is_what_is_stored(
    sections: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch, monkeypatch: Any
) -> None:
    seen: list[type] = []
    made = Scorer._made

    def watched(self: Scorer, images: Any) -> Any:
        seen.append(type(images))
        return made(self, images)

    monkeypatch.setattr(Scorer, "_made", watched)
    summary = evolve(sections, tmp_path / "run").summary
    assert set(seen) == {torch.Tensor}
    assert _manifest(tmp_path / "run")["renderer"] == "torch"
    checks = _checks(tmp_path / "run")
    assert all(check.ok for check in checks.values()), checks
    assert "renderer" not in checks
    before = _pictures(tmp_path / "run")
    (tmp_path / "run" / "elites.csv").unlink()
    build(tmp_path / "run")  # drawn anew by the same
    assert _pictures(tmp_path / "run") == before
    gpu.undo()
    host = evolve(sections, tmp_path / "host").summary
    assert host["archive_digest"] != summary["archive_digest"]  # so the test above can fail


def _pictures(run: Path) -> list[bytes]:
    return [decode_png(p.read_bytes()).tobytes() for p in sorted((run / "images").glob("*.png"))]


def test_resumed_where_it_was_begun_is_the_same(
    sections: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch
) -> None:
    whole = evolve(sections, tmp_path / "whole").summary["archive_digest"]
    _interrupt(sections, tmp_path / "cut")
    assert resume(tmp_path / "cut").summary["archive_digest"] == whole


def _interrupt(sections: dict[str, Any], run: Path) -> None:
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 15

    with pytest.raises(Interrupted):
        evolve(sections, run, should_stop=stop)


def test_a_resume_by_other_means_is_refused(
    sections: dict[str, Any], tmp_path: Path, no_gpu: Callable[[], None]
) -> None:
    _interrupt(sections, tmp_path / "cut")
    no_gpu()
    with pytest.raises(
        FolderError, match=r"drawn by torch.*\(host is\); resume it where it was started"
    ):
        resume(tmp_path / "cut")


def test_a_resume_without_the_device_is_refused(sections: dict[str, Any], tmp_path: Path) -> None:
    _interrupt(sections, tmp_path / "cut")
    config = tmp_path / "cut" / "config.yaml"
    config.write_text(config.read_text().replace("device: cpu", "device: cuda:977"))
    manifest = _manifest(tmp_path / "cut")  # as if it had been begun there
    manifest["config"] = fixed_part(load_campaign(config).config, CHANGEABLE)
    manifest.pop("content_sha256", None)
    (tmp_path / "cut" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderError, match=r"was started on cuda:977, which is not on this machine"):
        resume(tmp_path / "cut")
    resumed = [check for check in verify(tmp_path / "cut") if check.ok is False]
    assert not resumed  # what can be looked at elsewhere is


def test_a_run_of_before_renderers_were_recorded_is_the_hosts(
    sections: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch
) -> None:
    gpu.setattr(drawing_module, "accelerated", lambda device: False)
    whole = evolve(sections, tmp_path / "whole").summary["archive_digest"]
    _interrupt(sections, tmp_path / "cut")
    manifest = _manifest(tmp_path / "cut")
    del manifest["renderer"], manifest["breeder"], manifest[SEAL]
    (tmp_path / "cut" / "manifest.json").write_text(json.dumps(manifest))
    gpu.setattr(drawing_module, "accelerated", lambda device: True)
    assert resume(tmp_path / "cut").summary["archive_digest"] == whole
    checks = list(verify(tmp_path / "cut"))
    assert [check.name for check in checks if not check.ok] == ["manifest"]
    assert all(check.ok is None for check in checks if check.name == "manifest")


def test_elsewhere_verify_holds_the_pictures_to_the_digest_and_says_so(
    sections: dict[str, Any], tmp_path: Path, no_gpu: Callable[[], None]
) -> None:
    run = tmp_path / "run"
    evolve(sections, run)
    no_gpu()
    checks = _checks(run)
    assert checks["renderer"].ok is None
    assert "drawn by torch, which is not available here" in checks["renderer"].detail
    assert all(check.ok for name, check in checks.items() if name != "renderer"), checks
    picture = min((run / "images").glob("*.png"))
    other = max((run / "images").glob("*.png"))
    assert picture != other
    picture.write_bytes(other.read_bytes())
    checks = _checks(run)
    assert checks["archive digest"].ok is False
    assert checks["pictures"].ok is False
    picture.unlink()
    assert _checks(run)["pictures"].ok is False


def test_elsewhere_the_gallery_shows_the_stored_pictures_and_marks_others(
    sections: dict[str, Any],
    tmp_path: Path,
    no_gpu: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    evolve(sections, run)
    before = _pictures(run)
    no_gpu()
    with caplog.at_level(logging.WARNING, "evofool"):
        build(run, options=Options(ancestry=0))  # ancestors would be drawn by what is here
    assert not caplog.records
    assert _pictures(run) == before
    (run / "elites.csv").unlink()
    with caplog.at_level(logging.WARNING, "evofool"):
        build(run, options=Options(ancestry=0))
    (record,) = caplog.records
    assert "drawn by torch on a GPU, which cannot draw here" in record.getMessage()
    for picture in (run / "images").glob("*.png"):
        assert json.loads(read_text(picture)[PROVENANCE])["redrawn_by"] == "host"


def test_what_no_machine_knows_is_drawn_by_the_host() -> None:
    encoding = guarded(encodings.load("cppn", (1, 8, 8)))
    found, note = drawing_again(encoding, "quantum")
    assert found.name == "host"
    assert "quantum" in note


def test_protocols_survive_the_guard() -> None:
    cppn = guarded(encodings.load("cppn", (1, 8, 8)))
    assert isinstance(cppn, TensorEncoding)
    assert not isinstance(cppn, DeviceEncoding)
    assert drawing_on("cpu", cppn).name == "host"


class Full:
    """Draws on a device that has no room for more than three pictures."""

    name = "full"
    breeder = "host"
    options: dict[str, Any] = {}  # noqa: RUF012

    def render_tensor(self, genomes: Any, size: Any, device: Any) -> torch.Tensor:
        if len(genomes) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return torch.zeros((len(genomes), 1, *size), dtype=torch.uint8)

    def renderer(self, device: Any) -> str:
        return "full"

    def load(self, data: bytes) -> bytes:
        return data

    describe = load


def test_no_room_to_draw_is_no_memory_and_not_the_end() -> None:
    drawing = Drawing(guarded(Full()), "full", "cpu")  # type: ignore[arg-type]
    with pytest.raises(OutOfMemory, match="encoding full failed to render"):
        drawing([b""] * 4, (2, 2))
    assert drawing([b""] * 3, (2, 2)).shape == (3, 1, 2, 2)


def test_a_wrong_tensor_names_the_encoding(
    sections: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch
) -> None:
    cppn = encodings.find("cppn").factory
    gpu.setattr(
        cppn,
        "render_tensor",
        lambda self, genomes, size, device: torch.zeros(len(genomes), 3, 2, 2),
    )
    with pytest.raises(ScoringError, match=r"encoding cppn rendered torch\.float32"):
        evolve(load_campaign(sections), tmp_path / "run")


def test_triton_that_cannot_draw_gives_way_to_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As here, where there is no GPU."""
    monkeypatch.setattr(tensors, "tensor_backend", lambda device: "triton")
    tensors.working_backend.cache_clear()
    with caplog.at_level(logging.WARNING, "evofool"):
        assert encodings.find("cppn").factory((1, 8, 8)).renderer("cuda:0") == "torch"
    assert "Triton cannot draw there" in caplog.text
    tensors.working_backend.cache_clear()


def test_a_campaign_on_the_host_draws_as_render_does() -> None:
    cppn: Any = encodings.load("cppn", (3, 9, 9))
    genomes = [cppn.sample(np.random.default_rng(i)) for i in range(3)]
    drawing = drawing_on("cpu", cppn)
    assert np.array_equal(drawing(genomes, (9, 9)), cppn.render(genomes, (9, 9)))
    assert isinstance(drawing.to_score(genomes, (9, 9)), np.ndarray)


ALGORITHMS: dict[str, dict[str, Any]] = {
    "map_elites": {"initial": 20, "children": 21},
    "lagging": {"initial": 20, "children": 20, "lag": 1},
    "mu_plus_lambda": {
        "algorithm": "mu_plus_lambda", "target": 3, "initial": 20, "children": 20, "mu": 8,
    },
    "cma_es": {"algorithm": "cma_es", "target": 3, "initial": 10, "children": 12},
}  # fmt: skip


@pytest.fixture
def bred(sections: dict[str, Any]) -> dict[str, Any]:
    """A campaign in the direct encoding, of few genes and generations."""
    encoding = {"name": "direct", "crossover": 0.5, "resolution": [5, 5]}
    return {**sections, "encoding": encoding, "stop": {"generations": 6}}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_genomes_on_the_device(
    bred: dict[str, Any],
    tmp_path: Path,
    gpu: pytest.MonkeyPatch,
    no_gpu: Callable[[], None],
    algorithm: str,
) -> None:
    """Interrupted and resumed, on other workers, and looked into elsewhere: the same run."""
    made = {**bred, "evolution": ALGORITHMS[algorithm]}
    run = tmp_path / "run"
    whole = evolve(made, run).summary
    assert (_manifest(run)["renderer"], _manifest(run)["breeder"]) == ("host", "philox4x32")
    others = {**made, "scoring": {**made["scoring"], "workers": 1}}
    _interrupt(others, tmp_path / "cut")
    assert resume(tmp_path / "cut").summary["archive_digest"] == whole["archive_digest"]
    checks = _checks(run)
    assert all(check.ok is not False for check in checks.values()), checks
    _interrupt(made, tmp_path / "moved")
    no_gpu()
    checks = _checks(run)
    assert all(check.ok is not False for check in checks.values()), checks
    assert "renderer" not in checks  # its pixels are drawn anew anywhere
    assert checks["ancestry"].ok
    before = _pictures(run)
    (run / "elites.csv").unlink()
    build(run)
    assert _pictures(run) == before
    host = evolve(made, tmp_path / "host").summary
    assert host["archive_digest"] != whole["archive_digest"]
    resumed = resume(tmp_path / "moved").summary  # exact wherever its device is to be had
    assert resumed["archive_digest"] == whole["archive_digest"]


def test_other_breeders_are_refused(
    bred: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch
) -> None:
    _interrupt(bred, tmp_path / "cut")
    manifest = _manifest(tmp_path / "cut")
    (tmp_path / "cut" / "manifest.json").write_text(json.dumps({**manifest, "breeder": "mt"}))
    with pytest.raises(FolderError, match=r"was bred by mt, which is not available here"):
        resume(tmp_path / "cut")


def test_a_run_bred_on_the_host_goes_on_there(
    bred: dict[str, Any], tmp_path: Path, gpu: pytest.MonkeyPatch
) -> None:
    gpu.setattr(drawing_module, "accelerated", lambda device: False)
    whole = evolve(bred, tmp_path / "whole").summary["archive_digest"]
    _interrupt(bred, tmp_path / "cut")
    gpu.setattr(drawing_module, "accelerated", lambda device: True)
    assert resume(tmp_path / "cut").summary["archive_digest"] == whole
