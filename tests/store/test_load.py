"""Store folders: what is saved comes back, and everything that is wrong is named at once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from openaisle.errors import Problem, StoreError
from openaisle.store.check import check_store
from openaisle.store.load import load_store, read_picture, save_store, spec_to_yaml, store_hash
from openaisle.store.schema import json_schema
from openaisle.store.store import Store
from tests.store.tiny import COLA, GUM, Folder, tiny_store

Break = tuple[str, Callable[[Folder], None], str, str, str]  # name, how, then file, place and words of the complaint
SHELF = ("fixtures", 0, "shelves", 0)
CAMERA = ("cameras", 0)
WRONG = f"{COLA[:-1]}8"  # COLA with a wrong check digit


def put(*place: str | int, value: object = None) -> Callable[[Folder], None]:
    """A step that sets (or with None removes) one value of store.yaml."""
    return lambda folder: folder.put(place, value)


def cell(old: str, new: str, file: str = "catalog.csv") -> Callable[[Folder], None]:
    """A step that replaces a text in a file."""
    return lambda folder: folder.edit(old, new, file)


def erase(name: str) -> Callable[[Folder], None]:
    """A step that deletes a file."""
    return lambda folder: (folder.path / name).unlink()


def write(name: str, content: bytes) -> Callable[[Folder], None]:
    """A step that overwrites a file."""

    def step(folder: Folder) -> None:
        (folder.path / name).write_bytes(content)

    return step


def lane(name: str, x: float, width: float) -> dict[str, object]:
    """A lane as written in store.yaml."""
    return {"id": name, "x_m": x, "width_m": width}


DOCS = Path(__file__).parents[2] / "docs"
YAML, CSV, PLAN = "store.yaml", "catalog.csv", "planogram.csv"
# Each breaks another place, so that any of them can be broken together.
BREAKS: list[Break] = [
    ("unknown key", put("colour", value="red"), YAML, "colour", "not known"),
    ("near key", put(*CAMERA, "widht_px", value=3), YAML, "cameras[0].widht_px", "not known"),
    ("currency", put("currency", value="euro"), YAML, "currency", "pattern"),
    ("time zone", put("time_zone", value="Europe/Atlantis"), YAML, "time_zone", "no time zone"),
    ("tax rate", put("tax_classes", "reduced", value=7), YAML, "tax_classes.reduced", "not between 0 and 1"),
    ("low ceiling", put("ceiling_m", value=1.2), YAML, "fixtures[0].height_m", "ceiling"),
    ("lane outside", put(*SHELF, "lanes", 1, value=lane("l2", 0.7, 0.4)), YAML, "lanes[1]", "outside its shelf"),
    ("overlap", put("fixtures", 1, "shelves", 0, "lanes", 1, value=lane("l2", 0.5, 0.2)), YAML, "lanes[1]", "overlap"),
    ("shelf outside", put("fixtures", 1, "shelves", 0, "width_m", value=0.9), YAML, "width_m", "outside its fixture"),
    ("unknown lane", put("scales", 0, "lanes", 2, value="wall.s9.l1"), YAML, "scales[0].lanes[2]", "no lane"),
    ("two scales", put("scales", 1, "lanes", 1, value="wall.s1.l1"), YAML, "scales[1].lanes[1]", "already lies on"),
    ("id twice", put("scales", 1, "id", value="w1"), YAML, "scales[1].id", "already used"),
    ("negative rate", put("scales", 0, "rate_hz", value=-5), YAML, "scales[0].rate_hz", "greater than 0"),
    ("camera in the floor", put(*CAMERA, "position_m", value=[1.5, 0.5, -2.6]), YAML, "position_m", "below the floor"),
    ("two rotations", put(*CAMERA, "rotation_rodrigues", value=[0, 0, 1]), YAML, "cameras[0]", "two rotations"),
    ("gate", put("gates", 0, "b_m", value=[1.6, 0.0]), YAML, "gates[0]", "wide"),
    ("dates", put("promotions", 0, "first_day", value="2026-31-12"), YAML, "promotions[0].first_day", "date"),
    ("unknown gtin", put("promotions", 0, "gtins", 1, value="4012345678901"), YAML, "gtins[1]", "no product has"),
    ("check digit", cell(COLA, WRONG), CSV, "line 2, column gtin", "check digit"),
    ("price", cell("Thing 1,100", "Thing 1,-100"), CSV, "line 3, column price_cents", "greater than or equal to 0"),
    ("tax class", cell("_b.png,standard\n0000004", "_b.png,none\n0000004"), CSV, "line 3, column tax", "no tax class"),
    ("not a number", cell("46.5,72", "heavy,72"), CSV, "line 4, column weight_grams", "number"),
    ("picture gone", erase(f"images/{GUM}_a.png"), CSV, "line 3, column images", "is missing"),
    ("picture broken", write(f"images/{GUM}_b.png", b"no png"), CSV, "line 3, column images", "not a readable"),
    ("row lane", cell("wall.s1.l2", "wall.s1.l7", PLAN), PLAN, "line 3, column lane", "no lane"),
    ("row gtin", cell("table.top.l1,00000040170725", "table.top.l1,96385074", PLAN), PLAN, "line 4, column gtin",
     "no product has"),
]  # fmt: skip
LONELY: list[Break] = [  # these would hide others
    ("no yaml", erase(YAML), YAML, "file", "missing"),
    ("no catalogue", erase(CSV), CSV, "file", "missing"),
    ("no planogram", erase(PLAN), PLAN, "file", "missing"),
    ("syntax", cell("name: Tiny", "name: [Tiny", YAML), YAML, "line", "not YAML"),
    ("tab", cell("gates:\n", "gates:\n\t- x\n", YAML), YAML, "line 13, column 1", "not YAML"),
    ("key twice", cell("name: Tiny", "name: Tiny\nname: Tiny", YAML), YAML, "name (line 4)", "given twice"),
    ("empty", write(YAML, b""), YAML, "line 1", "no keys"),
    ("latin-1", write(YAML, "name: Bäcker".encode("latin-1")), YAML, "file", "cannot be read"),
    ("gtin as number", cell(f'"{GUM}"', "4012345", YAML), YAML, "promotions[0].gtins[0]", "valid string"),
    ("day of no month", put("promotions", 0, "last_day", value="2026-02-30"), YAML, "last_day", "date"),
    ("clockwise", put("floor_m", value=[[0, 0], [0, 3], [4, 3], [4, 0]]), YAML, "floor_m", "clockwise"),
    ("bow tie", put("floor_m", value=[[0, 0], [4, 3], [4, 0], [0, 3]]), YAML, "floor_m", "crosses itself"),
    ("spike", put("floor_m", value=[[0, 0], [4, 0], [4, 3], [2, 0], [0, 3]]), YAML, "floor_m", "crosses itself"),
    ("same corner", put("floor_m", value=[[0, 0], [4, 0], [4, 0], [4, 3], [0, 3]]), YAML, "floor_m[1]", "same"),
    ("a line", put("floor_m", value=[[0, 0], [4, 0], [2, 0]]), YAML, "floor_m", "no area"),
    ("fixture outside", put("fixtures", 0, "x_m", value=3.5), YAML, "fixtures[0]", "outside the floor"),
    ("fixture in fixture", put("fixtures", 0, "y_m", value=1.5), YAML, "fixtures[1]", "in each other"),
    ("fixture twice", put("fixtures", 1, "id", value="wall"), YAML, "fixtures[1].id", "already used"),
    ("no way in", put("gates", 0, "kind", value="exit"), YAML, "gates", "no gate is an entry"),
    ("gate away", put("gates", 0, "a_m", value=[1.5, -2]), YAML, "gates[0]", "outside the floor"),
    ("no rotation", put(*CAMERA, "look_at_m"), YAML, "cameras[0]", "no rotation"),
    ("looks at itself", put(*CAMERA, "look_at_m", value=[1.5, 0.5, 2.6]), YAML, "look_at_m", "itself"),
    ("camera far away", put(*CAMERA, "position_m", value=[15, 0.5, 2.6]), YAML, "position_m", "outside the floor"),
    ("camera on the roof", put(*CAMERA, "position_m", value=[1, 0.5, 5]), YAML, "position_m", "above the ceiling"),
    ("centre", put(*CAMERA, "cx_px", value=999), YAML, "cx_px", "principal point"),
    ("lens folds", put(*CAMERA, "distortion", value=[-0.6, 0, 0, 0, 0]), YAML, "distortion", "folds"),
    ("infinite", put(*CAMERA, "fx_px", value=float("inf")), YAML, "fx_px", "finite"),
    ("in words", put("fixtures", 0, "kind", value="sofa"), YAML, "fixtures[0].kind", "'gondola'"),
    ("shelf is text", put(*SHELF, value="shelf"), YAML, "fixtures[0].shelves[0]", "keys and values belong here"),
    ("no offer", put("promotions", 0, "price_cents"), YAML, "promotions[0]", "quantity and a price"),
    ("semicolons", write(CSV, b"gtin;name\n1;2\n"), CSV, "line 1", "not separated by commas"),
    ("no header", write(CSV, b""), CSV, "line 1", "no header"),
    ("column missing", cell("price_cents", "price"), CSV, "line 1", "'price_cents' is missing"),
    ("column unknown", cell("price_cents", "price"), CSV, "line 1", "'price' is not known"),
    ("column twice", cell("price_cents,", "price_cents,name,"), CSV, "line 1", "given twice"),
    ("cells", cell(",Thing 1,", ",Thing 1,more,"), CSV, "line 3", "11 cells under 10"),
    ("quotes", cell("Thing 1", '"Thing 1'), CSV, "line", "not CSV"),
    ("product twice", cell(GUM, "4006381333931"), CSV, "line 3, column gtin", "already in line 2"),
    ("picture elsewhere", cell(f"{GUM}_a.png", "../../secret.png"), CSV, "line 3, column images", "pattern"),
    ("no lane", cell(f"wall.s1.l2,{GUM},1,10\n", "", PLAN), CSV, "line 3, column gtin", "has no lane"),
    ("lane twice", cell("wall.s1.l2", "wall.s1.l1", PLAN), PLAN, "line 3, column lane", "already in line 2"),
    ("facings", cell("l2,00012345678905,1,", "l2,00012345678905,0,", PLAN), PLAN, "line 3, column facings", "1"),
]  # fmt: skip


def problems_of(folder: Folder) -> tuple[Problem, ...]:
    """What load_store complains about."""
    with pytest.raises(StoreError) as caught:
        load_store(folder.path)
    return caught.value.problems


def complains(problems: tuple[Problem, ...], case: Break) -> bool:
    """Whether one problem is the one this break should cause, with a fix."""
    _, _, file, place, words = case
    return any(p.file == file and place in p.place and words in p.what and len(p.fix) > 4 for p in problems)


@pytest.mark.parametrize("case", BREAKS + LONELY, ids=lambda case: case[0])
def test_each_mistake_is_named_with_file_place_and_fix(case: Break, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    case[1](folder)
    problems = problems_of(folder)
    assert complains(problems, case), "\n".join(map(str, problems))


@given(st.sets(st.integers(0, len(BREAKS) - 1), min_size=2, max_size=len(BREAKS)))
# No shrinking: the message lists what was silent, and folders are too slow to shrink over.
@settings(max_examples=25, deadline=None, phases=(Phase.reuse, Phase.generate))
def test_all_mistakes_are_named_at_once(chosen: set[int]) -> None:
    cases = [BREAKS[n] for n in sorted(chosen)]
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name))
        for case in sorted(cases, key=lambda case: case[2] == YAML):  # text first, then the parsed file
            case[1](folder)
        problems = problems_of(folder)
    silent = [case[0] for case in cases if not complains(problems, case)]
    assert not silent, "\n".join(map(str, problems))


@pytest.mark.parametrize("case", BREAKS, ids=lambda case: case[0])
def test_one_mistake_makes_no_cascade(case: Break, tmp_path: Path) -> None:
    """One mistake brings its own complaint and at most those that truly follow (a wrong GTIN is in two files)."""
    folder = Folder(tmp_path)
    case[1](folder)
    assert len(problems_of(folder)) <= 2


def test_problems_name_the_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.edit("width_m: 0.5", "width_m: 0.8")
    lines = (tmp_path / YAML).read_text(encoding="utf-8").splitlines()
    number = next(n for n, text in enumerate(lines, 1) if "width_m: 0.8}" in text)
    (problem,) = problems_of(folder)
    assert problem.place == f"fixtures[1].shelves[0].lanes[0] (line {number})"
    assert str(problem).startswith("store.yaml: fixtures[1]")


def test_a_near_miss_gets_a_hint(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.edit("wall.s1.l2,", "wall.s1.12,", PLAN)
    folder.put((*CAMERA, "widht_px"), 320)
    fixes = [problem.fix for problem in problems_of(folder)]
    assert "did you mean 'width_px'?" in fixes
    assert any(fix.startswith("did you mean 'wall.s1.l") for fix in fixes)


@pytest.mark.parametrize("name", ["nothing-here", "file.txt"])
def test_what_is_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="folder"):
        load_store(tmp_path / name)


def test_saved_stores_come_back_equal(tmp_path: Path) -> None:
    store = tiny_store()
    save_store(store, tmp_path / "a")
    back = load_store(tmp_path / "a")
    assert back == store
    assert store_hash(back) == store_hash(store)
    save_store(back, tmp_path / "b")
    for file in sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_equality_and_hash_see_every_part() -> None:
    store = tiny_store()
    dearer = store.products[0].model_copy(update={"price_cents": 1})
    renamed = store.spec.model_copy(update={"name": "Other"})
    touched = {gtin: tuple(p.copy() for p in pictures) for gtin, pictures in store.pictures.items()}
    touched[COLA][1][0, 0, 0] ^= 1
    others = [
        Store(store.spec, (dearer, *store.products[1:]), store.planogram, store.pictures),
        Store(renamed, store.products, store.planogram, store.pictures),
        Store(store.spec, store.products, store.planogram[1:], store.pictures),
        Store(store.spec, store.products, store.planogram, touched),
        Store(store.spec, store.products, store.planogram),
    ]
    assert store == tiny_store()
    assert len({store_hash(each) for each in [store, *others]}) == 6
    assert all(each != store for each in others)


def test_names_that_png_cannot_keep_are_renamed(tmp_path: Path) -> None:
    store = tiny_store()
    jpeg = store.products[0].model_copy(update={"images": ("front.jpg", "back.jpg")})
    save_store(Store(store.spec, (jpeg, *store.products[1:]), store.planogram, store.pictures), tmp_path)
    back = load_store(tmp_path)
    assert back.products[0].images == (f"{COLA}_0.png", f"{COLA}_1.png")
    np.testing.assert_array_equal(back.pictures[COLA][0], store.pictures[COLA][0])


def test_short_gtins_are_kept_as_fourteen_digits(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.edit(COLA, COLA[1:], CSV)
    folder.edit(COLA, COLA[1:], PLAN)
    assert load_store(tmp_path).products[0].gtin == COLA


def test_spreadsheet_habits_are_understood(tmp_path: Path) -> None:
    """A byte order mark, carriage returns, spaces around cells, blank lines and quoted commas."""
    folder = Folder(tmp_path)
    folder.edit("Thing 1", '" Thing, 1 "', CSV)
    text = (tmp_path / CSV).read_text(encoding="utf-8").replace("\n", "\r\n") + "\r\n\r\n"
    (tmp_path / CSV).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_store(tmp_path).products[1].name == "Thing, 1"


def test_yaml_is_for_people() -> None:
    text = spec_to_yaml(tiny_store().spec)
    assert "- {id: l1, x_m: 0.0, width_m: 0.4}" in text
    assert f'"{GUM}"' in text
    assert "distortion" not in text  # defaults are left out


def test_check_store_agrees_with_the_files() -> None:
    store = tiny_store()
    assert check_store(store) == []
    broken = store.spec.model_copy(update={"time_zone": "Mars/Olympus"})
    rows = (store.planogram[0], *store.planogram)
    places = [(p.file, p.place) for p in check_store(Store(broken, store.products, rows))]
    assert places == [("store.yaml", "time_zone"), ("planogram.csv", "line 3, column lane")]


def test_pictures_that_are_not_there_or_not_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    assert read_picture(tmp_path / "empty.png") is None
    assert read_picture(tmp_path / "none.png") is None
    assert read_picture(tmp_path) is None


def test_the_example_in_the_documentation_loads(tmp_path: Path) -> None:
    text = (DOCS / "add-a-store.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(yaml|csv)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["yaml", "csv", "csv"]
    for name, (_, content) in zip((YAML, CSV, PLAN), blocks, strict=True):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert len(load_store(tmp_path).lanes) == 2


def test_the_committed_schema_is_the_schema() -> None:
    assert (DOCS / "schema" / "store-1.json").read_text(encoding="utf-8") == json_schema()
