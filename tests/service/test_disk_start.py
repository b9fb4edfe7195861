"""Started on a full disk: it says so and works without pictures; or it says why not and leaves nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from openaisle.cli.app import USER_ERROR, main
from openaisle.errors import ServiceError
from openaisle.messages import ScaleBatch
from openaisle.service import keys
from openaisle.service.desk import Rules
from openaisle.service.intake import DISK_WORDS, HEALTH, Intake
from openaisle.service.patience import patiently
from openaisle.service.room import FULL_BYTES
from openaisle.service.serve import KEY_FILE, Wish, checked, prepared
from openaisle.service.startup import open_desk, read_startup, write_startup
from openaisle.service.tables import ApiKey
from openaisle.store.load import load_store, save_store
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import START
from tests.service import stream
from tests.service.desks import CARD
from tests.service.sensing import SETTINGS, VirtualShop, noisy_film
from tests.service.small_disk import PAGE, SmallDisk
from tests.service.test_disk import LOW_MB, disk, known, pictures
from tests.service.test_kill import PATIENCE_S, free_port
from tests.service.test_serve import AISLE

__all__ = ["disk"]  # a fixture


@pytest.fixture
def wish(tmp_path: Path, disk: SmallDisk) -> Wish:
    """A store by the API alone, its data on that disk."""
    save_store(stream.store(), tmp_path / "store")
    return Wish(
        disk.path / "data", str(tmp_path / "store"), port=free_port(),
        rules=Rules(low_disk_mb=LOW_MB, hold_for_review=False),
    )  # fmt: skip


@dataclass
class Started:
    """`aisle serve` from the command line."""

    popen: subprocess.Popen[str]
    client: httpx.Client

    def answers(self) -> bool:
        """Whether the API is there."""
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, until: object, what: str) -> None:
        """Until something is so, while it runs."""
        assert callable(until)
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            assert self.popen.poll() is None, self.popen.stderr.read() if self.popen.stderr else ""
            assert time.monotonic() < end_s, what
            time.sleep(0.1)


@contextmanager
def started(wish: Wish) -> Iterator[Started]:
    """It runs while the block does."""
    words = ["serve", "--store", wish.store, "--data", str(wish.data), "--port", str(wish.port), "--charge-at-once"]
    words += ["--low-disk-mb", str(wish.rules.low_disk_mb)]
    popen = subprocess.Popen([sys.executable, "-c", AISLE, *words], stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{wish.port}", timeout=30) as client:
            yield Started(popen, client)
    finally:
        popen.terminate()
        popen.wait(PATIENCE_S)


def test_a_store_that_starts_on_a_disk_with_little_room_says_so_and_makes_receipts(disk: SmallDisk, wish: Wish) -> None:
    assert FULL_BYTES < 24 << 20 < LOW_MB << 20
    disk.fill(leave_bytes=24 << 20)
    with started(wish) as one:
        one.wait(lambda: one.answers() and one.client.get("/readyz").status_code == 200, "it is not ready")
        assert one.client.get("/readyz").json()["warnings"] == ["low disk: pictures are not kept"]
        key = (wish.data / KEY_FILE).read_text().strip()
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "the-entry"}
        entry = one.client.post("/v1/entries", json={"gate": "door", "method": CARD}, headers=headers)
        assert entry.status_code == 201
        visit = entry.json()["visit"]
        headers["Idempotency-Key"] = "the-exit"
        assert one.client.post("/v1/exits", json={"visit": visit}, headers=headers).status_code == 202
        final = f"/v1/visits/{visit}/final"
        one.wait(lambda: one.client.get(final, headers=headers).status_code == 200, "no final receipt")
        disk.free()
        assert one.client.get("/readyz").json()["warnings"] == []
        one.popen.terminate()
        said = one.popen.communicate(timeout=PATIENCE_S)[1]
    assert "the disk is nearly full (" in said
    assert f"MB free in {wish.data.resolve()}, less than --low-disk-mb {LOW_MB})" in said
    assert "no pictures and no evidence are kept; receipts go on" in said


def test_a_store_that_starts_on_a_full_disk_says_that_entries_are_refused(disk: SmallDisk, wish: Wish) -> None:
    assert FULL_BYTES > 8 << 20
    disk.fill(leave_bytes=8 << 20)
    said: list[str] = []
    prepared(wish, said.append).stop()
    assert any(words.startswith("the disk is full (") and "entries are refused" in words for words in said)
    check_key(wish)


def test_a_command_on_a_disk_without_room_ends_with_the_place_and_the_fix(
    disk: SmallDisk, wish: Wish, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk.fill()
    monkeypatch.setattr(sys, "argv", ["aisle", "serve", "--store", wish.store, "--data", str(wish.data)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == USER_ERROR
    said = capsys.readouterr().err
    assert f"{wish.data}: --data: the disk is full (0 MB free here)" in said
    assert "(fix: free disk space, and start it again)" in said


def whole(wish: Wish) -> None:
    """What a start that failed left is what a start can begin with: a file is whole or not there."""
    assert not list(wish.data.rglob("*.partial"))
    if (wish.data / KEY_FILE).exists():
        check_key(wish)
    if (wish.data / "store").exists():
        load_store(wish.data / "store")


def check_key(wish: Wish) -> None:
    """The operator's key opens."""
    desk = open_desk(read_startup(wish.data))
    with desk.database.read() as session:
        caller = keys.caller_of(session, (wish.data / KEY_FILE).read_text().strip())
        assert caller is not None
        assert caller.name == "operator"
        assert len(list(session.scalars(select(ApiKey)))) == 1
    desk.database.close()


