"""Values checked by pydantic: where a key stands, and what is wrong there in a user's words."""

from __future__ import annotations

from evofool.validation.keys import KeyPath, dotted, key_path
from evofool.validation.schemas import key_called, models_at
from evofool.validation.words import Problem, describe_type, problem_of, shown

__all__ = [
    "KeyPath",
    "Problem",
    "describe_type",
    "dotted",
    "key_called",
    "key_path",
    "models_at",
    "problem_of",
    "shown",
]
