"""A service through real sockets: answers, faults, retries, limits, secrets."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stub_services import FAST, LABELS, SHAPE, Asked, Reply, answered, of_contract, scores_of, stub

from evofool.classifiers import Classifier, load_classifier
from evofool.errors import ClassifierError, ServiceError

Images = NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (7, *SHAPE), dtype=np.uint8)


def victim_of(url: str, **options: Any) -> Classifier:
    return load_classifier({"http": {"url": url, **FAST, **options}})


def ask(victim: Classifier, images: Images) -> NDArray[Any]:
    assert victim.predict is not None
    return victim.predict(images)


def expected(images: Images) -> NDArray[np.float64]:
    return np.array([scores_of(image) for image in images])


def test_what_it_says_of_itself_and_of_pictures(images: Images) -> None:
    with stub() as service:
        victim = victim_of(service.url, pictures=3)
        assert (victim.labels, victim.input_shape, victim.output) == (LABELS, SHAPE, "probs")
        assert victim.is_service
        assert victim.probed == 0
        assert np.array_equal(ask(victim, images), expected(images))
    assert sorted(len(q.json()["images"]) for q in service.questions) == [1, 3, 3]


def test_classes_are_told_by_name_answer_by_answer(images: Images) -> None:
    orders = [("dog", "eel", "cat"), ("eel", "cat", "dog")]

    def respond(asked: Asked, number: int) -> Reply:
        if asked.method == "GET":
            return of_contract()(asked, number)
        return Reply(answered(asked.body, orders[number % 2]))

    with stub(respond) as service:
        victim = victim_of(service.url, pictures=1)
        assert np.array_equal(ask(victim, images), expected(images))


@pytest.mark.parametrize(
    "fault",
    [
        Reply({}, 500),
        Reply({}, 503, {"Retry-After": "0"}),
        Reply({}, 429, {"Retry-After": "soon"}),
        Reply(b"{", 200),
        Reply(b"[" * 100_000, 200),
        Reply({"output": "probs", "labels": list(LABELS), "scores": []}),
        Reply({"output": "probs", "labels": list(LABELS), "scores": [[0.1, 0.2]]}),
        Reply(b'{"labels": ["cat", "dog", "eel"], "scores": [[NaN, 0, 0]]}'),
        Reply(b'{"labels": ["cat", "dog", "eel"], "scores": [[1e999, 0, 0]]}'),
        Reply({"labels": ["cat", "dog", "fox"], "scores": [[0.1, 0.2, 0.7]]}),
        Reply({"labels": ["cat", "dog", "dog"], "scores": [[0.1, 0.2, 0.7]]}),
        Reply({"labels": ["cat", "dog"], "scores": [[0.1, 0.2]]}),
        Reply({"labels": list(LABELS), "scores": [[7, 0, 0]]}),
        Reply({"x": "y" * 3000}),
        Reply({}, fault="cut"),
        Reply({}, fault="reset"),
        Reply({}, fault="close"),
        Reply(b"\x1f\x8b" + bytes(50), 200, {"Content-Encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status} {reply.fault} {str(reply.value)[:30]}",
)
def test_after_a_fault_it_is_asked_again(images: Images, fault: Reply) -> None:
    with stub(of_contract(lambda n: fault if n == 0 else None)) as service:
        victim = victim_of(service.url, max_answer=2048)
        assert np.array_equal(ask(victim, images[:1]), expected(images[:1]))
        assert len(service.questions) == 2


@pytest.mark.parametrize("fault", ["hang", "drip", "drip head"])
def test_one_that_does_not_come_to_an_end_is_left(images: Images, fault: str) -> None:
    """Dripping bytes never let a read time out: the total does."""
    with stub(of_contract(lambda n: Reply({}, fault=fault) if n == 0 else None)) as service:
        victim = victim_of(service.url, timeout={"total": 0.3})
        assert np.array_equal(ask(victim, images[:1]), expected(images[:1]))
        assert len(service.questions) == 2


def test_one_that_says_nothing_for_too_long_is_left(images: Images) -> None:
    with stub(of_contract(lambda _: Reply({}, fault="hang"))) as service:
        victim = victim_of(service.url, timeout={"read": 0.2}, retries=0)
        with pytest.raises(ServiceError, match="did not answer in time"):
            ask(victim, images[:1])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_never_be_answered_is_asked_once(images: Images, status: int) -> None:
    with stub(of_contract(lambda _: Reply({"error": "no such thing"}, status))) as service:
        victim = victim_of(service.url)
        with pytest.raises(ServiceError, match=f"answered {status}.*no such thing"):
            ask(victim, images[:1])
        assert len(service.questions) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(images: Images, status: int) -> None:
    with stub() as other:
        there = {"Location": f"{other.url}/v1/predict"}
        with stub(of_contract(lambda _: Reply({}, status, there))) as service:
            victim = victim_of(service.url)
            with pytest.raises(ServiceError, match=f"redirects to {other.url[7:]}"):
                ask(victim, images[:1])
        assert not other.asked


def test_it_gives_up_after_so_many_repetitions(images: Images) -> None:
    with stub(of_contract(lambda _: Reply({}, 500))) as service:
        victim = victim_of(service.url, retries=2)
        with pytest.raises(ServiceError, match=r"asked 3 times.*answered 500"):
            ask(victim, images[:1])
        assert len(service.questions) == 3


def test_the_circuit_opens_and_closes_for_the_next_call(images: Images) -> None:
    well = False
    with stub(of_contract(lambda _: None if well else Reply({}, 500))) as service:
        victim = victim_of(service.url, pictures=1, circuit=4, retries=100, concurrency=1)
        with pytest.raises(ServiceError, match=r"4 requests in a row have failed.*answered 500"):
            ask(victim, images)
        assert len(service.questions) == 4
        well = True
        assert np.array_equal(ask(victim, images), expected(images))


class Account:
    """Notes what it is told."""

    def __init__(self, most: int = 10**9) -> None:
        self.sent = self.lost = self.got = 0
        self.rows: dict[int, Any] = {}
        self.most = most

    def sending(self, count: int) -> None:
        if self.sent + count > self.most:
            raise RuntimeError("enough")
        self.sent += count

    def failed(self, count: int) -> None:
        self.lost += count

    def answered(self, part: slice, rows: NDArray[Any]) -> None:
        self.got += len(rows)
        self.rows |= dict(zip(range(part.start, part.stop), rows, strict=True))


def test_every_request_is_told_before_it_is_sent(images: Images) -> None:
    with stub(of_contract(lambda n: Reply({}, 500) if n % 3 == 1 else None)) as service:
        victim: Any = victim_of(service.url, pictures=2)
        account = Account()
        victim.predict.ask(images, account)
        sent = sum(len(q.json()["images"]) for q in service.questions)
    assert (account.sent, account.got, account.lost) == (sent, 7, sent - 7)
    assert np.array_equal([account.rows[i] for i in range(7)], expected(images))


def test_an_account_that_refuses_ends_the_call(images: Images) -> None:
    with stub() as service:
        victim: Any = victim_of(service.url, pictures=1, concurrency=1)
        account = Account(most=3)
        with pytest.raises(RuntimeError, match="enough"):
            victim.predict.ask(images, account)
        assert len(service.questions) == account.sent == account.got == 3


def test_no_more_requests_at_once_than_allowed(images: Images) -> None:
    import threading

    inside, most = 0, 0
    lock = threading.Lock()

    def respond(asked: Asked, number: int) -> Reply:
        nonlocal inside, most
        if asked.method == "GET":
            return of_contract()(asked, number)
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return Reply(answered(asked.body))

    with stub(respond) as service:
        ask(victim_of(service.url, pictures=1, concurrency=2), images)
    assert most == 2


# secrets


def test_a_secret_is_sent_and_never_told(
    images: Images, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr3t-0123456789"
    monkeypatch.setenv("SERVICE_KEY", secret)

    def respond(asked: Asked, number: int) -> Reply:
        if asked.method == "GET":
            return of_contract()(asked, number)
        # a service that sends back what it was sent
        return Reply({"error": f"bad header {asked.headers['authorization']}"}, 403)

    with caplog.at_level("DEBUG"), stub(respond) as service:
        victim = victim_of(service.url, auth={"env": "SERVICE_KEY"})
        with pytest.raises(ServiceError, match=r"bad header Bearer \*\*\*") as caught:
            ask(victim, images[:1])
    assert service.asked[0].headers["authorization"] == f"Bearer {secret}"
    assert secret not in repr(victim)
    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in str(error)
        assert secret not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert secret not in caplog.text


def test_a_secret_in_a_header_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEY", "abc")
    with stub() as service:
        victim_of(service.url, auth={"env": "SERVICE_KEY", "header": "X-Key", "scheme": ""})
    assert service.asked[0].headers["x-key"] == "abc"


@pytest.mark.parametrize("value", [None, "", " x", "x\n", "ü"])
def test_a_secret_that_cannot_be_sent(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("SERVICE_KEY", raising=False)
    else:
        monkeypatch.setenv("SERVICE_KEY", value)
    with pytest.raises(ClassifierError, match="SERVICE_KEY") as caught:
        victim_of("http://127.0.0.1:9", auth={"env": "SERVICE_KEY"})
    assert not value or value not in str(caught.value)


def test_nothing_is_taken_from_netrc_or_proxies(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with stub() as service:
        victim_of(service.url)
    assert "authorization" not in service.asked[0].headers


# what it is


def test_its_identity_is_what_it_says_it_is_not_where_it_is() -> None:
    with stub() as one, stub() as two:
        assert victim_of(one.url).digest == victim_of(two.url).digest
        assert victim_of(one.url, picture="jpeg").digest != victim_of(one.url).digest
        assert victim_of(one.url, concurrency=9).digest == victim_of(one.url).digest


def test_whoever_tells_nothing_must_be_declared() -> None:
    spec: dict[str, Any] = {
        "input_shape": SHAPE,
        "labels": list(LABELS),
        "http": {"url": "http://127.0.0.1:9/", "preset": "huggingface"},
    }
    with pytest.raises(ClassifierError, match="declared"):
        load_classifier(spec)
    spec["http"]["declared"] = "vit 1"
    first = load_classifier(spec)
    assert (first.output, first.title) == ("topk", "vit 1")
    spec["http"]["declared"] = "vit 2"
    assert load_classifier(spec).digest != first.digest


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not those of evofool serve"),
        ({"contract": 1}, "not those of evofool serve"),
        ([], "not those of evofool serve"),
        ({"contract": 1, "labels": [1], "input_shape": [1], "digest": "x", "output": "probs",
          "link": "identity"}, "two classes"),
    ],
)  # fmt: skip
def test_metadata_of_something_else(metadata: Any, message: str) -> None:
    with stub(lambda *_: Reply(metadata)) as service, pytest.raises(ClassifierError, match=message):
        victim_of(service.url)


def test_nobody_is_there() -> None:
    with stub() as service:
        pass
    with pytest.raises(ClassifierError, match="metadata cannot be fetched"):
        victim_of(service.url, retries=1)


def test_options_that_mean_nothing_to_it() -> None:
    with pytest.raises(ClassifierError, match="mean cannot be set for a service"):
        load_classifier({"http": {"url": "http://127.0.0.1:9"}, "mean": [0.5]})
    with pytest.raises(ClassifierError, match="crops"):
        load_classifier({"http": {"url": "http://127.0.0.1:9"}, "crops": 10})


def test_labels_that_are_not_the_service_s() -> None:
    with stub() as service, pytest.raises(ClassifierError, match="not those that the service"):
        load_classifier({"http": {"url": service.url, **FAST}, "labels": ["a", "b", "c"]})


def test_one_s_own_order_of_the_labels(images: Images) -> None:
    with stub() as service:
        spec = {"http": {"url": service.url, **FAST}, "labels": ["eel", "cat", "dog"]}
        assert np.array_equal(ask(load_classifier(spec), images), expected(images)[:, [2, 0, 1]])


def test_a_probe_that_is_asked_for_is_counted() -> None:
    with stub() as service:
        victim = load_classifier({"http": {"url": service.url, **FAST}, "probe": "small"})
        sent = sum(len(q.json()["images"]) for q in service.questions)
    assert victim.probed == sent > 0


def test_an_ensemble_takes_no_service() -> None:
    with stub() as service, pytest.raises(ClassifierError, match="is a service"):
        load_classifier({"ensemble": [{"http": {"url": service.url, **FAST}}]})


def test_dates_are_understood(images: Images) -> None:
    date = email.utils.formatdate(time.time() - 5, usegmt=True)
    fault = Reply({}, 429, {"Retry-After": date})
    with stub(of_contract(lambda n: fault if n == 0 else None)) as service:
        assert np.array_equal(ask(victim_of(service.url), images), expected(images))
