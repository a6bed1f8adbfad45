"""Entries of UDP, and of protocols that have no states (nf_conntrack_proto_udp.c, nf_conntrack_proto_generic.c, 6.1)."""

from __future__ import annotations

from typing import Final

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.clock import HZ
from ipvssim.net.checksums import is_valid, pseudo
from ipvssim.net.packets import UDP, Packet
from ipvssim.path.tracking.entries import Entries, Entry, Outcome

_STREAM_AFTER: Final = 2 * HZ


@mypyc_attr(allow_interpreted_subclasses=True)
class Stream(Part):
    """What is remembered of a UDP flow: from when on it is a stream, in jiffies."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since = 0


def follow_udp(entries: Entries, entry: Entry, packet: Packet, *, verified: bool) -> Outcome:
    """A datagram: it counts unless it is broken. ``verified`` where its checksum need not be looked at."""
    segment = packet.data[packet.offset :]
    if len(segment) < 8:
        return Outcome.INVALID
    size, check = int.from_bytes(segment[4:6], "big"), segment[6:8]
    if not 8 <= size <= len(segment):
        return Outcome.INVALID
    start = pseudo(packet.source, packet.destination, UDP, len(segment))
    if check != b"\0\0" and not verified and not is_valid(segment, start):
        return Outcome.INVALID
    stream = entry.talk
    assert isinstance(stream, Stream)
    now = entries.clock.hundredths
    if not entry.confirmed:
        stream.since = now + _STREAM_AFTER
    lasting = entry.replied and now > stream.since
    entries.refresh(entry, entries.sysctls.life("udp_timeout_stream" if lasting else "udp_timeout"))
    return Outcome.VALID


def follow_other(entries: Entries, entry: Entry) -> Outcome:
    """A packet of any other protocol."""
    entries.refresh(entry, entries.sysctls.life("generic_timeout"))
    return Outcome.VALID
