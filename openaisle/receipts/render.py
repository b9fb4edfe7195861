"""Receipts for other eyes: a printable page, schema.org JSON-LD, and the AutoCheckout contest's answer.

The page is one self-contained HTML file (no script runs, nothing is fetched), for A4 or 80 mm rolls, light and dark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from html import escape
from importlib.resources import files
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from openaisle.messages import NANOSECONDS
from openaisle.receipts.document import ReceiptsDocument
from openaisle.receipts.pricing import Receipt, ReceiptLine, TaxLine
from openaisle.store.schema import PromotionSpec, StoreSpec

# ISO 4217 minor units other than 2; `_cents` means minor units throughout.
_NO_DECIMALS = ("CLP", "ISK", "JPY", "KRW", "PYG", "VND", "XAF", "XOF")
_DECIMALS = dict.fromkeys(_NO_DECIMALS, 0) | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)


def money(cents: int, currency: str) -> str:
    """Minor units as text, e.g. 1,234.50 EUR."""
    decimals = _DECIMALS.get(currency, 2)
    whole, part = divmod(abs(cents), 10**decimals)
    sign = "−" if cents < 0 else ""
    return f"{sign}{whole:,}" + (f".{part:0{decimals}d}" if decimals else "") + f"\N{NO-BREAK SPACE}{currency}"


def receipts_html(receipts: Sequence[Receipt], spec: StoreSpec, issued_ns: int) -> str:
    """A page with one or more receipts, each on its own sheet when printed."""
    css = files("openaisle.receipts").joinpath("receipt.css").read_text(encoding="utf-8")
    articles = "\n".join(_article(receipt, spec, issued_ns) for receipt in receipts)
    # "<" is escaped so that a product name cannot close the script element.
    linked = json.dumps([json_ld(receipt, spec, issued_ns) for receipt in receipts]).replace("<", "\\u003c")
    title = f"{spec.name}: receipt" + (f" {receipts[0].visit}" if len(receipts) == 1 else "s")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n"
        f'<script type="application/ld+json">{linked}</script>\n</head>\n<body>\n{articles}\n</body>\n</html>\n'
    )


def json_ld(receipt: Receipt, spec: StoreSpec, issued_ns: int) -> dict[str, JsonValue]:
    """The receipt as a schema.org Invoice that references an Order with its items."""
    issued = _local(issued_ns, spec).isoformat()
    items: list[JsonValue] = [
        {
            "@type": "OrderItem",
            "orderQuantity": line.quantity,
            "orderedItem": {"@type": "Product", "gtin14": line.gtin, "name": line.name},
        }
        for line in receipt.lines
    ]
    offers: list[JsonValue] = [
        {
            "@type": "Offer",
            "itemOffered": {"@type": "Product", "gtin14": line.gtin, "name": line.name},
            "price": _decimal(line.unit_price_cents, receipt.currency),
            "priceCurrency": receipt.currency,
            "eligibleQuantity": {"@type": "QuantitativeValue", "value": line.quantity},
        }
        for line in receipt.lines
    ]
    status = "https://schema.org/PaymentAutomaticallyApplied"
    order: dict[str, JsonValue] = {
        "@type": "Order", "orderNumber": receipt.visit, "orderDate": issued, "orderedItem": items,
        "acceptedOffer": offers,
    }  # fmt: skip
    return {
        "@context": "https://schema.org",
        "@type": "Invoice",
        "identifier": receipt.visit,
        "provider": {"@type": "GroceryStore", "name": spec.name},
        "paymentStatus": "https://schema.org/PaymentDue" if receipt.needs_review else status,
        "totalPaymentDue": {
            "@type": "PriceSpecification",
            "price": _decimal(receipt.total_cents, receipt.currency),
            "priceCurrency": receipt.currency,
            "valueAddedTaxIncluded": True,
        },
        "referencesOrder": order,
    }


def autocheckout(
    document: ReceiptsDocument, testcase: str, user: str, barcodes: Mapping[str, str] | None = None
) -> dict[str, JsonValue]:
    """Final baskets as the contest wants them; `barcodes` maps GTIN-14 to the case's own spelling where it differs."""
    own = barcodes or {}
    receipts: list[JsonValue] = []
    for record in document.receipts:
        products: list[JsonValue] = [
            {"barcode": own.get(gtin, barcode(gtin)), "quantity": n} for gtin, n in sorted(record.quantities().items())
        ]
        receipts.append({"target_id": record.visit, "products": products})
    return {"testcase": testcase, "user": user, "receipts": receipts}


