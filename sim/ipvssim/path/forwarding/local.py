"""The director as its own real server: the packet goes on as it is (ip_vs_null_xmit, ip_vs_xmit.c, 6.1)."""

from __future__ import annotations

from ipvssim.net.packets import Packet


def kept(packet: Packet, hops: int) -> bytes:
    """The packet's bytes; its lifetime is not touched."""
    del hops
    return packet.data
