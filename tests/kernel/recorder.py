#!/usr/bin/env python3
"""Replays traces on the running kernel and writes what it answered: NAME.trace to NAME.kernel.

    python tests/kernel/uml.py -- python3 tests/kernel/recorder.py [--jobs N] [--into DIR] FILE.trace ...

Runs as root, in the laboratory's guest. Each trace has a process and a network namespace of its own; `--jobs` of
them run at the same time. Every line of a recording has `at`: the seconds from the trace's beginning to the step.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import fcntl
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

REST, STATISTICS = 0.025, 2.2  # seconds: after a packet; until an estimator tick has passed
CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 2, 0x1000
ARP, IPV4, IPV6, ICMP, ICMPV6, TCP, SCTP = b"\x08\x06", 4, 6, 1, 58, 6, 132
UNWANTED = {130, 131, 132, 133, 134, 135, 136, 137, 143}  # ICMPv6 of routers, neighbours and multicast groups
PORT_ID = 0xBEEF
COLUMNS = ("proto", "client", "cport", "virtual", "vport", "dest", "dport", "state", "expires")

# In the order of writing: turning forwarding on resets others.
SYSCTLS = """
net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.forwarding=1
net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.default.accept_redirects=0
net.ipv6.conf.all.accept_redirects=0 net.ipv6.conf.default.accept_redirects=0
net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0
net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0
net.ipv6.conf.default.addr_gen_mode=1 net.ipv6.icmp.ratelimit=0
net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_ratemask=0
""".split()
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


def device(name: str, kind: int) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI))
    return fd


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
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        for setting in SYSCTLS:
            sysctl(*setting.split("="))
        self.fds = {"client": device("client", IFF_TUN), "server": device("server", IFF_TAP)}
        lines = LINKS.splitlines() + neighbours(header.get("servers4", 16), header.get("servers6", 4))
        filters = []
        for mark in header.get("marks", []):
            self.fds[f"mark{mark}"] = device(f"mark{mark}", IFF_TUN)
            lines.append(f"link set mark{mark} mtu 1500 up")
            filters += [f"qdisc add dev mark{mark} clsact",
                        f"filter add dev mark{mark} ingress matchall action skbedit mark {mark}"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
        if filters:
            subprocess.run(["tc", "-batch", "-"], input="\n".join(filters).encode(), check=True)
        for name, value in header.get("sysctl", {}).items():
            sysctl(name, value)
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
                if not noise(data if names[fd] != "server" else data[14:], data[12:14] if names[fd] == "server" else b""):
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


def own_answer(sent: dict[str, str]) -> bool:
    """Whether it is something that a host's own TCP, UDP, SCTP or ICMP answers."""
    packet = bytes.fromhex(sent["hex"])[14 if sent["on"] == "server" else 0 :]
    if packet[0] >> 4 == IPV4:
        protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
        if protocol == ICMP:
            return rest[:2] in (b"\x00\x00", b"\x03\x02", b"\x03\x03") or rest[0] in (12, 14)
    else:
        protocol, rest = packet[6], packet[40:]
        if protocol == ICMPV6:
            return rest[0] == 129 or rest[:2] == b"\x01\x04" or rest[0] == 4
    return (protocol == TCP and bool(rest[13] & 4)) or (protocol == SCTP and rest[12] == 6)


def delivered() -> int:
    """How many packets the namespace's own host has been handed."""
    with open("/proc/net/snmp") as four, open("/proc/net/snmp6") as six:
        names, values = [line.split() for line in four if line.startswith("Ip:")]
        count = int(values[names.index("InDelivers")])
        return count + next(int(line.split()[1]) for line in six if line.startswith("Ip6InDelivers"))