def barcode(gtin: str) -> str:
    """A GTIN-14 as printed on the pack: GTIN-8, UPC-A (12), EAN (13) or all 14 digits."""
    for length in (8, 12, 13):
        if gtin.startswith("0" * (14 - length)):
            return gtin[14 - length :]
    return gtin


def _article(receipt: Receipt, spec: StoreSpec, issued_ns: int) -> str:
    currency = receipt.currency
    saved = sum(line.discount_cents for line in receipt.lines)
    added = receipt.total_cents - sum(line.list_cents - line.discount_cents for line in receipt.lines)
    sums = [("Savings", -saved, "saving")] * bool(saved) + [("Tax", added, "")] * bool(added)
    sum_rows = "".join(
        f'<tr class="sums {style}"><td>{label}</td><td class="amount">{money(cents, currency)}</td></tr>'
        for label, cents, style in sums
    )
    labels = {promotion.id: _promotion_label(promotion, currency) for promotion in spec.promotions}
    lines = "".join(_line_row(line, receipt, labels) for line in receipt.lines)
    count = sum(line.quantity for line in receipt.lines)
    total = f'<tr class="total"><td>Total</td><td class="amount">{money(receipt.total_cents, currency)}</td></tr>'
    return (
        f'<article class="receipt">\n<header><h1>{escape(spec.name)}</h1>'
        f"<p>{_local(issued_ns, spec):%A %-d %B %Y, %H:%M}</p></header>\n"
        + (f'<table class="lines">{lines}</table>\n' if lines else '<p class="empty">Nothing was taken.</p>\n')
        + f"<table>{sum_rows}{total}</table>\n"
        + _tax_table(receipt.taxes, currency)
        + _review(receipt)
        + f"<footer>{count} item{'s' * (count != 1)} · visit {escape(receipt.visit)}</footer>\n</article>"
    )


def _promotion_label(promotion: PromotionSpec, currency: str) -> str:
    if promotion.kind == "percent_off":
        return f"{promotion.percent:g}% off"
    return f"{promotion.quantity} for {money(promotion.price_cents, currency)}"


def _line_row(line: ReceiptLine, receipt: Receipt, labels: Mapping[str, str]) -> str:
    """One product: name, how the price came about, list amount (savings and added tax follow in the sums)."""
    details = [f"{line.quantity} × {money(line.unit_price_cents, receipt.currency)}"] if line.quantity > 1 else []
    savings = [
        f'<span class="detail saving">{escape(labels[d.promotion])}: {money(-d.cents, receipt.currency)}</span>'
        for d in receipt.discounts
        if d.gtin == line.gtin
    ]
    shown = "".join(f'<span class="detail">{detail}</span>' for detail in details) + "".join(savings)
    amount = money(line.list_cents, receipt.currency)
    return f'<tr><td>{escape(line.name or line.gtin)}{shown}</td><td class="amount">{amount}</td></tr>'


def _tax_table(taxes: Sequence[TaxLine], currency: str) -> str:
    """Net, tax and gross by class, as bare numbers so that they fit on a roll."""
    rows = "".join(
        f"<tr><td>{escape(tax.tax_class)} {float(Fraction(str(tax.rate)) * 100):g}%</td>"
        + "".join(
            f'<td class="amount">{_decimal(cents, currency)}</td>'
            for cents in (tax.net_cents, tax.tax_cents, tax.gross_cents)
        )
        + "</tr>"
        for tax in taxes
    )
    head = f"<tr><th>Rate</th><th>Net</th><th>Tax</th><th>Gross {currency}</th></tr>"
    return f'<table class="taxes">{head}{rows}</table>\n' if rows else ""


def _review(receipt: Receipt) -> str:
    if not receipt.reasons:
        return ""
    names = {line.gtin: line.name for line in receipt.lines}
    reasons = "".join(
        f"<li>{escape(reason.why.replace('_', ' '))}: {escape(names.get(reason.about, reason.about))}</li>"
        for reason in receipt.reasons
    )
    return f'<div class="review">A person will look at this receipt before you are charged.<ul>{reasons}</ul></div>\n'


def _local(time_ns: int, spec: StoreSpec) -> datetime:
    return datetime.fromtimestamp(time_ns // NANOSECONDS, UTC).astimezone(ZoneInfo(spec.time_zone))


def _decimal(cents: int, currency: str) -> str:
    """Minor units as schema.org writes prices: 12.50."""
    return money(cents, currency).split("\N{NO-BREAK SPACE}")[0].replace(",", "")
