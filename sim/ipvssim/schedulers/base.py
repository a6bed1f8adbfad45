"""The one shape of a scheduler.

A scheduler is pure: no clock, no packets, no logging. It is made for one virtual service from that service's list of
real servers, is told of every change, and picks. The hooks are the kernel's (``struct ip_vs_scheduler``,
include/net/ip_vs.h, Linux 6.1), and ``loaded``, by which a pick need not scan what the kernel scans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipvssim.table import RealServer, VirtualService


class Flow:
    """What a scheduler may look at of the packet: addresses in network order (4 or 16 bytes), ports in host order.

    For a packet that is scheduled on behalf of an ICMP error, client and destination are those of the quoted packet's
    reply direction, as the kernel's schedulers see them. ``now`` is in jiffies.
    """

    __slots__ = ("client", "client_port", "destination", "destination_port", "now", "protocol")

    def __init__(
        self, protocol: int, client: bytes, client_port: int, destination: bytes, destination_port: int, now: int = 0
    ) -> None:
        self.protocol = protocol
        self.client = client
        self.client_port = client_port
        self.destination = destination
        self.destination_port = destination_port
        self.now = now


class Scheduler:
    """Base of the schedulers. A subclass has ``NAME`` and :meth:`pick`; the hooks do nothing unless overridden."""

    NAME = ""

    def __init__(self, service: VirtualService) -> None:
        """Start from ``service.servers()`` as they are. ValueError refuses the service (the kernel's EINVAL)."""
        self.service = service

    def added(self, server: RealServer) -> None:
        """``server`` was put at the head of the list."""

    def removed(self, server: RealServer) -> None:
        """``server`` left the list (it is in the trash now)."""

    def edited(self, server: RealServer) -> None:
        """Weight, thresholds or forwarding of ``server`` were written, changed or not."""

    def loaded(self, server: RealServer) -> None:
        """Its connection counts or its overload mark changed."""

    def pick(self, flow: Flow) -> RealServer | None:
        """The server for a new connection; None where there is none to have."""
        raise NotImplementedError

    def close(self) -> None:
        """The service is gone or got another scheduler: let go of servers held beyond their deletion."""
