"""Link: the connection to the scales' broker (MQTT 3.1.1 or 5, aiomqtt), kept up in a thread of its own.

What arrives is handed on with its time; what devices are to be told is sent while there is a connection. QoS 0 does: no
broker's word is relied on, because devices keep what they sent until they are told that it is on disk.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from openaisle.errors import MissingExtraError, SensorError
from openaisle.sensors.settings import Mqtt

if TYPE_CHECKING:
    import aiomqtt

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 3.0  # before the next try
CONNECT_S = 5.0
KEEPALIVE_S = 5  # a broker that says nothing for half as long again is gone
LOOK_S = 0.05
NO_ENTRY = frozenset({4, 5, 134, 135})  # CONNACK codes of MQTT 3.1.1 and 5: account or password refused


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came."""

    topic: str
    data: bytes
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class LinkWord:
    """The connection is there, or gone."""

    up: bool
    words: str = ""


class Link:
    """One connection; `run` it in a thread. Raises MissingExtraError where aiomqtt is not installed."""

    def __init__(self, settings: Mqtt, put: Callable[[Arrival | LinkWord], None], stop: Event) -> None:
        try:
            import aiomqtt
        except ImportError as error:
            raise MissingExtraError("aiomqtt", "live") from error
        self._mqtt = aiomqtt
        self._settings, self._put, self._stop = settings, put, stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outgoing: asyncio.Queue[tuple[str, bytes]] | None = None

    def send(self, topic: str, data: bytes) -> None:
        """Tell a device something; from any thread. Without a connection it is forgotten: it will be said again."""
        if self._loop is not None and self._outgoing is not None and not self._stop.is_set():
            self._loop.call_soon_threadsafe(self._outgoing.put_nowait, (topic, data))

    def run(self) -> None:
        """Until told to stop."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while not self._stop.is_set():
            try:
                async with self._client() as client:
                    wait_s = FIRST_WAIT_S
                    await self._talk(client)
            except (self._mqtt.MqttError, OSError, SensorError) as error:
                self._put(LinkWord(False, explained(error)))
            self._outgoing = None
            end_s = time.monotonic() + wait_s
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            while time.monotonic() < end_s and not self._stop.is_set():
                await asyncio.sleep(LOOK_S)

    def _client(self) -> aiomqtt.Client:
        host, port = self._settings.address
        version = self._mqtt.ProtocolVersion.V5 if self._settings.version == 5 else self._mqtt.ProtocolVersion.V311
        return self._mqtt.Client(
            host, port, username=self._settings.username or None, password=self._settings.password or None,
            protocol=version, tls_context=self._settings.context(), keepalive=KEEPALIVE_S, timeout=CONNECT_S,
        )  # fmt: skip

    async def _talk(self, client: aiomqtt.Client) -> None:
        for kind, word in (("scale", "samples"), ("gate", "events")):
            await client.subscribe(f"{self._settings.prefix}/{kind}/+/{word}", qos=0)
        self._outgoing = asyncio.Queue()
        self._put(LinkWord(True))
        await first_of(*(part(client) for part in (self._listen, self._speak, self._watch)))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            now_ns = time.time_ns()
            if isinstance(message.payload, bytes | bytearray):
                self._put(Arrival(str(message.topic), bytes(message.payload), now_ns))

    async def _speak(self, client: aiomqtt.Client) -> None:
        assert self._outgoing is not None, "made when connected"
        while True:
            topic, data = await self._outgoing.get()
            await client.publish(topic, data, qos=0)

    async def _watch(self, client: aiomqtt.Client) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(LOOK_S)


def explained(error: BaseException) -> str:
    """Why there is no connection, with the place in sensors.yaml to look at where we know it; never a password."""
    code = getattr(error, "rc", None)
    if code is not None and int(getattr(code, "value", code)) in NO_ENTRY:
        return f"the broker does not let us in ({error}): see mqtt.username and mqtt.password in sensors.yaml"
    for cause in (error, error.__cause__, error.__context__):  # aiomqtt wraps what sockets raise
        if isinstance(cause, ssl.SSLCertVerificationError):
            fix = "see mqtt.host and mqtt.tls.ca_file in sensors.yaml"
            return f"the broker's certificate is not trusted ({cause.verify_message}): {fix}"
        if isinstance(cause, ssl.SSLError):
            return f"the broker and we do not agree on TLS ({cause.reason or cause}): see mqtt.tls in sensors.yaml"
    return str(error) or type(error).__name__


async def first_of(*parts: Coroutine[object, object, None]) -> None:
    """Run the parts of a connection side by side until one ends; the others end with it, its error is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
