"""Direct routing and bypass: the packet as it is, but for its lifetime (ip_vs_dr_xmit, ip_vs_bypass_xmit; 6.1)."""

from __future__ import annotations

from ipvsnl.consts import AF_INET
from ipvssim.net.packets import Packet, middle4, sign4


def forwarded(packet: Packet, hops: int) -> bytes:
    """The packet with its new lifetime; an IPv4 header's checksum is computed anew."""
    data = packet.data
    if packet.offset == 20:
        return b"".join((data[:8], middle4(data, hops), data[12:]))
    if packet.family == AF_INET:  # options may have changed since the checksum was verified
        return sign4(data[:8] + bytes((hops,)) + data[9 : packet.offset]) + data[packet.offset :]
    return data[:7] + bytes((hops,)) + data[8:]
