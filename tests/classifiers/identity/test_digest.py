"""What a digest and a cache key see of a victim: whatever can change an answer."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict, load_classifier
from evofool.classifiers.identity.digest import cache_key, identity
from evofool.classifiers.nets.checkpoints import digest_module
from evofool.classifiers.sources.bundled import WEIGHTS
from evofool.errors import ClassifierError

SHAPE = (3, 2, 2)
Change = Callable[[Any], object]


def linear(out: int = 3) -> nn.Linear:
    """With weights that are the same each time."""
    layer = nn.Linear(12, out)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    return layer


class Holding(nn.Module):
    """Holds things where `parameters` and `buffers` do not look."""

    shared = torch.ones(3)

    def __init__(self) -> None:
        super().__init__()
        self.nets = [linear(), linear()]
        self.table = {"scale": torch.ones(3)}
        self.offset = np.zeros(3, np.float32)
        self.temperature = 2.0
        self.mode = "sum"
        self.inner = types.SimpleNamespace(net=linear())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(1)
        outputs: torch.Tensor = self.nets[0](flat) + self.nets[1](flat) + self.inner.net(flat)
        scaled = outputs * self.table["scale"] * self.shared / self.temperature
        return scaled + torch.from_numpy(self.offset) * (1 if self.mode == "sum" else 2)


def grow(tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor.add_(1)


CHANGES: dict[str, Change] = {
    "a net in a plain list": lambda m: grow(m.nets[1].weight),
    "a tensor in a mapping": lambda m: grow(m.table["scale"]),
    "an array": lambda m: m.offset.__iadd__(1),
    "a number": lambda m: setattr(m, "temperature", 3.0),
    "a text": lambda m: setattr(m, "mode", "mean"),
    "a net in an object": lambda m: grow(m.inner.net.bias),
    "a hook": lambda m: m.register_forward_hook(lambda module, inputs, outputs: -outputs),
    "a tensor that is added": lambda m: setattr(m, "extra", torch.ones(2)),
    "a method": lambda m: setattr(m, "forward", types.MethodType(lambda m, x: -x.flatten(1), m)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_digest_sees(what: str) -> None:
    module = Holding()
    before = identity(module), cache_key(module)
    assert before == (identity(Holding()), cache_key(Holding()))
    assert before == (identity(copy.deepcopy(module)), cache_key(copy.deepcopy(module)))
    old = digest_module(module)
    CHANGES[what](module)
    assert digest_module(module) == old  # rule 1 was blind to it
    assert identity(module).digest != before[0].digest
    assert cache_key(module) != before[1]


def test_a_tensor_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(Holding()), cache_key(Holding())
    monkeypatch.setattr(Holding, "shared", torch.zeros(3))
    assert identity(Holding()).digest != before[0].digest
    assert cache_key(Holding()) != before[1]


OFFSET = torch.zeros(3)


def helper(outputs: torch.Tensor) -> torch.Tensor:
    return outputs + OFFSET


class Calling(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return helper(images.flatten(1)[:, :3])


def test_a_global_tensor_behind_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(Calling()), cache_key(Calling())
    monkeypatch.setitem(globals(), "OFFSET", torch.ones(3))
    assert identity(Calling()).digest != before[0].digest
    assert cache_key(Calling()) != before[1]


def test_layers_with_the_same_weights_in_another_way() -> None:
    """Their weights do not tell a stride, a slope or the order of two layers."""
    nets = [
        nn.Sequential(nn.Conv2d(1, 1, 1, stride=stride, bias=False), nn.LeakyReLU(slope))
        for stride, slope in ((1, 0.1), (2, 0.1), (1, 0.2))
    ]
    nets.append(nn.Sequential(nets[0][1], nets[0][0]))
    for net in nets:
        (weight,) = net.parameters()
        nn.init.ones_(weight)
    assert len({identity(net).digest for net in nets}) == 4
    assert len({cache_key(net) for net in nets}) == 4


def test_where_a_thing_lies_is_not_what_it_is() -> None:
    """A folder, a device and an address may differ from machine to machine."""
    one, two = Holding(), Holding()
    for module, place in ((one, "/home/a/net.pt"), (two, "C:\\nets\\net.pt")):
        module.path, module.url = place, f"http://{len(place)}/"
        module.file = Path(place)
    one.device, two.device = torch.device("cpu"), torch.device("cuda")
    one.where, two.where = "cpu", "cuda:0"
    assert identity(one) == identity(two)
    assert cache_key(one) != cache_key(two)


class Opaque(Calling):
    def __init__(self) -> None:
        super().__init__()
        self.pages = [Path(__file__).open(encoding="utf-8")]  # noqa: SIM115


def test_what_cannot_be_read_is_named_and_never_cached() -> None:
    module = Opaque()
    try:
        assert identity(module).opaque == ("pages[0] (_io.TextIOWrapper)",)
        assert cache_key(module) is None
    finally:
        module.pages[0].close()


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (np.random.default_rng(0), "numpy.random._generator.Generator"),
        (torch.Generator(), "torch._C.Generator"),
        ((i for i in [1]), "generator"),
        ({1: {threading.local()}}, "_thread._local"),
        ([[memoryview(b"x")]], "memoryview"),
    ],
)
def test_opaque_things_are_seen_wherever_they_lie(thing: object, name: str) -> None:
    module = Calling()
    module.held = thing
    assert any(name in part for part in identity(module).opaque), identity(module).opaque
    assert cache_key(module) is None


def test_a_lock_changes_no_answer() -> None:
    module = Calling()
    module.lock = threading.Lock()
    assert identity(module).opaque == ()
    assert cache_key(module) is not None


def test_what_refers_to_itself() -> None:
    module = Holding()
    module.ring = [module.table]
    module.ring.append(module.ring)
    assert identity(module) == identity(module)


@dataclass
class Options:
    scale: float = 1.0


class RandomGenerator:
    """No generator of numbers, whatever it is called."""

    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale


def made(text: str) -> type[nn.Module]:
    """A class that was typed at a prompt."""
    space: dict[str, Any] = {"nn": nn}
    exec(f"class Typed(nn.Module):\n    def forward(self, x):\n        return {text}", space)
    kind: type[nn.Module] = space["Typed"]
    return kind


def test_code_without_a_file() -> None:
    one, same, other = (made(t)() for t in ("x * 2", "x * 2", "x * 3"))
    assert identity(one) == identity(same)
    assert identity(one).digest != identity(other).digest
    assert cache_key(one) == cache_key(same) != cache_key(other)


@pytest.mark.parametrize("kind", [Options, RandomGenerator])
def test_objects_of_own_classes(kind: Callable[[float], object]) -> None:
    module = Calling()
    keys = []
    for options in (kind(1.0), kind(1.0), kind(2.0)):
        module.options = options
        keys.append((identity(module).digest, cache_key(module)))
    assert keys[0] == keys[1]
    assert all(a != b for a, b in zip(keys[0], keys[2], strict=True))
    assert identity(module).opaque == ()


# kinds of nets


def quantised(scale: float) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), linear())
    with torch.no_grad():
        net[1].weight.mul_(scale)
    return torch.ao.quantization.quantize_dynamic(net.eval(), {nn.Linear})


class Scripted(nn.Module):
    def __init__(self, scale: float, names: list[str]) -> None:
        super().__init__()
        self.fc = linear()
        self.scale = scale
        self.names = names
        with torch.no_grad():
            self.fc.weight.mul_(scale)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.flatten(1)) * self.scale


def scripted(scale: float) -> nn.Module:
    return torch.jit.script(Scripted(scale, ["a", "b"]).eval())


def frozen(scale: float) -> nn.Module:
    return torch.jit.freeze(scripted(scale))


def traced(scale: float) -> nn.Module:
    return torch.jit.trace(Scripted(scale, []).eval(), torch.zeros(2, *SHAPE))


def reloaded(scale: float) -> nn.Module:
    import io

    buffer = io.BytesIO()
    torch.jit.save(scripted(scale), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def lazy(scale: float) -> nn.Module:
    torch.manual_seed(int(scale))
    return nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))


KINDS = {f.__name__: f for f in (quantised, scripted, frozen, traced, reloaded, lazy)}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Lazy modules", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [True, False])
def test_kinds_of_nets(kind: str, keep: bool) -> None:
    """They load, are copied, and are told apart by what they hold."""
    one, same, other = (
        from_module(KINDS[kind](scale), input_shape=SHAPE, keep=keep) for scale in (1.0, 1.0, 3.0)
    )
    assert one.opaque == ()
    assert one.digest == same.digest != other.digest
    assert one.module is not None
    assert other.module is not None
    assert cache_key(one.module) is not None
    assert cache_key(one.module) != cache_key(other.module)
    assert not any(p.requires_grad for p in one.module.parameters())
    images = torch.rand(2, *SHAPE, requires_grad=True)
    outputs = one.module(images)
    assert outputs.shape == (2, 3)
    if kind != "quantised":  # its operators have no gradient
        (gradient,) = torch.autograd.grad(outputs[:, 0].sum(), images)
        assert gradient.abs().max() > 0


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_lazy_layers_that_cannot_be_built() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 5), nn.Flatten())
    with pytest.raises(ClassifierError, match="lazy layers cannot be built from one image of 3 x"):
        from_module(net, input_shape=SHAPE)


def test_nets_in_plain_lists_are_in_evaluation_mode() -> None:
    module = Holding()
    module.nets = [nn.Sequential(linear(), nn.Dropout(0.5)), nn.Sequential(linear())]
    victim = from_module(module, input_shape=SHAPE)
    assert isinstance(victim.module, Holding)
    assert not victim.module.nets[0].training
    assert module.nets[0].training  # the caller's own is as it was
    assert not victim.module.nets[0][0].weight.requires_grad


TENSORS: dict[str, Callable[[float], torch.Tensor]] = {
    "sparse": lambda x: torch.eye(3).mul(x).to_sparse(),
    "compressed": lambda x: torch.eye(3).mul(x).to_sparse_csr(),
    "quantised": lambda x: torch.quantize_per_tensor(torch.ones(3), x, 0, torch.qint8),
    "bfloat16": lambda x: torch.full((3,), x, dtype=torch.bfloat16),
    "complex": lambda x: torch.full((3,), x, dtype=torch.complex64).conj(),
    "empty": lambda x: torch.zeros(int(x), 0),
    "scalar": lambda x: torch.tensor(x),
    "expanded": lambda x: torch.tensor([x]).expand(3, 3),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", TENSORS)
def test_kinds_of_tensors(kind: str) -> None:
    found = []
    for x in (1.0, 1.0, 2.0):
        module = Calling()
        module.held = TENSORS[kind](x)
        found.append(identity(module))
    assert found[0] == found[1]
    assert found[0].opaque == ()
    assert found[0].digest != found[2].digest


# predict functions


def with_table(table: Any) -> Callable[[Any], Any]:
    def predict(images: Any) -> Any:
        return np.tile(table[:2], (len(images), 1))

    return predict


class Service:
    def __init__(self, weights: Any, token: str) -> None:
        self.weights = {"w": weights}
        self.token = token
        self.calls = 0

    def __call__(self, images: Any) -> Any:
        self.calls += 1
        return np.tile(self.weights["w"], (len(images), 1))

    def ask(self, images: Any) -> Any:
        return self(images)


HALF = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    "make",
    [
        lambda table: with_table(table),
        lambda table: Service(table, "x"),
        lambda table: Service(table, "x").ask,
        lambda table: lambda images: with_table(table)(images),
    ],
)
def test_arrays_that_a_function_holds(make: Callable[[Any], Any]) -> None:
    one, same, other = (
        from_predict(make(table), input_shape=SHAPE)
        for table in (HALF, HALF.copy(), np.array([0.25, 0.75]))
    )
    assert one.digest == same.digest != other.digest
    assert one.old_digest == other.old_digest


def test_a_key_of_a_service_is_not_the_victim() -> None:
    one, two = (from_predict(Service(HALF, token), input_shape=SHAPE) for token in "ab")
    assert one.digest == two.digest


def test_a_function_typed_at_a_prompt() -> None:
    """Its constants count, of which rule 1 saw only the positions."""
    digests = []
    for number in (2, 2, 4):
        space: dict[str, Any] = {"np": np}
        exec(f"def predict(x):\n    return np.full((len(x), 2), 1 / {number})", space)
        victim = from_predict(space["predict"], input_shape=SHAPE)
        digests.append((victim.digest, victim.old_digest))
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]
    assert digests[0][1] == digests[2][1]


# named architectures


@pytest.mark.parametrize("name", ["mnist-lenet", "fashion-lenet", "gtsrb-cnn"])
def test_bundled_victims_go_by_their_weights(name: str) -> None:
    victim = load_classifier(name)
    assert victim.module is not None
    assert victim.digest == digest_module(victim.module)
    assert victim.old_digest is None
    assert victim.opaque == ()
    assert cache_key(victim.module) is not None


def test_an_architecture_with_weights_goes_by_them() -> None:
    spec = {"name": "lenet", "weights": str(WEIGHTS / "mnist-lenet.safetensors")}
    assert load_classifier(spec).digest == load_classifier("mnist-lenet").digest


def test_both_digests_are_known() -> None:
    victim = from_module(nn.Sequential(nn.Flatten(), linear()), input_shape=SHAPE)
    assert victim.module is not None
    assert victim.old_digest == digest_module(victim.module) != victim.digest
    assert victim.is_known_as(victim.digest)
    assert victim.is_known_as(victim.old_digest)
    assert victim.is_known_as(victim.old_digest, 1)
    assert not victim.is_known_as(victim.old_digest, 2)
    assert not victim.is_known_as(victim.digest, 1)


def test_what_a_victim_keeps_of_its_last_batch_does_not_count() -> None:
    class Keeping(Calling):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.last = images
            return super().forward(images)

    def load() -> Classifier:
        return from_module(Keeping(), input_shape=SHAPE)

    assert load().digest == load().digest


def several() -> list[tuple[str, str | None]]:
    """Digests and cache keys of nets whose parts Python and torch may keep in any order."""
    keeping = Calling()
    keeping.words = {"a", "b", "c"}
    nets = [Holding(), keeping, scripted(2.0), frozen(2.0), made("x * len({'a', 'b', 'c'})")()]
    return [(identity(net).digest, cache_key(net)) for net in nets]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_another_process_finds_the_same() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += f"import {Path(__file__).stem} as tests; print(tests.several())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "5"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(several())


def test_an_iterator_that_code_names_is_read_as_any_object() -> None:
    """Copying one takes its class, which is no iterator itself, though it has `__next__`."""

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = itertools.count(3)
            self.pairs = zip([1], [2], strict=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :4]

    assert len(identity(Counts()).digest) == 64


def test_an_object_that_cannot_be_looked_at_is_named() -> None:
    class Shy:
        def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
            raise RuntimeError("not now")

        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            raise RuntimeError("not now")

    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shy = Shy()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :4]

    assert any("Shy" in part for part in identity(Holds()).opaque)
