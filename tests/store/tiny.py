"""The smallest store worth testing: two fixtures, three lanes, two scales, a camera; and ways to break it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from openaisle.store.load import save_store
from openaisle.store.schema import PlanogramRow, ProductSpec, StoreSpec
from openaisle.store.store import Store

COLA, GUM, MILK = "04006381333931", "00012345678905", "00000040170725"


def tiny_spec() -> StoreSpec:
    """A 4 × 3 m room: a wall shelf with two lanes, a table with one."""
    lanes = [{"id": "l1", "x_m": 0.0, "width_m": 0.4}, {"id": "l2", "x_m": 0.5, "width_m": 0.4}]
    low = {"id": "s1", "z_m": 0.3, "width_m": 1.0, "depth_m": 0.3, "lanes": lanes}
    top = {"id": "top", "z_m": 0.8, "width_m": 0.8, "depth_m": 0.5, "lanes": [{"id": "l1", "x_m": 0.1, "width_m": 0.5}]}
    return StoreSpec.model_validate({
        "name": "Tiny", "currency": "EUR", "time_zone": "Europe/Berlin",
        "tax_classes": {"standard": 0.19, "reduced": 0.07},
        "floor_m": [[0, 0], [4, 0], [4, 3], [0, 3]],
        "gates": [{"id": "door", "kind": "both", "a_m": [1.5, 0], "b_m": [2.5, 0]}],
        "fixtures": [
            {"id": "wall", "kind": "wall", "x_m": 2.5, "y_m": 2.6, "width_m": 1.0, "depth_m": 0.4, "height_m": 1.6,
             "shelves": [low]},
            {"id": "table", "kind": "table", "x_m": 3.2, "y_m": 2.0, "yaw_deg": -90.0, "width_m": 0.8, "depth_m": 0.5,
             "height_m": 0.8, "shelves": [top]},
        ],
        "scales": [{"id": "w1", "lanes": ["wall.s1.l1", "wall.s1.l2"]}, {"id": "w2", "lanes": ["table.top.l1"]}],
        "cameras": [{"id": "cam", "width_px": 320, "height_px": 240, "fx_px": 160, "fy_px": 160, "cx_px": 159.5,
                     "cy_px": 119.5, "position_m": [1.5, 0.5, 2.6], "look_at_m": [1.7, 2.2, 0.4]}],
        "promotions": [{"id": "two", "kind": "n_for_price", "gtins": [GUM], "quantity": 2, "price_cents": 150}],
    })  # fmt: skip


def tiny_store() -> Store:
    """Three products, each in its lane; pictures of noise, of different sizes."""
    rng = np.random.default_rng(1)
    sizes = {COLA: (66, 115, 66, "can"), GUM: (40, 70, 12, "box"), MILK: (72, 195, 70, "box")}
    products = tuple(
        ProductSpec(gtin=gtin, name=f"Thing {n}", price_cents=99 + n, weight_grams=15.5 * (n + 1), width_mm=w,
                    height_mm=h, depth_mm=d, shape="can" if shape == "can" else "box",
                    images=(f"{gtin}_a.png", f"{gtin}_b.png"))
        for n, (gtin, (w, h, d, shape)) in enumerate(sizes.items())
    )  # fmt: skip
    lanes = ("wall.s1.l1", "wall.s1.l2", "table.top.l1")
    rows = tuple(PlanogramRow(lane=lane, gtin=gtin) for lane, gtin in zip(lanes, sizes, strict=True))
    pictures = {
        gtin: tuple(rng.integers(0, 256, (20 + 3 * n, 30, 3), dtype=np.uint8) for n in range(2)) for gtin in sizes
    }
    return Store(tiny_spec(), products, rows, pictures)


class Folder:
    """A tiny store on disk whose files can be edited one value at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        save_store(tiny_store(), path)

    def edit(self, old: str, new: str, file: str = "store.yaml") -> None:
        """Replace a text that must be in the file."""
        text = (self.path / file).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        (self.path / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def put(self, place: tuple[str | int, ...], value: object) -> None:
        """Set a value of store.yaml by its key path; None removes the key."""
        file = self.path / "store.yaml"
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        here = data
        for part in place[:-1]:
            here = here[part]
        if value is None:
            del here[place[-1]]
        elif isinstance(here, list) and place[-1] == len(here):
            here.append(value)
        else:
            here[place[-1]] = value
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
