"""Docstrings state the shape of every array that a public function takes or returns.

What counts as an array is read off the annotations: numpy arrays, torch tensors, and every alias
of them in the package. A shape is written ``N x C x H x W`` or ``(N,)``; "any shape", "a scalar"
and "the shape of `images`" are shapes as well. Where the annotation does not give the data type
(a tensor, an array of `np.generic`), the docstring does.

An alias whose own docstring states a shape (``UInt8Images``) states it for every argument and
result of that type, except for arguments that are evidently one of many (``image``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "evofool"
ENCODINGS = ROOT / "encodings"

FILES = sorted({*PACKAGE.rglob("*.py"), *ENCODINGS.rglob("*.py")})

ARRAYS = {"NDArray", "ArrayLike", "ndarray", "Tensor"}
UNTYPED = {"Tensor", "ArrayLike", "ndarray", "generic", "number", "Any"}
"""Names in an annotation that leave the data type open."""

SIDE = r"(?:\.\.\.|\d+|[A-Za-z_]\w*(?:[/*+-]\d+)?|\([^()\n]+\)|`[^`\n]+`)"
SHAPE = re.compile(
    rf"(?<!\w)(?:{SIDE}\s+x\s+{SIDE}|\([^()\n]+,\))"
    r"|\b(?:any|same|whatever)\s+shape|\bshape\s+of\b|\bshaped\s+like\b|\bscalars?\b"
)
DTYPE = re.compile(
    r"\b(?:u?int(?:8|16|32|64)|b?float(?:16|32|64)?|floating|integers?|bool\w*|data types?)\b"
)
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples):$")
ENTRY = re.compile(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): ?(.*)$")
ONE_OF_MANY = re.compile(r"(?:^|_)(?:image|picture|row|genome|mask)$")


@dataclass
class Module:
    """The names of a file: its array aliases, and where its imports come from."""

    name: str
    tree: ast.Module
    aliases: dict[str, tuple[ast.expr, str]] = field(default_factory=dict)
    """Definition and docstring."""
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)


@dataclass(frozen=True)
class Described:
    """A docstring, taken apart."""

    prose: tuple[str, ...]
    """Sentences outside all sections, of the first paragraph first."""
    first: int
    """How many of these sentences are the first paragraph's."""
    entries: dict[str, str]
    """What ``Args`` and ``Attributes`` say, by name."""
    returns: str
    whole: str

    def covers(self, name: str) -> bool:
        """Whether the shape of argument or attribute `name` is stated."""
        if SHAPE.search(self.entries.get(name, "")):
            return True
        return any(f"`{name}`" in text and SHAPE.search(text) for text in self.prose)

    def maps(self) -> bool:
        """Whether a sentence says "float32 N x C x H x W to N x classes" of the one argument."""
        return any(
            re.search(r"\bto\b", text) and len(SHAPE.findall(text)) > 1 for text in self.prose
        )

    def covers_result(self, arguments: list[str]) -> bool:
        """Whether the shape of the result is stated, and not only that of an argument."""
        if SHAPE.search(self.returns):
            return True
        for number, text in enumerate(self.prose):
            about_arguments = any(f"`{name}`" in text for name in arguments)
            if SHAPE.search(text) and (number < self.first or not about_arguments):
                return True
        return False


def described(docstring: str | None) -> Described:
    paragraphs: list[list[str]] = [[]]
    entries: dict[str, str] = {}
    returns = section = ""
    names: list[str] = []
    for line in (docstring or "").splitlines():
        start = SECTION.match(line)
        if start:
            section, names = start.group(1), []
        elif section and line and not line.startswith(" "):
            section = ""
        if start:
            continue
        if section in ("Args", "Attributes"):
            entry = ENTRY.match(line)
            if entry:
                names = [name.lstrip("*") for name in entry.group(1).split(", ")]
                line = entry.group(2)
            for name in names:
                entries[name] = f"{entries.get(name, '')} {line.strip()}"
        elif section in ("Returns", "Yields"):
            returns += f" {line.strip()}"
        elif not section:
            if line.strip():
                paragraphs[-1].append(line.strip())
            elif paragraphs[-1]:
                paragraphs.append([])
    sentences = [re.split(r"(?<=\.)\s+", " ".join(lines)) for lines in paragraphs if lines]
    return Described(
        tuple(sentence for group in sentences for sentence in group),
        len(sentences[0]) if sentences else 0,
        entries,
        returns,
        docstring or "",
    )


