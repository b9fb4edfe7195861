"""Broken input for fuzz tests: JSON documents with parts replaced or removed, bytes with flips and cuts."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from tests.recording.nano_store import Document

ODD: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-2, 20), st.floats(), st.text(max_size=8),
    st.sampled_from(["NaN", "1e400", "AAAA", "{}", "[]"]), st.just([]), st.just({}), st.lists(st.floats(), max_size=5),
    st.dictionaries(st.sampled_from(["id", "x", "$numberLong", "$date"]), st.text(max_size=3), max_size=2),
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, document: object, most: int = 3) -> object:
    """A JSON document with up to `most` places, found at random from the top, replaced or removed."""
    whole = {"document": json.loads(json.dumps(document))}
    for _ in range(draw(st.integers(1, most))):
        parent: object = whole
        key: object = "document"
        while isinstance(parent, dict | list):
            inner = parent[key]  # type: ignore[call-overload]
            keys: list[object] = list(inner) if isinstance(inner, dict) else []
            keys += range(len(inner)) if isinstance(inner, list) else []
            if not keys or draw(st.integers(0, 4)) == 0:
                break
            parent, key = inner, draw(st.sampled_from(keys))
        if isinstance(parent, dict) and parent is not whole and draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = draw(ODD)  # type: ignore[index]
    return whole["document"]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some changed, and perhaps cut short or lengthened."""
    out = bytearray(data)
    for _ in range(draw(st.integers(0, 8))):
        out[draw(st.integers(0, len(out) - 1))] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.none(), st.integers(0, len(out))))
    return bytes(out[:end]) + draw(st.binary(max_size=8))


def as_document(value: object) -> Document:
    """A mutated document that is still one."""
    return value if isinstance(value, dict) else {"document": value}
