"""``evofool serve`` through real sockets: the contract, micro-batches, and what is refused."""

from __future__ import annotations

import base64
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.classifiers import Classifier, from_predict
from evofool.errors import UsageError
from evofool.images import encode_png
from evofool.scoring import Scorer
from evofool.scoring.serving import Contract, Limits, Server
from evofool.scoring.serving.server import is_loopback

Serve = Callable[..., tuple[Server, httpx.Client, list[str]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(victim, output=..., **options)``: a server, a client of it and its log."""
    ends: list[Callable[[], Any]] = []

    def start(
        victim: Classifier, output: str = "probs", **options: Any
    ) -> tuple[Server, httpx.Client, list[str]]:
        scorer = Scorer(victim, batch=16, workers=1)
        ends.append(scorer.close)
        log: list[str] = []
        server = Server(scorer, Contract(victim, output, 2), log=log.append, **options)
        server.__enter__()
        ends.append(lambda: server.__exit__(None, None, None))
        client = httpx.Client(base_url=server.url, trust_env=False, timeout=60)
        ends.append(client.close)
        return server, client, log

    yield start
    for end in reversed(ends):
        end()


def asked(images: NDArray[np.uint8]) -> dict[str, list[str]]:
    return {"images": [base64.b64encode(encode_png(image)).decode() for image in images]}


def test_what_is_answered_is_what_the_net_gives(
    serve: Serve, black_box: Classifier, images: NDArray[np.uint8]
) -> None:
    _, client, log = serve(black_box)
    answer = client.post("/v1/predict", json=asked(images)).json()
    with Scorer(black_box) as scorer:
        expected = scorer.confidence(images)
    assert answer["labels"] == list(black_box.labels)
    assert np.array_equal(np.array(answer["scores"]), expected)
    assert "POST /v1/predict 200 pictures=11 " in log[-1]


def test_it_says_what_it_is(serve: Serve, black_box: Classifier) -> None:
    _, client, _ = serve(black_box)
    metadata = client.get("/v1/metadata").json()
    assert metadata["labels"] == list(black_box.labels)
    assert metadata["input_shape"] == [1, 6, 6]
    assert metadata["output"] == "probs"
    assert client.get("/health").json() == {"status": "ok", "digest": metadata["digest"]}
    other = Contract(black_box, "topk", 2).metadata()
    assert other["digest"] != metadata["digest"]


@pytest.mark.parametrize("output", ["logits", "topk", "label"])
def test_every_output(
    serve: Serve, black_box: Classifier, images: NDArray[np.uint8], output: str
) -> None:
    _, client, _ = serve(black_box, output)
    answer = client.post("/v1/predict", json=asked(images)).json()
    with Scorer(black_box) as scorer:
        scores = scorer.score(images)
    best = [black_box.labels[i] for i in scores.labels]
    if output == "logits":
        assert scores.outputs is not None
        assert np.array_equal(np.array(answer["scores"]), scores.outputs)
    elif output == "topk":
        assert [row[0]["label"] for row in answer["top"]] == best
        assert {len(row) for row in answer["top"]} == {2}
    else:
        assert answer["predictions"] == best


def test_a_net_that_gives_labels_only(serve: Serve, images: NDArray[np.uint8]) -> None:
    def predict(images: NDArray[np.uint8]) -> NDArray[np.int64]:
        return images.reshape(len(images), -1)[:, 0].astype(np.int64) % 3

    victim = from_predict(predict, input_shape=(1, 6, 6), output="label", labels=list("abc"))
    _, client, _ = serve(victim, "label")
    answer = client.post("/v1/predict", json=asked(images)).json()
    assert answer["predictions"] == ["abc"[i] for i in predict(images)]
    with pytest.raises(UsageError, match="--output label"):
        Contract(victim)


def test_requests_at_the_same_time_share_a_forward_pass(
    serve: Serve, linear: Any, images: NDArray[np.uint8]
) -> None:
    sizes: list[int] = []

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        sizes.append(len(images))
        result: NDArray[np.float64] = linear(images)
        return result

    victim = from_predict(predict, input_shape=(1, 6, 6), output="logits")
    _, client, _ = serve(victim, patience=0.5)
    sizes.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda i: client.post("/v1/predict", json=asked(images[i : i + 1])).json(), range(8)
            )
        )
    with Scorer(victim) as scorer:
        expected = scorer.confidence(images[:8])
    assert np.array_equal(np.array([answer["scores"][0] for answer in answers]), expected)
    assert max(sizes) > 1


def test_pictures_of_another_size_are_resized(serve: Serve, black_box: Classifier) -> None:
    _, client, _ = serve(black_box)
    large = np.random.default_rng(0).integers(0, 256, (1, 3, 20, 30), dtype=np.uint8)
    assert client.post("/v1/predict", json=asked(large)).status_code == 200


def bomb() -> bytes:
    """A small PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"[1]", 400, "BASE64"),
        (b'{"images": []}', 400, "at least one picture"),
        (b'{"images": ["?"]}', 400, "base64"),
        (b'{"images": [3]}', 400, "base64"),
        (json.dumps({"images": ["AAAA"]}).encode(), 422, "picture"),
        (json.dumps({"images": [base64.b64encode(bomb()).decode()]}).encode(), 422, "60000"),
        (json.dumps({"images": ["AAAA"] * 6}).encode(), 413, "at most 5"),
        (b" " * 3_000_000, 413, "larger than 2000000"),
    ],
)
def test_what_is_no_question_is_refused(
    serve: Serve, black_box: Classifier, body: bytes, status: int, message: str
) -> None:
    _, client, _ = serve(black_box, limits=Limits(body=2_000_000, pictures=5))
    answer = client.post("/v1/predict", content=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.get("/health").status_code == 200


def test_other_places_are_not_there(serve: Serve, black_box: Classifier) -> None:
    _, client, _ = serve(black_box)
    assert client.get("/etc/passwd").status_code == 404
    assert client.get("/v1/predict").status_code == 405


def test_a_net_that_fails_fails_its_own_request_alone(
    serve: Serve, linear: Any, images: NDArray[np.uint8]
) -> None:
    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = linear(images)
        result[images.reshape(len(images), -1)[:, 0] == 7] = np.nan
        return result

    images[:, 0, 0, 0] = 1
    victim = from_predict(predict, input_shape=(1, 6, 6), output="logits")
    _, client, _ = serve(victim)
    bad = images[:1].copy()
    bad[0, 0, 0, 0] = 7
    answer = client.post("/v1/predict", json=asked(bad))
    assert (answer.status_code, "non-finite" in answer.text) == (500, True)
    assert client.post("/v1/predict", json=asked(images)).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/pre",
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
        b"",
    ],
    ids=["head", "body", "nothing"],
)
def test_a_client_that_does_not_go_on_is_left(
    serve: Serve, black_box: Classifier, sent: bytes
) -> None:
    server, client, _ = serve(black_box, limits=Limits(seconds=0.3))
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(sent)
        received = b""
        while data := connection.recv(4096):  # ends only when the server closes it
            received += data
    assert received[:12] in (b"", b"HTTP/1.1 408")
    assert client.get("/health").status_code == 200


def test_a_connection_serves_one_request_after_another(
    serve: Serve, black_box: Classifier, images: NDArray[np.uint8]
) -> None:
    """The alarm for slow heads must not ring for a connection that only waits for its answer."""
    _, client, _ = serve(black_box, limits=Limits(seconds=5), patience=0.0)
    for _ in range(20):
        assert client.post("/v1/predict", json=asked(images[:1])).status_code == 200


def test_a_port_that_is_taken(serve: Serve, black_box: Classifier) -> None:
    server, _, _ = serve(black_box)
    with Scorer(black_box) as scorer, pytest.raises(UsageError, match="cannot be listened on"):
        Server(scorer, port=server.port)


def test_which_interfaces_are_of_this_machine() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "example.org")] == [False] * 3
