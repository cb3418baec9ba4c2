"""Engines: the cache of exported graphs, what falls back to what, and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.errors import UsageError
from evofool.scoring import EngineUnavailable, Scorer, cache_folder, devices, engines

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
SHAPE = (1, 6, 6)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnx"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry an export."""
    made: list[str] = []
    export = engines._export

    def counted(classifier: Classifier, shape: tuple[int, ...]) -> bytes:
        made.append(classifier.name)
        return export(classifier, shape)

    monkeypatch.setattr(engines, "_export", counted)
    return made


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EVOFOOL_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "evofool"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no home at all
    with pytest.raises(OSError, match="Not a directory"):
        cache_folder().mkdir(parents=True, exist_ok=True)


def test_an_export_is_kept(
    victim: Classifier, make_scorer: MakeScorer, cache: Path, exports: list[str], images: Images
) -> None:
    first = make_scorer(victim, engine="onnxruntime").score(images)
    (kept,) = cache.iterdir()
    second = make_scorer(victim, engine="onnxruntime").score(images)
    assert exports == ["tiny"]
    assert list(cache.iterdir()) == [kept]
    assert np.array_equal(first.log_odds, second.log_odds)


@pytest.mark.parametrize("damage", ["empty", "noise", "half", "other", "shifted"])
def test_a_graph_that_is_not_the_victims_is_replaced(
    net: nn.Module,
    victim: Classifier,
    make_scorer: MakeScorer,
    cache: Path,
    exports: list[str],
    images: Images,
    damage: str,
) -> None:
    expected = make_scorer(victim, engine="torch").score(images).log_odds
    make_scorer(victim, engine="onnxruntime")
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    torch.manual_seed(9)
    stranger = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
    graphs = {
        "empty": b"",
        "noise": bytes(range(256)) * 9,
        "half": whole[: len(whole) // 2],
        "other": engines._export(from_module(stranger, input_shape=SHAPE), SHAPE),
        "shifted": engines._export(
            from_module(nn.Sequential(net, nn.Softplus()), input_shape=SHAPE), SHAPE
        ),
    }
    path.write_bytes(graphs[damage])
    exports.clear()
    scorer = make_scorer(victim, engine="onnxruntime")
    assert exports == ["tiny"]
    assert np.abs(scorer.score(images).log_odds - expected).max() <= 1e-4
    assert path.read_bytes() == whole


def test_a_shift_of_the_logits_is_another_victim_under_sigmoids(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, images: Images
) -> None:
    """Under a softmax it means nothing, so a comparison made for softmax would let it pass."""

    class Shifted(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = net(images) + 1.0
            return outputs

    victim = from_module(net, input_shape=SHAPE, link="sigmoid")
    make_scorer(victim, engine="onnxruntime")
    (path,) = cache.iterdir()
    path.write_bytes(engines._export(from_module(Shifted(), input_shape=SHAPE), SHAPE))
    with torch.no_grad():
        expected = net(torch.from_numpy(images).float() / 255).numpy()
    scores = make_scorer(victim, engine="onnxruntime").score(images)
    assert scores.log_odds == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_saturated_outputs_export(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, images: Images, link: str
) -> None:
    class Sharp(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = net(images) * 60
            return logits.softmax(1) if link == "identity" else logits

    output: Any = "probs" if link == "identity" else "logits"
    victim = from_module(Sharp(), input_shape=SHAPE, output=output, link=link)  # type: ignore[arg-type]
    one = make_scorer(victim, engine="torch").score(images)
    two = make_scorer(victim, engine="onnxruntime").score(images)
    assert two.confidence == pytest.approx(one.confidence, abs=1e-5)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    victim: Classifier,
    make_scorer: MakeScorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: Images,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path / "file"))
    assert len(make_scorer(victim, engine="onnxruntime").score(images)) == 11


def test_nothing_is_left_when_the_cache_cannot_take_it(
    victim: Classifier, make_scorer: MakeScorer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    make_scorer(victim, engine="onnxruntime")
    assert list(cache.iterdir()) == []


def test_two_shapes_are_two_graphs(net: nn.Module, make_scorer: MakeScorer, cache: Path) -> None:
    anywhere = nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for side in (6, 9):
        victim = from_module(anywhere, input_shape=(1, side, side))
        scores = make_scorer(victim, engine="onnxruntime").score(np.zeros((2, 1, side, side)))
        assert len(scores) == 2
    assert len(list(cache.iterdir())) == 2


class Unexportable(nn.Module):
    """Leaves the graph: a tensor goes through numpy."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.onnx.is_in_onnx_export():
            raise NotImplementedError("this operator\nhas no ONNX form")
        outputs: torch.Tensor = self.net(images)
        return outputs


def test_a_module_that_does_not_export(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, images: Images
) -> None:
    victim = from_module(Unexportable(net), input_shape=SHAPE)
    scorer = make_scorer(victim, device="cpu")
    assert scorer.engine == "torch"
    assert "scoring with torch, since the module does not export" in scorer.note
    assert "this operator" in scorer.note
    assert len(scorer.score(images)) == 11
    with pytest.raises(EngineUnavailable, match=r"does not export to ONNX \(this operator\)"):
        Scorer(victim, engine="onnxruntime")


class Drifting(nn.Module):
    """Exports to something else, of which the tracer says nothing: it asks whether it is traced."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.net(images)
        return -outputs if torch.onnx.is_in_onnx_export() else outputs


def test_an_export_that_does_not_agree_is_not_used(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, images: Images
) -> None:
    victim = from_module(Drifting(net), input_shape=SHAPE)
    scorer = make_scorer(victim, device="cpu")
    assert scorer.engine == "torch"
    assert "does not agree" in scorer.note
    assert not cache.exists()
    with pytest.raises(EngineUnavailable, match="does not agree with the module"):
        Scorer(victim, engine="onnxruntime")


def test_auto_takes_onnxruntime_on_a_cpu(victim: Classifier, make_scorer: MakeScorer) -> None:
    scorer = make_scorer(victim, device="cpu")
    assert (scorer.engine, scorer.device, scorer.note) == ("onnxruntime", "cpu", "")


def test_an_onnx_file_scores_and_has_no_gradients(
    victim: Classifier, make_scorer: MakeScorer, tmp_path: Path, images: Images
) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(engines._export(victim, SHAPE))
    from_file = load_classifier(str(path))
    scorer = make_scorer(from_file, batch=4)
    expected = make_scorer(victim, engine="torch").score(images).log_odds
    assert np.abs(scorer.score(images).log_odds - expected).max() <= 1e-4
    with pytest.raises(EngineUnavailable, match="engine torch needs a module"):
        Scorer(from_file, engine="torch")
    for engine in ("auto", "onnxruntime"):
        with pytest.raises(UsageError, match="runs on the cpu; use cpu"):
            Scorer(from_file, engine=engine, device="cuda")


@pytest.mark.gpu
def test_scorers_on_two_devices_share_a_victim(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    on_gpu = make_scorer(victim, engine="torch", device="cuda")
    on_cpu = make_scorer(victim, engine="onnxruntime")
    for scorer in (on_gpu, on_cpu, on_gpu):
        assert np.abs(scorer.score(images).log_odds - on_cpu.score(images).log_odds).max() < 1e-3
    floats = (images / 255).astype(np.float32)
    assert np.array_equal(on_gpu.score(images).log_odds, on_gpu.score(floats).log_odds)


def test_a_device_elsewhere_gets_a_copy() -> None:
    module = nn.Linear(2, 2)
    moved = devices.on(module, "meta")
    assert moved.weight.is_meta
    assert not module.weight.is_meta
    assert devices.on(module, "cpu") is module


def _answer(program: str) -> str:
    """What a process of its own prints, in which nothing is imported yet."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"OMP_NUM_THREADS": "2", "PATH": "", "EVOFOOL_CACHE": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def threads_of_torch() -> str:
    return _answer("import torch; print(torch.get_num_threads())")


@pytest.mark.parametrize("kind", ["predict", "onnxruntime", "torch"])
def test_threads_of_the_caller_are_its_own(kind: str, threads_of_torch: str) -> None:
    """In a process of its own: the first use of torch in a thread decides."""
    code = f"""
        import numpy as np
        import torch
        import evofool
        from torch import nn
        from evofool.classifiers import from_module, from_predict

        kind = {kind!r}
        if kind == "predict":
            victim = from_predict(
                lambda x: x.reshape(len(x), -1)[:, :5] / 255, input_shape=(1, 6, 6))
            options = {{}}
        else:
            net = nn.Sequential(nn.Flatten(), nn.Linear(36, 5))
            victim = from_module(net, input_shape=(1, 6, 6))
            options = {{"engine": kind}}
        with evofool.Scorer(victim, workers=2, batch=2, **options) as scorer:
            scorer.score(np.zeros((8, 1, 6, 6), np.uint8))
            if kind != "predict":
                scorer.gradients(np.zeros((8, 1, 6, 6), np.uint8), lambda z, rows: z[:, 0])
        print(torch.get_num_threads())
    """
    if threads_of_torch == "1\n":
        pytest.skip("torch takes one thread here anyway")
    assert _answer(code) == threads_of_torch


def test_workers_compute_with_one_thread(victim: Classifier, make_scorer: MakeScorer) -> None:
    mine = torch.get_num_threads()
    scorer = make_scorer(victim, engine="torch", workers=2)
    assert scorer._pool.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == mine


def test_importing_the_scorer_imports_no_engine() -> None:
    code = "import sys, evofool.scoring; print({'torch', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(36, 5)

    def forward(self, x):
        x = x.flatten(1)
        return self.fc(x * SIGN)

def make():
    torch.manual_seed(0)
    return Net()
"""


def test_a_graph_goes_by_the_code_too(
    tmp_path: Path, make_scorer: MakeScorer, cache: Path, exports: list[str], images: Images
) -> None:
    """The same weights, and pictures on which the two agree: only the code tells them apart."""
    path = tmp_path / "victim.py"
    found = []
    for sign in ("1", "torch.where(x > 0.999, -1, 1)", "1"):
        path.write_text(CODE.replace("SIGN", sign))
        victim = load_classifier({"name": f"{path}:make", "input_shape": [1, 6, 6]})
        found.append(make_scorer(victim, engine="onnxruntime").score(images).log_odds)
    assert len(exports) == 2  # the third is the first again
    assert len(list(cache.iterdir())) == 2
    assert np.array_equal(found[0], found[2])


def test_what_cannot_be_told_apart_is_not_kept(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, exports: list[str]
) -> None:
    class Holding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.draws = np.random.default_rng(0)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.net(images)
            return outputs

    victim = from_module(Holding(), input_shape=SHAPE, name="tiny")
    for _ in range(2):
        scorer = make_scorer(victim, engine="onnxruntime")
        assert scorer.note.startswith("the digest of tiny cannot cover draws (numpy.random")
    assert exports == ["tiny", "tiny"]
    assert not cache.exists()


def test_versions_are_part_of_a_graphs_name_and_not_of_a_digest(
    net: nn.Module, make_scorer: MakeScorer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    before = from_module(net, input_shape=SHAPE)
    make_scorer(before, engine="onnxruntime")
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version(name) + ".post1")
    after = from_module(net, input_shape=SHAPE)
    make_scorer(after, engine="onnxruntime")
    assert after.digest == before.digest
    assert len(list(cache.iterdir())) == 2
