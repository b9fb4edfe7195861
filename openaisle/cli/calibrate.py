"""`aisle calibrate`: sheets to print, lenses from a board, poses from tags or from a walk; into store.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli.talk import progress, say, say_json, say_table

if TYPE_CHECKING:
    from openaisle.calibrate.store_cameras import Written

app = typer.Typer(no_args_is_help=True, help="Find how cameras see and where they hang, and write it into the store.")

Folder = Annotated[Path, typer.Option("--store", help="Store folder; its store.yaml is amended, a copy is kept.")]
Squares = Annotated[str, typer.Option(help="Squares of the board, columns x rows.")]
Paper = Annotated[str, typer.Option(help="a4, a3, a2, a1, a0, letter, tabloid.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Find and tell everything, write nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command(epilog="Example: aisle calibrate board --paper a3 --out board.pdf")
def board(
    out: Annotated[Path, typer.Option(help="File to write: .pdf, .svg or .png.")],
    paper: Paper = "a4",
    squares: Squares = "5x7",
) -> None:
    """Make the board to print that `aisle calibrate intrinsics` wants to see."""
    from openaisle.calibrate import sheets
    from openaisle.calibrate.board import board as board_of

    side_mm = sheets.write_board(board_of(squares), sheets.paper(paper), out)
    say(f"wrote {out}: {squares} squares of {side_mm:g} mm; print at 100 %, glue it onto something flat and stiff")


@app.command(epilog="Example: aisle calibrate tags --ids 0:12 --size-mm 150 --out tags.pdf")
def tags(
    out: Annotated[Path, typer.Option(help="File to write: .pdf, a page for each tag.")],
    ids: Annotated[str, typer.Option(help="Numbers of the tags, first:end or a list such as 3,5,8.")] = "0:12",
    size_mm: Annotated[float, typer.Option(help="Side of the black square, millimetres.")] = 140.0,
    paper: Paper = "a4",
) -> None:
    """Make AprilTags (36h11) to print, for `aisle calibrate extrinsics`."""
    from openaisle.calibrate import sheets

    sheets.write_tags(sheets.numbers(ids), size_mm, sheets.paper(paper), out)
    say(f"wrote {out}; print at 100 %, put up flat with the arrow on top")


@app.command(epilog="Example: aisle calibrate intrinsics --store my-store --camera cam1 board-cam1.mp4")
def intrinsics(
    films: Annotated[list[Path], typer.Argument(help="Films (or pictures) of the board by this camera.")],
    store: Folder,
    camera: Annotated[str, typer.Option(help="Id of the camera in store.yaml.")],
    squares: Squares = "5x7",
    dry_run: Dry = False,
    as_json: AsJson = False,
) -> None:
    """Find a camera's focal lengths, principal point and distortion from films of the board."""
    from openaisle.calibrate.board import board as board_of
    from openaisle.calibrate.store_cameras import lens_job

    with progress("looking for the board") as report:
        lens, was, written = lens_job(store, camera, films, board_of(squares), dry_run, report)
    names = ("fx_px", "fy_px", "cx_px", "cy_px")
    if as_json:
        numbers = {name: getattr(lens.camera, name) for name in names}
        say_json({
            "camera": camera, **numbers, "distortion": list(lens.camera.distortion), "rms_px": round(lens.rms_px, 4),
            "film_px": list(lens.film_px), "focal_sigma": lens.focal_sigma, "views": len(lens.views),
            "views_with_board": lens.found, "dropped": list(lens.dropped), "remarks": list(lens.remarks),
            **_files(written),
        })  # fmt: skip
        return
    rows = [[name, f"{getattr(was, name):.2f}", f"{getattr(lens.camera, name):.2f}"] for name in names]
    rows += [
        [name, f"{old:.5f}", f"{new:.5f}"]
        for name, old, new in zip(("k1", "k2", "p1", "p2", "k3"), was.distortion, lens.camera.distortion, strict=True)
    ]
    say_table(f"{camera}: {lens.rms_px:.2f} px rms over {len(lens.views)} views", ["", "before", "now"], rows)
    for where in lens.dropped:
        say(f"left out, it does not fit the others: {where}")
    _told(lens.remarks, written, store)


