"""Attacks of third parties: whether a class is one that a config can name."""

from __future__ import annotations

import inspect
import types
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from evofool.attacks.base import Aim, Attack, Needs
from evofool.errors import AttackError
from evofool.render.masks import Mask

_PLAIN = (bool, int, float, str, type(None), Any)
_LISTS = (tuple, list)


def checked_attack(kind: type[Any], name: str) -> type[Attack]:
    """`kind`, a class from outside, once it is known to be an attack that a config can name.

    Args:
        kind: the class.
        name: as the config calls it, for the message.

    Raises:
        AttackError: it is no subclass of `Attack`, is abstract, no dataclass, has no name, says
            something else than it may of its needs, or has a parameter that YAML cannot give.
    """

    def fault(message: str) -> AttackError:
        return AttackError(f"{name}: {message}")

    if not issubclass(kind, Attack):
        raise fault(f"{kind.__name__} is not an attack; derive it from evofool.attacks.Attack")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise fault(f"{kind.__name__} does not define {', '.join(missing)}; see docs/attacks.md")
    own = [key for key in vars(kind).get("__annotations__", {}) if not _of_class(kind, key, fault)]
    if own and "__dataclass_fields__" not in vars(kind):
        raise fault(
            f"{kind.__name__} is not a dataclass, so its {own[0]} is not a parameter; put"
            " @dataclass(frozen=True) above it"
        )
    if not isinstance(getattr(kind, "name", None), str):
        raise fault(f'{kind.__name__} has no name; add name: ClassVar[str] = "mine"')
    for key, choices in (("needs", get_args(Needs)), ("aim", get_args(Aim))):
        value = getattr(kind, key)
        if value not in choices:
            raise fault(f"{key} of {kind.__name__} is {value!r}, not one of {', '.join(choices)}")
    for parameter in kind.parameters():
        if not _from_yaml(parameter.type):
            shown = getattr(parameter.type, "__name__", str(parameter.type))
            raise fault(
                f"parameter {parameter.name} is of type {shown}, which no config can give; use"
                " bool, int, float, str, Literal, an attack, or tuples and unions of these (a"
                " parameter of type object can be set only from Python)"
            )
    return kind


def _of_class(kind: type[Attack], key: str, fault: Any) -> bool:
    """Whether an annotated name of a class is no field."""
    try:
        hint = get_type_hints(kind)[key]
    except (NameError, TypeError, AttributeError) as error:
        raise fault(f"the annotations of {kind.__name__} cannot be read ({error})") from error
    return get_origin(hint) is ClassVar or hint is ClassVar


def _from_yaml(hint: Any) -> bool:
    """Whether a config can give a value of the type `hint`."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _PLAIN or origin is Literal:
        return True
    if inspect.isclass(hint) and issubclass(hint, Attack | Mask):
        return True
    if origin is Annotated:
        return _from_yaml(inner[0])
    if origin in (Union, types.UnionType) or origin in _LISTS:
        return all(_from_yaml(each) for each in inner if each is not Ellipsis)
    return hint in _LISTS
