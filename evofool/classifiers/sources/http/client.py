"""One request to a service: sent once, with every limit there is, and never redirected."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from evofool.classifiers.sources.http.failures import Failed, Malformed
from evofool.classifiers.sources.http.pacing import retry_after
from evofool.classifiers.sources.http.questions import Question
from evofool.config.http import AuthConfig, HttpConfig
from evofool.errors import ClassifierError
from evofool.files import read_file, reason

AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same request may be answered the next time."""
_TOLD = 200


class Secrets:
    """What must be sent and never be told.

    Args:
        auth: where it is, or None.
        name: of the victim, for messages.

    Raises:
        ClassifierError: the variable is not set, or cannot be sent in a header.
    """

    def __init__(self, auth: AuthConfig | None, name: str) -> None:
        self.headers: dict[str, str] = {}
        self._hidden: tuple[str, ...] = ()
        if auth is None:
            return
        secret = os.environ.get(auth.env, "")
        if not secret:
            raise ClassifierError(
                f"classifier {name}: http.auth: the environment variable {auth.env} is not set"
            )
        if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
            raise ClassifierError(
                f"classifier {name}: http.auth: what {auth.env} holds cannot be sent in a header"
                " (spaces around it, or other than printable ASCII)"
            )
        self.headers[auth.header] = f"{auth.scheme} {secret}" if auth.scheme else secret
        self._hidden = (secret,)

    def hide(self, text: str) -> str:
        """`text` with the secret blacked out, should a service have sent it back."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


class Client:
    """Sends requests, in the event loop that it is first used in.

    Args:
        config: of the service.
        name: of the victim, for messages.

    Raises:
        ClassifierError: the secret or the certificate cannot be had.
    """

    def __init__(self, config: HttpConfig, name: str) -> None:
        self._config = config
        self.secrets = Secrets(config.auth, name)
        self._tls = _tls(config, name)
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, question: Question) -> bytes:
        """The body of the answer to a question.

        Raises:
            Failed: there is none.
        """
        headers = {"content-type": question.content_type}
        return await self._bounded("POST", url, headers, question.body)

    async def get(self, url: str) -> bytes:
        """The body of a document.

        Raises:
            Failed: there is none.
        """
        return await self._bounded("GET", url, {}, None)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _bounded(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> bytes:
        seconds = self._config.timeout
        try:
            async with asyncio.timeout(seconds.total):
                return await self._sent(method, url, headers, body)
        except TimeoutError:
            raise Failed(f"it took more than {seconds.total:g} seconds") from None
        except httpx.TimeoutException as error:
            raise Failed(f"it did not answer in time ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            # from None: the original may hold what a service has sent back, a secret too
            text = self.secrets.hide(str(error)).split("\n")[0][:_TOLD]
            raise Failed(f"{type(error).__name__}: {text}".rstrip(": ")) from None
        except (ValueError, httpx.InvalidURL, httpx.StreamError) as error:
            raise Failed(f"the exchange failed ({type(error).__name__})") from None

    async def _sent(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> bytes:
        client = self._opened()
        async with client.stream(method, url, headers=headers, content=body) as response:
            self._check_head(response)
            data = bytearray()
            most = self._config.max_answer if response.status_code == 200 else 4096
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > most:
                    break
            if response.status_code != 200:
                raise self._refusal(response, bytes(data[:most]))
            if len(data) > most:
                raise Malformed(f"its answer is larger than {most} bytes")
            return bytes(data)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            config, seconds = self._config, self._config.timeout
            self._client = httpx.AsyncClient(
                headers={
                    "user-agent": "evofool",
                    "accept": "application/json",
                    "accept-encoding": "identity",  # so that a small answer is a small answer
                    **config.headers,
                    **self.secrets.headers,
                },
                verify=self._tls,
                trust_env=False,  # no secrets of .netrc, no proxy that nobody named
                follow_redirects=False,
                timeout=httpx.Timeout(seconds.read, connect=seconds.connect, pool=None),
                limits=httpx.Limits(
                    max_connections=config.concurrency,
                    max_keepalive_connections=config.concurrency,
                ),
            )
        return self._client

    def _check_head(self, response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Malformed("its answer is compressed, which it was asked not to be")
        if response.is_redirect:
            where = self.secrets.hide(response.headers.get("location", ""))
            host = urlsplit(where).netloc.rpartition("@")[2][:100] or "another address of its own"
            raise Failed(
                f"it redirects to {host}, which is not followed; set url if you trust it",
                again=False,
            )

    def _refusal(self, response: httpx.Response, body: bytes) -> Failed:
        status = response.status_code
        text = body.decode(errors="replace")
        said = self.secrets.hide(" ".join(text.split()))[:_TOLD]
        after = retry_after(response.headers.get("retry-after"), self._config.retry_after)
        reasons = {401: "; is the secret right?", 403: "; is the secret right?"}
        return Failed(
            f"it answered {status}{f' ({said})' if said else ''}{reasons.get(status, '')}",
            again=status in AGAIN,
            after=after,
        )


def _tls(config: HttpConfig, name: str) -> ssl.SSLContext | bool:
    """Certificates are always verified; by the system's authorities, or by one of one's own."""
    if config.ca is None:
        return config.url.startswith("https:")
    try:
        data = read_file(Path(config.ca), 4 * 1024 * 1024).decode("ascii")
        return ssl.create_default_context(cadata=data)
    except (OSError, UnicodeDecodeError, ssl.SSLError) as error:
        raise ClassifierError(
            f"classifier {name}: http.ca: {config.ca}: cannot be used ({reason(error)})"
        ) from error
