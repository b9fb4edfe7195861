"""Payload: what scales and gates say over MQTT, and what they are told: topics and JSON, one schema, read or refused.

    PREFIX/scale/SCALE/samples   device → store   one Samples, or a list of them
    PREFIX/gate/GATE/events      device → store   one Passages, or a list of them; also without events, as a heartbeat
    PREFIX/scale/SCALE/resend    store → device   {"boot_id", "first", "last"}: send these again, please
    PREFIX/scale/SCALE/stored    store → device   {"boot_id", "through"}: these are on disk, forget them
    (resend and stored of gates alike)

docs/sensors.md explains each field; `json_schema()` is that of docs/schema/sensors-1.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from openaisle.errors import Problem, SensorError

LARGEST_BYTES = 1 << 20
LATEST_NS = 1 << 62
Kind = Literal["scale", "gate"]
Nanoseconds = Annotated[int, Field(ge=0, lt=LATEST_NS)]
Number = Annotated[int, Field(ge=0, lt=1 << 62)]
Grams = Annotated[float, Field(ge=-1e7, le=1e7)]
WORDS = {"scale": "samples", "gate": "events"}  # last part of the topic that a device sends to


class _Numbered(BaseModel):
    """What every message of a device carries."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    device_id: str = Field(pattern=r"^[A-Za-z0-9_.:-]{1,60}$", title="Name of the device, for good")
    boot_id: Number = Field(title="Another number after each start of the device: a counter, or random")
    seq: Number = Field(title="Counts this device's messages from 0 at each boot, without holes")
    sent_ns: Nanoseconds = Field(title="The device's clock when it sent this (again)")


class Samples(_Numbered):
    """Consecutive samples of one scale. Times are nanoseconds of the device's clock, at best UTC."""

    time_ns: Nanoseconds = Field(title="The device's clock at the first sample")
    rate_hz: float = Field(ge=0.01, le=1000, title="Samples per second")
    grams: list[Grams | None] = Field(min_length=1, max_length=5000, title="Readings; null = no reading")

    @property
    def length_ns(self) -> int:
        """From the first sample to where the next message begins."""
        return round(len(self.grams) * 1e9 / self.rate_hz)

    def floats(self) -> NDArray[np.float32]:
        """Readings float32 [n], NaN = no reading."""
        return np.array([math.nan if value is None else value for value in self.grams], dtype=np.float32)


class Passage(BaseModel):
    """Somebody passed a gate."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    time_ns: Nanoseconds = Field(title="The device's clock at the passage")
    kind: Literal["entry", "exit"]
    visit: str = Field(default="", max_length=100, title="Whose: an entry's receipt key, '' = not known")


class Passages(_Numbered):
    """What a gate saw since its last message. Without events it is a heartbeat: it repeats the last seq."""

    seq: int = Field(
        ge=-1, lt=1 << 62, title="Counts messages with events; a heartbeat repeats it, -1 before the first"
    )

    events: list[Passage] = Field(max_length=100, title="Passages in order of time")


class Resend(BaseModel):
    """Please send these messages again, as they were but for sent_ns."""

    boot_id: int
    first: int
    last: int


class Stored(BaseModel):
    """All messages up to this one are on disk, or were given up: the device may forget them."""

    boot_id: int
    through: int


Told = Samples | Passages
_MODELS: Mapping[Kind, type[Samples] | type[Passages]] = {"scale": Samples, "gate": Passages}
_LISTS: Mapping[Kind, TypeAdapter[list[Samples]] | TypeAdapter[list[Passages]]] = {
    "scale": TypeAdapter(list[Samples]),
    "gate": TypeAdapter(list[Passages]),
}


@dataclass(frozen=True, slots=True)
class Address:
    """A sensor in a topic."""

    kind: Kind
    sensor: str

    def topic(self, prefix: str, word: str = "") -> str:
        """Its topic for samples or events, or for another word."""
        return f"{prefix}/{self.kind}/{self.sensor}/{word or WORDS[self.kind]}"


def address_of(prefix: str, topic: str) -> Address | None:
    """Whose samples or events come on a topic; None: it is not one of those."""
    head, _, rest = topic.partition(prefix + "/")
    parts = rest.split("/")
    if head or len(parts) != 3 or WORDS.get(parts[0]) != parts[2] or not parts[1]:
        return None
    return Address("scale" if parts[0] == "scale" else "gate", parts[1])


def read(address: Address, data: bytes) -> tuple[Told, ...]:
    """The messages in a payload; raises SensorError that says what is wrong with it."""
    if len(data) > LARGEST_BYTES:
        raise _refusal(address, "payload", f"{len(data)} bytes", f"send at most {LARGEST_BYTES} bytes at once")
    try:
        if data.lstrip().startswith(b"["):
            return tuple(_LISTS[address.kind].validate_json(data))
        return (_MODELS[address.kind].model_validate_json(data),)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "payload"
        raise _refusal(address, place, first["msg"], "see docs/sensors.md") from error


def json_schema() -> str:
    """JSON Schema of all payloads, as text."""
    models: tuple[type[BaseModel], ...] = (Samples, Passages, Resend, Stored)
    _, schema = models_json_schema(
        [(model, "validation") for model in models], title="OpenAisle sensors", ref_template="#/$defs/{model}"
    )
    return json.dumps(schema, indent=1) + "\n"


def _refusal(address: Address, place: str, what: str, fix: str) -> SensorError:
    return SensorError([Problem(f"{address.kind} {address.sensor}", place, what, fix)])


if __name__ == "__main__":
    print(json_schema(), end="")
