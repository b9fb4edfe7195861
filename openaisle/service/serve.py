"""Serve: a live store from the command line: checks everything once, then supervises until it is told to stop."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import select

from openaisle.errors import MissingExtraError, Problem, ServiceError
from openaisle.recording.manifest import STORE_FOLDER
from openaisle.recording.reader import open_recording
from openaisle.sensors.settings import load_settings
from openaisle.service import keys, models
from openaisle.service.desk import Desk, Rules
from openaisle.service.fake_gateway import KNOWN
from openaisle.service.gateway import open_gateway
from openaisle.service.intake import journal_folder
from openaisle.service.jobs import Job
from openaisle.service.keys import Role
from openaisle.service.patience import once_there
from openaisle.service.room import found_none, free_bytes, is_full, is_low
from openaisle.service.source import LIVE, SIM
from openaisle.service.startup import Serve, open_desk
from openaisle.service.supervisor import Supervisor
from openaisle.service.tables import ApiKey
from openaisle.service.worker import end_all
from openaisle.sim.scenario import load_scenario
from openaisle.sim.stores import open_store
from openaisle.store.load import load_store, save_store
from openaisle.store.store import Store

KEY_FILE = "operator.key"


@dataclass(frozen=True)
class Wish:
    """What the command line asked for."""

    data: Path
    store: str = ""  # a folder or random:KIND; "" = the recording's
    source: str = ""  # a recording, "sim", a sensors.yaml, or "" for no pipeline
    scenario: str = "everything"
    seed: int = 0
    model: str = "small"
    speed: float = 1.0
    database: str = ""
    gateway: str = "fake"
    host: str = "127.0.0.1"
    port: int = 8080
    rules: Rules = field(default_factory=Rules)


def checked(wish: Wish) -> Serve:
    """A wish, all of it checked; raises OpenAisleError before anything runs."""
    wish.data.mkdir(parents=True, exist_ok=True)
    folder = _store_folder(wish)
    job: Job | None = None
    if wish.source == SIM:
        load_scenario(wish.scenario)
        job = Job(f"{SIM}:{wish.scenario}", wish.model, wish.seed, wish.speed)
    elif is_sensors(wish.source):
        job = _live_job(wish, folder)
    elif wish.source:
        open_recording(wish.source)
        job = Job(str(Path(wish.source).resolve()), wish.model, wish.seed, wish.speed)
    rules = wish.rules
    if wish.source == SIM and wish.gateway == "fake":
        rules = replace(rules, walk_in_method=KNOWN[0])  # simulated shoppers pay with a test card
    return Serve(
        str(wish.data.resolve()),
        str(folder),
        wish.database,
        wish.gateway,
        wish.host,
        wish.port,
        job,
        str(Path(wish.source).resolve()) if is_sensors(wish.source) else "",
        rules,
    )


def is_sensors(source: str) -> bool:
    """Whether a source is a file that tells where cameras and scales are."""
    return Path(source).suffix.lower() in (".yaml", ".yml")


def _live_job(wish: Wish, folder: Path) -> Job:
    """The job of a shop's own sensors; raises SensorError, MissingExtraError before anything runs."""
    store = load_store(folder)
    settings = load_settings(Path(wish.source), store)
    if settings.mqtt is not None and find_spec("aiomqtt") is None:
        raise MissingExtraError("aiomqtt", "live")
    journal = journal_folder(wish.data.resolve(), store)
    return Job(f"{LIVE}:{journal}", wish.model, wish.seed, 0.0, settings.keep_hours)


def serve(wish: Wish, say: Callable[[str], None]) -> None:
    """Run a live store until SIGTERM or Ctrl-C; raises OpenAisleError when it cannot start."""
    supervisor = prepared(wish, say)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stopped.append(got))
    supervisor.run(lambda: not stopped)


def prepared(wish: Wish, say: Callable[[str], None]) -> Supervisor:
    """A live store of which nothing runs yet, its database open to be written.

    Raises OpenAisleError, also where the disk has no room for that; what it then leaves may be started with once there
    is room: files are there whole or not at all.
    """
    try:
        planned = checked(wish)
        open_gateway(planned.gateway, planned.path)
        supervisor = Supervisor(planned, say)
        try:
            _open(planned, say)
        except BaseException:
            supervisor.stop()
            raise
    except Exception as error:
        if not found_none(error, wish.data):
            raise
        raise _no_room(wish, error) from error
    return supervisor


def _open(planned: Serve, say: Callable[[str], None]) -> None:
    """Make or renew the database and the operator's key, and tell how everything stands."""
    desk = once_there(lambda: open_desk(planned), say)
    say(first_key(desk, planned.path))
    if planned.job is None:
        end_all(desk)
    else:
        with desk.database.read() as session:
            order = models.standing(session, planned.job.model)
        if order is not None:
            say(f"model: {models.name_of(order)}, which `aisle model swap` put in the place of {planned.job.model}")
    desk.database.close()
    if is_low(planned.path, planned.rules.low_disk_mb):
        say(_low_words(planned))
    say(f"{desk.store.spec.name}: http://{planned.host}:{planned.port} (Ctrl-C stops)")


def _low_words(planned: Serve) -> str:
    free = f"{free_bytes(planned.path) >> 20} MB free in {planned.path}"
    if is_full(planned.path):
        return f"the disk is full ({free}): not ready; entries are refused where there is no room to write them down"
    least = f"less than --low-disk-mb {planned.rules.low_disk_mb}"
    return f"the disk is nearly full ({free}, {least}): no pictures and no evidence are kept; receipts go on"


def _no_room(wish: Wish, error: Exception) -> ServiceError:
    there = next(folder for folder in (wish.data.absolute(), *wish.data.absolute().parents) if folder.is_dir())
    whose = "the disk, or that of the database," if wish.database else "the disk"
    what = f"{whose} is full ({free_bytes(there) >> 20} MB free here): {error}"
    return ServiceError([Problem(str(wish.data), "--data", what, "free disk space, and start it again")])


def _store_folder(wish: Wish) -> Path:
    """A folder that every process can read; a generated store is written once."""
    if wish.store.startswith("random:"):
        folder = wish.data.resolve() / "store"
        if not folder.is_dir():
            _write_store(open_store(wish.store, wish.seed), folder)
        return folder
    if wish.store:
        load_store(wish.store)
        return Path(wish.store).resolve()
    if wish.source and wish.source != SIM and not is_sensors(wish.source):
        return (Path(wish.source) / STORE_FOLDER).resolve()
    raise ServiceError([Problem("command line", "--store", "there is no store", "give --store DIR or random:kiosk")])


def _write_store(store: Store, folder: Path) -> None:
    """A new store's folder, whole or not at all."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a start that was killed
    try:
        save_store(store, partial)
        partial.replace(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def first_key(desk: Desk, folder: Path) -> str:
    """A new operator's key in a file of this user's own, when there is none there; what to say about it."""
    path = folder / KEY_FILE
    if path.exists():
        return f"operator's key: in {path}"
    partial = folder / (KEY_FILE + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with desk.database.write() as session:
            taken = set(session.scalars(select(ApiKey.name)))
            name = next(f"operator{n or ''}" for n in range(len(taken) + 1) if f"operator{n or ''}" not in taken)
            secret = keys.create_key(session, name, Role.OPERATOR, desk.clock())
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secret + "\n")
        partial.replace(path)  # the database knows it now
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return f"operator's key: written to {path}"
