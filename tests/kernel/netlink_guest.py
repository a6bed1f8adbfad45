"""Plays netlink scripts on the real kernel: scripts on standard input, one JSON a line, their answers on standard output.

Runs as root in the laboratory (ipvsnl lab-kernel). Each script has a namespace of its own with the network of the recorded
exchanges.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.kernel.netlink_scripts import FAMILY, attribute, message
from tests.kernel.recorder import PORT_ID, family_id, renumber

NETWORK = """
link set lo up
link add d0 type dummy
link add d1 type dummy
link add d2 type dummy
link set d0 up
link set d2 mtu 9000 up
addr add 10.0.0.1/8 dev d0
addr add 172.16.255.254/16 dev d0
addr add 2001:db8::1/64 dev d0 nodad
addr add fe80::1/64 dev d0 nodad
route add blackhole 198.51.100.0/24
route add unreachable 203.0.113.0/24
route add prohibit 192.0.2.0/24
""".strip()
NETLINK, CAP_ACK, EXT_ACK, CLONE_NEWNET = 270, 10, 11, 0x40000000
NEW_DAEMON, DEL_DAEMON = 9, 10
libc = ctypes.CDLL(None, use_errno=True)


def opened(script: dict[str, Any]) -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    link.bind((0, 0))
    link.setsockopt(NETLINK, CAP_ACK, int(script["cap_ack"]))
    link.setsockopt(NETLINK, EXT_ACK, int(script["ext_ack"]))
    return link


def exchange(link: socket.socket, data: bytes, family: int, receive: int) -> tuple[list[str], list[str]]:
    """The datagrams that come back, and the errors that receiving met."""
    link.send(renumber_requests(data, family))
    if any(data[at + 16 : at + 17] in (b"\x09", b"\x0a") for at in range(0, max(len(data) - 16, 0), 4)):
        time.sleep(0.02)  # a daemon's thread has to have run before it can be stopped
    replies, errors = [], []
    while select.select([link], [], [], 0)[0]:
        try:
            replies.append(renumber(link.recv(receive), family, FAMILY, PORT_ID).hex())
        except OSError as wrong:
            errors.append(errno.errorcode[wrong.errno or 0])
    return replies, errors


def renumber_requests(data: bytes, family: int) -> bytes:
    """As the kernel walks them: what it will not reach keeps its bytes."""
    changed, at = bytearray(data), 0
    while len(data) - at >= 16:
        length = int.from_bytes(data[at : at + 4], "little")
        if data[at + 4 : at + 6] == b"\xff\xff":
            changed[at + 4 : at + 6] = family.to_bytes(2, "little")
        if length < 16 or length > len(data) - at:
            break
        at += (length + 3) & ~3
    return bytes(changed)


def hash_key(link: socket.socket, family: int) -> int:
    """The namespace's secret byte, from the order in which marks are dumped; leaves the table empty."""
    full = attribute(6, b"rr\0") + attribute(7, bytes(8)) + attribute(8, bytes(4)) + attribute(9, b"\xff" * 4)
    for mark in [256] + [1 << bit for bit in range(8)]:
        service = attribute(1, b"\2\0") + attribute(5, mark.to_bytes(4, "little")) + full
        exchange(link, message(1, attribute(1, service)), family, 65536)
    replies, _ = exchange(link, message(4, b"", 0x301), family, 65536)
    data = b"".join(map(bytes.fromhex, replies))
    places = {
        mark: data.index(attribute(5, mark.to_bytes(4, "little"))) for mark in [256] + [1 << bit for bit in range(8)]
    }
    exchange(link, message(17, b""), family, 65536)
    return sum(1 << bit for bit in range(8) if places[1 << bit] < places[256])


def unshare(flags: int) -> None:
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def enter_network() -> None:
    """A fresh namespace with the network of the recorded exchanges."""
    unshare(CLONE_NEWNET)
    for name in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/accept_dad", "w") as file:
            file.write("0")
        with open(f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode", "w") as file:
            file.write("1")
    subprocess.run(["ip", "-batch", "-"], input=NETWORK.encode(), check=True)


def play(script: dict[str, Any]) -> dict[str, Any]:
    enter_network()
    with opened(script) as link:
        family = family_id(link)
        key = hash_key(link, family)
    with opened(script) as link:  # afresh: dumps depend on what a socket has offered to receive
        answers = [exchange(link, bytes.fromhex(data), family, script["receive"]) for data in script["sends"]]
        exchange(link, message(17, b""), family, 65536)
    return {"hash_key": key, "family": family, "answers": answers}


def each_alone(played: Callable[[Any], dict[str, Any]]) -> None:
    """Plays the scripts of standard input, each in a process of its own, and prints what was answered."""
    for line in sys.stdin:
        script = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            print(json.dumps(played(script)), flush=True)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit(1)


if __name__ == "__main__":
    each_alone(play)
