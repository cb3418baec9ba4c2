"""What a stranger does with evofool in the first hour, by commands and code of the documents.

``first_hour.py ENVIRONMENT FOLDER``: `ENVIRONMENT` has evofool installed, `FOLDER` is empty.
Campaigns are cut short; nothing else is changed. Each step says how long it took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from documents import blocks, commands  # noqa: E402


class Stranger:
    """Somebody with an environment, an empty folder and the documents."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.folder = folder
        self.bin = environment.resolve() / "bin"
        kept = {name: os.environ[name] for name in ("LANG", "TERM") if name in os.environ}
        self.variables = {**kept, "PATH": f"{self.bin}:{os.defpath}", "HOME": str(folder)}

    def command(self, page: str, begins: str, *changes: str) -> None:
        """Run the command of a page that begins so, with changes to cut it short."""
        found = [
            words
            for block in blocks(ROOT / page)
            if block.language == "" and block.excuse is None
            for words in commands(block.text)
            if " ".join(words).startswith(begins)
        ]
        if not found:
            raise SystemExit(f"{page} has no command `{begins}` any more")
        self.run(*found[0], *changes)

    def code(self, page: str, own: Mapping[str, str] = MappingProxyType({})) -> None:
        """Run the Python of a page, from top to bottom, as one program.

        Args:
            page: of the documents.
            own: what stands in it for something published, and the stranger's own in its place.
        """
        text = "\n".join(block.text for block in blocks(ROOT / page) if block.language == "python")
        for published, name in own.items():
            text = text.replace(published, name)
        program = self.folder / f"code-of-{Path(page).stem}.py"  # no name that could be imported
        program.write_text(text, encoding="utf-8")
        self.run("python", program.name)

    def run(self, *words: str) -> None:
        """Run a program of the environment; its output is shown only if it fails.

        Raises:
            SystemExit: it failed.
        """
        began = time.monotonic()
        program = [str(self.bin / words[0]), *words[1:]]
        done = subprocess.run(
            program,
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{done.stdout}\nended with {done.returncode}: {' '.join(words)}")
        print(f"{time.monotonic() - began:5.0f} s  {' '.join(words)}", flush=True)  # noqa: T201

    def has(self, name: str, begins: bytes, least: int) -> None:
        """That a file is there, begins so and is no shorter than that.

        Raises:
            SystemExit: it is not.
        """
        path = self.folder / name
        content = path.read_bytes() if path.is_file() else b""
        if not content.startswith(begins) or len(content) < least:
            raise SystemExit(f"{name}: {len(content)} bytes, beginning with {content[:20]!r}")


def main(environment: str, folder: str) -> None:
    stranger = Stranger(Path(environment), Path(folder))

    # the first of the two commands, and what it promises to look at
    stranger.command("README.md", "evofool evolve configs/quickstart.yaml", "stop.evaluations=200")
    stranger.has("runs/quickstart/gallery/index.html", b"<!doctype html>", 50_000)
    stranger.has("runs/quickstart/gallery/contact-sheet.png", b"\x89PNG", 50_000)
    stranger.run("evofool", "doctor")

    # a net of one's own, a campaign against it, and what gradients make of it at the same cost
    page = "docs/guides/own-net.md"
    stranger.code(page)
    stranger.command(page, "evofool evolve", "stop.generations=5")
    stranger.command(page, "evofool compare", "budget=600", "seeds=[1]")
    stranger.has("runs/compare-own/report/compare.tex", b"\\begin{tabular}", 200)
    stranger.code("docs/guides/onnx.md")
    stranger.run("evofool", "evolve", "mnist-cppn", "classifier=right.onnx", "stop.generations=2")

    # a figure as PDF and a table as LaTeX
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--no-config", "--python", environment, "pandas"],
        check=True,
    )
    page = "docs/guides/paper-figure.md"
    own = {"docs/reports/mnist-compare": "runs/compare-own", '"mnist-lenet"': '"my_net.py:victim"'}
    stranger.code(page, own)
    stranger.command(page, "evofool gallery")
    stranger.has("curve.pdf", b"%PDF", 1_000)
    stranger.has("comparison.pdf", b"%PDF", 1_000)
    stranger.has("elites.tex", b"\\begin{tabular}", 200)
    stranger.has("three.png", b"\x89PNG", 1_000)

    # a program with types
    stranger.run("python", str(ROOT / ".ci" / "consumer.py"))


if __name__ == "__main__":
    main(*sys.argv[1:])
