"""Every message survives its bytes exactly, and outside readers find the schemas they know."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jsonschema import validate

from openaisle.messages import STREAMS, ScaleBatch, TruthPixels, VideoFrame, VideoPacket
from openaisle.recording.codec import SENSOR_TYPES, TRUTH_TYPES, codec_for, is_keyframe, topic_of, type_of
from tests.recording.scenes import START_NS, messages, same, truths


def test_all_streams_marked_as_recorded_have_a_codec() -> None:
    recorded = {stream.type for stream in STREAMS if stream.recorded}
    assert recorded == {*SENSOR_TYPES, *TRUTH_TYPES}


def test_round_trip_and_schema_of_every_type() -> None:
    samples = [m for m in messages(3) if not isinstance(m, VideoFrame)]
    for message in [*samples, *truths(1)]:
        kind: type = type(message)
        codec = codec_for(kind)
        data = codec.encode(message)
        assert same(codec.decode(data), message)
        assert type_of(topic_of(message)) is type(message)
        validate(json.loads(data), json.loads(codec.schema.data))


@given(
    arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32, allow_infinity=False)),
    st.integers(0, 2**63 - 1),
    st.text(max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_scale_samples_come_back_bit_for_bit(grams: np.ndarray, time_ns: int, device: str) -> None:
    batch = ScaleBatch("a_b-1", time_ns, 19.97, grams, device, 7, 2**40)
    codec = codec_for(ScaleBatch)
    assert same(codec.decode(codec.encode(batch)), batch)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_pixels_keep_ids_and_depths(identity: int, height: int, width: int) -> None:
    pixels = TruthPixels(
        "c", 5, np.full((height, width), identity, np.int32), np.full((height, width), 2.5, np.float16)
    )
    codec = codec_for(TruthPixels)
    assert same(codec.decode(codec.encode(pixels)), pixels)


def test_video_is_what_foxglove_writes_itself() -> None:
    foxglove = pytest.importorskip("foxglove.messages")
    packet = VideoPacket("cam-a", START_NS + 123_456_789, b"\0\0\0\1\x65picture", True)
    codec = codec_for(VideoPacket)
    seconds, nanos = divmod(packet.time_ns, 1_000_000_000)
    theirs = foxglove.CompressedVideo(
        timestamp=foxglove.Timestamp(seconds, nanos), frame_id="cam-a", data=packet.data, format="h264"
    )
    assert codec.encode(packet) == theirs.encode()
    assert codec.decode(theirs.encode()) == packet
    schema = foxglove.CompressedVideo.get_schema()
    assert (schema.name, schema.encoding, bytes(schema.data)) == (
        codec.schema.name,
        codec.schema.encoding,
        codec.schema.data,
    )


def test_damaged_bytes_raise_value_error() -> None:
    for kind in (VideoPacket, ScaleBatch, TruthPixels):
        with pytest.raises(ValueError):
            codec_for(kind).decode(b"\xff\x00 not a message")


@pytest.mark.parametrize(
    ("nals", "key"),
    [((7, 8, 5), True), ((1,), False), ((9, 1), False), ((9, 7, 8, 6, 5), True), ((7, 8), False), ((), False)],
)
def test_key_frames_are_told_by_their_first_slice(nals: tuple[int, ...], key: bool) -> None:
    assert is_keyframe(b"".join(b"\0\0\0\1" + bytes([0x60 | nal]) + b"\x80abc" for nal in nals)) is key
