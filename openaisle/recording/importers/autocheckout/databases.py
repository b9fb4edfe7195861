"""Dumps of the contest's database: mongoexport JSON, mongodump BSON files and archives, a document at a time."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, cast

from openaisle.errors import MissingExtraError, Problem
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.autocheckout.documents import READERS, Document, add_document

MAGIC = 0x8199E26D  # of a mongodump archive, little-endian
TERMINATOR = 0xFFFFFFFF
MOST_BYTES = 64 << 20  # the database's own limit is 16 MiB a document
_EXPORT_FIX = "write it again: mongoexport --collection=NAME --out=NAME.json"
_DUMP_FIX = "copy it again, or write it anew with mongodump --archive"
_NUMBERS: Mapping[str, Callable[[object], object]] = {
    "$numberLong": lambda value: int(str(value)),
    "$numberInt": lambda value: int(str(value)),
    "$numberDouble": lambda value: float(str(value)),
    "$numberDecimal": lambda value: float(str(value)),
    "$oid": str,
}
_Decode = Callable[[bytes], Document]


class DumpError(ValueError):
    """A dump that cannot be read on; the text says why."""


def collection_of(path: Path) -> str | None:
    """The collection that a file's name ends with (NAME.json, CASE.NAME.bson, CASE_NAME.json), None for others."""
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    names = sorted(READERS, key=len, reverse=True)
    return next((name for name in names if stem == name or stem.endswith((f".{name}", f"_{name}", f"-{name}"))), None)


def is_archive(path: Path) -> bool:
    """Whether a file begins as a mongodump archive does, gzipped or not."""
    try:
        with _open(path) as stream:
            return stream.read(4) == struct.pack("<I", MAGIC)
    except (OSError, EOFError):
        return False


def read_export(path: Path, collection: str, case: Case) -> None:
    """Documents of a mongoexport file: one a line, or one array."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            array = stream.read(1).lstrip() == "["
            stream.seek(0)
            if array:
                _add_all(path, collection, case, _parsed(stream.read()))
                return
            for number, line in enumerate(stream, 1):
                if line.strip():
                    place = f"line {number}"
                    document = _parsed(line)
                    if not isinstance(document, dict):
                        raise DumpError(f"{place} is not a document")
                    add_document(case, collection, (str(path), place), document)
    except (OSError, ValueError, RecursionError) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as an export ({error})", _EXPORT_FIX))


def _add_all(path: Path, collection: str, case: Case, parsed: object) -> None:
    for number, document in enumerate(parsed if isinstance(parsed, list) else []):
        if not isinstance(document, dict):
            raise DumpError(f"entry {number} is not a document")
        add_document(case, collection, (str(path), f"document {number}"), document)


def _parsed(text: str) -> object:
    return json.loads(text.lstrip("\ufeff"), object_hook=_plain)


def _plain(document: dict[str, object]) -> object:
    """Extended JSON's numbers as numbers."""
    if len(document) == 1:
        ((key, value),) = document.items()
        if key in _NUMBERS:
            return _NUMBERS[key](value)
    return document


def read_bson(path: Path, collection: str, case: Case) -> None:
    """Documents of a mongodump file of one collection. Raises MissingExtraError without a BSON library."""
    decode = _decoder()
    try:
        with _open(path) as stream:
            number = 0
            while (document := _next(stream, decode)) is not None:
                add_document(case, collection, (str(path), f"document {number}"), document)
                number += 1
    except (OSError, EOFError, DumpError) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as BSON ({error})", _DUMP_FIX))


def read_archive(path: Path, case: Case) -> str:
    """Documents of a mongodump archive; returns the database's name. Raises MissingExtraError, as above.

    An archive is a magic number, a prelude of BSON documents that ends with a terminator, and slices: a BSON header
    with database and collection, documents, a terminator.
    """
    decode = _decoder()
    name = ""
    try:
        with _open(path) as stream:
            if stream.read(4) != struct.pack("<I", MAGIC):
                raise DumpError("it does not begin as an archive does")
            while _next(stream, decode) is not None:
                pass
            counts: dict[str, int] = {}
            while (header := _next(stream, decode)) is not None:
                collection = str(header.get("collection", ""))
                name = name or str(header.get("db", ""))
                while (document := _next(stream, decode)) is not None:
                    number = counts[collection] = counts.get(collection, 0) + 1
                    if collection in READERS:
                        add_document(case, collection, (str(path), f"{collection}, document {number}"), document)
    except (OSError, EOFError, DumpError) as error:
        case.problems.append(Problem(str(path), "file", f"cannot be read as an archive ({error})", _DUMP_FIX))
    return name


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")


def _next(stream: IO[bytes], decode: _Decode) -> Document | None:
    """The next document; None at a terminator or at the end of the file. Raises DumpError."""
    head = stream.read(4)
    if not head:
        return None
    if len(head) < 4:
        raise DumpError("it is cut short")
    (size,) = struct.unpack("<I", head)
    if size == TERMINATOR:
        return None
    if not 5 <= size <= MOST_BYTES:
        raise DumpError(f"a document claims {size} bytes")
    body = stream.read(size - 4)
    if len(body) < size - 4:
        raise DumpError("it is cut short inside a document")
    return decode(head + body)


def _decoder() -> _Decode:
    """BSON to a mapping, by pymongo's library."""
    try:
        import bson
        from bson.errors import BSONError
    except ImportError:
        raise MissingExtraError("pymongo", "mongo") from None

    def decode(data: bytes) -> Document:
        try:
            return bson.decode(data)
        except (BSONError, ValueError, OverflowError, RecursionError) as error:
            raise DumpError(f"a document is damaged: {error}") from None

    return decode
