"""A simulated shop as the benchmark plays it: its pictures through H.264 as in a recording, who was in when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from openaisle.messages import GateEvent, Message, ScaleBatch, TruthTick, VideoFrame, VideoPacket
from openaisle.recording.video import Decoder, Encoder
from openaisle.store.store import Store


def through_h264(messages: Iterable[Message], store: Store) -> Iterator[VideoFrame | ScaleBatch | GateEvent]:
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


def shoppers_present(ticks: Iterable[TruthTick]) -> dict[str, int]:
    """The most shoppers (staff apart) who were in the shop at once during each visit."""
    most: dict[str, int] = {}
    for tick in ticks:
        inside = [shopper.visit for shopper in tick.shoppers if not shopper.staff]
        for visit in inside:
            most[visit] = max(most.get(visit, 0), len(inside))
    return most
