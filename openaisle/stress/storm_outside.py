"""The world outside the storm's shop: a card terminal that tries until it has an answer, and a receiver of webhooks."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from openaisle.service.fake_gateway import KNOWN

AGAIN_S = 0.1
PATIENCE_S = 5.0  # for one answer
LATER = (409, 429, 500, 503)  # answers after which it asks again; 409: the first try is being answered
_OPENER = build_opener(ProxyHandler({}))


@dataclass
class Terminal:
    """Entries and exits at a gate, each under a key of its own, as card terminals do it; one pair for every `call`."""

    address: str
    secret: str
    gate: str
    acknowledged: dict[str, str] = field(default_factory=dict)  # idempotency key → visit
    wrong: list[str] = field(default_factory=list)  # answers that should not be
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Shoppers begin to come."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def call(self) -> None:
        """One more shopper comes, and goes."""
        self._turns.release()

    def stop(self) -> None:
        """Nobody comes any more."""
        self._stop.set()
        self._turns.release()
        if self._thread is not None:
            self._thread.join()

    def close_all(self, go_on: Callable[[], bool]) -> None:
        """See everybody out whose exit was not answered, while there is hope."""
        self._stop.clear()
        for visit in self.acknowledged.values():
            self._ask("/v1/exits", {"visit": visit}, f"last-{visit}", go_on)

    def _run(self) -> None:
        number = 0
        while self._turns.acquire() and not self._stop.is_set():
            number += 1
            key = f"entry-{number:05d}"
            visit = self._ask("/v1/entries", {"gate": self.gate, "method": KNOWN[0]}, key, lambda: True)
            if visit:
                self.acknowledged[key] = visit
                self._ask("/v1/exits", {"visit": visit}, f"leave-{number:05d}", lambda: True)

    def _ask(self, path: str, form: dict[str, str], key: str, go_on: Callable[[], bool]) -> str:
        """The visit that the answer names, "" when there was none before everything stopped."""
        headers = {
            "Authorization": f"Bearer {self.secret}", "Idempotency-Key": key, "Content-Type": "application/json",
        }  # fmt: skip
        request = Request(self.address + path, json.dumps(form).encode(), headers, method="POST")
        while not self._stop.is_set() and go_on():
            try:
                with _OPENER.open(request, timeout=PATIENCE_S) as answer:
                    return str(json.load(answer).get("visit", "?"))
            except HTTPError as error:
                if error.code not in LATER:
                    self.wrong.append(f"{path} {key}: {error.code} {error.read()[:200].decode(errors='replace')}")
                    return ""
            except (URLError, OSError, http.client.HTTPException, ValueError):
                pass  # it is being killed
            time.sleep(AGAIN_S)
        return ""


class Mailbox:
    """Takes webhooks at an address of this machine; how often each came."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()  # by webhook-id
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", "0")))
                came[self.headers.get("webhook-id", "")] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Mailbox:
        """Open it."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()
