"""Replays traces on the running kernel and writes what it answered: NAME.trace to NAME.kernel.

    ipvsnl lab-kernel -- python3 -m tests.kernel.recorder [--jobs N] [--into DIR] FILE.trace ...

Runs as root, in the laboratory's guest. Each trace has a process and a network namespace of its own; `--jobs` of
them run at the same time. Every line of a recording has `at`: the seconds from the trace's beginning to the step. The first
one says when that was, and when the namespace was made, in seconds since the kernel was booted: its timers go by that.
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

from ipvssim.doors.traces import flooded
from tests.kernel.director import TRIES, Network, libc, sysctl

REST, STATISTICS = 0.025, 2.2  # seconds: after what may put something off to the next tick; until an estimator tick
QUIET = 1.0  # seconds until the namespace of the trace before is taken apart, which the kernel would tell of, too
READ_CLEAR, LOG_SIZE = 4, 1 << 18  # syslog(2): read what was logged since the last time; bytes
IPV4, ICMP, ICMPV6, TCP, SCTP = 4, 1, 58, 6, 132
PORT_ID = 0xBEEF
DEBUG_LEVEL = "net.ipv4.vs.debug_level"
COLUMNS = ("proto", "client", "cport", "virtual", "vport", "dest", "dport", "state", "expires")


def own_answer(sent: dict[str, str]) -> bool:
    """Whether it is something that a host's own TCP (a reset, a SYN|ACK), UDP, SCTP or ICMP answers."""
    packet = bytes.fromhex(sent["hex"])[14 if sent["on"] == "server" else 0 :]
    if packet[0] >> 4 == IPV4:
        protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
        if protocol == ICMP:
            return rest[:2] in (b"\x00\x00", b"\x03\x02", b"\x03\x03") or rest[0] in (12, 14)
    else:
        protocol, rest = packet[6], packet[40:]
        if protocol == ICMPV6:
            return rest[0] == 129 or rest[:2] == b"\x01\x04" or rest[0] == 4
    return (protocol == TCP and (bool(rest[13] & 4) or rest[13] & 18 == 18)) or (protocol == SCTP and rest[12] == 6)


def delivered() -> int:
    """How many packets the namespace's own host has been handed, also those whose protocol it does not know."""
    with open("/proc/net/snmp") as four, open("/proc/net/snmp6") as six:
        names, values = [line.split() for line in four if line.startswith("Ip:")]
        count = sum(int(values[names.index(name)]) for name in ("InDelivers", "InUnknownProtos"))
        return count + sum(
            int(line.split()[1]) for line in six if line.startswith(("Ip6InDelivers", "Ip6InUnknownProtos"))
        )


def logged() -> list[str]:
    """What IPVS wrote to the kernel's log since the last time, each line with its severity: ``<7>IPVS: ...``. What it writes
    of SCTP's states comes without the first word."""
    buffer = ctypes.create_string_buffer(LOG_SIZE)
    size = libc.klogctl(READ_CLEAR, buffer, LOG_SIZE)
    if size < 0:
        raise OSError(ctypes.get_errno(), "klogctl")
    lines = buffer.raw[:size].decode(errors="replace").splitlines()
    return [line for line in lines if line[3:].startswith(("IPVS: ", "SCTP "))]


