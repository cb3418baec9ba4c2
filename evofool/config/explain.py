"""What is wrong with a config: another kind's, or one key of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evofool import kinds
from evofool.config.document import Document
from evofool.errors import ConfigError
from evofool.kinds import Kind
from evofool.text import suggestion
from evofool.validation import problem_of


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
    given = document.data.get("kind")
    wanted = own.default if own is not None else None
    if isinstance(wanted, str) and isinstance(given, str) and given not in ("", wanted):
        return document.error("kind", _another(given, wanted))
    found = problem_of(error, document.data, model, first=_is_kind)
    return document.error(found.path, found.message)


def _is_kind(detail: ErrorDetails) -> bool:
    return detail["loc"] == ("kind",)  # another command's config: the rest follows from that


def _another(given: str, wanted: str) -> str:
    """That a config says it is of kind `given`."""
    if given in kinds.names():
        return _wrong_kind(kinds.find(given), kinds.find(wanted))
    return f"must be {wanted}, not {given}{suggestion(given, kinds.names())}"


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
