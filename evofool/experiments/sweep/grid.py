"""A grid as it is written on a command line: ``key=a,b,c seeds=1..5``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.config import kind_of
from evofool.config.document import load_value, load_yaml
from evofool.config.loading import find
from evofool.errors import ConfigError
from evofool.experiments.sweep.config import SweepConfig

OWN = ("seeds", "budget", "most", "name")
"""Keys of a sweep; all others are those of the config that is swept."""
_RANGE = re.compile(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*")
_OPEN, _CLOSE = "[{", "]}"


def sweep_of(source: str, changes: Sequence[str]) -> dict[str, Any]:
    """The config of a sweep, as a mapping.

    Args:
        source: a config of kind evolve, attack or defend, or of kind sweep, which is changed.
        changes: as on the command line.

    Raises:
        ConfigError: one is not understood; the message says how it is written.
    """
    values = parsed(changes)
    kind = kind_of(source)
    if kind.name == SweepConfig.model_fields["kind"].default:
        path = find(source)
        config: dict[str, Any] = dict(load_yaml(path).data)
        base = config.get("base")
        if isinstance(base, str) and (path.parent / base).is_file():
            config["base"] = str((path.parent / base).absolute())
    else:
        config = {"kind": "sweep", "name": f"sweep-{Path(source).stem}"[:100], "base": source}
    own = {key: value for key, value in values.items() if key in OWN}
    grid, fixed = dict(config.get("grid") or {}), dict(config.get("set") or {})
    for key, value in values.items():
        if key in OWN:
            continue
        grid.pop(key, None)
        fixed.pop(key, None)
        if len(value) > 1:
            grid[key] = value
        else:
            fixed[key] = value[0]
    for key, value in own.items():
        if key != "seeds" and len(value) > 1:
            raise ConfigError(f"{key}: takes one value, not {len(value)}")
        config[key] = value if key == "seeds" else value[0]
    return {**config, "set": fixed, "grid": grid}


def parsed(changes: Sequence[str]) -> Mapping[str, list[Any]]:
    """The values of each key, in the order in which the keys are written.

    Values are separated by commas, but for those in brackets, braces or quotes, and each is YAML;
    ``1..5`` is every whole number from 1 to 5.

    Raises:
        ConfigError: a change has no key or no value, a key is given twice, or a range is empty.
    """
    found: dict[str, list[Any]] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"{change[:80]}: write an axis of the sweep as key=a,b,c")
        if key == "seed":
            raise ConfigError("seed: a sweep has seeds: write seeds=1..5, or seeds=1,3")
        if key in found:
            raise ConfigError(
                f"{key}: is given twice; write all of its values at once: {key}=a,b,c"
            )
        if not text.strip():
            raise ConfigError(f"{key}: has no value; write {key}=a,b,c")
        values: list[Any] = []
        for part in split(text):
            if not part.strip():
                raise ConfigError(f"{key}: has an empty value in {text[:80]!r}; write {key}=a,b,c")
            values += _values(key, part)
        for value in values:
            if sum(value == other and type(value) is type(other) for other in values) > 1:
                raise ConfigError(f"{key}: names {value} twice")
        found[key] = values
    return found


def split(text: str) -> list[str]:
    """`text` at its commas, but for those in brackets, braces or quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _values(key: str, text: str) -> list[Any]:
    ends = _RANGE.fullmatch(text)
    if ends is None:
        return [load_value(text, f"{key}={text.strip()[:80]}")]
    first, last = int(ends[1]), int(ends[2])
    if last < first:
        raise ConfigError(
            f"{key}: {first}..{last} is empty; write the smaller one first: {key}={last}..{first}"
        )
    if last - first >= 1_000_000:
        raise ConfigError(f"{key}: {first}..{last} are {last - first + 1:,} values; give fewer")
    return list(range(first, last + 1))
