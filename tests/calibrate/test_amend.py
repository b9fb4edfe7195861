"""Amending store.yaml: only the numbers of the cameras change, whatever form the file has; mistakes change nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from openaisle.errors import StoreError
from openaisle.store.amend import amend_store, amended
from openaisle.store.load import load_store
from tests.store.tiny import Folder

BLOCK = """\
name: "Küche"   # quoted, with a remark
cameras:
  - id: one
    fx_px: 100.0     # rough
    distortion:
    - 0.1
    - 0
    cy_px: 5
    # where it hangs
    position_m: [1,   2, 3]
    look_at_m: [0, 0, 0]  # the till
    roll_deg: 4
  - {id: two, fx_px: 7, position_m: [1, 2, 3], look_at_m: [0, 0, 0], roll_deg: 1}

  - look_at_m: [1, 1, 0]
    id: "three"
    position_m:
      - 1
      - 2
      - 3   # high
currency: EUR
"""
TURNED = {"position_m": [1.5, 2.0, 2.5], "look_at_m": None, "roll_deg": None, "rotation_rodrigues": [1e-07, 2.0, -3.0]}


def lines(text: str) -> list[str]:
    """Lines without their ends."""
    return text.splitlines()


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
def test_values_change_and_all_else_stays(newline: str, start: str) -> None:
    text = start + BLOCK.replace("\n", newline)
    out = amended(text, {"one": {"fx_px": 101.25, "distortion": [0.2, 0.0]}, "two": {"fx_px": 8}})
    assert out == (
        text.replace("100.0", "101.25")
        .replace(newline.join(["distortion:", "    - 0.1", "    - 0"]), "distortion: [0.2, 0.0]")
        .replace("fx_px: 7", "fx_px: 8")
    )


def test_keys_come_and_go_where_they_belong() -> None:
    out = amended(BLOCK, {"one": TURNED, "two": TURNED, "three": TURNED})
    assert lines(out)[8:12] == [
        "    # where it hangs",
        "    position_m: [1.5, 2.0, 2.5]",
        "    rotation_rodrigues: [0.0000001, 2.0, -3.0]",
        "  - {id: two, fx_px: 7, position_m: [1.5, 2.0, 2.5], rotation_rodrigues: [0.0000001, 2.0, -3.0]}",
    ]
    cameras = yaml.safe_load(out)["cameras"]
    assert [camera["id"] for camera in cameras] == ["one", "two", "three"]
    for camera in cameras:
        assert camera["rotation_rodrigues"] == [1e-07, 2.0, -3.0]
        assert not {"look_at_m", "roll_deg"} & set(camera)
    assert '  - id: "three"\n    position_m: [1.5, 2.0, 2.5]   # high\n    rotation_rodrigues: [' in out
    assert "# the till" not in out  # went with its line
    assert amended(BLOCK, {}) == BLOCK
    assert amended(BLOCK, {"nobody": {"fx_px": 1}}) == BLOCK


def test_without_a_last_newline() -> None:
    text = "cameras:\n- id: a\n  position_m: [1, 2, 3]"
    assert amended(text, {"a": {"look_at_m": [1.0, 2.0, 0.0]}}) == text + "\n  look_at_m: [1.0, 2.0, 0.0]"


@pytest.mark.parametrize(
    "text",
    [
        "lens: &l [1, 2]\ncameras:\n- {id: a, distortion: *l}\n",
        "cameras:\n- id: a\n  distortion: &l [1, 2]\nother: *l\n",
    ],
    ids=["alias", "anchor"],
)
def test_a_form_that_would_change_something_else_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="cannot be amended"):
        amended(text, {"a": {"distortion": [3.0, 4.0]}})


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A store on disk."""
    return Folder(tmp_path / "store")


def unchanged(folder: Folder, before: bytes) -> bool:
    """Whether store.yaml is as it was, and nothing half-written lies beside it."""
    return (folder.path / "store.yaml").read_bytes() == before and not list(folder.path.glob(".*.part"))


def test_the_old_file_is_kept_and_never_overwritten(folder: Folder) -> None:
    os.chmod(folder.path / "store.yaml", 0o640)
    first = (folder.path / "store.yaml").read_bytes()
    one = amend_store(folder.path, {"cam": {"fx_px": 161.0}})
    second = (folder.path / "store.yaml").read_bytes()
    two = amend_store(folder.path, {"cam": {"fx_px": 162.0}})
    assert one != two
    assert (one.read_bytes(), two.read_bytes()) == (first, second)
    assert load_store(folder.path).cameras[0].fx_px == 162
    assert (folder.path / "store.yaml").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(folder: Folder, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.yaml"
    (folder.path / "store.yaml").rename(real)
    (folder.path / "store.yaml").symlink_to(real)
    amend_store(folder.path, {"cam": {"fx_px": 161.0}})
    assert (folder.path / "store.yaml").is_symlink()
    assert "fx_px: 161.0" in real.read_text()


def test_an_unsound_outcome_is_not_written(folder: Folder) -> None:
    before = (folder.path / "store.yaml").read_bytes()
    with pytest.raises(StoreError, match=r"above the ceiling .*\n.*nothing was written"):
        amend_store(folder.path, {"cam": {"position_m": [1.0, 1.0, 9.0]}})
    assert unchanged(folder, before)


def test_what_cannot_be_written_stays_as_it_was(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder.path / "store.yaml").read_bytes()
    (folder.path / "calibration").write_text("a file is in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        amend_store(folder.path, {"cam": {"fx_px": 161.0}})
    (folder.path / "calibration").unlink()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=r"cannot be written: No space left.*fix: "):
        amend_store(folder.path, {"cam": {"fx_px": 161.0}})
    monkeypatch.undo()
    assert unchanged(folder, before)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="cannot be written"):
        amend_store(folder.path, {"cam": {"fx_px": 161.0}})
    assert unchanged(folder, before)
