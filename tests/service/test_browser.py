"""The pages in a real Chromium: axe-core finds nothing, the policy stops nothing of ours, keys and live parts work.

With OPENAISLE_PICTURES=docs/pictures the docs' screenshots are made anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from openaisle.service import labels, till
from openaisle.service.tables import Run
from openaisle.service.tracks import PEOPLE, Person
from tests.service.kiosk import RUN, Kiosk, open_kiosk, took
from tests.service.serving import serving

DESKTOP, PHONE = (1400, 900), (390, 844)
PAGES = ("live", "review", "waiting", "closed", "shelves", "health", "day", "login", "shopper", "problem")
PICTURES = {"live": DESKTOP, "review": DESKTOP, "shelves": PHONE, "shopper": PHONE, "live-dark": PHONE}
MOST_BYTES = 300_000
SLOW_MS = 30_000  # a machine may be busy


@dataclass
class Shown:
    """The kiosk, where it listens, and a browser."""

    kiosk: Kiosk
    address: str
    browser: Browser

    def path(self, name: str) -> str:
        """Where a page is."""
        kiosk = self.kiosk
        return {
            "live": "/", "review": "/review", "waiting": f"/visits/{kiosk.review}", "closed": f"/visits/{kiosk.closed}",
            "shelves": "/shelves", "health": "/health", "day": "/day", "login": "/login", "shopper": kiosk.link,
            "problem": "/visits/nobody",
        }[name]  # fmt: skip

    def context(self, size: tuple[int, int], scheme: str = "light", language: str = "en") -> BrowserContext:
        """A window of somebody who is signed in as a reviewer."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light",
            locale=language, reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        page.goto(f"{self.address}/login")
        page.fill("#key", self.kiosk.shop.secrets["reviewer"])
        page.click("main button")
        expect(page.locator("nav")).to_be_visible(timeout=SLOW_MS)
        page.close()
        return context

    def open(self, context: BrowserContext, name: str) -> tuple[Page, list[str]]:
        """A page, and everything that the browser complains about."""
        page, said = context.new_page(), list[str]()

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                said.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(self.address + self.path(name))
        page.wait_for_load_state("load")
        return page, said


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A browser before a kiosk."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        assert "CI" not in os.environ, "no Chromium is installed; .ci/run should have done so"
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    kiosk = open_kiosk(tmp_path_factory.mktemp("kiosk"))
    with serving(kiosk.shop.app) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield Shown(kiosk, address, browser)
        browser.close()


# Before the others: they answer what waits.
@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_of_the_docs(shown: Shown, tmp_path: Path, name: str) -> None:
    folder = Path(os.environ.get("OPENAISLE_PICTURES", str(tmp_path)))
    for beat in (shown.kiosk.folder / "beats").iterdir():
        beat.touch()
    scheme, size = ("dark" if "dark" in name else "light"), PICTURES[name]
    with shown.context(size, scheme) as context:
        page, _ = shown.open(context, {"review": "waiting"}.get(name, name.partition("-")[0]))
        page.wait_for_timeout(800)
        page.screenshot(path=str(folder / f"{name}.png"))
    assert 10_000 < (folder / f"{name}.png").stat().st_size < MOST_BYTES


@pytest.mark.parametrize(("size", "scheme", "language"), [(DESKTOP, "light", "en"), (PHONE, "dark", "de")])
def test_every_page_is_clean(shown: Shown, size: tuple[int, int], scheme: str, language: str) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found = []
    with shown.context(size, scheme, language) as context:
        for name in PAGES:
            page, said = shown.open(context, name)
            page.wait_for_timeout(300)  # traces are drawn
            page.evaluate(axe)
            for fault in page.evaluate("async () => (await axe.run()).violations"):
                found += [f"{name}: {fault['id']}: {node['html'][:200]}" for node in fault["nodes"]]
            wide = page.evaluate("document.documentElement.scrollWidth")
            found += [f"{name}: {wide} pixels wide"] if wide > size[0] else []
            expected = "404" if name == "problem" else "\0"
            found += [f"{name}: {words}" for words in said if expected not in words]
            page.close()
    assert found == []


def test_a_receipt_is_corrected_by_keyboard_alone(shown: Shown) -> None:
    kiosk = shown.kiosk
    added = kiosk.store.products[kiosk.store.product_index[kiosk.gtin(5)]]
    with shown.context(DESKTOP) as context:
        page, said = shown.open(context, "waiting")
        expect(page.locator("figure.trace canvas")).to_have_count(1)
        expect(page.locator("button.main")).to_have_text("Accept as it is")
        page.keyboard.press("Control+k")
        page.keyboard.type(added.name[:6].lower())
        option = page.locator(f"#found-{added.gtin}")
        expect(option).to_be_visible()
        expect(page.locator("#find")).to_have_attribute("aria-expanded", "true")
        while option.get_attribute("aria-selected") != "true":
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        units = page.locator(f'input[name="units-{added.gtin}"]')
        expect(units).to_be_focused()
        expect(units).to_have_value("1")
        expect(page.locator("#total")).to_contain_text("→")
        expect(page.locator("button.main")).to_have_text("Correct and accept")
        page.keyboard.press("Control+Enter")
        page.wait_for_url(f"**/visits/{kiosk.lost}")  # the next of the queue
        assert said == []
    kiosk.shop.clerk()
    with kiosk.desk.database.read() as session:
        final = till.final(session, kiosk.review)
        (label,) = labels.labels_of(session, kiosk.review)
    assert final is not None
    assert added.gtin in {line.gtin for line in final.receipt.lines}
    assert label.verdict == "corrected"


