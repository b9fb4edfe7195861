"""Every error the package raises on purpose, drawn as one tree.

    OpenAisleError             the user's mistake or the world's: named, placed, with a fix
    ├── StoreError             a store folder that cannot be used (carries all problems at once)
    ├── RecordingError         a recording or an import that cannot be read or written
    ├── ScenarioError          a scenario file or name that cannot be simulated
    ├── ReceiptError           receipts.json, ledger or price data that cannot be used
    ├── ModelError             weights that are missing, corrupt or of another version
    └── MissingExtraError      an optional dependency that is not installed (says what to install)

Our own mistakes are asserts, never one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OpenAisleError(Exception):
    """Base of every deliberate error; the command line prints it without a traceback and exits 2."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: where it is (file, place) and how to mend it."""

    file: str
    place: str  # key path, line or column, e.g. "fixtures[2].shelves[0].lanes[1].width_m" or "line 14"
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.what} (fix: {self.fix})"


class ProblemsError(OpenAisleError):
    """An error that lists several problems at once, one a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StoreError(ProblemsError):
    """A store folder is not usable; all its problems are listed."""


class RecordingError(ProblemsError):
    """A recording or an import cannot be read or written; nothing half-written is left behind."""


class ScenarioError(ProblemsError):
    """A scenario is unknown or its file is not valid."""


class ReceiptError(ProblemsError):
    """A receipts file, ledger or price table is not usable."""


class ModelError(ProblemsError):
    """Weights or an exported network are missing, corrupt or of another version."""


class MissingExtraError(OpenAisleError):
    """An optional dependency is missing; the message carries the exact install line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Run: pip install 'openaisle[{extra}]'")
