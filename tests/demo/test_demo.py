"""The demo from the shop's opening to the report, with an oracle in the model's place."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from openaisle.demo.place import fresh_folder
from openaisle.demo.run import Demo, demo_scenario, run_demo
from openaisle.demo.shop import Play, Shop
from openaisle.errors import OpenAisleError
from openaisle.messages import VideoFrame
from openaisle.receipts.document import read_receipts
from openaisle.recording.reader import open_recording
from openaisle.sim.scenario import Scenario
from openaisle.sim.stores import open_store
from tests.demo.oracle import Oracle

STORE, SEED = "random:kiosk", 850_003
SHORT = "name: short\nduration_s: 12\nshoppers: [2, 2]\narrival_s: [0.5, 1]\npicks: [1, 2]\nlinger_s: [0, 0]\n"


@pytest.fixture(scope="module")
def scenario_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shoppers in a hurry."""
    path = tmp_path_factory.mktemp("demo") / "short.yaml"
    path.write_text(SHORT)
    return path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, scenario_file: Path) -> Path:
    """What a demo leaves."""
    out = tmp_path_factory.mktemp("demo-out")
    demo = Demo(STORE, str(scenario_file), SEED, out, fast=True, headless=True)
    oracle = Oracle(open_store(STORE, SEED), demo_scenario(str(scenario_file)), SEED)
    rows = run_demo(demo, "oracle", oracle.follow)
    assert len(rows) == 2
    assert all(row.exact for row in rows)
    assert all(row.charged_cents == row.true_cents for row in rows)
    return out


def test_leaves_a_sound_recording_receipts_film_and_report(shown: Path) -> None:
    recording = open_recording(shown / "recording")
    document = read_receipts(shown / "receipts.json")
    assert {record.visit for record in document.receipts}
    with av.open(str(shown / "demo.mp4")) as film:
        length_s = (film.duration or 0) / av.time_base
    assert length_s == pytest.approx((recording.end_ns - recording.start_ns) / 1e9, abs=1.5)
    page = (shown / "report.html").read_text(encoding="utf-8")
    assert "2 of 2 receipts exact" in page
    assert "data:video/mp4;base64," in page


def test_a_second_demo_replaces_the_first_and_nothing_else(tmp_path: Path) -> None:
    first = fresh_folder(tmp_path)
    first.mkdir()
    (first / "manifest.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert fresh_folder(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_refuses_a_folder_that_is_no_demo(tmp_path: Path) -> None:
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "thesis.txt").write_text("mine")
    with pytest.raises(OpenAisleError, match="no recording of an earlier demo"):
        run_demo(Demo(STORE, "demo", SEED, tmp_path), "oracle", lambda store, messages: iter(()))
    assert (tmp_path / "recording" / "thesis.txt").exists()


def test_a_shop_that_is_left_early_leaves_nothing(tmp_path: Path) -> None:
    with Shop(Play(STORE, Scenario(name="long"), SEED, tmp_path / "rec")) as shop:
        for message in shop.messages(0.0):
            if isinstance(message, VideoFrame):
                break
    assert list(tmp_path.iterdir()) == []


def test_a_shop_that_cannot_open_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(OpenAisleError, match="no generator"),
        Shop(Play("random:castle", Scenario(name="any"), SEED, tmp_path / "rec")) as shop,
    ):
        list(shop.messages(0.0))


def test_the_demo_has_a_scenario_of_its_own() -> None:
    assert demo_scenario("demo").shoppers[0] >= 3
    assert demo_scenario("solo").name == "solo"
