"""Multi-view data sets become recordings and recordings data sets; units and axes are told, wrong files named."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openaisle.errors import RecordingError
from openaisle.messages import NANOSECONDS, TruthTick, VideoFrame
from openaisle.recording.importers.multiview import MULTIVIEWX, WILDTRACK, import_multiview
from openaisle.recording.multiview import export_multiview
from openaisle.recording.reader import Recording, open_recording
from openaisle.recording.tools import verify
from openaisle.recording.writer import RecordingWriter
from openaisle.store.geometry import Float, invert, look_at, rigid
from openaisle.view.timeline import Timeline, add_truth
from tests.recording.mutations import damaged, mutated
from tests.recording.scenes import START_NS, messages, small_store, truths

SIZE = (160, 90)
MATRIX = np.array([[140.0, 0, 80], [0, 140, 45], [0, 0, 1]])
POSES = [look_at([-2.0, -6.0, 2.5], [3.0, 0.0, 0.5]), look_at([8.0, 5.0, 3.1], [3.0, 0.0, 0.5])]
POSITIONS = {7: (3.0, 0.5), 12: (1.0, -2.0)}


def _vector(name: str, values: Float, plain: bool) -> str:
    data = " ".join(repr(float(v)) for v in values.ravel())
    if plain:
        return f"<{name}>\n {data} </{name}>"
    rows, columns = values.reshape(values.shape[0], -1).shape
    return (
        f'<{name} type_id="opencv-matrix"><rows>{rows}</rows><cols>{columns}</cols><dt>d</dt>'
        f"<data>{data}</data></{name}>"
    )


def write_set(folder: Path, wildtrack: bool, unit: float = 1.0, upside_down: bool = False, count: int = 3) -> Path:
    """A tiny data set with two cameras; unit in metres of the calibrations."""
    grid = WILDTRACK if wildtrack else MULTIVIEWX
    names = ("CVLab1", "IDIAP1") if wildtrack else ("Camera1", "Camera2")
    inner = "intrinsic_zero" if wildtrack else "intrinsic"
    turn = rigid(np.diag([1.0, -1.0, -1.0]), [0, 0, 0]) if upside_down else np.eye(4)
    for part in ("annotations_positions", f"calibrations/{inner}", "calibrations/extrinsic"):
        (folder / part).mkdir(parents=True)
    for i, (name, pose) in enumerate(zip(names, POSES, strict=True)):
        world = invert(turn @ pose)
        rotation = np.asarray(cv2.Rodrigues(world[:3, :3])[0], dtype=np.float64)
        text = _vector("rvec", rotation, wildtrack) + _vector("tvec", world[:3, 3:] / unit, wildtrack)
        store = "<?xml version='1.0'?><opencv_storage>{}</opencv_storage>"
        (folder / "calibrations" / "extrinsic" / f"extr_{name}.xml").write_text(store.format(text))
        text = _vector("camera_matrix", MATRIX, False) + _vector("distortion_coefficients", np.zeros((5, 1)), False)
        (folder / "calibrations" / inner / f"intr_{name}.xml").write_text(store.format(text))
        (folder / "Image_subsets" / f"C{i + 1}").mkdir(parents=True)
        for k in range(count):
            picture = np.full((SIZE[1], SIZE[0], 3), 50 + 40 * k + 10 * i, dtype=np.uint8)
            cv2.imwrite(str(folder / "Image_subsets" / f"C{i + 1}" / f"{5 * k:08d}.png"), picture)
    for k in range(count):
        labels = []
        for person, (x, y) in POSITIONS.items():
            position = grid.position((x + 0.1 * k, -y if upside_down else y))
            views = [{"viewNum": 0, "xmax": -1, "xmin": -1, "ymax": -1, "ymin": -1}]
            labels += [{"personID": person, "positionID": position, "views": views}] if position is not None else []
        (folder / "annotations_positions" / f"{5 * k:08d}.json").write_text(json.dumps(labels))
    return folder


@pytest.mark.parametrize(
    ("wildtrack", "unit", "upside_down"),
    [(True, 0.01, False), (False, 1.0, False), (True, 1.0, False), (True, 0.001, False), (True, 0.01, True)],
)
def test_data_sets_become_recordings(tmp_path: Path, wildtrack: bool, unit: float, upside_down: bool) -> None:
    src = write_set(tmp_path / "set", wildtrack, unit, upside_down)
    done = import_multiview(src, tmp_path / "rec")
    assert verify(tmp_path / "rec").problems == ()
    assert ("z points down" in " ".join(done.remarks)) == upside_down
    recording = open_recording(tmp_path / "rec")
    for camera, pose in zip(recording.store.cameras, POSES, strict=True):
        assert np.allclose(camera.world_from_camera, pose, atol=1e-6)
        assert (camera.fx_px, camera.width_px, camera.height_px) == (140, *SIZE)
    frames = [m for m in recording if isinstance(m, VideoFrame)]
    assert [(f.camera, (f.time_ns - recording.start_ns) / NANOSECONDS) for f in frames] == [
        (f"C{i}", t) for t in (0.0, 0.5, 1.0) for i in (1, 2)
    ]
    assert frames[4].rgb.mean() == pytest.approx(130, abs=3)
    ticks = [t for t in recording.truth() if isinstance(t, TruthTick)]
    known = {7, 12} if wildtrack else {7}  # MultiviewX's floor begins at zero
    for k, tick in enumerate(ticks):
        wanted = {f"person-{p}": (x + 0.1 * k, y) for p, (x, y) in POSITIONS.items() if p in known}
        assert {s.shopper for s in tick.shoppers} == set(wanted)
        for shopper in tick.shoppers:
            assert shopper.floor_m == pytest.approx(wanted[shopper.shopper], abs=0.013)
            assert np.isnan(shopper.head_m).all()
    assert len(ticks) == 3
    timeline = add_truth(Timeline(recording.store), recording.truth())
    assert {body.visit for body in timeline.bodies_at(ticks[1].time_ns)} == {f"person-{p}" for p in known}


def recorded(folder: Path, seconds: float = 2.0) -> Recording:
    """The recording tests' small scene with its truth."""
    with RecordingWriter(folder, small_store(), live=False) as writer:
        for message in messages(seconds):
            writer.write(message)
        for truth in truths(seconds):
            writer.write(truth)
    return open_recording(folder)


