"""How long a gallery takes to make and to become usable in chromium, and its size on disk.

    uv run python tests/benchmarks/gallery.py

Interactive: from opening the file until tiles are shown and a search was typed and answered.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from evofool.gallery import Options, build

REPEATS = 5


def made_up_run(path: Path, count: int) -> Path:
    """A run folder of `count` random pictures of 32 x 32, as the tests make them."""
    file = Path(__file__).parents[1] / "gallery" / "conftest.py"
    spec = importlib.util.spec_from_file_location("gallery_conftest", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run: Path = module.make_run(path, [f"class {k} of many, or so" for k in range(count)], side=32)
    return run


def measure(count: int, browser: Browser, folder: Path) -> str:
    """One line of what was found."""
    run = made_up_run(folder / "run", count)
    began = time.perf_counter()
    path = build(run, folder / "out", Options(ancestry=48)).page
    made = time.perf_counter() - began
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    found = sum("77" in str(k) for k in range(count))
    usable, whole = [], []
    for _ in range(REPEATS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        began = time.perf_counter()
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector(".tile")
        page.fill("#text", "class 77")
        page.wait_for_selector(f'html[data-ready="{found}"]')
        usable.append(time.perf_counter() - began)
        page.fill("#text", "")
        page.wait_for_selector(f'html[data-ready="{count}"]', timeout=60_000)
        whole.append(time.perf_counter() - began)
        page.close()
    return (
        f"{count:,} pictures: made in {made:.1f} s, {size / 1e6:.1f} MB in {len(files):,} files,"
        f" page {path.stat().st_size / 1e6:.2f} MB; interactive after {median(usable):.2f} s"
        f" ({min(usable):.2f} to {max(usable):.2f}), every tile there after {median(whole):.2f} s"
    )


def main() -> None:
    """Print a line for 1000 and one for 10,000 pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for count in (1000, 10_000):
            with tempfile.TemporaryDirectory() as folder:
                sys.stdout.write(measure(count, browser, Path(folder)) + "\n")
                sys.stdout.flush()
        browser.close()


if __name__ == "__main__":
    main()
