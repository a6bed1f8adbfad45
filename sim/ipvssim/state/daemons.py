"""The synchronisation daemons of a namespace: when one may start, and what it reports.

``start_sync_thread`` and what it calls in net/netfilter/ipvs/ip_vs_sync.c, Linux 6.1.
"""

from __future__ import annotations

from errno import EADDRNOTAVAIL, EEXIST, EINVAL, ENETUNREACH, ENODEV, ESRCH
from os import strerror
from typing import NamedTuple

from ipvssim.net.network import LOOPBACK, Device, Network

MASTER, BACKUP = 1, 2
DEFAULT_GROUP = bytes((224, 0, 0, 81))
DEFAULT_PORT = 8848
DEFAULT_TTL = 1
_LEAST_BACKUP, _ETHERNET_MTU, _LARGEST = 1024, 1500, 65535


class Daemon(NamedTuple):
    """One running daemon: ``interface`` as text bytes, ``group`` 4 or 16 bytes, ``max_length`` in bytes."""

    role: int
    interface: bytes
    sync_id: int
    max_length: int
    group: bytes
    port: int
    ttl: int


class Daemons:
    """The daemons of one namespace, at most one a role."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._running: dict[int, Daemon] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def running(self) -> list[Daemon]:
        """Those that run: the master first."""
        return [self._running[role] for role in (MASTER, BACKUP) if role in self._running]

    def restore(self, daemon: Daemon) -> None:
        """Put back one that was running, unchecked."""
        self._running[daemon.role] = daemon

    def start(self, wanted: Daemon) -> None:
        """Start one; zero and empty fields take the defaults. OSError with the kernel's errno where it can't start."""
        group = wanted.group or DEFAULT_GROUP
        device = self._network.find_device(wanted.interface.decode("latin-1"))
        if device is None:
            raise _refusal(ENODEV)
        if wanted.role not in (MASTER, BACKUP):
            raise _refusal(EINVAL)
        if wanted.role in self._running:
            raise _refusal(EEXIST)
        if wanted.role == MASTER:
            self._reach(device, group)
        self._running[wanted.role] = wanted._replace(
            group=group,
            port=wanted.port or DEFAULT_PORT,
            ttl=wanted.ttl or DEFAULT_TTL,
            max_length=_message_length(wanted.role, wanted.max_length, device.mtu, 28 if len(group) == 4 else 48),
        )

    def stop(self, role: int) -> None:
        """Stop one; OSError(EINVAL) for a number that is no role, OSError(ESRCH) where it does not run."""
        if role not in (MASTER, BACKUP):
            raise _refusal(EINVAL)
        if self._running.pop(role, None) is None:
            raise _refusal(ESRCH)

    def _reach(self, device: Device, group: bytes) -> None:
        """A master connects a socket to the group: that takes a device that is up, and for IPv6 an address on it."""
        if not device.up or (device.kind == LOOPBACK and len(group) == 16):
            raise _refusal(ENETUNREACH)
        if len(group) == 16 and not any(len(own) == 16 for own, _ in device.addresses):
            raise _refusal(EADDRNOTAVAIL)


def _message_length(role: int, wanted: int, mtu: int, headers: int) -> int:
    if role == MASTER:
        return min(max(wanted, 1), _LARGEST - headers) if wanted else _ETHERNET_MTU - headers
    if wanted:
        return min(max(wanted, _LEAST_BACKUP), _LARGEST - headers)
    return min(max(mtu, _ETHERNET_MTU), _LARGEST) - headers


def _refusal(number: int) -> OSError:
    return OSError(number, strerror(number))
