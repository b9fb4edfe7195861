"""GTINs: the number under a bar code, kept as GTIN-14, and its GS1 Digital Link."""

from __future__ import annotations

import re

LENGTHS = (8, 12, 13, 14)
_LINK = re.compile(r"^https?://[^\s?#]+/01/(\d{8}|\d{12,14})(?:[/?#].*)?$")


def check_digit(digits: str) -> int:
    """The last digit of a GTIN from all digits before it (GS1 General Specifications, section 7.9)."""
    assert digits.isdecimal(), "digits only"
    return -sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits))) % 10


def with_check_digit(digits: str) -> str:
    """Digits followed by their check digit."""
    return f"{digits}{check_digit(digits)}"


def normalise(text: str) -> str:
    """GTIN-8, -12, -13 or -14 as the GTIN-14 that means the same; raises ValueError that says what is wrong."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"GTIN {text!r} has characters that are not digits")
    if len(digits) not in LENGTHS:
        raise ValueError(f"GTIN {digits} has {len(digits)} digits, not 8, 12, 13 or 14")
    if check_digit(digits[:-1]) != int(digits[-1]):
        raise ValueError(f"GTIN {digits} has a wrong check digit: it should end in {check_digit(digits[:-1])}")
    return digits.zfill(14)


def to_digital_link(gtin: str, domain: str = "https://id.gs1.org") -> str:
    """GS1 Digital Link URI of a product, e.g. https://id.gs1.org/01/09506000134352; raises ValueError."""
    return f"{domain.rstrip('/')}/01/{normalise(gtin)}"


def from_digital_link(uri: str) -> str:
    """GTIN-14 out of a GS1 Digital Link URI; raises ValueError when there is none in it."""
    match = _LINK.match(uri.strip())
    if match is None:
        raise ValueError(f"{uri!r} is no GS1 Digital Link: it has no /01/ followed by a GTIN")
    return normalise(match.group(1))
