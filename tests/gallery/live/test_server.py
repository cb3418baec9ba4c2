"""The live view: what it serves, to whom, and that it serves nothing else."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evofool.evolution.campaign import evolve
from evofool.evolution.reading import claim_in
from evofool.gallery import build
from evofool.gallery.live import handover
from evofool.gallery.live import server as live
from evofool.gallery.live.handover import OpenPages
from evofool.gallery.live.server import LiveServer
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
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
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


def test_a_picture_is_kept_under_the_name_of_its_individual(server: LiveServer) -> None:
    row = next(row for row in json.loads(get(server, "/data.json")[1])["rows"] if row[2] == 3)
    assert "immutable" in get(server, f"/pictures/0003.png?{row[8]}")[2]["Cache-Control"]
    for other in ("", "?", "?0:99999"):
        assert get(server, f"/pictures/0003.png{other}")[2]["Cache-Control"] == "no-store"


def test_who_was_replaced_a_moment_ago_gives_way_to_who_replaced_it(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page learns of it later: until then what it asks for is no error."""
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    monkeypatch.setattr(live, "REFRESH_SECONDS", 1e9)
    with LiveServer(run) as running:
        get(running, "/data.json")
        with contextlib.closing(sqlite3.connect(run / "run.sqlite")) as db, db:
            held = dict(db.execute("SELECT class_index, generation || ':' || idx FROM elites"))
            heir = next(c for c in held if held[c] != held[3])
            db.execute(
                "UPDATE elites SET (generation, idx) = (SELECT generation, idx FROM elites"
                " WHERE class_index = ?) WHERE generation || ':' || idx = ?",
                (heir, held[3]),
            )
            db.execute(
                "UPDATE individuals SET genome = NULL WHERE generation || ':' || idx = ?",
                (held[3],),
            )
        status, png, _ = get(running, "/pictures/0003.png?" + held[3])
        assert status == 200
        heirs = decode_png((toy_run / "images" / f"{heir:04d}.png").read_bytes())
        assert (decode_png(png) == heirs).all()


class Stopped:
    """Lets a campaign go on one generation at a time."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def __call__(self, _: object) -> None:
        self.reached.release()
        assert self._go.acquire(timeout=600)

    def go(self, generations: int = 1) -> None:
        self._go.release(generations)


def test_from_an_empty_page_to_the_finished_gallery(
    tmp_path: Path, toy_campaign: Callable[..., dict[str, Any]], visit: Any, eventually: Any
) -> None:
    path, page, gate = tmp_path / "run", visit.page, Stopped()
    campaign = threading.Thread(
        target=evolve,
        args=(toy_campaign(stop={"generations": 2}), path),
        kwargs={"progress": gate},
    )
    with LiveServer(path) as server:
        page.goto(server.url)
        visit.ready()
        assert page.locator(".tile").count() == 0
        campaign.start()
        gate.reached.acquire()
        page.wait_for_selector(".tile")
        shows = "document.querySelector('[data-progress]').textContent"
        fact = "document.querySelector('[data-fact=\"2\"]').textContent"
        eventually(page, f"{shows} == ', generation 0, 20 evaluations'")
        assert page.inner_text("[data-status]") == "running"
        gate.go()
        eventually(page, f"{shows} == ', generation 1, 40 evaluations'")
        eventually(page, f"{fact} == '40'")
        gate.go(10)
        campaign.join()
        eventually(page, "document.getElementById('news').textContent.includes('not made yet')")
        assert page.inner_text("[data-status]") == "finished"
        assert page.locator("#news a").count() == 0
        build(path)
        page.wait_for_selector("#news a")
        page.click("#news a")
        page.wait_for_url("**/finished/gallery/index.html")
        visit.ready()
        assert page.locator(".tile").count() == 7
        for image in page.locator("#pictures img").all():
            image.scroll_into_view_if_needed()
            assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 6
        assert page.locator(".on-light").first.evaluate("i => i.decode().then(() => true)")
        page.go_back()
        visit.ready()
    # the server has waited for the page to load the last pictures
    eventually(page, "document.getElementById('news').textContent.includes('server has ended')")
    assert str(path / "gallery" / "index.html") in page.inner_text("#news")
    widths = "[...document.querySelectorAll('#pictures img')].map((i) => i.naturalWidth)"
    assert page.evaluate(widths) == [6] * 7
    page.locator("a.pic").first.click()
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.getElementById('full').decode().then(() => true)")
    visit.faults = [fault for fault in visit.faults if "ERR_CONNECTION_REFUSED" not in fault]


@pytest.fixture
def shown(toy_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with a gallery."""
    shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("gallery"))
    build(tmp_path / "run")
    return tmp_path / "run"


def test_the_finished_gallery_is_served_under_a_place_of_its_own(shown: Path) -> None:
    with LiveServer(shown) as running:
        assert json.loads(get(running, "/data.json")[1])["live"]["finished"] != ""
        status, body, headers = get(running, "/finished/gallery/index.html")
        assert (status, body) == (200, (shown / "gallery" / "index.html").read_bytes())
        assert "connect-src" not in headers["Content-Security-Policy"]
        assert "sha256-" in headers["Content-Security-Policy"]
        (shown / "gallery" / "thumbs").mkdir()
        (shown / "gallery" / "thumbs" / "0003.webp").symlink_to("/etc/hostname")
        for name in (
            "manifest.json", "run.sqlite", "../run/manifest.json", "gallery/../manifest.json", "",
            "gallery/scores.json", "gallery/thumbs/0003.webp", "images/", "images/0003.png/x",
        ):  # fmt: skip
            assert get(running, f"/finished/{name}")[0] == 404, name


@pytest.mark.parametrize("change", ["older than the run's end", "of another version", "a link"])
def test_what_is_not_this_runs_finished_gallery_is_not_pointed_to(
    shown: Path, tmp_path: Path, change: str
) -> None:
    page = shown / "gallery" / "index.html"
    if change.startswith("older"):
        os.utime(page, ns=(0, 0))
    elif change == "a link":
        page.rename(tmp_path / "index.html")
        page.symlink_to(tmp_path / "index.html")
    else:
        page.write_text("<script>document.title = 1</script>")
    with LiveServer(shown) as running:
        assert json.loads(get(running, "/data.json")[1])["live"]["finished"] == ""


def test_others_are_not_told_where_the_run_lies(shown: Path) -> None:
    for host, told in (("127.0.0.1", True), ("0.0.0.0", False)):
        with LiveServer(shown, host) as running:
            data = get(running, "/data.json")[1]
        assert (str(shown).encode() in data) is told


def test_a_server_waits_for_open_pages_and_for_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "ALIVE_SECONDS", 600.0)
    monkeypatch.setattr(handover, "MOST_SECONDS", 600.0)
    pages = OpenPages()
    pages.wait("1")  # none is open
    pages.asked("a", "1")
    pages.wait("1")  # it has all
    pages.asked("b", "")
    ended = threading.Event()
    waiting = threading.Thread(target=lambda: (pages.wait("1"), ended.set()))
    waiting.start()
    pages.asked("a", "1")
    pages.asked("b", "0")
    assert not ended.is_set()
    pages.asked("b", "1")
    assert ended.wait(600)
    waiting.join()
    monkeypatch.setattr(handover, "ALIVE_SECONDS", 0.0)
    pages.asked("c", "")  # closed since
    pages.wait("1")
