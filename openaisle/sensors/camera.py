"""Camera: one camera's pictures by PyAV, for as long as told: RTSP(S) over TCP, a film that plays in a loop, or USB.

H.264 of the size in store.yaml passes as it is; anything else comes as pictures, to be encoded anew. A connection that
fails or is silent is made again, at growing intervals. A picture is dated by the camera's own clock where it tells it
(RTCP sender reports), corrected where that is wrong (clock.py), and by its arrival where it does not.
"""

from __future__ import annotations

import errno
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from urllib.parse import urlsplit

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, VideoFrame, VideoPacket
from openaisle.sensors.clock import TRUST_NS, SensorClock
from openaisle.store.schema import CameraSpec

OPEN_S, READ_S = 5.0, 3.0  # longest waits for a connection and for a picture
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 4.0  # before the next try
LOOK_NS = NANOSECONDS  # between two looks at whether a picture is live; key frames come every 2 s at best
LOOKS = 20  # whose changes are remembered
STILL = 0.8  # of the least change. Simulated cameras: 0.97 and more when live, 0.74 and less when frozen
DIM_NS = 30 * NANOSECONDS
MILLISECOND_NS = 1_000_000  # finer than any camera's clock is right
DEVICES = "/dev/"
RTSP_OPTIONS = {"rtsp_transport": "tcp", "analyzeduration": "500000", "probesize": "32768"}
ASPECT = 0.01  # a picture is scaled to the store's size when its shape is this near
SPS = 7


@dataclass(frozen=True, slots=True)
class CameraWord:
    """What a camera's reader says beside pictures: "" and 0 = all is well again."""

    camera: str
    words: str = ""
    frozen_ns: int = 0  # since when it repeats its picture


Put = Callable[["VideoPacket | VideoFrame | CameraWord"], None]


@dataclass
class CameraReader:
    """One camera."""

    spec: CameraSpec
    url: str
    put: Put
    stop: Event
    clock: Callable[[], int] = time.time_ns
    ca_file: str = ""  # authority that an rtsps:// camera's certificate must be signed by; "" = it is not checked
    _still: Stillness = field(init=False)
    _dates: _Dates = field(init=False)

    @property
    def offset_ns(self) -> int:
        """By how much the camera's clock is behind ours, about; 0 while it tells no time."""
        return self._dates.offset_ns

    def __post_init__(self) -> None:
        self._still, self._dates = Stillness(), _Dates(self.spec, is_rtsp(self.url), self.clock)

    def run(self) -> None:
        """Read until told to stop."""
        wait_s = FIRST_WAIT_S
        while not self.stop.is_set():
            pictures, words = 0, ""
            try:
                with _open(self.url, self.spec, self.ca_file) as container:
                    for message in self._messages(container):
                        self.put(message)
                        pictures += 1
                        if self.stop.is_set():
                            return
            except (FFmpegError, OSError) as error:
                words = f"{shown(self.url)}: {explained(self.url, error, self.ca_file)}"
            except _UnfitError as error:
                words = str(error)
            wait_s = FIRST_WAIT_S if pictures else min(2 * wait_s, LONGEST_WAIT_S)
            self.put(CameraWord(self.spec.id, words or f"{shown(self.url)}: the connection ended"))
            self.stop.wait(wait_s)

    def _messages(self, container: InputContainer) -> Iterator[VideoPacket | VideoFrame | CameraWord]:
        if not container.streams.video:
            raise _UnfitError(f"{shown(self.url)}: no video in it")
        stream = container.streams.video[0]
        self._still = Stillness()
        self._dates = _Dates(self.spec, is_rtsp(self.url), self.clock)
        paced = not is_rtsp(self.url) and not self.url.startswith(DEVICES)
        yield CameraWord(self.spec.id)
        frozen_ns = 0
        for message in _passed(self, container, stream) if self._fits(stream) else _coded(self, container, stream):
            if paced:
                self.stop.wait(max(0.0, (message.time_ns - self.clock()) / NANOSECONDS))
            yield message
            if self._still.frozen_ns != frozen_ns:
                frozen_ns = self._still.frozen_ns
                yield CameraWord(self.spec.id, "it repeats its picture" if frozen_ns else "", frozen_ns)

    def _fits(self, stream: VideoStream) -> bool:
        """Whether packets can pass as they are."""
        context = stream.codec_context
        size, wanted = (context.width, context.height), (self.spec.width_px, self.spec.height_px)
        if not all(size):
            raise _UnfitError(f"{shown(self.url)}: it does not say how large its pictures are")
        if abs(size[0] * wanted[1] / (size[1] * wanted[0]) - 1) > ASPECT:
            what = f"its pictures are {size[0]}x{size[1]}, those of store.yaml {wanted[0]}x{wanted[1]}"
            raise _UnfitError(f"{shown(self.url)}: {what}: another shape needs another calibration")
        return context.name == "h264" and size == wanted and not context.has_b_frames


