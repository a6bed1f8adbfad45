"""What is captured: tables, traffic, and tcpdump's words, one scene a capture."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.kernel.captures.traffic import Visit
from tests.kernel.captures.world import VIRTUAL, VIRTUAL6

HOWS = ("get", "get", "hold", "hold", "reset", "bye")


class Scene(NamedTuple):
    """One capture. ``rules`` are ipvsadm's, ``dump`` tcpdump's words, ``suffix`` the kind of file; ``options`` are those
    that ``ipvssim pcap`` needs to know what the rules do not tell. ``before`` visits are over before the capture begins;
    their connections are its start state. ``marked`` is what tc's flower gives the mark 7. ``extra`` are addresses of the
    director on which programs listen, too: they do not know which server they are, and the connection table is the truth."""

    name: str
    layout: str
    rules: str
    visits: tuple[Visit, ...]
    dump: tuple[str, ...]
    suffix: str = "pcap"
    options: tuple[str, ...] = ()
    before: tuple[Visit, ...] = ()
    marked: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    timeouts: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether servers answer clients themselves."""
        return any(word in self.rules for word in (" -g", " -i"))

    @property
    def ports(self) -> set[tuple[str, int]]:
        """What the servers' programs listen on."""
        words = [line.split() for line in self.rules.splitlines() if line.startswith("-a")]
        found = set()
        for line in words:
            port = int(line[line.index("-r") + 1].rpartition(":")[2])
            protocols = {"-t": "tcp", "-u": "udp", "--sctp-service": "sctp"}
            for protocol in [protocols[line[1]]] if line[1] in protocols else ["tcp", "udp"]:
                found |= {(protocol, one) for one in ([port] if port else [80, 443, 8443])}
        return found


def table(scheduler: str, protocol: str, method: str, *flags: str, six: bool = False, port: int = 80, to: int = 0,
          weights: tuple[int, ...] = (1, 1, 1), service: str = "", tunnel: str = "") -> str:  # fmt: skip
    """A service and its three servers, as rules."""
    place = f"[{VIRTUAL6[0]}]" if six else VIRTUAL[0]
    option = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[protocol]
    service = service or f"{option} {place}:{port}"
    lines = [" ".join(("-A", service, "-s", scheduler, *flags))]
    for number, weight in enumerate(weights, start=1):
        server = f"[fd00:10::{10 + number}]" if six else f"10.0.0.{10 + number}"
        words = ("-a", service, "-r", f"{server}:{to or port}", method, "-w", str(weight), tunnel)
        lines.append(" ".join(words).rstrip())
    return "\n".join(lines) + "\n"


def visits(name: str, count: int, *services: tuple[str, str, int], hows: tuple[str, ...] = HOWS) -> tuple[Visit, ...]:
    """Visits drawn by the scene's name: the same every time."""
    chance = random.Random(name)
    return tuple(Visit(*chance.choice(services), chance.choice(hows)) for _ in range(count))


TCP4, TCP6, UDP4 = ("tcp", VIRTUAL[0], 80), ("tcp", VIRTUAL6[0], 80), ("udp", VIRTUAL[0], 80)
OTHER = ("tcp", VIRTUAL[1], 443)
UDP6, SCTP4 = ("udp", VIRTUAL6[0], 80), ("sctp", VIRTUAL[0], 80)
ANY, ETH, BOTH_SIDES = ("-i", "any"), ("-i", "eth0"), ("-i", "any", "-y", "LINUX_SLL2")
COOKED = ("-i", "any", "-y", "LINUX_SLL")
WEIGHED = (1, 2, 3)
GRE = "--tun-type gre --tun-nocsum"
GUE = "--tun-type gue --tun-port 6080 --tun-nocsum"


