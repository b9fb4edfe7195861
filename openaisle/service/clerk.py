"""Clerk: makes receipts final, asks the payment gateway, and ends what nobody saw end; all of it may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from openaisle.service import cashier, idempotency, till, visits
from openaisle.service.desk import Desk
from openaisle.service.gateway import Gateway

LOOK_S = 0.1  # a final receipt is late by at most this
SWEEP_S = 5.0
FORGET_S = 3600.0


@dataclass
class Clerk:
    """One round after the other."""

    desk: Desk
    gateway: Gateway
    swept_s: float = float("-inf")
    forgot_s: float = float("-inf")

    def round(self) -> int:
        """Settle what is over, ask for what is due; how much there was to do."""
        with self.desk.database.read() as session:
            over = till.waiting(session)
            steps = cashier.due(session, self.desk.clock())
        for visit in over:
            till.settle(self.desk, visit)
        for step in steps:
            cashier.work(self.desk, self.gateway, step)
        self._tidy()
        return len(over) + len(steps)

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
