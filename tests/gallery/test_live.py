"""The live view: what it serves, to whom, and that it serves nothing else."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evofool.evolution.campaign import evolve
from evofool.evolution.reading import claim_in
from evofool.gallery import live
from evofool.gallery.live import LiveServer
from evofool.images import decode_png


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def server(toy_run: Path) -> Iterator[LiveServer]:
    with LiveServer(toy_run) as running:
        yield running


def get(
    server: LiveServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{server.port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, answer.headers


def test_page_data_and_pictures(server: LiveServer, toy_run: Path) -> None:
    status, body, headers = get(server, "/")
    assert status == 200
    assert b"toy" in body
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    data = json.loads(get(server, "/data.json")[1])
    assert len(data["rows"]) == 7
    status, png, _ = get(server, "/pictures/0003.png?12:7")
    assert status == 200
    saved = (toy_run / "images" / "0003.png").read_bytes()
    assert (decode_png(png) == decode_png(saved)).all()


def test_a_picture_drawn_by_other_means_says_so(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "renderer": "elsewhere"}))
    for path, redrawn in ((toy_run, None), (run, "host")):
        with LiveServer(path) as running:
            get(running, "/data.json")
            claim = claim_in(get(running, "/pictures/0003.png")[1])
        assert claim is not None
        assert claim.get("redrawn_by") == redrawn


@pytest.mark.parametrize(
    "path",
    [
        "/manifest.json",
        "/../config.yaml",
        "/pictures/",
        "/pictures/../run.sqlite",
        "/images/0003.png",
        "/pictures/0099.png",
        "/pictures/0003.png/..",
        "//etc/passwd",
        "/%2e%2e/config.yaml",
    ],
)
def test_nothing_else_is_there(server: LiveServer, path: str) -> None:
    assert get(server, path)[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "x@127.0.0.1:{port}"]
)
def test_another_host_is_refused(server: LiveServer, host: str) -> None:
    assert get(server, "/", host.format(port=server.port))[0] == 403


def test_nothing_is_written(server: LiveServer) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert get(server, "/", method=method)[0] == 501
    assert get(server, "/", method="HEAD")[1] == b""


def test_it_listens_on_loopback_only(server: LiveServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert server._server.server_address[0] == "127.0.0.1"


def test_a_run_that_has_not_begun_and_one_that_grows(
    tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]], browser: Any
) -> None:
    with LiveServer(tmp_path / "run") as server:
        assert (
            b"No picture yet" in get(server, "/")[1]
            or json.loads(get(server, "/data.json")[1])["rows"] == []
        )
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]")
        assert page.locator(".tile").count() == 0
        thread = threading.Thread(
            target=evolve, args=(toy_campaign(stop={"generations": 3}), tmp_path / "run")
        )
        thread.start()
        page.wait_for_selector(".tile", timeout=20_000)
        thread.join()
        page.wait_for_selector("html[data-ready]")
        assert page.locator(".tile").count() == 7
        image = page.locator(".tile img").first
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 6
        assert faults == []
        page.close()
