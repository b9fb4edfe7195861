"""Feed: wakes live streams when any process wrote a change; it only ever looks at one number of the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from openaisle.service import changes
from openaisle.service.desk import Desk

LOG = logging.getLogger(__name__)
LOOK_S = 0.1  # between two looks: what a live receipt is late by at most
STALE_S = 2.0  # a stream looks for itself after so long, whatever the feed says


class Feed:
    """One task per process; streams wait on it."""

    def __init__(self, desk: Desk, beat: Callable[[], None] = lambda: None) -> None:
        self._desk, self._beat = desk, beat  # this loop is the API's heart
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.open = 0  # streams
        self.stopped = False

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Wake everybody for the last time."""
        self.stopped = True
        self._news.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait(self) -> None:
        """Until there may be news, at most STALE_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STALE_S):
                await self._news.wait()

    async def _look(self) -> None:
        last, blind = -1, False
        while True:
            try:
                newest = await run_in_threadpool(self._newest)
                blind = False
            except SQLAlchemyError as error:
                if not blind:  # once, not ten times a second while the database is away
                    LOG.warning("cannot look for changes: %s", error)
                newest, blind = last, True
            if newest != last:
                last, news = newest, self._news
                self._news = asyncio.Event()
                news.set()
            self._beat()
            await asyncio.sleep(LOOK_S)

    def _newest(self) -> int:
        with self._desk.database.read() as session:
            return changes.last_id(session)
