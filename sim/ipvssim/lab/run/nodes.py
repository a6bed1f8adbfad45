"""One director of a scenario: a namespace of the simulated kernel, its packet path, and who administers it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ipvssim.behaviours import resolve
from ipvssim.kernel import Kernel
from ipvssim.lab.run.wires import frame
from ipvssim.lab.scenario.reader import ScenarioError
from ipvssim.lab.scenario.rules import FIRST, addresses
from ipvssim.net.network import Network
from ipvssim.net.networks import trace_network
from ipvssim.path.result import Result
from ipvssim.schedulers._base import label
from ipvssim.state.modules import TWOS
from ipvssim.state.namespace import RELEASE
from ipvssim.state.services import RealServer

_NEIGHBOURS = 4096
_INTERRUPTED = 130
_MAC = bytes.fromhex("02000a000001")


class Node:
    """A director. With ``tracing``, ``steps`` keeps everything that happens to it, as the steps of a trace."""

    def __init__(
        self, lines: Sequence[str], sysctls: Mapping[str, Any], *, seed: int = 0, tracing: bool = False,
        release: str = RELEASE,
    ) -> None:  # fmt: skip
        modules = [TWOS] if resolve(release).behaviours.twos else []
        self.kernel = Kernel(network=lab_network(lines), seed=seed, modules=modules, release=release)
        self.namespace = self.kernel.namespace
        self.director = self.kernel.director
        self.clock = self.kernel.clock
        self.steps: list[dict[str, Any]] | None = [] if tracing else None
        self.receive = self._traced if tracing else self.director.receive
        self.servers: dict[RealServer, str] = {}
        """Every server that its table ever had, by what the report calls it: ``address:port``."""
        self.before: Callable[[], object] | None = None
        """Called before its rules are changed: whoever has not told its table everything does so now."""
        self.administered = 0
        """How many times its rules were changed."""
        for name, value in sysctls.items():
            full = name if "." in name else f"net.ipv4.vs.{name}"
            try:
                missing = self.namespace.write_sysctl(full, str(value))
            except OSError as refused:
                raise ScenarioError(f"sysctl {full} = {value}: {refused.strerror}") from refused
            if missing:
                print(missing, file=sys.stderr)
        self.administer(lines)

    def administer(self, lines: Sequence[str]) -> None:
        """Carry out rules as ``ipvsadm -R`` does; ScenarioError where one is refused."""
        text = "".join(line + "\n" for line in lines)
        if self.before is not None:
            self.before()
        self.administered += 1
        if self.steps is not None:
            self.steps.append({"do": "ipvsadm", "args": ["-R"], "stdin": text})
        done = self.kernel.ipvsnl("-R", stdin=text)
        if done.status == _INTERRUPTED:  # the command line took it for its own
            raise KeyboardInterrupt
        if done.status:
            raise ScenarioError(f"the rules are refused: {_first(done.stdout + done.stderr)}")
        for service in self.namespace.table.services():
            for server in service.destinations.values():
                self.servers.setdefault(server, label(server) or "")

    def take(self, data: bytes, on: str, mark: int) -> Result:
        """An IP packet comes in: from clients as it is, from servers in a frame."""
        return self.receive(frame(data) if on == "server" else data, on, mark)

    def _traced(self, data: bytes, on: str = "client", mark: int = 0) -> Result:
        assert self.steps is not None
        step: dict[str, Any] = {"do": "packet", "on": on, "hex": data.hex()}
        self.steps.append({**step, "mark": mark} if mark else step)
        return self.director.receive(data, on, mark)


def _first(said: str) -> str:
    """What is said of the first rule that is refused; the others are mostly refused for its sake."""
    lines = said.strip().splitlines()
    named = [number for number, line in enumerate(lines) if line.startswith("<stdin>:")]
    return " ".join(lines[: named[1] - 1] if len(named) > 1 else lines)


def lab_network(lines: Sequence[str]) -> Network:
    """The network of traces, with whatever else rules name: virtual addresses are local, servers are neighbours."""
    network = trace_network(servers4=0, servers6=0)
    network.listens = lambda _protocol, _port: True  # a server that is the director itself serves, too
    virtual, servers = addresses(lines)
    for address in virtual:
        if not network.is_local(address):
            network.add_local(_text(address))
    network.neighbours.update(_neighbours())
    for address in servers:
        path = network.path(address)
        if path.device is None or path.device.name != "server":
            network.add_route(_text(address), device="server")
        network.neighbours["server", address] = _MAC
    return network


@cache
def _neighbours() -> dict[tuple[str, bytes], bytes]:
    """All servers of the laboratory's own numbering."""
    found = {}
    for index in range(FIRST, FIRST + _NEIGHBOURS):
        found["server", bytes((10, 0, index >> 8, index & 0xFF))] = _MAC
        found["server", bytes.fromhex("fd000010") + bytes(10) + index.to_bytes(2, "big")] = _MAC
    return found


def _text(address: bytes) -> str:
    from ipaddress import ip_address

    return str(ip_address(address))
