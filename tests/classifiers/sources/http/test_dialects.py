"""KServe, Hugging Face and services of one's own: what is sent, and what answers mean."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stub_services import FAST, LABELS, SHAPE, Asked, Reply, decoded, scores_of, stub

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.base import Output
from evofool.classifiers.sources.http.answers import Classes, CustomAnswers, parsed
from evofool.classifiers.sources.http.dialects import Custom, Dialect, Evofool, HuggingFace, KServe
from evofool.classifiers.sources.http.failures import Malformed
from evofool.config.http import AnswerConfig, HttpConfig, TensorConfig
from evofool.errors import ServiceError

Images = NDArray[np.uint8]
URL = "http://127.0.0.1:9/x"


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)


def expected(images: Images) -> NDArray[np.float64]:
    return np.array([scores_of(image) for image in images])


def victim_of(url: str, output: Output | None = None, **options: Any) -> Classifier:
    spec = {
        "input_shape": list(SHAPE),
        "labels": list(LABELS),
        "http": {"url": url, "declared": "stub 1", **FAST, **options},
    }
    return load_classifier(spec if output is None else {**spec, "output": output})


def ask(victim: Classifier, images: Images) -> NDArray[Any]:
    assert victim.predict is not None
    return victim.predict(images)


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("nested", [False, True])
def test_kserve(images: Images, datatype: str, layout: str, nested: bool) -> None:
    def respond(asked: Asked, _: int) -> Reply:
        if asked.method == "GET":
            assert asked.path == "/v2/models/net/versions/3"
            return Reply({"inputs": [{"name": "in"}], "outputs": [{"name": "out"}]})
        assert asked.path == "/v2/models/net/versions/3/infer"
        (tensor,) = asked.json()["inputs"]
        assert (tensor["name"], tensor["datatype"]) == ("in", datatype)
        data = np.array(tensor["data"], np.float64).reshape(tensor["shape"])
        if layout == "nhwc":
            data = np.moveaxis(data, -1, 1)
        pixels = np.rint(data if datatype == "UINT8" else data * 255)
        rows = expected(pixels)
        other = {"name": "more", "shape": [1], "datatype": "FP32", "data": [0]}
        values = rows.tolist() if nested else rows.reshape(-1).tolist()
        out = {"name": "out", "shape": list(rows.shape), "datatype": "FP32", "data": values}
        return Reply({"outputs": [other, out]})

    tensors = {"model": "net", "version": "3", "datatype": datatype, "layout": layout}
    with stub(respond) as service:
        victim = victim_of(service.url, preset="kserve", pictures=2, tensors=tensors)
        assert np.allclose(ask(victim, images), expected(images), rtol=1e-12)
    assert len(service.questions) == 3


def test_hugging_face(images: Images) -> None:
    def respond(asked: Asked, _: int) -> Reply:
        row = scores_of(decoded(asked.json()["inputs"]))
        order = np.argsort(row)[::-1]
        count = min(asked.json()["parameters"]["top_k"], 2)
        return Reply([{"label": LABELS[i], "score": row[i]} for i in order[:count]])

    with stub(respond) as service:
        victim = victim_of(f"{service.url}/models/vit", preset="huggingface")
        found = ask(victim, images)
        labels = ask(victim_of(service.url, "label", preset="huggingface"), images)
        with pytest.raises(ServiceError, match="leaves out 1 classes"):
            ask(victim_of(service.url, "probs", preset="huggingface"), images)
    rows = expected(images)
    for row, true in zip(found, rows, strict=True):
        assert np.isnan(row).sum() == 1
        assert np.argmin(true) == int(np.argmax(np.isnan(row)))
        known = ~np.isnan(row)
        assert np.array_equal(row[known], true[known])
    assert np.array_equal(labels, rows.argmax(axis=1))


def test_one_s_own_with_a_template(images: Images) -> None:
    def respond(asked: Asked, _: int) -> Reply:
        asked_for = asked.json()
        assert asked_for["model"] == "m"
        rows = []
        for instance in asked_for["instances"]:
            head, _, text = instance["image"]["b64"].partition(",")
            assert head == "data:image/png;base64"
            row = scores_of(decoded(text))
            rows.append({"probs": dict(zip(LABELS[::-1], row[::-1], strict=True))})
        return Reply({"predictions": rows})

    with stub(respond) as service:
        victim = victim_of(
            service.url,
            preset="custom",
            pictures=2,
            request={
                "template": {"model": "m", "instances": [{"image": {"b64": "{picture}"}}]},
                "text": "data_uri",
            },
            answer={"each": "$.predictions[*]", "scores": "$.probs"},
        )
        assert np.array_equal(ask(victim, images), expected(images))


def test_a_list_of_pictures(images: Images) -> None:
    def respond(asked: Asked, _: int) -> Reply:
        rows = [scores_of(decoded(text)) for text in asked.json()["pictures"]]
        return Reply({"rows": [{"s": row, "l": list(LABELS)} for row in rows]})

    with stub(respond) as service:
        victim = victim_of(
            service.url,
            preset="custom",
            pictures=4,
            request={"template": {"pictures": "{pictures}"}},
            answer={"each": "$.rows", "scores": "$.s[*]", "labels": "$.l"},
        )
        assert np.array_equal(ask(victim, images), expected(images))


@pytest.mark.parametrize("body", ["raw", "multipart"])
def test_files(images: Images, body: str) -> None:
    """One picture a request, as JPEG of the best quality: nearly the pixels."""

    def respond(asked: Asked, _: int) -> Reply:
        data = asked.body
        if body == "multipart":
            assert b'name="size"\r\n\r\nlarge' in data
            assert b'name="photo"; filename="0.jpeg"\r\nContent-Type: image/jpeg' in data
            data = data[data.index(b"\xff\xd8") :]
        else:
            assert asked.headers["content-type"] == "image/jpeg"
        picture = np.asarray(PIL.Image.open(io.BytesIO(data)))
        row = scores_of(picture)
        best = int(np.argmax(row))
        return Reply({"result": {"name": LABELS[best], "index": best}})

    request: dict[str, Any] = {"body": body}
    if body == "multipart":
        request |= {"field": "photo", "fields": {"size": "large"}}
    flat = np.repeat(images[:, :, :1, :1], 36, axis=2).reshape(5, *SHAPE)
    flat[:, 0, 0, 0] = np.minimum(flat[:, 0, 0, 0], 200) + 50
    for path in ("$.result.name", "$.result.index"):
        with stub(respond) as service:
            victim = victim_of(
                service.url,
                "label",
                preset="custom",
                picture="jpeg",
                quality=100,
                request=request,
                answer={"labels": path},
            )
            found = ask(victim, flat)
        assert found.dtype == np.int64
        assert (found == 0).sum() >= 4


# whatever a service answers

CLASSES = {output: Classes(LABELS, output) for output in ("probs", "logits", "topk", "label")}
NAMES = ("output", "labels", "scores", "top", "predictions", "label", "score", "outputs", "name")
KEYS = st.sampled_from([*NAMES, "data", "shape", *LABELS])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*LABELS, "probs", "topk", "label", "out", "", "\ud800"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner), max_leaves=30
)


def dialects(output: Output) -> list[Dialect]:
    classes = CLASSES[output]
    plain = HttpConfig(url=URL)
    tensors = TensorConfig(model="m", input="in", output="out")
    own = HttpConfig.model_validate(
        {
            "url": URL,
            "preset": "custom",
            "request": {"template": ["{picture}"]},
            "answer": {"each": "$..data", "scores": "$.scores", "labels": "$.labels"},
        }
    )
    return [
        Evofool(plain, classes),
        KServe(plain, classes, tensors),
        HuggingFace(plain, classes),
        Custom(own, classes),
    ]


def check(found: NDArray[Any], output: Output, count: int) -> None:
    if output == "label":
        assert found.dtype == np.int64
        assert found.shape == (count,)
        assert ((found >= 0) & (found < 3)).all()
        return
    assert found.shape == (count, 3)
    assert not np.isposinf(found).any()
    assert output == "topk" or not np.isnan(found).any()


@given(JSON, st.sampled_from(["probs", "logits", "topk", "label"]), st.integers(1, 3))
def test_any_json_is_an_answer_or_malformed(value: Any, output: Output, count: int) -> None:
    for dialect in dialects(output):
        try:
            found = dialect.answer(value, count)
        except Malformed:
            pass
        else:
            check(found, output, count)


NUMBERS = st.floats(0, 1) | st.integers(0, 1) | st.just(float("nan")) | st.just(10**400)


@given(
    st.lists(st.sampled_from([*LABELS, "fox", 0, 1, 2, 3]), min_size=1, max_size=4),
    st.lists(NUMBERS, min_size=1, max_size=4),
    st.sampled_from(["probs", "topk"]),
)
def test_answers_that_are_nearly_right(
    labels: list[Any], scores: list[float], output: Output
) -> None:
    value = {"output": output, "labels": labels, "scores": [scores]}
    pairs = [{"label": a, "score": b} for a, b in zip(labels, scores, strict=False)]
    for dialect, answer in (
        (dialects(output)[0], value if output == "probs" else {"output": "topk", "top": [pairs]}),
        (dialects(output)[2], pairs),
    ):
        try:
            found = dialect.answer(answer, 1)
        except Malformed:
            continue
        check(found, output, 1)
        for label, score in zip(labels, scores, strict=False):
            index = label if isinstance(label, int) else LABELS.index(label)
            assert found[0, index] == score


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_malformed(data: bytes) -> None:
    try:
        parsed(data)
    except Malformed:
        pass
    else:
        json.loads(data)


def test_json_that_nests_without_end() -> None:
    with pytest.raises(Malformed):
        parsed(b'{"a":' * 200_000)


def test_a_path_that_leads_into_depths() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    answers = CustomAnswers(AnswerConfig(scores="$..x"), CLASSES["probs"])
    with pytest.raises(Malformed):
        answers(value, 1)


def test_classes_of_one_name() -> None:
    classes = Classes(["crane", "dog", "crane"], "probs")
    assert classes.row([0.1, 0.2, 0.7], ["crane", "dog", "crane"]).tolist() == [0.1, 0.2, 0.7]
    with pytest.raises(Malformed, match="cannot tell them apart"):
        classes.row([0.1, 0.2, 0.7], ["dog", "crane", "crane"])
    with pytest.raises(Malformed, match="cannot tell them apart"):
        Classes(["crane", "dog", "crane"], "label").chosen(["crane"], 1)


def test_zero_as_a_logarithm() -> None:
    assert Classes(LABELS, "log_probs").row([0.0, float("-inf"), -1.0])[1] == -np.inf
    with pytest.raises(Malformed):
        Classes(LABELS, "probs").row([0.0, float("-inf"), 1.0])


def test_base64_of_the_contract(images: Images) -> None:
    question = Evofool(HttpConfig(url=URL), CLASSES["probs"]).question(images)
    texts = json.loads(question.body)["images"]
    assert len(base64.b64decode(texts[0])) > 0
    assert np.array_equal(np.stack([decoded(text) for text in texts]), images)