class _UnfitError(Exception):
    """A camera that works and cannot be used."""


def shown(url: str) -> str:
    """A camera's address without its password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def is_rtsp(url: str) -> bool:
    """Whether it is a network camera."""
    return url.lower().startswith(("rtsp://", "rtsps://"))


def explained(url: str, error: FFmpegError | OSError, ca_file: str = "") -> str:
    """Why a camera cannot be read, with what to do where we know it."""
    said = error.strerror or type(error).__name__
    if url.startswith(DEVICES):
        fix = {
            errno.ENOENT: "is it plugged in? `ls /dev/video*` lists those that are",
            errno.ENODEV: "is it plugged in? `ls /dev/video*` lists those that are",
            errno.EACCES: "this account may not; add it to the group `video`",
            errno.EBUSY: "another program has it",
            errno.ENOTTY: "it is not a camera",
        }.get(error.errno or 0)
        return f"{said}: {fix}" if fix else said
    if url.lower().startswith("rtsps://") and error.errno == errno.EIO:
        known = f"its certificate is not signed by {ca_file} for this address, or " if ca_file else ""
        return f"{said}: {known}it does not speak TLS there"
    if not is_rtsp(url) and error.errno == errno.ENOENT:
        return f"{said}: paths in sensors.yaml are beside it"
    return said


def _open(url: str, spec: CameraSpec, ca_file: str) -> InputContainer:
    if is_rtsp(url):
        options = {**RTSP_OPTIONS, **({"tls_verify": "1", "ca_file": ca_file} if ca_file else {})}
        return av.open(url, options=options, timeout=(OPEN_S, READ_S))
    if url.startswith(DEVICES):
        options = {"video_size": f"{spec.width_px}x{spec.height_px}", "framerate": str(spec.fps)}
        return av.open(url, format="v4l2", options=options, timeout=(OPEN_S, READ_S))
    return av.open(url)


def _passed(reader: CameraReader, container: InputContainer, stream: VideoStream) -> Iterator[VideoPacket]:
    """Packets as they are; key frames with their parameter sets."""
    sets, started = _annex_b_sets(stream.codec_context), False
    annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream) if not is_rtsp(reader.url) else None
    for raw in container.demux(stream):
        for packet in annex_b.filter(raw) if annex_b is not None and raw.size else [raw]:
            if packet.pts is None or packet.time_base is None or not packet.size:
                continue
            data, key = bytes(packet), packet.is_keyframe
            started = started or key
            if not started:
                continue
            if key and not _has_sets(data):
                data = sets + data
            stamp_ns = round(packet.pts * packet.time_base * NANOSECONDS)
            wall = bytes(packet.get_sidedata("prft")) if packet.has_sidedata("prft") else b""
            time_ns = reader._dates.date(stamp_ns, wall)
            if key:
                reader._still.see_packet(data, time_ns)
            yield VideoPacket(reader.spec.id, time_ns, data, key)


def _coded(reader: CameraReader, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Pictures of a stream that cannot pass, in the store's size."""
    size = {"width": reader.spec.width_px, "height": reader.spec.height_px}
    for packet in container.demux(stream):
        wall = bytes(packet.get_sidedata("prft")) if packet.has_sidedata("prft") else b""
        for picture in stream.codec_context.decode(packet if packet.size else None):
            if picture.pts is None or picture.time_base is None:
                continue
            time_ns = reader._dates.date(round(picture.pts * picture.time_base * NANOSECONDS), wall)
            rgb = np.ascontiguousarray(picture.reformat(format="rgb24", **size).to_ndarray()).astype(np.uint8)
            reader._still.see(rgb[:, :, 1], time_ns)
            yield VideoFrame(reader.spec.id, time_ns, rgb)


