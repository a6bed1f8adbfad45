"""Kinds without traffic: `admin`, ipvsadm used well and badly, and `netlink`, requests made by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import packets as p
from .script import SCHEDULERS, Script

SERVICES = (
    ("-t", "203.0.113.1:80"),
    ("-t", "203.0.113.2:443"),
    ("-t", "203.0.113.3:0"),
    ("-u", "203.0.113.1:53"),
    ("--sctp-service", "203.0.113.1:5060"),
    ("-t", "[2001:db8:80::1]:80"),
    ("-f", "5"),
    ("-f", "9", "-6"),
)
ODD_SERVICES = (
    ("-t", "203.0.113.1"),
    ("-t", "80"),
    ("-t", "[2001:db8:80::1]"),
    ("-f", "0"),
    ("-f", "x"),
    ("-t", "203.0.113.1:99999"),
    ("-u", "203.0.113.1: 53"),
    ("-t", "10.1:80"),
    (),
    ("-t", "203.0.113.1:80", "-u", "203.0.113.1:53"),
    ("-6", "-f", "3"),
)
SERVERS = ("10.0.0.10:80", "10.0.0.11", "10.0.0.12:8080", "10.0.0.13:443", "[fd00:10::a]:80", "203.0.113.77:80")
ODD_SERVERS = (
    "0.0.0.0:80",
    "224.0.0.1:80",
    "255.255.255.255:80",
    "10.0.255.255:80",
    "[fe80::5]:80",
    "[ff02::1]:80",
    "127.0.0.1:80",
    "x:80",
    "10.0.0.10:x",
    "10.0.0.10:70000",
    "[::]:80",
    "[::1]:80",
)
SERVER_OPTIONS = (
    (),
    ("-w", "0"),
    ("-w", "5"),
    ("-w", "100000"),
    ("-w", "-1"),
    ("-w", "x"),
    ("-x", "10", "-y", "5"),
    ("-x", "5", "-y", "10"),
    ("-y", "3"),
    ("-x", "2147483648"),
    ("--tun-type", "gue", "--tun-port", "6080"),
    ("--tun-type", "gue"),
    ("--tun-type", "gre", "--tun-csum"),
    ("--tun-type", "gre", "--tun-port", "5"),
    ("--tun-type", "x"),
    ("--tun-type", "ipip"),
)
SERVICE_OPTIONS = (
    (),
    ("-p",),
    ("-p", "30"),
    ("-p", "0"),
    ("-p", "2678401"),
    ("-o",),
    ("-p", "60", "-M", "255.255.255.0"),
    ("-M", "24"),
    ("--pe", "sip"),
    ("-p", "30", "--pe", "sip"),
    ("--pe", "nosuch"),
    ("-b", "sh-port"),
    ("-b", "mh-fallback"),
    ("-b", "flag-1,flag-2"),
    ("-b", "nosuch"),
    ("-p", "9", "-M", "64"),
)
LISTINGS = (
    (),
    ("--thresholds",),
    ("--persistent-conn",),
    ("--tun-info",),
    ("--stats",),
    ("--stats", "--exact"),
    ("--timeout",),
    ("--daemon",),
    ("--stats", "--timeout"),
    ("-c",),
    ("--sort",),
    ("--bogus",),
    ("-q",),
    ("stray",),
)
TIMEOUTS = (
    ("1", "2"),
    ("900", "120", "300"),
    ("0", "0", "0"),
    ("60", "0", "5"),
    ("-1", "2", "3"),
    ("a", "b", "c"),
    ("2678401", "1", "1"),
)
RULES = (
    "-A -t 203.0.113.50:80 -s rr",
    "-a -t 203.0.113.50:80 -r 10.0.0.10:80 -g -w 1",
    "-x bogus",
    "",
    "# comment",
    "ipvsadm -A -u 203.0.113.51:53 -s sh",
    "-A -t 203.0.113.52:80",
    "-A -t 203.0.113.50:80 -s rr",
    "-e -t 203.0.113.50:80 -r 10.0.0.10:80 -m -w 4",
    "-D -t 203.0.113.52:80",
    "-A -f 3 -q",
    "  -A\t-f 8 -s wrr -p 20  ",
)


class Desk:
    """What one administrator works on: a few services and servers, so that commands meet what earlier ones made."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.services = script.random.sample(SERVICES, 3)
        self.servers = script.random.sample(SERVERS, 3)

    def service(self) -> tuple[str, ...]:
        odd = self.script.random.choice((ODD_SERVICES, SERVICES))
        return self.script.random.choice(odd if self.script.chance(10) else self.services)

    def server(self) -> str:
        odd = self.script.random.choice((ODD_SERVERS, SERVERS))
        return self.script.random.choice(odd if self.script.chance(15) else self.servers)


