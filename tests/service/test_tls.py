"""Scales behind a broker that speaks TLS and asks for an account: who may come in, and what is said to who may not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from openaisle.messages import ScaleBatch
from openaisle.recording.journal import last_messages
from openaisle.sensors.health import BLIND
from openaisle.sensors.settings import Mqtt, SensorSettings, Tls, load_settings
from openaisle.service.health import intake_of
from openaisle.service.intake import HEALTH, Intake
from openaisle.sim.hardware.devices import FakeDevices
from tests.service import stream
from tests.service.authority import Authority, Paper, new_authority
from tests.service.test_broker import PASSWORD, USER, measure, mosquitto, until
from tests.service.test_kill import free_port

TRIES_S = 1.5  # long enough for several tries to connect


@dataclass(frozen=True)
class Secured:
    """A broker's certificates, and settings that lead to it."""

    authority: Authority
    server: Paper
    settings: Mqtt
    lines: tuple[str, ...]  # of mosquitto.conf

    def asked(self, **other: object) -> Mqtt:
        """The settings, some of them wrong."""
        return self.settings.model_copy(update=other)


@pytest.fixture
def secured(tmp_path: Path) -> Secured:
    """A broker with a certificate of an authority that only its shop knows."""
    if shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") is None:
        assert "CI" not in os.environ, "mosquitto is not installed; .ci/run should have done so"
        pytest.skip("mosquitto is not installed")
    authority = new_authority(tmp_path / "authority")
    server = authority.issue("broker")
    tls = Tls(ca_file=str(authority.ca.cert))
    settings = Mqtt(host="127.0.0.1", port=free_port(), username=USER, password=PASSWORD, tls=tls)
    papers = (f"certfile {server.cert}", f"keyfile {server.key}")
    elsewhere = (f"listener {settings.port} 127.0.0.2", *papers)  # an address that the certificate does not have
    return Secured(authority, server, settings, (*papers, *elsewhere))


@contextmanager
def listening(folder: Path, settings: Mqtt) -> Iterator[Intake]:
    """An intake that runs; it must still do so at the end."""
    intake = Intake(stream.store(), SensorSettings(mqtt=settings), folder / "journal", folder)
    stop: list[bool] = []
    thread = Thread(target=intake.run, args=(lambda: not stop,))
    thread.start()
    try:
        yield intake
        assert thread.is_alive(), "the intake has died"
    finally:
        stop.append(True)
        thread.join()


@pytest.mark.parametrize("version", [3.1, 5])
def test_scales_speak_through_tls_with_an_account(tmp_path: Path, secured: Secured, version: float) -> None:
    settings = secured.asked(version=version)
    devices = FakeDevices(settings)

    async def day(intake: Intake) -> None:
        running = asyncio.create_task(devices.run())
        await until(lambda: devices.connected.is_set() and intake._broker.up, "no connection")
        await measure(devices, 1.0)
        await until(lambda: devices.waiting() == 0, "not all is stored")
        running.cancel()

    with mosquitto(tmp_path, settings, secured.lines), listening(tmp_path, settings) as intake:
        asyncio.run(day(intake))
    kept = [one.message for one in last_messages(tmp_path / "journal", 1 << 60)]
    assert sum(isinstance(message, ScaleBatch) for message in kept) == 20


def test_a_broker_that_asks_for_our_certificate_gets_it(tmp_path: Path, secured: Secured) -> None:
    mine = secured.authority.issue("intake")
    tls = Tls(ca_file=str(secured.authority.ca.cert), cert_file=str(mine.cert), key_file=str(mine.key))
    lines = (*secured.lines[:2], f"cafile {secured.authority.ca.cert}", "require_certificate true")
    with mosquitto(tmp_path, secured.settings, lines):
        with listening(tmp_path / "with", secured.asked(tls=tls)) as intake:
            asyncio.run(until(lambda: intake._broker.up, "no connection"))
        with listening(tmp_path / "without", secured.settings) as intake:
            asyncio.run(until(lambda: intake._broker.words not in ("", "not connected yet"), "it is not told"))
            assert not intake._broker.up


def stranger(secured: Secured) -> Mqtt:
    """Settings that trust another authority."""
    other = new_authority(secured.authority.folder / "other")
    return secured.asked(tls=Tls(ca_file=str(other.ca.cert)))


def misnamed(secured: Secured) -> Mqtt:
    """Settings that reach the broker under a name that its certificate does not have."""
    return secured.asked(host="127.0.0.2")


def unlocked(secured: Secured) -> Mqtt:
    """Settings with a wrong password."""
    return secured.asked(password="wrong-word")


def gone(secured: Secured) -> Mqtt:
    """Settings whose authority's file has been there, and is not any more."""
    return secured.asked(tls=Tls(ca_file=str(secured.authority.folder / "gone.pem")))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (stranger, ("certificate is not trusted", "mqtt.tls.ca_file")),
        (misnamed, ("certificate is not trusted", "mqtt.host")),
        (unlocked, ("does not let us in", "mqtt.password")),
        (gone, ("certificates cannot be used", "gone.pem")),
    ],
)
def test_who_may_not_come_in_is_told_why_and_goes_on(
    tmp_path: Path,
    secured: Secured,
    caplog: pytest.LogCaptureFixture,
    wrong: Callable[[Secured], Mqtt],
    words: tuple[str, str],
) -> None:
    settings = wrong(secured)
    with mosquitto(tmp_path, settings, secured.lines), listening(tmp_path, settings) as intake:
        with caplog.at_level(logging.WARNING):
            asyncio.run(until(lambda: words[0] in intake._broker.words, intake._broker.words))
            asyncio.run(asyncio.sleep(TRIES_S))
        asyncio.run(until(lambda: words[0] in (tmp_path / HEALTH).read_text(), "sensors.json does not tell"))
    known = json.loads((tmp_path / HEALTH).read_text())
    assert not known["broker"]["up"]
    assert words[1] in known["broker"]["words"]
    assert "wrong-word" not in (tmp_path / HEALTH).read_text() + caplog.text
    assert {row["state"] for row in known["sensors"] if row["kind"] == "scale"} <= set(BLIND)
    assert caplog.text.count(words[0]) == 1  # said once, not with every try
    shown = intake_of(tmp_path)
    assert shown is not None
    assert shown.broker is not None
    assert words[0] in shown.broker.words


def test_files_of_settings_are_beside_them(tmp_path: Path, secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "sensors.yaml").write_text("mqtt: {host: x, tls: {ca_file: authority/ca.pem}}\n")
    settings = load_settings(tmp_path / "sensors.yaml", stream.store(), {})
    assert settings.mqtt is not None
    assert settings.mqtt.tls is not None
    assert settings.mqtt.tls.ca_file == str(secured.authority.ca.cert)
