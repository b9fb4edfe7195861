"""Place: the demo's folder, of which it is the only user, and the ports that it may have."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openaisle.errors import OpenAisleError

HOST = "127.0.0.1"
OURS = {"recording": "manifest.json", "store": "store.yaml", "service": "serve.json"}  # folder → what proves it ours
LOCKS = ("demo.lock", "service/serve.lock")


def fresh_folder(out: Path) -> Path:
    """The recording's folder in `out`; an earlier demo's folders are removed, anything else there is left alone."""
    for name, proof in OURS.items():
        if (out / name).exists() and not (out / name / proof).is_file():
            raise OpenAisleError(f"{out / name}: is no {name} of an earlier demo; give another --out")
    for name in OURS:
        shutil.rmtree(out / name, ignore_errors=True)
    for part in out.glob(".recording.*.part"):  # of one that was killed
        shutil.rmtree(part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    return out / "recording"


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """`out` belongs to this process while the block runs; raises OpenAisleError when another demo is at work in it."""
    out.mkdir(parents=True, exist_ok=True)
    held = []
    try:
        for name in LOCKS:
            if name == LOCKS[0] or (out / name).exists():
                held.append((out / name).open("a", encoding="utf-8"))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in held[1:]:  # the live store takes its own
            lock.close()
        yield
    except BlockingIOError as error:
        raise OpenAisleError(f"{out}: another demo runs there; stop it, or give another --out") from error
    finally:
        for lock in held:
            lock.close()


def free_port(wanted: int) -> int:
    """A port that can be listened on and reached, the wanted one if it is free; 0 where ports are refused."""
    for port in (wanted, 0):
        try:
            with socket.socket() as server, socket.socket() as client:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((HOST, port))
                server.listen(1)
                found = int(server.getsockname()[1])
                client.settimeout(2.0)
                client.connect((HOST, found))
                return found
        except OSError:
            continue
    return 0


def has_desktop() -> bool:
    """Whether a browser could show itself to somebody who looks."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen) and sys.stdout.isatty()
