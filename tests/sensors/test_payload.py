"""Payloads: whatever comes over MQTT is read or refused; what is read says what was sent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaisle.errors import SensorError
from openaisle.sensors.gather import Gatherer
from openaisle.sensors.payload import LARGEST_BYTES, Address, Passages, Samples, Told, address_of, json_schema, read
from tests.tokens.corner import corner_store

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "sensors-1.json"
SCALE, GATE = Address("scale", "w1"), Address("gate", "door")
HEAD = {"device_id": "esp-1", "boot_id": 3, "seq": 0, "sent_ns": 10**18 + 500_000_000}
GOOD = {**HEAD, "time_ns": 10**18, "rate_hz": 20.0, "grams": [812.5, None, 813]}
PASSAGE = {"time_ns": 10**18, "kind": "entry", "visit": "anna"}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
numbers = st.integers(-2, 2**63) | st.floats() | anything
near_samples = st.fixed_dictionaries(
    {},
    optional={
        "device_id": st.text(max_size=4) | st.just("esp-1") | anything, "boot_id": numbers, "seq": numbers,
        "sent_ns": numbers, "time_ns": numbers, "rate_hz": numbers,
        "grams": st.lists(st.none() | st.floats() | anything, max_size=6) | anything,
        "events": st.lists(st.fixed_dictionaries({"time_ns": numbers, "kind": st.sampled_from(["entry", "x"])})),
    },
)  # fmt: skip
mended = near_samples.map(lambda part: {**GOOD, **part})
payloads = (
    st.binary(max_size=300)
    | (anything | near_samples | mended | st.lists(mended, max_size=3)).map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda text, at, junk: text[: at % len(text)] + junk + text[at % len(text) :],
        st.just(json.dumps(GOOD).encode()), st.integers(0, 10**4), st.binary(max_size=3),
    )
)  # fmt: skip


def tried(address: Address, data: bytes) -> tuple[Told, ...] | None:
    """The messages, or None when refused."""
    try:
        return read(address, data)
    except SensorError:
        return None


@given(payloads, st.sampled_from([SCALE, GATE]), st.integers(10**18, 2 * 10**18))
def test_every_payload_is_read_or_refused(data: bytes, address: Address, now_ns: int) -> None:
    messages = tried(address, data)
    gatherer = Gatherer(corner_store())
    gatherer.told(address, messages or (), now_ns)
    for step in range(3):
        for told in gatherer.release(now_ns + step * 10**9):
            assert told.time_ns <= now_ns + 10**10
        list(gatherer.resends(now_ns + step * 10**9))
        list(gatherer.stored())
    for message in messages or ():
        assert isinstance(message, Samples if address is SCALE else Passages)
        if isinstance(message, Samples):
            assert all(value is None or math.isfinite(value) for value in message.grams)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"grams": []}, "grams"),
        ({"grams": ["1"]}, "grams"),
        ({"grams": [float("nan")]}, "grams"),
        ({"grams": [1e9]}, "grams"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"seq": -1}, "seq"),
        ({"seq": 1.5}, "seq"),
        ({"boot_id": True}, "boot_id"),
        ({"device_id": "a/b"}, "device_id"),
        ({"time_ns": -5}, "time_ns"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], place: str) -> None:
    with pytest.raises(SensorError, match=place):
        read(SCALE, json.dumps({**GOOD, **change}).encode())


def test_one_or_several_messages() -> None:
    one = read(SCALE, json.dumps(GOOD).encode())
    assert read(SCALE, json.dumps([GOOD, {**GOOD, "seq": 1}]).encode())[0] == one[0]
    assert isinstance(one[0], Samples)
    assert one[0].floats().tolist()[::2] == [812.5, 813.0]
    gates = read(GATE, json.dumps({**HEAD, "events": [PASSAGE]}).encode())
    assert isinstance(gates[0], Passages)
    assert gates[0].events[0].visit == "anna"
    assert read(GATE, json.dumps({**HEAD, "seq": -1, "events": []}).encode())
    assert read(SCALE, json.dumps({**GOOD, "firmware": "2.1"}).encode()) == one  # devices may say more


def test_too_large_a_payload_is_refused() -> None:
    with pytest.raises(SensorError, match="at most"):
        read(SCALE, b" " * (LARGEST_BYTES + 1))


@given(st.text(max_size=40))
def test_every_topic_is_somebodys_or_nobodys(topic: str) -> None:
    address = address_of("openaisle", topic)
    assert address is None or address.topic("openaisle") == topic


def test_topics_lead_back_to_their_sensors() -> None:
    for address in (SCALE, GATE):
        assert address_of("shop/7", address.topic("shop/7")) == address
    assert address_of("openaisle", "openaisle/scale/w1/stored") is None
    assert address_of("openaisle", "other/scale/w1/samples") is None


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema()
