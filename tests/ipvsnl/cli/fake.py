"""A kernel's table in a few lines: enough of its answers to replay recorded command lines, and no wire."""

from __future__ import annotations

import errno
from typing import Any

from ipvsnl.backends.contract import Stop
from ipvsnl.bulk.load import Progress
from ipvsnl.family import Command
from ipvsnl.model import (
    Daemon,
    Destination,
    DestinationStatus,
    Entry,
    Info,
    Service,
    ServiceStatus,
    Statistics,
    Timeouts,
)
from ipvsnl.refusals import KernelError

SCHEDULERS = frozenset(("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"))
DEVICES = {"d0": 1500}
FORBIDDEN = ("0.0.0.0", "255.255.255.255", "224.")


class FakeIPVS:
    """IPVS's methods over dictionaries; services in the order they were added, servers newest first."""

    def close(self) -> None:
        """Nothing is open."""

    def __init__(self) -> None:
        self.table: dict[Any, tuple[Service, dict[Any, Destination]]] = {}
        self.config = Timeouts(900, 120, 300)
        self.running: dict[str | int, Daemon] = {}
        self.statistics = Statistics()
        self.lines: list[Any] = []
        self.closed = 0

    def __enter__(self) -> FakeIPVS:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1

    def add_service(self, service: Service, *, tag: object = None) -> None:
        if service.key in self.table:
            raise KernelError(errno.EEXIST, Command.NEW_SERVICE, tag=tag)
        self._check(service, Command.NEW_SERVICE, tag)
        self.table[service.key] = (service, {})

    def edit_service(self, service: Service, *, tag: object = None) -> None:
        _, servers = self._find(service, Command.SET_SERVICE, tag)
        self._check(service, Command.SET_SERVICE, tag)
        self.table[service.key] = (service, servers)

    def _check(self, service: Service, command: int, tag: object) -> None:
        if service.scheduler not in SCHEDULERS or service.persistence_engine not in ("", "sip"):
            raise KernelError(errno.ENOENT, command, tag=tag)

    def delete_service(self, service: Service, *, tag: object = None) -> None:
        self._find(service, Command.DEL_SERVICE, tag)
        del self.table[service.key]

    def _find(self, service: Service, command: int, tag: object) -> tuple[Service, dict[Any, Destination]]:
        if service.key not in self.table:
            raise KernelError(errno.ESRCH, command, tag=tag)
        return self.table[service.key]

    def add_server(self, service: Service, server: Destination, *, tag: object = None) -> None:
        _, servers = self._find(service, Command.NEW_DEST, tag)
        self._check_server(server, Command.NEW_DEST, tag)
        if server.key in servers:
            raise KernelError(errno.EEXIST, Command.NEW_DEST, tag=tag)
        servers[server.key] = server

    def edit_server(self, service: Service, server: Destination, *, tag: object = None) -> None:
        _, servers = self._find(service, Command.SET_DEST, tag)
        self._check_server(server, Command.SET_DEST, tag)
        if server.key not in servers:
            raise KernelError(errno.ENOENT, Command.SET_DEST, tag=tag)
        servers[server.key] = server

    def _check_server(self, server: Destination, command: int, tag: object) -> None:
        if server.lower_threshold > server.upper_threshold:
            raise KernelError(errno.ERANGE, command, tag=tag)
        if server.address.startswith(FORBIDDEN):
            raise KernelError(errno.EINVAL, command, tag=tag)

    def delete_server(self, service: Service, server: Destination, *, tag: object = None) -> None:
        _, servers = self._find(service, Command.DEL_DEST, tag)
        if servers.pop(server.key, None) is None:
            raise KernelError(errno.ENOENT, Command.DEL_DEST, tag=tag)

    def flush(self, *, tag: object = None) -> None:
        self.table.clear()

    def zero(self, service: Service | None = None, *, tag: object = None) -> None:
        if service is not None:
            self._find(service, Command.ZERO, tag)

    def batch(self) -> FakeBatch:
        return FakeBatch(self)

    def loading(self, *, put_off: object = None) -> FakeBatch:
        return FakeBatch(self)

    def service(self, service: Service) -> ServiceStatus:
        return ServiceStatus(self._find(service, Command.GET_SERVICE, None)[0], self.statistics)

    def servers(self, service: Service) -> list[DestinationStatus]:
        servers = self.table.get(service.key, (service, {}))[1]
        return [DestinationStatus(one, 0, 0, 0, self.statistics) for one in reversed(servers.values())]

    def snapshot(self) -> list[Entry]:
        return [
            Entry(ServiceStatus(service, self.statistics), tuple(self.servers(service)))
            for service, _ in self.table.values()
        ]

    def timeouts(self) -> Timeouts:
        return self.config

    def set_timeouts(self, timeouts: Timeouts) -> None:
        before = self.config
        self.config = Timeouts(
            timeouts.tcp or before.tcp, timeouts.tcp_fin or before.tcp_fin, timeouts.udp or before.udp
        )

    def info(self) -> Info:
        return Info((1, 2, 1), 4096)

    def daemons(self) -> list[Daemon]:
        return [self.running[role] for role in ("master", "backup") if role in self.running]

    def start_daemon(self, daemon: Daemon) -> None:
        if daemon.interface not in DEVICES:
            raise KernelError(errno.ENODEV, Command.NEW_DAEMON)
        if daemon.role in self.running:
            raise KernelError(errno.EEXIST, Command.NEW_DAEMON)
        group = daemon.group or "224.0.0.81"
        longest = daemon.max_length or DEVICES[daemon.interface] - (48 if ":" in group else 28)
        longest = max(longest, 1024) if daemon.role == "backup" else longest
        self.running[daemon.role] = daemon.replace(
            group=group, port=daemon.port or 8848, ttl=daemon.ttl or 1, max_length=longest
        )

    def stop_daemon(self, role: str) -> None:
        if self.running.pop(role, None) is None:
            raise KernelError(errno.ESRCH, Command.DEL_DAEMON)

    def connections(self) -> list[Any]:
        return self.lines


class FakeBatch:
    """Carries every change out at once, and keeps the refusals."""

    def __init__(self, ipvs: FakeIPVS) -> None:
        self.refused: list[KernelError] = []
        self.sent = 0
        self._ipvs = ipvs

        self.taken = 0

    reads_text = True

    def send(self) -> None:
        pass

    def switch(self) -> None:
        pass

    def few(self, scheduler: str) -> int:
        return 0

    def text(self, text: bytes, progress: Progress) -> None:
        """Understands no line: each is left to the grammar."""
        left = text[progress.at :]
        there = b"\n" in left or (left and progress.final)
        progress.made, progress.stop = 0, Stop.LINE if there else Stop.END

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ipvs, name)

        def change(*of: object, tag: object = None) -> None:
            self.sent += 1
            try:
                method(*of, tag=tag)
            except KernelError as error:
                self.refused.append(error)

        return change