def test_a_recording_survives_the_way_to_other_trackers_and_back(tmp_path: Path) -> None:
    before = recorded(tmp_path / "rec")
    done = export_multiview(before, tmp_path / "set", rate_hz=1.0)
    assert (done.moments, done.people) == (2, 1)
    assert done.rate_hz == 1.0
    import_multiview(tmp_path / "set", tmp_path / "back")
    after = open_recording(tmp_path / "back")
    assert verify(tmp_path / "back").problems == ()
    for a, b in zip(before.store.cameras, after.store.cameras, strict=True):
        assert np.allclose(a.world_from_camera, b.world_from_camera, atol=1e-6)
        assert np.allclose(a.matrix, b.matrix)
    walked = [t.shoppers[0].floor_m for t in after.truth() if isinstance(t, TruthTick)]
    assert walked == [pytest.approx((1.0, 0.1), abs=0.013), pytest.approx((1.0, 1.1), abs=0.013)]
    frames = [m for m in after if isinstance(m, VideoFrame)]
    first = next(m for m in before if isinstance(m, VideoFrame) and m.time_ns == START_NS)
    assert np.abs(frames[0].rgb.astype(int) - first.rgb).mean() < 8
    assert len(frames) == 4
    assert frames[-1].time_ns - frames[0].time_ns == NANOSECONDS, "the rate comes along"


