"""A picture in, a packet out, the same picture back; the same bytes every time."""

from __future__ import annotations

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch, VideoFrame, VideoPacket
from openaisle.recording.video import KEYFRAME_NS, Decoder, Encoder, through_h264
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store
from tests.receipts.shops import shop
from tests.recording.scenes import START_NS, picture


def _frames(count: int, width: int = 64, height: int = 48) -> list[VideoFrame]:
    times = [START_NS + i * NANOSECONDS // 5 for i in range(count)]
    return [VideoFrame("c", t, picture(t, width, height)) for t in times]


def _encode(frames: list[VideoFrame]) -> list[VideoPacket]:
    encoder = Encoder("c", 5.0)
    return [encoder.encode(frame) for frame in frames]


@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_pictures_come_back_at_once_and_nearly_the_same(size: tuple[int, int]) -> None:
    frames = _frames(25, *size)
    decoder = Decoder((size[1], size[0]))
    for frame, packet in zip(frames, _encode(frames), strict=True):
        back = decoder.decode(packet)
        assert back is not None
        assert back.time_ns == frame.time_ns
        assert back.rgb.shape == frame.rgb.shape
        assert np.abs(back.rgb.astype(int) - frame.rgb).mean() < 6


def test_key_frames_every_two_seconds_each_with_parameter_sets() -> None:
    packets = _encode(_frames(31))
    assert [i for i, p in enumerate(packets) if p.keyframe] == [0, 10, 20, 30]
    assert KEYFRAME_NS == 2 * NANOSECONDS
    for packet in packets:
        nals = [part[0] & 0x1F for part in packet.data.split(b"\0\0\1")[1:]]
        assert nals[-1] == (5 if packet.keyframe else 1)
        assert ({7, 8} <= set(nals)) == packet.keyframe


def test_the_same_pictures_give_the_same_bytes() -> None:
    assert _encode(_frames(15)) == _encode(_frames(15))


def test_a_forced_key_frame_starts_a_stream_of_its_own() -> None:
    frames, encoder, decoder = _frames(8), Encoder("c"), Decoder()
    for frame in frames[:4]:
        encoder.encode(frame)
    encoder.force_keyframe()
    packets = [encoder.encode(frame) for frame in frames[4:]]
    assert [p.keyframe for p in packets] == [True, False, False, False]
    assert all(decoder.decode(p) is not None for p in packets)


def test_decoding_waits_for_a_key_frame_and_outlives_damage() -> None:
    packets = _encode(_frames(25))
    decoder = Decoder()
    assert decoder.decode(packets[3]) is None
    assert decoder.decode(packets[10]) is not None
    broken = VideoPacket("c", packets[11].time_ns, b"\0\0\0\1\x65" + b"\xff" * 5, True)
    assert decoder.decode(broken) is None
    assert decoder.decode(packets[12]) is None
    assert decoder.decode(packets[20]) is not None
    assert decoder.skipped == 3


def test_a_camera_may_change_its_size_and_repeat_a_time() -> None:
    encoder, decoder = Encoder("c"), Decoder()
    small, large = _frames(1)[0], _frames(1, 96, 64)[0]
    shapes = []
    for frame in (small, small, large):
        back = decoder.decode(encoder.encode(frame))
        assert back is not None
        shapes.append(back.rgb.shape)
    assert shapes == [(48, 64, 3), (48, 64, 3), (64, 96, 3)]


def store_with_camera() -> Store:
    camera = CameraSpec(
        id="c1", width_px=64, height_px=48, fx_px=50, fy_px=50, cx_px=32, cy_px=24, position_m=(1, 1, 3),
        look_at_m=(1, 1, 0),
    )  # fmt: skip
    return Store(shop().model_copy(update={"cameras": (camera,)}), (), ())


def test_pictures_pass_the_codec_and_everything_else_passes_by() -> None:
    columns = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.broadcast_to(columns[None, :, None], (48, 64, 3)).copy()
    grams = ScaleBatch("s1", 0, 20.0, np.zeros(10, dtype=np.float32))
    sent: list[Message] = [
        VideoFrame("c1", 0, picture),
        grams,
        VideoFrame("c1", 200, picture),
        GateEvent("g", 300, "exit"),
    ]
    got = list(through_h264(iter(sent), store_with_camera()))
    assert [type(message) for message in got] == [type(message) for message in sent]
    assert got[1] is grams
    first = got[0]
    assert isinstance(first, VideoFrame)
    assert first.rgb.shape == picture.shape
    gap = np.abs(first.rgb.astype(int) - picture.astype(int))
    assert 0 < gap.mean() < 8  # lossy, but the same picture
