"""The import of a case: find its files, read what is there, build the store, write the recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from openaisle.errors import Problem, RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch
from openaisle.recording.importers.autocheckout.cameras import Calibration, camera_spec, read_calibration
from openaisle.recording.importers.autocheckout.case import Case, Sighting
from openaisle.recording.importers.autocheckout.databases import read_archive, read_bson, read_export
from openaisle.recording.importers.autocheckout.files import Files, find
from openaisle.recording.importers.autocheckout.layout import read_layout
from openaisle.recording.importers.autocheckout.loose import read_planogram, read_plate
from openaisle.recording.importers.autocheckout.pictures import decoded, picture_streams
from openaisle.recording.importers.autocheckout.samples import batches, joined
from openaisle.recording.importers.autocheckout.shop import Shop, Surroundings, build_shop
from openaisle.recording.importers.autocheckout.units import HEAD_M, UNITS, unit_of
from openaisle.recording.importers.autocheckout.videos import Video, find_videos, on_the_plates_clock, read_mapping
from openaisle.recording.importers.plain import Imported, few
from openaisle.recording.manifest import Origin
from openaisle.recording.writer import whole_recording
from openaisle.sensors.source import merge
from openaisle.store.geometry import Float
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store

FPS = 5.0  # of recorded pictures; the network looks five times a second
LONGEST_NS = 24 * 3600 * NANOSECONDS  # between the first and the last message: a wrong clock is more
FAR_M = 50.0  # no shopper is so far away: a lost track
ONE_VISIT = "visit-1"
_PLATE_RATE_HZ = 60.0


def import_autocheckout(src: Path | str, out: Path | str, store: Store | None = None) -> Imported:
    """Write the recording `out` from a case: a folder of its files, or a dump of its database.

    Raises RecordingError with every problem found, then nothing is left of `out`; MissingExtraError for BSON without
    its library.
    """
    files = find(Path(src))
    case = Case(files.root.name if Path(src).is_dir() else Path(src).name.split(".")[0])
    _read(files, case)
    videos = _videos(files, case)
    calibration = read_calibration(files.calibration, case) if files.calibration else Calibration({})
    _check_span(case, videos, files.root)
    cameras = _cameras(case, calibration, videos, known=files.calibration is not None)
    shop = Shop(store, {}) if store is not None else _shop(files, case, calibration, list(cameras.values()))
    _raise(case)
    assert shop is not None, "a store that cannot be built is a problem"
    scales = _scales(case, shop.store)
    gates = _gates(case, shop.store, bool(cameras))
    if not scales and not cameras:
        what = "there are neither samples of the store's plates nor pictures of calibrated cameras: nothing to import"
        raise RecordingError(
            [Problem(str(src), "folder", what, "name a folder with a case's files (docs/recordings.md)")]
        )
    origin = Origin(source="imported", store=shop.store.spec.name, scenario=case.name, barcodes=shop.barcodes)
    with whole_recording(out, shop.store, origin=origin) as writer:
        for message in merge(*picture_streams(case, videos, _known(cameras, shop.store)), scales, gates):
            writer.write(message)
        _raise(case)
    return Imported(writer.manifest, (*case.remarks, *_silent(shop.store, scales)))


def _raise(case: Case) -> None:
    if case.problems:
        raise RecordingError(case.problems)


# --- what is there ------------------------------------------------------------------------------------------


def _read(files: Files, case: Case) -> None:
    for path in files.archives:
        case.name = read_archive(path, case) or case.name
    for path, collection in files.dumps:
        read_bson(path, collection, case)
    for path, collection in files.exports:
        read_export(path, collection, case)
    for path in files.planograms:
        read_planogram(path, case)
    for path in files.plates:
        read_plate(path, case)


def _videos(files: Files, case: Case) -> list[Video]:
    mapping = read_mapping(files.mapping, case) if files.mapping else {}
    plates = [(int(times.min()), int(times.max())) for chunks in case.series.values() for times, _ in chunks]
    span = (min(begin for begin, _ in plates), max(end for _, end in plates)) if plates else None
    return on_the_plates_clock(find_videos(files.films, mapping, case), span, case)


def _check_span(case: Case, videos: list[Video], root: Path) -> None:
    """One wrong digit in a time would make a recording of years."""
    times = [int(t) for chunks in case.series.values() for c in chunks for t in (c[0].min(), c[0].max())]
    times += [one.time_ns for seen in case.tracks.values() for one in seen]
    times += [time_ns for pictures in case.pictures.values() for time_ns, _ in pictures]
    times += [video.start_ns for video in videos]
    if times and max(times) - min(times) > LONGEST_NS:
        hours = (max(times) - min(times)) / NANOSECONDS / 3600
        what = f"its times span {hours:.0f} h ({min(times) / 1e9:.3f} to {max(times) / 1e9:.3f} Unix seconds)"
        case.problems.append(Problem(str(root), "times", what, "correct the clock that is off; 24 h are the most"))


# --- the store ----------------------------------------------------------------------------------------------


def _cameras(case: Case, calibration: Calibration, videos: list[Video], known: bool) -> dict[str, CameraSpec]:
    """The store's cameras by the case's names: those with pictures and a calibration."""
    sizes: dict[str, tuple[tuple[int, int], float]] = {}
    for video in videos:
        sizes.setdefault(video.camera, ((video.measured.width_px, video.measured.height_px), video.measured.fps))
    for number, pictures in case.pictures.items():
        first = next((rgb for _, data in sorted(pictures)[:5] if (rgb := decoded(data)) is not None), None)
        if first is not None:
            sizes[str(number)] = ((first.shape[1], first.shape[0]), _rate(pictures))
    out: dict[str, CameraSpec] = {}
    for name, (size, fps) in sorted(sizes.items()):
        if name in calibration.cameras:
            spec = camera_spec(name, calibration.cameras[name], size, min(FPS, fps or FPS), case)
            if spec is not None:
                out[name] = spec
    blind = sorted(set(sizes) - set(calibration.cameras))
    if blind:
        case.remarks.append(f"no calibration of camera {few(blind)}: its pictures are left out")
    dark = sorted(set(calibration.cameras) - set(sizes))
    if dark:
        case.remarks.append(f"no pictures of camera {few(dark)}")
    if not known and not sizes:
        case.remarks.append("neither pictures nor calibration: receipts come from scales alone")
    return out


def _rate(pictures: list[tuple[int, bytes]]) -> float:
    times = np.unique([time_ns for time_ns, _ in pictures])
    return float(NANOSECONDS / np.median(np.diff(times))) if len(times) > 1 else FPS


def _shop(files: Files, case: Case, calibration: Calibration, cameras: list[CameraSpec]) -> Shop | None:
    layout = read_layout(files.metadata, case)
    heads, entrances = _people(case)
    around = Surroundings(cameras, calibration.floor_m, heads, entrances)
    known = layout.plates()
    surplus = [plate for plate in case.series if plate not in known]
    named = [plate.scale for plate in surplus if np.isfinite(joined(case.series[plate])[1]).any()]
    if layout.known and named:
        case.remarks.append(f"samples of {few(sorted(named))}: the store's metadata know no such plates")
    return build_shop(case, layout, around, files.root, _PLATE_RATE_HZ)


def _people(case: Case) -> tuple[Float, Float]:
    """Where heads were, and where those who came in were seen first, metres on the floor [n, 2]."""
    none = np.zeros((0, 2))
    heads = [one.head for seen in case.tracks.values() for one in seen if one.head is not None]
    unit = unit_of([head[2] for head in heads if head[2] != 0], HEAD_M)
    if not heads:
        return none, none
    if unit is None:
        case.remarks.append("in no unit of length are the tracks' heads at a person's height: positions are left out")
        return none, none
    if unit != "inches":
        case.remarks.append(f"the tracks are in {unit}, not inches: converted")
    points = np.array([head[:2] for head in heads]) * UNITS[unit]
    low, high = np.percentile(points, [1, 99], axis=0)
    inside = ((points >= low) & (points <= high) & (np.abs(points) < FAR_M)).all(1)
    first = [next((one.head for one in seen if one.head is not None), None) for seen in _shoppers(case).values()]
    entrances = np.array([head[:2] for head in first if head is not None]).reshape(-1, 2) * UNITS[unit]
    return points[inside], entrances[(np.abs(entrances) < FAR_M).all(1)]


def _shoppers(case: Case) -> dict[str, list[Sighting]]:
    """Tracks of those who came in; all tracks when the tracker told of nobody."""
    tracks = case.tracks
    entered = {target: seen for target, seen in tracks.items() if any(one.entered for one in seen)}
    return entered or tracks


# --- messages -----------------------------------------------------------------------------------------------


def _scales(case: Case, store: Store) -> list[ScaleBatch]:
    known = {scale.id for scale in store.spec.scales}
    out: list[ScaleBatch] = []
    late = 0
    for plate, chunks in sorted(case.series.items()):
        if plate.scale in known:
            times, grams, disordered = joined(chunks)
            late += disordered
            out += batches(plate.scale, times, grams)
    if late:
        case.remarks.append(f"{late} plate samples or messages come late in the files: put in order")
    return sorted(out, key=lambda batch: batch.time_ns)


def _gates(case: Case, store: Store, filmed: bool) -> list[GateEvent]:
    """Everybody's first and last sighting as entry and exit, the visit named after the target."""
    door = store.spec.gates[0].id
    events: list[GateEvent] = []
    for target, seen in _shoppers(case).items():
        events.append(GateEvent(door, seen[0].time_ns, "entry", target))
        events.append(GateEvent(door, seen[-1].time_ns + 1, "exit", ""))
    if not events and not filmed:
        spans = [(int(c[0].min()), int(c[0].max())) for chunks in case.series.values() for c in chunks]
        events = [
            GateEvent(door, min((begin for begin, _ in spans), default=0), "entry", ONE_VISIT),
            GateEvent(door, max((end for _, end in spans), default=0), "exit", ""),
        ]
        case.remarks.append(f"neither tracks nor pictures: taken for one shopper from begin to end, {ONE_VISIT}")
    elif not events:
        case.remarks.append(
            "no tracks: a visit begins where somebody is seen first, named visit-1 and so on "
            "(where you know that there was one shopper, `aisle receipts --model modular` needs no pictures)"
        )
    return sorted(events, key=lambda event: event.time_ns)


def _known(cameras: Mapping[str, CameraSpec], store: Store) -> dict[str, CameraSpec]:
    """The cameras as the store has them (a store given apart may have others)."""
    own = {camera.id: camera for camera in store.spec.cameras}
    return {name: own[spec.id] for name, spec in cameras.items() if spec.id in own}


def _silent(store: Store, scales: list[ScaleBatch]) -> Iterator[str]:
    """What a receipt will have to do without."""
    weighed = {batch.scale for batch in scales if np.isfinite(batch.grams).any()}
    silent = [scale.id for scale in store.spec.scales if scale.id not in weighed]
    if silent:
        yield f"no samples of {few(silent)}"
    if not store.planogram:
        yield "no planogram: nothing is known to lie anywhere"
