"""pydantic's errors in a user's words: the key as it was written, what is wrong, what would do.

No word of pydantic's own reaches a message: it speaks of its types and of the branches of unions,
which no user has written.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from evofool.text import counted, suggestion
from evofool.validation.keys import KeyPath, dotted
from evofool.validation.schemas import fields_of, fitting, key_called, models_at, tags_of

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_MOST_KEYS = 12
"""Keys of a mapping that a message lists."""

_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "string": "text",
    "path": "the path of a file",
    "bool": "true or false",
    "bytes": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "iterable": "a list",
    "sequence": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "none": "null",
}
"""By the first word of the type of an error."""
_OF_TYPES = ("_type", "_from_float", "_parsing", "_required")
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_OF_KEY = "[key]"
"""What pydantic adds to the place of a mapping's item that has a wrong key."""
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_TEXTS = {
    r"\.safetensors$": "a file that ends in .safetensors",
    r"^(auto|cpu|cuda(:\d{1,3})?)$": "auto, cpu, cuda or cuda:N",
    r"^[0-9a-f]{64}$": "a sha256: 64 of the characters 0-9 and a-f",
    r"^[A-Za-z_][A-Za-z0-9_]{0,199}$": "the name of an environment variable: letters, digits and _",
    r"^[A-Za-z0-9-]{0,40}$": "at most 40 letters, digits and -",
    r"^[\w.-]{1,200}$": "a name of letters, digits, _, . and -, at most 200 of them",
    r"^[\w.-]{1,100}$": "a name of letters, digits, _, . and -, at most 100 of them",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": (
        "a name of letters, digits, ., _ and -, at most 100 of them, that begins with a letter or"
        " a digit"
    ),
}
"""What the patterns of settings stand for; those of names are read by `_pattern`."""
_YAML = {"True": "true", "False": "false", "None": "null"}
_NAMES = (r"^\w[\w ", "]{0,", "}$")


@dataclass(frozen=True)
class Problem:
    """The one thing to say of all that is wrong with a value.

    Attributes:
        path: of the key, as it was written; empty: the value as a whole.
        message: what is wrong there and what would do, without the key.
    """

    path: KeyPath
    message: str

    @property
    def key(self) -> str:
        """``mask.at[1]``, empty for the value as a whole."""
        return dotted(self.path)

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.path else self.message


def problem_of(
    error: ValidationError,
    data: object,
    schema: Any = None,
    *,
    called: str = "key",
    first: Callable[[ErrorDetails], bool] = lambda _: False,
) -> Problem:
    """The one problem to show of all that pydantic found; the others are counted.

    Args:
        error: what pydantic raised.
        data: the value that was checked, as it was written.
        schema: the model, dataclass or annotation it was checked against; without it a message
            can list no keys.
        called: what an unknown key is called: ``key``, ``option``.
        first: whether an error goes before all others.
    """
    every = [(written_path(each, data), each) for each in error.errors(include_url=False)]
    # half of what a union says is about branches that were never meant
    located = [(path, each) for path, each in every if not _of_another_branch(path, each, every)]
    # A misspelt key makes two errors, "missing" and "unknown": only the second says what to mend.
    path, chosen = min(
        located, key=lambda pair: 0 if first(pair[1]) else 1 if pair[1]["type"] in _UNKNOWN else 2
    )
    alternatives = [each for where, each in located if where == path]
    path, message = _told(path, chosen, alternatives, _Checked(data, schema, called))
    others = len({where for where, _ in located}) - 1
    if others:
        message += f" (and {others} more problem{'s' if others > 1 else ''})"
    return Problem(path, message)


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
    if detail["type"] == "union_tag_invalid" and isinstance(inner, Mapping):
        path.append(str(detail["ctx"]["discriminator"]).strip("'"))
    return tuple(path)


def describe_type(value: object) -> str:
    """The kind of a plain value in a user's words: ``a list``, ``text``..."""
    if value is None:
        return "nothing"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text"),
        (Mapping, "a mapping"),
        (list, "a list"),
        (tuple, "a list"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), type(value).__name__)


