"""Clients that come back when the server of their long connection goes (``reconnect`` of a stream)."""

from __future__ import annotations

import numpy as np

from ipvssim.lab.run.traffic import Traffic
from ipvssim.lab.run.wires import ACK, DATA, OPEN, Template
from ipvssim.net.packets import SCTP, TCP

_PORTS = 64000
_FURTHER = 32003
"""To a port that the client has not had, unless it made half as many connections as there are ports."""


def under_way(traffic: Traffic, now: int) -> list[int]:
    """The connections that have begun and not ended, of streams whose clients come back."""
    found: list[int] = []
    for flows in traffic.flows:
        if flows.stream.reconnect:
            open_ = np.flatnonzero((flows.opened < now) & (flows.closed > now))
            found += (open_ + flows.first).tolist()
    return found


def packets(traffic: Traffic, flow: int) -> list[bytes]:
    """A last packet of the old connection, and those that open the next, from another port (as later ones are)."""
    flows = next(one for one in traffic.flows if one.first <= flow < one.first + len(one))
    own = slice(flow - flows.first, flow - flows.first + 1)
    address = flows.addresses[flows.client[own]]
    last = Template(flows.end, DATA).packets(address, flows.port[own])
    traffic.moved.append(flow)
    flows.port[own] = 1024 + (flows.port[own] - 1024 + _FURTHER) % _PORTS
    kinds = (OPEN, ACK) if flows.end.protocol in (TCP, SCTP) else (OPEN,)
    return last + [one for kind in kinds for one in Template(flows.end, kind).packets(address, flows.port[own])]
