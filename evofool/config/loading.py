"""From a file, a shipped name or a mapping to a checked config, and back to YAML."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evofool import kinds
from evofool.config.campaign import Campaign
from evofool.config.document import (
    Document,
    Place,
    load_value,
    load_yaml,
    plain_document,
    scalar,
)
from evofool.config.explain import explain, looks_like
from evofool.config.folders import names_folder, with_prefix_of, without_prefix
from evofool.config.money import with_money
from evofool.config.moved import moved_nets
from evofool.config.victims import with_victims
from evofool.errors import ConfigError, OptionError
from evofool.files import PathError, expanded, is_file, is_folder, read_file, reason, short
from evofool.kinds import Kind
from evofool.text import suggested
from evofool.validation import KeyPath, dotted, key_path, models_at

M = TypeVar("M", bound=BaseModel)

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".pt2", ".npz", ".h5")
_NEEDLESS = "sklearn:"
"""Before a file whose suffix says as much."""


@dataclass(frozen=True)
class Loaded(Generic[M]):
    """A checked config with the document it came from, for errors that are found later."""

    config: M
    document: Document

    def locate(self, key: str | KeyPath) -> str:
        """``configs/x.yaml:12: evolution.children``."""
        return self.document.locate(key)

    def error_at(self, key: str | KeyPath, message: str) -> ConfigError:
        """The error that `message` is about `key`, to be raised by the caller."""
        return self.document.error(key, message)

    def option_error_at(
        self, section: KeyPath, error: OptionError, named: Collection[str] | None = None
    ) -> ConfigError:
        """The error of an option that is written in `section`, to be raised by the caller.

        Args:
            section: of what has the options.
            error: with its option, if it is about one.
            named: options that the config itself gives; others have no place. None: all have.
        """
        option = key_path(error.option or "")
        if not option or (named is not None and option[0] not in named):
            return self.error_at(section, str(error))
        return self.error_at((*section, *option), error.message)


@dataclass(frozen=True)
class Shipped:
    """A config that comes with evofool."""

    name: str
    path: Path
    kind: str
    description: str


def load_campaign(
    source: Path | str | Mapping[str, Any] | Campaign,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    check_files: bool = True,
) -> Loaded[Campaign]:
    """A campaign: from a file, a shipped name, a mapping, or one made in Python.

    Paths in a file start from the file's folder, all others from the working directory; in the
    result they are absolute.

    Args:
        source: what to load.
        overrides: ``key.sub=value``, the value in YAML; ``=null`` goes back to the default.
        seed: the seed, over whatever the config and the overrides say.
        check_files: whether files that the campaign names must exist.

    Raises:
        ConfigError: anything is wrong; the message starts with the place.
    """
    loaded = load_model(source, Campaign, overrides, with_victims)
    document = loaded.document
    document = with_seed(document, seed)
    keys: list[PathKey] = [("encoding", "name", _names_file)]
    if "evolution" in document.data:
        keys.append(("evolution", "fitness", _names_file))
    document = absolute(document, check_files, keys)
    if loaded.config.encoding.name == "masked":
        document = absolute_code(document, ("encoding", "inner"), check_files)
        document = absolute_pictures(document, ("encoding",), check_files)
    return Loaded(validate(document, Campaign), document)


def load_model(
    source: Path | str | Mapping[str, Any] | BaseModel,
    model: type[M],
    overrides: Sequence[str] = (),
    rewritten: Callable[[Document], Document] = lambda document: document,
) -> Loaded[M]:
    """A config of any kind, checked by `model`, with the same messages as a campaign.

    Paths are left as they are written: ``loaded.document.resolve(key, path)`` makes them absolute.

    Args:
        source: what to load.
        model: of the kind.
        overrides: ``key.sub=value``.
        rewritten: turns another form of the config into the one that `model` checks.

    Raises:
        ConfigError: anything is wrong; the message starts with the place.
    """
    if isinstance(source, BaseModel):
        document = plain_document(source.model_dump(), "config")
    elif isinstance(source, Mapping):
        document = plain_document(source, "config")
    else:
        kind = model.model_fields.get("kind")
        path = find(source, None if kind is None else (str(kind.default),))
        document = load_yaml(path, _display(path))
    for override in overrides:
        document = _override(document, override, model)
    document = with_money(rewritten(document))
    return Loaded(validate(document, model), document)


def kind_of(source: Path | str, command: str = kinds.RUN) -> Kind:
    """The kind that a config file or a shipped config says that it is, or else that its keys say.

    Args:
        source: the file or the name.
        command: that is given the config. One that is not for configs of the kind gets its own
            main kind, whose loader then tells which command is.

    Raises:
        ConfigError: no such config, no YAML mapping, or no such kind.
        KindError: the package that declares the kind is broken.
    """
    own = None if command == kinds.RUN else kinds.of_command(command)
    path = find(source, None if own is None else [kind.name for kind in own])
    document = load_yaml(path, _display(path))
    name = _kind(document.data)
    if own is not None:
        return next((kind for kind in own if kind.name == name), own[0])
    if name not in kinds.names():
        raise document.error("kind", kinds.unknown(name))
    return kinds.find(name)


def _kind(data: Mapping[str, Any]) -> str:
    if data.get("kind"):
        return str(data["kind"])
    kind = looks_like(data)
    return "evolve" if kind is None else kind.name


def to_yaml(campaign: BaseModel) -> str:
    """The whole config as YAML that loads again to an equal one."""
    data = plain_document(campaign.model_dump(), "config").data
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )


def yaml_lines(config: BaseModel) -> list[str]:
    """The whole config as `to_yaml` writes it, line by line."""
    return to_yaml(config).rstrip("\n").split("\n")


def find(source: Path | str, fitting: Collection[str] | None = None) -> Path:
    """The file of a config: a path that exists, or the name of a shipped one.

    Args:
        source: the path or the name.
        fitting: kinds of the shipped ones that an error lists; None for all.

    Raises:
        ConfigError: neither; the message lists what is near and what is shipped.
    """
    try:
        path = expanded(source)
        if path.is_dir():
            raise ConfigError(f"{source}: is a folder, not a config file")
        if path.exists():
            return path
    except (OSError, PathError) as error:
        raise ConfigError(f"{str(source)[:80]!r}: cannot be read ({reason(error)})") from None
    names = _shipped_files()
    wanted = path.as_posix().removeprefix("./").removeprefix("configs/")
    wanted = wanted.removesuffix(".yaml").removesuffix(".yml")
    if wanted in names:
        return names[wanted]
    beside = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    listed = [config.name for config in shipped() if fitting is None or config.kind in fitting]
    near = dict.fromkeys((suggested(str(path), beside), suggested(wanted, listed)))
    close = [name for name in near if name is not None]
    mend = f"did you mean {' or '.join(close)}? " if close else ""
    raise ConfigError(f"{source}: no such config; {mend}Shipped: {', '.join(listed) or 'none'}")


def shipped() -> list[Shipped]:
    """The configs that come with evofool, in order of name; nested names have slashes."""
    configs = []
    for name, path in _shipped_files().items():
        first = read_file(path).decode().split("\n", 1)[0]
        kind = _kind(load_yaml(path).data)
        configs.append(Shipped(name, path, kind, first.lstrip("# ").rstrip()))
    return configs


def _shipped_files() -> dict[str, Path]:
    """By name, in order; none of them is read: there are a hundred."""
    folder = shipped_folder()
    paths = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}


def shipped_folder() -> Path:
    """``configs/`` of the checkout, or its copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "configs").is_dir():
        return checkout / "configs"
    return package / "configs"


