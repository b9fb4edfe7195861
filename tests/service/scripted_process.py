"""A process of the table with the scripted predictor in the network's place, for tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from openaisle.edge import runtime
from openaisle.predictor import Predictor
from openaisle.service import processes
from tests.service import stream


def _scripted(name_or_path: str, threads: int = 1) -> Predictor:
    return stream.predictor()


if __name__ == "__main__":
    runtime.load_predictor = _scripted
    processes.main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
