"""What the benchmark does to a stream: the camera's codec, and who was in the shop."""

from __future__ import annotations

import numpy as np

from openaisle.bench.shop import shoppers_present, through_h264
from openaisle.messages import Activity, GateEvent, Message, ScaleBatch, ShopperTruth, TruthTick, VideoFrame
from openaisle.store.schema import CameraSpec
from openaisle.store.store import Store
from tests.receipts.shops import shop


def store_with_camera() -> Store:
    camera = CameraSpec(
        id="c1", width_px=64, height_px=48, fx_px=50, fy_px=50, cx_px=32, cy_px=24, position_m=(1, 1, 3),
        look_at_m=(1, 1, 0),
    )  # fmt: skip
    return Store(shop().model_copy(update={"cameras": (camera,)}), (), ())


def test_pictures_pass_the_codec_and_everything_else_passes_by() -> None:
    columns = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.broadcast_to(columns[None, :, None], (48, 64, 3)).copy()
    grams = ScaleBatch("s1", 0, 20.0, np.zeros(10, dtype=np.float32))
    sent: list[Message] = [
        VideoFrame("c1", 0, picture),
        grams,
        VideoFrame("c1", 200, picture),
        GateEvent("g", 300, "exit"),
    ]
    got = list(through_h264(iter(sent), store_with_camera()))
    assert [type(message) for message in got] == [type(message) for message in sent]
    assert got[1] is grams
    first = got[0]
    assert isinstance(first, VideoFrame)
    assert first.rgb.shape == picture.shape
    gap = np.abs(first.rgb.astype(int) - picture.astype(int))
    assert 0 < gap.mean() < 8  # lossy, but the same picture


def person(visit: str, staff: bool = False) -> ShopperTruth:
    origin = (0.0, 0.0, 0.0)
    return ShopperTruth("p", visit, "", staff, (0.0, 0.0), 0.0, origin, origin, origin, Activity.STAND)


def test_shoppers_present_counts_people_but_not_staff() -> None:
    ticks = [
        TruthTick(0, (person("v1"),)),
        TruthTick(1, (person("v1"), person("v2"), person("v2"), person("", staff=True))),
        TruthTick(2, (person("v3"),)),
    ]
    assert shoppers_present(ticks) == {"v1": 3, "v2": 3, "v3": 1}