@dataclass
class _Dates:
    """When pictures were taken."""

    spec: CameraSpec
    network: bool
    clock: Callable[[], int]
    _wall: SensorClock = field(init=False)
    _count: SensorClock = field(default_factory=lambda: SensorClock(trust_ns=0))
    _last: tuple[int, int] | None = None  # stamp and wall time of the last picture
    _began_ns: int | None = None

    def __post_init__(self) -> None:
        # FFmpeg hands a picture of a network camera out when the next one begins.
        self.behind_ns = round(NANOSECONDS / self.spec.fps) if self.network else 0
        self._wall = SensorClock(trust_ns=TRUST_NS + self.behind_ns)

    @property
    def offset_ns(self) -> int:
        """Of the camera's clock, less what FFmpeg waits."""
        return self._wall.offset_ns - self.behind_ns if self._last is not None else 0

    def date(self, stamp_ns: int, wall: bytes) -> int:
        """UTC of a picture by its presentation time and, where there is one, its producer's reference time."""
        now_ns = self.clock()
        if not self.network:
            if self._began_ns is None:
                self._began_ns = now_ns - stamp_ns
            return _rounded(self._began_ns + stamp_ns)
        counted_ns = self._count.utc(stamp_ns, stamp_ns, now_ns - self.behind_ns)
        if len(wall) < 8:
            return _rounded(counted_ns)
        wall_ns = 1000 * int(struct.unpack_from("<q", wall)[0])
        expected_ns = None if self._last is None else self._last[1] + stamp_ns - self._last[0]
        self._last = stamp_ns, wall_ns
        return _rounded(self._wall.utc(wall_ns, wall_ns, now_ns, expected_ns))


def _rounded(time_ns: int) -> int:
    return (time_ns + MILLISECOND_NS // 2) // MILLISECOND_NS * MILLISECOND_NS


@dataclass
class Stillness:
    """Notices a picture that is repeated: the noise of a live one changes every key frame.

    Frozen is what equals the look before it to the last bit, or differs from it by clearly less than any of the last
    looks did: an encoder that is fed one picture over and over takes some key frames to settle. A light that goes out
    does the same to a live picture; so the second sign counts for half a minute at most.
    """

    frozen_ns: int = 0  # since when, 0 = it is live
    _before: NDArray[np.uint8] | None = None
    _time_ns: int = 0
    _changes: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))
    _decoder: VideoCodecContext | None = None

    def see_packet(self, data: bytes, time_ns: int) -> None:
        """A key frame, coded."""
        if time_ns - self._time_ns < LOOK_NS:
            return
        try:
            if self._decoder is None:
                self._decoder = _decoder()
            for picture in self._decoder.decode(av.Packet(data)):
                self.see(picture.reformat(format="gray").to_ndarray().astype(np.uint8), time_ns)
        except FFmpegError:
            self._decoder = None

    def see(self, grey: NDArray[np.uint8], time_ns: int) -> None:
        """A picture, uint8 [H, W]; looked at once a second at most."""
        if time_ns - self._time_ns < LOOK_NS:
            return
        before, since_ns, look = self._before, self._time_ns, grey[::2, ::2]
        self._before, self._time_ns = look, time_ns
        if before is None or before.shape != look.shape:
            return
        change = float(np.abs(look.astype(np.int16) - before).mean())
        least = min(self._changes) if len(self._changes) >= LOOKS // 4 else 0.0
        still = change == 0.0 or (change < STILL * least and time_ns - (self.frozen_ns or time_ns) < DIM_NS)
        if still:
            self.frozen_ns = self.frozen_ns or since_ns
            return
        if self.frozen_ns and time_ns - self.frozen_ns >= DIM_NS:
            self._changes.clear()
        self.frozen_ns = 0
        self._changes.append(change)


def _decoder() -> VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1  # threads would hold pictures back
    return context


def _annex_b_sets(context: VideoCodecContext) -> bytes:
    extra = context.extradata or b""
    return extra if extra.startswith((b"\0\0\0\1", b"\0\0\1")) else b""


def _has_sets(data: bytes) -> bool:
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        kind = data[at + 3] & 0x1F
        if kind in (1, 5):
            return False
        if kind == SPS:
            return True
        at = data.find(b"\0\0\1", at + 3)
    return False
