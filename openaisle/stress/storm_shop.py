"""The shop of the storm: `aisle serve`'s own processes, of which the worker may have the light predictor.

    python -m openaisle.stress.storm_shop serve FOLDER PARENT    a supervisor over what FOLDER's serve.json says
    python -m openaisle.stress.storm_shop NAME FOLDER PARENT     one process of its table

Imports are few: every kill starts this file again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from openaisle.service import processes
from openaisle.service.startup import read_startup
from openaisle.service.supervisor import LOOK_S, Supervisor

if TYPE_CHECKING:
    from openaisle.predictor import Predictor

NAME = "openaisle.stress.storm_shop"


def serve(folder: Path, parent: int) -> None:
    """Supervise until SIGTERM, or until the storm is gone. Who dies here dies of weather: that is no crash loop."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    supervisor = Supervisor(read_startup(folder), _say, NAME)
    try:
        while not stopped and os.getppid() == parent:
            supervisor.look()
            for child in supervisor.children:
                child.deaths.clear()
            time.sleep(LOOK_S)
    finally:
        supervisor.stop()


def _say(words: str) -> None:
    print(words, flush=True)


def lend_light_predictor(folder: Path) -> None:
    """Let the worker find the light predictor by its name; everything else is loaded as ever."""
    from openaisle.edge import runtime
    from openaisle.stress.storm_light import LIGHT, light_predictor

    known = runtime.load_predictor

    def load(name_or_path: str, threads: int = 1) -> Predictor:
        return light_predictor(read_startup(folder).store) if name_or_path == LIGHT else known(name_or_path, threads)

    runtime.load_predictor = load


if __name__ == "__main__":
    name, path, of = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if name == "serve":
        serve(path, of)
    else:
        if name == "worker":
            lend_light_predictor(path)
        processes.main(name, path, of)
