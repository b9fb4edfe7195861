"""Health: whether everything runs that should: processes, pipeline, disk, sensors; each with a word for how it is.

Who takes cameras and scales in tells of them in DATA/sensors.json, written whole or not at all:
{"lag_s", "low_disk", "sensors": [{"kind": "camera" | "scale" | "gate", "sensor", "state", "words", "seen_ns", "lost",
"clock_offset_ms", ...}], ...}; keys that the classes below do not have are not read.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from openaisle.messages import NANOSECONDS
from openaisle.service import beats, models, visits
from openaisle.service.album import Album
from openaisle.service.beats import OLD_S, STATUS
from openaisle.service.desk import Desk
from openaisle.service.models import OrderState
from openaisle.service.pressure import slots_of
from openaisle.service.states import StepState
from openaisle.service.tables import Letter, MoneyStep
from openaisle.tokens.journey import FRAME_HZ

SENSORS = "sensors.json"
LATE_S, LOST_S = 3.0, 15.0  # since the pipeline's last tick
DAY_S = 24 * 3600.0
FULL_SHARE = 0.1  # of the disk still free: say so


class How(StrEnum):
    """How something is."""

    WELL = "well"
    POOR = "poor"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """A process of the table."""

    name: str
    state: str
    restarts: int
    beat_s: float | None  # since its last beat
    how: How


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """A camera, scale or gate."""

    kind: str
    sensor: str
    state: str
    words: str = ""
    seen_ns: int = 0
    lost: int = 0  # messages that never came
    clock_offset_ms: float = 0.0
    messages: int = 0
    missing: int = 0  # asked for now
    duplicates: int = 0
    late: int = 0  # came after their place in the stream had passed
    dropped: int = 0  # half a minute late and more, or from the future
    refused: int = 0  # could not be read
    clock_jumps: int = 0

    @property
    def how(self) -> How:
        """In one word."""
        return {"online": How.WELL, "late": How.POOR, "waiting": How.POOR}.get(self.state, How.BAD)


@dataclass(frozen=True, slots=True)
class Broker:
    """The connection to the broker of scales and gates."""

    up: bool
    words: str = ""  # why it is not there


@dataclass(frozen=True, slots=True)
class Intake:
    """All sensors, and how far their common stream is."""

    sensors: tuple[SensorHealth, ...]
    lag_s: float | None = None
    low_disk: bool = False
    at_ns: int = 0  # when it was told; 0 = not said
    broker: Broker | None = None


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """The run."""

    run: str
    source: str
    model: str
    ticks: int
    ended: bool
    beat_s: float  # since its last tick
    lag_s: float | None  # of what it has seen behind the clock; None for a stream of another day
    how: How
    refused: str = ""  # why the model that an operator asked for last is not the one
    slots: int = FRAME_HZ  # pictures of each camera that it looks at in a second: fewer where it cannot keep up


@dataclass(frozen=True, slots=True)
class Health:
    """Everything."""

    processes: tuple[ProcessHealth, ...]
    pipeline: PipelineHealth | None
    intake: Intake | None  # None: nobody tells
    database: str
    database_bytes: int | None
    album_bytes: int
    disk_free: int
    disk_total: int
    disk: How
    money_pending: int
    letters_waiting: int
    letters_given_up: int


_INTAKE = TypeAdapter(Intake)


def health(session: Session, desk: Desk, folder: Path | None, album: Album) -> Health:
    """How everything is now."""
    disk = shutil.disk_usage(folder if folder is not None and folder.is_dir() else Path.cwd())
    waiting = (Letter.delivered_ns == 0, Letter.given_up_ns == 0)

    def count(query: object) -> int:
        return int(session.scalar(query) or 0)  # type: ignore[call-overload]  # any select of a count

    letters = select(func.count()).select_from(Letter)
    return Health(
        processes=_processes(folder),
        pipeline=_pipeline(session, desk),
        intake=intake_of(folder),
        database=desk.database.engine.dialect.name,
        database_bytes=_database_bytes(desk),
        album_bytes=album.size_bytes(),
        disk_free=disk.free, disk_total=disk.total, disk=How.WELL if disk.free > FULL_SHARE * disk.total else How.BAD,
        money_pending=count(select(func.count()).select_from(MoneyStep).where(MoneyStep.state == StepState.PENDING)),
        letters_waiting=count(letters.where(*waiting)),
        letters_given_up=count(letters.where(Letter.given_up_ns > 0)),
    )  # fmt: skip


def _processes(folder: Path | None) -> tuple[ProcessHealth, ...]:
    if folder is None:
        return ()
    try:
        table: dict[str, dict[str, str | int]] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    ages = beats.ages_s(folder)
    out = []
    for name, row in sorted(table.items()):
        state, age = str(row["state"]), ages.get(name)
        runs = state == "running" and age is not None and age <= OLD_S
        how = How.WELL if runs or state == "ended" else (How.POOR if state in ("running", "waiting") else How.BAD)
        out.append(ProcessHealth(name, state, int(row["restarts"]), age, how))
    return tuple(out)


def _pipeline(session: Session, desk: Desk) -> PipelineHealth | None:
    run = visits.newest_run(session)
    if run is None:
        return None
    age_s = max(0.0, (desk.clock() - run.beat_ns) / NANOSECONDS)
    how = How.WELL if run.ended or age_s <= LATE_S else (How.POOR if age_s <= LOST_S else How.BAD)
    lag_s = (desk.clock() - run.time_ns) / NANOSECONDS
    live = run.time_ns > 0 and abs(lag_s) < DAY_S
    slots = slots_of(session, run.id)
    if slots < FRAME_HZ and how == How.WELL and not run.ended:
        how = How.POOR
    orders = models.latest(session, 1)
    refused = orders[0].error if orders and orders[0].state == OrderState.REFUSED else ""
    model = models.running(session, run).model
    told = (run.id, run.source, model, run.ticks, run.ended, age_s, lag_s if live else None, how, refused, slots)
    return PipelineHealth(*told)


def intake_of(folder: Path | None) -> Intake | None:
    """What the intake told last; None where nobody tells."""
    if folder is None:
        return None
    try:
        return _INTAKE.validate_json((folder / SENSORS).read_bytes())
    except (OSError, ValidationError):
        return None


def _database_bytes(desk: Desk) -> int | None:
    name = desk.database.engine.url.database
    try:
        return Path(name).stat().st_size if desk.database.sqlite and name else None
    except OSError:
        return None
