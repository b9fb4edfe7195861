"""Made-up cases of the contest: a nano-store's plates, metadata, calibration, tracks and pictures, in every form."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import bson
import cv2
import numpy as np
from numpy.typing import NDArray

from openaisle.store.geometry import Float, invert, look_at
from tests.recording.test_import_plain import film

BEGIN_S = 1_587_360_816.0  # 2020-04-20T05:33:36Z
PLATES = {1: 12, 2: 9, 5: 9}  # gondolas of the made-up store, six shelves each
INCH = 0.0254
WATER, CHIPS = "632565000012", "120130"  # the second one as the contest's labels misspell it
Document = dict[str, object]


def grams(gondola: int, shelf: int, plate: int, seconds: float, rate_hz: float = 60.0) -> NDArray[np.float32]:
    """A plate's samples: 538 g leave gondola 1, shelf 2, plates 4 to 6 after 3 s, by 18, 59 and 27%."""
    rng = np.random.default_rng(gondola * 10_000 + shelf * 100 + plate)
    n = round(seconds * rate_hz)
    out = rng.uniform(-500, 4000) + rng.normal(0, 0.84, n)
    share = {(1, 2, 4): 0.18, (1, 2, 5): 0.59, (1, 2, 6): 0.27}.get((gondola, shelf, plate), 0.0)
    out[round(3 * rate_hz) :] -= 538 * share
    return out.astype(np.float32)


def plate_messages(seconds: float = 6.0) -> Iterator[Document]:
    """plate_data: 12 samples a message, row 0 and column 0 unused, surplus columns beyond the gondola's plates."""
    for gondola, plates in PLATES.items():
        whole = np.full((round(seconds * 60), 7, 15 if gondola == 5 else plates + 1), np.nan, dtype=np.float32)
        for shelf in range(1, 7):
            for plate in range(1, plates + 1):
                whole[:, shelf, plate] = grams(gondola, shelf, plate, seconds)
            if gondola == 5:
                whole[:, shelf, plates + 1 :] = 7.0  # surplus
        whole[100:112, 3, 2] = np.nan  # a row without readings
        for i in range(0, len(whole), 12):
            part = whole[i : i + 12]
            values = {
                "data": base64.b64encode(part.astype("<f4").tobytes()).decode(), "shape": list(part.shape),
                "type": "DATATYPE_FLOAT32",
            }  # fmt: skip
            yield {
                "timestamp": BEGIN_S + i / 60, "date_time": {"$date": "2020-04-20T05:33:36Z"}, "gondola_id": gondola,
                "shelf_index": 0, "plate_index": 0,
                "document": {"header": {}, "plate_data": {"freq_samp": 60.0, "values": values}},
            }  # fmt: skip


def target_messages(seconds: float = 6.0, inches: float = INCH) -> Iterator[Document]:
    """One shopper in view from 0.5 s on, without a head in one message; and a ghost who never came in."""
    for i in range(round(seconds * 5)):
        t = i / 5
        people: list[Document] = []
        if t >= 0.5:
            head = {"x": (2.0 + 0.1 * t) / inches, "y": -1.5 / inches, "z": 1.65 / inches}
            people.append(
                {
                    "target_id": {"id": "3594178763236981970"},
                    "target_state": "TARGETSTATE_VALID_ENTRANCE",
                    "head": {"point": {} if i == 10 else head, "score": 0.9},
                }
            )
        if i == 3:
            people.append({"target_id": {"id": "77"}, "target_state": "TARGETSTATE_UNKNOWN", "head": {"point": {}}})
        inner: Document = {"targets": people} if people else {}
        yield {"timestamp": BEGIN_S + t, "document": {"targets": inner}}


def products() -> list[Document]:
    """Three products, one of them without weight, one nowhere on a shelf."""
    rows = [(WATER, "Water", 1.0, 999.0), (CHIPS, "Chips", 2.49, 42.0), ("96385074", "Nowhere", 0.5, 0.0)]
    return [
        {"product_id": {"barcode_type": "UPC", "id": code}, "metadata": {"name": name, "price": price, "weight": grams}}
        for code, name, price, grams in rows
    ]


