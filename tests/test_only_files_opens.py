"""Only `evofool.files` opens files from outside: it waits for no pipe and reads no end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "evofool"

OWN_FILES = {
    "files.py": "is the one that opens",
    "classifiers/labels.py": "lists that ship",
    "classifiers/nets/stored_tensors.py": "torch reads what `open_file` opened",
    "experiments/bench.py": "/proc/cpuinfo",
    "gallery/page/html.py": "scripts that ship",
    "images.py": "Pillow reads what was opened or is in memory",
    "report/page.py": "style sheets that ship",
    "report/video.py": "a temporary file that it has just written",
}
"""May read by other means, and why."""

READERS = frozenset(("read_bytes", "read_text", "imread", "fromfile", "memmap"))
LIBRARIES = frozenset((("gzip", "open"), ("np", "load"), ("torch", "load"), ("json", "load")))


def reads(source: str) -> Iterator[tuple[int, str]]:
    """Lines that open a file for reading."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        texts = [
            argument.value
            for argument in (*node.args, *(k.value for k in node.keywords if k.arg == "mode"))
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        for_writing = any(text[:1] in ("w", "a", "x") for text in texts)
        if isinstance(node.func, ast.Name) and node.func.id == "open" and not for_writing:
            yield node.lineno, "open"
        if not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        of = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        by_mode = name == "open" and any(text in ("r", "rb", "rt") for text in texts)
        by_encoding = name == "open" and any(k.arg == "encoding" for k in node.keywords)
        by_pillow = name == "open" and of == "Image"
        if name in READERS or (of, name) in LIBRARIES or by_pillow or by_mode or by_encoding:
            yield node.lineno, f"{of}.{name}"


def test_no_other_file_is_read() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {name}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).as_posix() not in OWN_FILES
        for line, name in reads(file.read_text(encoding="utf-8"))
    ]
    assert found == [], "use evofool.files.read_file, open_file or is_file"


@pytest.mark.parametrize(
    "source",
    [
        "path.read_bytes()",
        "(folder / name).read_text(encoding='utf-8')",
        "path.open('rb')",
        "path.open(encoding='utf-8')",
        "open(path)",
        "open(path, 'rb')",
        "np.load(path)",
        "torch.load(file)",
        "gzip.open(path)",
        "cv2.imread(path)",
        "PIL.Image.open(path)",
        "json.load(file)",
    ],
)
def test_a_reader_is_seen(source: str) -> None:
    assert list(reads(source))


@pytest.mark.parametrize(
    "source",
    ["CampaignFolder.open(path)", "open(path, 'wb')", "archive.open(name)", "read_text(path)"],
)
def test_what_reads_nothing_is_let_be(source: str) -> None:
    assert not list(reads(source))
