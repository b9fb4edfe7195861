"""The demo's folder and ports: one demo at a time, nobody's files, and what is free or refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from openaisle.demo import place
from openaisle.demo.place import alone, free_port, fresh_folder
from openaisle.errors import OpenAisleError


def test_what_an_earlier_demo_left_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    for name, proof in place.OURS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / proof).touch()
    (tmp_path / ".recording.123.part").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    assert fresh_folder(tmp_path) == tmp_path / "recording"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", sorted(place.OURS))
def test_folders_of_others_are_left_alone_all_of_them(tmp_path: Path, name: str) -> None:
    for other, proof in place.OURS.items():
        (tmp_path / other).mkdir()
        (tmp_path / other / ("thesis.txt" if other == name else proof)).touch()
    with pytest.raises(OpenAisleError, match=f"no {name} of an earlier demo"):
        fresh_folder(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(place.OURS)


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(OpenAisleError, match="another demo runs there"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_live_store_that_runs_in_the_folder_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "serve.lock").touch()
    with alone(tmp_path / "service"):  # somebody else's lock of another name does not matter
        pass
    import fcntl

    with (tmp_path / "service" / "serve.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OpenAisleError, match="another demo runs there"), alone(tmp_path):
            pass


def test_a_wanted_port_is_taken_when_it_is_free_and_another_one_when_not() -> None:
    with socket.socket() as taken:
        taken.bind((place.HOST, 0))
        taken.listen(1)
        number = int(taken.getsockname()[1])
        other = free_port(number)
        assert other not in (0, number)
    assert free_port(number) == number


def test_where_ports_are_refused_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(socket.socket, "bind", refused)
    assert free_port(8080) == 0
