"""Scapy packets to bytes and back. The only module that imports scapy's layers; it is loaded when scapy is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scapy.compat import raw
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as ScapyPacket

from ipvssim.net.network import ETHERNET, framed

if TYPE_CHECKING:
    from ipvssim.net.network import Device, Network


def packet_bytes(packet: ScapyPacket, device: Device) -> bytes:
    """A scapy packet as the device would deliver it: without its Ethernet header on a raw one; with one, addressed to the
    director, where an Ethernet device is given a bare IP packet."""
    if device.kind != ETHERNET:
        return ip_bytes(packet)
    return raw(packet) if isinstance(packet, Ether) else framed(raw(packet), device)


def ip_bytes(packet: ScapyPacket) -> bytes:
    """A scapy packet from its IP header on, whatever stands in front of that."""
    return raw(packet.payload) if isinstance(packet, Ether) else raw(packet)


def packets(out: Iterable[tuple[str, bytes]], network: Network | None) -> list[ScapyPacket]:
    """What left, device and bytes each, as scapy packets: with their Ethernet header where the device has one, and
    ``sniffed_on`` the device's name."""
    made = []
    for device, data in out:
        if network is not None and network.devices[device].kind == ETHERNET:
            packet: ScapyPacket = Ether(data)
        else:
            packet = IPv6(data) if data[0] >> 4 == 6 else IP(data)
        packet.sniffed_on = device
        made.append(packet)
    return made