def facings() -> list[Document]:
    """Water on three plates, chips beside water on one of them and on gondola 5, an empty facing."""
    places = [(WATER, [(1, 2, 4), (1, 2, 5), (1, 2, 6)]), (CHIPS, [(1, 2, 6), (5, 1, 9)]), ("", [(2, 1, 1)])]
    return [
        {
            "plate_ids": [
                {"shelf_id": {"gondola_id": {"id": g}, "shelf_index": s}, "plate_index": p} for g, s, p in plates
            ],
            "planogram_product_id": {"barcode_type": "UPC", "id": code} if code else {},
        }
        for code, plates in places
    ]


def frame_messages(camera: int = 5, seconds: float = 6.0) -> Iterator[Document]:
    """JPEGs of 96x64 at 10 Hz."""
    for i in range(round(seconds * 10)):
        rgb = np.full((64, 96, 3), 40 + i, dtype=np.uint8)
        data = base64.b64encode(cv2.imencode(".jpg", rgb)[1].tobytes()).decode()
        frame = {
            "frame": {"data": data, "shape": [64, 96], "type": "DATATYPE_UINT8", "encoding": "ENCODING_JPEG"},
            "frame_source": {"camera_id": {"id": camera, "camera_type": "RGB"}, "stream_id": 1},
        }
        yield {
            "timestamp": BEGIN_S + i / 10, "camera_id": camera, "document": {"frame_message": {"frames": [frame]}},
        }  # fmt: skip


def collections(seconds: float = 6.0) -> dict[str, list[Document]]:
    """A whole database."""
    return {
        "plate_data": list(plate_messages(seconds)), "targets": list(target_messages(seconds)),
        "products": products(), "planogram": facings(), "frame_message": list(frame_messages(5, seconds)),
    }  # fmt: skip


# --- metadata -----------------------------------------------------------------------------------------------


def _placed(move: Sequence[float], size: Sequence[float], yaw: float, unit: float) -> Document:
    x, y, z = (value / unit for value in move)
    rotation = {"x": 0, "y": 0, "z": yaw}
    dims = dict(zip(("dim_x", "dim_y", "dim_z"), (value / unit for value in size), strict=True))
    return {"transform": {"translation": {"x": x, "y": y, "z": z}, "rotation": rotation}, **dims}


def metadata(unit: float = 1.0) -> dict[str, Document]:
    """Gondolas.json, Shelves.json, Plates.json: two gondolas along a wall, the fifth turned by -90° at the right."""
    gondolas: list[Document] = []
    shelves: list[Document] = []
    plates: list[Document] = []
    poses = {1: (0.0254, 0.4921, 0.0), 2: (1.2446, 0.4921, 0.0), 5: (4.9149, -0.3016, -1.5708)}
    for gondola, (x, y, yaw) in poses.items():
        width = PLATES[gondola] * 0.1016
        own = _placed((x, y, 0), (width, 0.0318, 2.0701), yaw, unit)
        gondolas.append({"id": {"id": gondola}, "coordinates": own})
        for shelf in range(1, 7):
            key = {"gondola_id": {"id": gondola}, "shelf_index": shelf}
            own = _placed((0, -0.4064, 0.08 + 0.25 * shelf), (width, 0.4064, 0.22), 0, unit)
            shelves.append({"id": key, "coordinates": own})
            for plate in range(1, PLATES[gondola] + 1):
                own = _placed(((plate - 1) * 0.1016, 0, 0), (0.1016, 0.4064, 0), 0, unit)
                plates.append({"id": {"shelf_id": key, "plate_index": plate}, "coordinates": own})
    return {"Gondolas": {"gondolas": gondolas}, "Shelves": {"shelves": shelves}, "Plates": {"plates": plates}}


def cameras() -> dict[str, Float]:
    """world_from_camera in metres."""
    return {"1": look_at([4.4, 0.1, 2.43], [0.8, -2.5, 0.0]), "5": look_at([2.9, 0.05, 2.4], [-1.4, -0.7, 0.0])}