def docstring_after(body: list[ast.stmt], index: int) -> str:
    """The string that stands right below the statement `body[index]`, as an attribute's does."""
    match body[index + 1 : index + 2]:
        case [ast.Expr(ast.Constant(str() as text))]:
            return text
    return ""


def dotted(file: Path) -> str:
    base = ROOT if file.is_relative_to(PACKAGE) else ENCODINGS.parent
    parts = file.relative_to(base).with_suffix("").parts
    if parts[0] == "encodings":
        parts = ("evofool", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Module]:
    files = sorted({*PACKAGE.rglob("*.py"), *ENCODINGS.rglob("*.py")})
    return {dotted(file): read(file.read_text(encoding="utf-8"), dotted(file)) for file in files}


def read(source: str, name: str) -> Module:
    """The module of this source."""
    module = Module(name, ast.parse(source))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module.imports[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
    for index, node in enumerate(module.tree.body):
        match node:
            case ast.Assign([ast.Name(target)], value) | ast.AnnAssign(ast.Name(target), _, value):
                if value is not None:
                    module.aliases[target] = (
                        value,
                        docstring_after(module.tree.body, index),
                    )
    return module


def resolved(module: Module, name: str) -> tuple[Module, str]:
    """Where `name` is defined, through imports within the package."""
    seen = set()
    while name not in module.aliases and name not in module.classes and name in module.imports:
        source, original = module.imports[name]
        if source not in modules() or (source, original) in seen:
            break
        seen.add((source, original))
        module, name = modules()[source], original
    return module, name


def parsed(annotation: ast.expr | None) -> ast.expr | None:
    """An annotation, out of its quotation marks; None for a string that is no annotation."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    return annotation


def names_in(node: ast.expr | None) -> Iterator[str]:
    """The names of an annotation, those of what a ``Callable`` takes and returns left out."""
    node = parsed(node)
    if node is None:
        return
    if isinstance(node, ast.Subscript):
        outer = list(names_in(node.value))
        yield from outer
        if not {"Callable", "Literal", "TypeGuard"} & set(outer):
            yield from names_in(node.slice)
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from names_in(child)


@dataclass(frozen=True)
class Kind:
    """What an annotation says of its arrays."""

    array: bool = False
    shaped: bool = True
    typed: bool = True

    def __and__(self, other: Kind) -> Kind:
        if not (self.array and other.array):
            return self if self.array else other
        return Kind(True, self.shaped and other.shaped, self.typed and other.typed)


def kind_of(
    annotation: ast.expr | None, module: Module, seen: frozenset[str] = frozenset()
) -> Kind:
    """Whether an annotation holds an array, and whether it states its shape and data type."""
    names = list(names_in(annotation))
    kind = Kind()
    for name in names:
        if name in ARRAYS:
            kind &= Kind(True, shaped=False, typed=not UNTYPED & set(names))
            continue
        home, original = resolved(module, name)
        if original not in home.aliases or original in seen:
            continue
        value, docstring = home.aliases[original]
        if isinstance(parsed(value), ast.Call):
            continue
        inner = kind_of(value, home, seen | {original})
        if inner.array:
            shaped = bool(SHAPE.search(docstring))
            kind &= Kind(True, shaped, inner.typed or bool(DTYPE.search(docstring)))
    return kind


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__call__"


def bases_of(node: ast.ClassDef, module: Module) -> Iterator[tuple[Module, ast.ClassDef]]:
    """The classes of the package that `node` is derived from, nearest first."""
    for base in node.bases:
        for name in list(names_in(base))[:1]:
            home, original = resolved(module, name)
            if original in home.classes:
                yield home, home.classes[original]
                yield from bases_of(home.classes[original], home)


def inherited(function: ast.FunctionDef, owner: ast.ClassDef | None, module: Module) -> str | None:
    """The docstring that `help` shows: its own, else that of the method it overrides."""
    own = ast.get_docstring(function)
    if own or owner is None:
        return own
    for _, base in bases_of(owner, module):
        for node in base.body:
            if isinstance(node, ast.FunctionDef) and node.name == function.name:
                text = ast.get_docstring(node)
                if text:
                    return text
    return None


def missing_in(function: ast.FunctionDef, owner: ast.ClassDef | None, module: Module) -> list[str]:
    """What this function's docstring does not state."""
    text = described(inherited(function, owner, module))
    # a class that is called like a function (a net, an attack) may say so in its own docstring
    called = function.name in ("__call__", "forward", "__init__") and owner is not None
    other = described(ast.get_docstring(owner)) if called and owner else described(None)
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    arrays = {item.arg: kind_of(item.annotation, module) for item in every}
    arrays = {name: kind for name, kind in arrays.items() if kind.array}
    result = kind_of(function.returns, module)
    found = []
    for name, kind in arrays.items():
        evident = kind.shaped and not ONE_OF_MANY.search(name)
        if not (evident or text.covers(name) or other.covers(name)):
            found.append(f"the shape of `{name}`")
    names = list(arrays)
    if len(names) == 1 and (text.maps() or other.maps()):
        found.clear()
    stated = text.covers_result(names) or other.covers_result(names)
    if result.array and not result.shaped and not stated:
        found.append("the shape of the result")
    typed = all(kind.typed for kind in (*arrays.values(), result))
    if not (typed or DTYPE.search(text.whole) or DTYPE.search(other.whole)):
        found.append("the data type")
    return found


def fields_missing_in(node: ast.ClassDef, module: Module) -> list[str]:
    """Public annotated fields of a class whose shape is stated nowhere."""
    text = described(ast.get_docstring(node))
    found = []
    for name, annotation, own in fields_of(node):
        kind = kind_of(annotation, module)
        evident = kind.shaped and not ONE_OF_MANY.search(name)
        if not kind.array or not is_public(name):
            continue
        if not (evident or SHAPE.search(own) or text.covers(name)):
            found.append(f"the shape of `{name}`")
        if not (kind.typed or DTYPE.search(own) or DTYPE.search(text.whole)):
            found.append(f"the data type of `{name}`")
    return found


def fields_of(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr, str]]:
    """Name, annotation and docstring of each field, those that ``__init__`` sets included."""
    bodies = [node.body]
    bodies += [
        item.body
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
    ]
    for body in bodies:
        for index, item in enumerate(body):
            match item:
                case ast.AnnAssign(ast.Name(name) | ast.Attribute(_, name), annotation):
                    yield name, annotation, docstring_after(body, index)


