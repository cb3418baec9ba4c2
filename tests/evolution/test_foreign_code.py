"""Code that a run folder names is hashed before it is run; what does not agree is never run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import load_classifier
from evofool.classifiers.identity.files import sha256_file
from evofool.errors import ConfigError, EvofoolError, FolderError, StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.replaying import early_and_late
from evofool.evolution.verify import verify
from evofool.gallery import Moved, Options, build
from evofool.gallery.drawing.printing import animate, enlarge
from evofool.gallery.live.server import LiveRun
from evofool.store import CampaignFolder

Make = Callable[..., dict[str, Any]]
TOYS = Path(__file__).parents[1] / "toys" / "exact.py"


class Place:
    """A run whose victim, encoding and a helper of the victim are files of their own."""

    def __init__(self, folder: Path, campaign: Make) -> None:
        self.victim, self.encoding = folder / "victim.py", folder / "encoding.py"
        self.helper, self.spoor = folder / "toy_helper_of_victim.py", folder / "spoor"
        text = TOYS.read_text()
        self.helper.write_text("SCALE = 1\n")
        self.victim.write_text(
            f"{text}\n\ndef other():\n    return victim()\n\n\ndef _lazily():\n"
            f"    import {self.helper.stem}\n"
        )
        self.encoding.write_text(f"{text}\n\nclass Other(Bytes):\n    pass\n")
        self.run = folder / "run"
        sections = campaign(
            classifier={"name": f"{self.victim}:victim"},
            encoding={"name": f"{self.encoding}:Bytes"},
            stop={"generations": 3},
        )
        evolve(sections, self.run)

    def poison(self, path: Path) -> None:
        """Whoever runs it leaves a spoor."""
        before = path.read_text() if path.exists() else TOYS.read_text()
        path.write_text(f"{before}\nopen({str(self.spoor)!r}, 'w').close()\n")

    def files(self) -> dict[str, bytes]:
        return {name: (self.run / name).read_bytes() for name in ("config.yaml", "manifest.json")}


@pytest.fixture
def place(toy_campaign: Make, tmp_path: Path) -> Place:
    return Place(tmp_path, toy_campaign)


def _verified(run: Path, **options: Any) -> None:
    for check in verify(run, **options):
        if check.ok is False:
            raise FolderError(check.detail)


ENCODING_USERS: dict[str, Callable[[Path], object]] = {
    "resume": resume,
    "verify": _verified,
    "gallery": build,
    "watch": lambda run: LiveRun(run).look(),
    "print": lambda run: enlarge(run, 1, 6),
    "film": lambda run: animate(run, 1, "webp"),
    "replay": lambda run: early_and_late(run, 2, 2),
}
VICTIM_USERS: dict[str, Callable[[Path], object]] = {"resume": resume, "verify": _verified}


@pytest.mark.parametrize("user", ENCODING_USERS)
@pytest.mark.parametrize("older", [False, True])
def test_a_changed_encoding_is_not_run(place: Place, user: str, older: bool) -> None:
    if older:
        _older(place.run)
    place.poison(place.encoding)
    before = place.files()
    with pytest.raises(StoreError, match=r"encoding\.py has changed .* so it is not run.*--encodi"):
        ENCODING_USERS[user](place.run)
    assert not place.spoor.exists()
    assert place.files() == before


@pytest.mark.parametrize("user", VICTIM_USERS)
@pytest.mark.parametrize("older", [False, True])
def test_a_changed_victim_is_not_run(place: Place, user: str, older: bool) -> None:
    if older:
        _older(place.run)
    place.poison(place.victim)
    with pytest.raises(StoreError, match=r"victim\.py has changed .* so it is not run.*--classif"):
        VICTIM_USERS[user](place.run)
    assert not place.spoor.exists()


@pytest.mark.parametrize("user", VICTIM_USERS)
def test_a_changed_helper_of_the_victim_is_not_run(place: Place, user: str) -> None:
    place.poison(place.helper)
    with pytest.raises(StoreError, match=r"toy_helper_of_victim\.py has changed"):
        VICTIM_USERS[user](place.run)
    assert not place.spoor.exists()


def test_a_gallery_asks_no_changed_victim(place: Place) -> None:
    place.poison(place.victim)
    page = build(place.run, options=Options(scores="always")).page.read_text()
    assert "so it is not run" in page
    assert not place.spoor.exists()


@pytest.mark.parametrize(
    ("section", "attribute"), [("classifier", "victim"), ("encoding", "Bytes")]
)
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_a_file_that_the_manifest_does_not_name_is_not_run(
    place: Place, section: str, attribute: str, older: bool, same: bool
) -> None:
    """Whatever it holds: the folder may come from anyone, and so may a file beside it."""
    if older:
        _older(place.run)
    own = place.victim if section == "classifier" else place.encoding
    other = own.with_name("elsewhere.py")
    shutil.copy(own, other)
    if not same:
        place.poison(other)
    config = place.run / "config.yaml"
    config.write_text(config.read_text().replace(f"{own}:{attribute}", f"{other}:{attribute}"))
    users = ENCODING_USERS if section == "encoding" else VICTIM_USERS
    for name, user in users.items():
        with pytest.raises(StoreError, match="so it is not run"):
            user(place.run)
        assert not place.spoor.exists(), name


@pytest.mark.parametrize("section", ["classifier", "encoding"])
def test_a_moved_file_is_given_on_the_command_line(place: Place, section: str) -> None:
    own, attribute = {
        "classifier": (place.victim, "victim"),
        "encoding": (place.encoding, "Bytes"),
    }[section]
    elsewhere = own.parent / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "moved.py"
    shutil.move(own, moved)
    shutil.copy(place.helper, elsewhere)

    with pytest.raises(ConfigError, match=f"no such file.*say where it is now with --{section}"):
        resume(place.run)
    with pytest.raises(ConfigError, match=f"no such file.*say where it is now with --{section}"):
        list(verify(place.run))
    _verified(place.run, **{section: str(moved)})
    with pytest.raises(FolderError, match=rf"{section}\.name is .*, but the run was started with"):
        resume(place.run, **{section: f"{moved}:{'other' if section == 'classifier' else 'Other'}"})  # type: ignore[arg-type]
    other = elsewhere / "other.py"
    shutil.copy(moved, other)
    place.poison(other)
    with pytest.raises(FolderError, match=r"other\.py is not the file .* so it is not run"):
        resume(place.run, **{section: f"{other}:{attribute}"})  # type: ignore[arg-type]
    assert not place.spoor.exists()

    resume(place.run, **{section: f"{moved}:{attribute}"})  # type: ignore[arg-type]
    resume(place.run)  # which now knows where it is
    _verified(place.run)
    with CampaignFolder.open(place.run) as run:
        assert run.manifest[section]["path"] == str(moved)
        assert list(run.manifest["changes"][0]["set"]) == [f"{section}.name"]


def test_a_gallery_is_made_again_without_the_encodings_file(place: Place) -> None:
    build(place.run)
    place.encoding.unlink()
    gallery = build(place.run)
    with CampaignFolder.open(place.run) as run:
        assert gallery.pictures == len(run.elites()) == 7
    assert "--encoding says where the file is now" in gallery.page.read_text()
    elsewhere = build(place.run, place.run.parent / "page")
    for path in (place.run / "images").glob("*.png"):
        assert (elsewhere.page.parent / "pictures" / path.name).read_bytes() == path.read_bytes()
    for draw in (lambda: enlarge(place.run, 1, 12), lambda: animate(place.run, 1, "webp")):
        with pytest.raises(EvofoolError, match="--encoding"):
            draw()


def test_saved_pictures_that_are_not_the_elites_are_not_shown(place: Place) -> None:
    picture = place.run / "images" / "0003.png"
    picture.write_bytes((place.run / "images" / "0002.png").read_bytes())
    kept = place.encoding.with_name("kept.py")
    place.encoding.rename(kept)
    with pytest.raises(StoreError, match=r"0003\.png.*--encoding"):
        build(place.run)
    build(place.run, options=Options(moved=Moved(encoding=str(kept))))  # draws it anew
    assert picture.read_bytes() != (place.run / "images" / "0002.png").read_bytes()


def test_a_defended_victim_names_code_as_well(toy_campaign: Make, tmp_path: Path) -> None:
    spoor, net = tmp_path / "spoor", tmp_path / "net.py"
    net.write_text((TOYS.parent / "linear.py").read_text())
    (tmp_path / "victim.yaml").write_text(
        'kind: victim\nbase: "net.py:victim"\ndefense: {name: bit-depth, bits: 3}\n'
    )
    sections = toy_campaign(
        classifier={"name": str(tmp_path / "victim.yaml")},
        stop={"generations": 1},
        scoring={"engine": "torch", "batch": 8},
    )
    evolve(sections, tmp_path / "run")
    _verified(tmp_path / "run")
    net.write_text(net.read_text() + f"\nopen({str(spoor)!r}, 'w').close()\n")
    for user in VICTIM_USERS.values():
        with pytest.raises(StoreError, match=r"net\.py has changed"):
            user(tmp_path / "run")
    assert not spoor.exists()


def _older(run: Path) -> None:
    """As a folder was before manifests said what was run."""
    manifest = json.loads((run / "manifest.json").read_text())
    for part in ("config", "code", "content_sha256"):
        manifest.pop(part, None)
    victim = manifest["classifier"]
    loaded = load_classifier(victim["name"])
    victim["digest"] = loaded.old_digest or loaded.digest
    victim["sha256"] = sha256_file(Path(victim["path"]))
    del victim["digest_version"], victim["title"]
    (run / "manifest.json").write_text(json.dumps(manifest))
