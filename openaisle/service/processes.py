"""Processes: the table of what runs, and their main (python -m openaisle.service.processes NAME FOLDER PARENT)."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openaisle.service.beats import Beat, beat_of
from openaisle.service.patience import patiently
from openaisle.service.startup import Serve, open_desk, read_startup

if TYPE_CHECKING:
    import uvicorn

DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
IDLE_S = 0.2
GoOn = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the table."""

    name: str
    entry: Callable[[Serve, GoOn], None]
    when: Callable[[Serve], bool]
    lasts: bool  # false: it may end by itself, and is then not started again
    share: str  # what it is for, and what waits while it is down


def run_api(serve: Serve, go_on: GoOn) -> None:
    """HTTP until told to stop."""
    import uvicorn

    from openaisle.service.api.app import create_app
    from openaisle.service.gateway import open_gateway

    beat = beat_of(serve.path, "api")
    app = create_app(open_desk(serve), open_gateway(serve.gateway, serve.path), serve.path, beat)
    config = uvicorn.Config(
        app, serve.host, serve.port, log_level="warning", timeout_graceful_shutdown=2, server_header=False
    )
    server = uvicorn.Server(config)
    # The server takes SIGTERM for itself, but one that came while it was made, or a supervisor's death, only we know.
    threading.Thread(target=_end_with, args=(server, go_on), daemon=True).start()
    server.run()
    if not server.started and go_on():
        raise SystemExit(f"cannot listen on {serve.host}:{serve.port}")


def _end_with(server: uvicorn.Server, go_on: GoOn) -> None:
    while go_on():
        time.sleep(IDLE_S)
    server.should_exit = True


def run_intake(serve: Serve, go_on: GoOn) -> None:
    """Cameras and scales into the journal."""
    from openaisle.sensors.settings import load_settings
    from openaisle.service.intake import Intake, journal_folder
    from openaisle.store.load import load_store

    store = load_store(serve.store)
    settings = load_settings(Path(serve.sensors), store)
    low_bytes = serve.rules.low_disk_mb << 20
    intake = Intake(store, settings, journal_folder(serve.path, store), serve.path, low_bytes=low_bytes)
    intake.run(_beating(beat_of(serve.path, "intake"), go_on))


def run_worker(serve: Serve, go_on: GoOn) -> None:
    """The pipeline: a recording once, the simulator and the sensors for ever."""
    from openaisle.edge.runtime import load_predictor
    from openaisle.service.source import LIVE, SIM
    from openaisle.service.worker import work

    assert serve.job is not None, "the table starts it with a job only"
    desk, predictor = open_desk(serve), load_predictor(serve.job.model)
    beating = _beating(beat_of(serve.path, "worker"), go_on)
    while work(desk, serve.job, predictor, beating, serve.path):
        if not serve.job.source.startswith((SIM + ":", LIVE + ":")):
            break


def run_clerk(serve: Serve, go_on: GoOn) -> None:
    """Final receipts and money."""
    from openaisle.service.clerk import Clerk
    from openaisle.service.gateway import open_gateway

    clerk = Clerk(open_desk(serve), open_gateway(serve.gateway, serve.path))
    clerk.run(_beating(beat_of(serve.path, "clerk"), go_on))


def run_courier(serve: Serve, go_on: GoOn) -> None:
    """Webhooks."""
    from openaisle.service.courier import deliver_due

    desk, beating = open_desk(serve), _beating(beat_of(serve.path, "courier"), go_on)
    while beating():
        if not deliver_due(desk):
            time.sleep(IDLE_S)


TABLE = (
    Process("api", run_api, lambda serve: serve.port > 0, True, "requests and live streams; gates wait"),
    Process("clerk", run_clerk, lambda _: True, True, "final receipts and money; captures wait"),
    Process("courier", run_courier, lambda _: True, True, "webhooks; they wait"),
    Process("intake", run_intake, lambda serve: bool(serve.sensors), True, "cameras and scales; they repeat"),
    Process("worker", run_worker, lambda serve: serve.job is not None, False, "the pipeline; receipts wait"),
)


def _beating(beat: Beat, go_on: GoOn) -> GoOn:
    def both() -> bool:
        beat()
        return go_on()

    return both


def main(name: str, folder: Path, parent: int) -> None:
    """Run one process of the table until SIGTERM, or until its supervisor is gone."""
    # Ctrl-C reaches the supervisor, which says when to stop; when it is killed, the kernel says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGTERM)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    if os.getppid() != parent:
        return
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    entry = {process.name: process.entry for process in TABLE}[name]
    serve = read_startup(folder)

    def go_on() -> bool:
        return not stopped and os.getppid() == parent

    patiently(lambda: entry(serve, go_on), serve.path, serve.url, _beating(beat_of(serve.path, name), go_on))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
