"""An imported case's receipts go out as the contest spells them: its case, its targets, its bar codes."""

from __future__ import annotations

import json
from pathlib import Path

from openaisle.receipts.document import LineRecord, ReceiptRecord, ReceiptsDocument
from openaisle.recording.importers.autocheckout.run import import_autocheckout
from openaisle.recording.reader import open_recording
from openaisle.view.exports import Format, write_document
from tests.recording import nano_store


def test_answers_speak_the_cases_language(tmp_path: Path) -> None:
    data = {name: docs for name, docs in nano_store.collections(0.4).items() if name != "frame_message"}
    import_autocheckout(nano_store.write_export(tmp_path / "BASELINE-3", data), tmp_path / "rec")
    recording = open_recording(tmp_path / "rec")
    lines = [
        LineRecord(gtin=product.gtin, quantity=1, unit_price_cents=1, confidence=1.0)
        for product in recording.store.products
    ]
    record = ReceiptRecord(visit="1236364328026240777", lines=lines, total_cents=2, currency="USD", needs_review=False)
    document = ReceiptsDocument(recording="rec", model="small", receipts=[record])
    write_document(document, recording, tmp_path / "answer.json", Format.autocheckout)
    assert json.loads((tmp_path / "answer.json").read_text()) == {
        "testcase": "BASELINE-3",
        "user": "small",
        "receipts": [
            {
                "target_id": "1236364328026240777",
                "products": [{"barcode": "01201303", "quantity": 1}, {"barcode": nano_store.WATER, "quantity": 1}],
            }
        ],
    }
