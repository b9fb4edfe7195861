"""Poses from somebody who walks: films of a drawn person put wrong cameras right; what cannot be known is said."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from openaisle.calibrate.bundle import between, nudged, pose_fields
from openaisle.calibrate.ends import Body, edges_of, ends_of, expected_m
from openaisle.calibrate.ground import ground_of, passage
from openaisle.calibrate.silhouettes import Outline, Picture, changed, empty_shop, parts
from openaisle.calibrate.walking import place_by_walk
from openaisle.cli.app import main
from openaisle.errors import RecordingError
from openaisle.store.amend import amend_store
from openaisle.store.geometry import Camera, Float
from openaisle.store.load import load_spec
from openaisle.store.schema import StoreSpec
from openaisle.store.store import camera_from_spec
from tests.calibrate.walker import FPS, path
from tests.calibrate.walker import film as walk_film
from tests.house.sources import ROOT

KIOSK = ROOT / "stores" / "kiosk"
HEIGHT_M = 1.74


def off_by(camera: Camera, metres: float, degrees: float, rng: np.random.Generator) -> Camera:
    """The camera moved and turned by so much, any way but up: nothing hangs above the ceiling."""
    turn, move = rng.normal(size=(2, 3))
    turn, move = np.deg2rad(degrees) * turn / np.linalg.norm(turn), metres * move / np.linalg.norm(move)
    move[2] = -abs(move[2])
    return replace(camera, world_from_camera=nudged(camera.world_from_camera, np.concatenate([turn, move])))


def gate_of(spec: StoreSpec) -> Float:
    """The middle of the first gate."""
    return np.asarray(np.mean([spec.gates[0].a_m, spec.gates[0].b_m], axis=0))


def exact(cameras: Sequence[Camera], way: Float, rng: np.random.Generator) -> dict[str, list[Outline]]:
    """Outlines that consist of the expected heads and feet alone, a pixel of noise on each."""
    out: dict[str, list[Outline]] = {camera.id: [] for camera in cameras}
    body = np.array([HEIGHT_M, 0.2])
    for camera in cameras:
        eye = camera.world_from_camera[:3, 3]
        for step, place in enumerate(way):
            points = expected_m(eye, place[None].repeat(2, 0), np.array([False, True]), body)
            if camera.sees(points, 5.0).all():
                edge = camera.project(points)[0] + rng.normal(0, 1.0, (2, 2))
                out[camera.id].append(Outline(step / FPS, edge))
    return out


def saved(pictures: Sequence[Picture], camera: str, out: Path) -> None:
    """The film of one camera."""
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(int(FPS)), options={"crf": "16", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for picture in pictures:
            if picture.camera == camera:
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture.rgb, format="rgb24")):
                    container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_films_of_a_walk_put_wrong_cameras_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, rng = load_spec(KIOSK), np.random.default_rng(800600)
    truth = {camera.id: camera for camera in map(camera_from_spec, spec.cameras)}
    way = path(ground_of(spec), gate_of(spec), 20.0, rng)
    filmed = [truth[name] for name in ("cam1", "cam2", "cam3")]
    pictures = list(walk_film(filmed, spec.fixtures, [way], HEIGHT_M, rng))
    films, store = tmp_path / "films", tmp_path / "store"
    films.mkdir()
    for camera in filmed:
        saved(pictures, camera.id, films / f"{camera.id}.mp4")
    shutil.copytree(KIOSK, store)
    wrong = {name: off_by(camera, 0.3, 10.0, rng) for name, camera in truth.items() if name != "cam1"}
    specs = {camera.id: camera for camera in spec.cameras}
    amend_store(store, {name: pose_fields(specs[name], one.world_from_camera) for name, one in wrong.items()})
    before = (store / "store.yaml").read_bytes()
    words = ["calibrate", "walk", "--store", str(store), "--height", str(HEIGHT_M), "--fixed", "cam1", "--json"]
    monkeypatch.setattr(sys, "argv", ["aisle", *words, str(films)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["camera"] for one in told["cameras"]] == ["cam2", "cam3"]
    assert any("cam4 stays as it was: it was not filmed" in remark for remark in told["remarks"])
    assert told["median_px"] < 3.0
    assert Path(told["plot"]).stat().st_size > 5000
    assert Path(told["before"]).read_bytes() == before
    now = {camera.id: camera_from_spec(camera) for camera in load_spec(store).cameras}
    for name in ("cam2", "cam3"):
        metres, degrees = between(now[name].world_from_camera, truth[name].world_from_camera)
        assert metres < 0.15, name
        assert degrees < 3.0, name
    assert between(now["cam4"].world_from_camera, wrong["cam4"].world_from_camera)[0] < 1e-3


def test_without_a_fixed_camera_the_drawing_and_the_gate_say_where_all_of_it_lies() -> None:
    spec, rng = load_spec(KIOSK), np.random.default_rng(800601)
    cameras = [camera_from_spec(camera) for camera in spec.cameras]
    way = path(ground_of(spec), gate_of(spec), 25.0, rng)
    seen = exact(cameras, way, rng)
    doors = [passage(spec.gates[0], time_s) for time_s in (0.4, (len(way) - 2) / FPS)]
    rough = [off_by(camera, 0.3, 10.0, rng) for camera in cameras]
    walked = place_by_walk(spec, rough, seen, height_m=HEIGHT_M, passages=doors)
    assert walked.fitting > 0.9
    assert walked.median_px < 2.5
    assert not walked.stay
    for one, truth in zip(walked.placed, cameras, strict=True):
        metres, degrees = between(one.camera.world_from_camera, truth.world_from_camera)
        assert metres < 0.25
        assert degrees < 6.0
    # Among each other they are placed far better than on the plan.
    there = np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    here = np.array([one.camera.world_from_camera[:3, 3] for one in walked.placed])
    apart = [np.linalg.norm(at[:, None] - at[None], axis=2) for at in (there, here)]
    assert np.abs(apart[0] - apart[1]).max() < 0.1


def test_a_camera_that_sees_nobody_stays_and_nobody_at_all_is_refused() -> None:
    spec, rng = load_spec(KIOSK), np.random.default_rng(800602)
    cameras = [camera_from_spec(camera) for camera in spec.cameras]
    seen = exact(cameras, path(ground_of(spec), gate_of(spec), 20.0, rng), rng)
    seen["cam4"] = []
    walked = place_by_walk(spec, cameras, seen, height_m=HEIGHT_M)
    assert set(walked.stay) == {"cam4"}
    assert "in 0 pictures only" in walked.stay["cam4"]
    assert {one.camera.id for one in walked.placed} == {"cam1", "cam2", "cam3"}
    with pytest.raises(RecordingError, match="walk alone"):
        place_by_walk(spec, cameras, {}, height_m=HEIGHT_M)


def test_films_that_do_not_belong_together_are_refused() -> None:
    spec, rng = load_spec(KIOSK), np.random.default_rng(800603)
    cameras = [camera_from_spec(camera) for camera in spec.cameras]
    seen = exact(cameras, path(ground_of(spec), gate_of(spec), 12.0, rng), rng)
    for name in seen:
        steps = rng.permutation(len(seen[name]))
        seen[name] = [replace(one, edge_px=seen[name][n].edge_px) for one, n in zip(seen[name], steps, strict=True)]
    with pytest.raises(RecordingError):
        place_by_walk(spec, cameras, seen, height_m=HEIGHT_M)


def test_outlines_are_of_one_person_and_of_nothing_small() -> None:
    rng = np.random.default_rng(800604)
    room = rng.uniform(90, 160, (120, 160, 3))

    def shot(n: int, *boxes: tuple[int, int, int, int]) -> Picture:
        rgb = room + rng.normal(0, 2, room.shape)
        for x, y, wide, high in boxes:
            rgb[y : y + high, x : x + wide] = (20, 30, 200)
        return Picture("cam", float(n), np.clip(rgb, 0, 255).astype(np.uint8))

    empty = empty_shop(iter([shot(n, (8 * n, 30, 12, 40)) for n in range(12)]))["cam"]
    people = {
        "nobody": (), "a thing": ((20, 20, 4, 6),), "one": ((40, 30, 12, 40),),
        "two parts": ((40, 30, 12, 18), (40, 51, 12, 18)),
        "two": ((20, 30, 12, 40), (100, 40, 12, 40)), "a flood": ((0, 0, 160, 100),),
    }  # fmt: skip
    found = {name: len(parts(changed(shot(0, *boxes).rgb, empty))) for name, boxes in people.items()}
    assert found == {"nobody": 0, "a thing": 0, "one": 1, "two parts": 1, "two": 2, "a flood": 0}


def test_heads_and_feet_are_read_where_they_are_expected() -> None:
    spec, rng = load_spec(KIOSK), np.random.default_rng(800605)
    camera = camera_from_spec(spec.cameras[0])
    way = path(ground_of(spec), gate_of(spec), 10.0, rng)
    outlines = exact([camera], way, rng)[camera.id]
    ends = ends_of([camera], [edges_of(camera, outlines)], Body(HEIGHT_M, 0.2))
    there = way[np.round(ends.time_s * FPS).astype(int)]
    points = expected_m(camera.world_from_camera[:3, 3], there, ends.foot, np.array([HEIGHT_M, 0.2]))
    off = np.hypot(*(ends.pixels - camera.project(points)[0]).T)
    assert len(off) > 20
    assert np.median(off) < 2.0
    assert np.median(np.hypot(*(ends.ground_m - there).T)) < 0.1
