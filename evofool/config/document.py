"""YAML as a mapping of plain values that remembers where each of them was written.

Configs come from strangers, so the text is read event by event and nothing is ever constructed:
no tags, no anchors or aliases (which can explode), no duplicate keys (which win silently), one
document, a bounded size and depth. Scalars follow the YAML 1.2 core schema: ``1e-3`` is a number,
``yes`` and ``on`` are words.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from evofool.errors import ConfigError
from evofool.files import PathError, absolute_path, read_file, reason
from evofool.validation import KeyPath, describe_type, dotted, key_path

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 65_536
"""Keys and values of one config: enough for the labels of ImageNet-21k, and read in seconds."""
MAX_INT_BITS = 1024

_TOO_LARGE = "is larger than 1 MiB, which is too large for a config"
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Place:
    """Where a value was written, for messages, and the folder its relative paths start from."""

    label: str
    folder: Path


@dataclass(frozen=True)
class Document:
    """A mapping of plain values and the place of each of its keys.

    Attributes:
        name: what messages call it (a file name as the user wrote it).
        data: dicts with string keys, lists, strings, numbers, booleans and None.
        folder: where relative paths start, unless a key has a place of its own.
        places: by key path, at least for every key that was written.
    """

    name: str
    data: dict[str, Any]
    folder: Path
    places: Mapping[KeyPath, Place] = field(default_factory=dict, repr=False)

    def place(self, key: str | KeyPath) -> Place:
        """The place of `key`, or of the nearest key around it."""
        path = key_path(key)
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return Place(self.name, self.folder)

    def locate(self, key: str | KeyPath) -> str:
        """``configs/x.yaml:12: evolution.children``, the start of every message on `key`."""
        path = key_path(key)
        label = self.place(path).label
        if not path or label.startswith(f"override {dotted(path)}="):
            return label
        return f"{label}: {dotted(path)}"

    def error(self, key: str | KeyPath, message: str) -> ConfigError:
        """The error that `message` is about `key`, to be raised by the caller."""
        return ConfigError(f"{self.locate(key)}: {message}")

    def resolve(self, key: str | KeyPath, path: str) -> Path:
        """`path`, written at `key`, as an absolute path.

        Raises:
            ConfigError: it can be no path: no such user, a NUL, a name that is too long...
        """
        try:
            return absolute_path(path, self.place(key).folder).resolve()
        except (PathError, OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise self.error(key, f"cannot be a path ({reason(error)})") from error

    def replaced(self, key: KeyPath, value: Any, place: Place) -> Document:
        """A copy with `value` at `key`, whose ancestors exist: mappings, or lists where a part of
        the key is a number."""
        data = dict(self.data)
        inner: Any = data
        for part in key[:-1]:
            below = inner[part]
            inner[part] = inner = list(below) if isinstance(below, list | tuple) else dict(below)
        inner[key[-1]] = value
        return replace(self, data=data, places=self._moved(key, place))

    def removed(self, key: KeyPath, place: Place) -> Document:
        """A copy without `key`, which exists; `place` is who removed it."""
        document = self.replaced(key, None, place)
        inner = document.data
        for part in key[:-1]:
            inner = inner[str(part)]
        del inner[str(key[-1])]
        return document

    def placed(self, places: Mapping[KeyPath, Place]) -> Document:
        """A copy in which the keys of `places` stand there: they were moved from another key."""
        return replace(self, places={**self.places, **places})

    def _moved(self, key: KeyPath, place: Place) -> dict[KeyPath, Place]:
        kept = {path: at for path, at in self.places.items() if path[: len(key)] != key}
        return {**kept, key: place}


def load_yaml(source: Path | str, name: str | None = None) -> Document:
    """Reads a config: a `Path` is a file, a `str` is the YAML text itself.

    Args:
        source: the file or the text.
        name: what messages call it; the path as given, or ``<text>``.

    Raises:
        ConfigError: not readable, not UTF-8, too large or too deep, not YAML, several documents,
            not a mapping, a duplicate key, an anchor, an alias or a tag.
    """
    if isinstance(source, Path):
        name = name or str(source)
        text = _read(source, name)
        folder = source.resolve().parent
    else:
        name, folder, text = name or "<text>", Path.cwd(), source
    value, lines = _Reader(text, name).read()
    places = {path: Place(f"{name}:{line}", folder) for path, line in lines.items()}
    if not isinstance(value, dict):
        what = "is empty" if value is None else f"holds {describe_type(value)}"
        raise ConfigError(f"{name}:{lines.get((), 1)}: {what}; a config is a mapping `key: value`")
    return Document(name, value, folder, places)


def load_value(text: str, name: str) -> Any:
    """One YAML value (scalar or flow) under the same rules, as in an override.

    Raises:
        ConfigError: as `load_yaml`, except that the value may be of any kind.
    """
    return _Reader(text, name, numbered=False).read()[0]


def plain_document(source: Mapping[str, Any], name: str) -> Document:
    """A document of values made in Python: tuples become lists, paths strings.

    Raises:
        ConfigError: a value has no YAML form, a key is not a string, or the nesting is too deep.
    """
    folder = Path.cwd()
    empty = Document(name, {}, folder)
    data: dict[str, Any] = _plain(source, (), empty)
    return replace(empty, data=data)


def scalar(text: str) -> Any:
    """What an unquoted scalar means in the YAML 1.2 core schema.

    Raises:
        ValueError: a whole number beyond 1024 bits.
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        if len(text) > 310:
            raise ValueError("a whole number of more than 300 digits")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _SPECIAL.fullmatch(text):
        return float(match[0].replace(".", ""))
    return text


