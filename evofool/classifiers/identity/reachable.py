"""What a module or a function holds beside its registered weights: nets in plain lists, arrays."""

from __future__ import annotations

import contextlib
import functools
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evofool.classifiers.identity.siblings import is_site

_DEEPEST = 50
_HEAP_TYPE = 1 << 9
"""Flag of classes that were made at run time (Py_TPFLAGS_HEAPTYPE)."""


def is_installed(file: str | None) -> bool:
    """Whether code comes from the standard library, an installed package or evofool itself.

    Such code is identified by its name and version; anybody else's by its text.
    """
    if file is None or file.startswith("<frozen"):
        return True
    if file.startswith("<"):
        return False  # typed at a prompt, or made by `exec`
    path = Path(file)
    return is_site(path) or any(path.is_relative_to(folder) for folder in _folders())


def file_of(kind: type) -> str | None:
    """Of the module that defines a class; ``<prompt>`` where there is none, None for built-ins."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "__main__":  # of a notebook too, whose file is that of a package
        file = str(getattr(module, "__file__", None) or "<prompt>")
        return "<prompt>" if is_installed(file) else file
    if kind.__module__ == "builtins":  # also of code that was given no name of a module
        return "<prompt>" if kind.__flags__ & _HEAP_TYPE else None
    if kind.__module__ in sys.builtin_module_names:
        return None
    return str(getattr(module, "__file__", None) or "<prompt>")


def is_written_in_python(kind: type) -> bool:
    """Whether all that its objects hold is in attributes that can be read."""
    return any("__dict__" in vars(base) or "__slots__" in vars(base) for base in kind.__mro__)


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """What a function's code names outside of itself: globals, and attributes of user's modules."""
    names = dict.fromkeys(name for code in _codes(function.__code__) for name in code.co_names)
    space = function.__globals__
    for name in names:
        if name not in space:
            continue
        value = space[name]
        if isinstance(value, types.ModuleType):
            if not is_installed(getattr(value, "__file__", None)):
                inside = vars(value)
                yield from ((f"{name}.{n}", inside[n]) for n in names if n in inside)
            continue
        yield name, value


def weights_of(root: object) -> list[tuple[str, object]]:
    """Arrays, tensors and torch modules that `root` (a function or an object) holds.

    In the order in which they are met: through closures, defaults, attributes of the user's
    objects, containers, and globals that the code names. Nothing is called.
    """
    return [(place, value) for place, value in _walk(root, "", set(), 0) if _is_weight(value)]


def modules_of(module: object) -> list[object]:
    """A module and all modules in it, those in plain lists and other attributes too.

    `nn.Module.modules` gives only those that are registered.
    """
    from torch import nn

    assert isinstance(module, nn.Module)
    done: dict[int, nn.Module] = {}
    todo = [module]
    while todo:
        for inner in todo.pop().modules():
            if id(inner) in done:
                continue
            done[id(inner)] = inner
            for name, value in vars(inner).items():
                if name != "_modules":
                    reached = (v for _, v in _walk(value, name, set(), 0))
                    todo += [v for v in reached if isinstance(v, nn.Module)]
    return list(done.values())


def _walk(value: object, place: str, seen: set[int], depth: int) -> Iterator[tuple[str, object]]:
    if id(value) in seen or depth > _DEEPEST:
        return
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return
    seen.add(id(value))
    if _is_weight(value):
        yield place, value
        return
    for name, inner in _parts(value):
        yield from _walk(inner, f"{place}.{name}".lstrip("."), seen, depth + 1)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    match value:
        case types.MethodType():
            yield "self", value.__self__
            yield "function", value.__func__
        case functools.partial():
            yield "function", value.func
            yield from ((str(i), v) for i, v in enumerate(value.args))
            yield from value.keywords.items()
        case types.FunctionType():
            yield from cells_of(value)
            yield from ((f"default {i}", v) for i, v in enumerate(value.__defaults__ or ()))
            yield from (value.__kwdefaults__ or {}).items()
            yield "wrapped", getattr(value, "__wrapped__", None)
            if not is_installed(value.__code__.co_filename):
                yield from globals_of(value)
        case dict() | types.MappingProxyType():  # other mappings may be files
            yield from ((str(k), v) for k, v in list(value.items()))
        case list() | tuple() | deque() | set() | frozenset():
            yield from ((str(i), v) for i, v in enumerate(list(value)))
        case type():
            if not is_installed(file_of(value)):
                yield from vars(value).items()
        case staticmethod() | classmethod():
            yield "function", value.__func__
        case _:
            if not is_installed(file_of(type(value))):
                yield "class", type(value)
                yield from attributes_of(value).items()


def attributes_of(value: object) -> dict[str, object]:
    """What an object has in its ``__dict__`` and its slots, past any code of its class."""
    slots = [
        name
        for kind in type(value).__mro__
        for name in _names(vars(kind).get("__slots__", ()))
        if name[:2] != "__"
    ]
    attributes = {}
    for name in slots:
        with contextlib.suppress(AttributeError):
            attributes[name] = object.__getattribute__(value, name)
    with contextlib.suppress(AttributeError):
        attributes |= object.__getattribute__(value, "__dict__")
    return attributes


def _names(slots: object) -> tuple[str, ...]:
    if isinstance(slots, str):
        return (slots,)
    return tuple(map(str, slots)) if isinstance(slots, list | tuple | dict) else ()


def cells_of(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """The variables of the outer functions that a function uses."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not yet bound
            continue


def _is_weight(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(
        value, torch.Tensor | torch.nn.Module | torch.ScriptObject
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


@functools.cache
def _folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return (
        *(Path(paths[key]).resolve() for key in ("stdlib", "platstdlib")),
        Path(__file__).resolve().parents[2],
    )
