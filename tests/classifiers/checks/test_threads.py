"""Which modules threads may share, and that each thread's own copy keeps its state to itself."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from evofool.classifiers import load_classifier
from evofool.classifiers.checks.locks import CallLock
from evofool.classifiers.checks.threads import Sharing, ThreadModules, sharing_of

SEEN: list[torch.Tensor] = []
SCALE = 2.0
OFFSET = torch.zeros(3)


def doubled(values: torch.Tensor) -> torch.Tensor:
    return values * SCALE


def remembered(values: torch.Tensor) -> torch.Tensor:
    SEEN.append(values)
    return values


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.activation: Callable[[torch.Tensor], torch.Tensor] = functional.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.linear(x))


class KeepsInSelf(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden = self.linear(x)
        return doubled(self.hidden)


class KeepsInList(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.features: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.features = [self.linear(x)]
        self.features.append(self.features[0] * 2)
        return self.features[-1]


class GlobalList(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        SEEN.append(x)
        return self.linear(SEEN.pop())


class GlobalTensor(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + OFFSET


class GlobalThroughHelper(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(remembered(x))


class GlobalInLambda(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = lambda value: SEEN.append(value)  # noqa: E731
        keep(x)
        return self.linear(x)


class ClassList(Plain):
    features: list[torch.Tensor] = []  # noqa: RUF012

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.features.append(x)
        return self.linear(x)


class ClassCounter(Plain):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        return self.linear(x)


class DefaultArgument(Plain):
    def forward(self, x: torch.Tensor, cache: dict[str, torch.Tensor] = {}) -> torch.Tensor:  # noqa: B006
        cache["x"] = x
        return self.linear(cache["x"])


class HelperObject(Plain):
    class Cache:
        def __init__(self) -> None:
            self.last: torch.Tensor | None = None

        def through(self, value: torch.Tensor) -> torch.Tensor:
            self.last = value
            return self.last

    def __init__(self) -> None:
        super().__init__()
        self.cache = self.Cache()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.cache.through(x))


class Uncopyable(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.guard = threading.Lock()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def closing_over_a_list() -> nn.Module:
    kept: list[torch.Tensor] = []

    class Closure(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept.append(x)
            return self.linear(kept.pop())

    return Closure()


def closing_over_a_number() -> nn.Module:
    scale = 2.0

    class Closure(Plain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) * scale

    return Closure()


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net[0].register_forward_hook(lambda module, inputs, output: SEEN.append(output))
    return net


def overridden() -> nn.Module:
    net = nn.Linear(3, 3)
    net.forward = lambda x: remembered(x)  # type: ignore[method-assign]
    return net


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU()), "shared"),
        (lambda: torchvision.models.VisionTransformer(8, 4, 1, 2, 12, 8), "shared"),
        (lambda: torchvision.models.get_model("shufflenet_v2_x0_5", weights=None), "shared"),
        (lambda: load_classifier("mnist-lenet").module, "shared"),
        (Plain, "copies"),
        (lambda: nn.Sequential(Plain()), "copies"),
        (KeepsInSelf, "copies"),
        (KeepsInList, "copies"),
        (HelperObject, "copies"),
        (closing_over_a_number, "copies"),
        (lambda: torch.jit.script(nn.Sequential(nn.Linear(3, 3))), "copies"),
        (GlobalList, "serial"),
        (GlobalTensor, "serial"),
        (GlobalThroughHelper, "serial"),
        (GlobalInLambda, "serial"),
        (ClassList, "serial"),
        (ClassCounter, "serial"),
        (DefaultArgument, "serial"),
        (closing_over_a_list, "serial"),
        (hooked, "serial"),
        (overridden, "serial"),
        (lambda: nn.Sequential(nn.ReLU(), GlobalList()), "serial"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_sharing(make: Callable[[], nn.Module], expected: Sharing) -> None:
    assert sharing_of(make().eval()) == expected


def test_what_cannot_be_copied_is_called_by_one_thread_at_a_time() -> None:
    module = Uncopyable()
    assert sharing_of(module) == "copies"
    modules = ThreadModules(module, CallLock())
    assert modules.sharing == "serial"
    with modules.use() as own:
        assert own is module


def test_each_thread_has_a_copy_that_shares_the_parameters() -> None:
    module = KeepsInSelf()
    modules = ThreadModules(module, CallLock())
    own: list[nn.Module] = []

    def take() -> None:
        with modules.use() as first, modules.use() as second:
            assert first is second
            own.append(first)

    for _ in range(2):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert len({id(copied) for copied in (module, *own)}) == 3
    for copied in own:
        assert copied.linear.weight is module.linear.weight


def test_one_call_at_a_time() -> None:
    module = hooked()
    lock = CallLock()
    modules = ThreadModules(module, lock)
    inside = threading.Event()

    def wait() -> None:
        with modules.use():
            inside.set()

    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        assert not inside.wait(0.05)
    assert inside.wait(600)
    thread.join()


def test_a_copy_of_a_lock_is_another_lock() -> None:
    lock = CallLock()
    with lock, copy.deepcopy(lock), lock:
        pass
