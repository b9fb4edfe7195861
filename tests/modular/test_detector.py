"""The peer's detector: what its maps say becomes points of the world; PyTorch and ONNX Runtime are the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openaisle.edge.export import export_detector
from openaisle.edge.runtime import DETECTOR, read_detector
from openaisle.errors import ModelError
from openaisle.model import detector as model
from openaisle.model.detector import DetectorGraph, DetectorNetwork
from openaisle.modular import detector
from openaisle.modular.detector import Detections, Graph, apart, detect, joined, nothing, peaks
from openaisle.predictor import Float32, VisualTokens
from openaisle.store.geometry import Camera, look_at
from openaisle.tokens.canvas import PICTURE_CHANNELS, PLACE_CHANNELS
from openaisle.tokens.rays import PATCH_PX, ray_table
from openaisle.training.weights import load_detector, save_detector

CAMERA = Camera("a", 320, 240, 5.0, 150.0, 150.0, 159.5, 119.5, (0.0,) * 5, look_at([0, 0, 2.4], [2.5, 1.5, 0.9]))
HEAD, HAND, FLOOR = np.array([2.3, 1.4, 1.7]), np.array([2.6, 1.1, 1.05]), np.array([2.25, 1.45])
ROWS, COLS = 9, 7


def tokens() -> VisualTokens:
    """Changed patches around where the camera sees somebody."""
    table = ray_table(CAMERA)
    first = np.floor(CAMERA.project(HEAD)[0] / PATCH_PX).astype(np.int64)
    col, row = np.meshgrid(np.arange(COLS - 2), np.arange(ROWS - 2))
    cells = np.stack([row.ravel() + first[1] - 1, col.ravel() + first[0] - 2], axis=1)
    at, n = (cells[:, 0], cells[:, 1]), len(cells)
    pixels = np.random.default_rng(0).integers(0, 255, (2, n, 768), dtype=np.uint8)
    frame = np.tile(table.world_from_horizontal, (n, 1, 1))
    return VisualTokens(pixels[0], pixels[1], table.features[at], cells, table.anchor_m[at], frame, np.full(n, 3))


def scripted(slot: VisualTokens, head_score: float = 0.9) -> Graph:
    """A graph that finds one head and one hand exactly."""
    corner = (slot.cells.min(0) - 1)[::-1] * PATCH_PX
    frame = slot.frame[0].astype(np.float64)

    def put(values: Float32, point: NDArray[np.float64], stride: int) -> tuple[int, int]:
        place = (CAMERA.project(point)[0] - corner) / stride
        u, v = np.floor(place).astype(int)
        values[:2, v, u] = place - [u, v] - 0.5
        return int(v), int(u)

    def graph(picture: Float32, places: Float32) -> tuple[Float32, Float32, Float32, Float32]:
        rows, cols = places.shape[1:]
        assert picture.shape == (PICTURE_CHANNELS, rows * PATCH_PX, cols * PATCH_PX)
        heat, hand = np.zeros((2, 4 * rows, 4 * cols), np.float32), np.zeros((7, 4 * rows, 4 * cols), np.float32)
        head, patch = np.zeros((32, 2 * rows, 2 * cols), np.float32), np.zeros((3, rows, cols), np.float32)
        origin = CAMERA.world_from_camera[:3, 3]
        at = put(head, HEAD, detector.HEAD_STRIDE)
        v, u = np.floor((CAMERA.project(HEAD)[0] - corner) / 4).astype(int)[::-1]
        heat[0, v, u] = head_score
        head[2, *at], head[4, *at] = -2.0, np.log(0.05)
        head[3, *at] = np.log(np.linalg.norm(HEAD - origin) / detector.RANGE_M)
        head[5:7, *at], head[7, *at] = ([*(FLOOR - HEAD[:2]), 0.0] @ frame)[:2], np.log(0.04)
        head[8:14, *at] = np.concatenate([(HAND - HEAD) @ frame, [0.0, 0.1, -0.8]])
        head[14:16, *at], head[16, *at] = np.log(0.2), 2.0
        at = put(hand, HAND, detector.HAND_STRIDE)
        heat[1, at[0], at[1]] = 0.8
        hand[2, *at], hand[4, *at] = -1.0, np.log(0.1)
        hand[3, *at] = np.log(np.linalg.norm(HAND - origin) / detector.RANGE_M)
        centre = (np.array(at[::-1]) + 0.5) * 4
        hand[5:7, *at] = (CAMERA.project(HEAD)[0] - corner - centre) / detector.OWNER_PX
        patch[0] = 3.0
        patch[0, :2] = -3.0
        col, row = np.meshgrid(np.arange(cols), np.arange(rows))
        middle = (np.stack([col, row]) + 0.5) * PATCH_PX
        patch[1:] = ((CAMERA.project(HEAD)[0] - corner)[:, None, None] - middle) / detector.OWNER_PX
        return heat, hand, head, patch

    return graph


def test_maps_become_points_of_the_world() -> None:
    slot = tokens()
    found, person, whose = detect(slot, np.arange(len(slot.cells)), scripted(slot))
    np.testing.assert_allclose(found.head, [HEAD], atol=0.02)
    np.testing.assert_allclose(found.floor, [FLOOR], atol=0.02)
    np.testing.assert_allclose(found.hands[0, 0], HAND, atol=0.02)
    np.testing.assert_allclose(found.hand, [HAND], atol=0.02)
    assert found.camera.tolist() == [3]
    assert found.of_head.tolist() == [0]
    np.testing.assert_allclose(np.linalg.norm(found.looks, axis=1), detector.LOOKS_LENGTH, rtol=1e-5)
    assert whose[person > 0.5].tolist() == [0] * int((person > 0.5).sum())
    assert (whose[person < 0.5] == -1).all()
    assert 0 < (person < 0.5).sum() < len(person)


def test_a_head_is_unsure_along_its_ray() -> None:
    slot = tokens()
    found, _, _ = detect(slot, np.arange(len(slot.cells)), scripted(slot))
    sd, axes = np.linalg.eigh(found.head_spread[0].astype(np.float64))
    ray = (HEAD - CAMERA.world_from_camera[:3, 3]) / np.linalg.norm(HEAD - CAMERA.world_from_camera[:3, 3])
    assert abs(axes[:, 2] @ ray) > 0.99
    assert abs(np.sqrt(sd[2]) / (0.05 * np.linalg.norm(HEAD - CAMERA.world_from_camera[:3, 3])) - 1) < 0.05
    assert np.sqrt(sd[0]) < 0.04


def test_weak_heads_are_told_and_the_weakest_are_not() -> None:
    slot = tokens()
    rows = np.arange(len(slot.cells))
    assert detect(slot, rows, scripted(slot, 0.2))[0].score.tolist() == pytest.approx([0.2])
    found, person, whose = detect(slot, rows, scripted(slot, 0.05))
    assert not len(found.camera)
    assert not len(found.hand)
    assert (person > 0.5).any()
    assert (whose == -1).all()


def test_peaks_are_local_and_second_sights_are_left_out() -> None:
    heat = np.zeros((6, 8), np.float32)
    heat[2, 3], heat[2, 4], heat[5, 7] = 0.9, 0.8, 0.3
    found = peaks(heat, 0.25)
    assert found.cell.tolist() == [[3, 2], [7, 5]]
    assert peaks(heat, 0.5).cell.tolist() == [[3, 2]]
    pixels = np.array([[0, 0], [3, 0], [20, 0]], dtype=np.float32)
    assert apart(pixels, 6.0).tolist() == [0, 2]


def test_cameras_are_joined_with_their_hands() -> None:
    slot = tokens()
    one, _, _ = detect(slot, np.arange(len(slot.cells)), scripted(slot))
    both = joined([one, nothing(), one])
    assert both.of_head.tolist() == [0, 1]
    assert len(both.hand) == len(both.camera) == 2
    empty = joined([])
    assert {name: values.shape[1:] for name, values in vars(empty).items()} == {
        name: values.shape[1:] for name, values in vars(both).items()
    }


def test_both_sides_tell_the_same_numbers() -> None:
    assert model.STRIDES["head"] == detector.HEAD_STRIDE
    assert detector.HAND_STRIDE == model.STRIDES["hand"] == model.STRIDES["heat"]
    assert detector.LOOKS == model.LOOKS
    assert len(Detections.__dataclass_fields__) == 13


@pytest.fixture(scope="module", params=["untrained", "shipped"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectorNetwork, Graph]:
    folder = DETECTOR
    if request.param == "untrained":
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("detector")
        export_detector(DetectorNetwork(), folder, {"recipe": "none"})
    return load_detector(folder / "weights.safetensors").eval(), read_detector(folder)


@pytest.mark.parametrize(("rows", "cols"), [(3, 3), (15, 20), (7, 12)])
def test_torch_and_onnx_agree(pair: tuple[DetectorNetwork, Graph], rows: int, cols: int) -> None:
    network, graph = pair
    rng = np.random.default_rng(rows)
    picture = rng.normal(0, 0.3, (PICTURE_CHANNELS, rows * PATCH_PX, cols * PATCH_PX)).astype(np.float32)
    places = rng.normal(0, 1, (PLACE_CHANNELS, rows, cols)).astype(np.float32)
    with torch.no_grad():
        mine = DetectorGraph(network)(torch.from_numpy(picture)[None], torch.from_numpy(places)[None])
    for a, b in zip(mine, graph(picture, places), strict=True):
        np.testing.assert_allclose(a[0].numpy(), b, atol=2e-3, rtol=1e-3)


def test_weights_are_read_back_and_others_refused(tmp_path: Path) -> None:
    network = DetectorNetwork()
    save_detector(network, tmp_path / "d.safetensors")
    again = load_detector(tmp_path / "d.safetensors")
    torch.testing.assert_close(again.state_dict(), network.state_dict())
    with pytest.raises(ModelError, match="cannot be read"):
        load_detector(tmp_path / "none.safetensors")
    with pytest.raises(ModelError):
        read_detector(tmp_path)
