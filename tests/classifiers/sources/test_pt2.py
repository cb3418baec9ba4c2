"""Programs of torch.export: batches of any length, gradients, hostile archives, other tasks."""

from __future__ import annotations

import copy
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_nets import save
from torch import nn

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.errors import ClassifierError, ScoringError
from evofool.scoring import Scorer

SIDE = 8
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 3, SIDE, SIDE), dtype=np.uint8)


class Net(nn.Module):
    """Three classes; `kind` says what else is odd."""

    def __init__(self, kind: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> Any:
        if self.kind == "bytes":
            images = images.float() / 255
        hidden = torch.relu(self.norm(self.conv(images)))
        if self.kind == "segmentation":
            return hidden
        if self.kind == "makes":
            hidden = hidden * torch.arange(1, 7, device=images.device)[:, None, None]
        scores = self.fc(hidden.mean((2, 3))) + torch.tensor([0.5, 0.0, -0.5])
        if self.kind == "detection":
            return scores, scores + 1
        return {"features": hidden, "logits": scores} if self.kind == "mapping" else scores


class Text(nn.Module):
    """Word numbers to scores of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.fc = nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc(self.words(words).mean(1))
        return scores


def made(kind: str = "") -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net(kind).eval()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Exports by name, each made once."""
    folder = tmp_path_factory.mktemp("pt2")
    n = torch.export.Dim("n", min=1, max=64)
    pair = torch.rand(2, 3, SIDE, SIDE)
    sides = {0: n, 2: torch.export.Dim("h", min=4, max=99), 3: torch.export.Dim("w", min=4, max=99)}
    ways: dict[str, Callable[[Path], Path]] = {
        "any": lambda path: save(made(), path, pair, {0: n}),
        "three": lambda path: save(made(), path, torch.rand(3, 3, SIDE, SIDE), None),
        "sides": lambda path: save(made(), path, pair, sides),
        "mapping": lambda path: save(made("mapping"), path, pair, {0: n}),
        "makes": lambda path: save(made("makes"), path, pair, {0: n}),
        "bytes": lambda path: save(made("bytes"), path, (pair * 255).to(torch.uint8), {0: n}),
        "detection": lambda path: save(made("detection"), path, pair, {0: n}),
        "segmentation": lambda path: save(made("segmentation"), path, pair, {0: n}),
        "training": lambda path: save(made().train(), path, pair, {0: n}),
        "text": lambda path: save(Text().eval(), path, torch.ones(2, 5, dtype=torch.int64), None),
    }

    def program(name: str) -> Path:
        path: Path = folder / f"{name}.pt2"
        return path if path.exists() else ways[name](path)

    return program


@pytest.mark.parametrize("name", ["any", "three", "mapping"])
def test_scores_and_gradients_are_those_of_the_net(
    name: str, programs: Callable[[str], Path]
) -> None:
    victim = load_classifier({"name": str(programs(name)), "labels": ["a", "b", "c"]})
    assert victim.input_shape == (3, SIDE, SIDE)
    assert victim.module is not None
    x = torch.from_numpy(IMAGES).float().div(255).requires_grad_(True)
    net = made()
    for count in (1, 3, 5):
        expected, found = net(x[:count]), victim.module(x[:count])
        assert torch.allclose(found, expected, atol=1e-6)
        (wanted,) = torch.autograd.grad(expected[:, 0].sum(), x)
        (gradient,) = torch.autograd.grad(found[:, 0].sum(), x)
        assert torch.allclose(gradient, wanted, atol=1e-6)
    confidence = Scorer(victim, device="cpu").confidence(IMAGES)
    assert np.allclose(confidence, net(x).softmax(1).detach().numpy(), atol=1e-5)


def test_a_program_of_many_sizes_needs_one(programs: Callable[[str], Path]) -> None:
    path = str(programs("sides"))
    with pytest.raises(ClassifierError, match=r"images of many sizes; set \[channels"):
        load_classifier(path)
    victim = load_classifier({"name": path, "input_shape": [3, 12, 10], "mean": 0.5})
    assert victim.input_shape == (3, 12, 10)
    assert victim.digest != load_classifier({"name": path, "input_shape": [3, 12, 10]}).digest
    with pytest.raises(ClassifierError, match="takes 3 x any x any, not 1 x 12 x 10"):
        load_classifier({"name": path, "input_shape": [1, 12, 10]})


def test_a_program_that_takes_bytes_gives_no_gradients(programs: Callable[[str], Path]) -> None:
    scorer = Scorer(load_classifier(str(programs("bytes"))), device="cpu")
    expected = made()(torch.from_numpy(IMAGES) / 255).softmax(1).detach().numpy()
    assert np.allclose(scorer.confidence(IMAGES), expected, atol=1e-5)
    with pytest.raises(ScoringError, match="gives no gradients"):
        scorer.gradients(IMAGES, lambda scores, _rows: scores[:, 0])


def test_tensors_that_a_program_makes_follow_it_to_another_device(
    programs: Callable[[str], Path],
) -> None:
    victim = load_classifier(str(programs("makes")))
    assert victim.module is not None
    images = torch.rand(2, 3, SIDE, SIDE)
    assert torch.allclose(victim.module(images), made("makes")(images), atol=1e-6)
    elsewhere = copy.deepcopy(victim.module).to("meta")  # the one other device of every machine
    assert elsewhere(images.to("meta")).device.type == "meta"
    assert victim.module(images).device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "takes int64 2 x 5, not one batch of images N x C x H x W; is it a net for"),
        ("segmentation", "gives float32 n x 6 x 6 x 6, not one matrix N x classes"),
        ("detection", "gives float32 n x 3, float32 n x 3, not one matrix N x classes"),
        ("training", r"was exported in training mode .* call eval\(\)"),
    ],
)
def test_programs_of_other_tasks(name: str, message: str, programs: Callable[[str], Path]) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(str(programs(name)))


