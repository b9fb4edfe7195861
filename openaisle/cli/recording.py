"""`aisle recording`: look into recordings, verify, repair, cut and show them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli.talk import progress, say, say_json, say_table, say_text

if TYPE_CHECKING:
    from openaisle.recording.manifest import Origin

app = typer.Typer(no_args_is_help=True, help="Look into recordings, verify, repair, cut and show them.")
Folder = Annotated[Path, typer.Argument(help="Recording folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Start = Annotated[float, typer.Option(min=0, help="Seconds after the recording's begin.")]
End = Annotated[float | None, typer.Option(min=0, help="Seconds after the recording's begin; default: its end.")]


@app.command(epilog="Example: aisle recording info rec")
def info(folder: Folder, as_json: AsJson = False) -> None:
    """Sum up a recording: streams, rates, sizes, gaps, origin."""
    from dataclasses import asdict

    from openaisle.recording.tools import info as read

    known = read(folder)
    if as_json:
        streams = [{**asdict(stream), "rate_hz": stream.rate_hz} for stream in known.streams]
        manifest = known.manifest.model_dump(mode="json")
        say_json({"seconds": known.seconds, "bytes": known.bytes, "manifest": manifest, "streams": streams})
        return
    rows = [[s.topic, s.type, s.messages, f"{s.rate_hz:.2f}", len(s.gaps)] for s in known.streams]
    title = f"{folder}: {known.manifest.store_name}, {known.seconds:.1f} s, {known.bytes / 1e6:.1f} MB"
    say_table(title, ["stream", "type", "messages", "Hz", "gaps"], rows)
    begin = datetime.fromtimestamp(known.manifest.start_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    say_text(f"begins {begin}; {_origin(known.manifest.origin)}")


def _origin(origin: Origin) -> str:
    """Where a recording comes from, e.g. "simulated, store random:kiosk, scenario solo, seed 7, split train"."""
    told = {"store": origin.store, "scenario": origin.scenario, "seed": origin.seed, "split": origin.split}
    return ", ".join([origin.source, *(f"{name} {value}" for name, value in told.items() if value not in ("", None))])


@app.command(epilog="Example: aisle recording verify rec")
def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Check sums, counts, ids and continuity; exit code 2 when something is wrong."""
    from dataclasses import asdict

    from openaisle.recording.tools import verify as check

    with progress("verifying"):
        found = check(folder)
    if as_json:
        problems = [asdict(problem) for problem in found.problems]
        say_json({"sound": not problems, "problems": problems, "remarks": list(found.remarks)})
    else:
        for line in (*found.problems, *(f"remark: {remark}" for remark in found.remarks)):
            say(str(line))
        say(f"{folder}: " + (f"{len(found.problems)} problems" if found.problems else "sound"))
    if found.problems:
        raise typer.Exit(2)


@app.command(epilog="Example: aisle recording recover rec")
def recover(folder: Folder, as_json: AsJson = False) -> None:
    """Make the recording of a killed writer whole again, in place."""
    from dataclasses import asdict

    from openaisle.recording.recover import recover as repair

    with progress("recovering"):
        done = repair(folder)
    if as_json:
        say_json({"files": [asdict(one) for one in done.files], "manifest": done.manifest.model_dump(mode="json")})
        return
    rows = [[one.name, one.messages, "rewritten" if one.rewritten else "whole", one.damage] for one in done.files]
    say_table(f"{folder}: recovered", ["file", "messages", "", "damage"], rows)


@app.command(epilog="Example: aisle recording cut rec --start 10 --end 40 --out part")
def cut(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="New recording folder.")],
    start: Start = 0.0,
    end: End = None,
) -> None:
    """Copy a span of time into a new recording, truth included."""
    from openaisle.recording.reader import open_recording
    from openaisle.recording.tools import cut as copy

    recording = open_recording(folder, check=False)
    start_ns = recording.start_ns + round(start * 1e9)
    end_ns = recording.end_ns + 1 if end is None else recording.start_ns + round(end * 1e9)
    with progress("cutting"):
        copy(folder, out, start_ns, end_ns)
    say(f"wrote {out}")


@app.command("export-mp4", epilog="Example: aisle recording export-mp4 rec --camera cam1 --out cam1.mp4")
def export_mp4(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="MP4 file to write.")],
    camera: Annotated[str | None, typer.Option(help="One camera; default: all in a mosaic.")] = None,
    start: Start = 0.0,
    end: End = None,
) -> None:
    """Write one camera's pictures, or all of them side by side with captions, as an MP4."""
    from openaisle.recording.pictures import export_mp4 as export
    from openaisle.recording.reader import open_recording

    recording = open_recording(folder)
    end_ns = None if end is None else recording.start_ns + round(end * 1e9)
    with progress("exporting"):
        film = export(recording, out, camera, recording.start_ns + round(start * 1e9), end_ns)
    after_s = (film.first_ns - recording.start_ns) / 1e9
    say(f"wrote {out}: {film.pictures} pictures, the first {after_s:.3f} s after the recording's begin")


@app.command("export-multiview", epilog="Example: aisle recording export-multiview rec --out data-set")
def export_multiview(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    rate: Annotated[float, typer.Option(min=0.01, max=120, help="Labelled pictures a second, about.")] = 2.0,
) -> None:
    """Write pictures and people of a recording with truth in the form of WILDTRACK, for other trackers."""
    from openaisle.recording.multiview import export_multiview as export
    from openaisle.recording.reader import open_recording

    with progress("exporting"):
        done = export(open_recording(folder), out, rate)
    say(f"wrote {out}: {done.moments} labelled moments, {done.rate_hz:.2f} a second, {done.people} people")


@app.command("contact-sheet", epilog="Example: aisle recording contact-sheet rec --out sheet.png")
def contact_sheet(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
    moments: Annotated[int, typer.Option(min=1, max=50, help="Moments spread over the recording.")] = 6,
) -> None:
    """Write a picture of all cameras at moments spread over the recording."""
    from openaisle.recording.pictures import contact_sheet as sheet
    from openaisle.recording.reader import open_recording

    sheet(open_recording(folder), out, moments)
    say(f"wrote {out}")
