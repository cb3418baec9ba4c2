"""Image classifiers of Hugging Face: tiny nets of its own classes, saved, and loaded again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hugging_face_nets import KINDS, NAMES, save

from evofool.classifiers import Classifier, inspect_classifier, load_classifier
from evofool.classifiers.pictures import prepare
from evofool.errors import ClassifierError
from evofool.scoring import Scorer

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("nets")
    return {kind: save(kind, folder / kind) for kind in KINDS}


@pytest.fixture
def vit(nets: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the folder of a net, to be spoiled."""
    return Path(shutil.copytree(nets["vit"], tmp_path / "vit"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the hub's cache, and no network."""
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_a, **_k: None)
    monkeypatch.setattr("evofool.classifiers.sources.hub.hub_resolves", lambda: False)


def change(path: Path, **keys: Any) -> None:
    content = json.loads(path.read_text())
    content.update(keys)
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def pictures() -> list[PIL.Image.Image]:
    """Soft colours, wide and high, smaller and larger than any input; every other one is noise."""
    rng = np.random.default_rng(7)
    made = []
    for width, height in ((90, 61), (33, 120), (21, 19), (47, 46)):
        soft = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        made.append(PIL.Image.fromarray(soft).resize((width, height)))
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        made.append(PIL.Image.fromarray(noise))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_library(nets: dict[str, Path], kind: str) -> None:
    """Equal to the processor that uses Pillow, and within 2 levels of the one with torchvision.

    Of noise, where cubic filters overshoot black and white, the library's two differ by more.
    """
    victim = load_classifier(f"hf:{nets[kind]}")
    made = transformers.AutoImageProcessor.from_pretrained(nets[kind])
    pillow = transformers.AutoImageProcessor.from_pretrained(nets[kind], backend="pil")
    mean, std = (np.reshape(x, (3, 1, 1)) for x in (made.image_mean, made.image_std))
    for index, picture in enumerate(pictures()):
        ours = prepare(picture, victim)
        for processor, levels in ((made, 8.0 if index % 2 else 2.0), (pillow, 0.0)):
            theirs = processor(picture, return_tensors="pt")["pixel_values"][0].double().numpy()
            furthest = np.abs((theirs * std + mean) * 255 - ours).max()
            assert furthest <= levels + 1e-3, (picture.size, type(processor).__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_gradients_are_those_of_the_library(nets: dict[str, Path], kind: str) -> None:
    victim = load_classifier(f"hf:{nets[kind]}")
    assert victim.labels == tuple(NAMES.values())
    net = transformers.AutoModelForImageClassification.from_pretrained(nets[kind])
    processor = transformers.AutoImageProcessor.from_pretrained(
        nets[kind], do_resize=False, do_center_crop=False
    )
    if kind == "convnext":  # its processor crops by resizing
        assert victim.resize is not None
        assert victim.resize.shorter_side == int(32 / 0.875)
    images = np.random.default_rng(0).integers(0, 256, (4, *victim.input_shape), dtype=np.uint8)
    with torch.no_grad():
        inputs = processor(list(torch.from_numpy(images)), return_tensors="pt")
        expected = net.eval()(**inputs).logits.softmax(-1).numpy()
    scorer = Scorer(victim, device="cpu")
    np.testing.assert_allclose(scorer.confidence(images), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01, "the pictures tell nothing apart"
    gradients = scorer.gradients(images, lambda logits, _: logits[:, 0]).values
    assert np.abs(gradients).reshape(4, -1).max(1).min() > 0


def test_a_file_of_the_folder_is_not_the_folder(vit: Path) -> None:
    with pytest.raises(ClassifierError, match=r"config\.json: is a file; name the folder"):
        load_classifier(f"hf:{vit / 'config.json'}")


def test_a_folder_is_found_beside_the_config(vit: Path) -> None:
    victim = load_classifier("hf:vit", base=vit.parent)
    assert victim.input_shape == (3, 32, 32)
    assert victim.source is not None
    assert victim.source[0] == vit / "model.safetensors"
    inspected = inspect_classifier("hf:vit", base=vit.parent)
    assert (inspected.input_shape, inspected.n_classes, inspected.ready) == ((3, 32, 32), 3, True)


def test_the_digest_is_of_weights_and_config(vit: Path) -> None:
    def digest() -> str:
        return load_classifier(f"hf:{vit}").digest

    first = digest()
    change(vit / "config.json", transformers_version="9.9", id2label={"0": "a", "1": "b", "2": "c"})
    assert digest() == first
    change(vit / "config.json", num_attention_heads=4)  # the same tensors, another net
    assert digest() != first


def test_other_preparations(vit: Path) -> None:
    """Those of processors that are measured, not read: two divisions, and blue before red."""
    change(
        vit / "preprocessor_config.json",
        image_processor_type="EfficientNetImageProcessor",
        image_std=[0.5, 0.25, 0.2],
        include_top=True,
    )
    twice = load_classifier(f"hf:{vit}")
    (_, _, std) = _numbers(twice)
    np.testing.assert_allclose(std, [0.25, 0.0625, 0.04], rtol=1e-5)
    change(
        vit / "preprocessor_config.json",
        image_processor_type="MobileViTImageProcessor",
        do_flip_channel_order=True,
        do_center_crop=False,
        size={"shortest_edge": 35},
        crop_size={"height": 32, "width": 32},
    )
    change(vit / "preprocessor_config.json", do_center_crop=True)
    flipped = load_classifier(f"hf:{vit}")
    net = transformers.AutoModelForImageClassification.from_pretrained(vit).eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert flipped.module is not None
    with torch.no_grad():
        expected = net(images.flip(1)).logits
        torch.testing.assert_close(flipped.module(images), expected, atol=1e-5, rtol=0)


def _numbers(victim: Classifier) -> tuple[Any, Any, Any]:
    module: Any = victim.module
    return module, module.mean.flatten().numpy(), module.std.flatten().numpy()


def test_several_labels_at_once(vit: Path) -> None:
    assert not load_classifier(f"hf:{vit}").multi_label
    change(vit / "config.json", problem_type="multi_label_classification")
    tagger = load_classifier(f"hf:{vit}")
    assert (tagger.link, tagger.multi_label) == ("sigmoid", True)
    one_class = load_classifier({"name": f"hf:{vit}", "link": "softmax"})
    assert (one_class.link, one_class.multi_label) == ("softmax", False)
    with pytest.raises(ClassifierError, match="would count as not claimed"):
        load_classifier({"name": f"hf:{vit}", "answers": 2})


def test_without_a_processor_the_spec_says_all(vit: Path) -> None:
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(ClassifierError, match="set input_shape, mean and std"):
        load_classifier(f"hf:{vit}")
    numbers = {"input_shape": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}
    assert load_classifier({"name": f"hf:{vit}", **numbers}).resize is None


def test_another_size_of_input(nets: dict[str, Path]) -> None:
    spec = {"name": f"hf:{nets['convnext']}", "input_shape": [3, 64, 64]}
    victim = load_classifier(spec)
    assert victim.input_shape == (3, 64, 64)
    assert victim.resize is not None
    assert victim.resize.shorter_side == 72


def _text(folder: Path) -> None:
    change(folder / "config.json", model_type="bert", architectures=None)


def _detector(folder: Path) -> None:
    change(folder / "config.json", architectures=["DetrForObjectDetection"], model_type="detr")


def _backbone(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig.from_pretrained(folder)
    ViTModel(config).save_pretrained(folder)
    change(folder / "config.json", architectures=None)


def _nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    state["classifier.bias"][0] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _processor(**keys: Any) -> Any:
    return lambda folder: change(folder / "preprocessor_config.json", **keys)


def _config(**keys: Any) -> Any:
    return lambda folder: change(folder / "config.json", **keys)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: (folder / "config.json").unlink(), "not a Hugging Face model; model.save"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: cannot be read"),
        (_config(model_type=None), "has no model_type"),
        (_config(model_type="unheard-of"), "a model that transformers does not have"),
        (_config(problem_type="regression"), "outputs are not classes"),
        (_config(id2label=None), "names no classes .*; set labels"),
        (_config(id2label={str(i): f"LABEL_{i}" for i in range(3)}), "names no classes"),
        (_config(id2label={"0": "a", "2": "c"}), "names no classes .*gaps"),
        (_config(hidden_size=24), "weights cannot be loaded"),
        (_text, "is a bert model, which does not classify images"),
        (_detector, "is a DetrForObjectDetection, which does not classify images"),
        (_backbone, r"has no classifier\.bias, classifier\.weight.* at random"),
        (_nan, "classifier.bias holds NaN"),
        (_pickled, r"pytorch_model\.bin, which is not read.*save_pretrained"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 50), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (_processor(image_processor_type="Nothing"), "gives no image processor"),
        (_processor(size={"height": 10**6, "width": 9}), "side that is not 1 to 8192"),
        (
            _processor(do_center_crop=True, crop_size={"height": 40, "width": 40}),
            "black border; make crop_size smaller",
        ),
        (
            _processor(do_center_crop=True, crop_size={"height": 31, "width": 31}),
            "are size and crop_size in preprocessor_config.json right",
        ),
        (_processor(size={"shortest_edge": 32}), "keeps the shape of a picture.*do_center_crop"),
        (_processor(do_resize=False), "keeps the shape of a picture"),
        (_processor(image_std=[0.5, -1, 0.5]), "white is not brighter than black"),
        (
            _processor(image_processor_type="DonutImageProcessor", do_pad=True),
            "file of your own",
        ),
    ],
)
def test_what_is_no_classifier(spoil: Any, message: str, vit: Path) -> None:
    spoil(vit)
    with pytest.raises(ClassifierError, match=message) as caught:
        load_classifier(f"hf:{vit}")
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_a_crop_that_is_not_square(vit: Path) -> None:
    sizes = {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 24}}
    change(vit / "preprocessor_config.json", do_center_crop=True, **sizes)
    with pytest.raises(ClassifierError, match="Input image size"):  # this net is square
        load_classifier(f"hf:{vit}")


@pytest.mark.usefixtures("no_hub")
def test_without_a_network() -> None:
    inspected = inspect_classifier("hf:google/vit-base-patch16-224")
    assert not inspected.ready
    assert "preprocessor_config.json" in inspected.missing
    with pytest.raises(ClassifierError) as caught:
        load_classifier("hf:google/vit-base-patch16-224")
    for part in (
        "no folder google/vit-base-patch16-224 is here",  # a path with a typo looks like a name
        "config.json",
        "model.safetensors",
        "no network",
        "hf:path/to/folder",
    ):
        assert part in str(caught.value)


def test_the_cache_of_the_hub(nets: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, file, revision: str(nets["vit"] / file) if revision == "v1" else None,
    )
    assert inspect_classifier("hf:ann/vit@v1").ready
    victim = load_classifier("hf:ann/vit@v1")
    assert victim.source is None


@pytest.mark.parametrize("name", ["hf:", "hf:a b", "hf:..", "hf:x/y/z", "hf:./absent"])
@pytest.mark.usefixtures("no_hub")
def test_names_that_name_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="classifier hf:"):
        load_classifier(name, base=tmp_path)


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evofool.classifiers.sources.hf_model.find_spec", lambda _name: None)
    assert "evofool[hf]" in inspect_classifier("hf:ann/vit").missing
    with pytest.raises(ClassifierError, match=r"pip install 'evofool\[hf\]'"):
        load_classifier("hf:ann/vit")


def test_a_campaign_and_an_attack(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a relative path; the run goes on where the folder has moved."""
    import evofool

    monkeypatch.chdir(tmp_path)
    small = {"evolution": {"initial": 8, "children": 8}, "stop": {"generations": 2}}
    run = evofool.evolve({"classifier": "hf:vit", "encoding": "direct", "seed": 1, **small}, "e")
    assert len(run.to_frame()) == 3
    moved = vit.rename(tmp_path / "moved")
    evofool.resume("e", classifier="moved", overrides=["stop.generations=3"])
    manifest = json.loads(Path("e/manifest.json").read_text())
    assert manifest["classifier"]["name"] == f"hf:{moved}"
    attacked = evofool.attack(
        {
            "kind": "attack",
            "classifier": "hf:moved",
            "images": {"noise": "normal", "count": 4},
            "attacks": [{"name": "fgsm", "eps": 0.25, "targets": "random"}],
        },
        "a",
    )
    assert attacked.to_frame().backward_images.sum() == 4
