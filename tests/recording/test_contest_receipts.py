"""Cases that lack something, from their files to the contest's answer and score: on what is there, with one shopper."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openaisle.cli import app as cli
from openaisle.receipts.contest import contest_score, read_baskets
from openaisle.receipts.document import read_receipts
from tests.pipeline.scripted import Scripted
from tests.recording import nano_store

TARGET = "3594178763236981970"
ALONE = "from the scales alone"


def aisle(*words: object) -> str:
    """Run a verb in this process; what it said."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def case(folder: Path, *collections: str, metadata: bool = True, calibration: bool = True) -> Path:
    """A made-up case: a bottle of 538 g leaves plates 4 to 6 of a shelf after three seconds."""
    data = nano_store.collections()
    water = nano_store.changed(data["products"][0], lambda d: d["metadata"].update(weight=538.0))  # type: ignore[attr-defined]
    data["products"] = [water, *data["products"][1:]]
    nano_store.write_export(
        folder, {name: data[name] for name in ("plate_data", "products", "planogram", *collections)}
    )
    if metadata:
        nano_store.write_metadata(folder)
    if not calibration:
        (folder / "calibration.json").unlink(missing_ok=True)
    return folder


def loose(folder: Path) -> Path:
    """Nothing but plate tables and the planogram."""
    nano_store.write_loose(folder)
    for path in folder.glob("*.*"):
        if path.name not in ("planogram.csv", "chips.jpg"):
            path.unlink()
    return folder


def scored(src: Path, visit: str, *options: str) -> str:
    """Import, charge, answer and score; what the verbs said. Raises where the score is not 1."""
    top = src.parent
    said = aisle("import", "autocheckout", src, "--out", top / "rec")
    said += aisle("receipts", top / "rec", "--out", top / "answer.json", "--format", "autocheckout", *options)
    answer = json.loads((top / "answer.json").read_text())
    assert answer["testcase"] == src.name
    (receipt,) = answer["receipts"]
    assert receipt == {"target_id": visit, "products": [{"barcode": nano_store.WATER, "quantity": 1}]}
    truth = {"testcase": src.name, "receipts": [{"target_id": visit, "products": [{"barcode": nano_store.WATER}]}]}
    (top / "truth.json").write_text(json.dumps(truth))
    assert contest_score(read_baskets(top / "truth.json"), read_baskets(top / "answer.json")).to_json()["f1"] == 1.0
    return said


@pytest.mark.parametrize(
    ("write", "visit"),
    [
        (lambda folder: case(folder, metadata=False), "visit-1"),  # plates alone
        (lambda folder: case(folder), "visit-1"),
        (loose, "visit-1"),
        (lambda folder: case(folder, "targets"), TARGET),  # no pictures
        (lambda folder: case(folder, "targets", "frame_message", calibration=False), TARGET),
    ],
    ids=["plates", "metadata", "loose", "tracks", "no-calibration"],
)  # fmt: skip
def test_without_pictures_scales_alone_give_the_receipt(
    tmp_path: Path, write: Callable[[Path], Path], visit: str
) -> None:
    said = scored(write(tmp_path / "BASELINE-1"), visit)
    assert ALONE in said


def test_pictures_need_not_be_looked_at(tmp_path: Path) -> None:
    """The calibration knows a camera without pictures; those of the other are there, but nobody wants them."""
    said = scored(case(tmp_path / "BASELINE-1", "targets", "frame_message"), TARGET, "--no-video")
    assert "no pictures of camera 1" in said
    assert ALONE in said


def test_modular_may_be_asked_for(tmp_path: Path) -> None:
    scored(case(tmp_path / "BASELINE-1", "targets", "frame_message"), TARGET, "--model", "modular")


def test_without_tracks_nobody_seen_is_one_shopper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openaisle.edge.runtime.load_predictor", lambda name: Scripted())
    said = scored(case(tmp_path / "BASELINE-1", "frame_message"), "visit-1")
    assert "no tracks" in said
    assert ALONE in said


def test_the_receipt_tells_its_evidence(tmp_path: Path) -> None:
    src = case(tmp_path / "BASELINE-1", "targets")
    aisle("import", "autocheckout", src, "--out", tmp_path / "rec")
    aisle("receipts", tmp_path / "rec", "--out", tmp_path / "receipts.json")
    document = read_receipts(tmp_path / "receipts.json")
    (record,) = document.receipts
    (line,) = record.lines
    assert (document.model, record.visit, record.needs_review, line.total_cents) == ("modular", TARGET, False, 100)
    assert line.confidence > 0.9
    (evidence,) = line.evidence
    assert (evidence.lane, evidence.scales) == ("g1.s2.p5", ["g1-s2-p5"])
    begin_s, end_s = (time_ns / 1e9 - nano_store.BEGIN_S for time_ns in (evidence.start_ns, evidence.end_ns))
    assert 2 < begin_s < 3.1 < end_s + 0.2 < 4.2
    (update,) = record.updates
    assert update.kind == "take"
    assert update.event_time_ns is not None
    assert update.event_time_ns / 1e9 - nano_store.BEGIN_S == pytest.approx(3, abs=0.3)
    assert record.final_ns == update.time_ns, "only when the recording ends is everything weighed"


def test_several_visits_are_refused(tmp_path: Path) -> None:
    src = case(tmp_path / "BASELINE-1", "targets")
    text = (src / "targets.json").read_text()
    (src / "full_targets.json").write_text(text + text.replace(TARGET, "42"))
    aisle("import", "autocheckout", src, "--out", tmp_path / "rec")
    words = ["receipts", str(tmp_path / "rec"), "--out", str(tmp_path / "a.json"), "--model", "modular"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code != 0
    assert "there are 2 visits" in str(result.exception) + result.output
    assert not (tmp_path / "a.json").exists()
