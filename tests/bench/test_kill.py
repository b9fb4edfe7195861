"""A benchmark that is killed in the middle goes on where it was, and leaves nobody behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from openaisle.bench.jobs import Job, run_jobs
from openaisle.bench.results import CaseResult, load
from openaisle.bench.suites import Case
from tests.bench.played import KIOSK, all_played, job, played

ROOT = Path(__file__).resolve().parents[2]
JOBS = [job(Case(KIOSK, "solo", seed)) for seed in range(850_000, 850_012)]
PATIENCE_S = 300.0  # for a busy machine


def slowly(jobs: Sequence[Job]) -> list[CaseResult]:
    """A case that takes its time and writes down who played it."""
    with Path(os.environ["PLAYED_BY"]).open("a") as file:
        file.write(f"{jobs[0].case.seed} {os.getpid()}\n")
    time.sleep(0.2)
    return all_played(jobs)


def main(results: str) -> None:
    """What is killed."""
    run_jobs(JOBS, slowly, Path(results), processes=2)


def test_killed_and_resumed(tmp_path: Path) -> None:
    results, log = tmp_path / "results.jsonl", tmp_path / "played"
    run = [sys.executable, "-c", f"from tests.bench.test_kill import main; main({str(results)!r})"]
    environment = {**os.environ, "PLAYED_BY": str(log), "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen(run, cwd=ROOT, env=environment, start_new_session=True)
    try:
        _wait(lambda: results.exists() and results.read_bytes().count(b"\n") >= 3)
    finally:
        killed.kill()
        killed.wait()
    keys = [one.key for one in JOBS]
    before = load(results, keys)
    assert 3 <= len(before) < len(JOBS)
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    _wait(lambda: not any(_alive(pid) for pid in workers))  # nobody waits for work for ever
    with results.open("ab") as file:
        file.write(b'{"key": "half a li')  # as a kill within a write leaves it

    log.unlink()
    subprocess.run(run, cwd=ROOT, env=environment, check=True, timeout=PATIENCE_S)
    again = {int(line.split()[0]) for line in log.read_text().splitlines()}
    assert again == {one.case.seed for one in JOBS if one.key not in before}  # nothing is played twice
    after = load(results, keys)
    assert [after[key] for key in keys] == [played(one) for one in JOBS]
    assert {key: after[key] for key in before} == before


def _wait(true: object) -> None:
    assert callable(true)
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
