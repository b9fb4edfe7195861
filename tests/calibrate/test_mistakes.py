"""Mistakes on the command line: exit code 2, a message with a fix, and store.yaml byte for byte as it was."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from openaisle.cli.app import main
from openaisle.store.load import write_picture
from tests.calibrate.painter import film
from tests.store.tiny import Folder

TABLE = "tag,x_m,y_m,z_m,size_mm,facing_deg,tilt_deg\n1,1,1,0,100,0,90\n2,2,1,0,100,0,90\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A store, and beside it: an empty film, an empty picture, a broken film, tables of tags."""
    monkeypatch.chdir(tmp_path)
    grey = np.full((240, 320), 128, np.uint8)
    film(tmp_path / "empty.mp4", [grey] * 3)
    write_picture(tmp_path / "empty.png", np.repeat(grey[:, :, None], 3, axis=2))
    write_picture(tmp_path / "wide.png", np.zeros((120, 320, 3), np.uint8))
    (tmp_path / "broken.mp4").write_bytes(b"no film at all" * 100)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "tags.csv").write_text(TABLE)
    (tmp_path / "twice.csv").write_text(TABLE + "2,2,1,0,100,0,90\n")
    return Folder(tmp_path / "store")


def said(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What `aisle WORDS` says when it ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["aisle", *words])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert end.value.code == 2, err
    assert "Traceback" not in err
    assert out == ""
    return err


LENS = ["calibrate", "intrinsics", "--store", "store", "--camera", "cam"]
TAGS = ["calibrate", "extrinsics", "--store", "store", "--tags", "tags.csv"]
WALK = ["calibrate", "walk", "--store", "store"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*LENS, "empty.mp4"], "the board of 5x7 squares is in none of 3 pictures"),
        ([*LENS, "broken.mp4"], "broken.mp4"),
        ([*LENS, "broken.png"], "broken.png: file: is not a readable picture"),
        ([*LENS, "gone.mp4"], "gone.mp4: file: is missing"),
        ([*LENS, "store"], "is a folder, not a film"),
        ([*LENS, "empty.mp4", "wide.png"], "is 320x120, the others are 320x240"),
        ([*LENS, "wide.png"], "is 320x120, but camera cam is 320x240"),
        ([*LENS[:-1], "kam", "empty.mp4"], "there is no camera 'kam'"),
        ([*LENS, "--squares", "2x2", "empty.mp4"], "'2x2' is no board"),
        ([*TAGS, "cam=empty.mp4"], "camera cam: it sees no tag"),
        ([*TAGS, "cam=empty.png"], "camera cam: it sees no tag"),
        ([*TAGS, "cam=broken.mp4"], "broken.mp4"),
        ([*TAGS, "kam=empty.png"], "there is no camera 'kam'"),
        ([*TAGS, "empty.png"], "is not named after a camera"),
        ([*TAGS, "cam=wide.png"], "is 320x120, but camera cam is 320x240"),
        ([*TAGS[:-1], "twice.csv", "cam=empty.png"], "tag 2 stands in line 3 already"),
        ([*TAGS[:-1], "none.csv", "cam=empty.png"], "the file is missing"),
        ([*WALK, "cam=empty.mp4"], "camera cam: it shows one person alone in 0 pictures only"),
        ([*WALK, "cam=gone.mp4"], "gone.mp4: camera cam: is missing or no film"),
        ([*WALK, "cam=broken.mp4"], "broken.mp4"),
        ([*WALK, "cam=wide.png"], "is 320x120, but camera cam is 320x240"),
        ([*WALK, "kam=empty.mp4"], "there is no camera 'kam'"),
        ([*WALK, "--fixed", "kam", "cam=empty.mp4"], "there is no camera 'kam'"),
        ([*WALK, "store"], "holds no recording and no film"),
        ([*WALK, "cam=empty.mp4", "cam=empty.mp4"], "2 films are given for one camera"),
        (["calibrate", "extrinsics", "--store", "shop", "--tags", "tags.csv", "cam=empty.png"], "store.yaml"),
        (["calibrate", "board", "--paper", "b9", "--out", "b.pdf"], "'b9' is not known"),
        (["calibrate", "board", "--out", "b.txt"], "cannot be written as '.txt'"),
        (["calibrate", "tags", "--out", "no/such/folder/t.pdf"], "no/such/folder/t.pdf"),
    ],
)
def test_mistakes_leave_the_store_alone(
    words: list[str],
    message: str,
    shop: Folder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = (shop.path / "store.yaml").read_bytes()
    assert message in said(words, capsys, monkeypatch)
    assert (shop.path / "store.yaml").read_bytes() == before


def test_a_store_that_cannot_be_written_is_told_before_the_work(
    shop: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.path / "calibration").write_text("in the way")
    before = (shop.path / "store.yaml").read_bytes()
    for words in ([*LENS, "gone.mp4"], [*TAGS, "cam=gone.mp4"], [*WALK, "cam=gone.mp4"]):
        assert "cannot be written" in said(words, capsys, monkeypatch)
    assert (shop.path / "store.yaml").read_bytes() == before


@pytest.mark.parametrize("package", ["matplotlib", "scipy"])
def test_missing_extras_are_told_with_what_to_install(
    package: str, shop: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    for words in (["calibrate", "board", "--out", "b.pdf"], ["calibrate", "tags", "--out", "t.pdf"]):
        if package == "matplotlib":
            assert "pip install 'openaisle[calibrate]'" in said(words, capsys, monkeypatch)
    for words in ([*LENS, "empty.mp4"], [*TAGS, "cam=empty.png"], [*WALK, "cam=empty.mp4"]):
        assert "pip install 'openaisle[calibrate]'" in said(words, capsys, monkeypatch)
