"""Zero-shot CLIPs: tiny nets of open_clip's own class, saved, and loaded as its users have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from clip_nets import CONFIG, SIDE, save

from evofool.classifiers import Classifier, inspect_classifier, load_classifier
from evofool.classifiers.pictures import prepare
from evofool.classifiers.sources import clip_text
from evofool.classifiers.sources.clip_text import BATCH, text_of_classes
from evofool.errors import ClassifierError, ConfigError
from evofool.scoring import Scorer

open_clip = pytest.importorskip("open_clip")

LABELS = ["tabby cat", "fire engine", "{braces}"]
TEMPLATES = ["a photo of a {}.", "{} in the rain"]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("nets") / "clip")


@pytest.fixture
def clip(net: Path, tmp_path: Path) -> Path:
    """A copy of the folder of a net, to be spoiled."""
    return Path(shutil.copytree(net, tmp_path / "clip"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the hub's cache, and no network."""
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_a, **_k: None)
    monkeypatch.setattr("evofool.classifiers.sources.hub.hub_resolves", lambda: False)
    monkeypatch.setattr("evofool.classifiers.sources.clip_files.hub_resolves", lambda: False)


def loaded(folder: Path, **keys: Any) -> Classifier:
    spec = {"name": f"clip:{folder}", "labels": LABELS, "templates": TEMPLATES, **keys}
    return load_classifier({key: value for key, value in spec.items() if value is not None})


def change(folder: Path, part: str = "", **keys: Any) -> None:
    """Changes a part of ``open_clip_config.json``."""
    path = folder / "open_clip_config.json"
    content = json.loads(path.read_text())
    inner = content
    for step in part.split(".") if part else ():
        inner = inner[step]
    inner.update(keys)
    path.write_text(json.dumps(content))


