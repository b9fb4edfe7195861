"""sensors.yaml: what is wrong is named with its line, secrets come from the environment and are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from openaisle.errors import SensorError
from openaisle.sensors.camera import shown
from openaisle.sensors.settings import SensorSettings, load_settings
from tests.tokens.corner import corner_store

GOOD = """
mqtt: {host: broker.local, username: shop, password: $SHOP_MQTT}
cameras:
  a: rtsp://viewer:${EYE}@10.0.0.7/stream
"""


def loaded(folder: Path, text: str, **environment: str) -> SensorSettings:
    """The settings in a text."""
    path = folder / "sensors.yaml"
    path.write_text(text)
    return load_settings(path, corner_store(), environment)


def test_variables_are_filled_in(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD, SHOP_MQTT="hush", EYE="see")
    assert settings.mqtt is not None
    assert settings.mqtt.password == "hush"
    assert settings.mqtt.address == ("broker.local", 1883)
    assert settings.cameras["a"] == "rtsp://viewer:see@10.0.0.7/stream"
    assert shown(settings.cameras["a"]) == "rtsp://10.0.0.7/stream"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD, r"SHOP_MQTT is not set.*export SHOP_MQTT"),
        ("cameras: {c: rtsp://x/1}", r"cameras\.c.*no camera 'c'"),
        ("wait_s: 1", "neither cameras nor a broker"),
        ("mqtt: {host: x, prefix: 'a/#'}", r"mqtt\.prefix"),
        ("mqtt: {host: x, version: 4}", r"mqtt\.version.*3\.1 or 5"),
        ("mqtt: {host: x, tls: {ca_file: nowhere.pem}}", "certificates cannot be used"),
        ("mqtt: {host: x}\nlate_s: 4.5", "offline_s"),
        ("mqtt: {host: x}\ncamras: {}", "camras"),
        ("- a", "no keys"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SensorError, match=words):
        loaded(tmp_path, text)


def test_tls_moves_the_port(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "mqtt: {host: x, tls: {}, version: 5}")
    assert settings.mqtt is not None
    assert settings.mqtt.address[1] == 8883
    assert settings.mqtt.context() is not None
