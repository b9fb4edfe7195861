"""Settings: sensors.yaml tells where a store's cameras and its scales' broker are; one schema, errors with fixes.

    mqtt: {host: 192.168.1.2, username: shop, password: $SHOP_MQTT, tls: {ca_file: ca.pem}}
    cameras:
      cam1: rtsp://viewer:$CAMERA_PASSWORD@192.168.1.21/stream1
      cam2: rtsps://192.168.1.22/stream1

`$NAME` stands for an environment variable, so that the file holds no secret. It lies beside store.yaml or anywhere
else, and never gets into a recording.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict, Field

from openaisle.errors import Problem, SensorError
from openaisle.sensors.health import Limits
from openaisle.store.store import Store
from openaisle.store.validate import validate
from openaisle.store.yaml_file import Document, Place, read_yaml

VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Part):
    """How the broker is known and how we are known to it; an empty one trusts the system's authorities."""

    ca_file: str = Field(default="", title="Authority that signed the broker's certificate, PEM")
    cert_file: str = Field(default="", title="Our certificate, PEM, where the broker asks for one")
    key_file: str = Field(default="", title="Its key, PEM")


class Mqtt(_Part):
    """The broker of scales and gates."""

    host: str = Field(min_length=1, title="Name or address")
    port: int = Field(default=0, ge=0, le=65535, title="Port; 0 = 1883, or 8883 with tls")
    username: str = ""
    password: str = Field(default="", title="Better $NAME than the word itself")
    tls: Tls | None = Field(default=None, title="Speak TLS")
    version: float = Field(default=3.1, title="MQTT 3.1 (that is 3.1.1) or 5")
    prefix: str = Field(default="openaisle", pattern=r"^[^#+/$\x00][^#+\x00]{0,99}$", title="First part of all topics")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (1883 if self.tls is None else 8883)

    def context(self) -> ssl.SSLContext | None:
        """TLS as asked for; raises SensorError for files that cannot be used."""
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.ca_file or None)
            if self.tls.cert_file:
                context.load_cert_chain(self.tls.cert_file, self.tls.key_file or None)
        except (OSError, ValueError) as error:
            files = [name for name in self.tls.model_dump().values() if name]
            gone = [name for name in files if not Path(name).is_file()]
            what = f"the certificates cannot be used: {', '.join(gone or files)}: {error}"
            raise SensorError([Problem("sensors.yaml", "mqtt.tls", what, "give PEM files that exist")]) from error
        return context


class CameraTls(_Part):
    """How cameras at rtsps:// are known."""

    ca_file: str = Field(min_length=1, title="Authority that signed their certificates, PEM")


class SensorSettings(_Part):
    """sensors.yaml."""

    mqtt: Mqtt | None = Field(default=None, title="Broker; none = no scales and no gates by MQTT")
    cameras: dict[str, str] = Field(default={}, title="Address by camera: rtsp(s)://, a film (or file:), /dev/video0")
    camera_tls: CameraTls | None = Field(default=None, title="None = rtsps:// is secret, and nobody's word is checked")
    wait_s: float = Field(default=1.0, ge=0.1, le=10, title="How long the others wait for a slow sensor")
    late_s: float = Field(default=1.5, gt=0, le=5, title="Silent for so long, a sensor is late")
    offline_s: float = Field(default=4.0, gt=0, le=5, title="... and offline: blind")
    keep_hours: float = Field(default=24.0, ge=0, le=10_000, title="How long the journal is kept after its visits")

    @property
    def limits(self) -> Limits:
        """How long a sensor may be silent."""
        return Limits(self.late_s, self.offline_s)


def load_settings(path: Path, store: Store, environment: Mapping[str, str] = os.environ) -> SensorSettings:
    """The settings in a file, for a store; raises SensorError with everything that is wrong."""
    document, problems = read_yaml(path)
    if document is None:
        raise SensorError(problems)
    filled, missing = _filled(document.data, (), document, environment)
    checked = validate(SensorSettings, filled if isinstance(filled, dict) else {})
    problems = [*problems, *missing, *(document.problem(*fault) for fault in checked.faults)]
    if checked.value is not None:
        problems += _unfit(document, checked.value, store, path.resolve().parent)
    if problems or checked.value is None:
        raise SensorError(problems)
    settings = _placed(checked.value, path.resolve().parent)
    if settings.mqtt is not None:
        settings.mqtt.context()
    return settings


def _placed(settings: SensorSettings, folder: Path) -> SensorSettings:
    """The settings with files where sensors.yaml means them: relative ones are beside it."""
    cameras = {name: placed(url, folder) for name, url in settings.cameras.items()}
    mqtt = settings.mqtt
    if mqtt is not None and mqtt.tls is not None:
        files = {name: str(folder / value) for name, value in mqtt.tls.model_dump().items() if value}
        mqtt = mqtt.model_copy(update={"tls": Tls(**files)})
    tls = settings.camera_tls
    if tls is not None:
        tls = CameraTls(ca_file=str(folder / tls.ca_file))
    return settings.model_copy(update={"mqtt": mqtt, "cameras": cameras, "camera_tls": tls})


def placed(url: str, folder: Path) -> str:
    """A camera's address; a film's path, with file: or without, is made absolute."""
    scheme = urlsplit(url).scheme
    if scheme not in ("", "file"):
        return url
    return str(folder / (url2pathname(urlsplit(url).path) if scheme else url))


def _filled(
    value: object, place: Place, document: Document, environment: Mapping[str, str]
) -> tuple[object, list[Problem]]:
    """A value with variables replaced, and those that are not set."""
    if isinstance(value, Mapping):
        parts = {str(key): _filled(part, (*place, str(key)), document, environment) for key, part in value.items()}
        return {key: part for key, (part, _) in parts.items()}, [p for _, found in parts.values() for p in found]
    if not isinstance(value, str):
        return value, []
    names = [name.strip("{}") for name in VARIABLE.findall(value)]
    problems = [
        document.problem(place, f"the environment variable {name} is not set", f"set it: export {name}=...")
        for name in names
        if name not in environment
    ]
    return VARIABLE.sub(lambda found: environment.get(found[1].strip("{}"), ""), value), problems


def _unfit(document: Document, settings: SensorSettings, store: Store, folder: Path) -> list[Problem]:
    cameras = {camera.id for camera in store.spec.cameras}
    problems = [
        document.problem(("cameras", name), f"the store has no camera {name!r}", "use the ids of store.yaml")
        for name in settings.cameras
        if name not in cameras
    ]
    if settings.mqtt is None and not settings.cameras:
        problems.append(document.problem((), "neither cameras nor a broker", "say where the store's sensors are"))
    if settings.mqtt is not None and settings.mqtt.version not in (3.1, 5):
        problems.append(document.problem(("mqtt", "version"), "no such version", "write 3.1 or 5"))
    if settings.camera_tls is not None and not (folder / settings.camera_tls.ca_file).is_file():
        what = f"there is no file {settings.camera_tls.ca_file}"
        problems.append(document.problem(("camera_tls", "ca_file"), what, "give a PEM file beside sensors.yaml"))
    if settings.late_s >= settings.offline_s:
        problems.append(document.problem(("offline_s",), "not longer than late_s", "give a longer time"))
    return problems
