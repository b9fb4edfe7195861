"""Codec: every recorded message to bytes and back, with the schema an outside reader needs.

Video is `foxglove.CompressedVideo` (protobuf); everything else is JSON with a JSON Schema, so that Foxglove plots it
and a script reads it without us. Numbers survive exactly: a float32 sample comes back bit for bit.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

import numpy as np
import zstandard
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from pydantic import TypeAdapter

from openaisle.messages import (
    NANOSECONDS,
    STREAMS,
    GateEvent,
    ScaleBatch,
    SensorState,
    Truth,
    TruthEvent,
    TruthLane,
    TruthPixels,
    TruthReceipt,
    TruthTick,
    VideoPacket,
)

Recorded = VideoPacket | ScaleBatch | GateEvent | SensorState | Truth
SENSOR_TYPES: tuple[type, ...] = (VideoPacket, ScaleBatch, GateEvent, SensorState)
TRUTH_TYPES: tuple[type, ...] = (TruthTick, TruthEvent, TruthLane, TruthReceipt, TruthPixels)
# TruthPixels compress about 30:1 at level 1; higher levels cost more than the renderer.
PIXEL_LEVEL = 1


@dataclass(frozen=True, slots=True)
class ScaleRecord:
    """ScaleBatch as JSON: grams in order, null = no reading, the first sample at time_ns."""

    scale: str
    time_ns: int
    rate_hz: float
    grams: list[float | None]
    device_id: str
    boot_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class PixelsRecord:
    """TruthPixels as JSON: ids int32 and depth float16, little-endian, row by row, zstd, then base64."""

    camera: str
    time_ns: int
    height_px: int
    width_px: int
    ids: str
    depth_m: str


@dataclass(frozen=True, slots=True)
class Schema:
    """What an MCAP file says about the messages of a type."""

    name: str
    encoding: str  # of the schema: "protobuf" | "jsonschema"
    data: bytes
    message_encoding: str  # "protobuf" | "json"


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type of message is written and read; `decode` may raise ValueError on damaged bytes."""

    schema: Schema
    encode: Callable[[Recorded], bytes]
    decode: Callable[[bytes], Recorded]


def topic_of(message: Recorded) -> str:
    """The topic of a message, from the table of streams."""
    match message:
        case VideoPacket() | TruthPixels():
            return _patterns()[type(message)].format(message.camera)
        case ScaleBatch():
            return _patterns()[ScaleBatch].format(message.scale)
        case _:
            return _patterns()[type(message)]


def type_of(topic: str) -> type | None:
    """The type of message behind a topic, None for a topic that is not ours."""
    for kind, pattern in _patterns().items():
        head, brace, tail = pattern.partition("{}")
        if topic == pattern or (brace and topic.startswith(head) and topic.endswith(tail)):
            return kind
    return None


@cache
def codec_for(kind: type) -> Codec:
    """The codec of a recorded type."""
    if kind is VideoPacket:
        data = _video_schema().SerializeToString(deterministic=True)
        video = Schema("foxglove.CompressedVideo", "protobuf", data, "protobuf")
        return Codec(video, _encode_video, _decode_video)
    if kind is ScaleBatch:
        return _json_codec("ScaleBatch", ScaleRecord, _from_scale, _to_scale)
    if kind is TruthPixels:
        return _json_codec("TruthPixels", PixelsRecord, _from_pixels, _to_pixels)
    return _json_codec(kind.__name__, kind, lambda message: message, lambda record: cast(Recorded, record))


