"""`aisle serve` from the command line: it says what is wrong, or listens, is ready, keeps its key, and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from openaisle.cli import serve as verb
from openaisle.cli.app import app
from openaisle.errors import MissingExtraError, OpenAisleError, StoreError
from openaisle.service.serve import KEY_FILE, Wish, checked
from openaisle.store.load import save_store
from tests.service import stream
from tests.service.test_kill import PATIENCE_S, free_port

AISLE = "from openaisle.cli.app import main; main()"


def test_a_live_store_starts_is_ready_and_stops(tmp_path: Path) -> None:
    save_store(stream.store(), tmp_path / "store")
    port = free_port()
    data = tmp_path / "data"
    words = ["serve", "--store", str(tmp_path / "store"), "--data", str(data), "--port", str(port)]
    popen = subprocess.Popen([sys.executable, "-c", AISLE, *words], stderr=subprocess.PIPE, text=True)
    try:
        end_s = time.monotonic() + PATIENCE_S
        while not _ready(port):
            assert popen.poll() is None, popen.stderr.read() if popen.stderr else ""
            assert time.monotonic() < end_s
            time.sleep(0.1)
        key_file = data / KEY_FILE
        assert key_file.stat().st_mode & 0o777 == 0o600
        headers = {"Authorization": f"Bearer {key_file.read_text().strip()}", "Idempotency-Key": "first-entry"}
        entry = httpx.post(f"http://127.0.0.1:{port}/v1/entries", json={"gate": "door"}, headers=headers).json()
        assert httpx.get(f"http://127.0.0.1:{port}{entry['link']}").status_code == 200
    finally:
        popen.send_signal(signal.SIGTERM)
        _, said = popen.communicate(timeout=PATIENCE_S)
    assert popen.returncode == 0
    assert f"http://127.0.0.1:{port}" in said
    assert key_file.read_text().strip() not in said
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({}, "give --store DIR"),
        ({"store": "nowhere"}, "no such folder"),
        ({"source": "nowhere"}, "nowhere"),
        ({"store": "random:kiosk", "source": "sim", "scenario": "parade"}, "parade"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_runs(tmp_path: Path, wish: dict[str, str], words: str) -> None:
    with pytest.raises(OpenAisleError, match=words):
        checked(Wish(tmp_path / "data", **wish))  # type: ignore[arg-type]  # fields of Wish


def test_simulated_shoppers_pay_with_a_test_card_and_recorded_ones_do_not(tmp_path: Path) -> None:
    recording = stream.write(tmp_path / "rec", stream.shoppers(1))
    recorded = checked(Wish(tmp_path / "data", source=str(recording)))
    assert recorded.rules.walk_in_method == ""
    assert recorded.store == str((recording / "store").resolve())
    simulated = checked(Wish(tmp_path / "data", store="random:kiosk", source="sim", scenario="solo"))
    assert simulated.rules.walk_in_method == "pm_card_visa"
    assert Path(simulated.store).is_dir()
    assert simulated.job is not None
    assert simulated.job.source == "sim:solo"


def test_the_verb_is_there() -> None:
    assert "serve" in {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert os.environ.get("STRIPE_API_KEY") is None  # tests never speak to the real one


def test_a_store_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(StoreError, match=r"store\.yaml"):
        checked(Wish(tmp_path / "data", store=str(tmp_path / "store")))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None if name == "fastapi" else object())
    with pytest.raises(MissingExtraError, match=r"pip install 'openaisle\[service\]'"):
        verb.serve()
