"""Viewers of other makers open our files by themselves: Foxglove's reader library and Rerun's importer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mcap.reader import make_reader

from openaisle.recording.writer import RecordingWriter
from tests.recording.scenes import messages, small_store, truths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewers") / "rec"
    with RecordingWriter(path, small_store(), live=False, pixels=True) as writer:
        for message in messages(6):
            writer.write(message)
        for truth in truths(6):
            writer.write(truth)
    return path


def _rerun(*arguments: str) -> str:
    pytest.importorskip("rerun")
    program = Path(sys.executable).with_name("rerun")
    command = [str(program) if program.exists() else shutil.which("rerun") or "rerun", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_foxgloves_library_reads_index_and_messages(folder: Path) -> None:
    for name in ("sensors-00000.mcap", "truth-00000.mcap"):
        with (folder / name).open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True)
            summary = reader.get_summary()
            assert summary is not None
            assert summary.statistics is not None
            read = list(reader.iter_messages())
            assert len(read) == summary.statistics.message_count > 0
            assert {channel.message_encoding for _, channel, _ in read} <= {"json", "protobuf"}


@pytest.mark.parametrize("name", ["sensors-00000.mcap", "truth-00000.mcap"])
def test_reruns_checker_finds_no_issue(folder: Path, name: str) -> None:
    told = _rerun("mcap", "check", "--full", str(folder / name))
    rows = [line for line in told.splitlines() if " /" in line]
    assert len(rows) >= 4
    assert all(line.split()[0] == "ok" for line in rows), told


def test_rerun_takes_the_video_as_video(folder: Path, tmp_path: Path) -> None:
    _rerun("mcap", "convert", str(folder / "sensors-00000.mcap"), "-o", str(tmp_path / "out.rrd"))
    told = _rerun("rrd", "print", str(tmp_path / "out.rrd"))
    for topic in ("/camera/cam-a/video", "/camera/cam-b/video"):
        assert any(topic in line and "VideoStream:sample" in line for line in told.splitlines())
    assert any("/scale/scale-1" in line for line in told.splitlines())
    _rerun("rrd", "verify", str(tmp_path / "out.rrd"))
