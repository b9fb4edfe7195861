"""Whatever the importers' files hold: each parser gives a result or names what is wrong; no traceback, no hang.

A few hundred examples a parser by default; 10,000 with `-m slow`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import pytest
from hypothesis import given, settings

from tests.recording.parsers import PARSERS, Parser

FEW, MANY = 200, 10_000
HANGS_S = 60  # on a busy machine an example may take a second

every_parser = pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name.replace(" ", "-"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block does not end in time."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it hangs: more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(parser: Parser, examples: int) -> None:
    """So many broken inputs."""

    @settings(max_examples=examples)
    @given(parser.broken)
    def parse(broken: object) -> None:
        with TemporaryDirectory() as name, within(HANGS_S):
            parser.parse(broken, Path(name))

    parse()


@every_parser
def test_broken_input_is_read_or_refused(parser: Parser) -> None:
    fuzz(parser, FEW)


@pytest.mark.slow
@every_parser
def test_ten_thousand_broken_inputs_are_read_or_refused(parser: Parser) -> None:
    fuzz(parser, MANY)
