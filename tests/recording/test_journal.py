"""The journal: what is committed is read in order, while it is written and after kills; the rest was never said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from openaisle.messages import NANOSECONDS, ScaleBatch, SensorState, VideoFrame, VideoPacket
from openaisle.recording import journal
from openaisle.recording.journal import JournalWriter, follow, forget, last_messages
from openaisle.recording.reader import open_recording
from openaisle.recording.recover import recover
from tests.tokens.corner import corner_store

START = 1_700_000_000 * NANOSECONDS


def batch(number: int) -> ScaleBatch:
    """Half a second of a scale."""
    grams = np.arange(10, dtype=np.float32) + number
    return ScaleBatch("w1", START + number * NANOSECONDS // 2, 20.0, grams, "esp", 1, number)


def looks(times: int) -> Callable[[], bool]:
    """Tells a reader to go on so often."""
    asked = count()
    return lambda: next(asked) < times


def numbers(folder: Path, start_ns: int = 0) -> list[int]:
    """Seqs that a reader finds now."""
    found = [one.message for one in follow(folder, start_ns, looks(20))]
    return [message.seq for message in found if isinstance(message, ScaleBatch)]


def test_only_what_is_committed_is_read(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, corner_store())
    writer.append(batch(0))
    assert numbers(tmp_path) == []
    writer.commit()
    writer.append(batch(1))
    assert numbers(tmp_path) == [0]
    writer.close()
    assert numbers(tmp_path) == [0, 1]


def test_a_reader_follows_over_files_and_begins_where_it_is_told(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, corner_store())
    reader = follow(tmp_path, 0, lambda: True)
    for number in range(400):  # 200 s: four files
        writer.append(batch(number))
        if number % 7 == 0:
            writer.commit()
            assert next(reader).message.time_ns == batch(number - 6 if number else 0).time_ns
            for _ in range(6 if number else 0):
                next(reader)
    writer.close()
    assert len(list(tmp_path.glob("sensors-*.mcap"))) == 4
    assert numbers(tmp_path) == list(range(400))
    assert numbers(tmp_path, batch(250).time_ns) == list(range(250, 400))
    assert [one.message for one in last_messages(tmp_path, 10 * NANOSECONDS)][-1].time_ns == batch(399).time_ns


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
def test_after_a_kill_the_commits_stand_and_the_writer_goes_on(tmp_path: Path, cut: int) -> None:
    killed, after = tmp_path / "killed", tmp_path / "after"
    writer = JournalWriter(killed, corner_store())
    for number in range(20):
        writer.append(batch(number))
        writer.commit()
    shutil.copytree(killed, after)
    path = after / "sensors-00000.mcap"
    with path.open("ab") as file:  # a chunk that was being written
        file.write(path.read_bytes()[8 : 8 + cut])
    second = JournalWriter(after, corner_store())
    assert numbers(after) == list(range(20))
    for number in range(20, 25):
        second.append(batch(number))
    second.close()
    assert numbers(after) == list(range(25))
    writer.close()


def test_a_chunk_that_is_whole_but_was_not_marked_is_read_by_all_from_the_next_start_on(tmp_path: Path) -> None:
    killed, after = tmp_path / "killed", tmp_path / "after"
    writer = JournalWriter(killed, corner_store())
    writer.append(batch(0))
    writer.commit()
    head = (killed / journal.HEAD).read_bytes()
    writer.append(batch(1))
    writer.commit()
    shutil.copytree(killed, after)
    (after / journal.HEAD).write_bytes(head)  # killed between fsync and mark
    assert numbers(after) == [0]
    second = JournalWriter(after, corner_store())
    assert [one.message.time_ns for one in last_messages(after, NANOSECONDS)] == [batch(0).time_ns, batch(1).time_ns]
    second.append(batch(2))
    second.close()
    assert numbers(after) == [0, 1, 2]
    writer.close()


def test_a_journal_is_a_recording(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, corner_store())
    rng = np.random.Generator(np.random.PCG64(0))
    for number in range(130):
        writer.append(batch(number))
        rgb = rng.integers(0, 255, (128, 160, 3)).astype(np.uint8)
        writer.append(VideoFrame("a", batch(number).time_ns, rgb))
    writer.append(SensorState("scale", "w2", batch(130).time_ns, "offline", START, "silent"))
    writer.close()
    recover(tmp_path)
    messages = list(open_recording(tmp_path).messages())
    assert sum(isinstance(message, ScaleBatch) for message in messages) == 130
    assert sum(isinstance(message, VideoFrame) for message in messages) == 130
    assert messages[-1] == SensorState("scale", "w2", batch(130).time_ns, "offline", START, "silent")
    packets = [m for m in open_recording(tmp_path).messages(decode=False) if isinstance(m, VideoPacket)]
    assert packets[0].keyframe


def test_what_is_old_is_forgotten_file_by_file(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, corner_store())
    for number in range(400):
        writer.append(batch(number))
    writer.commit()
    assert forget(tmp_path, START + 130 * NANOSECONDS) > 0
    assert numbers(tmp_path, batch(260).time_ns) == list(range(260, 400))
    forget(tmp_path, START + 10**6 * NANOSECONDS)
    assert numbers(tmp_path)[-1] == 399
    writer.append(batch(400))
    writer.close()
    again = JournalWriter(tmp_path, corner_store())
    again.close()
    assert numbers(tmp_path)[-1] == 400