def _read(path: Path, name: str) -> str:
    try:
        data = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder, not a config file") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ConfigError(f"{name}: {_TOO_LARGE}") from None
        raise ConfigError(f"{name}: cannot be read ({reason(error)})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}: is not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None


class _Reader:
    """Builds plain values from PyYAML's events, so that no constructor ever runs."""

    def __init__(self, text: str, name: str, numbered: bool = True) -> None:
        self._text = text
        self._name = name
        self._numbered = numbered
        self._lines: dict[KeyPath, int] = {}
        if len(text) > MAX_BYTES:
            raise ConfigError(f"{name}: {_TOO_LARGE}")

    def read(self) -> tuple[Any, dict[KeyPath, int]]:
        value: Any = None
        documents = 0
        events = self._events()
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(
                        event, (), "holds a second document, but a config is one document"
                    )
            elif isinstance(event, yaml.NodeEvent):
                self._lines[()] = _line(event)
                value = self._node(event, events, ())
        return value, self._lines

    def _events(self) -> Iterator[yaml.Event]:
        """What PyYAML makes of the text, up to `MAX_VALUES`; all that it raises ends here."""
        values = 0
        try:
            for event in yaml.parse(self._text, Loader=yaml.SafeLoader):
                values += isinstance(event, yaml.NodeEvent)
                if values > MAX_VALUES:
                    break
                yield event
            else:
                return
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            problem = ", ".join(part for part in (error.context, error.problem) if part)
            raise ConfigError(f"{self._at(line)}: is not valid YAML ({problem})") from None
        except yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            character = error.character
            code = ord(character) if isinstance(character, str) else character
            raise ConfigError(
                f"{self._at(line)}: holds the character U+{code:04X}, which YAML does not allow"
            ) from None
        except (ValueError, ArithmeticError, RecursionError) as error:
            # such as the escape \UFFFFFFFF, or a version of ten thousand digits
            raise ConfigError(f"{self._name}: is not valid YAML ({reason(error)})") from None
        raise self._error(
            event,
            (),
            f"holds more than {MAX_VALUES:,} keys and values, which is too many for a config",
        )

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._error(event, path[:3], f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, path, f"aliases (*{event.anchor}) are refused; repeat it")
        if getattr(event, "anchor", None):
            raise self._error(event, path, "anchors (&name) are refused; repeat the value")
        if getattr(event, "tag", None):
            raise self._error(event, path, "tags (!name) are refused; write a plain value")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._mapping(events, path)

    def _scalar(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        if not event.implicit[0]:  # quoted, or a block scalar
            return event.value
        try:
            return scalar(event.value)
        except ValueError as error:
            raise self._error(event, path, f"is {error}") from None

    def _sequence(self, events: Iterator[yaml.Event], path: KeyPath) -> list[Any]:
        values: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            inner = (*path, len(values))
            self._lines[inner] = _line(event)
            values.append(self._node(event, events, inner))
        return values

    def _mapping(self, events: Iterator[yaml.Event], path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, path)
            inner = (*path, key)
            if key in values:
                first = f" (first on line {self._lines[inner]})" if self._numbered else ""
                raise self._error(event, inner, f"is given twice{first}; keep one of them")
            self._lines[inner] = _line(event)
            values[key] = self._node(next(events), events, inner)
        return values

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], path: KeyPath) -> str:
        if isinstance(event, yaml.CollectionStartEvent):  # not read: it may go on for ever deeper
            kind = "a list" if isinstance(event, yaml.SequenceStartEvent) else "a mapping"
            raise self._error(event, path, f"a key must be a name, not {kind}; quote it")
        key = self._node(event, events, path)
        if not isinstance(key, str):
            raise self._error(
                event, path, f"a key must be a name, not {describe_type(key)}; quote it"
            )
        return key

    def _at(self, line: int) -> str:
        return f"{self._name}:{line}" if self._numbered else self._name

    def _error(self, event: yaml.Event, path: KeyPath, message: str) -> ConfigError:
        where = f"{dotted(path)}: " if path else ""
        return ConfigError(f"{self._at(_line(event))}: {where}{message}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _plain(value: Any, path: KeyPath, document: Document) -> Any:
    if len(path) > MAX_DEPTH:
        raise document.error(path[:3], f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise document.error(path, f"a key must be a name, not {key!r}")
        return {key: _plain(inner, (*path, key), document) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, (*path, index), document) for index, inner in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        raise document.error(path, "is a whole number of more than 300 digits")
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise document.error(path, f"must be a plain YAML value, not {type(value).__name__}")
