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

import numpy as np
import pytest
from hypothesis import given, settings

from openaisle.errors import Problem
from openaisle.recording.importers.autocheckout.cameras import Calibrated, camera_spec
from openaisle.recording.importers.autocheckout.case import Case
from openaisle.recording.importers.autocheckout.loose import read_plate
from openaisle.recording.importers.films import measure
from openaisle.recording.importers.tables import Clock, read_scales
from tests.recording.parsers import PARSERS, Parser, film_bytes
from tests.recording.scenes import small_store

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


# --- what it found ------------------------------------------------------------------------------------------------


def test_a_film_of_an_unknown_codec(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    problems: list[Problem] = []
    assert measure(path, "camera 1", problems) is None
    assert "no known codec or size" in problems[0].what


@pytest.mark.parametrize("time", ["9.5e9", "-9.5e9", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_times_that_64_bits_do_not_hold(tmp_path: Path, time: str) -> None:
    (tmp_path / "scales.csv").write_text(f"time,scale,grams\n{time},scale-1,5\n")
    problems: list[Problem] = []
    assert read_scales(tmp_path / "scales.csv", Clock(0, 0), small_store(), problems) == []
    assert "the time" in problems[0].what
    plate = tmp_path / "gondola_1_shelf_1_plate_1.csv"
    plate.write_text(f"1,2\n{time},5\n")
    case = Case("c")
    read_plate(plate, case)
    assert "line 2" in case.problems[0].place


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("value", [5e-324, 1e-310, 1e200, -1e308])
def test_distortion_beyond_any_lens(place: int, value: float) -> None:
    lens = [0.1, 0.05, 0.0, 0.0, 0.0]
    lens[place] = value
    matrix = np.array([[0.6, 0, 0.5], [0, 0.8, 0.5], [0, 0, 1.0]])
    camera = Calibrated(matrix, True, (lens[0], lens[1], lens[2], lens[3], lens[4]), np.eye(4))
    case = Case("c")
    spec = camera_spec("1", camera, (640, 480), 5.0, case)
    assert (spec is None) == (abs(value) > 1)
    assert bool(case.remarks) == (spec is None)
