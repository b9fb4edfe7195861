"""Supervisor: starts the table's processes, starts again what died or hangs, slows down what keeps dying, stops all."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from openaisle.errors import Problem, ServiceError
from openaisle.service import beats, processes
from openaisle.service.beats import STATUS
from openaisle.service.processes import TABLE, Process
from openaisle.service.startup import Serve, write_startup

LOG = logging.getLogger(__name__)
LOOK_S = 0.1
FIRST_BEAT_S = 120.0  # a model and a store are read before the first beat
HANGS_S = 20.0  # a process whose last beat is older is killed
STOP_S = 8.0  # to stop by itself, then it is killed
CRASH_WINDOW_S, CRASHES = 60.0, 5  # so many deaths within so long are a crash loop
FIRST_WAIT_S, LOOP_WAIT_S = 0.2, 60.0


@dataclass
class Child:
    """One process and its history."""

    process: Process
    popen: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = 0.0  # when to start it next
    deaths: list[float] = field(default_factory=list)
    restarts: int = -1
    ended: bool = False

    def state(self) -> str:
        """running, waiting, crash loop, ended."""
        if self.ended:
            return "ended"
        if self.popen is not None:
            return "running"
        return "crash loop" if len(self.deaths) >= CRASHES else "waiting"


class Supervisor:
    """One live store's processes. Raises ServiceError when another one has the folder."""

    def __init__(
        self,
        serve: Serve,
        say: Callable[[str], None] = LOG.warning,
        module: str = processes.__name__,
        log: Path | None = None,
    ) -> None:
        self._serve, self._say, self._module, self._log = serve, say, module, log  # log: for what processes print
        self._lock = _locked(serve.path)  # first: what another one reads must not be written over
        try:
            write_startup(serve)
        except BaseException:
            self._lock.close()
            raise
        self.children = [Child(process) for process in TABLE if process.when(serve)]
        self._told = ""

    def run(self, go_on: Callable[[], bool]) -> None:
        """Until told to stop, or until all that may end has ended and nothing lasts."""
        try:
            while go_on():
                self.look()
                time.sleep(LOOK_S)
        finally:
            self.stop()

    def look(self) -> None:
        """Notice deaths and hangs, start what is due."""
        now_s = time.monotonic()
        ages = beats.ages_s(self._serve.path)
        for child in self.children:
            if child.popen is not None:
                self._check(child, child.popen, now_s, ages.get(child.process.name))
            if child.popen is None and not child.ended and now_s >= child.due_s:
                self._start(child, now_s)
        self._tell()

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to what does not hear it."""
        alive = [child for child in self.children if child.popen is not None]
        for child in alive:
            assert child.popen is not None, "listed above"
            child.popen.terminate()
        end_s = time.monotonic() + STOP_S
        for child in alive:
            assert child.popen is not None, "listed above"
            try:
                child.popen.wait(max(0.1, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.popen.kill()
                child.popen.wait()
            child.popen = None
        self._tell()
        self._lock.close()

    def _start(self, child: Child, now_s: float) -> None:
        name = child.process.name
        (self._serve.path / "beats" / name).unlink(missing_ok=True)
        words = [sys.executable, "-m", self._module, name, self._serve.folder, str(os.getpid())]
        with open(self._log, "ab") if self._log is not None else nullcontext() as log:
            child.popen = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        child.started_s = now_s
        child.restarts += 1

    def _check(self, child: Child, popen: subprocess.Popen[bytes], now_s: float, age_s: float | None) -> None:
        code = popen.poll()
        limit_s = FIRST_BEAT_S if age_s is None else HANGS_S
        silent_s = now_s - child.started_s if age_s is None else age_s
        if code is None and silent_s > limit_s:
            self._say(f"{child.process.name}: no sign of life for {silent_s:.0f} s, killed")
            popen.kill()
            code = popen.wait()
        if code is None:
            return
        child.popen = None
        if code == 0 and not child.process.lasts:
            child.ended = True
            return
        child.deaths = [at_s for at_s in child.deaths if now_s - at_s < CRASH_WINDOW_S] + [now_s]
        loop = len(child.deaths) >= CRASHES
        wait_s = LOOP_WAIT_S if loop else FIRST_WAIT_S * 2 ** (len(child.deaths) - 1)
        child.due_s = now_s + wait_s
        again = f"a crash loop; the next try is in {wait_s:.0f} s" if loop else "started again"
        self._say(f"{child.process.name}: ended with {code}, {again} ({child.process.share})")

    def _tell(self) -> None:
        """supervisor.json, for people and tests."""
        rows = {
            child.process.name: {
                "state": child.state(),
                "pid": child.popen.pid if child.popen else 0,
                "restarts": max(0, child.restarts),
            }
            for child in self.children
        }
        text = json.dumps(rows, indent=1) + "\n"
        if text != self._told:
            partial = self._serve.path / (STATUS + ".partial")
            try:
                partial.write_text(text, encoding="utf-8")
                os.replace(partial, self._serve.path / STATUS)
            except OSError:  # the disk is full: processes matter more, and it is told at the next look
                partial.unlink(missing_ok=True)
                return
            self._told = text


def _locked(folder: Path) -> IO[str]:
    """The folder's lock; the kernel gives it back when its holder is gone, however it went."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "serve.lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        what = "another `aisle serve` runs in this folder"
        raise ServiceError([Problem(str(folder), "serve.lock", what, "stop it, or give another --data")]) from error
    return lock
