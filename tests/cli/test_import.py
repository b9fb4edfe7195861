"""From films and tables to receipts, word by word as the docs tell it: simulate, export, import, look, charge."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from openaisle.cli import app as cli
from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, GateEvent, ScaleBatch, TruthReceipt, VideoPacket
from openaisle.receipts.document import ReceiptsDocument, read_receipts
from openaisle.recording.reader import Recording, open_recording
from openaisle.store.load import load_store, save_store

KIOSK = Path(__file__).resolve().parents[2] / "stores" / "kiosk"
SHORT = "name: short\nduration_s: 14\nshoppers: [1, 1]\narrival_s: [0, 0]\npicks: [1, 1]\nlinger_s: [0, 0]\n"
SCALES_LATE_S = 2.5  # the clock of the scales' table is ahead by this much


def aisle(*words: object) -> Result:
    """Run a verb in this process, so that the network is loaded once."""
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One shopper in a hurry."""
    folder = tmp_path_factory.mktemp("import")
    (folder / "short.yaml").write_text(SHORT)
    kiosk = load_store(KIOSK)
    two = kiosk.spec.model_copy(update={"cameras": kiosk.spec.cameras[1:3]})
    save_store(replace(kiosk, spec=two), folder / "shop")
    asked = ("--store", folder / "shop", "--scenario", folder / "short.yaml", "--seed", "800123")
    aisle("simulate", *asked, "--out", folder / "rec")
    return open_recording(folder / "rec")


@pytest.fixture(scope="module")
def imported(recorded: Recording) -> Path:
    """The recording as a user's films and tables, imported."""
    folder = recorded.folder.parent / "films"
    folder.mkdir()
    films = []
    for camera in recorded.store.spec.cameras:
        cut_s = 0.0 if camera.id == "cam2" else 1.0  # the other camera was switched on later
        out = folder / f"{camera.id}.mp4"
        told = aisle("recording", "export-mp4", recorded.folder, "--camera", camera.id, "--start", cut_s, "--out", out)
        assert f"the first {cut_s:.3f} s after the recording's begin" in told.output
        films.append({"file": out.name, "camera": camera.id, "offset_s": cut_s})
    write_tables(recorded, folder)
    sheet = {
        "start": begin(recorded),
        "store": "../shop",
        "films": films,
        "scales": {"file": "scales.csv", "offset_s": -SCALES_LATE_S},
        "gates": {"file": "gates.csv"},
    }
    (folder / "import.yaml").write_text(yaml.safe_dump(sheet))
    told = aisle("import", "plain", folder, "--out", folder / "rec")
    assert "remark" not in told.output
    return folder / "rec"


def begin(recording: Recording) -> str:
    """The begin as `aisle recording info` tells it."""
    line = aisle("recording", "info", recording.folder).output.splitlines()[-1]
    assert "simulated" in line
    assert "scenario short, seed 800123, split validation" in line
    return line.removeprefix("begins ").split(";")[0]


def write_tables(recording: Recording, folder: Path) -> None:
    """scales.csv and gates.csv as docs/recordings.md describes them."""
    with (folder / "scales.csv").open("w") as one, (folder / "gates.csv").open("w") as other:
        scales, gates = csv.writer(one), csv.writer(other)
        scales.writerow(["time", "scale", "grams"])
        gates.writerow(["time", "gate", "kind", "visit"])
        for message in recording.messages(decode=False):
            seconds = (message.time_ns - recording.start_ns) / NANOSECONDS
            if isinstance(message, ScaleBatch):
                late_s = seconds + SCALES_LATE_S
                scales.writerows(
                    [f"{late_s + i / message.rate_hz:.6f}", message.scale, "" if np.isnan(grams) else grams]
                    for i, grams in enumerate(message.grams.tolist())
                )
            elif isinstance(message, GateEvent):
                gates.writerow([f"{seconds:.6f}", message.gate, message.kind, message.visit])


def test_the_imported_recording_is_sound_and_in_step(recorded: Recording, imported: Path) -> None:
    assert json.loads(aisle("recording", "verify", imported, "--json").stdout) == {
        "sound": True, "problems": [], "remarks": [],
    }  # fmt: skip
    told = json.loads(aisle("recording", "info", imported, "--json").stdout)
    assert told["manifest"]["origin"]["source"] == "imported"
    back = open_recording(imported)
    assert back.start_ns == recorded.start_ns
    assert not back.has_truth
    assert times_ms(back, GateEvent) == times_ms(recorded, GateEvent)
    assert times_ms(back, VideoPacket) == [
        ms for ms in times_ms(recorded, VideoPacket) if ms[0] == "cam2" or ms[1] >= 1000
    ]
    assert samples(back) == samples(recorded)


def times_ms(recording: Recording, kind: type[VideoPacket | GateEvent]) -> list[tuple[str, int]]:
    """(sensor, milliseconds since the begin) of every message of a kind, sorted."""
    messages = (message for message in recording.messages(decode=False) if isinstance(message, kind))
    return sorted(
        (m.camera if isinstance(m, VideoPacket) else m.gate, round((m.time_ns - recording.start_ns) / 1e6))
        for m in messages
    )


def samples(recording: Recording) -> dict[str, list[str]]:
    """All grams by scale, as text, so that "nan" equals itself."""
    out: dict[str, list[str]] = {}
    for message in recording.messages(decode=False):
        if isinstance(message, ScaleBatch):
            out.setdefault(message.scale, []).extend(map(str, message.grams))
    return out


def receipts_of(folder: Path, model: str, out: Path) -> ReceiptsDocument:
    """What `aisle receipts` writes."""
    told = aisle("receipts", folder, "--model", model, "--out", out)
    assert "1 receipts" in told.output
    return read_receipts(out)


@pytest.mark.parametrize("model", ["rule", "small"])
def test_receipts_of_films_and_tables(recorded: Recording, imported: Path, model: str, tmp_path: Path) -> None:
    truth = next(message for message in recorded.truth() if isinstance(message, TruthReceipt))
    document = receipts_of(imported, model, tmp_path / "new" / "receipts.json")
    assert (document.recording, document.model) == ("rec", model)
    (record,) = document.receipts
    assert record.visit == truth.visit
    assert record.final_ns is not None
    assert 0 <= (record.final_ns - truth.time_ns) / NANOSECONDS < 3
    assert record.total_cents == sum(line.total_cents or 0 for line in record.lines)
    prices = {product.gtin: product.price_cents for product in recorded.store.products}
    assert all(line.unit_price_cents == prices[line.gtin] for line in record.lines)
    if model == "rule":  # with one shopper its receipt hangs on gates and scales, which came back exactly
        assert record.quantities() == dict(truth.lines) != {}
    with pytest.raises(RecordingError, match="there is none to compare with"):
        aisle("score", imported, tmp_path / "new" / "receipts.json")
