"""Requests by hand: bytes as a careful client would write them, for tests that then spoil them."""

from __future__ import annotations

import errno
import struct

from ipvssim.netlink.socket import FAMILY_ID, NetlinkSocket
from ipvssim.state.namespace import Namespace

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
VIP = bytes([203, 0, 113, 1])


def attribute(number: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def message(
    command: int, body: bytes = b"", flags: int = REQUEST | ACK, sequence: int = 1, kind: int = FAMILY_ID
) -> bytes:
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, flags, sequence, 0, command, 1, 0) + body


def service_key(port: int = 80, address: bytes = VIP, protocol: int = 6) -> bytes:
    family = 2 if len(address) == 4 else 10
    return (
        attribute(1, struct.pack("=H", family))
        + attribute(2, struct.pack("=H", protocol))
        + attribute(3, address.ljust(16, b"\0"))
        + attribute(4, struct.pack(">H", port))
    )


def mark_key(mark: int, family: int = 2) -> bytes:
    return attribute(1, struct.pack("=H", family)) + attribute(5, struct.pack("=I", mark))


def service(key: bytes, scheduler: bytes = b"rr", flags: int = 0, timeout: int = 0, netmask: int = 0xFFFFFFFF) -> bytes:
    return attribute(
        1,
        key
        + attribute(6, scheduler + b"\0")
        + attribute(7, struct.pack("=II", flags, 0xFFFFFFFF))
        + attribute(8, struct.pack("=I", timeout))
        + attribute(9, struct.pack("=I", netmask)),
    )


def dest(address: bytes, port: int = 80, weight: int = 1, method: int = 0, upper: int = 0, lower: int = 0) -> bytes:
    words = struct.pack("=I", method), struct.pack("=i", weight), struct.pack("=I", upper), struct.pack("=I", lower)
    parts = [attribute(number, word) for number, word in zip((3, 4, 5, 6), words, strict=True)]
    family = attribute(11, struct.pack("=H", 2 if len(address) == 4 else 10))
    return attribute(2, dest_key(address, port) + b"".join(parts) + family)


def dest_key(address: bytes, port: int = 80) -> bytes:
    return attribute(1, address.ljust(16, b"\0")) + attribute(2, struct.pack(">H", port))


def new_service(key: bytes, scheduler: bytes = b"rr", sequence: int = 1, flags: int = REQUEST | ACK) -> bytes:
    return message(1, service(key, scheduler), flags, sequence)


def new_dest(key: bytes, address: bytes, port: int = 80, sequence: int = 1, flags: int = REQUEST | ACK) -> bytes:
    return message(5, attribute(1, key) + dest(address, port), flags, sequence)


def drain(socket: NetlinkSocket, size: int = 65536) -> tuple[list[bytes], list[str]]:
    """Every datagram, and the names of the errors that receiving met."""
    replies: list[bytes] = []
    errors: list[str] = []
    while True:
        try:
            replies.append(socket.recv(size))
        except BlockingIOError:
            return replies, errors
        except OSError as wrong:
            errors.append(errno.errorcode[wrong.errno or 0])


def ask(socket: NetlinkSocket, data: bytes) -> list[bytes]:
    socket.send(data)
    return drain(socket)[0]


def refusal(datagram: bytes) -> str:
    """The errno name of an acknowledgement, ``OK`` for 0."""
    assert struct.unpack_from("=H", datagram, 4) == (2,)
    error = -struct.unpack_from("=i", datagram, 16)[0]
    return errno.errorcode[error] if error else "OK"


def outcome(socket: NetlinkSocket, data: bytes) -> str:
    """What the one acknowledgement of ``data`` says."""
    (reply,) = ask(socket, data)
    return refusal(reply)


def messages(datagrams: list[bytes]) -> list[bytes]:
    """The messages of a dump, without DONE."""
    found = []
    for data in datagrams:
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind != 3:
                found.append(data[at : at + length])
            at += length
    return found


def connected(**options: object) -> NetlinkSocket:
    return NetlinkSocket(Namespace(), **options)  # type: ignore[arg-type]
