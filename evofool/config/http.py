"""The ``http:`` part of a classifier: a victim that is a service, and how it is asked."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evofool.config.base import Model

Preset = Literal["evofool", "kserve", "huggingface", "custom"]
PICTURE, PICTURES = "{picture}", "{pictures}"
"""What a template holds in place of a picture as text, or in place of the list of them."""

_SECRET = re.compile(r"auth|key|token|secret|passw|cookie|signature|credential", re.IGNORECASE)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HTTP = "classifier.http"
CHANGEABLE = tuple(
    f"{HTTP}.{key}"
    for key in (
        "url", "auth", "headers", "ca", "concurrency", "rate", "timeout", "retries", "backoff",
        "retry_after", "circuit", "max_answer", "cost_per_query", "cache",
    )
)  # fmt: skip
"""Keys that change no answer: they may be others when a run goes on."""

Seconds = Annotated[float, Field(gt=0, le=86400)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Money = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e9)]
Wait = Annotated[Seconds, BeforeValidator(_number)]


class AuthConfig(Model):
    """Where the secret of a service is: in the environment, and nowhere else.

    Attributes:
        env: name of the environment variable.
        header: that it is sent in.
        scheme: before it in the header, such as ``Bearer``; "" for the secret alone.
    """

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
    header: str = "Authorization"
    scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,40}$")] = "Bearer"

    @field_validator("header")
    @classmethod
    def _is_header(cls, value: str) -> str:
        if not _HEADER.fullmatch(value):
            raise ValueError(f"is not the name of a header: {value[:60]!r}")
        return value


class TimeoutConfig(Model):
    """Seconds until a request is given up.

    Attributes:
        connect: for a connection.
        read: between two parts of an answer.
        total: for all of it, so that a service that drips one byte after another is left too.
    """

    connect: Wait = 10.0
    read: Wait = 60.0
    total: Wait = 120.0


class BackoffConfig(Model):
    """Seconds before a request is sent again: doubled each time, with a random part.

    Attributes:
        first: at most, before the first repetition.
        most: at most, before any.
    """

    first: Wait = 0.5
    most: Wait = 30.0


class RequestConfig(Model):
    """How a service of one's own is asked (`preset: custom`).

    Attributes:
        body: ``json`` by `template`; ``multipart``, one part a picture; ``raw``, the bytes of one
            picture.
        template: of JSON, where a text ``{picture}`` becomes one picture in base64. A list whose
            only entry holds it gets one entry a picture; ``{pictures}`` alone becomes the list.
        text: ``base64``, or ``data_uri`` with ``data:image/png;base64,`` before it.
        field: name of the part of a multipart body.
        fields: further parts, as text.
    """

    body: Literal["json", "multipart", "raw"] = "json"
    template: dict[str, Any] | list[Any] | None = None
    text: Literal["base64", "data_uri"] = "base64"
    field: Text = "file"
    fields: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.body != "json":
            return self
        count = _places(self.template)
        if count != 1:
            raise ValueError(
                f"template: must hold the text {PICTURE} or {PICTURES} once, not {count} times"
            )
        return self


class AnswerConfig(Model):
    """Where the scores are in an answer of a service of one's own, by JSONPath (RFC 9535).

    Attributes:
        each: the nodes that answer one picture each, in the order of the pictures; by default the
            whole answer, of one picture.
        scores: in such a node: the numbers one by one (``$.scores[*]``), a list of them, or an
            object ``{label: score}``.
        labels: in such a node: the labels beside the numbers, one by one or a list; for
            `output: label` the label. Integers are class indices. Without it numbers are in the
            order of the classes.
    """

    each: Text | None = None
    scores: Text | None = None
    labels: Text | None = None

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.scores is None and self.labels is None:
            raise ValueError("needs scores, or labels where output is label")
        return self

    @field_validator("each", "scores", "labels")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None:
            import jsonpath_rfc9535 as jsonpath

            try:
                jsonpath.compile(value)
            except jsonpath.JSONPathError as error:
                raise ValueError(f"{value[:60]!r} is not a JSONPath ({error})") from error
        return value


class TensorConfig(Model):
    """The tensors of a model behind KServe's protocol v2.

    Attributes:
        model: its name.
        version: of it; by default what the server thinks best.
        input: name of the input; by default the first that the server's metadata tells.
        output: name of the output, likewise.
        datatype: ``UINT8`` levels, or ``FP32`` on [0, 1] (normalised by ``mean`` and ``std``).
        layout: ``nchw`` or ``nhwc``.
    """

    model: Annotated[str, Field(pattern=r"^[\w.-]{1,200}$")]
    version: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] | None = None
    input: Text | None = None
    output: Text | None = None
    datatype: Literal["UINT8", "FP32"] = "FP32"
    layout: Literal["nchw", "nhwc"] = "nchw"


class HttpConfig(Model):
    """A victim that is a service.

    Attributes:
        url: of the service; for ``evofool`` and ``kserve`` where it begins, else where it is asked.
        preset: how it is asked and answers.
        declared: name and version, where the service itself offers no digest of what it is. Who
            declares the same twice says that it is the same.
        picture: how pictures are sent: ``png``, or ``jpeg`` of `quality`.
        quality: of JPEG.
        pictures: most pictures a request.
        concurrency: most requests at the same time.
        rate: most requests a second.
        timeout: see `TimeoutConfig`.
        retries: how often a request that failed is sent again.
        backoff: see `BackoffConfig`.
        retry_after: longest wait, in seconds, that the service may ask for.
        circuit: so many failures in a row end the run, which is saved.
        max_answer: most bytes of an answer.
        auth: see `AuthConfig`.
        headers: sent with each request; none of them secret.
        ca: file of a certificate authority of one's own, PEM.
        cost_per_query: money for one picture; `scoring.budget: {money: ...}` is counted in it.
        cache: folder where answers are kept for several runs; by default the run folder.
        request: of ``custom``.
        answer: of ``custom``.
        tensors: of ``kserve``.
    """

    url: Annotated[str, Field(min_length=8, max_length=2000)]
    preset: Preset = "evofool"
    declared: Text | None = None
    picture: Literal["png", "jpeg"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    pictures: Annotated[int, Field(ge=1, le=4096)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    rate: Annotated[float, BeforeValidator(_number), Field(gt=0, le=1e6)] | None = None
    timeout: TimeoutConfig = TimeoutConfig()
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    backoff: BackoffConfig = BackoffConfig()
    retry_after: Wait = 300.0
    circuit: Annotated[int, Field(ge=1, le=10_000)] = 10
    max_answer: Annotated[int, Field(ge=1024, le=2**30)] = 16 * 2**20
    auth: AuthConfig | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    ca: Text | None = None
    cost_per_query: Money | None = None
    cache: Text | None = None
    request: RequestConfig | None = None
    answer: AnswerConfig | None = None
    tensors: TensorConfig | None = None

    @property
    def name(self) -> str:
        """What a victim is called that is given no name: by its address."""
        parts = urlsplit(self.url)
        return f"http:{parts.netloc}{parts.path.rstrip('/')}"

    @property
    def most_pictures(self) -> int:
        """Pictures of a request, at most."""
        if self.pictures is not None:
            return self.pictures
        return 16 if self.preset in ("evofool", "kserve") else 1

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = None
        if not good or not value.isascii() or any(c.isspace() or c < " " for c in value):
            raise ValueError("must be http://HOST[:PORT][/PATH] or https://...")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a name or password; use auth: {env: NAME}")
        if parts.fragment:
            raise ValueError("must not hold a fragment (#)")
        if _SECRET.search(parts.query):
            raise ValueError("must not hold a secret in its query; use auth: {env: NAME}")
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _HEADER.fullmatch(name) or not (text.isascii() and text.isprintable()):
                raise ValueError(f"{name[:60]!r} is not a header of printable ASCII")
            if _SECRET.search(name):
                raise ValueError(f"{name} looks like a secret; use auth: {{env: NAME}}")
            if name.lower() in ("host", "content-length", "content-type", "transfer-encoding"):
                raise ValueError(f"{name} cannot be set")
        return value

    @model_validator(mode="after")
    def _fits_its_preset(self) -> Self:
        custom = self.preset == "custom"
        if custom != (self.request is not None) or custom != (self.answer is not None):
            raise ValueError("request and answer: belong to preset: custom, which needs them")
        if (self.preset == "kserve") != (self.tensors is not None):
            raise ValueError("tensors: belongs to preset: kserve, which needs {model: NAME}")
        if self.preset == "huggingface" and self.most_pictures > 1:
            raise ValueError("pictures: huggingface takes one picture per request")
        if custom and self.request is not None and self.most_pictures > 1:
            self._check_many(self.request)
        if self.auth is not None and not self._is_safe:
            raise ValueError(
                "url: a secret is sent only over https://, or to this machine; use https://"
            )
        return self

    def _check_many(self, request: RequestConfig) -> None:
        if request.body == "raw":
            raise ValueError("pictures: a raw body holds one picture")
        if request.body == "json" and not _has_list(request.template):
            raise ValueError(
                f"pictures: for several the template needs {PICTURES}, or a list whose only entry"
                f" holds {PICTURE}"
            )
        if self.answer is not None and self.answer.each is None:
            raise ValueError(
                "pictures: for several, answer.each must say where the answer to each picture is"
            )

    @property
    def _is_safe(self) -> bool:
        parts = urlsplit(self.url)
        return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")


def _places(value: Any) -> int:
    """How often a template holds the place of pictures."""
    if isinstance(value, dict):
        return sum(_places(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_places(inner) for inner in value)
    return value.count(PICTURE) + value.count(PICTURES) if isinstance(value, str) else 0


def _has_list(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_list(inner) for inner in value.values())
    if isinstance(value, list):
        return (len(value) == 1 and _places(value) == 1) or any(map(_has_list, value))
    return isinstance(value, str) and value == PICTURES
