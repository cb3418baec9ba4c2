"""What a config names that is run: which files these are, and that they are what they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from evofool.errors import FolderError
from evofool.store import Folder
from evofool.store.code import check_code, code_of

MANIFEST: dict[str, Any] = {
    "kind": "defend",
    "run_id": "r",
    "seed": 1,
    "classifier": {"name": "n", "digest": "d", "input_shape": [1, 2, 2], "labels": ["a"]},
}


class Config(BaseModel):
    base: dict[str, str] = {"name": "mnist-lenet"}
    labels: list[str] = []
    sources: list[dict[str, str]] = []
    options: dict[str, Any] = {}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "net.py").write_text(
        "import numpy, pathlib\nimport one\nfrom pack.inner import x\n\n"
        "def f():\n    if x:\n        import two\n"
    )
    (tmp_path / "one.py").write_text("from three import y\n")
    (tmp_path / "two.py").write_text("")
    (tmp_path / "three.py").write_text("import one\n")  # in a circle
    (tmp_path / "pathlib.py").write_text("not what is imported")
    (tmp_path / "unrelated.py").write_text("")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "inner.py").write_text("from . import deep\n")
    (tmp_path / "pack" / "deep.py").write_text("")
    (tmp_path / "enc.py").write_text("")
    (tmp_path / "train.yaml").write_text("sources: [{name: 'net.py:f'}, 'loop.yaml']\n")
    (tmp_path / "loop.yaml").write_text("base: loop.yaml\n")
    net = f"{tmp_path / 'net.py'}:f"
    return Config(
        labels=["a.py:b", "c:d", "x.yaml"],
        sources=[{"name": net}],
        options={"inner": {"substitute": net}, "train": str(tmp_path / "train.yaml")},
    )


def _open(path: Path, **parts: Any) -> Iterator[Folder]:
    with Folder.create(path, {**MANIFEST, **parts}, "x") as run:
        yield run


@pytest.fixture
def run(config: Config, tmp_path: Path) -> Iterator[Folder]:
    yield from _open(tmp_path / "run", code=code_of(config))


def test_it_lists_all_that_may_be_run(config: Config, tmp_path: Path) -> None:
    found = code_of(config)
    assert set(found) == {"sources.0.name", "options.inner.substitute", "options.train"}
    (net,) = found["sources.0.name"]
    assert net["path"] == str(tmp_path / "net.py")
    assert list(net["beside"]) == ["one.py", "pack/deep.py", "pack/inner.py", "three.py", "two.py"]
    names = [Path(file["path"]).name for file in found["options.train"]]
    assert names[:3] == ["train.yaml", "net.py", "loop.yaml"]


def test_what_is_as_it_was_passes(run: Folder, config: Config) -> None:
    check_code(run, config)


@pytest.mark.parametrize(
    "name", ["net.py", "one.py", "two.py", "three.py", "pack/deep.py", "train.yaml"]
)
def test_a_changed_file_is_named(run: Folder, config: Config, tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("a") as file:
        file.write("\n# changed\n")
    with pytest.raises(FolderError, match=name.replace(".", r"\.")):
        check_code(run, config)


def test_a_new_module_beside_it_counts(run: Folder, config: Config, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("")  # nobody knows which one is imported
    with pytest.raises(FolderError, match=r"numpy\.py"):
        check_code(run, config)


def test_another_key_is_not_named(run: Folder, config: Config, tmp_path: Path) -> None:
    other = config.model_copy(update={"base": {"name": f"{tmp_path / 'enc.py'}:E"}})
    with pytest.raises(FolderError, match=r"enc\.py, which its manifest does not name"):
        check_code(run, other)
    check_code(run, other, sections=["sources"])


def test_of_a_folder_of_before_only_what_it_names(config: Config, tmp_path: Path) -> None:
    classifier = {**MANIFEST["classifier"], "path": str(tmp_path / "enc.py"), "sha256": "0" * 64}
    for run in _open(tmp_path / "run", classifier=classifier):
        check_code(run, Config())
        with pytest.raises(FolderError, match=r"net\.py, which its manifest does not name"):
            check_code(run, config)
        with pytest.raises(FolderError, match=r"enc\.py has changed"):
            check_code(run, Config(base={"name": f"{tmp_path / 'enc.py'}:E"}))


def test_a_path_means_the_same_from_everywhere(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = code_of(config)
    code["sources.0.name"][0]["path"] = "net.py"
    for run in _open(tmp_path / "run", code=code):
        with pytest.raises(FolderError, match=r"net\.py, but its manifest names net\.py"):
            check_code(run, config)


def test_of_a_folder_of_before_a_file_that_was_not_named_can_be_given(
    config: Config, tmp_path: Path
) -> None:
    """Where a user's function loaded weights, these stood in the manifest in place of its file."""
    classifier = {**MANIFEST["classifier"], "path": str(tmp_path / "x.onnx"), "sha256": "0" * 64}
    own = Config(base={"name": f"{tmp_path / 'enc.py'}:E"})
    for run in _open(tmp_path / "run", classifier=classifier):
        with pytest.raises(FolderError, match=r"enc\.py, which its manifest does not name"):
            check_code(run, own)
        check_code(run, own, moved=["base.name"])