def test_labels_must_fit(programs: Callable[[str], Path]) -> None:
    with pytest.raises(ClassifierError, match="gives 3 classes but has 2 labels"):
        load_classifier({"name": str(programs("any")), "labels": ["a", "b"]})


def test_what_is_known_without_loading(programs: Callable[[str], Path], tmp_path: Path) -> None:
    assert inspect_classifier(str(programs("any"))).ready
    absent = inspect_classifier("absent.pt2", base=tmp_path)
    assert absent.missing.endswith("absent.pt2: no such file")
    with pytest.raises(ClassifierError, match=r"absent\.pt2: no such file"):
        load_classifier("absent.pt2", base=tmp_path)


class _Harm:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def changed(
    source: Path,
    target: Path,
    edit: Callable[[dict[str, Any]], object] | None = None,
    files: dict[str, bytes] | None = None,
    method: int = zipfile.ZIP_STORED,
) -> str:
    """A copy of an archive with its description edited, and files put in or replaced."""
    files = files or {}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry.endswith("models/model.json") and edit is not None:
                told = json.loads(content)
                edit(told["graph_module"])
                content = json.dumps(told).encode()
            if entry.partition("/")[2] not in files:
                new.writestr(entry, content)
        for name, content in files.items():
            new.writestr(f"{entry.partition('/')[0]}/{name}", content)
    return str(target)


def _at(*path: str | int, to: object) -> Callable[[dict[str, Any]], object]:
    def edit(told: Any) -> None:
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = to

    return edit


