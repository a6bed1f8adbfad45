"""What the clients' calls do, step by step, with no way to a kernel in sight.

A call is a generator: it yields requests, is sent the answer to each (or is thrown what went wrong), and returns the call's
result. Who carries it out may wait (:mod:`ipvsnl.client`) or await (:mod:`ipvsnl.aio`).
"""

from __future__ import annotations

import errno as _errno

from ipvsnl.errors import LinkError
from ipvsnl.family import Command
from ipvsnl.refusals import KernelError
from ipvsnl.wire.exchange import ACKNOWLEDGED
from ipvsnl.wire.verbs import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeVar

    from ipvsnl.model import Daemon, Destination, DestinationStatus, Info, Service, ServiceStatus, Timeouts
    from ipvsnl.wire import records
    from ipvsnl.wire.exchange import Exchange
    from ipvsnl.wire.verbs import Subject

    Result = TypeVar("Result")
    Steps = Generator["Ask | Dump", Any, Result]
else:
    from ipvsnl._later import Later

    records = Later("ipvsnl.wire.records")

DAEMON_STOP_TIMEOUT = 0.5
"""Seconds to wait for an answer that the kernel may never send (DEL_DAEMON right after NEW_DAEMON)."""


class Ask:
    """One request with its acknowledgement. The answer is its :class:`~ipvsnl.wire.exchange.Exchange`, refused by none."""

    __slots__ = ("command", "said", "subject", "timeout")

    def __init__(
        self, command: int, subject: Subject = NOTHING, *, timeout: float | None = None, **said: bytes | None
    ) -> None:
        self.command = command
        self.subject = subject
        self.timeout = timeout
        self.said = said

    flags = ACKNOWLEDGED

    def accepted(self, exchange: Exchange, *, simulated: bool = False) -> Exchange:
        """The exchange; KernelError with the subject where the kernel refused."""
        for refusal in exchange.refusals:
            service, destination = self.subject
            error = KernelError(
                refusal.errno, self.command, service=service, destination=destination, extack=refusal.extack
            )
            error.simulated = simulated
            raise error
        return exchange


class Dump:
    """One dump. The answer is its records, one after the other in one buffer."""

    __slots__ = ("command", "group", "key")

    def __init__(self, command: int, group: str, key: bytes | None = None) -> None:
        self.command = command
        self.group = group
        self.key = key


def service(service: Service) -> Steps[ServiceStatus]:
    """The live state of one virtual service."""
    exchange = yield Ask(Command.GET_SERVICE, (service, None), service=records.service_key(service))
    return records.read_service(exchange.reply("service"))


def services() -> Steps[list[ServiceStatus]]:
    """All virtual services."""
    return list(records.read_services((yield Dump(Command.GET_SERVICE, "service"))))


def servers(service: Service) -> Steps[list[DestinationStatus]]:
    """The real servers of a virtual service."""
    found = yield Dump(Command.GET_DEST, "dest", records.service_key(service))
    return list(records.read_destinations(found, service.family))


def server(of: Service, destination: Destination) -> Steps[DestinationStatus]:
    """The live state of one real server: the kernel has no request for one."""
    records.destination_key(destination)  # which says so where it is none
    yield from service(of)
    for status in (yield from servers(of)):
        if status.destination.key == destination.key:
            return status
    raise KernelError(_errno.ENOENT, Command.GET_DEST, service=of, destination=destination)


def timeouts() -> Steps[Timeouts]:
    """The timeouts of connections."""
    return records.read_config((yield Ask(Command.GET_CONFIG)).reply("config"))


def set_timeouts(timeouts: Timeouts) -> Steps[None]:
    """Set timeouts."""
    yield Ask(Command.SET_CONFIG, config=records.config_record(timeouts))


def info() -> Steps[Info]:
    """The kernel's version of IPVS."""
    return records.read_info((yield Ask(Command.GET_INFO)).reply("info"))


def daemons() -> Steps[list[Daemon]]:
    """The synchronisation daemons."""
    return records.read_daemons((yield Dump(Command.GET_DAEMON, "daemon")))


def start_daemon(daemon: Daemon) -> Steps[None]:
    """Start a synchronisation daemon."""
    try:
        yield Ask(Command.NEW_DAEMON, daemon=records.daemon_record(daemon))
    except KernelError as refusal:
        refusal.daemon = daemon
        raise


def stop_daemon(role: str | int, timeout: float) -> Steps[None]:
    """Stop a synchronisation daemon; silence is settled by looking."""
    wait = min(timeout, DAEMON_STOP_TIMEOUT)
    try:
        yield Ask(Command.DEL_DAEMON, timeout=wait, daemon=records.daemon_key(role))
    except LinkError as lost:
        if lost.errno != _errno.ETIMEDOUT or any(daemon.role == role for daemon in (yield from daemons())):
            raise
