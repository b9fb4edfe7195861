"""Fake cameras on real RTSP: FFmpeg reads what was sent, dated as it was taken, past passwords and unplugging."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaisle.messages import NANOSECONDS, VideoFrame, VideoPacket
from openaisle.recording.video import Decoder, Encoder
from openaisle.sensors.camera import CameraReader, CameraWord
from openaisle.sim.hardware.rtp import MTU_BYTES, RtpStream, nal_units, rtp_time
from openaisle.sim.hardware.rtsp import RtspServer
from openaisle.store.schema import CameraSpec
from tests.tokens.corner import HEIGHT_PX, WIDTH_PX, corner_store

PERIOD_NS = NANOSECONDS // 5
PATIENCE_S = 90.0
CAMERA = corner_store().spec.cameras[0]


def packets(count: int, start_ns: int, size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)) -> Iterator[VideoPacket]:
    """Noise at 5 Hz, coded."""
    rng = np.random.Generator(np.random.PCG64(1))
    encoder = Encoder("a")
    for number in range(count):
        rgb = rng.normal(90, 20, (*size, 3)).clip(0, 255).astype(np.uint8)
        yield encoder.encode(VideoFrame("a", start_ns + number * PERIOD_NS, rgb))


@given(
    st.lists(st.binary(min_size=1, max_size=3 * MTU_BYTES).map(lambda b: b"\x65" + b.replace(b"\0", b"\1")), min_size=1)
)
def test_a_picture_comes_out_of_its_packets_as_it_went_in(units: list[bytes]) -> None:
    parts = RtpStream(7).picture(b"".join(b"\0\0\0\1" + unit for unit in units), 10**18)
    assert [part[1] >> 7 for part in parts] == [0] * (len(parts) - 1) + [1]
    assert [int.from_bytes(part[2:4], "big") for part in parts] == list(range(len(parts)))
    found: list[bytes] = []
    for part in parts:
        payload = part[12:]
        assert len(payload) <= MTU_BYTES + 2
        if payload[0] & 0x1F != 28:
            found.append(payload)
        elif payload[1] & 0x80:
            found.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]) + payload[2:])
        else:
            found[-1] += payload[2:]
    assert found == units


def test_nal_units_are_split_at_start_codes_of_either_length() -> None:
    assert nal_units(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65def") == [b"\x67ab", b"\x68c", b"\x65def"]
    assert nal_units(b"nothing") == []


@given(st.integers(0, 2**62))
def test_the_camera_s_clock_runs_at_90_khz(time_ns: int) -> None:
    assert (rtp_time(time_ns + NANOSECONDS) - rtp_time(time_ns)) % 2**32 == 90_000


@dataclass(frozen=True)
class Safe:
    """How a camera is reached: by TLS where it has a certificate, and whom its reader trusts."""

    scheme: str = "rtsp"
    context: ssl.SSLContext | None = None
    ca_file: str = ""


class Camera:
    """An RTSP server in a thread, and what one reader gets from it."""

    def __init__(self, spec: CameraSpec, user: str, password: str, credentials: str, safe: Safe | None = None) -> None:
        safe = safe or Safe()
        self.server = RtspServer(frozenset({"a"}), user, password, safe.context)
        self.loop = asyncio.new_event_loop()
        self.got: list[VideoPacket | VideoFrame | CameraWord] = []
        self.stop = Event()
        Thread(target=self.loop.run_forever, daemon=True).start()
        self.call(self.server.start())
        url = f"{safe.scheme}://{credentials}127.0.0.1:{self.server.port}/a"
        self.latest_ns = 0  # of the last picture: the clock that the reader looks at, so that a slow machine is none
        reader = CameraReader(spec, url, self.got.append, self.stop, lambda: self.latest_ns, safe.ca_file)
        self.thread = Thread(target=reader.run, daemon=True)

    def call(self, what: object) -> None:
        """Do something in the server's thread."""
        asyncio.run_coroutine_threadsafe(what, self.loop).result(PATIENCE_S)  # type: ignore[arg-type]

    def publish(self, packet: VideoPacket) -> None:
        """A picture."""
        self.latest_ns = packet.time_ns
        self.loop.call_soon_threadsafe(self.server.publish, packet)

    def pictures(self) -> list[VideoPacket]:
        """What has come."""
        return [one for one in self.got if isinstance(one, VideoPacket)]

    def words(self) -> list[str]:
        """What the reader said."""
        return [one.words for one in self.got if isinstance(one, CameraWord) and one.words]

    def send(self, until: Callable[[], bool], size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)) -> list[VideoPacket]:
        """Pictures until something is so; each waits a little for the one before it to be read."""
        sent: list[VideoPacket] = []
        end_s = time.monotonic() + PATIENCE_S
        for packet in packets(2000, self.latest_ns + NANOSECONDS, size):
            if until():
                break
            assert time.monotonic() < end_s, self.words()
            before = len(self.pictures())
            self.publish(packet)
            sent.append(packet)
            wait_s = time.monotonic() + (3.0 if before and not isinstance(self.got[-1], CameraWord) else 0.2)
            while len(self.pictures()) == before and not until() and time.monotonic() < wait_s:
                time.sleep(0.01)
        return sent