def _enum(told: dict[str, Any]) -> None:
    spec = json.loads(told["module_call_graph"][0]["signature"]["in_spec"])
    spec[1]["context"] = json.dumps({"__enum__": True, "fqn": "antigravity:X"})
    told["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(spec)


NODE = ("graph", "nodes", 0)
SIZE = ("graph", "tensor_values", "conv2d", "sizes", 0, "as_expr", "expr_str")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_at(*NODE, "target", to="torch.os.system"), r"its operator torch\.os\.system is none"),
        (_at(*NODE, "target", to="torch.ops.aten.from_file.default"), "operator torch.ops.aten"),
        (_at(*NODE, "target", to="torch.ops.aten.save.default"), "none of PyTorch's own"),
        (_at(*NODE, "target", to="torch.ops.aten._cummax_helper.default"), "none of PyTorch's"),
        (_at(*NODE, "target", to="torch.ops.image.read_file.default"), "none of PyTorch's own"),
        (_at(*SIZE, to="__import__('os').system('true')"), "is no size"),
        (_at(*SIZE, to="().__class__"), "is no size"),
        (_at(*SIZE, to="9**9**9**9"), "is no size"),
        (_at(*SIZE, to="Pow(Integer(9), Pow(Integer(9), Integer(99)))"), "is no size"),
        (_at(*NODE, "name", to="x\n    print(1)\n    y"), "is no name"),
        (_at(*NODE, "name", to="torch.load"), "name 'torch.load' is no name"),
        (_at("graph", "custom_obj_values", to={"a b": {}}), "is no name"),
        (_enum, "is damaged|takes or returns"),
        (_at("module_call_graph", to=4), "is damaged"),
    ],
)
def test_descriptions_that_may_run_code_are_refused(
    edit: Callable[[dict[str, Any]], object],
    message: str,
    programs: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    hostile = changed(programs("any"), tmp_path / "hostile.pt2", edit)
    with pytest.raises(ClassifierError, match=message):
        load_classifier(hostile)


def test_examples_of_inputs_and_guards_are_left_out(
    programs: Callable[[str], Path], tmp_path: Path
) -> None:
    """torch itself would unpickle the examples, which is what leaves the file behind."""
    harmed = tmp_path / "harmed"
    stream = io.BytesIO()
    torch.save(((_Harm(harmed),), {}), stream)
    hostile = changed(
        programs("any"),
        tmp_path / "hostile.pt2",
        files={"data/sample_inputs/model.pt": stream.getvalue(), "extra/notes": b"\x80"},
    )
    net = made()
    victim = load_classifier(hostile)
    assert not harmed.exists()
    found = Scorer(victim, device="cpu").confidence(IMAGES)
    expected = net(torch.from_numpy(IMAGES) / 255).softmax(1).detach().numpy()
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"data/aotinductor/model/x.so": b"\x7fELF"}, "holds compiled code"),
        ({"data/constants/custom_obj_0": b"\x80"}, "pickled or unknown parts"),
        ({"data/weights/model.pt": b"\x80"}, "pickled or unknown parts"),
        ({"data/weights/model_weights_config.json": b"[]"}, "is not a JSON object"),
        ({"models/model.json": b"{"}, "cannot be read as a program"),
        ({"models/model.json": b'{"graph_module": 3}'}, "is damaged"),
        ({"archive_version": b"99"}, "cannot read the program"),
    ],
)
def test_archives_with_other_parts_are_refused(
    files: dict[str, bytes], message: str, programs: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(changed(programs("any"), tmp_path / "hostile.pt2", files=files))


def test_weights_that_claim_to_be_larger_are_refused(
    programs: Callable[[str], Path], tmp_path: Path
) -> None:
    name = "data/weights/model_weights_config.json"
    with zipfile.ZipFile(programs("any")) as archive:
        told = json.loads(archive.read(f"any/{name}"))
    told["config"]["fc.bias"]["tensor_meta"]["sizes"] = [{"as_int": 10**12}]
    told["config"]["fc.bias"]["tensor_meta"]["strides"] = [{"as_int": 0}]
    hostile = changed(
        programs("any"), tmp_path / "hostile.pt2", files={name: json.dumps(told).encode()}
    )
    with pytest.raises(ClassifierError, match=r"its tensor fc\.bias repeats a smaller one"):
        load_classifier(hostile)


def test_a_program_of_a_gpu_is_loaded_on_the_cpu(
    programs: Callable[[str], Path], tmp_path: Path
) -> None:
    def on_gpu(value: Any) -> None:
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict) and set(part) == {"type", "index"}:
                part.update(type="cuda", index=0)
            elif isinstance(part, dict | list):
                on_gpu(part)

    moved = changed(programs("makes"), tmp_path / "moved.pt2", on_gpu)
    victim = load_classifier(moved)
    images = torch.rand(2, 3, SIDE, SIDE)
    assert victim.module is not None
    assert torch.allclose(victim.module(images), made("makes")(images), atol=1e-6)


def test_pickled_weights_are_refused(programs: Callable[[str], Path], tmp_path: Path) -> None:
    name = "data/weights/model_weights_config.json"
    with zipfile.ZipFile(programs("any")) as archive:
        told = json.loads(archive.read(f"any/{name}"))
    told["config"]["fc.bias"]["use_pickle"] = True
    harm = pickle.dumps(_Harm(tmp_path / "harmed"))
    files = {name: json.dumps(told).encode(), "data/weights/weight_5": harm}
    hostile = changed(programs("any"), tmp_path / "hostile.pt2", files=files)
    with pytest.raises(ClassifierError, match=r"'fc\.bias' is a pickled object"):
        load_classifier(hostile)
    assert not (tmp_path / "harmed").exists()


def _write_zip(path: Path, names: Sequence[str]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name in names:
            archive.writestr(name, b"{}")


def test_files_that_are_no_programs(programs: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"

    def refused(message: str) -> None:
        with pytest.raises(ClassifierError, match=message):
            load_classifier(str(path))

    path.write_bytes(b"nothing")
    refused("cannot be read as a program of torch.export")
    torch.save(made().state_dict(), path)
    refused("was not written by torch.export.save")
    _write_zip(path, ["version", "serialized_exported_program.json"])
    refused("in an older format, whose weights are pickled")
    _write_zip(path, ["x/models/model.json", "y/models/model.json"])
    refused("holds models/model.json twice")
    changed(programs("any"), path, method=zipfile.ZIP_DEFLATED)
    refused("is compressed")
