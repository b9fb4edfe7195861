"""The project's own source files as the house tests see them: captions, imports, lengths."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "openaisle"

# Import order: a file imports only from its own room and from rooms above it.
ROOMS = (
    "errors", "messages", "store", "sensors", "recording", "calibrate", "sim", "tokens", "receipts", "predictor",
    "identity", "tracking", "volume", "hands", "shelves", "weighing", "actors", "accounts", "settle", "second_look",
    "owners", "state", "blind", "writing", "correcting", "mute", "booking", "reconcile", "pipeline", "modular",
    "model", "training", "registry", "edge", "flywheel", "service", "bench", "stress", "view", "demo", "cli",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: its full dotted name, its line, and whether importing the file leaves it alone."""

    module: str
    line: int
    lazy: bool


@dataclass(frozen=True, slots=True)
class Function:
    """One function and how many lines it takes, decorators and docstring included."""

    name: str
    line: int
    lines: int


@dataclass(frozen=True)
class Source:
    """One Python file, parsed."""

    path: Path  # relative to ROOT

    @cached_property
    def text(self) -> str:
        """The file as text."""
        return (ROOT / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The file as a syntax tree."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.text.count("\n")

    @property
    def docstring(self) -> str:
        """The module's docstring, "" when there is none."""
        return ast.get_docstring(self.tree) or ""

    @property
    def caption(self) -> str:
        """First line of the module's docstring."""
        return self.docstring.split("\n", 1)[0]

    @property
    def module(self) -> str:
        """Dotted name of the module."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """Room in the package, "" for the package's own __init__ and for files outside it."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else ""

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import of the file; `from package import name` counts as package.name."""
        lazy = {id(child) for node in ast.walk(self.tree) if _runs_later(node) for child in ast.walk(node)}
        found: list[Import] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, node.lineno, id(node) in lazy) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found += [Import(f"{base}.{alias.name}", node.lineno, id(node) in lazy) for alias in node.names]
        return tuple(found)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Every function and method."""
        return tuple(
            Function(node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )

    def _absolute(self, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        package = self.module.split(".") if self.path.name == "__init__.py" else self.module.split(".")[:-1]
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, node.module] if node.module else base)


def _runs_later(node: ast.AST) -> bool:
    """Whether what is inside does not run when the file is imported: functions, and `if TYPE_CHECKING`."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


@lru_cache(maxsize=1)
def package_sources() -> tuple[Source, ...]:
    """All files of the package, sorted by path."""
    return _below(PACKAGE)


@lru_cache(maxsize=1)
def all_sources() -> tuple[Source, ...]:
    """All Python files of the project: package, recipes and tests."""
    return package_sources() + _below("recipes") + _below("tests")


def _below(folder: str) -> tuple[Source, ...]:
    return tuple(Source(path.relative_to(ROOT)) for path in sorted((ROOT / folder).rglob("*.py")))


def kept_files() -> tuple[Path, ...]:
    """Files under version control, relative to ROOT (all text and binary files; nothing that git ignores)."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return tuple(path for name in listing.decode().split("\0") if name and (ROOT / (path := Path(name))).is_file())


def room_of(module: str) -> str:
    """Room of a dotted module name inside the package, "" for openaisle itself and names it defines (__version__)."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == PACKAGE and parts[1] in ROOMS else ""
