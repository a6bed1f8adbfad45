"""Packets by the thousand are packets: their checksums are right and they carry what they should."""

from __future__ import annotations

import numpy as np
import pytest

from ipvssim.lab.run.wires import ACK, ANSWER, CLOSE, CLOSED, DATA, LAST, OPEN, OPENED, Template, frame, wires
from ipvssim.lab.scenario.rules import Endpoint, endpoint
from ipvssim.net.checksums import crc32c, is_valid, pseudo
from ipvssim.net.packets import SCTP, TCP, UDP, Packet, parse4, parse6

SERVICES = ["-t 203.0.113.1:80", "-u 203.0.113.1:53", "--sctp-service 203.0.113.1:5060", "-t [2001:db8:80::1]:80",
            "-u [2001:db8:80::1]:53", "--sctp-service [2001:db8:80::1]:5060"]  # fmt: skip


def check(data: bytes) -> Packet:
    packet = parse4(data) if data[0] < 0x60 else parse6(data)
    assert isinstance(packet, Packet), packet
    segment = data[packet.offset :]
    if packet.protocol == SCTP:
        assert crc32c(segment[:8] + bytes(4) + segment[12:]).to_bytes(4, "little") == segment[8:12]
    else:
        assert is_valid(segment, pseudo(packet.source, packet.destination, packet.protocol, len(segment)))
    return packet


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", [OPEN, ACK, DATA, CLOSE, LAST])
def test_a_batch_is_of_valid_packets(service: str, kind: int) -> None:
    """Every packet of a batch parses, sums up, and has its own client, port and the service's end."""
    end = endpoint(service)
    random = np.random.default_rng(kind)
    addresses = random.integers(1, 255, (200, len(end.address)), dtype=np.uint8)
    ports = random.integers(1, 65536, 200)
    for data, address, port in zip(Template(end, kind).packets(addresses, ports), addresses, ports, strict=True):
        packet = check(data)
        assert (packet.protocol, packet.source, packet.client_port) == (end.protocol, address.tobytes(), port)
        assert (packet.destination, packet.port) == (end.address, end.port)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", [OPEN, ACK, DATA, CLOSE, LAST])
def test_a_specimen_is_the_packet(service: str, kind: int) -> None:
    """What a specimen tells of its packet is what is read of the bytes that it makes, which are those of a batch."""
    end = endpoint(service)
    address, port = bytes(range(11, 11 + len(end.address))), 4321
    specimen = wires(end, reset=False).requests[kind]
    specimen.come_from(address + end.address + port.to_bytes(2, "big") + end.port.to_bytes(2, "big"))
    made = specimen.whole()
    batch = Template(end, kind).packets(np.frombuffer(address, np.uint8).reshape(1, -1), np.array([port]))
    assert made.data == batch[0] and check(made.data).key == specimen.key
    for name in (
        "family",
        "protocol",
        "offset",
        "hops",
        "source",
        "destination",
        "key",
        "fragment",
        "device",
        "unicast",
    ):
        assert getattr(made, name) == getattr(specimen, name)
    assert (
        len(made.data) == len(specimen.data)
        and made.data[made.offset + 13 :][:1] == specimen.data[made.offset + 13 :][:1]
    )
    assert not made.specimen and specimen.specimen


@pytest.mark.parametrize("kind", [OPENED, ANSWER, CLOSED])
@pytest.mark.parametrize("protocol", [TCP, UDP, SCTP])
def test_a_server_answers_its_client(protocol: int, kind: int) -> None:
    """A reply is a frame with a valid packet from the server's address and port to the client's."""
    specimen = wires(Endpoint(protocol, bytes(4), 80), reset=False).answers[kind]
    specimen.follow(bytes((10, 0, 0, 10, 11, 1, 2, 3)) + (80).to_bytes(2, "big") + (4321).to_bytes(2, "big"))
    packet = check(frame(specimen.raw())[14:])
    assert (packet.source, packet.client_port, packet.destination, packet.port) == (
        b"\x0a\x00\x00\x0a", 80, b"\x0b\x01\x02\x03", 4321,
    )  # fmt: skip
