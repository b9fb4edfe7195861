"""Every error the package raises on purpose, drawn as one tree.

    OpenAisleError             the user's mistake or the world's: named, placed, with a fix
    ├── StoreError             a store folder that cannot be used (carries all problems at once)
    ├── RecordingError         a recording or an import that cannot be read or written
    ├── ScenarioError          a scenario file or name that cannot be simulated
    ├── ReceiptError           receipts.json, ledger or price data that cannot be used
    ├── ModelError             weights that are missing, corrupt or of another version
    ├── SensorError            a sensors file, or a message of a sensor, that cannot be used
    ├── ServiceError           a live store's database, settings or folder that cannot be used
    ├── RequestError           a request to the live store that cannot be done (says which status, and what to do)
    ├── PaymentRefusedError    a payment gateway's final no
    ├── GatewayDownError       a payment gateway that did not answer; the same question is asked again later
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

    def __reduce__(self) -> tuple[type[ProblemsError], tuple[tuple[Problem, ...]]]:
        """Whole across processes: an exception would be made again from its text."""
        return type(self), (self.problems,)


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


class SensorError(ProblemsError):
    """A sensors file or a message of a sensor is not usable."""


class ServiceError(ProblemsError):
    """The live store's database, settings or data folder are not usable."""


class RequestError(OpenAisleError):
    """A request that the live store refuses: an HTTP status, what is wrong, and how to mend it."""

    def __init__(self, status: int, what: str, fix: str) -> None:
        self.status, self.what, self.fix = status, what, fix
        super().__init__(f"{what} (fix: {fix})")


class PaymentRefusedError(OpenAisleError):
    """A payment gateway's final no; asking again would not help."""

    def __init__(self, code: str, what: str) -> None:
        self.code = code
        super().__init__(f"{code}: {what}")


class GatewayDownError(OpenAisleError):
    """A payment gateway that did not answer, or not yet; nothing is known, so the same key is asked again."""


class MissingExtraError(OpenAisleError):
    """An optional dependency is missing; the message carries the exact install line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Run: pip install 'openaisle[{extra}]'")