def _scenes() -> list[Scene]:
    made = []

    def scene(name: str, layout: str, rules: str, dump: tuple[str, ...], *services: tuple[str, str, int], count: int = 14,
              hows: tuple[str, ...] = HOWS, **more: object) -> None:  # fmt: skip
        made.append(Scene(name, layout, rules, visits(name, count, *services, hows=hows), dump, **more))  # type: ignore[arg-type]

    nat, direct, tunnel = "-m", "-g", "-i"
    scene("nat-any-v2", "routed", table("wlc", "tcp", nat, to=8080, weights=WEIGHED), BOTH_SIDES, TCP4, count=18)
    scene("nat-any-v1", "routed", table("wrr", "tcp", nat, to=8080, weights=WEIGHED), COOKED, TCP4, count=18)
    scene("nat-any-six", "routed", table("lc", "tcp", nat, six=True, to=8080), BOTH_SIDES, TCP6)
    scene("nat-any-udp", "routed", table("wlc", "udp", nat), BOTH_SIDES, UDP4, count=24)
    scene("nat-any-sctp", "routed", table("lc", "sctp", nat, weights=WEIGHED), COOKED, SCTP4)
    scene("nat-one-arm", "one-arm", table("wlc", "tcp", nat, to=8080, weights=WEIGHED), ETH, TCP4)
    scene(
        "nat-one-arm-nano",
        "one-arm",
        table("sed", "tcp", nat, weights=WEIGHED),
        (*ETH, "--time-stamp-precision=nano"),
        TCP4,
    )
    scene(
        "nat-clients-side",
        "routed",
        table("wlc", "tcp", nat, to=8080, weights=WEIGHED),
        ("-i", "clients"),
        TCP4,
        count=24,
    )
    scene("nat-clients-side-rr", "routed", table("rr", "tcp", nat), ("-i", "clients"), TCP4)
    scene("nat-vlan", "vlan", table("nq", "tcp", nat, weights=WEIGHED), ETH, TCP4)
    scene("nat-qinq", "qinq", table("lc", "tcp", nat), ETH, TCP4)
    scene("nat-vlan-any", "vlan", table("wlc", "tcp", nat, to=8080), BOTH_SIDES, TCP4)
    scene("nat-tun", "tun", table("wlc", "tcp", nat, to=8080), ("-i", "clients"), TCP4)
    scene("nat-tun-any", "tun", table("wlc", "tcp", nat, weights=WEIGHED), COOKED, TCP4)
    scene(
        "nat-snaplen-64",
        "one-arm",
        table("wlc", "tcp", nat, to=8080, weights=WEIGHED),
        (*ETH, "-s", "64"),
        TCP4,
        count=20,
    )
    scene("nat-gzip", "routed", table("mh", "tcp", nat), BOTH_SIDES, TCP4, count=24, suffix="pcap.gz")
    scene("nat-big", "routed", table("wlc", "tcp", nat), BOTH_SIDES, TCP4, count=4, hows=("big", "get", "hold"))
    scene(
        "nat-pcapng",
        "routed",
        table("wlc", "tcp", nat, to=8080, weights=WEIGHED),
        ("-i", "clients", "-i", "servers"),
        TCP4,
        suffix="pcapng",
    )
    scene("direct-one-arm", "one-arm", table("wlc", "tcp", direct, weights=WEIGHED), ETH, TCP4, count=20)
    scene("direct-one-arm-six", "one-arm", table("wrr", "tcp", direct, six=True, weights=WEIGHED), ETH, TCP6, count=16)
    scene("direct-any", "one-arm", table("lc", "tcp", direct), BOTH_SIDES, TCP4)
    scene("direct-any-v1", "one-arm", table("rr", "udp", direct), COOKED, UDP4)
    scene("direct-vlan", "vlan", table("wlc", "tcp", direct), ETH, TCP4)
    scene("direct-sctp", "one-arm", table("rr", "sctp", direct), ETH, SCTP4, count=10)
    scene(
        "one-packet",
        "one-arm",
        table("wrr", "udp", direct, "-o", weights=WEIGHED),
        ETH,
        UDP4,
        count=30,
        hows=("get", "again"),
    )
    scene(
        "one-packet-six",
        "one-arm",
        table("rr", "udp", direct, "-o", six=True),
        ETH,
        UDP6,
        count=16,
        hows=("get", "again"),
    )
    scene(
        "one-packet-any", "one-arm", table("lc", "udp", direct, "-o"), BOTH_SIDES, UDP4, count=16, hows=("get", "again")
    )
    scene("source-hash", "one-arm", table("sh", "tcp", direct, "-b sh-port"), ETH, TCP4, count=20)
    scene("persistent", "one-arm", table("rr", "tcp", direct, "-p 300"), ETH, TCP4, count=24)
    scene("persistent-any-port", "routed", table("wlc", "tcp", nat, "-p 300", port=0, weights=WEIGHED), BOTH_SIDES, TCP4,
          ("tcp", VIRTUAL[0], 443), ("tcp", VIRTUAL[0], 8443), count=20)  # fmt: skip
    scene(
        "persistent-netmask", "one-arm", table("rr", "tcp", direct, "-p 300", "-M 255.255.255.254"), ETH, TCP4, count=16
    )
    for kind, words in (("ipip", ""), ("gre", GRE), ("gue", GUE)):
        scene(
            f"tunnel-{kind}", "one-arm", table("wlc", "tcp", tunnel, tunnel=words, weights=WEIGHED), ETH, TCP4, count=12
        )
    for kind, words in (("ipip", ""), ("gre", GRE), ("gue", GUE)):
        scene(
            f"tunnel-{kind}-six",
            "one-arm",
            table("rr", "tcp", tunnel, tunnel=words, six=True),
            BOTH_SIDES,
            TCP6,
            count=10,
        )
    ports = tuple(f"ip_proto tcp dst_ip 203.0.113.0/24 dst_port {port}" for port in (80, 443))
    scene(
        "fwmark", "routed", table("wlc", "tcp", nat, service="-f 7", port=0), BOTH_SIDES, TCP4, OTHER, count=16,
        marked=ports, options=("--mark", "tcp dst 203.0.113.0/24 dport 80,443 -> 7"),
    )  # fmt: skip
    scene(
        "fwmark-direct", "one-arm", table("rr", "tcp", direct, "-p 60", service="-f 7", port=0), ETH, TCP4, OTHER,
        marked=("ip_proto tcp dst_ip 203.0.113.0/24",), options=("--mark", "tcp dst 203.0.113.0/24 -> 7"),
    )  # fmt: skip
    scene("loopback", "local", "-A -t 203.0.113.1:80 -s wlc\n" + "".join(
        f"-a -t 203.0.113.1:80 -r {place}:80 -g -w {weight}\n" for place, weight in (("127.0.0.1", 1), ("203.0.113.3", 2))),
        ("-i", "lo"), TCP4, count=12, extra=(VIRTUAL[0],))  # fmt: skip
    scene("start-state", "routed", table("wlc", "tcp", nat, to=8080), BOTH_SIDES, TCP4, count=12,
          before=visits("before", 7, TCP4, hows=("hold", "hold", "get")))  # fmt: skip
    several = (table("wlc", "tcp", nat, weights=WEIGHED), table("rr", "udp", nat), table("lc", "tcp", nat, six=True))
    persistent = table("wrr", "tcp", nat, "-p 60", port=443, weights=WEIGHED)
    scene(
        "many",
        "routed",
        "".join((*several, persistent)),
        BOTH_SIDES,
        TCP4,
        UDP4,
        TCP6,
        ("tcp", VIRTUAL[0], 443),
        count=30,
    )
    scene("short-timeouts", "routed", table("wlc", "udp", nat), BOTH_SIDES, UDP4, count=12, timeouts=("900", "120", "1"),
          options=("--set", "900", "120", "1"))  # fmt: skip
    scene("sloppy", "routed", table("rr", "tcp", nat), BOTH_SIDES, TCP4, count=8, sysctls=("sloppy_tcp=1",),
          options=("--sysctl", "sloppy_tcp=1"), hows=("get", "again"))  # fmt: skip
    return made


SCENES = {scene.name: scene for scene in _scenes()}
