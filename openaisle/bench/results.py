"""What a played case left behind, kept as JSON lines so that a stopped benchmark goes on where it was.

A result is found again by the hash of everything it depends on: the code that plays (comments and docstrings apart),
the model's weights, and the case with the files that it names.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openaisle.bench.suites import Case
from openaisle.bench.wrong import WrongVisit
from openaisle.receipts.metrics import VisitScore

_PACKAGE = Path(__file__).parents[1]
_PLAYS = "bench/play.py"  # what it imports, directly or not, and the tables beside that code: a score depends on it
_BOOKKEEPING = ("bench/jobs.py", "bench/results.py", "bench/splits.yaml")  # ... but not on these


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
    cpu_s: float = 0.0  # processor time of the pipeline, all threads, whoever else is using the machine
    memory_mb: float = 0.0  # peak of the process, simulator included
    cameras: int = 0
    shopper_s: float = 0.0  # seconds that shoppers spent in the shop, all together
    wrong: tuple[WrongVisit, ...] = ()


_ADAPTER = TypeAdapter(CaseResult)


def result_key(case: Case, model: str, model_sha256: str, code: str) -> str:
    """Hash of everything that a result depends on."""
    files = [_content(Path(name)) for name in (case.store, case.scenario)]
    parts = json.dumps([asdict(case), model, model_sha256, code, *files], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def _content(path: Path) -> str:
    """Hash of a file or folder that a case names; "" for the name of a generator or of a shipped scenario."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for one in files:
        if one.is_file():
            digest.update(one.relative_to(path).as_posix().encode() + b"\0" + one.read_bytes() + b"\0")
    return digest.hexdigest() if path.exists() else ""


def code_hash(root: Path = _PACKAGE, plays: str = _PLAYS) -> str:
    """Hash of the code that a score depends on; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for path in played_code(root, plays):
        text = path.read_text(encoding="utf-8")
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update((_bare(text) if path.suffix == ".py" else text).encode())
    return digest.hexdigest()[:16]


def played_code(root: Path = _PACKAGE, plays: str = _PLAYS) -> list[Path]:
    """The files of the package that playing a case imports, lazily or not, and the YAML files of their rooms."""
    found: set[Path] = set()
    waiting = [root / plays]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module in _imported(path.read_text(encoding="utf-8"), root.name):
            parts = module.split(".")[1:]
            inner = root.joinpath(*parts)
            rooms = [root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
            waiting += [one for one in (inner.with_suffix(".py"), *rooms) if one.is_file()]
    tables = {table for folder in {path.parent for path in found} - {root} for table in folder.rglob("*.yaml")}
    return sorted((found | tables) - {root / name for name in _BOOKKEEPING})


def _imported(text: str, package: str) -> Iterator[str]:
    """Modules of the package that a file imports; a name imported from a module may be a module, too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(package + "."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def _bare(text: str) -> str:
    """Python source as its syntax tree, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