def test_boxes_hold_the_body_in_both_forms(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "rec")
    export_multiview(recording, tmp_path / "set", rate_hz=1.0)
    (label,) = json.loads((tmp_path / "set" / "annotations_positions" / "00000001.json").read_text())
    tick = [t for t in recording.truth() if isinstance(t, TruthTick)][1]
    seen = 0
    for view, camera in zip(label["views"], recording.store.cameras, strict=True):
        if view["xmin"] < 0:
            continue
        seen += 1
        (pixel,), _ = camera.project([[*tick.shoppers[0].floor_m, 0.9]])
        assert view["xmin"] <= pixel[0] <= view["xmax"]
        assert view["ymin"] <= pixel[1] <= view["ymax"]
        name = f"C{view['viewNum'] + 1}"
        rows = (tmp_path / "set" / "mot" / name / "gt" / "gt.txt").read_text().splitlines()
        frame, person, left, top, width, height, *_ = (int(part) for part in rows[-1].split(","))
        assert (frame, person) == (2, label["personID"])
        assert (left, top, left + width, top + height) == (view["xmin"], view["ymin"], view["xmax"], view["ymax"])
    assert seen
    info = (tmp_path / "set" / "mot" / "C1" / "seqinfo.ini").read_text()
    assert "seqLength=2\n" in info


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", small_store(), live=False) as writer:
        for message in messages(1):
            writer.write(message)
    with pytest.raises(RecordingError, match="there is none to export"):
        export_multiview(open_recording(tmp_path / "rec"), tmp_path / "set")
    (tmp_path / "set").mkdir()
    with pytest.raises(RecordingError, match="already exists"):
        export_multiview(recorded(tmp_path / "rec2"), tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rec", "rec2", "set"]


def problems(src: Path, out: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        import_multiview(src, out)
    assert not out.exists()
    assert all(problem.fix for problem in caught.value.problems)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    assert "annotations_positions: folder: holds no labels" in problems(tmp_path / "nowhere", tmp_path / "out")
    src = write_set(tmp_path / "set", wildtrack=True)
    (src / "annotations_positions" / "00000005.json").write_text('[{"personID": 1}]')
    (src / "annotations_positions" / "00000010.json").write_text('[{"personID": 1, "positionID": 99999999}]')
    (src / "calibrations" / "extrinsic" / "extr_CVLab1.xml").write_text("<opencv_storage><rvec>1 2</rvec>")
    (src / "calibrations" / "intrinsic_zero" / "intr_IDIAP1.xml").unlink()
    text = problems(src, tmp_path / "out")
    for what in (
        "00000005.json: 0.positionID", "00000010.json: person 1: position 99999999 lies off the grid",
        "extr_CVLab1.xml: rvec: cannot be read", "intr_IDIAP1.xml: file: is missing",
    ):  # fmt: skip
        assert what in text
    src = write_set(tmp_path / "other", wildtrack=False)
    (src / "Image_subsets" / "C2" / "00000005.png").write_bytes(b"no picture")
    assert "00000005.png: file: is not a readable picture" in problems(src, tmp_path / "out")
    src = write_set(tmp_path / "third", wildtrack=False, unit=1e-5)
    assert "in no unit of length" in problems(src, tmp_path / "out")


@settings(max_examples=settings().max_examples // 4)
@given(data=st.data(), kind=st.sampled_from(["labels", "grid", "rvec", "intr"]))
def test_any_data_set_is_read_or_refused(data: st.DataObject, kind: str) -> None:
    with TemporaryDirectory() as name:
        src = write_set(Path(name) / "set", wildtrack=False, count=1)
        if kind == "labels":
            path = src / "annotations_positions" / "00000000.json"
            path.write_text(json.dumps(data.draw(mutated(json.loads(path.read_text())))))
        elif kind == "grid":
            grid = {"columns": 1000, "rows": 640, "cell_m": 0.025, "origin_m": [0, 0]}
            (src / "grid.json").write_text(json.dumps(data.draw(mutated(grid))))
        else:
            path = next((src / "calibrations").rglob(f"{'extr' if kind == 'rvec' else 'intr'}_*.xml"))
            path.write_bytes(data.draw(damaged(path.read_bytes())))
        out = Path(name) / "rec"
        with suppress(RecordingError):
            import_multiview(src, out)
        assert not out.exists() or verify(out).problems == ()