def command(desk: Desk) -> None:
    """One command: mostly sensible, and then often in conflict with what there is."""
    script, where = desk.script, desk.service
    what = script.random.randrange(100)
    choice = script.random.choice
    if what < 30:
        scheduler = choice(SCHEDULERS) if script.chance(93) else choice(("none", "nosuch", "", "x" * 16))
        script.ipvsadm(
            choice(("-A", "-A", "-E")),
            *where(),
            "-s",
            scheduler,
            *choice(SERVICE_OPTIONS if script.chance(60) else ((),)),
        )
    elif what < 66:
        real = desk.server()
        method = choice((("-m",), ("-g",), ("-i",), (), ("-g", "-m"))) if script.chance(95) else ("-i", "--tun-nocsum")
        script.ipvsadm(
            choice(("-a", "-a", "-a", "-e")),
            *where(),
            "-r",
            real,
            *method,
            *choice(SERVER_OPTIONS if script.chance(50) else ((),)),
        )
    elif what < 76:
        script.ipvsadm("-d", *where(), "-r", desk.server(), *choice(((), (), (), ("-w", "1"))))
    elif what < 80:
        script.ipvsadm("-D", *where())
    elif what < 83:
        script.ipvsadm(
            *choice((("-C",), ("-Z",), ("-Z", *where()), ("-S", "-n"), ("-C", "-n"), ("-Z", "-Z"), ("-Ln", "-Ln")))
        )
    elif what < 87:
        script.ipvsadm("--set", *choice(TIMEOUTS))
        script.ipvsadm("-L", "--timeout")
    elif what < 91:
        script.ipvsadm("-R", stdin="".join(choice(RULES) + "\n" for _ in range(script.random.randrange(1, 6))))
    elif what < 96:
        service = where() if script.chance(30) else ()
        script.ipvsadm("-Ln", *service, *choice(LISTINGS))
    else:
        script.ipvsadm("-Sn")


def admin(seed: int) -> Script:
    """ipvsadm's commands, good and bad, on a table that soon is full of their traces."""
    script = Script("admin", seed)
    desk = Desk(script)
    for service in desk.services:
        script.ipvsadm(
            "-A", *service, "-s", script.random.choice(SCHEDULERS), *script.random.choice(((), ("-p", "60")))
        )
    for _ in range(script.random.randrange(30, 50)):
        command(desk)
    script.ipvsadm("-Ln", "--persistent-conn")
    script.ipvsadm("-Sn")
    return script


# netlink requests


def attribute(kind: int, payload: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(payload), kind) + payload
    return data + bytes(-len(data) % 4)