@app.command(epilog="Example: aisle calibrate extrinsics --store my-store --tags tags.csv cam1=c1.mp4 cam2=c2.png")
def extrinsics(
    films: Annotated[list[str], typer.Argument(help="ID=FILE for each camera; or files named after their cameras.")],
    store: Folder,
    tags: Annotated[Path, typer.Option(help="Table of tags: tag,x_m,y_m,z_m,size_mm,facing_deg,tilt_deg.")],
    dry_run: Dry = False,
    as_json: AsJson = False,
) -> None:
    """Find where cameras hang and how they are turned from AprilTags of known places."""
    from openaisle.calibrate.store_cameras import tags_job

    with progress("looking for tags") as report:
        placement, remarks, written = tags_job(store, tags, films, dry_run, report)
    astray = [
        f"tag {number} is not where {tags.name} says: {metres:.2f} m and {degrees:.0f} degrees off; it was left out"
        for number, (metres, degrees) in placement.astray.items()
    ]
    if as_json:
        poses = [
            {"camera": one.camera.id, "position_m": [round(float(v), 4) for v in one.camera.world_from_camera[:3, 3]],
             "rms_px": one.rms_px, "moved_m": one.moved_m, "turned_deg": one.turned_deg, "sigma_m": one.sigma_m,
             "sigma_deg": one.sigma_deg, "tags": list(one.tags)}
            for one in placement.cameras
        ]  # fmt: skip
        say_json({
            "cameras": poses, "astray": sorted(placement.astray), "remarks": [*astray, *remarks], **_files(written)
        })  # fmt: skip
        return
    rows = [
        [one.camera.id, len(one.tags), f"{one.rms_px:.2f}", f"{one.moved_m:.3f}", f"{one.turned_deg:.2f}",
         f"{one.sigma_m * 1000:.0f} mm, {one.sigma_deg:.2f}°"]
        for one in placement.cameras
    ]  # fmt: skip
    say_table("Cameras from tags", ["camera", "tags", "rms px", "moved m", "turned °", "known to"], rows)
    _told((*astray, *remarks), written, store)


@app.command(epilog="Example: aisle calibrate walk --store my-store --height 1.78 rec")
def walk(
    sources: Annotated[
        list[str], typer.Argument(help="A recording, a folder of films, or ID=FILE for each camera (begun together).")
    ],
    store: Folder,
    height: Annotated[
        float | None, typer.Option(min=1.0, max=2.3, help="Height of who walks, shoes and hair included, metres.")
    ] = None,
    fixed: Annotated[
        list[str] | None, typer.Option(help="Id of a camera whose pose is right already; may be repeated.")
    ] = None,
    dry_run: Dry = False,
    as_json: AsJson = False,
) -> None:
    """Find where cameras hang and how they are turned from one person who walks through the empty shop."""
    from openaisle.calibrate.walk_job import walk_job

    with progress("looking for somebody who walks") as report:
        walked, remarks, written = walk_job(store, sources, dry_run, report, height_m=height, fixed=fixed or ())
    if as_json:
        poses = [
            {"camera": one.camera.id, "position_m": [round(float(v), 4) for v in one.camera.world_from_camera[:3, 3]],
             "rms_px": one.rms_px, "median_px": one.median_px, "moved_m": one.moved_m, "turned_deg": one.turned_deg,
             "sigma_m": one.sigma_m, "sigma_deg": one.sigma_deg, "heads_and_feet": len(one.seen_px)}
            for one in walked.placed
        ]  # fmt: skip
        say_json({
            "cameras": poses, "stay": dict(walked.stay), "height_m": walked.height_m, "median_px": walked.median_px,
            "fitting": walked.fitting, "remarks": list(remarks), **_files(written),
        })  # fmt: skip
        return
    rows = [
        [one.camera.id, len(one.seen_px), f"{one.median_px:.1f}", f"{one.rms_px:.1f}", f"{one.moved_m:.3f}",
         f"{one.turned_deg:.2f}", f"{one.sigma_m * 100:.0f} cm, {one.sigma_deg:.1f}°"]
        for one in walked.placed
    ]  # fmt: skip
    columns = ["camera", "heads, feet", "median px", "rms px", "moved m", "turned °", "known to"]
    say_table("Cameras from a walk", columns, rows)
    say(
        f"median residual {walked.median_px:.1f} px; {walked.fitting:.0%} of heads and feet fit; "
        f"height {walked.height_m:.2f} m"
    )
    _told(remarks, written, store)


def _files(written: Written) -> dict[str, str | None]:
    plot, before = written.plot, written.before
    return {"plot": str(plot) if plot else None, "before": str(before) if before else None}


def _told(remarks: tuple[str, ...], written: Written, store: Path) -> None:
    for remark in remarks:
        say(f"remark: {remark}")
    if written.before is None:
        say("dry run: nothing was written")
        return
    say(f"wrote {store / 'store.yaml'}; as it was before: {written.before}; residuals: {written.plot}")