class Recorder:
    """One trace's answers. Each `do` of a step is a method; it gives the answer."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.network = Network(header)
        self.ipvsadm_path = shutil.which("ipvsadm", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")) or "ipvsadm"
        self.start = self.at = time.monotonic()

    def answer(self, number: int, step: dict[str, Any]) -> dict[str, Any]:
        self.at = time.monotonic()
        method: Callable[[dict[str, Any]], dict[str, Any]] = getattr(self, "do_" + step["do"])
        answer = method(step)
        return {"step": number, "at": round(self.at - self.start, 3), **answer}

    def run(self, arguments: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(["ipvsadm", *arguments], executable=self.ipvsadm_path, input=stdin, text=True,
                              capture_output=True, env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"})

    def do_ipvsadm(self, step: dict[str, Any]) -> dict[str, Any]:
        done = self.run(step["args"], step.get("stdin", ""))
        self.at = time.monotonic()  # the kernel is asked at the end of a run that is mostly its start-up
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return {"rc": status, "stdout": done.stdout, "stderr": done.stderr}

    def do_packet(self, step: dict[str, Any]) -> dict[str, Any]:
        self.network.collect(0.0005)
        before = delivered()
        self.at = time.monotonic()
        self.network.send(f"mark{step['mark']}" if "mark" in step else step["on"], bytes.fromhex(step["hex"]))
        out = self.network.collect(REST)
        if delivered() == before:
            return {"out": out}
        return {"out": [sent for sent in out if not own_answer(sent)], "local": True}

    def do_sleep(self, step: dict[str, Any]) -> dict[str, Any]:
        time.sleep(step["seconds"])
        return {}

    def do_sysctl(self, step: dict[str, Any]) -> dict[str, Any]:
        try:
            sysctl(step["name"], step["value"])
        except OSError as error:
            return {"errno": error.errno}
        return {}

    def do_conns(self, step: dict[str, Any]) -> dict[str, Any]:
        with open("/proc/net/ip_vs_conn") as table:
            rows = sorted(line.split()[: len(COLUMNS)] for line in table.readlines()[1:])
        return {"conns": [dict(zip(COLUMNS, [*row[:-1], int(row[-1])], strict=True)) for row in rows]}

    def do_stats(self, step: dict[str, Any]) -> dict[str, Any]:
        time.sleep(STATISTICS)
        return {"stdout": self.run(["-Ln", "--stats", "--exact"]).stdout}

    def do_netlink(self, step: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as link:  # NETLINK_GENERIC
            link.bind((0, 0))
            family = family_id(link)
            self.at = time.monotonic()
            link.send(renumber(bytes.fromhex(step["hex"]), 0xFFFF, family, None))
            replies = []
            while select.select([link], [], [], 0)[0]:
                replies.append(renumber(link.recv(65536), family, 0xFFFF, PORT_ID).hex())
        return {"replies": replies}


def family_id(link: socket.socket) -> int:
    name = b"IPVS\0"
    attribute = struct.pack("=HH", 4 + len(name), 2) + name.ljust(8, b"\0")
    link.send(struct.pack("=IHHIIBBH", 20 + len(attribute), 16, 1, 1, 0, 3, 1, 0) + attribute)
    reply, offset = link.recv(65536), 20
    while offset < len(reply):
        length, kind = struct.unpack_from("=HH", reply, offset)
        if kind == 1:
            return int(struct.unpack_from("=H", reply, offset + 4)[0])
        offset += (length + 3) & ~3
    raise OSError(errno.ENOENT, "no generic netlink family IPVS")


def renumber(data: bytes, old: int, new: int, port: int | None) -> bytes:
    """The messages with the family's number changed, also in the echo of an error; and the port id, if given."""
    changed, offset = bytearray(data), 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if kind == old:
            struct.pack_into("=H", changed, offset + 4, new)
        elif kind == 2 and offset + 26 <= len(data) and struct.unpack_from("=H", data, offset + 24)[0] == old:
            struct.pack_into("=H", changed, offset + 24, new)
        if port is not None:
            struct.pack_into("=I", changed, offset + 12, port)
        offset += max((length + 3) & ~3, 16)
    return bytes(changed)


def record(path: str, into: str | None) -> None:
    """One trace, in this process. The recording appears under its name only when it is whole."""
    with open(path) as file:
        header, *steps = [json.loads(line) for line in file]
    recorder = Recorder(header)
    lines = [json.dumps(recorder.answer(number, step)) for number, step in enumerate(steps)]
    target = os.path.join(into or os.path.dirname(path), os.path.basename(path).removesuffix(".trace") + ".kernel")
    with open(target + ".part", "w") as file:
        file.write("".join(line + "\n" for line in lines))
    os.rename(target + ".part", target)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="recorder.py")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--into", metavar="DIR", help="where recordings go (beside their traces)")
    parser.add_argument("traces", nargs="+")
    chosen = parser.parse_args(arguments)
    for name, value in (("msgs_per_sec", 1000000), ("msgs_burst", 1000000)):
        sysctl(f"net.ipv4.icmp_{name}", value)
    waiting, running, failed = list(reversed(chosen.traces)), {}, 0
    while waiting or running:
        while waiting and len(running) < chosen.jobs:
            path = waiting.pop()
            pid = os.fork()
            if not pid:
                try:
                    record(path, chosen.into)
                except BaseException as error:
                    print(f"{path}: {error!r}", file=sys.stderr, flush=True)
                    os._exit(1)
                os._exit(0)
            running[pid] = path
        pid, status = os.wait()
        path = running.pop(pid)
        failed += status != 0
        print("failed" if status else "recorded", path, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
