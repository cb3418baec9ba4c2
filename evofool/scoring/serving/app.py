"""The ASGI application: three routes over one net."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evofool.errors import EvofoolError
from evofool.scoring.scorer import Scorer
from evofool.scoring.serving.batching import Batcher
from evofool.scoring.serving.contract import Contract, Limits, Refused, decoded, pictures_in

Log = Callable[[str], None]
"""Takes one line for each request."""


def make_app(
    scorer: Scorer, contract: Contract, limits: Limits, log: Log, patience: float = 0.004
) -> Starlette:
    """The application.

    Args:
        scorer: of the net.
        contract: what it says of the net.
        limits: of a request.
        log: gets one line a request: what was asked, the status, the pictures in it, the seconds.
        patience: longest wait for pictures of other requests, in seconds.
    """
    batcher = Batcher(scorer, patience)
    metadata = contract.metadata()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    async def predict(request: Request) -> Response:
        began = time.perf_counter()
        pictures, status = 0, 500
        try:
            found = pictures_in(await body_of(request, limits), limits)
            pictures = len(found)
            images = await asyncio.to_thread(decoded, found, contract.classifier, limits)
            answer = contract.answer(await batcher.ask(images))
            status = 200
            return JSONResponse(answer)
        except Refused as error:
            status = error.status
            return _said(status, str(error))
        except EvofoolError as error:  # a net that gives NaN, for one
            return _said(status, str(error))
        except ClientDisconnect:
            status = 499
            return Response(status_code=400)  # nobody reads it
        finally:
            _note(log, request, status, pictures, time.perf_counter() - began)

    async def about(request: Request) -> Response:
        _note(log, request, 200, 0, 0.0)
        return JSONResponse(metadata)

    async def health(request: Request) -> Response:
        _note(log, request, 200, 0, 0.0)
        return JSONResponse({"status": "ok", "digest": metadata["digest"]})

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        _note(log, request, status, 0, 0.0)
        return _said(status, "POST /v1/predict, GET /v1/metadata and GET /health are answered")

    return Starlette(
        routes=[
            Route("/v1/predict", predict, methods=["POST"]),
            Route("/v1/metadata", about),
            Route("/health", health),
        ],
        exception_handlers={404: refused, 405: refused},
        lifespan=lifespan,
    )


async def body_of(request: Request, limits: Limits) -> bytes:
    """The body of a request, no more of it than is allowed and no longer.

    Raises:
        Refused: it is too large, or comes too slowly.
    """
    told = request.headers.get("content-length", "0")
    if not told.isascii() or not told.isdigit() or int(told[:20]) > limits.body:
        raise Refused(413, f"the body is larger than {limits.body} bytes")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "the body must not be compressed")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body:
                    raise Refused(413, f"the body is larger than {limits.body} bytes")
    except TimeoutError as error:
        raise Refused(408, f"the body did not arrive within {limits.seconds:g} seconds") from error
    return bytes(body)


def _said(status: int, message: str) -> Response:
    # what is left of a refused body is not read on: the connection ends
    return JSONResponse({"error": message}, status, headers={"connection": "close"})


def _note(log: Log, request: Request, status: int, pictures: int, seconds: float) -> None:
    host = request.client.host if request.client else "-"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    log(
        f"{moment} {host} {request.method} {request.url.path[:100]} {status}"
        f" pictures={pictures} seconds={seconds:.4f}"
    )
