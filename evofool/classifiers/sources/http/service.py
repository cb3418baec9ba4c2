"""A service as a victim: many requests at once, each sent again when it fails, up to a point."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import tenacity

from evofool.classifiers.sources.http.answers import Rows, parsed
from evofool.classifiers.sources.http.client import Client
from evofool.classifiers.sources.http.dialects import Dialect
from evofool.classifiers.sources.http.failures import Failed
from evofool.classifiers.sources.http.pacing import Circuit, Pace
from evofool.config.http import HttpConfig
from evofool.errors import ServiceError
from evofool.images import UInt8Images

T = TypeVar("T")


class Account(Protocol):
    """Is told of every request; it is called in threads, and may store what it is told.

    What one of its methods raises ends the call that the request is part of.
    """

    def sending(self, count: int) -> None:
        """A request of `count` pictures is about to be sent; raises if it must not be."""

    def failed(self, count: int) -> None:
        """It got no usable answer."""

    def answered(self, part: slice, rows: Rows) -> None:
        """The pictures of `part` were answered: float64 N x classes, or int64 (N,) labels."""


class Unbooked:
    """An account of requests that nobody counts."""

    def sending(self, count: int) -> None:
        """Nothing."""

    def failed(self, count: int) -> None:
        """Nothing."""

    def answered(self, part: slice, rows: Rows) -> None:
        """Nothing; `rows` are float64 N x classes or int64 (N,)."""


class Service:
    """A service that is asked about pictures. It is thread-safe.

    Args:
        name: of the victim, for messages.
        config: how it is asked.
        dialect: what is said.
        client: that sends.
        identity: hex sha256 of what the service is and of how pictures are sent to it: with the
            pixels it is the address of an answer.
        cache: where answers are kept, by default the run folder.
    """

    def __init__(
        self,
        name: str,
        config: HttpConfig,
        dialect: Dialect,
        client: Client,
        identity: str,
        cache: Path | None = None,
    ) -> None:
        self.name, self.identity, self.cache = name, identity, cache
        self._config, self._dialect, self._client = config, dialect, client
        self._pace, self._circuit = Pace(config.rate), Circuit(config.circuit)
        self._slots: asyncio.Semaphore | None = None
        self._inside = 0
        self._lock = threading.Lock()

    def __call__(self, images: UInt8Images) -> Rows:
        """What it answers, to nobody's account: `images` uint8 N x C x H x W to float64 N x
        classes, or int64 (N,) labels.

        Raises:
            ServiceError: as `ask`.
        """
        return self.ask(images, Unbooked())

    def ask(self, images: UInt8Images, account: Account) -> Rows:
        """What it answers, float64 N x classes (NaN for classes left out) or int64 (N,) labels.

        Requests that are under way when one has failed for good are waited for, and their answers
        are told the account; no other is begun.

        Args:
            images: uint8 N x C x H x W, at least one.
            account: is told of each request.

        Raises:
            ServiceError: no usable answer, however often it was sent.
            EvofoolError: whatever `account` raised.
        """
        with self._lock:
            if self._inside == 0:
                self._circuit.close()  # whoever asks again wants it tried again
            self._inside += 1
        try:
            return LOOP.run(self._ask(images, account))
        finally:
            with self._lock:
                self._inside -= 1

    async def _ask(self, images: UInt8Images, account: Account) -> Rows:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._config.concurrency)
        step = self._config.most_pictures
        parts = [slice(i, min(i + step, len(images))) for i in range(0, len(images), step)]
        broken = asyncio.Event()
        errors: list[BaseException] = []  # the first is the cause, whichever request it was of

        async def one(part: slice) -> Rows | None:
            try:
                return await self._answered(images, part, account, broken)
            except BaseException as error:
                broken.set()
                if isinstance(error, asyncio.CancelledError):
                    raise
                errors.append(error)
                return None

        results = await asyncio.gather(*(one(part) for part in parts))
        if errors:
            raise errors[0]
        rows: list[Any] = list(results)
        return np.concatenate(rows)

    async def _answered(
        self, images: UInt8Images, part: slice, account: Account, broken: asyncio.Event
    ) -> Rows:
        pictures = images[part]
        question = await asyncio.to_thread(self._dialect.question, pictures)
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._config.retries + 1),
            wait=tenacity.wait_random_exponential(
                multiplier=self._config.backoff.first, max=self._config.backoff.most
            ),
            retry=tenacity.retry_if_exception(
                lambda e: isinstance(e, Failed) and e.again and not broken.is_set()
            ),
            reraise=True,
        )

        async def attempt() -> Rows:
            assert self._slots is not None
            async with self._slots:
                await self._pace.turn()
                if broken.is_set():
                    raise _Dropped
                self._circuit.check()
                await asyncio.to_thread(account.sending, len(pictures))
                try:
                    body = await self._client.post(self._dialect.url, question)
                    rows = self._dialect.answer(parsed(body), len(pictures))
                except BaseException as error:
                    await asyncio.to_thread(account.failed, len(pictures))
                    if isinstance(error, Failed):
                        self._circuit.failure(self._client.secrets.hide(str(error)))
                        if error.after is not None:
                            self._pace.quiet(error.after)
                    raise
                self._circuit.success()
                await asyncio.to_thread(account.answered, part, rows)
                return rows

        try:
            return await retrying(attempt)
        except Failed as error:
            raise self._given_up(error) from None

    def _given_up(self, error: Failed) -> ServiceError:
        reason = self._client.secrets.hide(str(error))
        times = "" if not error.again else f" {self._config.retries + 1} times"
        if self._circuit.is_open:
            times = ""
        return ServiceError(f"{self.name}: was asked{times} without a usable answer: {reason}")


class _Dropped(Exception):
    """A request that was not sent, since another of the same call has failed for good."""


class _Loop:
    """The event loop of all services of this process, in a thread of its own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives; any thread may call this but the loop's own."""
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="services", daemon=True
                ).start()
            return self._loop


LOOP = _Loop()


async def fetched(
    client: Client, url: str, config: HttpConfig, sleep: Callable[[float], Awaitable[None]]
) -> Any:
    """The JSON of a document of a service, asked for again as pictures are.

    Raises:
        Failed: it cannot be had.
    """
    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(config.retries + 1),
        wait=tenacity.wait_random_exponential(
            multiplier=config.backoff.first, max=config.backoff.most
        ),
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, Failed) and e.again),
        sleep=sleep,
        reraise=True,
    )

    async def attempt() -> Any:
        return parsed(await client.get(url))

    return await retrying(attempt)


def document(client: Client, url: str, config: HttpConfig) -> Any:
    """As `fetched`, from any thread."""
    return LOOP.run(fetched(client, url, config, asyncio.sleep))
