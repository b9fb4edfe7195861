"""`aisle model show | swap`: which model reads a running live store, and another one in its place (service extra)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli.serve import NEEDS
from openaisle.cli.talk import progress, say, say_table, say_text
from openaisle.errors import MissingExtraError, Problem, ServiceError

if TYPE_CHECKING:
    from openaisle.service.desk import Desk
    from openaisle.service.startup import Serve

app = typer.Typer(help="The model of a running live store.", no_args_is_help=True)
Data = Annotated[Path, typer.Option(help="Data folder of the live store, as `aisle serve --data` has it.")]
Wait = Annotated[float, typer.Option(min=0.0, help="Seconds to wait for the worker's answer.")]


@app.command(epilog="Example: aisle model show --data data/serve")
def show(data: Data = Path("data/serve")) -> None:
    """Which model reads the store, and what was asked for."""
    _, desk = _open(data)
    from openaisle.service import models, visits

    with desk.database.read() as session:
        run = visits.newest_run(session)
        now = models.running(session, run).model if run is not None else ""
        orders = models.latest(session)
    desk.database.close()
    say_text(now or "no run yet")
    if orders:
        rows = [[models.name_of(order), order.state, order.error or "–"] for order in orders]
        say_table("asked for", ["model", "state", "why not"], rows)


@app.command(epilog="Example: aisle model swap data/small-7 --data data/serve")
def swap(
    model: Annotated[str, typer.Argument(help="small, rule, modular, or a folder that `aisle export` wrote.")],
    data: Data = Path("data/serve"),
    wait: Wait = 120.0,
) -> None:
    """Let a running store go on with another model at its next tick; shoppers who are inside lose nothing."""
    serve, desk = _open(data)
    from openaisle.service import models
    from openaisle.service.models import OrderState

    try:
        order_id = models.hand_in(desk, serve.path, serve.job, model)
        with progress("waiting for the worker"):
            order = models.wait(desk, order_id, wait)
    finally:
        desk.database.close()
    if order.state == OrderState.REFUSED:
        fix = "the model before goes on; mend or choose another folder"
        raise ServiceError([Problem(str(data), "model", f"{models.name_of(order)} was refused: {order.error}", fix)])
    taken = order.state == OrderState.TAKEN
    said = "reads the store now" if taken else "is asked for; the worker has not answered, and takes it when it runs"
    say(f"{models.name_of(order)} {said}")


def _open(data: Path) -> tuple[Serve, Desk]:
    """A store's settings and desk; raises ServiceError where `aisle serve` has never been."""
    for package in NEEDS:
        if find_spec(package) is None:
            raise MissingExtraError(package, "service")
    from openaisle.service.startup import open_desk, read_startup

    serve = read_startup(data)
    return serve, open_desk(serve)
