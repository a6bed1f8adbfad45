"""A director, clients and real servers in network namespaces of the laboratory's kernel, joined by veth pairs.

    routed   client ── clients [director] servers ── switch ── server1, server2, server3
    one-arm  client, server1, server2, server3 ── switch ── eth0 [director]

``vlan`` and ``qinq`` are one-arm with the clients in VLAN 10 and the servers in VLAN 20; ``tun`` is routed with a TUN device,
which has no link-layer addresses, in place of ``clients``; in ``local`` the client's programs run on the director itself.
"""

from __future__ import annotations

import ctypes
import os
import select
import subprocess
import threading
from collections.abc import Iterator
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


def ip(name: str, *lines: str, check: bool = True) -> None:
    """Commands of ip(8) in a namespace."""
    command = ["ip", *([] if check else ["-force"]), "-n", name, "-batch", "-"]
    text = "\n".join(lines) + "\n"
    subprocess.run(command, input=text, text=True, check=check, capture_output=not check)


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
        for name in self.names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            settings(name, SETTINGS)
            ip(name, "link set lo up")
        settings("director", ROUTER)
        ip("switch", "link add wire type bridge", "link set wire type bridge mcast_snooping 0", "link set wire up")
        self._own = {}
        for name, label in (("director", "servers"), *((f"server{number}", "eth0") for number in SERVERS)):
            self._own[name] = self._join(name, label if layout in ("routed", "tun", "local") else "eth0")
        self._stopping = threading.Event()
        self._client()
        self._addresses()
        for number in SERVERS:
            self._server(number)

    def close(self) -> None:
        self._stopping.set()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=True)

    # --- inside ---

    def _join(self, name: str, label: str) -> str:
        """A veth pair between a namespace and the switch; with VLANs the name of the device on it."""
        port = f"to-{name}"
        ip("switch", f"link add {port} type veth peer name {label} netns {name}", f"link set {port} master wire up")
        number = {"director": 1, "client": 0x10}.get(name) or 0x10 + int(name[-1])
        ip(name, f"link set {label} address 02:00:00:00:00:{number:02x} up")
        return self._tagged(name, label, 10 if name == "client" else 20)

    def _tagged(self, name: str, label: str, vlan: int) -> str:
        if self.layout == "vlan":
            ip(name, f"link add link {label} name v{vlan} type vlan id {vlan}", f"link set v{vlan} up")
            return f"v{vlan}"
        if self.layout == "qinq":
            with suppress(subprocess.CalledProcessError):  # it is there for the other VLAN already
                ip(name, f"link add link {label} name outer type vlan proto 802.1ad id 100", "link set outer up")
            ip(name, f"link add link outer name v{vlan} type vlan id {vlan}", f"link set v{vlan} up")
            return f"v{vlan}"
        return label

    def _client(self) -> None:
        """The clients' device, on both of its ends."""
        if self.layout == "tun":
            fds = []
            for name in ("director", "client"):
                with inside(name):
                    fds.append(device("clients", IFF_TUN))
                ip(name, "link set clients up")
            threading.Thread(target=_pump, args=(*fds, self._stopping), daemon=True).start()
            self._own["client"] = self._towards = "clients"
        elif self.layout in ("routed", "local"):
            ip("director", "link add clients type veth peer name eth0 netns client")
            ip("director", "link set clients address 02:00:00:00:00:02 up")
            ip("client", "link set eth0 address 02:00:00:00:00:10 up")
            self._own["client"], self._towards = "eth0", "clients"
        else:
            self._own["client"] = self._join("client", "eth0")
            self._towards = self._tagged("director", "eth0", 10) if self.layout in ("vlan", "qinq") else "eth0"

    def _addresses(self) -> None:
        towards, own, client = self._towards, self._own["director"], self._own["client"]
        ip("director", f"addr add 198.51.100.1/24 dev {towards}", f"addr add 2001:db8:1::1/64 dev {towards} nodad")
        ip("director", f"addr add 10.0.0.1/24 dev {own}", f"addr add fd00:10::1/64 dev {own} nodad")
        ip("director", *(f"addr add {address}/32 dev lo" for address in VIRTUAL))
        ip("director", *(f"addr add {address}/128 dev lo nodad" for address in VIRTUAL6))
        if self.layout == "local":
            ip("director", *(f"addr add {address}/32 dev lo" for address in CLIENTS))
            ip("director", *(f"addr add {address}/128 dev lo nodad" for address in CLIENTS6))
            return
        ip("client", *(f"addr add {address}/24 dev {client}" for address in CLIENTS))
        ip("client", *(f"addr add {address}/64 dev {client} nodad" for address in CLIENTS6))
        ip("client", f"route add default via 198.51.100.1 dev {client}", f"route add default via 2001:db8:1::1 dev {client}")

    def _server(self, number: int) -> None:
        name, own = f"server{number}", self._own[f"server{number}"]
        ip(name, f"addr add 10.0.0.{10 + number}/24 dev {own}", f"addr add fd00:10::{10 + number}/64 dev {own} nodad")
        if not self.direct:
            ip(name, f"route add default via 10.0.0.1 dev {own}", f"route add default via fd00:10::1 dev {own}")
            return
        settings(name, {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2})
        ip(name, *(f"addr add {address}/32 dev lo" for address in VIRTUAL))
        ip(name, *(f"addr add {address}/128 dev lo nodad" for address in VIRTUAL6))
        ip(name, f"route add 198.51.100.0/24 dev {own}", f"route add 2001:db8:1::/64 dev {own}")
        ip(name, *(f"link set {tunnel} up" for tunnel in TUNNELS), check=False)
        with inside(name):
            for family in ("-4", "-6"):
                subprocess.run(["ip", family, "fou", "add", "port", "6080", "gue"], check=False, capture_output=True)


def _pump(one: int, other: int, stopping: threading.Event) -> None:
    """What a TUN device gives goes into the other one."""
    while not stopping.is_set():
        for fd in select.select([one, other], [], [], 0.2)[0]:
            with suppress(OSError):
                os.write(other if fd == one else one, os.read(fd, 65536))
    os.close(one)
    os.close(other)