def _display(path: Path) -> str:
    """The path as a person would type it here."""
    if not path.is_absolute():
        return str(path)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def moved_classifier(path: str, config: Path) -> str:
    """The override that points a `config` at a victim's file, or its weights, that has moved.

    A path without the function, ``file.py``, keeps the one that is written.

    Raises:
        ConfigError: `config` cannot be read.
    """
    written = load_yaml(config).data.get("classifier")
    if isinstance(written, Mapping) and isinstance(nets := written.get("ensemble"), list):
        return f"classifier.ensemble={json.dumps(moved_nets(path, nets))}"
    # weights that are named by themselves, with a card beside them, are the victim's name
    apart = isinstance(written, Mapping) and written.get("weights") is not None
    weights = apart and path.endswith((".safetensors", ".pt", ".pth"))
    if weights:
        return f"classifier.weights={_quoted(path)}"
    name = written.get("name") if isinstance(written, Mapping) else written
    if isinstance(name, str):
        path = with_prefix_of(name, path)
    return f"classifier.name={_quoted(_with_attribute(path, written))}"


def moved_encoding(path: str, config: Path) -> str:
    """The override that points a `config` at an encoding's file that has moved.

    A path without the class, ``file.py``, keeps the one that is written.

    Raises:
        ConfigError: `config` cannot be read.
    """
    written = load_yaml(config).data.get("encoding")
    return f"encoding.name={_quoted(_with_attribute(path, written))}"


