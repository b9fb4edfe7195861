"""Store folders: one in, a `Store` out or one error that lists everything wrong; and back, and its hash.

Folder: store.yaml, catalog.csv, planogram.csv, images/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from openaisle.errors import Problem, StoreError
from openaisle.store.check import (
    CATALOG,
    PLANOGRAM,
    STORE,
    check_planogram,
    check_products,
    check_promotions,
    check_spec,
)
from openaisle.store.csv_file import Row, read_planogram, read_products, write_rows
from openaisle.store.schema import PlanogramRow, ProductSpec, StoreSpec
from openaisle.store.store import Store
from openaisle.store.validate import Checked, Fault, validate
from openaisle.store.yaml_file import Document, parse_yaml, read_yaml

IMAGES = "images"
HEADER = "# An OpenAisle store. Metres, degrees, grams, cents; x right, y into the shop, z up, floor at z = 0.\n"
Picture = NDArray[np.uint8]


def load_store(folder: str | Path) -> Store:
    """Read and check a store folder; raises StoreError with all its problems."""
    root = Path(folder)
    if not root.is_dir():
        what = "there is no such folder" if not root.exists() else "this is a file, not a folder"
        fix = f"name a folder with {STORE}, {CATALOG} and {PLANOGRAM}"
        raise StoreError([Problem(str(folder), "folder", what, fix)])
    document, problems = read_yaml(root / STORE)
    spec = _check_spec(document, problems) if document is not None else None
    products, found = read_products(root / CATALOG)
    problems += found
    if document is not None and spec is not None and spec.value is not None and products is not None:
        problems += _named(document, spec, check_promotions(spec.value, products))
    value = spec.value if spec is not None else None
    problems += check_products(products or (), value)
    planogram, found = read_planogram(root / PLANOGRAM)
    problems += found
    problems += check_planogram(planogram or (), products, value) if planogram is not None else ()
    pictures, found = _read_pictures(root / IMAGES, products or ())
    problems += found
    if problems or value is None or products is None or planogram is None:
        raise StoreError(problems)
    return Store(value, tuple(row.value for row in products), tuple(row.value for row in planogram), pictures)


def load_spec(folder: str | Path) -> StoreSpec:
    """Read and check store.yaml alone, without goods, which may not be there yet; raises StoreError."""
    document, problems = read_yaml(Path(folder) / STORE)
    checked = _check_spec(document, problems) if document is not None else None
    if problems or checked is None or checked.value is None:
        raise StoreError(problems)
    return checked.value


def check_text(text: str) -> list[Problem]:
    """Everything wrong with a store.yaml that is not on disk yet."""
    document, problems = parse_yaml(text, STORE)
    if document is not None:
        _check_spec(document, problems)
    return problems


def _check_spec(document: Document, problems: list[Problem]) -> Checked[StoreSpec]:
    """Schema and rules of store.yaml; adds to `problems`."""
    checked = validate(StoreSpec, document.data)
    problems += [document.problem(*fault) for fault in checked.faults]
    if checked.value is not None:
        problems += _named(document, checked, check_spec(checked.value))
    return checked


def _named(document: Document, checked: Checked[StoreSpec], faults: Iterable[Fault]) -> list[Problem]:
    return [document.problem(*fault) for fault in faults if not checked.touched(fault[0])]


def _read_pictures(
    folder: Path, products: Sequence[Row[ProductSpec]]
) -> tuple[dict[str, tuple[Picture, ...]], list[Problem]]:
    """Pictures by GTIN, rgb uint8 [H, W, 3], in the order of the catalogue."""
    out: dict[str, tuple[Picture, ...]] = {}
    problems: list[Problem] = []
    for row in products:
        if row.wrong("images"):
            continue
        pictures: list[Picture] = []
        for name in row.value.images:
            picture = read_picture(folder / name)
            if picture is None:
                exists = (folder / name).is_file()
                what = f"the image {name!r} " + ("is not a readable picture" if exists else "is missing")
                fix = "save it again as PNG or JPEG" if exists else f"put it into {IMAGES}/ or correct the name"
                problems.append(Problem(CATALOG, f"line {row.line}, column images", what, fix))
            else:
                pictures.append(picture)
        if pictures:
            out[row.value.gtin] = tuple(pictures)
    return out, problems


def read_picture(path: Path) -> Picture | None:
    """A picture as rgb uint8 [H, W, 3], or None when it is missing or no picture."""
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return None
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # a header that claims an absurd size
        return None
    return None if bgr is None else np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


class _Dumper(yaml.SafeDumper):
    """Short lists and mappings on one line; text that looks like a number always in quotes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if value.isdigit() else None)


_Dumper.add_representer(str, _text)


def save_store(store: Store, folder: str | Path, effort: int = 9) -> None:
    """Write store.yaml, catalog.csv, planogram.csv and images/ so that `load_store` gives an equal store.

    Pictures are written as PNG, which keeps them exactly; a product whose image names end otherwise, or are
    fewer or more than its pictures, gets new names. `effort` is PNG's, 0 to 9: 3 takes a ninth of the time of 9.
    """
    root = Path(folder)
    (root / IMAGES).mkdir(parents=True, exist_ok=True)
    products = [_with_names(product, len(store.pictures.get(product.gtin, ()))) for product in store.products]
    for product in products:
        for name, picture in zip(product.images, store.pictures.get(product.gtin, ()), strict=True):
            write_picture(root / IMAGES / name, picture, effort)
    (root / STORE).write_text(spec_to_yaml(store.spec), encoding="utf-8")
    write_rows(root / CATALOG, ProductSpec, products)
    write_rows(root / PLANOGRAM, PlanogramRow, store.planogram)


def spec_to_yaml(spec: StoreSpec) -> str:
    """store.yaml as text: fields in the schema's order, defaults left out."""
    plain = {"version": spec.version, **spec.model_dump(exclude_defaults=True)}
    # default_flow_style None: a list or mapping of plain values takes one line
    return HEADER + yaml.dump(
        plain, Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=118, allow_unicode=True
    )


def write_picture(path: Path, rgb: Picture, effort: int = 9) -> None:
    """Write rgb uint8 [H, W, 3] as PNG."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, effort])
    assert done, "PNG encoding of a uint8 picture cannot fail"
    path.write_bytes(data.tobytes())


def store_hash(store: Store) -> str:
    """sha256 (hex) of everything in a store, pictures included, whatever its files look like."""
    rows = [[row.model_dump(mode="json") for row in table] for table in (store.products, store.planogram)]
    plain = {"spec": store.spec.model_dump(mode="json"), "products": rows[0], "planogram": rows[1]}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for gtin in sorted(store.pictures):
        for picture in store.pictures[gtin]:
            digest.update(f"{gtin} {picture.shape}".encode() + np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def _with_names(product: ProductSpec, pictures: int) -> ProductSpec:
    lossless = all(PurePath(name).suffix == ".png" for name in product.images)
    if len(product.images) == pictures and lossless:
        return product
    names = tuple(f"{product.gtin}_{side}.png" for side in range(pictures))
    return product.model_copy(update={"images": names})
