"""The network of every trace: a namespace with a device for the clients and one for the servers (ipvssim.doors.replay)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import time
from typing import Any

CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 2, 0x1000
BACKLOG, TRIES = 4096, 10
RATES, BEFORE = (100, 250, 1000), 300  # jiffies a second; seconds of them before they need more than 32 bits
ARP, IPV6, ICMPV6 = b"\x08\x06", 6, 58
UNWANTED = {130, 131, 132, 133, 134, 135, 136, 143}  # ICMPv6 of routers, neighbours and multicast groups

# In the order of writing: turning forwarding on resets others.
SYSCTLS = [
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv6.conf.default.forwarding=1",
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
    "net.ipv4.conf.all.accept_redirects=0",
    "net.ipv4.conf.default.accept_redirects=0",
    "net.ipv6.conf.all.accept_redirects=0",
    "net.ipv6.conf.default.accept_redirects=0",
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
    "net.ipv6.conf.default.dad_transmits=0",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.default.router_solicitations=0",
    "net.ipv6.icmp.ratelimit=0",
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv4.icmp_ratemask=0",
    "net.ipv4.tcp_synack_retries=0",  # an open port says it once
]
LINKS = """
link set lo up
link set server address 02:00:00:00:00:01
link set client mtu 1500 up
link set server mtu 1500 up
addr add 198.51.100.1/24 dev client
addr add 2001:db8:1::1/64 dev client nodad
addr add 10.0.0.1/16 dev server
addr add fd00:10::1/64 dev server nodad
route add default dev client
route add ::/0 dev client
route add local 203.0.113.0/24 dev lo
route add local 2001:db8:80::/64 dev lo
""".strip()

libc = ctypes.CDLL(None, use_errno=True)


def sysctl(name: str, value: object) -> None:
    with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
        file.write(f"{value}\n")


class Jiffies:
    """The kernel's: so many a second, at whole parts of CLOCK_MONOTONIC's seconds, counted from a little after its zero."""

    def __init__(self) -> None:
        readings = [self._reading() for _ in range(3)]
        self.hz = readings[0][0]
        self.began = max(began for _, began in readings)  # one may have begun between a reading's two numbers
        """CLOCK_MONOTONIC when the first of them began."""

    @staticmethod
    def _reading() -> tuple[int, float]:
        with open("/proc/timer_list") as file:
            words = file.read()
        found = [re.search(pattern, words) for pattern in (r"now at (\d+) nsecs", r"jiffies: (\d+)")]
        now, count = [int(one.group(1)) for one in found if one]
        ages = {rate: (count - (1 << 32)) / rate + BEFORE for rate in RATES}
        hz = min(RATES, key=lambda rate: abs(now / 1e9 - ages[rate]))
        return hz, int((now / 1e9 - ages[hz]) * hz) / hz

    def uptime(self, when: float) -> float:
        """Seconds of them, at a time of CLOCK_MONOTONIC."""
        return round(when - self.began, 5)

    def into(self, part: float) -> None:
        """Waits until that part of one has passed. What timers do at jiffies then comes clearly before, or clearly after."""
        time.sleep((part - time.monotonic() * self.hz) % 1 / self.hz)

    def is_now(self, when: float) -> bool:
        """Whether a time of CLOCK_MONOTONIC is in the jiffy that it is now."""
        return int(when * self.hz) == int(time.monotonic() * self.hz)

    def is_amid(self, least: float, most: float) -> bool:
        """Whether no less and no more than those parts of one have passed."""
        return least <= time.monotonic() * self.hz % 1 <= most


def unshared(jiffies: Jiffies) -> float:
    """Gives this process a network namespace; CLOCK_MONOTONIC when it was made. The jiffy in which its timers begin has to
    be known: processes make theirs one after the other, and one that took longer than a jiffy is made again."""
    with open(__file__) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for _ in range(TRIES):
            jiffies.into(0.05)
            began = time.monotonic()
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            if jiffies.is_now(began):
                break
        return time.monotonic()


def device(name: str, kind: int) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI))
    return fd


def listener(protocol: str, port: int) -> socket.socket:
    """A program's socket on a port, of both families. It takes what comes and never answers itself."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::", port))
    if protocol == "tcp":
        made.listen(BACKLOG)
    return made


def neighbours(four: int, six: int) -> list[str]:
    lines = []
    for number in range(10, 10 + four):
        high, low = number >> 8, number & 255
        lines.append(f"neigh add 10.0.{high}.{low} lladdr 02:00:0a:00:{high:02x}:{low:02x} nud permanent dev server")
    for number in range(10, 10 + six):
        lines.append(f"neigh add fd00:10::{number:x} lladdr 02:00:fd:00:00:{number:02x} nud permanent dev server")
    return lines


class Network:
    """The director of TRACE.md in a namespace of its own. A packet with mark N enters by the device `markN`."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.jiffies = Jiffies()
        self.born = unshared(self.jiffies)
        """CLOCK_MONOTONIC when the namespace was made."""
        for setting in SYSCTLS:
            sysctl(*setting.split("="))
        self.fds = {"client": device("client", IFF_TUN), "server": device("server", IFF_TAP)}
        lines = LINKS.splitlines() + neighbours(header.get("servers4", 16), header.get("servers6", 4))
        filters = []
        for mark in header.get("marks", []):
            self.fds[f"mark{mark}"] = device(f"mark{mark}", IFF_TUN)
            lines.append(f"link set mark{mark} mtu 1500 up")
            filters += [
                f"qdisc add dev mark{mark} clsact",
                f"filter add dev mark{mark} ingress matchall action skbedit mark {mark}",
            ]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
        if filters:
            subprocess.run(["tc", "-batch", "-"], input="\n".join(filters).encode(), check=True)
        for name, value in header.get("sysctl", {}).items():
            sysctl(name, value)
        self.listening = [listener(*one) for one in header.get("listening", [])]
        self.collect(0.05)

    def collect(self, seconds: float) -> list[dict[str, str]]:
        """What leaves within that time, in order, but for what the devices say on their own."""
        found = []
        names = {fd: name for name, fd in self.fds.items()}
        end = time.monotonic() + seconds
        ready = list(names)
        while ready:  # looks once more after the end: this process may have been kept waiting itself
            left = end - time.monotonic()
            ready = select.select(list(names), [], [], max(left, 0))[0]
            for fd in ready:
                data = os.read(fd, 65536)
                if not noise(
                    data if names[fd] != "server" else data[14:], data[12:14] if names[fd] == "server" else b""
                ):
                    found.append({"on": names[fd], "hex": data.hex()})
        return found

    def send(self, name: str, data: bytes) -> None:
        try:
            os.write(self.fds[name], data)
        except OSError as error:  # not IP at all
            if error.errno not in (errno.EINVAL, errno.EIO):
                raise


def noise(packet: bytes, kind: bytes) -> bool:
    if kind == ARP:
        return True
    if packet[0] >> 4 != IPV6:
        return False
    offset, following = 40, packet[6]
    if following == 0:  # a router alert
        following, offset = packet[40], 48
    return following == ICMPV6 and packet[offset] in UNWANTED
