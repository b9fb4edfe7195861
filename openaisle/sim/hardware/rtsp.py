"""RTSP: a small server that sends H.264 pictures as network cameras do, over TCP (RFC 2326, interleaved), or over TLS.

One URL per camera: rtsp://HOST:PORT/CAMERA. Enough of the protocol for FFmpeg, VLC and GStreamer over TCP; UDP is
refused with 461, as many cameras behind a firewall do. With a password, Basic authentication is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass, field

from openaisle.messages import NANOSECONDS, VideoPacket
from openaisle.sim.hardware.rtp import PAYLOAD_TYPE, RtpStream, fmtp, parameter_sets

LOG = logging.getLogger(__name__)
REPORT_NS = NANOSECONDS  # a sender report a second
BACKLOG_BYTES = 4 << 20  # a client that reads slower than this waits for the next key frame
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
LINE_BYTES = 8192


@dataclass(eq=False)
class _Client:
    """One connection."""

    writer: asyncio.StreamWriter
    camera: str = ""
    stream: RtpStream | None = None
    channel: int = 0
    playing: bool = False
    waits_for_key: bool = True
    reported_ns: int = 0
    session: str = field(default_factory=lambda: secrets.token_hex(6))

    def send(self, packet: VideoPacket) -> None:
        """A picture, with a sender report when one is due."""
        assert self.stream is not None, "set up before it plays"
        if self.writer.is_closing():
            return
        if self.writer.transport.get_write_buffer_size() > BACKLOG_BYTES:
            self.waits_for_key = True
        if self.waits_for_key and not packet.keyframe:
            return
        self.waits_for_key = False
        if packet.time_ns - self.reported_ns >= REPORT_NS:
            self.reported_ns = packet.time_ns
            self._frame(self.channel + 1, self.stream.report(packet.time_ns))
        for part in self.stream.picture(packet.data, packet.time_ns):
            self._frame(self.channel, part)

    def _frame(self, channel: int, data: bytes) -> None:
        self.writer.write(struct.pack("!cBH", b"$", channel, len(data)) + data)


@dataclass
class RtspServer:
    """Cameras at one address; `publish` sends a picture to whoever plays its camera."""

    cameras: frozenset[str]
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None
    port: int = 0  # of the last start
    _sets: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    _clients: set[_Client] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _gone: set[str] = field(default_factory=set)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._serve, host, port, ssl=self.tls, limit=LINE_BYTES)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.writer.close()
        self._server = None

    def publish(self, packet: VideoPacket) -> None:
        """A camera has taken a picture."""
        if packet.keyframe:
            self._sets[packet.camera] = parameter_sets(packet.data)
        for client in list(self._clients):
            if client.playing and client.camera == packet.camera and packet.camera not in self._gone:
                client.send(packet)

    def unplug(self, camera: str) -> None:
        """Nobody gets pictures of this camera, and nobody can ask for them, until it is plugged in."""
        self._gone.add(camera)
        for client in list(self._clients):
            if client.camera == camera:
                client.writer.close()

    def plug(self, camera: str) -> None:
        """It is there again."""
        self._gone.discard(camera)

    # --- the protocol ---------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer)
        self._clients.add(client)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
                while await self._request(reader, client):
                    await writer.drain()
        finally:
            self._clients.discard(client)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, client: _Client) -> bool:
        first = await reader.readexactly(1)
        if first == b"$":  # the client's receiver reports
            _, length = struct.unpack("!BH", await reader.readexactly(3))
            await reader.readexactly(length)
            return True
        line = (first + await reader.readuntil(b"\r\n")).decode("latin-1").split()
        headers: dict[str, str] = {}
        while text := (await reader.readuntil(b"\r\n")).decode("latin-1").strip():
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        await reader.readexactly(min(int(headers.get("content-length", "0")), LINE_BYTES))
        if len(line) != 3:
            return False
        return self._answer(client, line[0], line[1], headers)

    def _answer(self, client: _Client, method: str, url: str, headers: dict[str, str]) -> bool:
        sequence = headers.get("cseq", "0")
        parts = [part for part in url.partition("://")[2].split("?")[0].split("/")[1:] if part]
        camera = parts[0] if parts else ""
        if self.password and method != "OPTIONS" and headers.get("authorization", "") != self._credentials():
            _reply(client, sequence, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="camera"'})
        elif method == "OPTIONS":
            _reply(client, sequence, "200 OK", {"Public": METHODS})
        elif method == "GET_PARAMETER":
            _reply(client, sequence, "200 OK", {"Session": client.session})
        elif method == "TEARDOWN":
            _reply(client, sequence, "200 OK", {"Session": client.session})
            return False
        elif camera not in self.cameras or camera in self._gone:
            _reply(client, sequence, "404 Not Found", {})
        elif method == "DESCRIBE":
            self._describe(client, sequence, url, camera)
        elif method == "SETUP":
            _set_up(client, sequence, camera, headers.get("transport", ""))
        elif method == "PLAY" and client.stream is not None:
            client.playing = True
            _reply(client, sequence, "200 OK", {"Session": client.session, "Range": "npt=now-"})
        else:
            _reply(client, sequence, "455 Method Not Valid in This State", {})
        return True

    def _describe(self, client: _Client, sequence: str, url: str, camera: str) -> None:
        sets = self._sets.get(camera)
        if not sets:  # it has not taken a picture yet
            _reply(client, sequence, "503 Service Unavailable", {})
            return
        lines = [
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", f"s={camera}", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
            f"a=fmtp:{PAYLOAD_TYPE} {fmtp(sets)}", "a=control:track1", "",
        ]  # fmt: skip
        extra = {"Content-Base": url.rstrip("/") + "/", "Content-Type": "application/sdp"}
        _reply(client, sequence, "200 OK", extra, "\r\n".join(lines))

    def _credentials(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def _set_up(client: _Client, sequence: str, camera: str, transport: str) -> None:
    offers = [offer for offer in transport.split(",") if "TCP" in offer.upper()]
    if not offers:
        _reply(client, sequence, "461 Unsupported Transport", {})
        return
    channels = [part for part in offers[0].split(";") if part.strip().startswith("interleaved=")]
    client.channel = int(channels[0].partition("=")[2].split("-")[0]) & 0xFE if channels else 0
    client.camera, client.stream = camera, RtpStream(secrets.randbits(32))
    answer = f"RTP/AVP/TCP;unicast;interleaved={client.channel}-{client.channel + 1}"
    _reply(client, sequence, "200 OK", {"Transport": answer, "Session": f"{client.session};timeout=60"})


def _reply(client: _Client, sequence: str, status: str, headers: dict[str, str], body: str = "") -> None:
    lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    client.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