class Recorder:
    """One trace's answers. Each `do` of a step is a method; it gives the answer."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.logs = "debug_level" in header
        if self.logs:  # the level is the whole kernel's, and only the first namespace may write it
            time.sleep(QUIET)
            sysctl(DEBUG_LEVEL, header["debug_level"])
        self.network = Network(header)
        self.jiffies = self.network.jiffies
        if self.logs:
            logged()
        self.ipvsadm_path = shutil.which("ipvsadm", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")) or "ipvsadm"
        self.turn = os.open(__file__, os.O_RDONLY)  # a lock: dumps count the services of other namespaces, too
        self.start = self.at = time.monotonic()

    def answer(self, number: int, step: dict[str, Any]) -> dict[str, Any]:
        self.jiffies.into(0.3)
        self.at = time.monotonic()
        method: Callable[[dict[str, Any]], dict[str, Any]] = getattr(self, "do_" + step["do"])
        if step["do"] in ("ipvsadm", "netlink"):
            fcntl.flock(self.turn, fcntl.LOCK_EX)
            answer = method(step)
            fcntl.flock(self.turn, fcntl.LOCK_UN)
        else:
            answer = method(step)
        if step["do"] in ("ipvsadm", "sysctl", "netlink"):
            time.sleep(REST)
        if self.logs:
            answer["log"] = logged()
        return {"step": number, "at": round(self.at - self.start, 5), **answer}

    def times(self) -> dict[str, float]:
        """How many jiffies there are a second; when the namespace was made and when the trace began, in seconds of them."""
        uptime = self.jiffies.uptime
        return {"hz": self.jiffies.hz, "born": uptime(self.network.born), "began": uptime(self.start)}

    def run(self, arguments: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ipvsadm", *arguments],
            executable=self.ipvsadm_path,
            input=stdin,
            text=True,
            capture_output=True,
            env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"},
        )

    def do_ipvsadm(self, step: dict[str, Any]) -> dict[str, Any]:
        done = self.run(step["args"], step.get("stdin", ""))
        self.at = time.monotonic()  # the kernel is asked at the end of a run that is mostly its start-up
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return {"rc": status, "stdout": done.stdout, "stderr": done.stderr}

    def do_packet(self, step: dict[str, Any]) -> dict[str, Any]:
        for _ in range(TRIES):
            self.network.collect(0.0005)
            before = delivered()
            self.at = time.monotonic()
            if self.jiffies.is_amid(0.2, 0.6):  # this process was not kept waiting
                break
            self.jiffies.into(0.3)
        self.network.send(f"mark{step['mark']}" if "mark" in step else step["on"], bytes.fromhex(step["hex"]))
        out = self.network.collect(REST)
        while not self.jiffies.is_amid(0.2, 0.95):
            out += self.network.collect(0.002)
        until = round(time.monotonic() - self.start, 5)
        if delivered() == before:
            return {"until": until, "out": out}
        return {"until": until, "out": [sent for sent in out if not own_answer(sent)], "local": True}

    def do_flood(self, step: dict[str, Any]) -> dict[str, Any]:
        left = 0
        for number, data in enumerate(flooded(bytes.fromhex(step["hex"]), step["count"])):
            self.network.send(f"mark{step['mark']}" if "mark" in step else "client", data)
            if number % 50 == 0:  # a device keeps 500 packets for who reads it
                left += len(self.network.collect(0))
        lasted = round(time.monotonic() - self.at, 3)
        return {"left": left + len(self.network.collect(REST)), "lasted": lasted}

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
        for _ in range(4):
            with open("/proc/net/ip_vs_conn", encoding="latin-1") as table:
                self.at = time.monotonic()  # where QEMU emulates a kernel, others may have had the processor until now
                rows = sorted(line.split()[: len(COLUMNS)] for line in table.readlines()[1:])
            if self.jiffies.is_now(self.at) and len({tuple(row[:5]) for row in rows}) == len(rows):
                break
            time.sleep(
                REST
            )  # it was kept waiting, or one that is to expire at once is still there beside its successor
            self.jiffies.into(0.3)
        return {"conns": [dict(zip(COLUMNS, [*row[:-1], int(row[-1])], strict=True)) for row in rows]}

    def do_stats(self, step: dict[str, Any]) -> dict[str, Any]:
        time.sleep(STATISTICS)
        fcntl.flock(self.turn, fcntl.LOCK_EX)
        listed = self.run(["-Ln", "--stats", "--exact"]).stdout
        fcntl.flock(self.turn, fcntl.LOCK_UN)
        return {"stdout": listed}

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


def about(jobs: int, package: str) -> dict[str, Any]:
    """What a recording says of itself: which kernel answered, on what, and how many recordings were made at once."""
    with open("/proc/cpuinfo") as file:
        machine = "uml" if "User Mode Linux" in file.read() else os.uname().machine
    release = os.uname().release
    found = {"recording": 1, "release": release, "version": os.uname().version, "machine": machine, "jobs": jobs}
    if package:
        found["package"] = package
    if machine != "uml":
        return found | {"padding": False}  # user-mode-linux ceased to pad 64-bit attributes between 6.12 and 7.2
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}", "user-mode-linux"]
    if (
        not package
        and shutil.which(query[0])
        and not (done := subprocess.run(query, capture_output=True, text=True)).returncode
        and f" {'.'.join(release.split('.')[:2])}um" in done.stdout  # not another kernel's
    ):
        found["package"] = done.stdout
    return found | {"padding": int(release.split(".")[0]) < 7}


def record(path: str, into: str | None, jobs: int = 1, package: str = "") -> None:
    """One trace, in this process. The recording appears under its name only when it is whole."""
    with open(path) as file:
        header, *steps = [json.loads(line) for line in file]
    recorder = Recorder(header)
    lines = [json.dumps(about(jobs, package) | recorder.times())]
    lines += [json.dumps(recorder.answer(number, step)) for number, step in enumerate(steps)]
    recorder.answer(len(steps), {"do": "ipvsadm", "args": ["-C"]})  # now, and not when the namespace is taken apart
    target = os.path.join(into or os.path.dirname(path), os.path.basename(path).removesuffix(".trace") + ".kernel")
    with open(target + ".part", "w") as file:
        file.write("".join(line + "\n" for line in lines))
    os.rename(target + ".part", target)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.recorder")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--into", metavar="DIR", help="where recordings go (beside their traces)")
    parser.add_argument(
        "--package", default="", help="the kernel's package (that of user-mode-linux, if it is installed)"
    )
    parser.add_argument("traces", nargs="+")
    chosen = parser.parse_args(arguments)
    for name, value in (("msgs_per_sec", 1000000), ("msgs_burst", 1000000)):
        sysctl(f"net.ipv4.icmp_{name}", value)
    waiting, failed = list(reversed(chosen.traces)), 0
    running: dict[int, str] = {}
    while waiting or running:
        while waiting and len(running) < chosen.jobs:
            path = waiting.pop()
            pid = os.fork()
            if not pid:
                try:
                    record(path, chosen.into, chosen.jobs, chosen.package)
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
