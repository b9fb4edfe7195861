"""`aisle`: all verbs under one roof, and what happens when one fails."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from openaisle import __version__
from openaisle.cli import bench, calibrate, demo, hardware, learn, model, recording, serve, shop, store
from openaisle.cli.talk import say
from openaisle.errors import OpenAisleError

USER_ERROR = 2  # exit code; 1 is left to what we did not expect

app = typer.Typer(
    name="aisle",
    help="OpenAisle: turns a shop into a walk-out shop. Start with `aisle demo`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store.app, name="store")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(recording.app, name="recording")
app.add_typer(shop.imports, name="import")
app.add_typer(model.app, name="model")
for verb, example in (*shop.VERBS, *demo.VERBS, *serve.VERBS, *hardware.VERBS, *learn.VERBS, *bench.VERBS):
    app.command(epilog=example)(verb)


def _version(asked: bool) -> None:
    if asked:
        print(f"aisle {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """OpenAisle: turns a shop into a walk-out shop. Start with `aisle demo`."""


def main() -> None:
    """Entry point of `aisle`: deliberate errors are printed without a traceback and exit 2; Ctrl-C exits 130."""
    try:
        app()  # exits by itself: 0, 2 after a mistake in the words, 130 after Ctrl-C
    except OpenAisleError as error:
        say(f"aisle: {error}")
    except OSError as error:
        if error.filename is None:
            raise
        say(f"aisle: {error.filename}: {error.strerror}")
    sys.exit(USER_ERROR)
