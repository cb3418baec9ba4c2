"""Whether a module may serve several threads at once, and how a thread gets one that it may use.

Code that keeps anything between two lines of ``forward`` (an attention map, a list that a hook
fills, a counter) gives wrong answers when two threads run it on the same object. That does not
show from outside, so the classes, functions and attributes of a module are searched for it.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import dis
import functools
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from evofool.classifiers.checks.locks import CallLock

Sharing: TypeAlias = Literal["shared", "copies", "serial"]
"""How threads may call a module.

``shared``: all of them the same object, since only library code without hooks runs.
``copies``: each thread a copy of its own (parameters are shared): foreign code whose state, if it
has any, lies in the module itself. ``serial``: one call at a time, since the code may reach state
outside the module (a global list, a closure, a hook) or cannot be read.
"""

_LIBRARIES = frozenset({"torch", "torchvision", "timm", "evofool"})
"""Packages whose modules keep nothing between calls in evaluation mode."""
_PURE = frozenset({"numpy", "einops", *sys.stdlib_module_names})
"""Further packages that foreign code may call."""
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None), type(...), torch.dtype)
_NOT_RUN = frozenset({"__init__", "__init_subclass__", "__repr__", "extra_repr"})
_BOOKKEEPING = frozenset({"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"})
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def sharing_of(module: nn.Module) -> Sharing:
    """How threads may call `module`; in doubt ``serial``."""
    reader = _Reader()
    if not reader.allows(module):
        return "serial"
    return "copies" if reader.foreign else "shared"


def refers_to(module: nn.Module, original: nn.Module) -> bool:
    """Whether a function of `module`, a copy of `original`, still refers to the original.

    Functions are not copied: a hook that closes over its module fills the original's lists.
    """
    parts = {id(part) for part in original.modules()} - {id(part) for part in module.modules()}
    return any(_reaches(function, parts, 3) for function in _functions_of(module))


def _functions_of(module: nn.Module) -> Iterator[object]:
    for part in module.modules():
        for hooks in _HOOKS:
            yield from (getattr(part, hooks, None) or {}).values()
        yield from (value for value in vars(part).values() if callable(value))


def _reaches(value: object, ids: set[int], depth: int) -> bool:
    if id(value) in ids:
        return True
    if depth == 0:
        return False
    inner: list[object] = []
    if isinstance(value, types.MethodType):
        inner = [value.__self__, value.__func__]
    elif isinstance(value, functools.partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, types.FunctionType):
        inner = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        for cell in value.__closure__ or ():
            with contextlib.suppress(ValueError):  # not yet filled
                inner.append(cell.cell_contents)
    elif isinstance(value, list | tuple):
        inner = list(value)
    return any(_reaches(part, ids, depth - 1) for part in inner)


class ThreadModules:
    """A module for many threads.

    Args:
        module: in evaluation mode; not to be called by anyone else while this is in use.
        lock: shared by all that call the same victim.
        sharing: by default that of `sharing_of`. If copies cannot be made, there is one call at a
            time instead.
    """

    def __init__(self, module: nn.Module, lock: CallLock, sharing: Sharing | None = None) -> None:
        self._module = module
        self._lock = lock
        self.sharing: Sharing = sharing_of(module) if sharing is None else sharing
        self._own = threading.local()
        self._copying = threading.Lock()
        if self.sharing == "copies":
            try:
                self._own.module = self._copy()
            except Exception:  # whatever its parts raise when they are copied
                self.sharing = "serial"

    @contextlib.contextmanager
    def use(self) -> Iterator[nn.Module]:
        """The module that this thread may call until the end of the block."""
        if self.sharing == "shared":
            yield self._module
        elif self.sharing == "serial":
            with self._lock:
                yield self._module
        else:
            if not hasattr(self._own, "module"):
                with self._copying:
                    self._own.module = self._copy()
            yield self._own.module

    def _copy(self) -> nn.Module:
        same: dict[int, Any] = {id(p): p for p in self._module.parameters()}
        return copy.deepcopy(self._module, same)


class _Reader:
    """Reads whatever a module can reach. `foreign`: whether any of it is not a library's."""

    def __init__(self) -> None:
        self.foreign = False
        self._seen: dict[int, object] = {}  # keeps them alive, so that no id is used again

    def allows(self, value: object) -> bool:
        """Whether a copy of `value` shares no state with the original."""
        if isinstance(value, (*_CONSTANTS, torch.Tensor, torch.device)) or id(value) in self._seen:
            return True
        self._seen[id(value)] = value
        if isinstance(value, torch.jit.ScriptModule):
            self.foreign = True  # its code can reach nothing but itself
            return True
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, tuple | list | set | frozenset):
            return all(map(self.allows, value))
        if isinstance(value, dict):
            return all(self.allows(part) for pair in value.items() for part in pair)
        return self._other(value)

    def _module(self, module: nn.Module) -> bool:
        if any(getattr(module, hooks, None) for hooks in _HOOKS):
            return False
        attributes = {k: v for k, v in vars(module).items() if k not in _BOOKKEEPING}
        return (
            self._class(type(module))
            and all(map(self.allows, attributes.values()))
            and all(map(self.allows, module.children()))
        )

    def _other(self, value: object) -> bool:
        match value:
            case types.ModuleType():
                return _root(value.__name__) in _LIBRARIES | _PURE
            case types.FunctionType():
                return _root(value.__module__) in _LIBRARIES | _PURE or self._function(value)
            case types.MethodType():
                return self.allows(value.__func__) and self.allows(value.__self__)
            case functools.partial():
                return all(map(self.allows, (value.func, value.args, value.keywords)))
            case types.BuiltinFunctionType() | types.MethodDescriptorType():
                return _root(value.__module__ or "builtins") in _LIBRARIES | _PURE
            case type():
                return self._class(value)
        if _root(type(value).__module__) in _LIBRARIES | _PURE:
            return not isinstance(value, _Stateful)
        return self._class(type(value)) and all(map(self.allows, vars(value).values()))

    def _class(self, cls: type) -> bool:
        for base in cls.__mro__:
            if _root(base.__module__) in _LIBRARIES | _PURE and base.__module__ != _FX:
                continue
            self.foreign = True
            if "__slots__" in vars(base):
                return False
            for name, value in vars(base).items():
                if name in _NOT_RUN or (name.startswith("__") and not callable(value)):
                    continue
                if not all(map(self.allows, _parts(value))):
                    return False
        return True

    def _function(self, function: types.FunctionType) -> bool:
        self.foreign = True
        defaults = (function.__defaults__ or (), function.__kwdefaults__ or {})
        if not all(map(_constant, (*defaults[0], *defaults[1].values()))):
            return False
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, cell in cells.items():
            try:
                content = cell.cell_contents
            except ValueError:  # not yet filled
                return False
            if name != "__class__" and not self._readable(content):
                return False
        return self._code(function.__code__, function.__globals__)

    def _code(self, code: types.CodeType, names: dict[str, Any]) -> bool:
        writes = reaches_class = False
        for step in dis.get_instructions(code):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                return False
            writes |= step.opname in ("STORE_ATTR", "DELETE_ATTR")
            reaches_class |= step.argval in ("type", "__class__") and "LOAD" in step.opname
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                value = names.get(step.argval, getattr(builtins, step.argval, None))
                reaches_class |= isinstance(value, type) and _foreign(value.__module__)
                if not self._readable(value):
                    return False
        nested = (part for part in code.co_consts if isinstance(part, types.CodeType))
        return not (writes and reaches_class) and all(self._code(part, names) for part in nested)

    def _readable(self, value: object) -> bool:
        """Whether threads may read `value`, which no copy of the module has for itself."""
        if isinstance(value, types.ModuleType | types.FunctionType | type):
            return self.allows(value)
        if callable(value) and not hasattr(value, "__dict__"):
            return self.allows(value)
        return _constant(value)


_FX = "torch.fx.graph_module"
"""Where classes live whose code was generated from a graph, with calls of anyone's functions."""
_Stateful = (threading.local, types.GeneratorType)


def _parts(value: object) -> tuple[object, ...]:
    """What a class attribute can run or reach: the functions of properties and their kind."""
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if _constant(value) or isinstance(value, types.FunctionType | type):
        return (value,)
    return (_UNREADABLE,)


class _Unreadable:
    """Stands for what cannot be read: it has slots, which the reader refuses."""

    __slots__ = ()
    __module__ = "unreadable"


_UNREADABLE = _Unreadable()


def _constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_constant, value))
    return isinstance(value, (*_CONSTANTS, torch.device))


def _foreign(module: str) -> bool:
    return _root(module) not in _LIBRARIES | _PURE


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]
