"""The whole demo as its user starts it: real ports, a live store, a receipt, Ctrl-C, no orphans."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest
from playwright.sync_api import sync_playwright

from openaisle.service.serve import KEY_FILE
from tests.service.test_serve import AISLE

MOST_BYTES = 300_000
PATIENCE_S = 300.0  # a busy machine starts eight processes in minutes


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts demos; whatever is left of one is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(out: IO[bytes], *words: str) -> subprocess.Popen[bytes]:
        flags = ["demo", "--no-browser", *words]
        folder = ["--out", str(tmp_path / "demo")]
        popen = subprocess.Popen(
            [sys.executable, "-c", AISLE, *flags, *folder], stdout=out, stderr=out, start_new_session=True
        )
        started.append(popen)
        return popen

    yield start
    for popen in started:
        if popen.poll() is None:
            popen.kill()
            popen.wait()


def wait(until: Callable[[], object], popen: subprocess.Popen[bytes], log: Path) -> None:
    """Until something is so."""
    end_s = time.monotonic() + PATIENCE_S
    while not until():
        assert popen.poll() is None, log.read_text()
        assert time.monotonic() < end_s, log.read_text()
        time.sleep(0.2)


def descendants(pid: int) -> set[int]:
    """Every process below one."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), set()).add(int(entry.parent.name))
    found, look = set[int](), [pid]
    while look:
        fresh = children.get(look.pop(), set()) - found
        found |= fresh
        look += fresh
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that run; zombies have ended."""
    out = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        out |= {pid} if state != "Z" else set()
    return out


@pytest.mark.parametrize("wired", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_receipt_comes_by_the_api_and_nothing_stays_behind(
    tmp_path: Path, demo: Callable[..., subprocess.Popen[bytes]], wired: bool
) -> None:
    log = tmp_path / "said"
    with log.open("wb") as out:
        popen = demo(out, *([] if wired else ["--in-process"]))
    wait(lambda: "/login?link=" in log.read_text(), popen, log)
    assert ("real RTSP and MQTT" in log.read_text()) == wired
    link = links(log)[-1]
    address, _, word = link.partition("/login?link=")
    with httpx.Client(base_url=address, timeout=60) as browser:
        assert browser.post("/login", data={"link": word}).status_code == 303
        assert browser.get("/").status_code == 200
    wait(lambda: log.read_text().count("/login?link=") == 2, popen, log)  # that one was used
    key = (tmp_path / "demo" / "service" / KEY_FILE).read_text().strip()
    with httpx.Client(base_url=address, timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
        wait(lambda: _receipt(client), popen, log)
    if wired:
        pictured(links(log)[-1], Path(os.environ.get("OPENAISLE_PICTURES", str(tmp_path))) / "dashboard.png")
    wait(lambda: log.read_text().count(" has left: ") >= 2, popen, log)  # of one of them it is long enough ago
    below = descendants(popen.pid)
    assert len(below) >= (7 if wired else 6)
    popen.send_signal(signal.SIGINT)
    assert popen.wait(PATIENCE_S) == 0, log.read_text()
    assert re.search(r"\d of \d+ receipts exact; ", log.read_text())
    assert "lost:" not in log.read_text()
    assert alive(below) == set()
    with pytest.raises(httpx.HTTPError):
        httpx.get(address + "/healthz")


def links(log: Path) -> list[str]:
    """Ways in that were printed so far."""
    return re.findall(r"http://127\.0\.0\.1:\d+/login\?link=[\w-]+", log.read_text())


def pictured(link: str, path: Path) -> None:
    """A browser that follows the link is in, without a click, and sees the shop; the README has this picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        assert "CI" not in os.environ, "no Chromium is installed; .ci/run should have done so"
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 800}, locale="en", reduced_motion="reduce")
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(link)
        page.wait_for_url(link.partition("/login")[0] + "/")
        page.locator("article.card:has(td.picture)").nth(3 if "OPENAISLE_PICTURES" in os.environ else 0).wait_for()
        page.locator("article.card.inside:has(td.picture)").first.wait_for()
        page.locator("section.tiles img").first.wait_for()
        page.wait_for_timeout(1500)
        page.screenshot(path=str(path))
        browser.close()
    assert 10_000 < path.stat().st_size < MOST_BYTES


def _receipt(client: httpx.Client) -> bool:
    """Whether somebody has something on a receipt."""
    rows = client.get("/v1/visits").json()["visits"]
    return any(client.get(f"/v1/visits/{row['visit']}/receipt").json()["lines"] for row in rows)


def test_when_it_is_killed_everything_ends(tmp_path: Path, demo: Callable[..., subprocess.Popen[bytes]]) -> None:
    log = tmp_path / "said"
    with log.open("wb") as out:
        popen = demo(out)
    wait(lambda: len(descendants(popen.pid)) >= 7, popen, log)
    below = descendants(popen.pid)
    os.kill(popen.pid, signal.SIGKILL)
    popen.wait()
    end_s = time.monotonic() + PATIENCE_S
    while alive(below):
        assert time.monotonic() < end_s, alive(below)
        time.sleep(0.2)
