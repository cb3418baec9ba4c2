"""The ``http:`` part of a config, and budgets in money."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evofool.config import load_campaign, to_yaml
from evofool.errors import ConfigError

URL = "https://example.org/v1"


def config(http: dict[str, Any], **more: Any) -> dict[str, Any]:
    campaign = {"encoding": {"name": "cppn"}, "stop": {"generations": 3}}
    return {"classifier": {"http": {"url": URL, **http}}, **campaign, **more}


def refused(http: dict[str, Any], **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_campaign(config(http, **more))
    return str(caught.value)


def test_a_service_is_called_by_its_address() -> None:
    loaded = load_campaign(config({"url": "https://example.org:8443/a/b/?x=1"}))
    assert loaded.config.classifier.name == "http:example.org:8443/a/b"


def test_a_config_is_written_and_read_again(tmp_path: Path) -> None:
    http = {
        "preset": "custom",
        "pictures": 2,
        "rate": 5,
        "timeout": {"total": 10},
        "auth": {"env": "KEY", "header": "X-Key", "scheme": ""},
        "cache": str(tmp_path / "cache"),
        "request": {"template": {"a": [{"b": "{picture}"}]}},
        "answer": {"each": "$.rows[*]", "scores": "$.s"},
    }
    first = load_campaign(config(http)).config
    (tmp_path / "c.yaml").write_text(to_yaml(first))
    assert load_campaign(tmp_path / "c.yaml").config == first


def test_a_net_of_this_machine_says_nothing_of_services() -> None:
    loaded = load_campaign({**config({}), "classifier": "mnist-lenet"})
    assert "http" not in loaded.config.classifier.model_dump()
    assert "http" not in to_yaml(loaded.config)


def test_an_unknown_key_is_told_those_of_a_service() -> None:
    campaign = {**config({}), "classifier": {"http": {"url": URL}, "zzz": 1}}
    with pytest.raises(ConfigError, match="known here: answers, http, input_shape, labels, link, "):
        load_campaign(campaign)
    with pytest.raises(ConfigError, match=r"did you mean 'classifier\.http\.pictures'"):
        load_campaign({**campaign, "classifier": {"http": {"url": URL}, "pictures": 1}})


def test_paths_start_from_the_config(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "c.yaml").write_text(
        "classifier: {http: {url: 'https://example.org', ca: ca.pem, cache: kept}}\n"
        "encoding: {name: cppn}\nstop: {generations: 3}\n"
    )
    http = load_campaign(tmp_path / "c.yaml").config.classifier.http
    assert http is not None
    assert (http.ca, http.cache) == (str(tmp_path / "ca.pem"), str(tmp_path / "kept"))


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ({"url": "ftp://example.org"}, "must be http://HOST"),
        ({"url": "https://me:secret@example.org"}, "must not hold a name or password"),
        ({"url": "https://example.org/?api_key=1"}, "must not hold a secret"),
        ({"url": "https://example.org/#x"}, "fragment"),
        ({"url": "https://exa mple.org/"}, "must be http://HOST"),
        ({"url": "http://example.org", "auth": {"env": "KEY"}}, "only over https://"),
        ({"auth": {"token": "abc"}}, "unknown key"),
        ({"auth": {"env": "A B"}}, "env"),
        ({"headers": {"X-Api-Key": "abc"}}, "looks like a secret"),
        ({"headers": {"Authorization": "abc"}}, "looks like a secret"),
        ({"headers": {"X": "a\nb"}}, "is not a header"),
        ({"headers": {"Host": "a"}}, "cannot be set"),
        ({"preset": "custom"}, "request and answer"),
        ({"request": {"body": "raw"}}, "request and answer"),
        ({"preset": "kserve"}, "tensors"),
        ({"preset": "huggingface", "pictures": 2}, "one picture"),
        ({"preset": "custom", "request": {}, "answer": {"scores": "$"}}, "once, not 0 times"),
        ({"preset": "custom", "request": {"body": "raw"}, "answer": {}}, "needs scores"),
        ({"preset": "custom", "request": {"body": "raw"}, "answer": {"scores": "$["}}, "JSONPath"),
        (
            {"preset": "custom", "pictures": 2, "request": {"body": "raw"},
             "answer": {"scores": "$"}},
            "holds one picture",
        ),
        (
            {"preset": "custom", "pictures": 2, "request": {"template": {"a": "{picture}"}},
             "answer": {"scores": "$"}},
            "for several the template needs",
        ),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": {"total": 0}}, "total"),
        ({"verify": False}, "unknown key"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(http: dict[str, Any], message: str) -> None:
    text = refused(http)
    assert message in text
    assert "abc" not in text
    assert "secret@" not in text


@pytest.mark.parametrize(
    ("budget", "pictures"),
    [
        ({"queries": 300}, 300),
        ({"money": 0.3}, 300),
        ({"money": 3}, 3000),
        ({"money": 0.3, "queries": 250}, 250),
        ({"money": 0.2509}, 250),
        (500, 500),
    ],
)
def test_a_budget_in_money_is_one_in_pictures(budget: Any, pictures: int) -> None:
    loaded = load_campaign(config({"cost_per_query": 0.001}, scoring={"budget": budget}))
    assert loaded.config.scoring.budget == pictures


@pytest.mark.parametrize(
    ("http", "budget", "message"),
    [
        ({}, {"money": 3}, "cost_per_query"),
        ({"cost_per_query": 0}, {"money": 3}, "above 0"),
        ({"cost_per_query": 5}, {"money": 3}, "does not pay for one picture"),
        ({"cost_per_query": 5}, {"money": -3}, "not below 0"),
        ({"cost_per_query": 5}, {"money": "3"}, "must be a number"),
        ({"cost_per_query": 5}, {"dollars": 3}, "unknown key"),
        ({"cost_per_query": 5}, {"queries": 0}, "above 0"),
        ({"cost_per_query": 5}, {}, "needs queries, money or both"),
    ],
)
def test_budgets_that_make_no_sense(http: dict[str, Any], budget: Any, message: str) -> None:
    assert message in refused(http, scoring={"budget": budget})


def test_a_service_is_no_ensemble() -> None:
    data = config({})
    data["classifier"]["ensemble"] = ["mnist-lenet"]
    with pytest.raises(ConfigError, match="not both"):
        load_campaign(data)
