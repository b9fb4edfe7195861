"""`aisle train | evaluate | export`: from recipes to weights to what the shop runs (train extra)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from openaisle.cli.talk import Verb, progress, say, say_json, say_text, screen
from openaisle.errors import MissingExtraError

RECIPES = Path("recipes")


def train(
    recipe: Annotated[str, typer.Argument(help="A file with a function recipe(), or the name of one in recipes/.")],
    out: Annotated[Path | None, typer.Option(help="Folder of data, checkpoints, weights.")] = None,
) -> None:
    """Train a network from nothing; run the same words again after a kill, and it goes on where it was."""
    _need_torch()
    from openaisle.training.recipe import load_recipe
    from openaisle.training.train import train as run

    path = RECIPES / f"{recipe}.py"
    loaded = load_recipe(path if path.is_file() else Path(recipe))
    folder = out or Path("data/train") / loaded.name
    say(f"training {loaded.name} in {folder}; curves: tensorboard --logdir {folder / 'runs' / 'tensorboard'}")
    with _curves(folder / "runs"):
        run(loaded, folder)
    say(f"wrote {folder / 'weights.safetensors'}; next: aisle export {folder / 'weights.safetensors'} --out MODEL")


def evaluate(
    model: Annotated[str, typer.Argument(help="small, rule, or a model folder.")] = "small",
    suite: Annotated[str, typer.Option(help="first, or the name or file of one scenario.")] = "first",
    seeds: Annotated[str, typer.Option(help="First:last + 1; validation: 800000 to 849999.")] = "800000:800004",
    processes: Annotated[int, typer.Option(min=1, help="Shops played at once; changes no number.")] = 1,
    against: Annotated[
        str | None, typer.Option(help="Instead of the rule: a model that this must keep up with (exit code 1).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Judge a model closed loop on validation shops, the rule on the same tracks beside it (tests: aisle bench)."""
    from openaisle.bench.parity import parity
    from openaisle.bench.report import build_report, markdown
    from openaisle.bench.run import run_bench
    from openaisle.bench.suites import parse_seeds, plan
    from openaisle.bench.suites import suite as suite_of

    other = against or ("" if model.startswith("rule") else "rule" if model == "small" else f"rule:{model}")
    cases = suite_of(suite).cases(parse_seeds(seeds))
    with progress("evaluating") as report:
        asked = plan(cases, list(dict.fromkeys(name for name in (model, other) if name)))
        results = run_bench(asked, processes=processes, progress=lambda _, n, all_: report(n / all_))
    table = build_report(results, f"aisle evaluate {model} --suite {suite} --seeds {seeds}")
    if as_json:
        say_json(table.to_json())
    else:
        say_text(markdown(table))
    if against is not None:
        compared = parity(results, model, against)
        say(str(compared))
        if not compared.holds:
            raise typer.Exit(1)


def export(
    weights: Annotated[
        Path,
        typer.Argument(help="weights.safetensors of a network; with --int8 also a model folder, or small."),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    int8: Annotated[bool, typer.Option("--int8", help="Heat maps in eight bits (docs/model.md).")] = False,
) -> None:
    """Turn weights into the folder that the shop runs on ONNX Runtime, without torch."""
    from tempfile import TemporaryDirectory

    if not int8:
        _export(weights, out)
    else:
        from openaisle.edge.quantise import listen, write_int8
        from openaisle.edge.runtime import folder_of

        with TemporaryDirectory() as scratch:
            folder = folder_of(str(weights))
            if weights.is_file():
                folder = Path(scratch)
                _export(weights, folder)
            with progress("calibrating"):
                write_int8(folder, out, listen(folder))
        say(f"next: aisle evaluate {out} --against {weights.parent if weights.is_file() else weights}")
    say(f"wrote {out}")


def _export(weights: Path, out: Path) -> None:
    _need_torch()
    from openaisle.edge.export import export as write
    from openaisle.edge.export import export_detector
    from openaisle.training.weights import is_detector, load_detector, load_weights

    with progress("exporting"):
        if is_detector(weights):
            export_detector(load_detector(weights), out, {"weights": weights.name})
        else:
            write(load_weights(weights), out, {"weights": weights.name})


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError("torch", "train")


def _curves(runs: Path) -> AbstractContextManager[object]:
    """A live table of all stages on a terminal; on a pipe the stages' own lines must do."""
    from rich.live import Live

    from openaisle.view.curves import curves_table

    console = screen()
    if not console.is_terminal:
        return nullcontext()
    return Live(get_renderable=lambda: curves_table(runs), console=console, refresh_per_second=1)


VERBS: tuple[tuple[Verb, str], ...] = (
    (train, "Example: aisle train small_cpu --out data/train/small"),
    (evaluate, "Example: aisle evaluate small --seeds 800000:800004 --json"),
    (
        export,
        "Example: aisle export data/train/small/weights.safetensors --out data/small",
    ),
)
