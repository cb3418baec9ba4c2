"""Nets behind ``evofool serve`` in this process, whose answers a test may spoil and count."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import PIL.Image
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evofool.classifiers import Classifier, from_predict
from evofool.scoring import Scorer
from evofool.scoring.serving import Contract, Limits, Server
from evofool.scoring.serving.app import make_app

Judge = Callable[[int], str]
"""What happens to the n-th question: "", ``status``, ``cut``, ``junk`` or ``short``."""


class Faults:
    """In front of the application: counts every question that arrives, and spoils some answers."""

    def __init__(self, app: ASGIApp, judge: Judge) -> None:
        self.app, self.judge = app, judge
        self.arrived: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.questions = 0
        self.on_question: Callable[[int], None] = lambda _: None
        self._lock = threading.Lock()

    @property
    def received(self) -> int:
        """Pictures of all questions so far."""
        return sum(self.arrived.values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        keys = [pixels(text) for text in json.loads(body)["images"]]
        with self._lock:
            self.arrived.update(keys)
            number, self.questions = self.questions, self.questions + 1
        fault = self.judge(number)
        sent: list[Message] = []
        again = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> Message:
            return next(again, {"type": "http.disconnect"})

        async def kept(message: Message) -> None:
            sent.append(message)

        await self.app(scope, replayed, kept)
        start, answer = sent[0], b"".join(m.get("body", b"") for m in sent[1:])
        if fault == "status":
            start, answer = {**start, "status": random.choice([429, 500, 503])}, b"{}"
        elif fault == "junk":
            answer = b"<html>" * 20
        elif fault == "short":
            value = json.loads(answer)
            answer = json.dumps({**value, "scores": value["scores"][1:]}).encode()
        length = len(answer) + (1000 if fault == "cut" else 0)
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        with self._lock:
            if not fault:
                self.answered.update(keys)
        self.on_question(number)
        await send({**start, "headers": head})
        await send({"type": "http.response.body", "body": answer, "more_body": False})


def pixels(text: str) -> str:
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(text)))
    return hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()


class Served:
    """A net behind HTTP.

    Args:
        judge: which answers are spoiled.
        net: by default linear, five classes on 1 x 6 x 6 pictures.

    Attributes:
        faults: counts what arrives.
        log: of the server, one line a request.
    """

    def __init__(self, judge: Judge = lambda _: "", net: Classifier | None = None) -> None:
        net = net or box()
        self.log: list[str] = []
        self.scorer = Scorer(net, batch=16, workers=1)
        app = make_app(self.scorer, Contract(net), Limits(), self.log.append, 0.001)
        self.faults = Faults(app, judge)
        self.server = Server(self.scorer, app=self.faults)

    @property
    def logged(self) -> int:
        """Pictures by the server's own log."""
        lines = [line for line in self.log if " POST " in line]
        return sum(int(line.partition("pictures=")[2].split()[0]) for line in lines)


def box(name: str = "box") -> Classifier:
    """Linear, five classes on 1 x 6 x 6 pictures."""
    weights = np.random.default_rng(4).normal(size=(36, 5)) / 6

    def predict(images: Any) -> Any:
        return images.reshape(len(images), -1) / 255.0 @ weights

    return from_predict(predict, input_shape=(1, 6, 6), output="logits", name=name)


@contextlib.contextmanager
def servers() -> Iterator[Callable[..., Served]]:
    """Gives what starts a `Served`, and ends all of them."""
    started: list[Served] = []

    def start(*arguments: Any, **options: Any) -> Served:
        served = Served(*arguments, **options)
        served.server.__enter__()
        started.append(served)
        return served

    try:
        yield start
    finally:
        for served in started:
            served.server.__exit__(None, None, None)
            served.scorer.close()


def one_in_twenty(seed: int) -> Judge:
    """5 % of the answers fail, each in one of four ways."""
    draw = random.Random(seed)
    return lambda _: draw.choice(["status", "cut", "junk", "short"]) if draw.random() < 0.05 else ""
