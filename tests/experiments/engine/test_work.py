"""Addresses say what determines a result, and nothing else; rows come back as they went."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_works import Count, Note, Sum

from evofool.attacks import FGSM, PGD
from evofool.errors import StoreError
from evofool.experiments.engine import Row, Scoring, Work, work
from evofool.experiments.works.answers import AnswerRow, Attacked, Clean
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures


def net(digest: str = "ab", name: str = "a") -> GivenNet:
    return GivenNet(digest, None, {"name": name})  # type: ignore[arg-type]


def pictures(value: int = 1, label: int = 0) -> Pictures:
    return Pictures.of(np.full((2, 1, 3, 3), value, np.uint8), np.full(2, label, np.int64))


def test_the_address_is_the_sha256_of_what_is_written_out() -> None:
    text = '{"fields":{"upto":3},"kind":"count","version":1}'
    assert Count(3).definition == text
    assert Count(3).address == hashlib.sha256(text.encode()).hexdigest()


def test_a_work_stands_in_the_address_of_another_by_its_own() -> None:
    inner, outer = Count(3), Sum((Count(3), Count(4)))
    assert json.loads(outer.definition)["fields"]["of"][0] == {"work": inner.address}
    assert outer.needs == (Count(3), Count(4))
    assert outer.address != Sum((Count(3), Count(5))).address != Sum((Count(4), Count(3))).address


@pytest.mark.parametrize(
    "other",
    [
        Clean(net("cd"), pictures(), Scoring(8, "cpu")),
        Clean(net(), pictures(2), Scoring(8, "cpu")),
        Clean(net(), pictures(1, 1), Scoring(8, "cpu")),
        Clean(net(), pictures(), Scoring(9, "cpu")),
        Clean(net(), pictures(), Scoring(8, "cuda")),
        Attacked(net(), pictures(), FGSM(eps=0.1), Scoring(8, "cpu")),
    ],
)
def test_what_determines_a_result_makes_another_address(other: Work) -> None:
    assert other.address != Clean(net(), pictures(), Scoring(8, "cpu")).address


def test_names_devices_and_workers_make_no_other_address() -> None:
    one = Clean(net(), pictures(), Scoring(8, "cuda", on="cuda:0", workers=1))
    other = Clean(net(name="b"), pictures(), Scoring(8, "cuda", on="cuda:1", workers=7))
    assert one.address == other.address
    assert one == other
    assert Note("a", "some text").address == Note("a", "another").address


def test_every_parameter_of_an_attack_counts() -> None:
    def address(attack: Any) -> str:
        return Attacked(net(), pictures(), attack, Scoring(8, "cpu")).address

    attacks = [
        FGSM(eps=0.1), FGSM(eps=0.2), FGSM(eps=0.1, seed=1), PGD(eps=0.1, step_size=0.01),
        PGD(eps=0.1, step_size=0.01, steps=3),
    ]  # fmt: skip
    assert len({address(attack) for attack in attacks}) == len(attacks)


def test_large_integers_are_exact() -> None:
    # as JSON numbers these two would be the same
    assert Count(2**53 + 1).address != Count(2**53 + 2).address
    assert '"upto":"9007199254740993"' in Count(2**53 + 1).definition


def test_a_version_is_part_of_the_address() -> None:
    @work
    class Newer(Count):
        version: ClassVar[int] = 2

    assert Newer(3).address != Count(3).address


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="ndarray cannot be part of the address"):
        _ = Count(np.zeros(2)).address  # type: ignore[arg-type]


@dataclass(frozen=True)
class Odd(Row):
    type: ClassVar[str] = "odd"

    name: str
    share: float | None
    parts: tuple[int, ...] = ()


@given(
    st.integers(0, 2**40),
    st.text(),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.tuples(st.integers(), st.integers()),
    st.none() | st.binary(),
)
def test_rows_come_back_as_they_went(
    item: int, name: str, share: float | None, parts: tuple[int, ...], png: bytes | None
) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    row = Odd(item, name, share, parts, png=png)
    assert Odd.parse(item, row.content(), png, "here") == row


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"item": 3}', '{"item": 3, "label": 1, "predicted": "1"}',
        '{"item": 3, "label": 1, "predicted": 1, "confidence": null, "rejected": 0}',
        '{"item": 3, "label": 1, "predicted": 1, "confidence": NaN}',
        '{"item": 3, "label": 1, "predicted": 1, "confidence": null, "more": 1}',
        '{"item": 4, "label": 1, "predicted": 1, "confidence": null}',
        '{"item": 3, "label": 1.5, "predicted": 1, "confidence": null}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_damaged_rows_are_refused_with_their_place(content: str) -> None:
    with pytest.raises(StoreError, match="here: damaged: answer 3"):
        AnswerRow.parse(3, content, None, "here")
