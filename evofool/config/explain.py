"""pydantic's errors in a user's words, each with its place."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evofool import kinds
from evofool.config.base import Model
from evofool.config.document import Document, KeyPath, describe_type
from evofool.errors import ConfigError
from evofool.kinds import Kind
from evofool.text import suggested, suggestion

_DEEPEST = 3
"""Parts of a key above its last one, at most."""
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> ConfigError:
    """The one error to show of all that pydantic found; the others are counted."""
    own = model.model_fields.get("kind")
    looks = looks_like(document.data)
    if (
        own is not None
        and "kind" not in document.data
        and looks is not None
        and looks.name != own.default
    ):
        # a key that this model has as well tells nothing, unless all keys are the other's
        theirs = set(looks.part("model").model_fields)
        telling = theirs if set(document.data) <= theirs else looks.keys
        telling = telling - model.model_fields.keys()
        key = next((key for key in document.data if key in telling), None)
        if key is not None:
            return document.error(key, _wrong_kind(looks, kinds.find(own.default)))
    details = error.errors()
    # A misspelt key makes two errors, "missing" and "unknown": only the second says what to mend.
    first = min(details, key=_rank)
    path = written_path(first, document.data)
    message = _message(first, path, model, document.data)
    others = len({written_path(detail, document.data) for detail in details}) - 1
    if others:
        message += f" (and {others} more problem{'s' if others > 1 else ''})"
    return document.error(path, message)


def _rank(detail: ErrorDetails) -> int:
    if detail["loc"] == ("kind",):  # another command's config: the rest follows from that
        return 0
    return 1 if detail["type"] == "extra_forbidden" else 2


def looks_like(data: Mapping[str, Any]) -> Kind | None:
    """The kind of config that `data` is by its keys, None where they do not say.

    Kinds of other packages are asked only where ours do not know.
    """
    fitting = [kind for kind in kinds.BUILT_IN if not kind.keys.isdisjoint(data)]
    if len(fitting) > 1:  # a key of one may be another's too: then all keys decide
        fitting = [kind for kind in fitting if set(data) <= set(kind.part("model").model_fields)]
    if not fitting:
        fitting = [kind for kind in kinds.every() if not kind.keys.isdisjoint(data)]
    return fitting[0] if len(fitting) == 1 else None


def _wrong_kind(kind: Kind, wanted: Kind) -> str:
    if kind.command == wanted.command:
        return (
            f"this is a config of kind {kind.name}, not {wanted.name}; say so with"
            f" `kind: {kind.name}`"
        )
    return f"this is a config for `evofool {kind.command}`, not for `evofool {wanted.command}`"


def written_path(detail: ErrorDetails, data: object) -> KeyPath:
    """The key path a user wrote: pydantic's location without the names of union branches."""
    path: list[str | int] = []
    inner: Any = data
    for index, part in enumerate(detail["loc"]):
        last = index == len(detail["loc"]) - 1
        if _has(inner, part):
            inner = inner[part]
        elif not (last and detail["type"] == "missing"):
            continue
        path.append(part)
    if detail["type"] == "union_tag_invalid":
        path.append(str(detail["ctx"]["discriminator"]).strip("'"))
    return tuple(path)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(data, list | tuple) and part < len(data)
    return isinstance(data, Mapping) and part in data


def models_at(model: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """The models that are allowed at `path` of `model` (several where there is a choice)."""
    models = [model]
    for part in path:
        if isinstance(part, int):  # an item of a list, whose models are those of the list
            continue
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)]
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for part in get_args(annotation) for inner in _models_in(part)]


def _message(
    detail: ErrorDetails, path: KeyPath, model: type[BaseModel], data: Mapping[str, Any]
) -> str:
    kind, value = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "missing":
        return "is missing, and it has no default"
    if kind == "extra_forbidden":
        return _unknown(detail, path, model, data)
    if kind == "value_error":
        return str(context["error"])
    if kind in ("literal_error", "union_tag_invalid"):
        return _choice(context, value, path, model)
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        shown = f"{bound:g}" if isinstance(bound, float) else bound
        return f"must be {words} {shown}, not {_shown(value)}"
    if kind == "finite_number":
        return f"must be a finite number, not {value}"
    if kind in ("too_short", "too_long"):
        wanted = context.get("min_length", context.get("max_length"))
        return f"must have {wanted} items, not {context['actual_length']}"
    if kind in ("string_too_short", "string_pattern_mismatch"):
        return f"is not a usable text: {_shown(value)} ({detail['msg'].lower()})"
    if kind == "string_unicode":
        return f"holds half of a surrogate pair, which is not a character: {_shown(value)}"
    wanted = _WANTED.get(kind.split("_")[0])
    if kind.startswith("model") and any("name" in m.model_fields for m in models_at(model, path)):
        wanted = "a name or a mapping"  # the shorthand
    if wanted and kind.endswith(("_type", "_from_float", "_attributes_type")):
        return f"must be {wanted}, not {_shown(value)}{_hint(kind, value)}"
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, not {_shown(value)}"


