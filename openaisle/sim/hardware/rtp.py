"""RTP: one H.264 picture as the packets that a camera would send (RFC 6184), and the reports that date them (RFC 3550).

Single NAL units and FU-A fragments, 90 kHz; a sender report ties the camera's 90 kHz clock to UTC.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from openaisle.messages import NANOSECONDS

CLOCK_HZ = 90_000
PAYLOAD_TYPE = 96  # the first dynamic one
MTU_BYTES = 1400
FU_A = 28  # NAL type of a fragment
SPS, PPS = 7, 8
NTP_UNIX_S = 2_208_988_800  # seconds from 1900 to 1970
MARKER, START, END = 0x80, 0x80, 0x40


def nal_units(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B picture, without start codes."""
    out: list[bytes] = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        end = data.find(b"\0\0\1", at + 3)
        unit = data[at + 3 : end if end >= 0 else len(data)]
        out.append(unit.rstrip(b"\0") if end >= 0 else unit)
        at = end
    return [unit for unit in out if unit]


def parameter_sets(data: bytes) -> tuple[bytes, ...]:
    """SPS and PPS of a key frame."""
    return tuple(unit for unit in nal_units(data) if unit[0] & 0x1F in (SPS, PPS))


def fmtp(sets: tuple[bytes, ...]) -> str:
    """What the SDP says about a stream with these parameter sets."""
    sprop = ",".join(base64.b64encode(unit).decode("ascii") for unit in sets)
    profile = next((unit[1:4].hex() for unit in sets if unit[0] & 0x1F == SPS), "42c01e")
    return f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sprop}"


@dataclass
class RtpStream:
    """One camera's packets to one client."""

    ssrc: int
    sequence: int = 0
    packets: int = 0
    octets: int = 0

    def picture(self, data: bytes, time_ns: int) -> list[bytes]:
        """The RTP packets of an Annex B picture; the last one has the marker."""
        payloads = [part for unit in nal_units(data) for part in _fragments(unit)]
        stamp = rtp_time(time_ns)
        return [self._packet(payload, stamp, i == len(payloads) - 1) for i, payload in enumerate(payloads)]

    def report(self, time_ns: int) -> bytes:
        """A sender report: at this instant of UTC the 90 kHz clock shows that."""
        seconds, rest_ns = divmod(time_ns, NANOSECONDS)
        ntp = ((seconds + NTP_UNIX_S) << 32) + (rest_ns << 32) // NANOSECONDS
        head = struct.pack("!BBHI", 0x80, 200, 6, self.ssrc)
        return head + struct.pack("!QIII", ntp & (2**64 - 1), rtp_time(time_ns), self.packets, self.octets & 0xFFFFFFFF)

    def _packet(self, payload: bytes, stamp: int, last: bool) -> bytes:
        kind = PAYLOAD_TYPE | (MARKER if last else 0)
        head = struct.pack("!BBHII", 0x80, kind, self.sequence, stamp, self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return head + payload


def rtp_time(time_ns: int) -> int:
    """An instant on the camera's 90 kHz clock, 32 bits; in integers, for floats have too few digits."""
    return (time_ns * CLOCK_HZ + NANOSECONDS // 2) // NANOSECONDS & 0xFFFFFFFF


def _fragments(unit: bytes) -> list[bytes]:
    if len(unit) <= MTU_BYTES:
        return [unit]
    indicator, kind, body = unit[0] & 0xE0 | FU_A, unit[0] & 0x1F, unit[1:]
    parts = [body[at : at + MTU_BYTES] for at in range(0, len(body), MTU_BYTES)]
    flags = [(START if i == 0 else 0) | (END if i == len(parts) - 1 else 0) for i in range(len(parts))]
    return [bytes([indicator, flag | kind]) + part for flag, part in zip(flags, parts, strict=True)]
