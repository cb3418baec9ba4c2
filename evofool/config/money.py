"""``scoring.budget: {queries: 1000, money: 5}``: a budget in money is one in pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from evofool.config.document import Document
from evofool.validation import KeyPath

_BUDGET: KeyPath = ("scoring", "budget")
_COST: KeyPath = ("classifier", "http", "cost_per_query")


def with_money(document: Document) -> Document:
    """`document` with a budget of ``queries`` and ``money`` as the number of pictures that keeps
    both: the lesser of the queries and what the money pays for at `cost_per_query`.

    Raises:
        ConfigError: another key, no number, or money without a cost.
    """
    budget = _get(document.data, _BUDGET)
    if not isinstance(budget, Mapping):
        return document
    for key in budget:
        if key not in ("queries", "money"):
            raise document.error((*_BUDGET, key), "unknown key; a budget has queries and money")
    limits = []
    queries, money = budget.get("queries"), budget.get("money")
    if queries is not None:
        if isinstance(queries, bool) or not isinstance(queries, int) or queries < 1:
            raise document.error((*_BUDGET, "queries"), "must be a number of pictures above 0")
        limits.append(queries)
    if money is not None:
        limits.append(_paid(document, money))
    if not limits:
        raise document.error(_BUDGET, "needs queries, money or both")
    return document.replaced(_BUDGET, min(limits), document.place(_BUDGET))


def _paid(document: Document, money: object) -> int:
    """The pictures that `money` pays for."""
    at = (*_BUDGET, "money")
    cost = _get(document.data, _COST)
    if cost is None:
        raise document.error(at, "needs the cost of a picture: classifier.http.cost_per_query")
    whole, one = _decimal(money), _decimal(cost)
    if whole is None or whole < 0:
        raise document.error(at, "must be a number that is not below 0")
    if one is None or one <= 0:
        raise document.error(_COST, "must be a number above 0, where a budget is in money")
    if whole < one:
        raise document.error(at, f"{money} does not pay for one picture at {cost}")
    return min(math.floor(whole / one), 10**12)


def _decimal(value: object) -> Decimal | None:
    """A number as it is written: 0.3 pays for 3 pictures at 0.1, which floats deny."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = Decimal(repr(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _get(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data
