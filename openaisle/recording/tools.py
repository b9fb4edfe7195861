"""Tools: what `aisle recording` does with a recording: say what is in it, check it, mend it, cut it, show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from openaisle.errors import Problem, RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, TruthLane, VideoFrame, VideoPacket
from openaisle.recording.codec import Recorded, topic_of
from openaisle.recording.files import Logged
from openaisle.recording.manifest import MANIFEST, Manifest, problem
from openaisle.recording.pictures import contact_sheet as contact_sheet
from openaisle.recording.pictures import export_mp4 as export_mp4
from openaisle.recording.reader import Recording, open_recording
from openaisle.recording.recover import Recovered as Recovered
from openaisle.recording.recover import recover as recover
from openaisle.recording.video import Decoder
from openaisle.recording.writer import whole_recording
from openaisle.store.store import Store

GAP_INTERVALS = 2.5  # a camera that is silent for longer than this many frame intervals has a gap


@dataclass(slots=True)
class StreamInfo:
    """One topic: how many messages, when (their own times), how many bytes of pictures or samples."""

    topic: str
    type: str
    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0
    amount: int = 0  # bytes of video, samples of scales, messages of the rest
    gaps: list[str] = field(default_factory=list)  # what is missing or doubled, in words

    @property
    def rate_hz(self) -> float:
        """Messages per second between the first and the last, 0 for fewer than two."""
        span = self.last_ns - self.first_ns
        return (self.messages - 1) * NANOSECONDS / span if span > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Info:
    """What a recording holds."""

    folder: Path
    manifest: Manifest
    seconds: float
    bytes: int
    streams: tuple[StreamInfo, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """Problems make a recording unusable or untrue; remarks (gaps, late messages) are part of a real day."""

    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]


def info(folder: Path | str) -> Info:
    """Read a recording through and sum it up. Raises RecordingError."""
    recording = open_recording(folder)
    watch = _Watch(recording.store)
    for logged in _all(recording):
        watch.see(logged.message)
    manifest = recording.manifest
    return Info(
        recording.folder,
        manifest,
        (manifest.end_ns - manifest.start_ns) / NANOSECONDS,
        sum(entry.bytes for entry in manifest.files),
        tuple(watch.streams[topic] for topic in sorted(watch.streams)),
    )


def verify(folder: Path | str) -> Verified:
    """Check sums, CRCs, counts, ids and continuity; never raises for what is wrong inside a recording."""
    try:
        recording = open_recording(folder)
        watch = _Watch(recording.store)
        for logged in _all(recording):
            watch.see(logged.message)
    except RecordingError as error:
        return Verified(error.problems, ())
    problems = [
        Problem(
            str(recording.folder), topic, "its sensor is not in the recording's store", "record again, or mend store/"
        )
        for topic in sorted(watch.unknown)
    ]
    expected = sum(entry.messages for entry in recording.manifest.files)
    seen = sum(stream.messages for stream in watch.streams.values())
    if seen != expected:
        what = f"{seen} messages in the files, {expected} in the manifest"
        problems.append(Problem(str(recording.folder / MANIFEST), "files", what, "run `aisle recording recover`"))
    remarks = [f"{s.topic}: {gap}" for s in watch.streams.values() for gap in s.gaps]
    remarks += [f"{topic}: {count} refused by the writer" for topic, count in recording.manifest.dropped.items()]
    return Verified(tuple(problems), tuple(remarks))


def cut(folder: Path | str, out: Path | str, start_ns: int, end_ns: int) -> Manifest:
    """Copy what lies in start <= log time < end into a new recording, truth included.

    Packets are copied as they are; only the pictures between the start and a camera's next key frame are coded anew.
    What lay in the lanes at the start is said again. Raises RecordingError when nothing would remain.
    """
    recording = open_recording(folder)
    if end_ns <= start_ns or start_ns > recording.end_ns or end_ns <= recording.start_ns:
        span = f"{recording.start_ns}..{recording.end_ns}"
        raise problem(folder, f"{start_ns}..{end_ns}", "nothing lies in this span", f"choose one within {span}")
    with whole_recording(out, recording.store, origin=recording.manifest.origin, pixels=True) as writer:
        for message in _cut_sensors(recording, start_ns, end_ns):
            writer.write(message)
        lanes: dict[str, TruthLane] = {}
        for truth in recording.truth(None, start_ns):
            if isinstance(truth, TruthLane):
                lanes[truth.lane] = truth
        for lane in lanes.values():
            writer.write(replace(lane, time_ns=start_ns))
        for truth in recording.truth(start_ns, end_ns):
            writer.write(truth)
    return writer.manifest


def _cut_sensors(
    recording: Recording, start_ns: int, end_ns: int
) -> Iterator[VideoPacket | VideoFrame | ScaleBatch | GateEvent]:
    decoders: dict[str, Decoder | None] = {}  # None: the camera has met its key frame, packets pass as they are
    for logged in recording.logged("sensors", recording.key_before(start_ns), end_ns):
        message = logged.message
        wanted = logged.log_ns >= start_ns
        if isinstance(message, VideoPacket):
            decoder = decoders.setdefault(message.camera, Decoder())
            if wanted and message.keyframe:
                decoders[message.camera] = decoder = None
            picture = message if decoder is None else decoder.decode(message)
            if wanted and picture is not None:
                yield picture
        elif wanted and isinstance(message, ScaleBatch | GateEvent):
            yield message


def _all(recording: Recording) -> Iterator[Logged]:
    yield from recording.logged("sensors")
    yield from recording.logged("truth")


class _Watch:
    """Follows every stream of a recording: counts, gaps, doubles, unknown sensors."""

    def __init__(self, store: Store) -> None:
        self.streams: dict[str, StreamInfo] = {}
        self.unknown: set[str] = set()
        self._interval_ns = {camera.id: NANOSECONDS / camera.fps for camera in store.spec.cameras}
        self._scales = {scale.id for scale in store.spec.scales}
        self._gates = {gate.id for gate in store.spec.gates}
        self._batches: dict[str, ScaleBatch] = {}

    def see(self, message: Recorded) -> None:
        """Count one message."""
        topic = topic_of(message)
        stream = self.streams.get(topic)
        if stream is None:
            stream = self.streams[topic] = StreamInfo(topic, type(message).__name__, first_ns=message.time_ns)
        elif message.time_ns < stream.last_ns:
            stream.gaps.append(f"a message came {(stream.last_ns - message.time_ns) / 1e9:.3f} s late")
        match message:
            case VideoPacket():
                self._video(stream, message)
            case ScaleBatch():
                self._scale(stream, message)
            case GateEvent():
                stream.amount += 1
                if message.gate not in self._gates:
                    self.unknown.add(f"{topic} {message.gate}")
            case _:
                stream.amount += 1
        stream.messages += 1
        stream.last_ns = max(stream.last_ns, message.time_ns)

    def _video(self, stream: StreamInfo, packet: VideoPacket) -> None:
        stream.amount += len(packet.data)
        interval = self._interval_ns.get(packet.camera)
        if interval is None:
            self.unknown.add(stream.topic)
        elif stream.messages and packet.time_ns - stream.last_ns > GAP_INTERVALS * interval:
            stream.gaps.append(f"silent for {(packet.time_ns - stream.last_ns) / 1e9:.3f} s")

    def _scale(self, stream: StreamInfo, batch: ScaleBatch) -> None:
        stream.amount += len(batch.grams)
        if batch.scale not in self._scales:
            self.unknown.add(stream.topic)
        before = self._batches.get(batch.scale)
        self._batches[batch.scale] = batch
        if before is None or before.boot_id != batch.boot_id:
            return
        missing = batch.seq - before.seq - 1
        if missing:
            stream.gaps.append(f"{missing} batches missing" if missing > 0 else f"batch {batch.seq} out of turn")