def test_a_click_on_a_line_shows_its_evidence(shown: Shown) -> None:
    with shown.context(DESKTOP) as context:
        page, said = shown.open(context, "closed")
        line = page.locator("#rows .what a").first
        name = line.inner_text()
        line.click()
        expect(page.locator("#evidence-title")).to_have_text(f"Evidence: {name}")
        expect(page.locator("#evidence figure.trace canvas").first).to_be_visible()
        film = page.locator("#evidence figure.film").first
        expect(film.locator("img.shown")).to_have_count(1)
        before = film.locator("output").inner_text()
        film.locator("input").focus()
        page.keyboard.press("ArrowRight")
        assert film.locator("output").inner_text() != before
        assert said == []


def test_people_move_and_lines_come_by_themselves(shown: Shown) -> None:
    kiosk, visit = shown.kiosk, shown.kiosk.inside[2]
    with shown.context(DESKTOP) as context:
        page, said = shown.open(context, "live")
        card = page.locator(f'[id="card-{visit}"]')
        expect(card).to_contain_text("Nothing taken.")
        body = page.locator(f'[id="p-{visit}"] .body')
        before = body.get_attribute("cx")
        page.locator("[data-pause]").focus()
        took(kiosk, visit, 3)
        move(kiosk, visit, 1.0, 1.0)
        name = kiosk.store.products[kiosk.store.product_index[kiosk.gtin(3)]].name
        expect(card).to_contain_text(name, timeout=SLOW_MS)
        expect(body).not_to_have_attribute("cx", str(before), timeout=SLOW_MS)
        expect(page.locator("[data-pause]")).to_be_focused()  # what is renewed takes nobody's focus
        page.locator("[data-pause]").click()
        page.wait_for_timeout(1500)
        still = body.get_attribute("cx")
        move(kiosk, visit, 2.0, 1.5)
        page.wait_for_timeout(2500)
        assert body.get_attribute("cx") == still
        assert said == []


def test_people_are_framed_in_pictures_until_somebody_puts_it_away(shown: Shown) -> None:
    with shown.context(DESKTOP) as context:
        page, said = shown.open(context, "live")
        box = page.locator(".over .box").first
        expect(box).to_be_visible()
        picture, frame = page.locator(".shot img").first.bounding_box(), page.locator(".over").first.bounding_box()
        assert picture is not None
        assert frame is not None
        assert all(abs(picture[side] - frame[side]) < 1.5 for side in ("x", "y", "width", "height"))
        button = page.locator("[data-overlays]")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "false")
        expect(box).to_be_hidden()
        page.wait_for_timeout(2500)  # it stays so when the board is renewed
        expect(box).to_be_hidden()
        button.click()
        expect(box).to_be_visible()
        assert said == []


def move(kiosk: Kiosk, visit: str, x_m: float, y_m: float) -> None:
    """Somebody walks; the pipeline speaks."""
    with kiosk.desk.database.write() as session:
        run = session.get(Run, RUN)
        assert run is not None
        people = [person for person in PEOPLE.validate_json(run.tracks) if person.visit != visit]
        run.tracks = PEOPLE.dump_json((*people, Person(visit, x_m, y_m))).decode()
        run.beat_ns = kiosk.clock()


def test_a_shopper_follows_their_receipt_on_a_phone(shown: Shown) -> None:
    kiosk = shown.kiosk
    context = shown.browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, locale="de")
    context.set_default_timeout(SLOW_MS)
    page, said = shown.open(context, "shopper")
    expect(page.locator("h1")).to_have_text("Ihr Beleg")
    took(kiosk, kiosk.inside[0], 11)
    name = kiosk.store.products[kiosk.store.product_index[kiosk.gtin(11)]].name
    expect(page.locator("table.lines")).to_contain_text(name, timeout=SLOW_MS)
    page.click("summary")
    page.fill("textarea", "Das habe ich nicht genommen.")
    page.click("form.stacked button")
    expect(page.locator("p.dispute")).to_contain_text("Das habe ich nicht genommen.")
    page.click('button[value="en"]')
    expect(page.locator("h1")).to_have_text("Your receipt")
    assert said == []
    context.close()
