"""A director, clients and real servers in network namespaces of the laboratory's kernel, joined by veth pairs.

    routed   client ── clients [director] servers ── switch ── server1, server2, server3
    one-arm  client, server1, server2, server3 ── switch ── eth0 [director]

``vlan`` and ``qinq`` are one-arm with the clients in VLAN 10 and the servers in VLAN 20 (all in 20 where servers answer
clients themselves); ``tun`` is routed with a TUN device, which has no link-layer addresses, in place of ``clients``; in
``local`` the client's programs run on the director itself.
"""

from __future__ import annotations

import ctypes
import os
import select
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kernel.director import IFF_TUN, device

CLONE_NEWNET = 0x40000000
VIRTUAL = ("203.0.113.1", "203.0.113.2", "203.0.113.3")
VIRTUAL6 = ("2001:db8:80::1", "2001:db8:80::2")
CLIENTS = tuple(f"198.51.100.{number}" for number in range(10, 16))
CLIENTS6 = tuple(f"2001:db8:1::{number}" for number in range(10, 16))
SERVERS = (1, 2, 3)
LAYOUTS = ("routed", "one-arm", "vlan", "qinq", "tun", "local")
MODULES = (
    "veth", "bridge", "8021q", "tun", "sctp", "fou", "fou6", "ip_gre", "ip6_gre", "ipip", "ip6_tunnel", "ip_vs",
    "cls_flower", "act_skbedit", "sch_ingress",
)  # fmt: skip
SETTINGS = {
    "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0, "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0, "net.ipv6.conf.default.dad_transmits": 0, "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
}  # fmt: skip
ROUTER = {
    "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1, "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
}  # fmt: skip
TUNNELS = ("tunl0", "gre0", "ip6tnl0", "ip6gre0")
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread is in that namespace: sockets that it opens are there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {name}")
        yield
    finally:
        _libc.setns(before, CLONE_NEWNET)
        os.close(before)
        os.close(there)


def batch(lines: Iterable[str], name: str = "", *, force: bool = False) -> None:
    """Commands of ip(8) in a namespace, in one process: a start of one costs much in there."""
    command = ["ip", *(["-force"] if force else []), *(["-n", name] if name else []), "-batch", "-"]
    text = "".join(line + "\n" for line in lines)
    subprocess.run(command, input=text, text=True, check=not force, capture_output=force)


def settings(name: str, values: dict[str, int]) -> None:
    """Sysctls in a namespace."""
    with inside(name):
        for key, value in values.items():
            Path("/proc/sys", key.replace(".", "/")).write_text(str(value))