def unstated(module: Module) -> tuple[int, list[str]]:
    """How many public functions and classes of a module have arrays, and what they leave out."""
    count = 0
    found = []
    for function, owner in functions_of(module.tree):
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        slots = [*(item.annotation for item in every), function.returns]
        if any(kind_of(slot, module).array for slot in slots):
            count += 1
            name = f"{owner.name}.{function.name}" if owner else function.name
            gaps = missing_in(function, owner, module)
            found += [f"{module.name}:{function.lineno} {name}: {', '.join(gaps)}"] if gaps else []
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            gaps = fields_missing_in(node, module)
            found += [f"{module.name}:{node.lineno} {node.name}: {', '.join(gaps)}"] if gaps else []
    return count, found


def functions_of(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    """The public functions, and the public methods of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and is_public(node.name):
            yield node, None
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and (
                    is_public(item.name) or item.name == "__init__"
                ):
                    yield item, node


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_array_has_its_shape_stated(file: Path) -> None:
    _, gaps = unstated(modules()[dotted(file)])
    assert gaps == []


def test_arrays_are_seen_in_every_package_that_has_some() -> None:
    """Were annotations no longer read, the test above would pass on anything."""
    counts = {file: unstated(modules()[dotted(file)])[0] for file in FILES}
    parts = {dotted(file).split(".")[1] for file, count in counts.items() if count}
    assert parts >= {"attacks", "classifiers", "data", "defenses", "encodings", "evolution"}
    assert parts >= {"experiments", "gallery", "images", "operators", "render", "report"}
    assert parts >= {"scoring", "training"}
    assert sum(counts.values()) > 200


HEAD = """
import numpy as np, torch
from numpy.typing import NDArray
from evofool.images import UInt8Images
Labels = NDArray[np.int64]
Plan = dict[str, list[Labels]]
"""


@pytest.mark.parametrize(
    ("signature", "docstring", "gaps"),
    [
        ("f(x: torch.Tensor) -> int", "Of x.", ["the shape of `x`", "the data type"]),
        ("f(x: torch.Tensor) -> int", "Of `x`, N x C.", ["the data type"]),
        ("f(x: torch.Tensor) -> int", "Of float32 `x`, N x C.", []),
        ("f(x: torch.Tensor) -> torch.Tensor", "float32 N x C to (N,).", []),
        ("f() -> Labels", "Labels of N pictures.", ["the shape of the result"]),
        ("f() -> Plan", "Labels by name.", ["the shape of the result"]),
        ("f() -> 'Labels | None'", "Labels, (N,).", []),
        ("f() -> Labels", "Labels.\n\nReturns:\n    (N,), or none.", []),
        ("f(a: Labels) -> Labels", "Sums.\n\n`a` is (N,).", ["the shape of the result"]),
        ("f(a: Labels) -> Labels", "Sums, (N,).\n\nArgs:\n    a: (N,).", []),
        ("f(a: Labels) -> int", "Sums (N,).\n\nArgs:\n    a: labels.", ["the shape of `a`"]),
        ("f(images: UInt8Images) -> UInt8Images", "Brighter.", []),
        ("f(image: UInt8Images) -> int", "Brightness.", ["the shape of `image`"]),
        ("f(image: UInt8Images) -> int", "Brightness of `image`, C x H x W.", []),
        ("f(x: NDArray[np.generic]) -> int", "Of `x`, (N,).", ["the data type"]),
        ("f(x: int) -> Callable[[Labels], None]", "No array itself.", []),
        ("_f(x: torch.Tensor) -> int", "Private.", []),
    ],
)
def test_what_a_docstring_leaves_out_is_seen(
    signature: str, docstring: str, gaps: list[str]
) -> None:
    module = read(f"{HEAD}def {signature}:\n    {docstring!r}\n", "toy")
    seen = unstated(module)[1]
    assert [line.split(": ", 1)[1] for line in seen] == ([", ".join(gaps)] if gaps else [])


@pytest.mark.parametrize(
    ("body", "gaps"),
    [
        ("'Pairs.'\n    a: Labels", 1),
        ("'Pairs.'\n    a: Labels\n    '(N,), the classes.'", 0),
        ("'Pairs.\\n\\nAttributes:\\n    a: (N,), the classes.\\n'\n    a: Labels", 0),
        ("'Pairs.'\n    def __init__(self) -> None:\n        self.a: Labels = 0", 1),
        ("'Pairs.'\n    def f(self) -> Labels:\n        'Classes.'", 1),
        ("'Pairs.'\n    def __call__(self, a: Labels) -> None: ...", 1),
        ("'Pairs.'\n    _a: Labels", 0),
    ],
)
def test_what_a_class_leaves_out_is_seen(body: str, gaps: int) -> None:
    assert len(unstated(read(f"{HEAD}class Pairs:\n    {body}\n", "toy"))[1]) == gaps


def test_an_overriding_method_may_leave_it_to_its_base() -> None:
    base = "class A:\n    'One.'\n    def f(self) -> Labels:\n        'Labels, (N,).'\n"
    heir = "class B(A):\n    'Other.'\n    def f(self) -> Labels:\n        return 1\n"
    assert unstated(read(HEAD + base + heir, "toy")) == (2, [])
