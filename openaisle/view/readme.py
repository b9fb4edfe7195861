"""Readme: writes a generated part of a Markdown file between its two markers."""

from __future__ import annotations

from pathlib import Path

from openaisle.errors import Problem, ReceiptError


def write_part(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`; ReceiptError when a marker is missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    whole = path.read_text(encoding="utf-8")
    before, found, rest = whole.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        fix = "put both on lines of their own"
        raise ReceiptError([Problem(str(path), "markers", f"{begin} and {end} are missing", fix)])
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
