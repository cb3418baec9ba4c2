"""One patch for all pictures: transforms that stick a picture onto pictures of a folder or file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from evofool.classifiers import Classifier, Inspection, inspect_classifier, load_classifier
from evofool.classifiers.base import Onto
from evofool.classifiers.transformed import with_transforms
from evofool.classifiers.transforms.pictures import Transformation
from evofool.cli.report import transforms as given
from evofool.config import load_attacks
from evofool.config.transforms import TransformsConfig
from evofool.data import load_dataset
from evofool.errors import ClassifierError
from evofool.randomness import Stream
from evofool.scoring import Scorer

ONTO = {"path": "made.npz", "held_back": "others.npz"}


@pytest.fixture(scope="module")
def net() -> Classifier:
    return load_classifier("mnist-lenet")


@pytest.fixture(scope="module")
def images() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return load_dataset("mnist-sample").images[:30]


@pytest.fixture
def folder(tmp_path: Path, images: np.ndarray[Any, np.dtype[np.uint8]]) -> Path:
    """20 pictures to make a patch on in ``made.npz``, and 10 others."""
    np.savez(tmp_path / "made.npz", images=images[:20])
    np.savez(tmp_path / "others.npz", images=images[20:])
    return tmp_path


def config(**keys: Any) -> TransformsConfig:
    return TransformsConfig.model_validate({"k": 5, "scale": 0.5, "onto": ONTO, **keys})


def onto_of(victim: Classifier) -> Onto:
    assert victim.transformed is not None
    assert victim.transformed.onto is not None
    return victim.transformed.onto


def known(pictures: Any) -> set[bytes]:
    return {picture.tobytes() for picture in pictures}


def test_beside_the_patch_each_picture_is_as_it_was(
    net: Classifier, folder: Path, images: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    onto = onto_of(with_transforms(net, config(), base=folder))
    seen = Transformation(config(), net.input_shape, onto=onto.scored)
    grey = torch.full((2, *net.input_shape), 0.5)
    levels = seen.to_score(grey).numpy().reshape(2, 5, *net.input_shape)
    wanted = onto.scored.copy()
    wanted[:, :, 7:21, 7:21] = 128
    np.testing.assert_array_equal(levels[0], wanted)
    np.testing.assert_array_equal(levels[1], wanted)
    assert len(known(onto.scored) & known(images[:20])) == 5


def test_gradients_are_of_the_patch_alone(net: Classifier, folder: Path) -> None:
    plain = config(k=1, quantise=False)
    onto = onto_of(with_transforms(net, plain, base=folder))
    seen = Transformation(plain, net.input_shape, onto=onto.scored)
    x = torch.full((1, *net.input_shape), 0.5, requires_grad=True)
    seen(x)[..., :6].sum().backward()  # beside the patch
    assert x.grad is not None
    assert not x.grad.any()
    x.grad = None
    seen(x)[..., 7:21, 7:21].sum().backward()
    assert x.grad.sum() > 0


def test_other_pictures_are_held_back(
    net: Classifier, folder: Path, images: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    victim = with_transforms(net, config(held_back=7), base=folder)
    onto = onto_of(victim)
    np.testing.assert_array_equal(onto.under(range(2, 4), Stream.HELD_BACK), onto.held_back[2:4])
    assert (len(onto.scored), len(onto.held_back)) == (5, 7)
    assert len(known(onto.held_back) & known(images[20:])) == 7
    patch = np.full((1, *net.input_shape), 128, np.uint8)
    pasted = onto.held_back.copy()
    pasted[:, :, 7:21, 7:21] = 128
    with Scorer(victim) as scorer, Scorer(net) as plain:
        answers = scorer.held_back(patch, 7).labels[0]
        np.testing.assert_array_equal(answers, plain.confidence(pasted).argmax(1))


def test_few_pictures_are_taken_again(net: Classifier, folder: Path) -> None:
    onto = onto_of(with_transforms(net, config(k=25, held_back=12), base=folder))
    assert (len(onto.scored), len(known(onto.scored))) == (25, 20)
    assert (len(onto.held_back), len(known(onto.held_back))) == (12, 10)


def test_the_digest_is_of_all_pictures(
    net: Classifier, folder: Path, images: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    one = with_transforms(net, config(), base=folder).digest
    assert with_transforms(net, config(held_back=3), base=folder).digest == one
    assert with_transforms(net, config(seed=2), base=folder).digest != one
    (folder / "made.npz").rename(folder / "moved.npz")
    moved = {**ONTO, "path": "moved.npz"}
    assert with_transforms(net, config(onto=moved), base=folder).digest == one
    for name, start in (("moved.npz", 1), ("others.npz", 21)):
        kept = (folder / name).read_bytes()
        np.savez(folder / name, images=images[start : start + 10])
        assert with_transforms(net, config(onto=moved), base=folder).digest != one
        (folder / name).write_bytes(kept)


def test_a_folder_of_pictures_is_a_file_of_them(
    net: Classifier, folder: Path, images: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    (folder / "made").mkdir()
    for k, image in enumerate(images[:20]):
        PIL.Image.fromarray(image[0]).save(folder / "made" / f"{k:02}.png")
    same = with_transforms(net, config(onto={**ONTO, "path": "made"}), base=folder)
    assert same.digest == with_transforms(net, config(), base=folder).digest
    PIL.Image.new("RGB", (60, 40)).save(folder / "made" / "20.png")  # of any size
    with_transforms(net, config(onto={**ONTO, "path": "made"}), base=folder)
    (folder / "made" / "21.png").write_bytes(b"nothing")
    with pytest.raises(ClassifierError, match=r"transforms.onto: .*21.png"):
        with_transforms(net, config(onto={**ONTO, "path": "made"}), base=folder)


def test_no_onto_changes_no_digest() -> None:
    assert "onto" not in TransformsConfig(k=3).model_dump()
    assert "onto" not in config().result  # the pixels are in the digest, the paths nowhere
    assert config().model_dump()["onto"] == ONTO


def test_paths_start_from_the_config(net: Classifier, folder: Path) -> None:
    names = {key: str(folder / name) for key, name in ONTO.items()}
    transforms = {"scale": 0.5, "onto": ONTO}
    content = {
        "kind": "attack", "classifier": {"name": "mnist-lenet", "transforms": transforms},
        "images": {"noise": "uniform", "count": 1}, "attacks": [{"name": "fgsm", "eps": 0.1}],
    }  # fmt: skip
    path = folder / "patch.yaml"
    path.write_text(json.dumps(content))
    read = load_attacks(path).config.classifier.transforms
    assert read is not None
    assert read.model_dump()["onto"] == names
    assert given(str(path))["onto"] == names
    several = {"ensemble": ["mnist-lenet", "mnist-lenet"], "transforms": transforms}
    path.write_text(json.dumps({**content, "classifier": several}))
    read = load_attacks(path).config.classifier.transforms
    assert read is not None
    assert read.model_dump()["onto"] == names


def test_a_dry_run_says_what_is_missing(folder: Path) -> None:
    def inspected() -> Inspection:
        transforms = {"scale": 0.5, "onto": ONTO}
        return inspect_classifier({"name": "mnist-lenet", "transforms": transforms}, base=folder)

    assert inspected().ready
    (folder / "others.npz").unlink()
    found = inspected()
    assert not found.ready
    path = folder / "others.npz"
    assert f"transforms.onto: {path}: no such file or folder" in found.missing
    assert f'np.savez(\'{path}\', images=evofool.load_dataset("gtsrb", "test")' in found.missing
    assert "made.npz" not in found.missing


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros(3)}, r"holds no array 'images'; give a folder .* np.savez"),
        ({"images": np.zeros((2, 1, 28, 28))}, r"'images' is float64 2 x 1 x 28 x 28; give"),
        ({"images": np.zeros((0, 1, 28, 28), np.uint8)}, r"'images' is uint8 0 x 1 .*; give"),
        ({"images": np.zeros((2, 28, 28), np.uint8)}, r"'images' is uint8 2 x 28 x 28; give"),
        ({"images": np.array([None])}, r"cannot be read \(Object arrays .*\); give"),
        (
            {"images": np.zeros((2, 3, 32, 32), np.uint8)},
            r"the net takes 1 x 28 x 28; save pictures of that size, or name a folder",
        ),
    ],
)
def test_files_that_do_not_fit(
    net: Classifier, folder: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(folder / "made.npz", **arrays)
    with pytest.raises(ClassifierError, match=rf"transforms.onto: .*made.npz: .*{message}"):
        with_transforms(net, config(), base=folder)


def test_what_is_no_file_of_pictures(
    net: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("evofool.classifiers.reading.MOST_BYTES", 10_000)
        with pytest.raises(ClassifierError, match=r"made.npz: cannot be read \(.*\); give"):
            with_transforms(net, config(), base=folder)
    (folder / "made.npz").write_bytes(b"nothing")
    with pytest.raises(ClassifierError, match=r"made.npz: cannot be read \(.*zip.*\); give"):
        with_transforms(net, config(), base=folder)
    (folder / "made.npz").unlink()
    with pytest.raises(ClassifierError, match=r"made.npz: no such file or folder; give a folder"):
        with_transforms(net, config(), base=folder)
    (folder / "made.npz").mkdir()
    with pytest.raises(ClassifierError, match=r"made.npz: holds no pictures .*; give a folder"):
        with_transforms(net, config(), base=folder)


def test_what_does_not_fit_is_refused() -> None:
    for keys, message in (
        ({"scale": 1.0}, "hides what it is stuck onto"),
        ({"fill": 0.5}, "remove fill"),
        ({"onto": {"path": "x"}}, "held_back"),
    ):
        with pytest.raises(ValueError, match=message):
            config(**keys)
