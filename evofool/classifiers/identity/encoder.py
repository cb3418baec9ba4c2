"""Objects as bytes: everything that a module holds, written into one hash."""

from __future__ import annotations

import functools
import hashlib
import inspect
import random
import re
import types
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import nn

from evofool.classifiers.identity.reachable import (
    attributes_of,
    cells_of,
    file_of,
    globals_of,
    is_installed,
    is_written_in_python,
    weights_of,
)
from evofool.classifiers.identity.tensors import script_parts, tensor_parts

_MOST = 2_000_000
_DEEPEST = 100
_STANDARD = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_WITHOUT_EFFECT = ("lock", "RLock", "Condition", "Event", "Semaphore", "Logger", "device")
"""Types of the standard library and of torch that change no answer."""
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_DRAWS = (
    random.Random,
    np.random.Generator,
    np.random.BitGenerator,
    np.random.RandomState,
    torch.Generator,
)
_PLACE = re.compile(r"[/~\\]|[A-Za-z]:[/\\]|[a-z]+://|(cpu|cuda|mps|xpu)(:[0-9]+)?$")
"""How a path or an address begins, or a device: where a thing lies is not what it is."""


@dataclass(frozen=True)
class Identity:
    """Attributes:
    digest: hex sha256.
    opaque: parts that it does not cover, each with its type, for people.
    """

    digest: str
    opaque: tuple[str, ...] = ()


