"""Files beside a user's file: each victim has its own, whatever they are called."""

from __future__ import annotations

import hashlib
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.identity.siblings import imported_files, sha256_source
from evofool.scoring import Scorer

Repository = Callable[..., Path]
IMAGES = np.zeros((2, 1, 5, 6), np.uint8)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Writes Python files into a folder, named without ``.py``."""

    def write(folder: str, inside: dict[str, str] | None = None, **files: str) -> Path:
        for name, text in {**files, **(inside or {})}.items():
            path = tmp_path / folder / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path / folder

    return write


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """`sys` is as it was after each test, apart from modules that bear the name of their load."""
    path, finders, modules = list(sys.path), list(sys.meta_path), {*sys.modules, "model"}
    yield
    assert (sys.path, sys.meta_path) == (path, finders)
    assert "model" not in sys.modules or not hasattr(sys.modules["model"], "__file__")
    new = {name.split(".")[0] for name in set(sys.modules) - modules}
    assert not new & {"helper", "late", "pkg", "share", "victim"}


def model(share: float) -> str:
    return f"""
        import numpy as np
        def make_net():
            def predict(images):
                return np.tile([{share}, 1 - {share}], (len(images), 1))
            return predict
        """


def load(folder: Path, function: str = "make") -> Classifier:
    return load_classifier({"name": f"{folder}/victim.py:{function}", "input_shape": [1, 5, 6]})


def share(classifier: Classifier) -> float:
    assert classifier.predict is not None
    return float(classifier.predict(IMAGES)[0, 0])


VICTIM = """
    from model import make_net
    def make():
        return make_net()
    """


def test_two_repositories_with_a_module_of_one_name(repository: Repository) -> None:
    first = load(repository("one", victim=VICTIM, model=model(0.25)))
    second = load(repository("two", victim=VICTIM, model=model(0.75)))
    assert (share(first), share(second)) == (0.25, 0.75)
    assert first.digest != second.digest


def test_a_module_of_the_calling_program_is_another(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = types.ModuleType("model")
    monkeypatch.setitem(sys.modules, "model", own)
    assert share(load(repository("one", victim=VICTIM, model=model(0.25)))) == 0.25
    assert sys.modules["model"] is own


def test_an_edited_helper_is_read_again(repository: Repository) -> None:
    """Text of the same length within the same second, which cached bytecode would hide."""
    before = load(repository("one", victim=VICTIM, model=model(0.25)))
    after = load(repository("one", model=model(0.75)))
    assert (share(before), share(after)) == (0.25, 0.75)
    assert before.source != after.source
    assert before.digest != after.digest


LAZY = """
    def make():
        def predict(images):
            import numpy as np
            from late import SHARE
            return np.tile([SHARE, 1 - SHARE], (len(images), 1))
        return predict
    """


def test_imports_at_call_time(repository: Repository) -> None:
    victims = [
        load(repository(name, victim=LAZY, late=f"SHARE = {value}"))
        for name, value in (("one", 0.25), ("two", 0.75))
    ]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(share, victims * 8))
    assert found == [0.25, 0.75] * 8
    edited = load(repository("one", late="SHARE = 0.50"))
    assert edited.source != victims[0].source
    assert [share(victim) for victim in (*victims, edited)] == [0.25, 0.75, 0.5]


def test_the_first_call_from_many_threads(repository: Repository) -> None:
    """All of them wait for the one that runs the module."""
    text = """
        def make():
            started = []
            def predict(images):
                started.append(1)
                if len(started) <= 20:  # the probe's calls import nothing
                    return images.reshape(len(images), -1)[:, :2] * 0 + 0.5
                from late import SHARE
                return images.reshape(len(images), -1)[:, :2] * 0 + SHARE
            return predict
        """
    late = "import time\ntime.sleep(0.05)\nSHARE = 0.25"
    victim = load(repository("one", victim=text, late=late))
    assert victim.predict is not None
    while float(victim.predict(IMAGES)[0, 0]) == 0.5:
        pass
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(share, [victim] * 8)) == [0.25] * 8


@pytest.mark.parametrize(
    "statement",
    [
        "from pkg.net import SHARE",
        "import pkg.net; SHARE = pkg.net.SHARE",
        "import pkg.net as net; SHARE = net.SHARE",
        "from pkg import net; SHARE = net.SHARE",
        "from pkg import *; SHARE = net.SHARE",
        "import pkg.deep.er; SHARE = pkg.deep.er.SHARE",
        "import importlib; SHARE = importlib.import_module('pkg.net').SHARE",
        "import importlib, sys; SHARE = importlib.import_module('pkg').net.SHARE",
        "import pickle; SHARE = pickle.loads(b'cpkg.net\\nSHARE\\n.')",
    ],
)
def test_packages(repository: Repository, statement: str) -> None:
    files = {
        "victim": f"{statement}\nimport numpy as np\n"
        "def make():\n"
        "    return lambda images: np.tile([SHARE, 1 - SHARE], (len(images), 1))",
        "pkg/__init__": "from . import net\n__all__ = ['net']",
        "pkg/deep/er": "from ..net import SHARE",  # no __init__.py: a namespace package
    }
    for name, value in (("one", 0.25), ("two", 0.75)):
        inside = {"pkg/net": "from .share import SHARE", "pkg/share": f"SHARE = {value}"}
        folder = repository(name, files | inside)
        victim = load(folder)
        assert share(victim) == value
        files_read = imported_files(folder / "victim.py")
        named = {file.relative_to(folder).as_posix() for file in files_read}
        if "pickle" not in statement:  # a name in a pickle is only seen when it is read
            assert {"victim.py", "pkg/__init__.py", "pkg/net.py", "pkg/share.py"} <= named


def test_a_folder_put_into_the_path(repository: Repository) -> None:
    text = """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "src"))
        from model import make_net
        def make():
            return make_net()
        """
    victims = [
        load(repository(name, victim=text, inside={"src/model": model(value)}))
        for name, value in (("one", 0.25), ("two", 0.75))
    ]
    assert [share(victim) for victim in victims] == [0.25, 0.75]
    edited = load(repository("one", inside={"src/model": model(0.5)}))
    assert share(edited) == 0.5
    assert edited.digest != victims[0].digest


def test_what_the_digest_of_the_source_covers(repository: Repository) -> None:
    folder = repository("one", victim=VICTIM, model=model(0.25), unused="x = 1")
    path = folder / "victim.py"
    before = sha256_source(path)
    assert before != hashlib.sha256(path.read_bytes()).hexdigest()
    repository("one", unused="x = 2")
    assert sha256_source(path) == before
    repository("one", model=model(0.75))
    assert sha256_source(path) != before
    moved = repository("elsewhere", victim=VICTIM, model=model(0.25))
    assert sha256_source(moved / "victim.py") == before


def test_nothing_is_run_for_the_digest(repository: Repository) -> None:
    folder = repository("one", victim="raise SystemExit\nimport model", model="raise SystemExit")
    assert len(imported_files(folder / "victim.py")) == 2


def test_a_file_may_bear_the_name_of_what_it_wraps(repository: Repository) -> None:
    folder = repository(
        "one", yaml="import yaml\ndef make():\n    yaml.safe_load('1')\n    return 3"
    )
    with pytest.raises(Exception, match="returned a int"):
        load_classifier(f"{folder}/yaml.py:make")


def test_a_file_beside_it_hides_nothing_from_libraries(repository: Repository) -> None:
    text = """
        import fractions, random
        import numpy as np
        def make():
            random.random()
            fractions.Fraction(1, 2)
            return lambda images: np.full((len(images), 2), 0.5)
        """
    folder = repository("one", victim=text, random="raise SystemExit", queue="raise SystemExit")
    assert share(load(folder)) == 0.5


def test_a_missing_module_says_so(repository: Repository) -> None:
    folder = repository("one", {"pkg/__init__": ""}, victim="import pkg.absent")
    with pytest.raises(Exception, match=r"ModuleNotFoundError: No module named 'pkg\.absent'"):
        load(folder)


def test_a_folder_of_data_is_no_module(repository: Repository) -> None:
    text = """
        import numpy, onnx
        def make():
            assert hasattr(onnx, "load") and hasattr(numpy, "full")
            return lambda images: numpy.full((len(images), 2), 0.5)
        """
    folder = repository("one", {"onnx/convert": "raise SystemExit"}, victim=text)
    assert share(load(folder)) == 0.5


def test_a_local_copy_of_torch_hub(repository: Repository) -> None:
    """It imports by its own means; what it brought in does not answer for the next repository."""
    text = """
        import os, torch
        def make():
            here = os.path.dirname(__file__)
            return torch.hub.load(here, "net", source="local")
        """
    files = {"hubconf": "from models import net", "models/__init__": "from .net import net"}
    for name, scale in (("one", 1.0), ("two", 3.0)):
        net = f"""
            from torch import nn
            class Scale(nn.Flatten):
                def forward(self, x):
                    return super().forward(x) * {scale}
            def net():
                return Scale()
            """
        victim = load(repository(name, {**files, "models/net": net}, victim=text))
        assert victim.module is not None
        ones = torch.ones(1, 1, 5, 6)
        assert float(victim.module(ones)[0, 0]) == scale


def test_an_import_in_a_module_that_runs_later(repository: Repository) -> None:
    text = """
        from torch import nn
        class Net(nn.Module):
            def forward(self, x):
                import late
                return x.flatten(1) * late.SHARE
        def make():
            return Net()
        """
    for name, value in (("one", 0.25), ("two", 0.75)):
        victim = load(repository(name, victim=text, late=f"SHARE = {value}"))
        with Scorer(victim, engine="torch", workers=2, batch=1) as scorer:
            white = np.full((3, 1, 5, 6), 255, np.uint8)
            assert (scorer.logits(white) == value).all()
