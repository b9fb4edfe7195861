"""What a shop owner writes: store.yaml, catalog.csv and planogram.csv as one pydantic schema.

Every field carries title, unit and bounds once, for the validator, the docs and later the forms.
Rules that span fields or files (duplicate ids, lanes outside shelves, ...) live in check.py.
`python -m openaisle.store.schema` prints the JSON Schema that docs/schema/store-1.json holds.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from openaisle.store.gtin import normalise

Metres = Annotated[float, Field(ge=-1000, le=1000)]
Length = Annotated[float, Field(gt=0, le=1000)]
Pixels = Annotated[float, Field(ge=1, le=1e5)]  # a focal length
Coefficient = Annotated[float, Field(ge=-1000, le=1000)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", title="Letters, digits, _ and -, unique among its kind")]
Byte = Annotated[int, Field(ge=0, le=255)]
Point = tuple[Metres, Metres]
Gtin = Annotated[str, AfterValidator(normalise), Field(title="GTIN-8, -12, -13 or -14; kept as GTIN-14")]
# A plain file name: no folders, so that a catalogue can never point outside its store.
ImageName = Annotated[str, Field(pattern=r"^[^/\\:;]+\.(png|jpg|jpeg|webp|PNG|JPG|JPEG|WEBP)$")]


class Model(BaseModel):
    """Base: unknown keys and infinite numbers are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GateSpec(Model):
    """A line on the floor that people cross to enter or leave."""

    id: Id
    kind: Literal["entry", "exit", "both"] = Field(title="What may happen here")
    a_m: Point = Field(title="One end of the line, metres")
    b_m: Point = Field(title="Other end of the line, metres")


class LaneSpec(Model):
    """The strip of a shelf that one facing occupies; its full id is fixture.shelf.lane."""

    id: Id
    x_m: float = Field(ge=0, le=100, title="Left edge, metres from the shelf's left end")
    width_m: Length = Field(title="Width, metres")


class ShelfSpec(Model):
    """A surface (or row of hooks) of a fixture; its frame's origin is its front-left corner."""

    id: Id
    z_m: float = Field(ge=0, le=4, title="Height of the surface above the floor, metres")
    x_m: float = Field(default=0.0, ge=0, le=100, title="Left end, metres from the fixture's left end")
    y_m: float = Field(default=0.0, ge=0, le=10, title="Front edge, metres behind the fixture's front")
    width_m: Length = Field(title="Width, metres")
    depth_m: Length = Field(title="Depth, metres")
    clearance_m: Length = Field(default=0.3, title="Free height above the surface, metres")
    lanes: tuple[LaneSpec, ...] = Field(min_length=1, title="Lanes, left to right")


class FixtureSpec(Model):
    """Furniture. Its frame: origin at the front-left floor corner, x along the front (left to right as seen by
    a shopper who faces it), y away from the shopper into the fixture, z up."""

    id: Id
    kind: Literal["gondola", "wall", "fridge", "table", "pegs", "counter"] = Field(title="Kind of furniture")
    x_m: Metres = Field(title="Origin x in the store, metres")
    y_m: Metres = Field(title="Origin y in the store, metres")
    yaw_deg: float = Field(default=0.0, ge=-360, le=360, title="Turn about z, degrees")
    width_m: Length = Field(title="Width along the front, metres")
    depth_m: Length = Field(title="Depth, metres")
    height_m: Length = Field(title="Height, metres")
    doors: bool = Field(default=False, title="Has doors that shoppers open")
    colour: tuple[Byte, Byte, Byte] = Field(default=(200, 200, 205), title="Colour, RGB 0-255")
    shelves: tuple[ShelfSpec, ...] = Field(default=(), title="Shelves, lowest first")


class ScaleSpec(Model):
    """A load cell under one or more lanes."""

    id: Id
    lanes: tuple[str, ...] = Field(min_length=1, title="Full ids of the lanes it carries (fixture.shelf.lane)")
    rate_hz: float = Field(default=20.0, gt=0, le=1000, title="Samples per second")
    limit_grams: float = Field(default=20000.0, gt=0, title="Largest load, grams")


