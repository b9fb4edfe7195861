"""GTINs: check digits, lengths and Digital Links."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.store.gtin import check_digit, from_digital_link, normalise, to_digital_link, with_check_digit

BODIES = st.sampled_from([7, 11, 12, 13]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n))


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("4006381333931", "04006381333931"),  # the example of an EAN-13 in most text books
        ("036000291452", "00036000291452"),  # and of a UPC-A
        ("96385074", "00000096385074"),  # EAN-8
        ("09506000134352", "09506000134352"),  # GS1's own Digital Link example
        (" 4006381333931 ", "04006381333931"),
    ],
)
def test_known_numbers(text: str, gtin: str) -> None:
    assert normalise(text) == gtin


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4006381333932", "should end in 1"),
        ("400638133393", "check digit"),
        ("123", "3 digits"),
        ("4,00638E+12", "not digits"),
        ("", "not digits"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "not digits"),  # digits, but not ASCII
    ],
)
def test_wrong_numbers_say_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        normalise(text)


@given(BODIES)
@settings(deadline=None)
def test_leading_zeros_change_nothing(body: str) -> None:
    assert check_digit(body) == check_digit("000" + body)
    full = with_check_digit(body)
    assert normalise(full) == full.zfill(14)


@given(BODIES, st.integers(0, 13), st.integers(1, 9))
@settings(deadline=None)
def test_any_single_wrong_digit_is_noticed(body: str, place: int, by: int) -> None:
    digits = list(with_check_digit(body))
    place %= len(digits)
    digits[place] = str((int(digits[place]) + by) % 10)
    with pytest.raises(ValueError, match="check digit"):
        normalise("".join(digits))


@given(BODIES)
@settings(deadline=None)
def test_digital_links_come_back(body: str) -> None:
    gtin = with_check_digit(body).zfill(14)
    assert from_digital_link(to_digital_link(gtin)) == gtin
    assert from_digital_link(f"https://shop.example/de/01/{gtin}/10/LOT?17=261231") == gtin


@pytest.mark.parametrize(
    "uri", ["https://id.gs1.org/414/9520123456788", "ftp://x/01/04006381333931", "01/04006381333931"]
)
def test_other_links_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="Digital Link"):
        from_digital_link(uri)
