"""Broker: an MQTT broker inside this process (amqtt), so that scales can speak with nothing installed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openaisle.errors import MissingExtraError


@asynccontextmanager
async def embedded_broker(host: str, port: int) -> AsyncIterator[None]:
    """A broker without accounts at an address, for as long as the block runs; for demonstrations and tests."""
    try:
        from amqtt.broker import Broker
    except ImportError as error:
        raise MissingExtraError("amqtt", "live") from error
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 100}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(settings)
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()
