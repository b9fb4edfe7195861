"""What a played case left behind, kept as JSON lines so that a stopped benchmark goes on where it was.

A result is found again by the hash of everything it depends on: the code (comments and docstrings apart), the model's
weights, and the case.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openaisle.bench.suites import Case
from openaisle.receipts.metrics import VisitScore

_PACKAGE = Path(__file__).parents[1]
# What a score depends on. The recorder, the training code and the command line cannot change it.
_ROOMS = ("errors.py", "messages.py", "store", "sensors", "sim", "tokens", "receipts", "pipeline.py", "modular", "edge")
_ROOMS_OF_BENCH = ("bench/play.py",)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The scored visits of one case by one model, and what it cost."""

    key: str
    case: Case
    model: str
    model_sha256: str
    visits: tuple[VisitScore, ...]
    stream_s: float  # store time played
    wall_s: float  # simulation and model together
    model_s: float  # the pipeline's share of it
    step_ms: tuple[float, float, float] = (0.0, 0.0, 0.0)  # p50, p95, p99 of one pipeline step


_ADAPTER = TypeAdapter(CaseResult)


def result_key(case: Case, model: str, model_sha256: str, code: str) -> str:
    """Hash of everything that a result depends on."""
    parts = json.dumps([asdict(case), model, model_sha256, code], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def code_hash(root: Path = _PACKAGE) -> str:
    """Hash of the code that a score depends on; comments, docstrings and layout do not count."""
    found = [path for room in (*_ROOMS, *_ROOMS_OF_BENCH) for path in _files(root / room)]
    digest = hashlib.sha256()
    for path in sorted(found):
        text = path.read_text(encoding="utf-8")
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update((_bare(text) if path.suffix == ".py" else text).encode())
    return digest.hexdigest()[:16]


def append(path: Path, result: CaseResult) -> None:
    """Add a line; a kill in the middle costs this line only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if file.tell() and _last_byte(path) != b"\n":  # a killed run left half a line
            file.write(b"\n")
        file.write(_ADAPTER.dump_json(result) + b"\n")


def load(path: Path, keys: Iterable[str]) -> dict[str, CaseResult]:
    """The results with these keys; broken lines are left out."""
    wanted = set(keys)
    out: dict[str, CaseResult] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            result = _ADAPTER.validate_json(line)
        except ValidationError:
            continue
        if result.key in wanted:
            out[result.key] = result
    return out


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return [path]
    return [found for found in path.rglob("*") if found.suffix in (".py", ".yaml")] if path.is_dir() else []


def _bare(text: str) -> str:
    """Python source as its syntax tree, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