def calibration(
    unit: float = INCH, size_px: tuple[int, int] | None = None, inverse: bool = False, aims: bool = True
) -> Document:
    """calibration.json: lengths in `unit` metres; K normalised, or in pixels of a size; Tw inverted or not."""
    out: dict[str, Document] = {}
    for name, pose in cameras().items():
        own = pose.copy()
        own[:3, 3] /= unit
        aim = (pose[:3, 3] + pose[:3, 2] * pose[2, 3] / -pose[2, 2]) / unit
        width, height = size_px or (1, 1)
        matrix = [[0.8 * width, 0, 0.5 * width], [0, 1.42 * height, 0.458 * height], [0, 0, 1]]
        entry: Document = {"K": matrix, "Tw": (invert(own) if inverse else own).tolist()}
        out[name] = {**entry, "dist_coeffs": [-0.47, 0.2, 0, 0, 0]} | ({"look_at": aim.tolist()} if aims else {})
    return {"world_ltrb": [-1.6 / unit, -2.8 / unit, 5.7 / unit, 1.4 / unit], "cameras": out}


# --- files --------------------------------------------------------------------------------------------------


def write_metadata(folder: Path, metres: float = 1.0) -> None:
    """The three metadata files and the calibration."""
    for name, data in metadata(metres).items():
        (folder / f"{name}.json").write_text(json.dumps(data))
    (folder / "calibration.json").write_text(json.dumps(calibration()))


def write_loose(folder: Path, seconds: float = 6.0) -> Path:
    """Plate tables, planogram, metadata, calibration and a film of camera 1."""
    (folder / "weights").mkdir(parents=True)
    for gondola, plates in PLATES.items():
        for shelf in range(1, 7):
            for plate in range(1, plates + 1):
                rows = [
                    f"{BEGIN_S + i / 60:.6f},{value:.2f}"
                    for i, value in enumerate(grams(gondola, shelf, plate, seconds).tolist())
                ]
                name = f"gondola_{gondola}_shelf_{shelf}_plate_{plate}.csv"
                (folder / "weights" / name).write_text("unix_seconds,grams\n" + "\n".join(rows) + "\n")
    (folder / "planogram.csv").write_text(
        "Name,Gondola,Shelf,Plate,Weight,Price,Image\n"
        f"Water,1,2,4-6,538,$1.00,https://cdn.example/{WATER}.jpg\n"
        'Chips,1,2,6,42,2.49,chips.jpg\nChips,5,1,"9",42,2.49,chips.jpg\n'
    )
    cv2.imwrite(str(folder / "chips.jpg"), np.full((40, 30, 3), 90, dtype=np.uint8))
    write_metadata(folder)
    film(folder / "192.168.1.100_2020-04-20_05-33-36.mp4", seconds, fps=10, size=(800, 400))
    return folder


def write_export(folder: Path, data: Mapping[str, Sequence[Document]], array: bool = False) -> Path:
    """mongoexport: a file per collection, a document a line or one array."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, documents in data.items():
        lines = [json.dumps(document) for document in documents]
        text = "[" + ",\n".join(lines) + "]" if array else "\n".join(lines) + "\n"
        (folder / f"{name}.json").write_text(text)
    return folder


def archive(data: Mapping[str, Sequence[Document]], database: str = "BASELINE-1") -> bytes:
    """A mongodump archive: prelude, then slices of the collections in turn."""
    end = struct.pack("<I", 0xFFFFFFFF)
    out = [struct.pack("<I", 0x8199E26D), bson.encode({"concurrent_collections": 4, "version": "0.1"})]
    out += [bson.encode({"db": database, "collection": name, "metadata": "{}", "size": 1}) for name in data]
    out.append(end)
    for half in (0, 1):
        for name, documents in data.items():
            middle = len(documents) // 2
            part = documents[middle:] if half else documents[:middle]
            head = {"db": database, "collection": name, "EOF": False, "CRC": 0}
            out += [bson.encode(head), *(bson.encode(document) for document in part), end]
    for name in data:
        out += [bson.encode({"db": database, "collection": name, "EOF": True, "CRC": 1}), end]
    return b"".join(out)


def changed(document: Document, change: Callable[[Document], object]) -> Document:
    """A copy of a JSON document with a change."""
    copy: Document = json.loads(json.dumps(document))
    change(copy)
    return copy
