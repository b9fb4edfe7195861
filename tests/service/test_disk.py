"""A full disk: pictures go first, no ledger line and no acknowledged message is lost, it is said, and it ends."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from openaisle.messages import ScaleBatch, VideoPacket
from openaisle.recording.journal import last_messages
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.intake import DISK_WORDS, HEALTH
from openaisle.service.jobs import Job
from openaisle.service.room import FULL_BYTES
from openaisle.service.startup import DATABASE, Serve, open_desk
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import START
from tests.service import stream
from tests.service.desks import CARD, Clock, fresh_sqlite
from tests.service.sensing import VirtualShop, noisy_film
from tests.service.shop import open_shop
from tests.service.small_disk import SmallDisk, small_disk
from tests.service.test_kill import SHOPPERS, Live, gate_key, living, serve
from tests.service.test_pages import sign_in
from tests.service.test_sensors import finals

__all__ = ["serve"]  # a fixture
LOW_MB = 32
DISK_MB = 64
SECONDS = 26.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small one."""
    with small_disk(tmp_path / "small", DISK_MB) as one:
        yield one


def known(folder: Path) -> dict[str, dict[str, object]]:
    """sensors.json by sensor."""
    return {row["sensor"]: row for row in json.loads((folder / HEALTH).read_text())["sensors"]}


def pictures(shop: VirtualShop) -> list[VideoPacket]:
    """Those in the journal, of one camera."""
    kept = [one.message for one in last_messages(shop.journal, 1 << 60)]
    return [message for message in kept if isinstance(message, VideoPacket) and message.camera == "a"]


def test_pictures_go_first_and_scales_wait_for_room(disk: SmallDisk) -> None:
    sent: list[Sensed] = sorted([*stream.shoppers(2), *noisy_film(SECONDS, START)], key=lambda message: message.time_ns)
    shop = VirtualShop(stream.store(), disk.path, sent)
    shop.intake._low_bytes = LOW_MB << 20
    shop.play(6.0)
    assert pictures(shop)

    disk.fill(leave_bytes=20 << 20)
    shop.play(12.0)
    before, scales = pictures(shop), len(shop.journalled())
    assert before[-1].time_ns < START + 8_000_000_000
    assert scales >= 2 * 2 * 9  # two scales, two messages a second, and they were not held up
    assert known(disk.path)["a"]["state"] == "offline"
    assert known(disk.path)["a"]["words"] == DISK_WORDS
    assert json.loads((disk.path / HEALTH).read_text())["low_disk"]

    disk.fill()
    shop.play(18.0)
    kept = set(shop.journalled())
    assert len(kept) < scales + 2 * 2 * 6  # not a byte of room: not all of them can be there
    told = {name: shop.stored[name] for name in ("w1", "w2")}
    assert all((name, seq) in kept for name, through in told.items() for seq in range(through + 1))

    disk.free()
    shop.close_the_day()
    counted = Counter(shop.journalled())
    assert len(counted) == sum(isinstance(message, ScaleBatch) for message in sent)
    assert set(counted.values()) == {1}
    after = pictures(shop)[len(before) :]
    assert after[0].keyframe
    assert after[0].time_ns >= START + 18_000_000_000
    assert known(disk.path)["a"]["words"] == ""
    assert not json.loads((disk.path / HEALTH).read_text())["low_disk"]


def ledger(path: Path) -> list[tuple[object, ...]]:
    """What is in the ledger, read past everybody."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute("SELECT event_id, body FROM ledger ORDER BY event_id").fetchall()


def test_a_store_on_a_full_disk_waits_and_loses_nothing(tmp_path: Path, disk: SmallDisk, serve: Serve) -> None:
    job = Job(str(tmp_path / "rec"), "scripted", speed=0.6)  # it must not be over before the disk is full
    serve = replace(serve, folder=str(disk.path / "data"), job=job, rules=replace(serve.rules, low_disk_mb=LOW_MB))
    secret, expected = gate_key(serve), stream.undisturbed(stream.shoppers(SHOPPERS))
    entry = {"json": {"gate": "side", "method": CARD}, "headers": {"Authorization": f"Bearer {secret}"}}
    with living(serve) as live, httpx.Client(base_url=f"http://127.0.0.1:{serve.port}", timeout=30) as client:
        live.wait(lambda: ledger(serve.path / DATABASE), "nothing is taken")
        live.wait(lambda: answers(client) and not asked(client)["problems"], "it is not ready")
        disk.fill()
        live.wait(lambda: "disk" in asked(client)["problems"], "it is not said")
        lines = refused(live, disk, client, entry, serve)
        assert all(child.state() != "crash loop" for child in live.supervisor.children), live.said
        disk.free()
        live.wait(lambda: not asked(client)["problems"], "it does not recover")
        entry["headers"] = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "after-the-flood"}
        assert client.post("/v1/entries", **entry).status_code == 201  # type: ignore[arg-type]  # json and headers
        live.wait(lambda: expected.items() <= finals(serve).items(), f"other receipts: {finals(serve)}")
    left = ledger(serve.path / DATABASE)
    assert set(lines) <= set(left)
    assert len({row[0] for row in left}) == len(left)
    desk = open_desk(serve)
    assert sqlite3.connect(serve.path / DATABASE).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    desk.database.close()


def answers(client: httpx.Client) -> bool:
    """Whether the API is there."""
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def asked(client: httpx.Client) -> dict[str, list[str]]:
    """/readyz."""
    return dict(client.get("/readyz").json())


def refused(
    live: Live, disk: SmallDisk, client: httpx.Client, entry: dict[str, dict[str, str]], serve: Serve
) -> list[tuple[object, ...]]:
    """Entries until there is no room for one; what the ledger holds then."""
    number = 0

    def full() -> bool:
        nonlocal number
        disk.fill()  # what a process that ended has given back
        number += 1
        headers = {**entry["headers"], "Idempotency-Key": f"entry-{number:05d}"}
        answer = client.post("/v1/entries", json=entry["json"], headers=headers)
        assert answer.status_code in (201, 202, 503), answer.text
        return answer.status_code == 503 and answer.json()["detail"] == "the disk is full"

    live.wait(full, "entries are taken on a full disk")
    return ledger(serve.path / DATABASE)


@pytest.mark.parametrize(
    ("leave_mb", "status", "problems", "warned"), [(48, 200, [], 0), (24, 200, [], 1), (4, 503, ["disk"], 1)]
)
def test_pages_and_probes_tell(
    tmp_path: Path, disk: SmallDisk, leave_mb: int, status: int, problems: list[str], warned: int
) -> None:
    assert FULL_BYTES > 4 << 20
    clock = Clock()
    desk = Desk(fresh_sqlite(tmp_path), stream.store(), Rules(low_disk_mb=LOW_MB), clock)
    shop = open_shop(desk, FakeGateway(tmp_path / "gateway.sqlite", clock), disk.path)
    (disk.path / "supervisor.json").write_text("{}")
    disk.fill(leave_bytes=leave_mb << 20)
    answer = shop.client.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (status, problems)
    assert len(answer.json()["warnings"]) == warned
    sign_in(shop, "reviewer")
    assert shop.client.get("/board").text.count("The disk is nearly full") == warned
    assert shop.client.get("/health").text.count("The disk is nearly full") == 0  # no intake tells here
    desk.database.close()
