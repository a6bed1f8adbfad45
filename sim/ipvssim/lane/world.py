"""Whether the lane may decide anything at all just now, and by which rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipvsnl.consts import AF_INET
from ipvssim.clock import Clock
from ipvssim.lane.native import ffi
from ipvssim.net.network import LOOPBACK, Network
from ipvssim.path.connections import DIRECT, F_ALIVE, F_INACTIVE, F_NO_OUTPUT, MASQUERADE
from ipvssim.path.director import Director
from ipvssim.path.protocols import Tcp, Udp, tcp, udp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvssim.state.namespace import Namespace

_DEFAULTS: Final = (
    "backup_only", "conntrack", "drop_entry", "drop_packet", "expire_nodest_conn", "nat_icmp_send",
)  # fmt: skip
"""Tunables that must be 0: the others either have no say in what the lane does, or stand in its rules."""
_MOST: Final = 0xFFFFFFFF


def is_plain(director: Director) -> bool:
    """Whether nobody watches, nothing is tracked or helped, and the host is as the lane knows it."""
    namespace, table, network = director.namespace, director.connection_table, director.network
    return (
        type(director) is Director
        and type(director.clock) is Clock
        and type(network).path is Network.path
        and any(device.kind != LOOPBACK for device in network.devices.values())
        and not director.explaining
        and not director.tracker.on
        and all(one is None for one in (table.made_as, table.memory, table.log, table.on_load))
        and not table.waiting
        and table.flags_of_new == F_ALIVE
        and all(one is None for one in (director.inbound.log, director.outbound.log, director.inbound.synced))
        and not any(getattr(director.sysctls, name) for name in _DEFAULTS)
        and _is_modelled(namespace)
    )


def _is_modelled(namespace: Namespace) -> bool:
    behaviours = namespace.behaviours
    grows = behaviours.tables_grow or behaviours.conn_max
    if namespace.table.rerouted:
        return False
    return not grows and namespace.log is None and not namespace.table.engine_services


def rules(director: Director) -> Any:
    """The rules as the lane takes them; None where it can't: a machine is not the kernel's, a timeout no jiffies."""
    machine, other = director.accounts.machines[tcp.NUMBER], director.accounts.machines[udp.NUMBER]
    if type(machine) is not Tcp or type(other) is not Udp or machine.log is not None:
        return None
    clock = director.clock
    seconds, length = jiffies(machine.timeouts, clock), jiffies(other.timeouts, clock)
    if seconds is None or length is None:
        return None
    behaviours = director.namespace.behaviours
    made = ffi.new("struct lane_rules *")
    made.tcp = machine.tables
    made.event = tcp.EVENT_OF_FLAGS
    made.active = [state in machine.active for state in range(len(tcp.STATES))]
    made.tcp_timeout, made.udp_timeout = seconds, length[0]
    made.flags_of_new, made.inactive, made.no_output = F_ALIVE, F_INACTIVE, F_NO_OUTPUT
    made.masquerade, made.direct = MASQUERADE, DIRECT
    made.time_wait, made.closed, made.fin_wait = tcp.TIME_WAIT, tcp.CLOSE, tcp.FIN_WAIT
    made.reuse = director.sysctls.conn_reuse_mode & 3 or bool(director.sysctls.conn_reuse_mode)
    made.recomputes = behaviours.overload_by_all
    made.routed_replies = behaviours.routed_replies
    made.forwards = director.network.forwards[AF_INET]
    made.born, made.jiffy = clock.born, clock.jiffy
    made.active_cost = 257 if behaviours.overload_by_all else 256
    return made


def jiffies(timeouts: Iterable[int], clock: Clock) -> list[int] | None:
    """Timeouts in jiffies of the clock; None where one is no whole number of them, or too long for the lane."""
    found = [divmod(one, clock.jiffy) for one in timeouts]
    return None if any(rest or not 0 < whole <= _MOST for whole, rest in found) else [whole for whole, _ in found]