def shown(value: object) -> str:
    """A value as a message shows it: shortened, of a list or a mapping its kind alone."""
    if isinstance(value, Mapping | list | tuple):
        return describe_type(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _short.repr(value)


@dataclass(frozen=True)
class _Checked:
    data: object
    schema: Any
    called: str

    def models_at(self, path: KeyPath) -> list[type[Any]]:
        return [] if self.schema is None else models_at(self.schema, path)


def _has(data: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(data, list | tuple) and part < len(data)
    return isinstance(data, Mapping) and part in data


def _of_another_branch(
    path: KeyPath, detail: ErrorDetails, located: Sequence[tuple[KeyPath, ErrorDetails]]
) -> bool:
    """Whether `detail` says that a value has the wrong type, which suits another branch."""
    if not _about_type(detail):
        return False
    return any(
        (where == path and not _about_type(other)) or (where[: len(path)] == path != where)
        for where, other in located
    )


def _about_type(detail: ErrorDetails) -> bool:
    return detail["type"] in ("literal_error", "is_instance_of") or _wanted(detail) is not None


def _wanted(detail: ErrorDetails) -> str | None:
    kind = detail["type"]
    return _WANTED.get(kind.split("_")[0]) if kind.endswith(_OF_TYPES) else None


def _told(
    path: KeyPath, detail: ErrorDetails, alternatives: Sequence[ErrorDetails], checked: _Checked
) -> tuple[KeyPath, str]:
    kind, value = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "missing":
        if isinstance(path[-1], int):  # of a list that is too short
            return path[:-1], f"must have {counted(path[-1] + 1, 'item')}, not {len(value)}"
        return path, "is missing, and it has no default"
    if kind in _UNKNOWN:
        return path, _unknown(detail, path, checked)
    if kind in ("value_error", "assertion_error"):
        return path, str(context["error"])
    if kind == "union_tag_not_found":
        tags = sorted({tag for model in checked.models_at(path) for tag in tags_of(model)})
        name = str(context["discriminator"]).strip("'")
        return (*path, name), f"is missing; give one of {', '.join(tags)}"
    if kind == "union_tag_invalid":
        given = str(context["tag"])[:60]
        words = _words(context["expected_tags"])
        return path, f"must be {_one_of(words)}, not {given}{suggestion(given, words)}"
    if _about_type(detail):
        return path, _type(path, alternatives, checked)
    return path, _value(kind, value, context)


def _type(path: KeyPath, alternatives: Sequence[ErrorDetails], checked: _Checked) -> str:
    """That a value is none of those that may stand at `path`, or its key is none of them."""
    of_key = [each for each in alternatives if each["loc"][-1:] == (_OF_KEY,)]
    if of_key and len(of_key) < len(alternatives):
        alternatives = of_key
    start = "its key " if of_key else ""
    choices: list[str] = []
    wanted: dict[str, None] = {}
    hint = ""
    value = alternatives[0]["input"]
    for each in alternatives:
        kind, value = each["type"], each["input"]
        if kind == "literal_error":
            choices += _words(each["ctx"]["expected"])
        elif kind == "is_instance_of":
            wanted[f"an object of class {each['ctx']['class']}"] = None
        elif kind.startswith(("model", "dataclass")):
            wanted[_mapping(path, value, checked)] = None
        else:
            wanted[_wanted(each) or "another value"] = None
        hint = hint or _hint(kind, value)
    choices = list(dict.fromkeys(choices))
    words = [*([_one_of(choices)] if choices else ()), *wanted]
    near = suggestion(value, choices) if isinstance(value, str) else ""
    bare = choices and isinstance(value, str) and value.isprintable() and 0 < len(value) <= 60
    given = value if bare else shown(value)
    return f"{start}must be {' or '.join(words)}, not {given}{near or hint}"


def _mapping(path: KeyPath, value: object, checked: _Checked) -> str:
    models = checked.models_at(path)
    named = any("name" in fields_of(model) for model in models) and not isinstance(value, str)
    start = "a name or a mapping" if named else "a mapping"  # the shorthand
    keys = list(dict.fromkeys(key for model in models for key in fields_of(model)))
    if len(models) != 1 or len(keys) > _MOST_KEYS:
        return start
    return f"{start} (its keys: {', '.join(keys)})"


def _value(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        limit = f"{bound:g}" if bound != int(bound) else int(bound)
        return f"must be {words} {limit}, not {shown(value)}"
    if kind == "finite_number":
        return f"must be a finite number, not {value}"
    if kind == "int_parsing_size":
        return "is a whole number of too many digits"
    if kind in ("too_short", "too_long"):
        most, length = context.get("max_length"), context["actual_length"]
        bound = f"at least {context.get('min_length')}" if most is None else f"at most {most}"
        return f"must have {bound} item{'' if bound.endswith(' 1') else 's'}, not {length}"
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters, not {len(value)}"
    if kind == "string_pattern_mismatch":
        return f"must be {_pattern(str(context['pattern']))}, not {shown(value)}"
    if kind == "string_unicode":
        return f"holds half of a surrogate pair, which is not a character: {shown(value)}"
    if kind == "json_invalid":
        return f"is not JSON ({context['error']})"
    return f"is not usable: {shown(value)}"


def _pattern(pattern: str) -> str:
    """The texts that a pattern allows, in words."""
    if pattern in _TEXTS:
        return _TEXTS[pattern]
    start, middle, end = _NAMES
    if pattern.startswith(start) and pattern.endswith(end) and middle in pattern:
        marks, _, most = pattern.removeprefix(start).removesuffix(end).partition(middle)
        return (
            f"a name of letters, digits, spaces and {' '.join(('_', *marks))}, at most"
            f" {int(most) + 1} of them, that begins with a letter or a digit"
        )
    return f"text of the form {pattern}"


def _hint(kind: str, value: object) -> str:
    if kind.startswith("int") and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if kind.startswith("bool") and value in ("yes", "no", "on", "off"):
        return "; YAML 1.2 has only true and false"
    return ""


def _words(expected: object) -> list[str]:
    """``'nchw' or 'nhwc'`` as its two words."""
    listed = str(expected).replace(" or ", ", ").split(",")
    return [_YAML.get(word.strip(), word.strip().strip("'")) for word in listed]


def _one_of(words: Collection[str]) -> str:
    return "".join(words) if len(words) == 1 else "one of " + ", ".join(words)


def _unknown(detail: ErrorDetails, path: KeyPath, checked: _Checked) -> str:
    key = str(path[-1])
    around = checked.models_at(path[:-1])
    chosen = [m for m in around if any(part in tags_of(m) for part in detail["loc"])]
    mine = chosen or around
    owners = [tag for m in around if key in fields_of(m) for tag in tags_of(m)]
    if chosen and owners:
        tag = tags_of(chosen[0])[0]
        return f"belongs to {' and '.join(owners)}, not to {tag}; remove it"
    section: Any = checked.data
    for part in path[:-1]:
        section = section[part]
    fields = sorted({name for m in mine for name in fitting(m, section)})
    elsewhere = None if key in fields else _elsewhere(key, checked, near=False)
    if elsewhere is not None:
        return f"unknown {checked.called}; did you mean {elsewhere!r}?"
    mend = suggestion(key, sorted({name for m in mine for name in fields_of(m)}))
    # a key of another kind of victim is no misspelt one
    spelt = checked.schema is None or key_called(checked.schema, key, near=False) is None
    if not mend and spelt and (elsewhere := _elsewhere(key, checked)) is not None:
        mend = f"; did you mean {elsewhere!r}?"
    if not mend and fields:
        mend = f"; known here: {', '.join(fields)}"
    return f"unknown {checked.called}{mend or '; remove it'}"


def _elsewhere(key: str, checked: _Checked, near: bool = True) -> str | None:
    if checked.schema is None:
        return None
    return key_called(checked.schema, key, checked.data, near=near)
