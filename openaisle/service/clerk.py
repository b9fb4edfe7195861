"""Clerk: makes receipts final, asks the payment gateway, and ends what nobody saw end; all of it may be repeated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from openaisle.service import cashier, idempotency, till, visits
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway

LOOK_S = 0.1  # a final receipt is late by at most this
SWEEP_S = 5.0
FORGET_S = 3600.0
PUT_OFF_S = 30.0
LOG = logging.getLogger(__name__)


@dataclass
class Clerk:
    """One round after the other."""

    desk: Desk
    gateway: Gateway
    swept_s: float = float("-inf")
    forgot_s: float = float("-inf")
    put_off: dict[str, float] = field(default_factory=dict)  # what failed → when to try it again

    def round(self) -> int:
        """Settle what is over, ask for what is due; how much there was to do."""
        with self.desk.database.read() as session:
            over = till.waiting(session)
            steps = cashier.due(session, self.desk.clock())
        done = sum(self._do(f"visit {visit}", partial(till.settle, self.desk, visit)) for visit in over)
        done += sum(self._do(f"step {step}", partial(cashier.work, self.desk, self.gateway, step)) for step in steps)
        self._tidy()
        return done

    def _do(self, name: str, work: Callable[[], object]) -> bool:
        """One piece of work; one that fails by our mistake must not hold up all others, and is tried again later."""
        now_s = time.monotonic()
        if now_s < self.put_off.get(name, 0.0):
            return False
        try:
            work()
        except SQLAlchemyError:
            raise  # the database is away: nothing else would work either
        except Exception:
            LOG.exception("%s: put off for %.0f s", name, PUT_OFF_S)
            self.put_off[name] = now_s + PUT_OFF_S
            return False
        self.put_off.pop(name, None)
        return True

    def run(self, go_on: Callable[[], bool]) -> None:
        """Rounds until told to stop."""
        while go_on():
            if not self.round():
                time.sleep(LOOK_S)

    def _tidy(self) -> None:
        now_s = time.monotonic()
        if now_s - self.swept_s >= SWEEP_S:
            self.swept_s = now_s
            visits.sweep(self.desk)
        if now_s - self.forgot_s >= FORGET_S:
            self.forgot_s = now_s
            with self.desk.database.write() as session:
                idempotency.forget_old(session, self.desk.clock())
