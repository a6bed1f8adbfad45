"""Hypothesis strategies of whole tables that a kernel takes, over few keys, so that two tables have much in common."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ipvsnl.consts import AF_INET, AF_INET6, SVC_F_SCHED1, SVC_F_SCHED2, SVC_F_SCHED3
from ipvsnl.model import Destination, Entry, Service
from ipvsnl.tables.table import normal_server, normal_service

Servers = list[Destination]
Tables = dict[Service, Servers]

ANCHOR = Service("tcp", "192.0.2.1", 80)
ANCHORED = Destination("10.9.9.9", 8080, "masq")
"""A service and its server that a test may want in every table: a connection to it outlives every edit."""
KEYS = [
    Service("tcp", "192.0.2.1", 443),
    Service("tcp", "192.0.2.1", 0, persistence=60),
    Service("udp", "192.0.2.1", 53),
    Service("sctp", "192.0.2.2", 5060),
    Service("tcp", "2001:db8::1", 80),
    Service("udp", "2001:db8::1", 53),
    Service(fwmark=7),
    Service(fwmark=7, family=AF_INET6),
    Service(fwmark=2**32 - 1),
]
FOUR = [("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.2", 8080), ("10.0.0.3", 0)]
SIX = [("fd00::1", 80), ("fd00::2", 80), ("fd00::2", 8080)]
SCHEDULERS = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"]
FLAGS = [0, SVC_F_SCHED1, SVC_F_SCHED2, SVC_F_SCHED1 | SVC_F_SCHED3]


def edited(key: Service) -> SearchStrategy[Service]:
    """A service of that key, with any fields that are no key."""
    masks = st.integers(1, 128) if key.family == AF_INET6 else st.sampled_from(["255.255.255.0", "255.255.255.255"])
    return st.builds(
        key.replace,
        scheduler=st.sampled_from(SCHEDULERS),
        flags=st.sampled_from(FLAGS),
        one_packet=st.booleans() if key.protocol == "udp" else st.just(False),
        persistence=st.integers(1, 3600) if key.persistence else st.none() | st.integers(1, 3600),
        netmask=st.none() | masks,
        persistence_engine=st.sampled_from(["", "sip"]) if key.protocol == "udp" else st.just(""),
    )


@st.composite
def server(draw: st.DrawFn, key: tuple[str, int], family: int) -> Destination:
    """A server of that key in a service of that family, with any fields that are no key."""
    address, port = key
    mixed = (":" in address) is not (family == AF_INET6)
    forwarding = "tunnel" if mixed else draw(st.sampled_from(["masq", "route", "tunnel", "local", "bypass"]))
    kind = draw(st.sampled_from(["ipip", "gue", "gre"])) if draw(st.booleans()) else "ipip"
    upper = draw(st.sampled_from([0, 0, 10, 2**31 - 1]))
    return Destination(
        address, port, forwarding, draw(st.sampled_from([0, 1, 1, 2, 65536])), upper, draw(st.integers(0, min(upper, 5))),
        kind, draw(st.sampled_from([6080, 6081])), draw(st.sampled_from([0, 1, 2])),
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, *, anchored: bool = False) -> Tables:
    """A table; ``anchored``: with the anchor."""
    table: Tables = {}
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        family = AF_INET6 if key.family == AF_INET6 else AF_INET
        keys = draw(st.lists(st.sampled_from(FOUR + SIX if draw(st.booleans()) else (FOUR, SIX)[family == AF_INET6]),
                             unique=True))  # fmt: skip
        table[draw(edited(key))] = [draw(server(one, family)) for one in keys]
    if anchored:
        anchor = draw(edited(ANCHOR))
        more = [draw(server(one, AF_INET)) for one in draw(st.lists(st.sampled_from(FOUR), unique=True))]
        at = draw(st.integers(0, len(more)))
        table[anchor] = [*more[:at], draw(server(ANCHORED.key, AF_INET)), *more[at:]]
    return table


def meaning(table: Tables | Sequence[Entry]) -> dict[Service, set[Destination]]:
    """A table or a snapshot, as what it means: in one spelling, without order."""
    if not isinstance(table, dict):
        table = {entry.service: [one.destination for one in entry.destinations] for entry in table}
    return {normal_service(service): {normal_server(one) for one in servers} for service, servers in table.items()}


def exact(entries: Sequence[Entry]) -> dict[Service, set[Destination]]:
    """A snapshot to the last field, without order."""
    return {entry.service: {one.destination for one in entry.destinations} for entry in entries}
