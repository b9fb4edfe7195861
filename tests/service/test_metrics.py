"""Prometheus reads of sensors what the intake tells of them: ages, gaps, duplicates, clocks, states."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from openaisle.messages import NANOSECONDS
from openaisle.sensors.camera import CameraWord
from openaisle.service.fake_gateway import FakeGateway
from openaisle.service.metrics import SensorCollector
from tests.service import stream
from tests.service.desks import desk_on, fresh_sqlite
from tests.service.sensing import VirtualShop, Weather, moved, noisy_film
from tests.service.shop import open_shop

NOW_NS = 1_770_000_000 * NANOSECONDS
SKEW_S = 7.0


@pytest.fixture
def virtual(tmp_path: Path) -> VirtualShop:
    """Two scales and two cameras for a while; one scale's clock is wrong, some messages come twice, others never."""
    sent = stream.shoppers(1)
    both = sorted([*sent, *noisy_film(12.0, sent[0].time_ns)], key=lambda message: message.time_ns)
    weather = Weather(
        duplicated=0.5, lost=0.1, clock_error_ns=lambda sensor, _: -round(SKEW_S * NANOSECONDS) * (sensor == "w2")
    )
    shop = VirtualShop(stream.store(), tmp_path, moved(both, NOW_NS - both[0].time_ns), weather)
    shop.play(10.0)
    shop.intake._tell_health(shop.now_ns)  # which it does once a second
    return shop


def registry(shop: VirtualShop, later_s: float = 0.0) -> CollectorRegistry:
    """What Prometheus reads so much later."""
    out = CollectorRegistry()
    out.register(SensorCollector(shop.folder, lambda: shop.now_ns + round(later_s * NANOSECONDS)))
    return out


def value(of: CollectorRegistry, name: str, kind: str, sensor: str, **labels: str) -> float | None:
    """One figure."""
    return of.get_sample_value(f"openaisle_{name}", {"kind": kind, "sensor": sensor, **labels})


def test_every_sensor_has_its_figures(virtual: VirtualShop) -> None:
    found = registry(virtual)
    device = virtual.intake.gatherer.devices["scale", "w1"]
    assert 0 <= (value(found, "sensor_age_seconds", "scale", "w1") or 0.0) < 3.0
    assert value(found, "sensor_duplicates_total", "scale", "w1") == device.sequence.duplicates > 0
    assert value(found, "sensor_missing", "scale", "w1") == device.sequence.missing()
    assert value(found, "sensor_lost_total", "scale", "w1") == device.sequence.lost
    assert (value(found, "sensor_messages_total", "camera", "a") or 0.0) > 30
    assert value(found, "sensor_clock_offset_seconds", "scale", "w2") == pytest.approx(SKEW_S, abs=0.5)
    assert value(found, "sensor_clock_offset_seconds", "scale", "w1") == pytest.approx(0.0, abs=0.5)
    assert found.get_sample_value("openaisle_broker_up") == 1.0
    assert 0 <= (found.get_sample_value("openaisle_intake_lag_seconds") or -1.0) < 5.0


def test_ages_grow_while_nobody_tells(virtual: VirtualShop) -> None:
    early, late = registry(virtual), registry(virtual, 60.0)
    ages = [value(one, "sensor_age_seconds", "camera", "b") for one in (early, late)]
    assert ages[1] == pytest.approx((ages[0] or 0.0) + 60.0)
    intake = [one.get_sample_value("openaisle_intake_age_seconds") for one in (early, late)]
    assert intake[1] == pytest.approx((intake[0] or 0.0) + 60.0)


def test_states_are_told_one_by_one(virtual: VirtualShop) -> None:
    assert value(registry(virtual), "sensor_state", "camera", "a", state="online") == 1.0
    assert value(registry(virtual), "sensor_state", "camera", "a", state="offline") == 0.0
    virtual._coming = [row for row in virtual._coming if not hasattr(row[2], "rgb")]  # both cameras are unplugged
    virtual.intake.take(CameraWord("a", "it is away"))
    virtual.play(17.0)
    found = registry(virtual)
    assert value(found, "sensor_state", "camera", "a", state="online") == 0.0
    assert value(found, "sensor_state", "camera", "a", state="offline") == 1.0
    assert value(found, "sensor_state", "gate", "door", state="waiting") is None


def test_a_shop_without_an_intake_has_none(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        out = CollectorRegistry()
        out.register(SensorCollector(folder, lambda: NOW_NS))
        assert not list(out.collect())


def test_the_api_serves_them(virtual: VirtualShop) -> None:
    desk, clock = desk_on(fresh_sqlite(virtual.folder))
    clock.now_ns = virtual.now_ns
    shop = open_shop(desk, FakeGateway(virtual.folder / "gateway.sqlite", clock), virtual.folder)
    text = shop.get("/metrics", "reviewer").text
    assert 'openaisle_sensor_state{kind="scale",sensor="w1",state="online"} 1.0' in text
    desk.database.close()