def request(number: int, sequence: int, flags: int, *attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return struct.pack("=IHHIIBBH", 20 + len(body), 0xFFFF, 1 | flags, sequence, 0, number, 1, 0) + body


def service_attributes(script: Script, six: bool, full: bool) -> list[bytes]:
    family, text = (10, "2001:db8:80::1") if six else (2, "203.0.113.1")
    key = [attribute(1, struct.pack("=H", family))]
    if script.chance(30):
        key.append(attribute(5, struct.pack("=I", script.pick(0, 5, 77))))
    else:
        key += [
            attribute(2, struct.pack("=H", script.pick(p.TCP, p.TCP, p.UDP))),
            attribute(3, p.address(text).ljust(16, b"\0")),
            attribute(4, struct.pack("!H", script.pick(80, 80, 443))),
        ]
    if full:
        name = script.random.choice((*SCHEDULERS, "nosuch")).encode()
        key += [
            attribute(6, name + b"\0"),
            attribute(7, struct.pack("=II", script.pick(0, 1, 4, 9), 0xFFFFFFFF)),
            attribute(8, struct.pack("=I", script.pick(0, 60))),
            attribute(9, struct.pack("=I", script.pick(128, 64) if six else 0xFFFFFFFF)),
        ]
    return key


def server_attributes(script: Script, six: bool, full: bool) -> list[bytes]:
    number = script.random.randrange(10, 14)
    text = f"fd00:10::{number:x}" if six else f"10.0.0.{number}"
    made = [attribute(1, p.address(text).ljust(16, b"\0")), attribute(2, struct.pack("!H", script.pick(80, 8080)))]
    if full:
        made += [
            attribute(3, struct.pack("=I", script.pick(0, 2, 3, 1, 7))),
            attribute(4, struct.pack("=i", script.pick(0, 1, 5, 1000, -1))),
            attribute(5, struct.pack("=I", script.pick(0, 10))),
            attribute(6, struct.pack("=I", script.pick(0, 0, 5, 20))),
        ]
        if script.chance(30):
            made += [
                attribute(13, bytes([script.pick(0, 1, 2)])),
                attribute(14, struct.pack("!H", script.pick(0, 6080))),
                attribute(15, struct.pack("=H", script.pick(0, 1, 2))),
            ]
    return made


def spoil(script: Script, attributes: list[bytes]) -> list[bytes]:
    """Leaves as it is, or drops, repeats, shortens or swaps an attribute."""
    what, place = script.random.randrange(10), script.random.randrange(len(attributes))
    if what == 0:
        return attributes[:place] + attributes[place + 1 :]
    if what == 1:
        return [*attributes, attributes[place]]
    if what == 2:
        kind, payload = struct.unpack_from("=H", attributes[place], 2)[0], attributes[place][4:]
        return [*attributes[:place], attribute(kind, payload[: len(payload) // 2]), *attributes[place + 1 :]]
    if what == 3:
        return attributes[place:] + attributes[:place]
    if what == 4:
        return [*attributes, attribute(script.random.randrange(16, 40), b"\1\2\3\4")]
    return attributes


def netlink(seed: int) -> Script:
    """Raw requests, whole and damaged, and what is listed after them."""
    script = Script("netlink", seed)
    for sequence in range(1, script.random.randrange(30, 50)):
        number = script.pick(1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 6, 7, 8, 12, 13, 16, 17, 15, 18, 0)
        six, attributes = script.chance(20), []
        if number in (1, 2, 3, 4, 5, 6, 7, 8) or (number == 16 and script.chance(50)):
            attributes.append(attribute(1, b"".join(spoil(script, service_attributes(script, six, number in (1, 2))))))
        if number in (5, 6, 7):
            attributes.append(attribute(2, b"".join(spoil(script, server_attributes(script, six, number != 7)))))
        if number == 12:
            attributes += [
                attribute(kind, struct.pack("=i", script.pick(0, 60, -1))) for kind in (4, 5, 6) if script.chance(60)
            ]
        flags = script.pick(4, 4, 4, 0) | (0x300 if number == 8 else 0)
        script.netlink(request(number, sequence, flags, *(spoil(script, attributes) if attributes else ())))
        if script.chance(6):
            script.ipvsadm("-Ln", "--tun-info")
    script.ipvsadm("-Sn")
    return script


KINDS: dict[str, Callable[[int], Script]] = {"admin": admin, "netlink": netlink}
