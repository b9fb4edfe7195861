"""Films of a case: whose camera, from when, and how their clock stands to that of the plates.

Names are <camera's address>_<date>_<time>.mp4 in UTC; camera_mapping.json says which address is which camera. Some
published films bear the time of a zone two hours ahead: films that do not meet the plates are moved by whole hours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from openaisle.errors import Problem
from openaisle.messages import NANOSECONDS
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.films import Measured, measure

NAME = re.compile(r"^(?P<camera>[A-Za-z0-9.]+?)_(?P<date>\d{4}-\d{2}-\d{2})_(?P<time>\d{2}-\d{2}-\d{2})$")
FIRST_ADDRESS = 100  # 192.168.1.100 to 111 are cameras 1 to 12 where no mapping says otherwise
MOST_HOURS = 14
HOUR_NS = 3600 * NANOSECONDS
_NAME_FIX = "name it <address>_<YYYY-MM-DD>_<HH-MM-SS>.mp4, UTC, or take it out of the folder"


@dataclass(frozen=True, slots=True)
class Video:
    """A film that can be opened, and the instant of its first picture."""

    path: Path
    camera: str  # as calibration.json names it
    start_ns: int
    measured: Measured

    @property
    def end_ns(self) -> int:
        """When it ends, as its header says."""
        return self.start_ns + self.measured.duration_ns


def read_mapping(path: Path, case: Case) -> dict[str, str]:
    """camera_mapping.json: address to camera."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        data, why = None, f"cannot be read as JSON ({error})"
    else:
        why = "does not map addresses to cameras"
    if not isinstance(data, dict) or not all(isinstance(camera, str | int) for camera in data.values()):
        fix = 'write {"192.168.1.100": "1", ...}, or take it out of the folder'
        case.problems.append(Problem(str(path), "file", why, fix))
        return {}
    return {address: str(camera) for address, camera in data.items()}


def find_videos(paths: Iterable[Path], mapping: Mapping[str, str], case: Case) -> list[Video]:
    """The films with camera and time, by time; what cannot be opened or told is a problem."""
    videos: list[Video] = []
    for path in sorted(paths):
        match = NAME.match(path.stem)
        camera = _camera(match["camera"], mapping) if match else None
        if match is None or camera is None:
            what = "its name tells no camera and time" if match is None else f"no camera has the address {match[1]}"
            case.problems.append(Problem(str(path), "name", what, _NAME_FIX))
            continue
        try:
            start = datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H-%M-%S").replace(tzinfo=UTC)
        except ValueError:
            case.problems.append(Problem(str(path), "name", "its date or time does not exist", _NAME_FIX))
            continue
        measured = measure(path, f"camera {camera}", case.problems)
        if measured is not None:
            videos.append(Video(path, camera, round(start.timestamp()) * NANOSECONDS, measured))
    return sorted(videos, key=lambda video: (video.start_ns, video.camera))


def _camera(address: str, mapping: Mapping[str, str]) -> str | None:
    """The camera of an address; a name that is no address may be the camera's own ("camera5", "5")."""
    if address in mapping:
        return mapping[address]
    last = address.rpartition(".")[2]
    if "." in address:
        number = int(last) - FIRST_ADDRESS + 1 if last.isdecimal() and last.isascii() else 0
        return str(number) if number > 0 and not mapping else None
    own = re.fullmatch(r"(?:camera|cam)?(\d{1,3})", address, re.IGNORECASE)
    return str(int(own[1])) if own else None


def on_the_plates_clock(videos: Sequence[Video], span: tuple[int, int] | None, case: Case) -> list[Video]:
    """The films moved by the whole hours that make them meet the plates, when as named they do not meet them."""
    if span is None or not videos or any(_shared(video, span, 0) > 0 for video in videos):
        return list(videos)
    hours = max(
        range(-MOST_HOURS, MOST_HOURS + 1), key=lambda h: (sum(_shared(video, span, h) for video in videos), -abs(h))
    )
    if not any(_shared(video, span, hours) > 0 for video in videos):
        what = "no film lies in the time of the plates, also not in another time zone"
        fix = "correct the times in the films' names, or take the films out of the folder"
        case.problems.append(Problem(str(videos[0].path), "name", what, fix))
        return []
    case.remarks.append(f"the films' names are {-hours:+d} h from the plates' clock: moved")
    return [replace(video, start_ns=video.start_ns + hours * HOUR_NS) for video in videos]


def _shared(video: Video, span: tuple[int, int], hours: int) -> int:
    begin, end = video.start_ns + hours * HOUR_NS, video.end_ns + hours * HOUR_NS
    return max(0, min(end, span[1]) - max(begin, span[0]))