class Encoder:
    """Writes values into a hash; each object once, and later by its number."""

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._hash = hashlib.sha256(b"evofool identity 2\n")
        self._opaque: dict[str, None] = {}
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []
        self._entered: set[type] = set()
        self._depth = 0
        self._written = 0

    def identity(self) -> Identity:
        return Identity(self._hash.hexdigest(), tuple(self._opaque))

    def write(self, tag: str, content: str | bytes = b"") -> None:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self._hash.update(f"{tag}:{len(data)}:".encode())
        self._hash.update(data)
        self._written += 1

    def value(self, value: object, place: str) -> None:
        """Whatever it is; `place` is for people."""
        if self._simple(value):
            return
        if id(value) in self._numbers:
            self.write("again", str(self._numbers[id(value)]))
            return
        self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)  # else the number of a short-lived object is given to another
        if self._depth > _DEEPEST or self._written > _MOST:
            self._unknown(value, place)
            return
        self._depth += 1
        try:
            self._object(value, place)
        except Exception:  # anyone's object: whatever its attributes raise when they are read
            self._unknown(value, place)
        finally:
            self._depth -= 1

    def _simple(self, value: object) -> bool:
        match value:
            case None | bool() | int() | complex():
                self.write(type(value).__name__, repr(value))
            case float():
                self.write("float", value.hex())
            case str():
                if self._exact or not _PLACE.match(value):
                    self.write("str", value)
            case bytes():
                self.write("bytes", value)
            case PurePath():
                if self._exact:
                    self.write("path", str(value))
            case torch.dtype() | torch.layout() | torch.memory_format() | range() | slice():
                self.write("repr", repr(value))
            case _:
                return False
        return True

    def _object(self, value: object, place: str) -> None:
        match value:
            case torch.Tensor():
                self._tensor(value, place)
            case nn.Module():
                self._module(value, place)
            case np.ndarray():
                self.write("array", f"{value.dtype.str} {value.shape}")
                if value.dtype.hasobject:
                    self._items(value.ravel().tolist(), place)
                else:
                    self.write("data", hashlib.sha256(np.ascontiguousarray(value).data).digest())
            case np.generic():
                self.write("scalar", f"{value.dtype.str} {value.tobytes().hex()}")
            case Enum():
                self.write("enum", f"{type(value).__qualname__}.{value.name}")
            case type():
                self._class(value, place)
            case types.ModuleType():
                self._python_module(value)
            case types.FunctionType():
                self._function(value, place)
            case types.MethodType():
                self.write("method", value.__func__.__name__)
                self.value(value.__self__, f"{place}.self")
            case types.BuiltinFunctionType() | types.MethodDescriptorType():
                self.write("builtin", value.__qualname__)
            case functools.partial():
                self.write("partial")
                self.value((value.func, value.args, value.keywords), place)
            case weakref.ref():
                self.value(value(), place)
            case _:
                self._container_or_state(value, place)

    def _container_or_state(self, value: object, place: str) -> None:
        if isinstance(value, dict | types.MappingProxyType):
            self.write("mapping", str(len(value)))
            for key, inner in list(value.items()):
                self.value(key, place)
                self.value(inner, f"{place}.{key}" if isinstance(key, str) else f"{place}[...]")
            if type(value) is dict or is_installed(file_of(type(value))):
                return
        elif isinstance(value, list | tuple | deque):
            self._items(value, place)
            if is_installed(file_of(type(value))):
                return
        elif isinstance(value, set | frozenset):
            self._unordered(value, place)
            return
        self._state(value, place)

    def _items(self, values: Any, place: str) -> None:
        self.write("items", str(len(values)))
        for i, inner in enumerate(values):
            self.value(inner, f"{place}[{i}]")

    def _unordered(self, values: Any, place: str) -> None:
        digests = []
        for inner in values:
            encoder = Encoder(exact=self._exact)
            encoder.value(inner, place)
            digests.append(encoder.identity().digest)
            self._opaque |= encoder._opaque
        self.write("set", "\n".join(sorted(digests)))

    def _state(self, value: object, place: str) -> None:
        """An object of any class: its attributes, or what copying it would take."""
        kind = type(value)
        installed = is_installed(file_of(kind))
        if installed and kind.__name__ in _WITHOUT_EFFECT:
            self.write("object", kind.__name__)
            return
        if isinstance(value, _DRAWS):
            self._unknown(value, place)
            return
        if isinstance(value, torch.ScriptObject):
            self._script_object(value, place)
            return
        self._class(kind, place)
        if not installed and is_written_in_python(kind):
            state = attributes_of(value)
            for name in sorted(state):
                self.write("attribute", name)
                self.value(state[name], f"{place}.{name}")
            return
        try:
            reduced: object = value.__reduce_ex__(4)
        except Exception:  # each type has its own way to say that it cannot be copied
            self._unknown(value, place)
            return
        if isinstance(reduced, tuple):
            reduced = tuple(list(part) if isinstance(part, Iterator) else part for part in reduced)
        self.value(reduced, place)

    def _script_object(self, value: Any, place: str) -> None:
        try:
            self.value(value.__getstate__(), place)
        except Exception:  # no such method, or one that fails
            self._unknown(value, place)

    def _tensor(self, value: torch.Tensor, place: str) -> None:
        parts = tensor_parts(value)
        if parts is None:
            self._unknown(value, place)
            return
        for part in parts:
            if isinstance(part, bytes):
                self.write("data", part)
            else:
                self.value(part, place)

    def _module(self, module: nn.Module, place: str) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            parts = script_parts(module)
            if parts is None:
                self._unknown(module, place)
            else:
                for name, content in parts:
                    self.write(name, content)
            return
        self._class(type(module), place)
        for group in (module._parameters, module._buffers, module._modules):
            self.write("group", str(len(group)))
            for name, inner in group.items():
                self.write("name", name)
                self.value(inner, f"{place}.{name}".lstrip("."))
        for name in _HOOKS:
            if hooks := list(vars(module).get(name, {}).values()):
                self.write(name)
                self._items(hooks, f"{place}.{name}")
        self._attributes(module, place)
        self._own_state(module, place)

    def _attributes(self, module: nn.Module, place: str) -> None:
        kind: Any = type(module)
        everything = self._exact or not is_installed(file_of(kind))
        wanted = {} if everything else _options(kind)
        for name, inner in sorted(vars(module).items()):
            if name in _STANDARD:
                continue
            configured = name in wanted and not _is_default(inner, wanted[name])
            if everything or configured or weights_of(inner):
                self.write("attribute", name)
                self.value(inner, f"{place}.{name}".lstrip("."))

    def _own_state(self, module: nn.Module, place: str) -> None:
        """What a module saves beside parameters and buffers: quantised weights, for example."""
        own = type(module)._save_to_state_dict is not nn.Module._save_to_state_dict
        if not own and type(module).get_extra_state is nn.Module.get_extra_state:
            return
        state: dict[str, Any] = {}
        try:
            module._save_to_state_dict(state, "", True)
        except Exception:  # the user's own code
            self._unknown(module, place)
            return
        for name in sorted(state.keys() - module._parameters.keys() - module._buffers.keys()):
            self.write("state", name)
            self.value(state[name], f"{place}.{name}".lstrip("."))

    def _class(self, kind: type, place: str) -> None:
        if is_installed(file_of(kind)):
            self.write("class", f"{kind.__module__}.{kind.__qualname__}")
            return
        self.write("class", kind.__qualname__)
        if kind in self._entered:
            return
        self._entered.add(kind)
        text = None if self._exact else _source(kind)
        if text is not None:
            self.write("source", text)
        for base in kind.__bases__:
            self._class(base, place)
        for name, inner in vars(kind).items():
            function = getattr(inner, "__func__", getattr(inner, "fget", inner))
            if isinstance(function, types.FunctionType):
                self._code(function, f"{place}.{name}", text is not None)
            elif name.startswith(("__", "_abc_")) or isinstance(inner, _DESCRIPTORS):
                continue  # made from the class's text by Python
            elif self._exact or weights_of(inner):
                self.write("attribute", name)
                self.value(inner, f"{kind.__qualname__}.{name}")

    def _function(self, function: types.FunctionType, place: str) -> None:
        if is_installed(function.__code__.co_filename):
            self.write("function", f"{function.__module__}.{function.__qualname__}")
            inner = getattr(function, "__wrapped__", None)
            self.value(inner if inner is not None else dict(cells_of(function)), place)
            return
        self.write("function", function.__qualname__)
        self._code(function, place, False)

    def _code(self, function: types.FunctionType, place: str, read: bool) -> None:
        """A function's text or code, the variables it closes over, and the globals it names.

        Args:
            function: the user's.
            place: for people.
            read: whether its text was written with that of its class.
        """
        text = None if self._exact or read else _source(function)
        if text is not None:
            self.write("source", text)
        elif self._exact or not read:
            self._compiled(function.__code__)
        for name, inner in cells_of(function):
            self.write("variable", name)
            self.value(inner, f"{place}.{name}")
        for inner in (function.__defaults__, function.__kwdefaults__):
            self.value(inner, place)
        for name, inner in globals_of(function):
            code = isinstance(inner, types.FunctionType | type)
            if self._exact or code or weights_of(inner):
                self.write("global", name)
                self.value(inner, name)

    def _compiled(self, code: types.CodeType) -> None:
        self.write("code", code.co_code)
        self.write("names", repr((code.co_names, code.co_varnames, code.co_freevars)))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._compiled(constant)
            else:
                self.value(constant, "")

    def _python_module(self, module: types.ModuleType) -> None:
        file = getattr(module, "__file__", None)
        if is_installed(file):
            self.write("module", module.__name__)
        else:
            text = _source(module)
            self.write("module", module.__name__ if text is None else text)

    def _unknown(self, value: object, place: str) -> None:
        name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        self.write("unknown", type(value).__qualname__)
        self._opaque[f"{place} ({name})" if place else name] = None


def _source(thing: Any) -> str | None:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError, SyntaxError, IndexError):
        return None  # typed at a prompt, or its file is gone


@functools.cache
def _options(kind: Any) -> Mapping[str, object]:
    """The options of a layer of torch and their defaults.

    Only what differs from a default counts, so that an option that a later version adds does not
    make another net of an old one. Layers of other libraries are recognised by their class.
    """
    if not kind.__module__.startswith("torch."):
        return {}
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def _is_default(value: object, default: object) -> bool:
    try:
        return bool(value == default)
    except Exception:  # of tensors, for example
        return False
