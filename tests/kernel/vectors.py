"""Records the netlink vectors afresh: each in a process and a network namespace of its own, inside the laboratory.

The network of every vector, the normalisation of what varies (family id, port id) and the keys of a vector are those of
``tests/data/netlink-vectors.jsonl``.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import time
from typing import Any

from tests.kernel.recorder import family_id, renumber

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
PLACEHOLDER, PORT_ID = 0xFFFF, 0xBEEF
NOBODY = 65534
DAEMON_REST = 0.4  # a daemon that is stopped before its thread ran may get no answer

NETWORK = """
link set lo up
link add d0 address 02:00:00:00:00:10 mtu 1500 type dummy
link add d1 mtu 1500 type dummy
link add d2 mtu 9000 type dummy
link set d0 up
link set d2 up
addr add 10.0.0.1/8 dev d0
addr add 172.16.255.254/16 dev d0
addr add 2001:db8::1/64 dev d0 nodad
addr add fe80::1/64 dev d0 nodad
route add blackhole 198.51.100.0/24
route add unreachable 203.0.113.0/24
route add prohibit 192.0.2.0/24
""".strip()
NO_LINK_LOCAL = ("all", "default")


def unshare(flags: int) -> None:
    """Leave namespaces behind."""
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def generic_netlink(vector: dict[str, Any] | None = None) -> socket.socket:
    """A fresh generic-netlink socket with the vector's options."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    link.bind((0, 0))
    for option, wanted in ((CAP_ACK, "cap_ack"), (EXT_ACK, "ext_ack")):
        if vector is not None and vector[wanted]:
            link.setsockopt(SOL_NETLINK, option, 1)
    return link


def drain(link: socket.socket, family: int) -> tuple[list[str], list[str]]:
    """Every datagram until the queue is empty, normalised, and the errors that receiving returned."""
    replies: list[str] = []
    errors: list[str] = []
    while True:
        try:
            data = link.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return replies, errors
        except OSError as wrong:
            errors.append(errno.errorcode[wrong.errno or 0])
            continue
        data = renumber(data, family, PLACEHOLDER, PORT_ID)
        replies.append(data.replace(_family_attribute(family), _family_attribute(PLACEHOLDER)).hex())


def _family_attribute(family: int) -> bytes:
    """CTRL_ATTR_FAMILY_ID of the controller's replies."""
    return struct.pack("=HHH", 6, 1, family)


def hash_key(link: socket.socket, family: int) -> int:
    """The secret byte that orders this namespace's dumps: marks 2^b are dumped before mark 256 where bit b is set."""
    for number, mark in enumerate((256, 1, 2, 4, 8, 16, 32, 64, 128), start=1):
        inner = b"".join((
            struct.pack("=HHHxx", 6, 1, 2), struct.pack("=HHI", 8, 5, mark), struct.pack("=HH4s", 7, 6, b"rr\0\0"),
            struct.pack("=HHII", 12, 7, 0, 0), struct.pack("=HHI", 8, 8, 0), struct.pack("=HHI", 8, 9, 0xFFFFFFFF),
        ))  # fmt: skip
        service = struct.pack("=HH", 4 + len(inner), 1) + inner
        link.send(struct.pack("=IHHIIBBH", 20 + len(service), family, 1, number, 0, 1, 1, 0) + service)
    link.send(struct.pack("=IHHIIBBH", 20, family, 0x301, 99, 0, 4, 1, 0))
    marks: list[int] = []
    while link.recv(65536, socket.MSG_PEEK)[4:6] != b"\x03\x00":
        data = link.recv(65536)
        offset = 0
        while offset < len(data):
            at = data.index(b"\x08\x00\x05\x00", offset)
            marks.append(struct.unpack_from("=I", data, at + 4)[0])
            offset += struct.unpack_from("=I", data, offset)[0]
    link.recv(65536)
    link.send(struct.pack("=IHHIIBBH", 20, family, 1, 100, 0, 17, 1, 0))
    position = {mark: place for place, mark in enumerate(marks)}
    return sum(1 << bit for bit in range(8) if position[1 << bit] < position[256])


def ask(vector: dict[str, Any], link: socket.socket, family: int) -> dict[str, Any]:
    """The vector's own request, with the privilege it has, on the socket it has."""
    if vector["privilege"] == "userns_root":
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
    elif vector["privilege"] == "none":
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if vector["privilege"] != "root":
        link = generic_netlink(vector)
    request = renumber(bytes.fromhex(vector["request"]), PLACEHOLDER, family, None)
    link.send(request.replace(_family_attribute(PLACEHOLDER), _family_attribute(family)))
    replies, errors = drain(link, family)
    return {"replies": replies, "recv_errors": errors}


def record(vector: dict[str, Any]) -> dict[str, Any]:
    """What the running kernel answers to one vector, in this process: use one process for each."""
    unshare(CLONE_NEWNET)
    for which in NO_LINK_LOCAL:
        with open(f"/proc/sys/net/ipv6/conf/{which}/addr_gen_mode", "w") as setting:
            setting.write("1")
    subprocess.run(["ip", "-batch", "-"], input=NETWORK.encode(), check=True)
    with generic_netlink() as measuring:
        family = family_id(measuring)
        key = hash_key(measuring, family)
    link = generic_netlink(vector)
    for step in vector["setup"]:
        request = bytes.fromhex(step)
        link.send(renumber(request, PLACEHOLDER, family, None))
        drain(link, family)
        if len(request) > 17 and request[16] in (9, 10):
            time.sleep(DAEMON_REST)
    return ask(vector, link, family) | {"hash_key": key}


def record_apart(vector: dict[str, Any]) -> dict[str, Any]:
    """:func:`record` in a child of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            answer: dict[str, Any] = record(vector)
        except BaseException as wrong:
            answer = {"failed": repr(wrong)}
        with open(write, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(write)
    with open(read) as answers:
        answer = json.load(answers)
    os.waitpid(child, 0)
    return answer
