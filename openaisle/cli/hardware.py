"""`aisle fake-hardware`: a shop's cameras and scales that are not there, as real RTSP and MQTT."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openaisle.cli.talk import Verb, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openaisle.recording.files import Logged
    from openaisle.sim.hardware.shop import FakeShop
    from openaisle.store.store import Store

Source = Annotated[str, typer.Argument(help="A recording, or sim.")]
Out = Annotated[Path, typer.Option(help="Folder for store/ and sensors.yaml, which `aisle serve` is to be given.")]
StoreName = Annotated[str, typer.Option("--store", help="Store folder or random:kiosk; default: the recording's.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help="What simulated shoppers do: a name or a YAML file.")]
Minutes = Annotated[float, typer.Option(min=0.2, max=480, help="How long a simulated day lasts, at least.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulation, and of a random store.")]
Delay = Annotated[float, typer.Option(min=0, help="Seconds until the shop opens: time to start `aisle serve`.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Rtsp = Annotated[int, typer.Option(min=1, max=65535, help="Port of the cameras.")]
Mqtt = Annotated[int, typer.Option(min=1, max=65535, help="Port of the broker.")]
Broker = Annotated[str, typer.Option(help="HOST:PORT of a broker that runs already; default: one inside.")]
Share = Annotated[float, typer.Option(min=0, max=1)]


def fake_hardware(
    source: Source,
    out: Out = Path("data/hardware"),
    store: StoreName = "",
    scenario: ScenarioName = "everything",
    minutes: Minutes = 10.0,
    seed: Seed = 0,
    delay: Delay = 20.0,
    host: Host = "127.0.0.1",
    rtsp_port: Rtsp = 18554,
    mqtt_port: Mqtt = 18830,
    broker: Broker = "",
    duplicated: Share = 0.0,
    reordered: Share = 0.0,
    lost: Share = 0.0,
) -> None:
    """Play a recording or a live simulation on real RTSP and MQTT, until it ends or Ctrl-C.

    --duplicated, --reordered and --lost are shares of the scales' messages to which that happens on their way.
    """
    from openaisle.sensors.settings import Mqtt as Settings
    from openaisle.sim.hardware.devices import Mischief
    from openaisle.sim.hardware.shop import FakeShop, Ports, write_settings
    from openaisle.store.load import save_store

    opened, first, messages = _opened(source, store, scenario, minutes, seed)
    name, _, port = broker.partition(":")
    there = Settings(host=name, port=int(port or 0)) if broker else None
    shop = FakeShop(opened, Ports(host, rtsp_port, mqtt_port, there), Mischief(duplicated, reordered, lost))
    if not (out / "store").is_dir():
        save_store(opened, out / "store")
    shop.prime(first)
    path = write_settings(out, shop.settings_yaml())
    at = ":".join(map(str, shop.ports.settings.address))
    say(f"{opened.spec.name}: rtsp://{host}:{rtsp_port}/CAMERA and MQTT on {at}")
    say(f"it opens in {delay:.0f} s; meanwhile: aisle serve --store {out / 'store'} --source {path}")
    asyncio.run(shop.run(lambda: _play(shop, messages, delay)))
    say("the shop has closed")


async def _play(shop: FakeShop, messages: Iterable[Logged], delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await shop.play(messages)
    await asyncio.sleep(3.0)  # what is asked for once more


def _opened(
    source: str, store: str, scenario: str, minutes: float, seed: int
) -> tuple[Store, Iterable[Logged], Iterable[Logged]]:
    """The store, the stream once for a look at its begin, and the stream."""
    from openaisle.recording.reader import open_recording
    from openaisle.sim.hardware.shop import recorded, simulated
    from openaisle.sim.scenario import load_scenario
    from openaisle.sim.stores import open_store

    if source != "sim":
        recording = open_recording(source)
        return recording.store, recorded(recording), recorded(recording)
    opened = open_store(store or "random:kiosk", seed)
    day = load_scenario(scenario)
    most = max(1, round(60 * minutes / max(1.0, sum(day.arrival_s) / 2)))
    day = day.model_copy(update={"duration_s": max(day.duration_s, 60 * minutes), "shoppers": (most, most)})
    return opened, simulated(opened, day, seed), simulated(opened, day, seed)


VERBS: tuple[tuple[Verb, str], ...] = (
    (fake_hardware, "Example: aisle fake-hardware sim --store random:kiosk --out data/hardware"),
)
