"""Video: one camera's pictures to H.264 packets and back, a packet for a picture, nothing held back.

Constrained baseline, no B-frames, no look-ahead, SPS/PPS before every key frame, Annex B, one thread: the same
pictures give the same bytes. A key frame comes at the first picture, every 2 s of stream time and on request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from openaisle.messages import NANOSECONDS, GateEvent, Message, ScaleBatch, SensorState, VideoFrame, VideoPacket
from openaisle.recording.codec import is_keyframe
from openaisle.store.store import Store

KEYFRAME_NS = 2 * NANOSECONDS  # a seek decodes at most this much before its target
# Measured at 320x240 on one core: ultrafast 1,400-2,100 pictures/s with conversion, veryfast 680-1,050.
PRESET = "ultrafast"
CRF = 28  # keeps the edges and drops most of the noise: nearer to the noise-free picture than the input, 4 kB a picture
_TICKS_PER_S = 90_000  # time base of the encoder only; exact times travel in the messages


@dataclass(slots=True)
class Encoder:
    """H.264 encoder of one camera; give frames in time order.

    Odd sizes are padded by one repeated row or column (4:2:0 needs even ones); the decoder crops when told the size.
    """

    camera: str
    fps: float = 5.0
    preset: str = PRESET
    crf: int = CRF
    _context: VideoCodecContext | None = None
    _size: tuple[int, int] = (0, 0)
    _last_key_ns: int | None = None
    _first_ns: int = 0
    _last_pts: int = -1
    _force: bool = False

    def force_keyframe(self) -> None:
        """Make the next picture a key frame (a new file starts)."""
        self._force = True

    def encode(self, frame: VideoFrame) -> VideoPacket:
        """Encode rgb uint8 [H, W, 3]; a change of size starts a new sequence with its own key frame."""
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.shape[2:] == (3,)
        height, width = frame.rgb.shape[:2]
        if self._context is None or self._size != (height, width):
            self._open(height, width, frame.time_ns)
        assert self._context is not None
        picture = av.VideoFrame.from_ndarray(_yuv(frame.rgb), format="yuv420p")
        # The encoder wants strictly growing times; a late picture keeps its true time in the message.
        pts = max(self._last_pts + 1, (frame.time_ns - self._first_ns) * _TICKS_PER_S // NANOSECONDS)
        picture.pts, self._last_pts = pts, pts
        key = self._force or self._last_key_ns is None or frame.time_ns - self._last_key_ns >= KEYFRAME_NS
        if key:
            picture.pict_type = PictureType.I
            self._last_key_ns, self._force = frame.time_ns, False
        packets = self._context.encode(picture)
        assert len(packets) == 1, "zero latency: one packet for a picture"
        data = bytes(packets[0])
        return VideoPacket(self.camera, frame.time_ns, data, is_keyframe(data))

    def _open(self, height: int, width: int, time_ns: int) -> None:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = width + width % 2, height + height % 2
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, _TICKS_PER_S)
        context.framerate = Fraction(self.fps).limit_denominator(1000)
        context.thread_count = 1
        context.options = {
            "preset": self.preset,
            "tune": "zerolatency",
            "crf": str(self.crf),
            "forced-idr": "1",
            "x264-params": "repeat-headers=1:annexb=1:scenecut=0:keyint=infinite",
        }
        self._context, self._size = context, (height, width)
        self._last_key_ns, self._first_ns, self._last_pts = None, time_ns, -1


@dataclass(slots=True)
class Decoder:
    """H.264 decoder of one camera; packets before the first key frame give nothing."""

    size: tuple[int, int] | None = None  # (height, width) to crop to; None = as coded
    skipped: int = 0  # packets that gave no picture: no key frame yet, or damaged
    _context: VideoCodecContext | None = field(default=None)

    def decode(self, packet: VideoPacket) -> VideoFrame | None:
        """The picture of a packet, rgb uint8 [H, W, 3], or None when it cannot be decoded (yet)."""
        if self._context is None:
            if not packet.keyframe:
                self.skipped += 1
                return None
            self._context = _new_decoder()
        try:
            pictures = self._context.decode(av.Packet(packet.data))
        except FFmpegError:
            pictures = []
        if len(pictures) != 1:
            self.skipped += 1
            self._context = None  # wait for the next key frame rather than show smeared pictures
            return None
        yuv = pictures[0]
        if yuv.format.name != "yuv420p":  # a camera of another make
            return VideoFrame(packet.camera, packet.time_ns, yuv.reformat(format="rgb24").to_ndarray().astype(np.uint8))
        rgb = cv2.cvtColor(yuv.to_ndarray(), cv2.COLOR_YUV2RGB_I420)
        if self.size is not None and rgb.shape[:2] != self.size:
            rgb = np.ascontiguousarray(rgb[: self.size[0], : self.size[1]])
        return VideoFrame(packet.camera, packet.time_ns, np.asarray(rgb, dtype=np.uint8))


def through_h264(
    messages: Iterable[Message], store: Store
) -> Iterator[VideoFrame | ScaleBatch | GateEvent | SensorState]:
    """The same stream with every picture encoded and decoded, as a camera and a recording would do."""
    encoders = {camera.id: Encoder(camera.id, camera.fps) for camera in store.spec.cameras}
    decoders = {camera.id: Decoder((camera.height_px, camera.width_px)) for camera in store.spec.cameras}
    for message in messages:
        if isinstance(message, VideoFrame):
            frame = decoders[message.camera].decode(encoders[message.camera].encode(message))
            if frame is not None:
                yield frame
        else:
            assert not isinstance(message, VideoPacket), "a simulated store sends pictures"
            yield message


def _new_decoder() -> VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1  # threads would hold pictures back
    return context


def _yuv(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """I420 planes, uint8 [1.5 H, W], BT.601 limited range, H and W padded to even."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
