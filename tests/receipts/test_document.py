"""receipts.json and its relatives: written whole, read strictly, the committed schema true."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from openaisle.errors import ReceiptError
from openaisle.messages import NANOSECONDS
from openaisle.receipts.document import (
    ReceiptsDocument,
    basket_of,
    json_schema,
    read_receipts,
    receipt_record,
    update_of,
    write_receipts,
)
from openaisle.receipts.events import LedgerEvent
from openaisle.receipts.ledger import Ledger, fold
from openaisle.receipts.pricing import Receipt, price
from openaisle.receipts.render import autocheckout, barcode, json_ld, money, receipts_html
from openaisle.store.schema import PromotionSpec
from tests.receipts.shops import MILK, SOAP, TEA, products, put_back, shop, take

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "receipts-1.json"
DAY = date(2026, 11, 22)
ISSUED_NS = 1_795_388_400 * NANOSECONDS  # 2026-11-22T23:00:00Z
PROMOTION = PromotionSpec(id="two", kind="n_for_price", gtins=(TEA,), quantity=2, price_cents=500)
LEDGER = Ledger().extend([take("a", 5, quantity=3), put_back("b", 7), take("c", 8, SOAP)])


def receipt(inclusive: bool = True) -> Receipt:
    return price(fold(LEDGER, "v1"), shop(PROMOTION, inclusive=inclusive), products(), DAY)


def document() -> ReceiptsDocument:
    updates = [update_of(event, "v1", event.time_ns + 1, 0.1) for event in LEDGER.events]
    empty = price(fold(LEDGER, "7"), shop(), (), DAY)
    records = [receipt_record(receipt(), updates, 20, 0.2), receipt_record(empty, [])]
    return ReceiptsDocument(recording="rec", model="small", receipts=records)


def with_receipt(total: str, line: str = "") -> str:
    """The text of a document with one receipt."""
    rest = f'"visit": "v", "total_cents": {total}, "currency": "EUR", "needs_review": false, "lines": [{line}]'
    return '{"recording": "r", "model": "m", "receipts": [{' + rest + "}]}"


def test_written_and_read_back_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "receipts.json"
    write_receipts(path, document())
    assert read_receipts(path) == document()
    assert [file.name for file in tmp_path.iterdir()] == ["receipts.json"]


def test_the_committed_schema_is_the_code_s_and_accepts_what_is_written(tmp_path: Path) -> None:
    committed = json.loads(SCHEMA.read_text())
    assert committed == json_schema()
    jsonschema.Draft202012Validator.check_schema(committed)
    write_receipts(tmp_path / "r.json", document())
    jsonschema.validate(json.loads((tmp_path / "r.json").read_text()), committed)


def test_the_document_has_the_promised_keys_and_adds_up(tmp_path: Path) -> None:
    write_receipts(tmp_path / "r.json", document())
    first = json.loads((tmp_path / "r.json").read_text())["receipts"][0]
    assert {"visit", "lines", "total_cents", "currency", "needs_review", "updates"} <= set(first)
    assert {"gtin", "quantity", "unit_price_cents", "confidence", "evidence"} <= set(first["lines"][0])
    assert first["total_cents"] == sum(line["total_cents"] for line in first["lines"]) == 500 + 450
    taken = first["updates"][0]
    assert {k: taken[k] for k in ("time_ns", "event_time_ns", "kind", "gtin", "quantity", "lane")} == {
        "time_ns": 6, "event_time_ns": 5, "kind": "take", "gtin": TEA, "quantity": 3, "lane": "f.s.l",
    }  # fmt: skip


def test_a_minimal_document_is_enough_and_gtins_are_padded(tmp_path: Path) -> None:
    line = {"gtin": "4006381333931", "quantity": 1, "unit_price_cents": 299, "confidence": 1}
    one = {"visit": "v", "lines": [line], "total_cents": 299, "currency": "EUR", "needs_review": False}
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"recording": "r", "model": "m", "receipts": [one], "later": "keys are ignored"}))
    assert read_receipts(path).receipts[0].quantities() == {TEA: 1}


def test_a_written_receipt_can_be_priced_again() -> None:
    again = price(basket_of(document().receipts[0]), shop(PROMOTION), products(), DAY)
    assert again.total_cents == receipt().total_cents


def test_a_hand_over_updates_both_sides() -> None:
    event = LedgerEvent("h", 5, "hand_over", "v1", TEA, 2, 0.9, to_visit="v2")
    assert [update_of(event, visit, 9).quantity for visit in ("v1", "v2")] == [-2, 2]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "file", "EOF"),
        ('{"recording": "r", "model": "m", "rec', "file", "Invalid JSON"),
        ("[]", "file", "object"),
        ('{"recording": "r", "model": "m"}', "receipts", "required"),
        ('{"version": 2, "recording": "r", "model": "m", "receipts": []}', "version", "1"),
        ('{"recording": "r", "model": "m", "receipts": [{"visit": "v"}]}', "receipts[0].lines", "required"),
        (with_receipt("1.5"), "receipts[0].total_cents", "integer"),
        (
            with_receipt("1", '{"gtin": "1", "quantity": 0, "unit_price_cents": 1, "confidence": 1}'),
            "receipts[0].lines[0].quantity",
            "greater than or equal to 1",
        ),
    ],
)
def test_bad_files_get_a_named_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ReceiptError) as caught:
        read_receipts(path)
    assert any(p.file == str(path) and p.place == place and words in p.what for p in caught.value.problems)


def test_missing_binary_and_doubled_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReceiptError, match="No such file"):
        read_receipts(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReceiptError, match="not UTF-8"):
        read_receipts(tmp_path / "binary.json")
    twice = document().model_copy(update={"receipts": [document().receipts[0]] * 2})
    write_receipts(tmp_path / "twice.json", twice)
    with pytest.raises(ReceiptError, match="more than one receipt for visit v1"):
        read_receipts(tmp_path / "twice.json")


def test_the_page_shows_every_line_the_savings_and_the_tax() -> None:
    page = receipts_html([receipt()], shop(PROMOTION), ISSUED_NS)
    for text in (
        "Corner &amp; Co",
        "Green tea",
        "2 × 2.99",
        "−0.98",
        "9.50",
        "standard 19%",
        "Monday 23 November 2026, 00:00",
    ):
        assert text in page
    assert "http" not in page.split("</style>")[0]  # nothing is fetched
    assert "A person will look" not in page


def test_the_page_escapes_names_and_names_reasons() -> None:
    evil = tuple(p.model_copy(update={"name": "</script><b>tea"}) for p in products())
    book = Ledger().extend([take("a", 1), put_back("b", 2, MILK)])
    page = receipts_html([price(fold(book, "v1"), shop(), evil, DAY)], shop(), ISSUED_NS)
    assert "<b>tea" not in page
    assert page.count("</script>") == 1
    assert f"<li>negative basket: {MILK}</li>" in page


def test_json_ld_is_an_invoice_with_its_order() -> None:
    linked = json.loads(json.dumps(json_ld(receipt(), shop(PROMOTION), ISSUED_NS)))
    assert linked["@type"] == "Invoice"
    assert linked["totalPaymentDue"] == {
        "@type": "PriceSpecification", "price": "9.50", "priceCurrency": "EUR", "valueAddedTaxIncluded": True,
    }  # fmt: skip
    assert [item["orderedItem"]["gtin14"] for item in linked["referencesOrder"]["orderedItem"]] == [SOAP, TEA]


def test_the_contest_s_answer() -> None:
    assert autocheckout(document(), "BASELINE-1", "openaisle", {SOAP: "36000"}) == {
        "testcase": "BASELINE-1",
        "user": "openaisle",
        "receipts": [
            {"target_id": "v1", "products": [{"barcode": "36000", "quantity": 1}, {"barcode": TEA[1:], "quantity": 2}]},
            {"target_id": "7", "products": []},
        ],
    }


def test_barcodes_as_printed() -> None:
    assert [barcode(g) for g in ("00000096385074", SOAP, TEA, "14006381333938")] == [
        "96385074", "036000291452", "4006381333931", "14006381333938",
    ]  # fmt: skip


def test_money_in_minor_units() -> None:
    assert [money(123456, "EUR"), money(5, "EUR"), money(-50, "EUR"), money(1500, "JPY"), money(1500, "KWD")] == [
        "1,234.56\xa0EUR", "0.05\xa0EUR", "−0.50\xa0EUR", "1,500\xa0JPY", "1.500\xa0KWD",
    ]  # fmt: skip
