"""The whole path on one machine: fake cameras and scales on real RTSP and MQTT, intake, worker, clerk: the receipts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from openaisle.errors import MissingExtraError, SensorError
from openaisle.messages import NANOSECONDS
from openaisle.recording.reader import open_recording
from openaisle.service import serve as serving
from openaisle.service import till
from openaisle.service.intake import HEALTH, journal_folder
from openaisle.service.serve import Wish, checked
from openaisle.service.startup import Serve, open_desk
from openaisle.service.tables import Visit
from openaisle.sim.hardware.devices import Mischief
from openaisle.sim.hardware.shop import FakeShop, Ports, recorded, write_settings
from openaisle.store.load import load_store, save_store
from openaisle.tokens.tick import Sensed
from tests.pipeline.scripted import START
from tests.service import stream
from tests.service.sensing import noisy_film
from tests.service.serving import PATIENCE_S
from tests.service.test_kill import Live, free_port, living

SHOPPERS = 2
LEAD_S = 8.0  # the shop is open, and nobody has come yet
LENGTH_S = 12.0 * SHOPPERS + 2.0


def day() -> list[Sensed]:
    """Scales that lie still, then shoppers; cameras all the while."""
    film = noisy_film(LENGTH_S + LEAD_S, START - round(LEAD_S * NANOSECONDS))
    both: list[Sensed] = [*stream.shoppers(SHOPPERS), *film]
    return sorted(both, key=lambda message: message.time_ns)


@pytest.fixture
def shop(tmp_path: Path) -> FakeShop:
    """Hardware that plays a recording."""
    stream.write(tmp_path / "rec", day())
    mischief = Mischief(duplicated=0.3, reordered=0.2, lost=0.02)
    return FakeShop(stream.store(), Ports(rtsp=free_port(), mqtt=free_port()), mischief)


@pytest.fixture
def serve(tmp_path: Path, shop: FakeShop) -> Serve:
    """A live store over that hardware."""
    save_store(stream.store(), tmp_path / "store")
    patient = "wait_s: 8\nlate_s: 4\noffline_s: 5\n"  # on a busy machine messages are seconds late
    settings = write_settings(tmp_path, shop.settings_yaml() + patient)
    wish = Wish(tmp_path / "data", str(tmp_path / "store"), str(settings), model="scripted", port=free_port())
    planned = checked(wish)
    return replace(planned, rules=replace(planned.rules, hold_for_review=False))


def ready(serve: Serve) -> bool:
    """Whether the intake hears the broker and the worker runs."""
    path = serve.path / HEALTH
    beats = serve.path / "beats" / "worker"
    return path.exists() and beats.exists() and bool(json.loads(path.read_text())["broker"]["up"])


def finals(serve: Serve) -> dict[str, tuple[tuple[stream.Line, ...], int]]:
    """{visit: (lines, total)} of final receipts."""
    desk, out = open_desk(serve), {}
    with desk.database.read() as session:
        for visit in session.query(Visit):
            issued = till.final(session, visit.id)
            if issued is not None:
                lines = tuple((line.gtin, line.quantity) for line in issued.receipt.lines)
                out[visit.id.rpartition(".")[2]] = lines, issued.receipt.total_cents
    desk.database.close()
    return out


def test_receipts_from_real_sensors_are_those_of_the_recording(tmp_path: Path, shop: FakeShop, serve: Serve) -> None:
    recording = open_recording(tmp_path / "rec")
    shop.prime(recorded(recording))
    expected = stream.undisturbed(day())
    assert len(expected) == SHOPPERS
    closed = asyncio.Event()

    def play(live: Live) -> None:
        async def scene() -> None:
            await asyncio.to_thread(live.wait, lambda: ready(serve), "the intake hears nothing")
            playing = asyncio.create_task(shop.play(recorded(recording)))
            await asyncio.sleep(LEAD_S + 6.0)
            await asyncio.to_thread(live.kill, "worker")
            await asyncio.to_thread(live.kill, "intake")
            await playing
            await closed.wait()

        asyncio.run(shop.run(scene))

    with living(serve) as live:
        thread = Thread(target=play, args=(live,), daemon=True)
        thread.start()
        live.wait(lambda: finals(serve) == expected, f"other receipts: {finals(serve)}")
        known = {row["sensor"]: row for row in json.loads((serve.path / HEALTH).read_text())["sensors"]}
    assert known["w1"]["lost"] == 0
    assert known["w1"]["duplicates"]
    assert known["a"]["messages"]
    assert PATIENCE_S > LENGTH_S + LEAD_S


def test_another_store_has_another_journal(tmp_path: Path) -> None:
    store = load_store(_saved(tmp_path / "one"))
    other = replace(store, spec=store.spec.model_copy(update={"name": "Another"}))
    assert journal_folder(tmp_path, store) == journal_folder(tmp_path, store)
    assert journal_folder(tmp_path, store) != journal_folder(tmp_path, other)


def test_what_is_wrong_with_sensors_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, settings = _saved(tmp_path / "store"), tmp_path / "sensors.yaml"
    with pytest.raises(SensorError, match="missing"):
        checked(Wish(tmp_path / "data", str(folder), str(settings)))
    settings.write_text("cameras: {nine: rtsp://x/1}")
    with pytest.raises(SensorError, match="no camera 'nine'"):
        checked(Wish(tmp_path / "data", str(folder), str(settings)))
    settings.write_text("mqtt: {host: x}")
    planned = checked(Wish(tmp_path / "data", str(folder), str(settings)))
    assert planned.job is not None
    assert planned.job.source == f"live:{journal_folder((tmp_path / 'data').resolve(), load_store(folder))}"
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"openaisle\[live\]"):
        checked(Wish(tmp_path / "data", str(folder), str(settings)))


def _saved(folder: Path) -> Path:
    save_store(stream.store(), folder)
    return folder