def test_answers_are_those_of_the_library(net: Path) -> None:
    victim = loaded(net)
    assert (victim.input_shape, victim.labels) == ((3, SIDE, SIDE), tuple(LABELS))
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{net}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{net}")
    # open_clip fills templates by str.format, which a label with braces would upset
    templates = [lambda label, t=t: t.replace("{}", label) for t in TEMPLATES]
    text = open_clip.build_zero_shot_classifier(model.eval(), tokenizer, LABELS, templates)
    images = np.random.default_rng(0).integers(0, 256, (4, 3, SIDE, SIDE), dtype=np.uint8)
    pictures = [PIL.Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    with torch.no_grad():
        features = model.encode_image(torch.stack(list(map(transform, pictures))), normalize=True)
        expected = (model.logit_scale.exp() * features @ text).softmax(-1).numpy()
    scorer = Scorer(victim, device="cpu")
    np.testing.assert_allclose(scorer.confidence(images), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01, "the pictures tell nothing apart"
    gradients = scorer.gradients(images, lambda logits, _: logits[:, 0]).values
    assert np.abs(gradients).reshape(4, -1).max(1).min() > 0


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [SIDE, [SIDE, 24]])
def test_pixels_are_those_of_the_library(tmp_path: Path, mode: str, size: Any) -> None:
    """To a millionth of a level: both resize with Pillow."""
    vision = {**CONFIG["vision_cfg"], "image_size": size}
    said = {"resize_mode": mode, "interpolation": "bilinear", "fill_color": 77}
    folder = save(tmp_path / "net", said, vision_cfg=vision)
    victim = loaded(folder)
    *_, own = open_clip.create_model_and_transforms(f"local-dir:{folder}", load_weights=False)
    rng = np.random.default_rng(3)
    for width, height in ((90, 61), (33, 120), (21, 19), (45, 46)):
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(noise)
        theirs = own(picture).double().numpy()
        mean, std = (np.reshape(x, (3, 1, 1)) for x in ([0.48, 0.46, 0.41], [0.27, 0.26, 0.28]))
        ours = (prepare(picture, victim) / 255 - mean) / std
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_digest_is_of_weights_and_prompts(clip: Path) -> None:
    first = loaded(clip).digest
    assert loaded(clip).digest == first
    assert loaded(clip, templates=TEMPLATES[:1]).digest != first
    assert loaded(clip, labels=[*LABELS[:2], "dog"]).digest != first
    assert loaded(clip, mean=[0.5]).digest != first
    change(clip, "model_cfg.vision_cfg", head_width=16)  # the same tensors, another net
    assert loaded(clip).digest != first


def test_prompts_are_encoded_in_batches_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of prompts, and no prompt is lost between batches."""
    sizes: list[int] = []

    def tokenize(texts: list[str]) -> torch.Tensor:
        sizes.append(len(texts))
        return torch.tensor([[len(text), sum(map(ord, text)) % 97] for text in texts])

    def encode(tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(tokens.double(), dim=-1)

    labels = [f"thing {'i' * (n % 40)} {n}" for n in range(50_000)]
    text, digest = text_of_classes(encode, tokenize, labels, TEMPLATES)
    assert sum(sizes) == 100_000
    assert max(sizes) == BATCH
    assert text.shape == (50_000, 2)
    monkeypatch.setattr(clip_text, "BATCH", 7)
    again, digest_again = text_of_classes(encode, tokenize, labels, TEMPLATES)
    torch.testing.assert_close(again, text)
    assert digest_again == digest


def test_templates_of_a_file_and_of_one_text(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("a photo of a {}.\n\n{} in the rain\n")
    both = loaded(clip, templates=str(tmp_path / "templates.txt"))
    assert both.digest == loaded(clip).digest
    one = loaded(clip, templates="a photo of a {}.")
    assert one.digest == loaded(clip, templates=None).digest


def test_an_architecture_with_weights(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from open_clip import factory

    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-tiny", CONFIG)
    weights = str(clip / "open_clip_model.safetensors")
    spec = {"name": "clip:ViT-tiny", "labels": LABELS, "weights": weights}
    assert inspect_classifier(spec).ready
    victim = load_classifier(spec)
    assert victim.source is not None
    assert "0.4815" in victim.preprocessing  # open_clip's default
    with pytest.raises(ClassifierError, match="weights: is missing; an architecture needs"):
        load_classifier({"name": "clip:ViT-tiny", "labels": LABELS})
    with pytest.raises(ClassifierError, match="none of the tags"):
        load_classifier({**spec, "weights": "absent.safetensors"})


def test_a_tokenizer_of_a_folder(clip: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    change(clip, "model_cfg.text_cfg", hf_tokenizer_name="ann/words")
    with pytest.raises(ClassifierError, match=r"no tokenizer.*put tokenizer\.json of ann/words"):
        loaded(clip)

    def save_words(cat: int) -> None:
        known = {"[UNK]": 0, "[PAD]": 1, "photo": 2, "cat": cat}
        words = Tokenizer(models.WordLevel(known, "[UNK]"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        fast = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
        fast.save_pretrained(clip)

    save_words(CONFIG["text_cfg"]["vocab_size"])  # of another net
    with pytest.raises(ClassifierError, match=r"prompts cannot be encoded.*that of the net"):
        loaded(clip)
    save_words(3)
    assert loaded(clip).n_classes == 3
    # code beside it is not run, whatever the file asks for
    change(clip, "model_cfg.text_cfg", tokenizer_kwargs={"trust_remote_code": True})
    (clip / "own.py").write_text("raise SystemExit('was run')")
    config = json.loads((clip / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": [None, "own.Own"]}, "tokenizer_class": "Own"}
    (clip / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ClassifierError, match="tokenizer cannot be loaded"):
        loaded(clip)


def _pickled(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")


def _damaged(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").write_bytes(b"x")


def _nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "open_clip_model.safetensors")
    state["visual.proj"][0, 0] = float("nan")
    save_file(state, folder / "open_clip_model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: (folder / "open_clip_config.json").unlink(), "not a CLIP of open_clip"),
        (lambda folder: (folder / "open_clip_config.json").write_text("["), "cannot be read"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{}"), "has no model_cfg"),
        (lambda folder: change(folder, "model_cfg", embed_dim=24), "do not fit the architecture"),
        (lambda folder: change(folder, "model_cfg", surprise=1), "cannot build it"),
        (
            lambda folder: change(folder, "preprocess_cfg", resize_mode="stretch"),
            "preprocess_cfg asks for what evofool",
        ),
        (lambda folder: (folder / "open_clip_model.safetensors").unlink(), "put it there"),
        (_damaged, "cannot be read"),
        (_pickled, r"pytorch_model\.bin, which is not read.*save_file"),
        (_nan, "visual.proj holds NaN"),
    ],
)
def test_what_is_no_clip(spoil: Any, message: str, clip: Path) -> None:
    spoil(clip)
    with pytest.raises(ClassifierError, match=message) as caught:
        loaded(clip)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": None}, "labels: is missing"),
        ({"templates": ["a photo"]}, r"must hold \{\} once"),
        ({"templates": ["{} and {}"]}, r"must hold \{\} once"),
        ({"templates": "absent.txt"}, "absent.txt: cannot be read"),
        ({"input_shape": [3, 64, 64]}, "input_shape cannot be set for a zero-shot CLIP"),
        (
            {"labels": [f"l{n}" for n in range(1001)], "templates": ["{}"] * 1000},
            "1,001,000 prompts.*give fewer",
        ),
    ],
)
def test_specs_that_say_too_little_or_too_much(
    keys: dict[str, Any], message: str, net: Path
) -> None:
    with pytest.raises(ClassifierError, match=message):
        loaded(net, **keys)


def test_who_waits_for_many_prompts_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    from evofool.classifiers.sources.clip_text import tell_count

    tell_count(["a"] * 1000, ["{}"] * 7, "clip:few")
    assert not caplog.records
    tell_count(["a"] * 1000, ["{}"] * 100, "clip:many")
    assert "clip:many: encodes 100,000 prompts (1,000 labels in 100 templates)" in caplog.text


def test_templates_are_for_clips_only() -> None:
    with pytest.raises(ClassifierError, match="templates cannot be set for a bundled victim"):
        load_classifier({"name": "mnist-lenet", "templates": ["{}"]})


@pytest.mark.usefixtures("no_hub")
def test_without_a_network() -> None:
    for name in ("clip:ann/clip", "clip:ann/clip@v1"):
        spec = {"name": name, "labels": LABELS}
        assert "open_clip_config.json" in inspect_classifier(spec).missing
        with pytest.raises(ClassifierError, match=r"no network.*clip:path/to/folder"):
            load_classifier(spec)
    spec = {"name": "clip:ViT-B-32", "labels": LABELS, "weights": "laion2b_s34b_b79k"}
    with pytest.raises(ClassifierError, match=r"not on this machine \(no network\).*weights: FILE"):
        load_classifier(spec)
    with pytest.raises(ClassifierError, match=r"no architecture 'ViT-B-33'.*near: ViT-B"):
        load_classifier({"name": "clip:ViT-B-33", "labels": LABELS})
    siglip = {"name": "clip:ViT-B-16-SigLIP", "labels": LABELS, "weights": __file__}
    with pytest.raises(ClassifierError, match=r"tokenizer of .* not on this machine"):
        load_classifier(siglip)


def test_without_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evofool.classifiers.sources.clip_model.find_spec", lambda _name: None)
    spec = {"name": "clip:ann/clip", "labels": LABELS}
    assert "evofool[clip]" in inspect_classifier(spec).missing
    with pytest.raises(ClassifierError, match=r"pip install 'evofool\[clip\]'"):
        load_classifier(spec)


def test_a_campaign_and_an_attack(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From relative paths: of the folder, the labels and the templates."""
    import evofool

    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("cat\ndog\n")
    Path("templates.txt").write_text("a photo of a {}.\n")
    victim = {"name": "clip:clip", "labels": "labels.txt", "templates": "templates.txt"}
    small = {"evolution": {"initial": 8, "children": 8}, "stop": {"generations": 2}}
    run = evofool.evolve({"classifier": victim, "encoding": "direct", "seed": 1, **small}, "e")
    assert len(run.to_frame()) == 2
    written = Path("e/config.yaml").read_text()
    for path in (clip, tmp_path / "labels.txt", tmp_path / "templates.txt"):
        assert str(path) in written
    attacks = [{"name": "fgsm", "eps": 0.25, "targets": "random"}]
    images = {"noise": "normal", "count": 4}
    attack = {"kind": "attack", "classifier": victim, "images": images, "attacks": attacks}
    assert evofool.attack(attack, "a").to_frame().backward_images.sum() == 4
    with pytest.raises(ConfigError, match="no such file"):
        evofool.attack({**attack, "classifier": {**victim, "templates": "absent.txt"}}, "b")
