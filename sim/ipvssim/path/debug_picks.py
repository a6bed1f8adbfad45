"""What the kernel's schedulers write to its log when they pick (net/netfilter/ipvs/ip_vs_*.c, Linux 6.1.176).

A scheduler itself is pure and writes nothing: it is asked for its pick and its state beforehand.
"""

from __future__ import annotations

from collections.abc import Callable

from ipvsnl.address import shown
from ipvssim.schedulers import Flow, Scheduler
from ipvssim.schedulers._ranked import LeastOverhead, overhead
from ipvssim.schedulers.mh import F_PORT
from ipvssim.state.debug_log import DebugLog, address_text
from ipvssim.state.procfs import protocol_name
from ipvssim.state.services import RealServer, VirtualService

LEVEL = 6
_Words = Callable[[Scheduler, Flow, RealServer], list[str]]


def tell_pick(log: DebugLog, service: VirtualService, flow: Flow) -> None:
    """The lines of the pick that comes next."""
    scheduler, name = service.scheduler, service.scheduler_name
    if scheduler is None or name not in _WORDS:
        return
    log.debug(LEVEL, f"ip_vs_{name}_schedule{' ' if name == 'mh' else '()'}: Scheduling...")
    if name == "lblcr":
        _tell_best(log, service, scheduler, flow)
    picked = scheduler.peek(flow)
    if picked is None:
        log.limited_error(f"{name}: {_name(service)} - no destination available{_why(service)}")
        return
    for line in _WORDS[name](scheduler, flow, service.destinations[picked.address, picked.port]):
        log.debug(LEVEL, line)


def _tell_best(log: DebugLog, service: VirtualService, scheduler: Scheduler, flow: Flow) -> None:
    """lblcr looks at the least loaded of the destination's set first."""
    best = scheduler.state(flow)["best"]
    for server in service.servers():
        if server.endpoint == best:
            log.debug(LEVEL, _load("ip_vs_dest_set_min():", scheduler, server))


def _name(service: VirtualService) -> str:
    if service.fwmark:
        return f"FWM {service.fwmark} 0x{service.fwmark:08X}"
    return f"{protocol_name(service.protocol)} {shown(service.address, service.port)}"


def _why(service: VirtualService) -> str:
    """wrr tells that its servers are there, but full."""
    if service.scheduler_name == "wrr" and any(server.weight > 0 for server in service.servers()):
        return ": all destinations are overloaded"
    return ""


def _counts(server: RealServer) -> str:
    return f"server {server.endpoint} activeconns {server.active} refcnt {server.references} weight {server.weight}"


def _load(start: str, scheduler: Scheduler, server: RealServer) -> str:
    """The overhead as the scheduler counts it; sed and nq count one active connection more, and nothing else."""
    load = overhead(server, scheduler.cost) if isinstance(scheduler, LeastOverhead) else server.active + 1
    return f"{start} {_counts(server)} overhead {load}"


def _turn(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del flow
    return [f"{scheduler.NAME.upper()}: {_counts(server)}"]


def _loaded(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del flow
    return [_load(f"{scheduler.NAME.upper()}:", scheduler, server)]


def _lc(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del scheduler, flow
    return [f"LC: server {server.endpoint} activeconns {server.active} inactconns {server.inactive}"]


def _fo(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del scheduler, flow
    return [f"FO: server {server.endpoint} activeconns {server.active} weight {server.weight}"]


def _ovf(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del scheduler, flow
    return [f"OVF: server {server.endpoint} active {server.active} w {server.weight}"]


def _by_destination(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    name = scheduler.NAME.upper()
    return [f"{name}: destination IP address {address_text(flow.destination)} --> server {server.endpoint}"]


def _sh(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    del scheduler
    return [f"SH: source IP address {address_text(flow.client)} --> server {server.endpoint}"]


def _mh(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    port = flow.client_port if scheduler.service.flags & F_PORT else 0
    return [f"MH: source IP address {address_text(flow.client)}:{port} --> server {server.endpoint}"]


def _cached(scheduler: Scheduler, flow: Flow, server: RealServer) -> list[str]:
    """lblc and lblcr: whether the destination's own server serves, or the least loaded of all is taken."""
    state = scheduler.state(flow)
    known = state["serves"] if "serves" in state else state["best"] is not None and not state["too_much"]
    return ([] if known else _loaded(scheduler, flow, server)) + _by_destination(scheduler, flow, server)


_WORDS: dict[str, _Words] = {
    "rr": _turn, "wrr": _turn, "lc": _lc, "wlc": _loaded, "sed": _loaded, "nq": _loaded, "fo": _fo, "ovf": _ovf,
    "dh": _by_destination, "sh": _sh, "mh": _mh, "lblc": _cached, "lblcr": _cached,
}  # fmt: skip