class CameraSpec(Model):
    """A camera: pinhole intrinsics, OpenCV distortion, and a pose as look_at or as a Rodrigues rotation."""

    id: Id
    width_px: int = Field(ge=32, le=8192, title="Picture width, pixels")
    height_px: int = Field(ge=32, le=8192, title="Picture height, pixels")
    fps: float = Field(default=5.0, gt=0, le=120, title="Pictures per second")
    fx_px: Pixels = Field(title="Focal length along the picture's width, pixels")
    fy_px: Pixels = Field(title="Focal length along the picture's height, pixels")
    cx_px: float = Field(ge=-1e5, le=1e5, title="Principal point from the left, pixels")
    cy_px: float = Field(ge=-1e5, le=1e5, title="Principal point from the top, pixels")
    distortion: tuple[Coefficient, Coefficient, Coefficient, Coefficient, Coefficient] = Field(
        default=(0.0, 0.0, 0.0, 0.0, 0.0), title="Lens distortion as in OpenCV: k1 k2 p1 p2 k3"
    )
    position_m: tuple[Metres, Metres, Metres] = Field(title="Where the camera hangs, metres")
    look_at_m: tuple[Metres, Metres, Metres] | None = Field(default=None, title="A point in the middle of its picture")
    roll_deg: float = Field(default=0.0, ge=-360, le=360, title="Turn about its own axis, degrees; with look_at_m only")
    rotation_rodrigues: tuple[Coefficient, Coefficient, Coefficient] | None = Field(
        default=None, title="world_from_camera rotation, instead of look_at_m"
    )


class PromotionSpec(Model):
    """A simple promotion: n units for a price, or a percentage off, between two dates (inclusive)."""

    id: Id
    kind: Literal["n_for_price", "percent_off"] = Field(title="n units for a price, or a percentage off")
    gtins: tuple[Gtin, ...] = Field(min_length=1, title="The products it is for, in any mixture")
    quantity: int = Field(default=1, ge=1, title="n of n-for-a-price")
    price_cents: int = Field(default=0, ge=0, title="Price of the n units, cents")
    percent: float = Field(default=0.0, ge=0, le=100, title="Percentage off each unit")
    first_day: date | None = Field(default=None, title="First day, in the store's time zone; none = since ever")
    last_day: date | None = Field(default=None, title="Last day; none = for ever")


class StoreSpec(Model):
    """store.yaml."""

    version: Literal[1] = Field(default=1, title="Version of this format")
    name: str = Field(min_length=1, max_length=200, title="Name of the store")
    currency: str = Field(pattern=r"^[A-Z]{3}$", title="ISO 4217 code")
    time_zone: str = Field(title="IANA time zone, e.g. Europe/Berlin")
    prices_include_tax: bool = Field(default=True, title="Catalogue prices already contain the tax")
    tax_classes: dict[str, float] = Field(default={"standard": 0.0}, title="Tax rate by class, 0.19 = 19%")
    ceiling_m: Length = Field(default=3.0, title="Height of the ceiling, metres")
    floor_m: tuple[Point, ...] = Field(min_length=3, title="Floor polygon, counter-clockwise, metres")
    gates: tuple[GateSpec, ...] = Field(min_length=1, title="Ways in and out")
    fixtures: tuple[FixtureSpec, ...] = Field(min_length=1, title="Furniture")
    scales: tuple[ScaleSpec, ...] = Field(default=(), title="Load cells")
    cameras: tuple[CameraSpec, ...] = Field(default=(), title="Cameras")
    promotions: tuple[PromotionSpec, ...] = Field(default=(), title="Offers")


class ProductSpec(Model):
    """One row of catalog.csv. `images` is a list of file names in images/, separated by ';'."""

    gtin: Gtin
    name: str = Field(min_length=1, max_length=200, title="What the receipt says")
    price_cents: int = Field(ge=0, le=100_000_000, title="Price of one unit, cents")
    weight_grams: float = Field(ge=0, le=50000, title="Mass of one unit, grams; 0 = unknown")
    width_mm: float = Field(gt=0, le=2000, title="Width as it stands in the lane, millimetres")
    height_mm: float = Field(gt=0, le=2000, title="Height, millimetres")
    depth_mm: float = Field(gt=0, le=2000, title="Depth, millimetres")
    shape: Literal["box", "cylinder", "bottle", "can", "bag", "tub"] = Field(default="box", title="Nearest shape")
    images: tuple[ImageName, ...] = Field(default=(), title="Catalogue pictures in images/: front, back, others")
    tax_class: str = Field(default="standard", title="One of tax_classes in store.yaml")


class PlanogramRow(Model):
    """One row of planogram.csv: which product belongs in a lane."""

    lane: str = Field(title="Full id of the lane, fixture.shelf.lane")
    gtin: Gtin
    facings: int = Field(default=1, ge=1, le=50, title="Units side by side")
    capacity: int = Field(default=10, ge=1, le=1000, title="Units when full")


def json_schema() -> str:
    """JSON Schema of store.yaml (StoreSpec) and of a row of each table (ProductSpec, PlanogramRow), as text."""
    models: tuple[type[Model], ...] = (StoreSpec, ProductSpec, PlanogramRow)
    _, schema = models_json_schema(
        [(model, "validation") for model in models], title="OpenAisle store", ref_template="#/$defs/{model}"
    )
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
