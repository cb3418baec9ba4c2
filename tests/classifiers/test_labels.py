"""Names of classes as people's files hold them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from evofool.classifiers import from_predict, load_classifier
from evofool.classifiers.labels import check_labels, read_labels
from evofool.errors import ClassifierError

BOM = "\ufeff"


def read(tmp_path: Path, name: str, text: str) -> tuple[str, ...]:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read_labels(path)


@pytest.mark.parametrize(
    "text",
    [
        "zero\none",
        "zero\none\n",
        "zero\r\none\r\n",
        "zero\rone\r",
        " zero \n\tone\n\n",
        BOM + "zero\none\n",
    ],
)
def test_one_label_a_line(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "l.txt", text) == ("zero", "one")


@pytest.mark.parametrize(
    "text",
    [
        '["zero", "one"]',
        BOM + '["zero", "one"]',
        '{"0": "zero", "1": "one"}',
        '{"1": "one", "0": "zero"}',
        '{"0": ["n01440764", "zero"], "1": ["n01443537", "one"]}',
        '[["n01440764", "zero"], ["n01443537", "one"]]',
        '{"one": 1, "zero": 0}',
        '{"class_to_idx": {"one": 1, "zero": 0}, "epoch": 3}',
        '{"id2label": {"0": "zero", "1": "one"}, "label2id": {"zero": 0, "one": 1}}',
    ],
)
def test_json_as_tools_write_it(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "l.json", text) == ("zero", "one")
    assert read(tmp_path, "L.JSON", text) == ("zero", "one")


def test_folders_that_are_numbers_are_in_the_order_of_their_texts(tmp_path: Path) -> None:
    """As torchvision's ImageFolder numbers folders 0 to 11: 10 and 11 come before 2."""
    names = sorted(str(number) for number in range(12))
    text = str({name: index for index, name in enumerate(names)}).replace("'", '"')
    assert read(tmp_path, "l.json", text) == tuple(names)


@pytest.mark.parametrize(
    "character", ["\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\u2028", "\u2029"]
)
def test_only_line_ends_end_a_line(tmp_path: Path, character: str) -> None:
    labels = read(tmp_path, "l.txt", f"ze{character}ro\none\ntwo\n")
    assert labels == (f"ze{character}ro", "one", "two")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("l.json", '{"a": 0, "b": 2}', "the indices must be 0 to 1, each once"),
        ("l.json", '{"a": 1, "b": 1}', "the indices must be 0 to 1, each once"),
        ("l.json", '{"a": 0, "a": 1, "b": 2}', "the key 'a' is given twice"),
        ("l.json", '{"0": "a", "0": "b", "1": "c"}', "the key '0' is given twice"),
        ("l.json", '{"0": "a", "2": "b"}', "'1' is missing"),
        ("l.json", '["a", "\\ud800"]', "entry 1 .* half of a surrogate pair"),
        ("l.json", '["a", "b\\u0000"]', "entry 1 .* NUL"),
        ("l.json", '["a", ["b", 1]]', "entry 1 is .*, not a name"),
        ("l.json", "{}", "0 given"),
        ("l.txt", "{0: 'tench',\n 1: 'goldfish'}", "save it as JSON"),
        ("l.txt", "\n", "0 given|entry 0 is ''"),
    ],
)
def test_what_cannot_be_labels(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ClassifierError, match=words):
        read(tmp_path, name, text)


def test_other_encodings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_bytes("zero\none".encode("utf-16"))
    with pytest.raises(ClassifierError, match=r"not UTF-8 text \(it is UTF-16\); save it as"):
        read_labels(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ClassifierError, match="named pipe"):
        read_labels(tmp_path / "pipe.txt")
    with pytest.raises(ClassifierError, match="device"):
        read_labels(Path("/dev/zero"))


def test_labels_from_python() -> None:
    assert check_labels([1, np.int64(2), "three "], "here") == ("1", "2", "three")
    for labels, words in (
        ("cat", "is one text, not a list"),
        ([True, "a"], "entry 0 is True"),
        (["a", 1.5], "entry 1 is 1.5"),
        (["a", None], "entry 1 is None"),
        (["a", "x\udfff"], "half of a surrogate pair"),
    ):
        with pytest.raises(ClassifierError, match=words):
            check_labels(labels, "here")
    with pytest.raises(ClassifierError, match="half of a surrogate pair"):
        from_predict(
            lambda x: np.full((len(x), 2), 0.5), input_shape=(1, 4, 4), labels=["a", "\ud800"]
        )


def test_a_victim_takes_its_labels_from_class_to_idx(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(str({f"n{9 - k}": k for k in range(10)}).replace("'", '"'))
    victim = load_classifier({"name": "mnist-lenet", "labels": "l.json"}, base=tmp_path)
    assert victim.labels == tuple(f"n{9 - k}" for k in range(10))


def test_a_finished_classifier_of_a_users_file_is_checked_too(tmp_path: Path) -> None:
    """What no file can hold would end a run after all its work, and every resume."""
    (tmp_path / "victim.py").write_text(
        "import numpy as np\n"
        "from evofool.classifiers import Classifier\n"
        "def made():\n"
        "    labels = ('a', 'b' + chr(0xd800))\n"
        "    return Classifier('x', labels, (1, 4, 4), '0' * 64, output='probs',\n"
        "        link='identity', predict=lambda x: np.full((len(x), 2), 0.5))\n"
    )
    with pytest.raises(ClassifierError, match=r"entry 1 .* half of a surrogate pair"):
        load_classifier(f"{tmp_path / 'victim.py'}:made")