def is_keyframe(data: bytes) -> bool:
    """Whether an Annex B picture is an IDR key frame (looks at NAL types up to the first slice)."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        nal = data[at + 3] & 0x1F
        if nal in (1, 5):
            return nal == 5
        at = data.find(b"\0\0\1", at + 3)
    return False


@cache
def _patterns() -> dict[type, str]:
    return {stream.type: stream.topic for stream in STREAMS if stream.recorded}


def _json_codec(
    name: str, record: type, pack: Callable[[Recorded], object], unpack: Callable[[object], Recorded]
) -> Codec:
    adapter: TypeAdapter[object] = TypeAdapter(record)
    text = json.dumps(adapter.json_schema(), sort_keys=True).encode()
    schema = Schema(f"openaisle.{name}", "jsonschema", text, "json")
    return Codec(schema, lambda m: adapter.dump_json(pack(m)), lambda data: unpack(adapter.validate_json(data)))


# --- scales ---------------------------------------------------------------------------------------------


def _from_scale(message: Recorded) -> ScaleRecord:
    assert isinstance(message, ScaleBatch)
    grams = [value if math.isfinite(value) else None for value in _short(message.grams).tolist()]
    return ScaleRecord(
        message.scale, message.time_ns, message.rate_hz, grams, message.device_id, message.boot_id, message.seq
    )


def _to_scale(record: object) -> ScaleBatch:
    assert isinstance(record, ScaleRecord)
    grams = np.array([np.nan if value is None else value for value in record.grams], dtype=np.float32)
    return ScaleBatch(record.scale, record.time_ns, record.rate_hz, grams, record.device_id, record.boot_id, record.seq)


def _short(grams: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 values that print short and still round to the same float32."""
    exact = grams.astype(np.float64)
    rounded = np.round(exact, 3)
    return np.where(rounded.astype(np.float32) == grams, rounded, exact)


# --- pixels ---------------------------------------------------------------------------------------------


def _from_pixels(message: Recorded) -> PixelsRecord:
    assert isinstance(message, TruthPixels)
    height, width = message.ids.shape
    return PixelsRecord(
        message.camera, message.time_ns, height, width,
        _pack(message.ids.astype("<i4")), _pack(message.depth_m.astype("<f2")),
    )  # fmt: skip


def _to_pixels(record: object) -> TruthPixels:
    assert isinstance(record, PixelsRecord)
    shape = (record.height_px, record.width_px)
    ids = np.frombuffer(_unpack(record.ids), dtype="<i4").astype(np.int32).reshape(shape)
    depth = np.frombuffer(_unpack(record.depth_m), dtype="<f2").astype(np.float16).reshape(shape)
    return TruthPixels(record.camera, record.time_ns, ids, depth)


def _pack(array: NDArray[np.generic]) -> str:
    return base64.b64encode(zstandard.compress(array.tobytes(), PIXEL_LEVEL)).decode("ascii")


def _unpack(text: str) -> bytes:
    return zstandard.decompress(base64.b64decode(text))


# --- video ----------------------------------------------------------------------------------------------


class _Time(Protocol):
    seconds: int
    nanos: int


class _Video(Protocol):
    timestamp: _Time
    frame_id: str
    data: bytes
    format: str

    def ParseFromString(self, data: bytes) -> int: ...
    def SerializeToString(self) -> bytes: ...


def _encode_video(message: Recorded) -> bytes:
    assert isinstance(message, VideoPacket)
    video = _video_class()()
    video.timestamp.seconds, video.timestamp.nanos = divmod(message.time_ns, NANOSECONDS)
    video.frame_id, video.data, video.format = message.camera, message.data, "h264"
    return video.SerializeToString()


def _decode_video(data: bytes) -> VideoPacket:
    video = _video_class()()
    try:
        video.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    time_ns = video.timestamp.seconds * NANOSECONDS + video.timestamp.nanos
    return VideoPacket(video.frame_id, time_ns, video.data, is_keyframe(video.data))


@cache
def _video_schema() -> descriptor_pb2.FileDescriptorSet:
    """foxglove/CompressedVideo.proto as its own tools compile it (a test compares with foxglove-sdk)."""
    time = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(time)
    file = descriptor_pb2.FileDescriptorProto(
        name="foxglove/CompressedVideo.proto", package="foxglove", syntax="proto3", dependency=[time.name]
    )
    message = file.message_type.add(name="CompressedVideo")
    field = descriptor_pb2.FieldDescriptorProto
    types = (field.TYPE_MESSAGE, field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_STRING)
    names = (("timestamp", "timestamp"), ("frame_id", "frameId"), ("data", "data"), ("format", "format"))
    for number, ((name, json_name), kind) in enumerate(zip(names, types, strict=True), start=1):
        message.field.add(name=name, json_name=json_name, number=number, label=field.LABEL_OPTIONAL, type=kind)
    message.field[0].type_name = ".google.protobuf.Timestamp"
    return descriptor_pb2.FileDescriptorSet(file=[time, file])


@cache
def _video_class() -> Callable[[], _Video]:
    pool = descriptor_pool.DescriptorPool()
    for file in _video_schema().file:
        pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("foxglove.CompressedVideo"))
    return cast(Callable[[], _Video], kind)