def refusal(wish: Wish, said: list[str]) -> ServiceError | None:
    """Why it does not start."""
    try:
        prepared(wish, said.append).stop()
    except ServiceError as error:
        return error
    return None


def test_with_however_little_room_a_start_is_whole_or_leaves_nothing_half_written(disk: SmallDisk, wish: Wish) -> None:
    """From not a byte on, a page more each time, until it starts."""
    failed, said = 0, list[str]()
    disk.fill()
    while (error := refusal(wish, said)) is not None:
        assert "free disk space" in str(error)
        assert error.problems[0].file == str(wish.data)
        disk.free()
        whole(wish)
        failed += 1
        said.clear()
        disk.fill(leave_bytes=failed * PAGE)
    assert failed > 3  # the database alone is larger
    assert any("the disk is full" in words for words in said)
    check_key(wish)


def test_what_it_was_started_with_is_written_whole_or_not_at_all(disk: SmallDisk, wish: Wish) -> None:
    planned = checked(wish)
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        write_startup(planned)
    assert list(wish.data.glob("serve.json*")) == []


def test_a_generated_store_is_written_whole_or_not_at_all(disk: SmallDisk) -> None:
    wish = Wish(disk.path / "data", "random:kiosk", port=free_port())
    disk.fill(leave_bytes=4 * PAGE)
    with pytest.raises(ServiceError, match="free disk space"):
        prepared(wish, lambda _: None)
    assert not (wish.data / "store").exists()
    disk.free()
    prepared(wish, lambda _: None).stop()
    whole(wish)


def test_an_intake_that_starts_on_a_disk_with_little_room_keeps_no_picture(disk: SmallDisk) -> None:
    sent: list[Sensed] = sorted([*stream.shoppers(1), *noisy_film(12.0, START)], key=lambda message: message.time_ns)
    disk.fill(leave_bytes=24 << 20)
    shop = VirtualShop(stream.store(), disk.path, sent)  # its limit is 300 MB
    shop.intake.take(noisy_film(0.2, shop.now_ns)[0])  # the very first thing that it hears
    shop.close_the_day()
    assert pictures(shop) == []
    assert len(shop.journalled()) == sum(isinstance(message, ScaleBatch) for message in sent)
    assert known(disk.path)["a"]["words"] == DISK_WORDS
    assert json.loads((disk.path / HEALTH).read_text())["low_disk"]


def test_an_intake_without_room_for_its_journal_waits_for_it(disk: SmallDisk) -> None:
    journal, beats = disk.path / "journal", list[int]()
    disk.fill()

    def go_on() -> bool:
        beats.append(1)
        if len(beats) == 2:
            disk.free()
        return True

    def work() -> None:
        Intake(stream.store(), SETTINGS, journal, disk.path).settle()

    patiently(work, disk.path, "", go_on)
    assert len(beats) >= 2
    assert (journal / "manifest.json").exists()