def _hint(kind: str, value: object) -> str:
    if kind.startswith("int") and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if kind.startswith("bool") and value in ("yes", "no", "on", "off"):
        return "; YAML 1.2 has only true and false"
    return ""


def _choice(
    context: Mapping[str, Any], value: object, path: KeyPath, model: type[BaseModel]
) -> str:
    tag = str(context.get("tag", ""))
    expected = str(context.get("expected") or context.get("expected_tags"))
    words = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    given = tag or (value if isinstance(value, str) else "")
    if path == ("kind",) and given in kinds.names():
        return _wrong_kind(kinds.find(given), kinds.find(words[0]))
    if path == ("kind",) and given:
        return f"must be {words[0]}, not {given}{suggestion(given, kinds.names())}"
    allowed = words[0] if len(words) == 1 else "one of " + ", ".join(words)
    return f"must be {allowed}, not {given or _shown(value)}{suggestion(given, words)}"


def _unknown(
    detail: ErrorDetails, path: KeyPath, model: type[BaseModel], data: Mapping[str, Any]
) -> str:
    key = str(path[-1])
    around = models_at(model, path[:-1])
    chosen = [m for m in around if any(part in _tags(m) for part in detail["loc"])]
    mine = chosen or around
    owners = [tag for m in around if key in m.model_fields for tag in _tags(m)]
    if chosen and owners:
        tag = _tags(chosen[0])[0]
        return f"belongs to {' and '.join(owners)}, not to {tag}; remove it"
    section: Any = data
    for part in path[:-1]:
        section = section[part]
    fields = sorted({name for m in mine for name in _fitting(m, section)})
    elsewhere = None if key in fields else key_called(model, key, data, near=False)
    if elsewhere is not None:
        return f"unknown key; did you mean {elsewhere!r}?"
    mend = suggestion(key, sorted({name for m in mine for name in m.model_fields}))
    # a key of another kind of victim is no misspelt one
    spelt = key_called(model, key, near=False) is None
    if not mend and spelt and (elsewhere := key_called(model, key, data)) is not None:
        mend = f"; did you mean {elsewhere!r}?"
    return f"unknown key{mend or '; known here: ' + ', '.join(fields)}"


def key_called(
    model: type[BaseModel], name: str, data: object = None, *, near: bool = True
) -> str | None:
    """The key of a config whose last part is `name`, such as ``stop.generations``.

    Args:
        model: of the config.
        name: the last part.
        data: the config, for keys that can stand in it alone; without it, in any.
        near: whether a key that is only spelt like it will do.
    """
    keys: dict[str, str] = {}
    for key in _keys(model, (), data):  # those nearest to the top first
        keys.setdefault(key[-1].casefold(), ".".join(key))
    wanted = name.casefold()
    if wanted in keys:
        return keys[wanted]
    nearest = suggested(wanted, keys) if near else None
    return None if nearest is None else keys[nearest]


def _keys(model: type[BaseModel], above: tuple[str, ...], data: object) -> list[tuple[str, ...]]:
    """Every key path of a config, those nearest to the top first; items of lists are left out."""
    keys: dict[tuple[str, ...], None] = {}
    fitting = _fitting(model, data)
    for name, field in model.model_fields.items():
        if name not in fitting:
            continue
        keys[*above, name] = None
        if len(above) < _DEEPEST and get_origin(field.annotation) is not tuple:
            within = data.get(name) if isinstance(data, Mapping) else None
            for inner in _models_in(field.annotation):
                keys |= dict.fromkeys(_keys(inner, (*above, name), within))
    return sorted(keys, key=len)


def _fitting(model: type[BaseModel], section: object) -> Collection[str]:
    """Keys of `model` that can stand in a `section`; all of them where it is not written."""
    if issubclass(model, Model) and section is not None:
        return model.fitting(section if isinstance(section, Mapping) else {"name": section})
    return model.model_fields.keys()


def _tags(model: type[BaseModel]) -> list[str]:
    return [
        str(value)
        for field in model.model_fields.values()
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
        for value in get_args(field.annotation)
    ]


def _shown(value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        return describe_type(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _short.repr(value)
