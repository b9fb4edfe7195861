"""Scales over a real broker: nothing is lost when it is killed, and devices are told what is on disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, ScaleBatch
from openaisle.recording.journal import last_messages
from openaisle.sensors.settings import Mqtt, SensorSettings
from openaisle.service.intake import Intake
from openaisle.sim.hardware.broker import embedded_broker
from openaisle.sim.hardware.devices import FakeDevices, Mischief
from tests.service import stream
from tests.service.test_kill import free_port

PATIENCE_S = 90.0
USER, PASSWORD = "shop", "hush"


@contextmanager
def mosquitto(folder: Path, settings: Mqtt, more: Iterable[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """The broker that shops use, with an account, and more lines for its listener; killed, not stopped, at the end."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program is not None, "the caller has looked"
    words = ["mosquitto_passwd", "-b", "-c", str(folder / "accounts"), USER, PASSWORD]
    subprocess.run(words, check=True, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {folder / 'accounts'}"]
    lines += [f"listener {settings.port} 127.0.0.1", *more]
    if os.getuid() == 0:
        lines.append("user root")  # it would change to an account that may not read the test's folder
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    popen = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        yield popen
    finally:
        popen.kill()
        popen.wait()


@asynccontextmanager
async def broker(kind: str, folder: Path, settings: Mqtt) -> AsyncIterator[None]:
    """One of the two."""
    if kind == "embedded":
        async with embedded_broker("127.0.0.1", settings.port):
            yield
    else:
        with mosquitto(folder, settings):
            yield


@pytest.fixture(params=["embedded", "mosquitto"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which broker."""
    if request.param == "mosquitto" and shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") is None:
        assert "CI" not in os.environ, "mosquitto is not installed; .ci/run should have done so"
        pytest.skip("mosquitto is not installed")
    return str(request.param)


async def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something."""
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, what
        await asyncio.sleep(0.05)


async def measure(devices: FakeDevices, seconds: float) -> None:
    """Two scales send half-second batches, ten times as many as they would."""
    for _ in range(round(seconds * 10)):
        for name in ("w1", "w2"):
            start_ns = time.time_ns() - NANOSECONDS // 2
            devices.send(ScaleBatch(name, start_ns, 20.0, np.full(10, 812.5, np.float32)))
        await asyncio.sleep(0.1)


def test_nothing_is_lost_when_the_broker_is_killed(tmp_path: Path, kind: str) -> None:
    account = {"username": USER, "password": PASSWORD} if kind == "mosquitto" else {}
    settings = Mqtt(host="127.0.0.1", port=free_port(), **account)  # type: ignore[arg-type]  # texts
    intake = Intake(stream.store(), SensorSettings(mqtt=settings), tmp_path / "journal", tmp_path)
    stop: list[bool] = []
    thread = Thread(target=intake.run, args=(lambda: not stop,))

    async def day() -> FakeDevices:
        devices = FakeDevices(settings, mischief=Mischief(duplicated=0.2, lost=0.05))
        running = asyncio.create_task(devices.run())
        async with broker(kind, tmp_path, settings):
            await until(devices.connected.is_set, "no connection")
            await until(lambda: intake._broker.up, "the intake has no connection")
            await measure(devices, 2.0)
        await measure(devices, 1.0)
        async with broker(kind, tmp_path, settings):
            await until(devices.connected.is_set, "no connection after the restart")
            await until(lambda: intake._broker.up, "the intake has no connection after the restart")
            await measure(devices, 1.0)
            await until(lambda: not any(device.kept for device in devices._devices.values()), "not all is stored")
        running.cancel()
        return devices

    thread.start()
    try:
        devices = asyncio.run(day())
    finally:
        stop.append(True)
        thread.join()
    sent = {(name, seq) for (_, name), device in devices._devices.items() for seq in range(device.sent)}
    messages = [one.message for one in last_messages(tmp_path / "journal", 1 << 60)]
    found = [(m.scale, m.seq) for m in messages if isinstance(m, ScaleBatch)]
    first = {name: min(seq for scale, seq in found if scale == name) for name in ("w1", "w2")}
    assert all(seq < 3 for seq in first.values())  # what was lost before the first that came is not known of
    assert sorted(found) == sorted((name, seq) for name, seq in sent if seq >= first[name])
    assert devices.repeated


def test_a_wrong_password_is_told(tmp_path: Path, kind: str) -> None:
    if kind == "embedded":
        pytest.skip("it has no accounts")
    settings = Mqtt(host="127.0.0.1", port=free_port(), username=USER, password="wrong")
    intake = Intake(stream.store(), SensorSettings(mqtt=settings), tmp_path / "journal", tmp_path)
    stop: list[bool] = []
    thread = Thread(target=intake.run, args=(lambda: not stop,))
    thread.start()
    try:
        with mosquitto(tmp_path, settings):
            asyncio.run(until(lambda: "authori" in intake._broker.words.lower(), "it is not told"))
    finally:
        stop.append(True)
        thread.join()
    assert "wrong" not in intake._broker.words
