"""Campaigns on a part of a picture: resumed, verified, replayed, spread; what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_pools import linear_campaign, over_ray

from evofool.classifiers import load_classifier
from evofool.config import load_campaign
from evofool.errors import ConfigError, EvofoolError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.replaying import early_and_late
from evofool.evolution.restoring import open_elites
from evofool.evolution.verify import verify
from evofool.images import encode_png, read_picture
from evofool.ray_session import session
from evofool.render.masks import Mask
from evofool.scoring import Scorer
from evofool.store.campaign import CampaignFolder

Campaign = Callable[..., dict[str, Any]]
DISC = {"shape": "disc", "at": [0.4, 0.6], "size": 0.7}


def on_a(background: Any, inner: str = "cppn") -> dict[str, Any]:
    return {"name": "masked", "inner": {"name": inner}, "mask": DISC, "background": background}


@pytest.mark.parametrize("inner", ["cppn", "direct"])
def test_a_run_goes_on_and_is_what_it_claims(
    toy_campaign: Campaign, tmp_path: Path, inner: str
) -> None:
    config = toy_campaign(encoding=on_a([9, 90, 200], inner), stop={"generations": 6})
    whole = evolve(config, tmp_path / "whole").summary
    begun = {**config, "stop": {"generations": 2}}
    evolve(begun, tmp_path / "run")
    last = resume(tmp_path / "run", overrides=["stop.generations=6"]).summary
    assert last["archive_digest"] == whole["archive_digest"]
    assert not [check for check in verify(tmp_path / "run") if check.ok is False]
    early, late = early_and_late(tmp_path / "run", 10, 10)
    elites = sorted((tmp_path / "run" / "images").glob("*.png"))
    pictures = [np.asarray(read_picture(path)) for path in elites]
    side = early.shape[-1]
    outside = ~Mask.model_validate(DISC).raster((side, side))
    behind = early[0][:, outside]
    assert (early[:, :, outside] == behind).all()
    assert (late[:, :, outside] == behind).all()
    assert pictures
    for picture in pictures:
        assert (np.moveaxis(np.atleast_3d(picture), -1, 0)[:, outside] == behind).all()


def test_it_is_printed_at_any_size(toy_campaign: Campaign, tmp_path: Path) -> None:
    evolve(toy_campaign(encoding=on_a("stop"), stop={"generations": 1}), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        stored = open_elites(run)
        genome = stored.encoding.sample(np.random.default_rng(1))
        large = stored.encoding.render([genome], (300, 300))[0]
    outside = ~Mask.model_validate(DISC).raster((300, 300))
    assert len(np.unique(large[:, outside])) > 10  # the sign, with smooth edges


def test_a_masked_picture_is_transformed_as_a_whole(toy_campaign: Campaign, tmp_path: Path) -> None:
    linear = Path(__file__).parents[1] / "toys" / "linear.py"
    seen = {"k": 2, "rotation": 20, "brightness": 0.1, "held_back": 3}
    config = toy_campaign(encoding=on_a([9, 90, 200], "direct"), stop={"generations": 1})
    config["classifier"] = {"name": f"{linear}:victim", "transforms": seen}
    summary = evolve(config, tmp_path / "run").summary
    assert summary["held_back"]["transforms"] == 3
    assert not [check for check in verify(tmp_path / "run") if check.ok is False]
    files = sorted((tmp_path / "run" / "images").glob("*.png"))
    pictures = np.stack([np.asarray(read_picture(path)) for path in files])
    outside = ~Mask.model_validate(DISC).raster(pictures.shape[1:3])
    assert len(np.unique(pictures[:, outside])) == 1  # what is saved is the picture itself


@pytest.mark.slow
def test_workers_of_ray_draw_on_the_same_background(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    config = linear_campaign(encoding=on_a([9, 90, 200]), stop={"generations": 3})
    alone = evolve(config, tmp_path / "alone").summary
    with session(cpus=2):
        spread = evolve(over_ray(config), tmp_path / "spread").summary
    assert spread["archive_digest"] == alone["archive_digest"]


def test_a_picture_is_found_from_the_config_and_held_to(
    toy_campaign: Campaign, tmp_path: Path
) -> None:
    import yaml

    folder = tmp_path / "configs"
    folder.mkdir()
    picture = np.random.default_rng(1).integers(0, 256, (1, 30, 30), dtype=np.uint8)
    (folder / "street.png").write_bytes(encode_png(picture))
    config = toy_campaign(encoding=on_a({"picture": "street.png"}), stop={"generations": 1})
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    evolve(load_campaign(path), tmp_path / "run")
    assert not [check for check in verify(tmp_path / "run") if check.ok is False]
    (folder / "street.png").write_bytes(encode_png(255 - picture))
    with pytest.raises(
        EvofoolError, match="does not have the sha256 that is given; restore the original"
    ):
        resume(tmp_path / "run", overrides=["stop.generations=2"])
    with pytest.raises(ConfigError, match=r"encoding\.mask\.picture: no such file"):
        load_campaign(path, ["encoding.mask={picture: gone.png}"])


def test_a_background_that_is_the_class_already_is_refused(
    toy_campaign: Campaign, tmp_path: Path
) -> None:
    config = toy_campaign(encoding=on_a([250, 250, 250]), stop={"generations": 1})
    loaded = load_campaign(config).config
    victim = load_classifier(loaded.classifier.name)
    channels, height, width = victim.input_shape
    with Scorer(victim) as scorer:
        plain = np.full((1, channels, height, width), 250, np.uint8)
        taken = int(scorer.labels(plain)[0])
    wanted = r"evolution\.classes: .* already sees class .*leave that class out"
    config["evolution"] = {"initial": 20, "children": 20, "classes": [taken]}
    with pytest.raises(ConfigError, match=wanted):
        evolve(config, tmp_path / "classes")
    config["evolution"] = {"algorithm": "mu_plus_lambda", "target": taken, "initial": 20, "mu": 5}
    with pytest.raises(ConfigError, match=r"evolution\.target: .* already sees class"):
        evolve(config, tmp_path / "target")
    config["evolution"] = {"initial": 20, "children": 20, "classes": "all"}
    evolve(config, tmp_path / "all")
