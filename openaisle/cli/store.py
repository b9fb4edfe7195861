"""`aisle store`: check, draw and exchange store folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.talk import say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="Check, draw and exchange store folders.")
Folder = Annotated[Path, typer.Argument(help="Store folder with store.yaml, catalog.csv, planogram.csv, images/.")]
StoreName = Annotated[str, typer.Argument(help="Store folder, or random:kiosk, random:corner, random:market.")]
Seed = Annotated[int, typer.Option(help="Seed of a random store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command(epilog="Example: aisle store check stores/corner")
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Read a store folder; list every problem with its file, place and fix, or say that it is sound, with remarks."""
    from dataclasses import asdict

    from openaisle.errors import StoreError
    from openaisle.store.load import load_store
    from openaisle.store.notes import store_notes

    try:
        store = load_store(folder)
    except StoreError as error:
        if not as_json:
            raise
        say_json({"sound": False, "problems": [asdict(problem) for problem in error.problems]})
        raise typer.Exit(2) from error
    counts = {
        "fixtures": len(store.spec.fixtures),
        "lanes": len(store.lanes),
        "scales": len(store.spec.scales),
        "cameras": len(store.spec.cameras),
        "products": len(store.products),
    }
    notes = store_notes(store)
    if as_json:
        say_json({"sound": True, "name": store.spec.name, **counts, "remarks": [asdict(note) for note in notes]})
        return
    say(f"{folder}: sound. " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for note in notes:
        say(f"remark: {note}")


@app.command(epilog="Example: aisle store new random:corner --seed 7 --out my-store")
def new(
    store: StoreName, out: Annotated[Path, typer.Option(help="Folder to write; must not exist.")], seed: Seed = 0
) -> None:
    """Write a generated store (or a copy of a folder) as plain files to start from."""
    from openaisle.sim.stores import open_store
    from openaisle.store.load import save_store

    save_store(open_store(store, seed), out)
    say(f"wrote {out}")


@app.command(epilog="Example: aisle store plot stores/corner --out plan.svg")
def plot(
    store: StoreName, out: Annotated[Path, typer.Option(help="File to write: .svg or .png.")], seed: Seed = 0
) -> None:
    """Draw the floor plan: fixtures, lanes coloured by how many cameras see them, cameras, gates."""
    from openaisle.sim.stores import open_store
    from openaisle.store.plan import plot_plan

    plot_plan(open_store(store, seed), out)
    say(f"wrote {out}")


@app.command(epilog="Example: aisle store coverage random:kiosk --seed 3")
def coverage(store: StoreName, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Count how many cameras see each lane's front and how much of the free floor."""
    from openaisle.sim.stores import open_store
    from openaisle.store.coverage import coverage as cover

    opened = open_store(store, seed)
    seen = cover(opened)
    lanes = {lane.id: int(count) for lane, count in zip(opened.lanes, seen.lane_cameras, strict=True)}
    if as_json:
        say_json({"floor_one": seen.floor_one, "floor_two": seen.floor_two, "lanes": lanes})
        return
    cells = [list(lanes.values()).count(n) for n in range(4)]
    cells[3] = len(lanes) - sum(cells[:3])
    say_table(
        f"{opened.spec.name}: what the cameras see",
        ["", "no camera", "one", "two", "three or more"],
        [["lanes", *cells]],
    )
    say(f"free floor: {seen.floor_one:.0%} seen by at least one camera, {seen.floor_two:.0%} by two")
    blind = [lane for lane, count in lanes.items() if count == 0]
    if blind:
        say(f"lanes that no camera sees: {', '.join(blind)}")


@app.command("export-imdf", epilog="Example: aisle store export-imdf stores/corner --out corner-imdf")
def export_imdf(folder: Folder, out: Annotated[Path, typer.Option(help="Folder or file to write.")]) -> None:
    """Write the floor plan as IMDF (GeoJSON)."""
    from openaisle.store.imdf import export_imdf as export
    from openaisle.store.load import load_store

    export(load_store(folder), out)
    say(f"wrote {out}")


@app.command("import-imdf", epilog="Example: aisle store import-imdf corner-imdf --out my-store")
def import_imdf(
    source: Annotated[Path, typer.Argument(help="IMDF folder or file.")],
    out: Annotated[Path, typer.Option(help="Store folder to write.")],
) -> None:
    """Read a floor plan from IMDF (GeoJSON) into a store folder."""
    from openaisle.store.imdf import import_imdf as read
    from openaisle.store.load import save_store

    save_store(read(source), out)
    say(f"wrote {out}")