def ray_overrides(ray: bool | str) -> list[str]:
    """The overrides that spread a campaign over a cluster of Ray.

    Args:
        ray: its address; True for one that is started on this machine, False for none of both.
    """
    if ray is False:
        return []
    return [f"scoring.ray.address={'null' if ray is True else _quoted(ray)}"]


def _with_attribute(path: str, written: Any) -> str:
    """`path` with the function or class that a section names, if it is a bare Python file."""
    name = written.get("name") if isinstance(written, Mapping) else written
    if path.endswith(".py") and isinstance(name, str) and ".py:" in name:
        return f"{path}:{name.rpartition(':')[2]}"
    return path


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def with_seed(document: Document, seed: int | None) -> Document:
    """`document` with the seed of the command line, if one was given."""
    if seed is None:
        return document
    return document.replaced(("seed",), seed, Place("--seed", Path.cwd()))


def validate(document: Document, model: type[M]) -> M:
    """`document` as a checked model.

    Raises:
        ConfigError: what is wrong first, with its place.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise explain(error, document, model) from None


def _override(document: Document, text: str, model: type[BaseModel]) -> Document:
    place = Place(f"override {text if len(text) <= 80 else text[:77] + '...'}", Path.cwd())
    key, equals, written = text.partition("=")
    key = key.strip()
    path = key_path(key)
    if not equals or not path or "" in path or isinstance(path[0], int):
        raise ConfigError(f"{place.label}: write an override as key=value or key.sub=value")
    if not written.strip():
        raise ConfigError(f"{place.label}: has no value; `{key}=null` goes back to the default")
    value = load_value(written, place.label)
    for length in range(1, len(path)):  # ancestors must be mappings, or lists that have the item
        above = path[:length]
        inner, part = _get(document.data, above), path[length]
        if isinstance(part, int):
            if not isinstance(inner, list) or part >= len(inner):
                raise ConfigError(f"{place.label}: {dotted(above)} has no item [{part}]")
        elif inner is None:
            document = document.replaced(above, {}, place)
        elif isinstance(inner, str) and any(
            "name" in m.model_fields for m in models_at(model, above)
        ):
            document = document.replaced(above, {"name": inner}, document.place(above))
        elif not isinstance(inner, dict):
            raise ConfigError(f"{place.label}: {dotted(above)} is not a mapping; set it as a whole")
    if value is not None or isinstance(path[-1], int):
        return document.replaced(path, value, place)
    parent = _get(document.data, path[:-1])
    if path[-1] in parent:
        return document.removed(path, place)
    if any(path[-1] in m.model_fields for m in models_at(model, path[:-1])):
        return document  # it has its default already
    return document.replaced(path, None, place)  # validation names it as unknown


def _get(data: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list) and part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, dict) else None
    return data


PathKey: TypeAlias = tuple[str, str, Callable[[str, Path], bool]]
"""A section, its key, and whether a text there (written in that folder) is the path of a file."""


def absolute(document: Document, check: bool, extra: Sequence[PathKey] = ()) -> Document:
    """`document`, a valid config with a classifier, with its paths absolute.

    Args:
        document: checked by its model already.
        check: whether what it names must exist.
        extra: further keys of this kind of config that may hold paths of files.

    Raises:
        ConfigError: a file is missing.
    """
    document = absolute_classifier(document, ("classifier",), check)
    for section, key, is_path in extra:
        document = _absolute_key(document, (section,), key, is_path, check)
    return document


def absolute_classifier(document: Document, section: KeyPath, check: bool) -> Document:
    """`document` with the paths of the classifier at `section` (perhaps of a list) absolute.

    Raises:
        ConfigError: a file is missing.
    """
    document = absolute_transforms(document, (*section, "transforms"))
    nets = _nets_at(document, section)
    if nets is not None:
        for index in range(len(nets)):
            document = absolute_classifier(document, (*section, "ensemble", index), check)
        return document
    document = _absolute_key(document, section, "name", _names_file, check)
    document = _absolute_folder(document, section, check)
    document = _absolute_key(document, section, "weights", _weights_file, check)
    if isinstance(_at(document, (*section, "http")), dict):
        http = (*section, "http")
        document = _absolute_key(document, http, "ca", lambda *_: True, check)
        document = _absolute_place(document, (*http, "cache"))  # made when it is needed
    document = _absolute_place(document, (*section, "prototypes"))
    document = _absolute_place(document, (*section, "prototypes", "path"))
    document = _absolute_key(document, section, "templates", _no_template, check)
    return _absolute_key(document, section, "labels", lambda *_: True, check)


def absolute_transforms(document: Document, section: KeyPath) -> Document:
    """`document` with the pictures that transforms at `section` may name absolute."""
    for key in ("path", "held_back"):
        document = _absolute_place(document, (*section, "onto", key))
    return document


def _absolute_place(document: Document, where: KeyPath) -> Document:
    """`document` with the text at `where`, a file or folder that may be missing, absolute."""
    value = _at(document, where)
    if not isinstance(value, str):
        return document
    return document.replaced(where, str(document.resolve(where, value)), document.place(where))


def _nets_at(document: Document, section: KeyPath) -> list[Any] | None:
    """The nets of the ensemble at `section`, None where it names one net."""
    inner: Any = document.data
    for part in section:
        inner = inner[part]
    nets = inner.get("ensemble") if isinstance(inner, Mapping) else None
    return list(nets) if isinstance(nets, list | tuple) else None


def _at(document: Document, key: KeyPath) -> Any:
    inner: Any = document.data
    for part in key:
        if isinstance(inner, Mapping):
            inner = inner.get(part)
        elif isinstance(inner, list | tuple) and isinstance(part, int):
            inner = inner[part]
        else:
            return None
    return inner


def absolute_code(document: Document, section: KeyPath, check: bool) -> Document:
    """`document` with every ``path/to/file.py:NAME`` at or below `section` absolute.

    Raises:
        ConfigError: a file is missing.
    """
    inner: Any = document.data
    for part in section:
        if inner is None or (isinstance(inner, Mapping) and part not in inner):
            return document  # not written; no default is a file of the user's
        inner = inner[part]
    if isinstance(inner, str):
        return _absolute_text(document, section, inner, check) if ".py:" in inner else document
    if isinstance(inner, Mapping):
        parts: list[str | int] = list(inner)
    else:
        parts = list(range(len(inner))) if isinstance(inner, list | tuple) else []
    for part in parts:
        document = absolute_code(document, (*section, part), check)
    return document


def absolute_pictures(document: Document, section: KeyPath, check: bool) -> Document:
    """`document` with the files of masks and backgrounds at or below `section` absolute.

    These are the texts at ``mask.picture`` and ``background.picture``.

    Raises:
        ConfigError: a file is missing.
    """
    inner: Any = document.data
    for part in section:
        if inner is None or (isinstance(inner, Mapping) and part not in inner):
            return document
        inner = inner[part]
    if isinstance(inner, list | tuple):
        below: list[str | int] = list(range(len(inner)))
    else:
        below = list(inner) if isinstance(inner, Mapping) else []
    file = inner.get("picture") if isinstance(inner, Mapping) else None
    if isinstance(file, str) and _of_a_mask(section):
        return _absolute_text(document, (*section, "picture"), file, check)
    for part in below:
        document = absolute_pictures(document, (*section, part), check)
    return document


def _of_a_mask(section: KeyPath) -> bool:
    names = [part for part in section if isinstance(part, str)]
    return names[-1] in ("mask", "background")


def _absolute_key(
    document: Document,
    section: KeyPath,
    key: str,
    is_path: Callable[[str, Path], bool],
    check: bool,
) -> Document:
    inner: Any = document.data
    for part in section:
        inner = inner[part]
    where: KeyPath = (*section, key)
    value = inner.get(key) if isinstance(inner, dict) else None
    if isinstance(inner, str) and key == "name":
        value, where = inner, section
    if not isinstance(value, str) or not is_path(value, document.place(where).folder):
        return document
    return _absolute_text(document, where, value, check)


def _absolute_folder(document: Document, section: KeyPath, check: bool) -> Document:
    """`document` with the folder of an ``hf:FOLDER`` at `section` absolute."""
    inner = _at(document, section)
    where: KeyPath = (*section, "name") if isinstance(inner, dict) else section
    value = _at(document, where)
    if not isinstance(value, str) or not names_folder(value, document.place(where).folder):
        return document
    path = document.resolve(where, without_prefix(value))
    if check and not is_folder(path):
        raise document.error(where, f"no such folder: {short(path)}")
    return document.replaced(where, with_prefix_of(value, str(path)), document.place(where))


def _absolute_text(document: Document, where: KeyPath, value: str, check: bool) -> Document:
    """`document` with `value`, the path at `where` and perhaps a name in that file, absolute."""
    value = value.removeprefix(_NEEDLESS)
    file, colon, function = value.rpartition(":") if ".py:" in value else (value, "", "")
    path = document.resolve(where, file)
    if check and not is_file(path):
        what = "no regular file" if os.path.lexists(path) else "no such file"
        raise document.error(where, f"{what}: {short(path)}{_from_here(document, where, file)}")
    return document.replaced(where, f"{path}{colon}{function}", document.place(where))


def _from_here(document: Document, where: KeyPath, file: str) -> str:
    """How to write `file`, if a config names it as seen from the working folder."""
    folder = document.place(where).folder
    if not is_file(Path(file)) or folder.resolve() == Path.cwd():
        return ""
    written = os.path.relpath(file, folder)
    return f"; paths in a config start from its own folder: write {short(written)}"


def _names_file(value: str, folder: Path) -> bool:
    return ".py:" in value or value.endswith(
        (".onnx", ".pt2", ".safetensors", ".skops", ".yaml", ".yml")
    )


def _no_template(value: str, folder: Path) -> bool:
    """A file of templates, and not one template."""
    return "{}" not in value


def _weights_file(value: str, folder: Path) -> bool:
    """A file, and not the member of a weights enum such as ``DEFAULT``."""
    if value.lower().endswith(WEIGHT_SUFFIXES) or "/" in value or "\\" in value:
        return True
    return is_file(folder / value)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # the loader refuses them


def _represent_text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; `1e-3` is a number only in 1.2, which we read.
    # Its other styles write NEL and its like as they are, which are read back as plain breaks.
    plain = value and value.isprintable() and isinstance(scalar(value[:300]), str)
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)