class World:
    """One layout. ``names`` are its namespaces; `close` takes them away."""

    def __init__(self, layout: str, *, direct: bool) -> None:
        self.layout, self.direct = layout, direct
        self.names = ["client", "director", "switch", *(f"server{number}" for number in SERVERS)]
        self.clients = "director" if layout == "local" else "client"
        self._lines: dict[str, list[str]] = {name: ["link set lo up"] for name in self.names}
        self._own: dict[str, str] = {}
        self._stopping = threading.Event()
        batch(f"netns add {name}" for name in self.names)
        for name in self.names:
            settings(name, SETTINGS)
        settings("director", ROUTER)
        self._say(
            "switch", "link add wire type bridge", "link set wire type bridge mcast_snooping 0", "link set wire up"
        )
        apart = layout in ("routed", "tun", "local")
        self._own["director"] = self._join("director", "servers" if apart else "eth0")
        for number in SERVERS:
            self._own[f"server{number}"] = self._join(f"server{number}", "eth0")
        self._client()
        self._addresses()
        for number in SERVERS:
            self._server(number)
        for name in ("switch", "director", *self.names):
            batch(self._lines.pop(name, ()), name)
        if direct:
            for number in SERVERS:
                self._decapsulate(f"server{number}")

    def close(self) -> None:
        self._stopping.set()
        batch(f"netns del {name}" for name in self.names)

    # --- inside ---

    def _say(self, name: str, *lines: str) -> None:
        self._lines[name] += lines

    def _join(self, name: str, label: str) -> str:
        """A veth pair between a namespace and the switch; with VLANs the name of the device on it."""
        port = f"to-{name}"
        self._say(
            "switch", f"link add {port} type veth peer name {label} netns {name}", f"link set {port} master wire up"
        )
        number = {"director": 1, "client": 0x10}.get(name) or 0x10 + int(name[-1])
        self._say(name, f"link set {label} address 02:00:00:00:00:{number:02x} up")
        if self.layout == "qinq":
            self._say(name, f"link add link {label} name outer type vlan proto 802.1ad id 100", "link set outer up")
        return self._tagged(name, label, 10 if name == "client" and not self.direct else 20)

    def _tagged(self, name: str, label: str, vlan: int) -> str:
        if self.layout not in ("vlan", "qinq"):
            return label
        below = "outer" if self.layout == "qinq" else label
        self._say(name, f"link add link {below} name v{vlan} type vlan id {vlan}", f"link set v{vlan} up")
        return f"v{vlan}"

    def _client(self) -> None:
        """The clients' device, on both of its ends."""
        if self.layout == "tun":
            fds = []
            for name in ("director", "client"):
                with inside(name):
                    fds.append(device("clients", IFF_TUN))
                self._say(name, "link set clients up")
            threading.Thread(target=_pump, args=(*fds, self._stopping), daemon=True).start()
            self._own["client"] = self._towards = "clients"
        elif self.layout in ("routed", "local"):
            self._say("director", "link add clients type veth peer name eth0 netns client")
            self._say("director", "link set clients address 02:00:00:00:00:02 up")
            self._say("client", "link set eth0 address 02:00:00:00:00:10 up")
            self._own["client"], self._towards = "eth0", "clients"
        else:
            self._own["client"] = self._join("client", "eth0")
            self._towards = self._own["director"] if self.direct else self._tagged("director", "eth0", 10)

    def _addresses(self) -> None:
        towards, own, client = self._towards, self._own["director"], self._own["client"]
        self._say(
            "director", f"addr add 198.51.100.1/24 dev {towards}", f"addr add 2001:db8:1::1/64 dev {towards} nodad"
        )
        self._say("director", f"addr add 10.0.0.1/24 dev {own}", f"addr add fd00:10::1/64 dev {own} nodad")
        self._loopback("director", *VIRTUAL, *VIRTUAL6)
        if self.layout == "local":
            self._loopback("director", *CLIENTS, *CLIENTS6)
            return
        self._say("client", *(f"addr add {address}/24 dev {client}" for address in CLIENTS))
        self._say("client", *(f"addr add {address}/64 dev {client} nodad" for address in CLIENTS6))
        self._say(
            "client",
            *(f"route add default via {gateway} dev {client}" for gateway in ("198.51.100.1", "2001:db8:1::1")),
        )

    def _loopback(self, name: str, *addresses: str) -> None:
        self._say(name, *(f"addr add {one}/{'128' if ':' in one else '32'} dev lo" for one in addresses))

    def _server(self, number: int) -> None:
        name, own = f"server{number}", self._own[f"server{number}"]
        self._say(
            name, f"addr add 10.0.0.{10 + number}/24 dev {own}", f"addr add fd00:10::{10 + number}/64 dev {own} nodad"
        )
        if not self.direct:
            self._say(name, f"route add default via 10.0.0.1 dev {own}", f"route add default via fd00:10::1 dev {own}")
            return
        settings(name, {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2})
        self._loopback(name, *VIRTUAL, *VIRTUAL6)
        self._say(name, f"route add 198.51.100.0/24 dev {own}", f"route add 2001:db8:1::/64 dev {own}")

    def _decapsulate(self, name: str) -> None:
        batch((f"link set {tunnel} up" for tunnel in TUNNELS), name, force=True)
        batch((f"fou add port 6080 gue {family}" for family in ("", "-6")), name, force=True)


def _pump(one: int, other: int, stopping: threading.Event) -> None:
    """What a TUN device gives goes into the other one."""
    while not stopping.is_set():
        for fd in select.select([one, other], [], [], 0.2)[0]:
            with suppress(OSError):
                os.write(other if fd == one else one, os.read(fd, 65536))
    os.close(one)
    os.close(other)