@contextmanager
def camera(
    spec: CameraSpec = CAMERA, user: str = "", password: str = "", credentials: str = "", safe: Safe | None = None
) -> Iterator[Camera]:
    """A camera that is being read."""
    one = Camera(spec, user, password, credentials, safe)
    one.publish(next(packets(1, 10**18)))  # it has looked once, so that it can be described
    one.thread.start()
    try:
        yield one
    finally:
        one.stop.set()
        one.call(one.server.stop())
        one.thread.join(PATIENCE_S)
        one.loop.call_soon_threadsafe(one.loop.stop)


def test_pictures_come_as_they_were_sent_dated_as_they_were_taken() -> None:
    with camera(user="viewer", password="see", credentials="viewer:see@") as one:
        sent = {packet.time_ns: packet for packet in one.send(lambda: len(one.pictures()) >= 12)}
        got = one.pictures()
    assert got[0].keyframe
    settled = got[6:]  # before the first sender report a picture is dated by its arrival
    assert all(packet.time_ns in sent for packet in settled)
    decoder, other = Decoder((HEIGHT_PX, WIDTH_PX)), Decoder((HEIGHT_PX, WIDTH_PX))
    first = next(i for i, packet in enumerate(got) if packet.time_ns in sent and packet.keyframe)
    for packet in got[first:]:
        mine, theirs = decoder.decode(packet), other.decode(sent[packet.time_ns])
        assert mine is not None
        assert theirs is not None
        assert (mine.rgb == theirs.rgb).all()


def test_a_camera_that_is_unplugged_is_found_again() -> None:
    with camera() as one:
        one.send(lambda: len(one.pictures()) >= 4)
        one.loop.call_soon_threadsafe(one.server.unplug, "a")
        one.send(lambda: any("404" in words for words in one.words()))
        before = len(one.pictures())
        one.loop.call_soon_threadsafe(one.server.plug, "a")
        one.send(lambda: len(one.pictures()) >= before + 4)
        assert one.pictures()[before].keyframe


def test_what_cannot_be_used_is_said_without_passwords() -> None:
    with camera(user="viewer", password="see", credentials="viewer:wrong@") as one:
        one.send(lambda: bool(one.words()))
        assert "401" in one.words()[0]
        assert "wrong" not in " ".join(one.words())
    with camera() as one:
        one.publish(next(packets(1, 10**18, (96, 96))))
        one.send(lambda: any("another shape" in words for words in one.words()), (96, 96))


def test_a_larger_picture_of_the_same_shape_is_made_to_fit() -> None:
    half = CAMERA.model_copy(update={"width_px": WIDTH_PX // 2, "height_px": HEIGHT_PX // 2})
    with camera(half) as one:
        one.send(lambda: sum(isinstance(found, VideoFrame) for found in one.got) >= 3)
        frames = [found for found in one.got if isinstance(found, VideoFrame)]
    assert frames[0].rgb.shape == (HEIGHT_PX // 2, WIDTH_PX // 2, 3)


@pytest.mark.parametrize(
    "words",
    [b"\r\n\r\n", b"DESCRIBE\r\n\r\n", b"SETUP rtsp://x/a RTSP/1.0\r\nTransport: RTP/AVP\r\n\r\n", b"$\0\0",
     b"x" * 20000, b"PLAY rtsp://x/a RTSP/1.0\r\nContent-Length: x\r\n\r\n", bytes(range(256)) * 4],
)  # fmt: skip
def test_what_strangers_say_does_not_stop_the_server(words: bytes) -> None:
    with camera() as one:
        with socket.create_connection(("127.0.0.1", one.server.port), 10) as stranger:
            stranger.sendall(words)
        one.send(lambda: len(one.pictures()) >= 1)
