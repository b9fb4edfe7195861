"""Patience: a process that finds the disk full or the database away waits, and is not started over and over.

The supervisor would take a process that dies at every try for a crash loop, and leave it alone for a minute at a time.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from openaisle.errors import ServiceError
from openaisle.service.database import answers
from openaisle.service.room import found_none, is_full

Started = TypeVar("Started")
LOG = logging.getLogger(__name__)
LOOK_S = 0.5
START_S = 90.0  # that a command waits for its database: a box whose power came back starts everything at once


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for."""

    words: str  # why, and for what
    there: Callable[[], bool]  # whether it is there again


def is_away(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, is that the database's server took no connection, or dropped one."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    if error is None or isinstance(error.orig, sqlite3.Error):  # a file has no server
        return False
    # Without a code it was not the server that answered a statement: there was no connection to it.
    unanswered = isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) is None
    return error.connection_invalidated or unanswered


def patiently(work: Callable[[], None], folder: Path, url: str, go_on: Callable[[], bool]) -> None:
    """Work; when its disk is full or its database away, wait for it and begin anew.

    `go_on` is asked, and so beats, while it waits; any other error is raised.
    """
    while True:
        try:
            work()
            return
        except Exception as error:
            wait = _waits_for(error, folder, url)
            if wait is None:
                raise
            LOG.error("%s (%s)", wait.words, error)
        time.sleep(LOOK_S)
        while go_on() and not wait.there():
            time.sleep(LOOK_S)
        if not go_on():
            return
        LOG.warning("it goes on")


def once_there(start: Callable[[], Started], say: Callable[[str], None]) -> Started:
    """What `start` makes, once the database it needs takes connections; its own error when it does not in START_S."""
    end_s, said = time.monotonic() + START_S, False
    while True:
        try:
            return start()
        except ServiceError as error:
            if not is_away(error) or time.monotonic() >= end_s:
                raise
            if not said:
                say(f"waiting up to {START_S:.0f} s for the database, which does not answer yet: {error}")
            said = True
        time.sleep(LOOK_S)


def _waits_for(error: Exception, folder: Path, url: str) -> Wait | None:
    if found_none(error, folder):
        return Wait("the disk is full: nothing is lost, waiting for room", lambda: not is_full(folder))
    if is_away(error):
        return Wait("the database does not answer: nothing is lost, waiting for it", lambda: answers(url))
    return None
