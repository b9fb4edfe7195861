"""Small made-up stores and message streams for the recording tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from openaisle.messages import (
    NANOSECONDS,
    Activity,
    EventKind,
    GateEvent,
    Message,
    ScaleBatch,
    ShopperTruth,
    Truth,
    TruthEvent,
    TruthLane,
    TruthPixels,
    TruthReceipt,
    TruthTick,
    VideoFrame,
)
from openaisle.store.schema import (
    CameraSpec,
    FixtureSpec,
    GateSpec,
    LaneSpec,
    PlanogramRow,
    ProductSpec,
    ScaleSpec,
    ShelfSpec,
    StoreSpec,
)
from openaisle.store.store import Store

START_NS = 1_790_000_000 * NANOSECONDS
GTIN = "04006381333931"
LANE = "shelf.s1.l1"


def small_store(width_px: int = 64, height_px: int = 48, fps: float = 5.0) -> Store:
    """One shelf, one lane, one scale, two cameras, one product."""
    lane = LaneSpec(id="l1", x_m=0.0, width_m=0.3)
    shelf = ShelfSpec(id="s1", z_m=1.0, width_m=1.0, depth_m=0.4, lanes=(lane,))
    fixture = FixtureSpec(
        id="shelf", kind="wall", x_m=0.5, y_m=2.0, width_m=1.0, depth_m=0.4, height_m=1.8, shelves=(shelf,)
    )
    cameras = tuple(
        CameraSpec(
            id=name, width_px=width_px, height_px=height_px, fps=fps, fx_px=60, fy_px=60, cx_px=32, cy_px=24,
            position_m=(x, 1.0, 2.8), look_at_m=(1.0, 2.0, 0.5),
        )
        for name, x in (("cam-a", 0.5), ("cam-b", 2.0))
    )  # fmt: skip
    spec = StoreSpec(
        name="Tiny", currency="EUR", time_zone="Europe/Berlin", ceiling_m=3.0,
        floor_m=((0, 0), (3, 0), (3, 3), (0, 3)),
        gates=(GateSpec(id="door", kind="both", a_m=(1, 0), b_m=(2, 0)),),
        fixtures=(fixture,), scales=(ScaleSpec(id="scale-1", lanes=(LANE,)),), cameras=cameras,
    )  # fmt: skip
    product = ProductSpec(
        gtin=GTIN, name="Pen", price_cents=199, weight_grams=20.0, width_mm=20, height_mm=140, depth_mm=20
    )
    return Store(spec, (product,), (PlanogramRow(lane=LANE, gtin=GTIN),))


def picture(time_ns: int, width_px: int = 64, height_px: int = 48) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A smooth picture whose brightness tells its time, rgb uint8 [H, W, 3]."""
    level = 40 + (time_ns - START_NS) // (NANOSECONDS // 10) % 170
    rgb = np.zeros((height_px, width_px, 3), dtype=np.uint8)
    rgb[:, :, 0] = level
    rgb[:, :, 1] = np.linspace(30, 200, width_px).astype(np.uint8)
    rgb[:, :, 2] = 128
    return rgb


def messages(seconds: float, store: Store | None = None, start_ns: int = START_NS) -> Iterator[Message]:
    """Two cameras, one scale in half-second batches and a gate event every 3 s, in time order."""
    camera = (store or small_store()).spec.cameras[0]
    step_ns = NANOSECONDS // 10
    frame_every = round(10 / camera.fps)
    for tick in range(round(seconds * 10)):
        time_ns = start_ns + tick * step_ns
        if tick % frame_every == 0:
            for name in ("cam-a", "cam-b"):
                yield VideoFrame(name, time_ns, picture(time_ns, camera.width_px, camera.height_px))
        if tick % 5 == 0:
            grams = np.float32(500.0) + np.arange(10, dtype=np.float32) * np.float32(0.1) + np.float32(tick)
            if tick % 20 == 10:
                grams[3] = np.nan
            yield ScaleBatch("scale-1", time_ns, 20.0, grams, "plate-7", 3, tick // 5)
        if tick % 30 == 0:
            yield GateEvent("door", time_ns, "entry", f"visit-{tick // 30}")


def truths(seconds: float, start_ns: int = START_NS) -> Iterator[Truth]:
    """One of each kind of truth per second, in time order."""
    for second in range(int(seconds)):
        t = start_ns + second * NANOSECONDS
        shopper = ShopperTruth(
            "s1", "v1", "g1", False, (1.0, 0.1 + second), 0.5, (1.0, 2.0, 1.7), (0.9, 2.0, 1.1), (1.1, 2.0, 1.1),
            Activity.TAKE, right_lane=LANE, right_gtins=(GTIN,), bag_gtins=(GTIN, GTIN),
        )  # fmt: skip
        yield TruthTick(t, (shopper,))
        yield TruthEvent(t, t - 5, EventKind.TAKE, "s1", "v1", GTIN, 1, LANE, "right")
        yield TruthLane(t, LANE, ((GTIN, 9 - second % 5),), 180.1)
        yield TruthPixels(
            "cam-a", t,
            np.arange(48 * 64, dtype=np.int32).reshape(48, 64) * 300,
            np.linspace(0, 4, 48 * 64).astype(np.float16).reshape(48, 64),
        )  # fmt: skip
        yield TruthReceipt(t, "v1", ((GTIN, 2),))


def same(left: object, right: object) -> bool:
    """Equality of messages that may carry arrays (NaN equals NaN)."""
    if type(left) is not type(right):
        return False
    names = getattr(type(left), "__slots__", ())
    return all(_equal(getattr(left, name), getattr(right, name)) for name in names)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b
