"""Rerun: a recording and its timeline as a .rrd file for the Rerun viewer (viz extra); video stays encoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from openaisle.errors import MissingExtraError
from openaisle.messages import ScaleBatch, VideoPacket
from openaisle.receipts.pricing import Receipt
from openaisle.receipts.render import money
from openaisle.recording.reader import Recording
from openaisle.view import ink
from openaisle.view.plan import footprint
from openaisle.view.timeline import FLOOR, HEAD, LEFT, RIGHT, Timeline

if TYPE_CHECKING:
    import rerun

CLOCK = "store_time"
BODY_STEP_NS = 100_000_000


def write_rerun(recording: Recording, timeline: Timeline, out: Path) -> None:
    """Write cameras, scales, the plan, people and receipts; raises MissingExtraError without the viz extra."""
    try:
        import rerun as rr
    except ImportError as error:
        raise MissingExtraError("rerun-sdk", "viz") from error
    stream = rr.RecordingStream("openaisle")
    stream.save(str(out))
    _store(stream, timeline)
    _sensors(stream, recording)
    _people(stream, recording, timeline)
    stream.flush()


def _store(stream: rerun.RecordingStream, timeline: Timeline) -> None:
    import rerun as rr

    spec = timeline.store.spec
    floor = [(x, y, 0.0) for x, y in (*spec.floor_m, spec.floor_m[0])]
    stream.log("store", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    stream.log("store/floor", rr.LineStrips3D([floor]), static=True)
    for fixture in spec.fixtures:
        low = footprint(fixture)
        high = low + np.array([0.0, 0.0, fixture.height_m])
        posts = [np.stack([a, b]) for a, b in zip(low, high, strict=True)]
        rings = [np.concatenate([ring, ring[:1]]) for ring in (low, high)]
        stream.log(f"store/{fixture.id}", rr.LineStrips3D([*rings, *posts], colors=[fixture.colour]), static=True)
    for camera in timeline.store.cameras:
        pose = camera.world_from_camera
        path = f"store/cameras/{camera.id}"
        stream.log(path, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]), static=True)
        size = [camera.width_px, camera.height_px]
        stream.log(path, rr.Pinhole(image_from_camera=camera.matrix, resolution=size), static=True)
        stream.log(path, rr.VideoStream(codec=rr.VideoCodec.H264), static=True)


def _sensors(stream: rerun.RecordingStream, recording: Recording) -> None:
    import rerun as rr

    for message in recording.messages(decode=False):
        stream.set_time(CLOCK, timestamp=np.datetime64(message.time_ns, "ns"))
        if isinstance(message, VideoPacket):
            stream.log(f"store/cameras/{message.camera}", rr.VideoStream.from_fields(sample=message.data))
        elif isinstance(message, ScaleBatch):
            times = message.time_ns + (np.arange(len(message.grams)) * (1e9 / message.rate_hz)).astype(np.int64)
            column = rr.TimeColumn(CLOCK, timestamp=times.astype("datetime64[ns]"))
            stream.send_columns(f"scales/{message.scale}", [column], rr.Scalars.columns(scalars=message.grams))


def _people(stream: rerun.RecordingStream, recording: Recording, timeline: Timeline) -> None:
    import rerun as rr

    symbols, visits = timeline.symbols(), timeline.visits
    said: dict[str, Receipt] = {}
    for time_ns in range(recording.start_ns, recording.end_ns, BODY_STEP_NS):
        stream.set_time(CLOCK, timestamp=np.datetime64(time_ns, "ns"))
        bodies = timeline.bodies_at(time_ns)
        bones = [body.points_m[[FLOOR, HEAD]] for body in bodies]
        bones += [body.points_m[[HEAD, hand]] for body in bodies for hand in (LEFT, RIGHT)]
        colours = [ink.visit_colour(visits.index(body.visit) if body.visit in visits else -1) for body in bodies]
        arms = [colour for colour in colours for _ in (LEFT, RIGHT)]
        stream.log("store/people", rr.LineStrips3D(bones, colors=[*colours, *arms], radii=0.02))
        for receipt in timeline.receipts_at(time_ns):
            if said.get(receipt.visit) is not receipt:
                said[receipt.visit] = receipt
                text = rr.TextDocument(receipt_text(receipt, symbols[receipt.visit]), media_type="text/markdown")
                stream.log(f"receipts/{symbols[receipt.visit]}", text)


def receipt_text(receipt: Receipt, symbol: str) -> str:
    """A receipt as Markdown."""
    lines = [f"{line.quantity} × {line.name}  {money(line.total_cents, receipt.currency)}" for line in receipt.lines]
    return "\n\n".join([f"# {symbol} {money(receipt.total_cents, receipt.currency)}", *lines])
