"""Beside: a whole live store that is run from within another program: start it, look at it, stop it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from openaisle.service import processes, signins
from openaisle.service.beats import STATUS, ages_s
from openaisle.service.fake_gateway import KNOWN
from openaisle.service.gateway import open_gateway
from openaisle.service.intake import HEALTH, journal_folder
from openaisle.service.jobs import Job
from openaisle.service.observer import Observer
from openaisle.service.serve import KEY_FILE, Wish, checked, first_key
from openaisle.service.source import LIVE
from openaisle.service.startup import Serve, open_desk
from openaisle.service.supervisor import Supervisor
from openaisle.store.load import load_store


def planned(wish: Wish) -> Serve:
    """A live store whose shoppers pay with a test card; without a source it follows a journal that others write."""
    serve = checked(wish)
    rules = replace(serve.rules, walk_in_method=KNOWN[0])
    job = serve.job or Job(f"{LIVE}:{journal_folder(serve.path, load_store(serve.store))}", wish.model, 0, 0.0)
    return replace(serve, job=job, rules=rules)


class Beside:
    """One live store; raises OpenAisleError when it cannot start. Its processes print into DATA/log."""

    def __init__(self, serve: Serve, say: Callable[[str], None], module: str = processes.__name__) -> None:
        open_gateway(serve.gateway, serve.path)
        self.serve = serve
        self._supervisor = Supervisor(serve, say, module, serve.path / "log")
        self.desk = open_desk(serve)
        first_key(self.desk, serve.path)
        self.observer = Observer(self.desk)
        self._link = ""

    def look(self) -> None:
        """Start what is to run, and again what died; several times a second."""
        self._supervisor.look()

    @property
    def ready(self) -> bool:
        """Whether every process works and the intake hears the sensors."""
        ages = ages_s(self.serve.path)
        names = json.loads((self.serve.path / STATUS).read_text(encoding="utf-8"))
        return all(name in ages for name in names) and (not self.serve.sensors or self._hears())

    def _hears(self) -> bool:
        try:
            return bool(json.loads((self.serve.path / HEALTH).read_text(encoding="utf-8"))["broker"]["up"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def way_in(self) -> str:
        """The dashboard with a link that signs in once; the next one when that was used. "" without HTTP."""
        if not self.serve.port:
            return ""
        now_ns = self.desk.clock()
        with self.desk.database.read() as session:
            fresh = bool(self._link) and signins.invited(session, self._link, now_ns)
        if not fresh:
            key = (self.serve.path / KEY_FILE).read_text(encoding="utf-8").strip()
            with self.desk.database.write() as session:
                self._link = signins.invite(session, key, now_ns) or ""
        return f"http://{self.serve.host}:{self.serve.port}/login?link={self._link}"

    def stop(self) -> None:
        """All processes have ended when this returns."""
        self._supervisor.stop()

    def close(self) -> None:
        """Nothing is looked at any more."""
        self.desk.database.close()


def journal_of(serve: Serve) -> Path:
    """The journal that its worker follows."""
    return journal_folder(serve.path, load_store(serve.store))
