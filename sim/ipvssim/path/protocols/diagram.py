"""The state machines drawn as a document: ``python -m ipvssim.path.protocols.diagram > docs/inside/state-machines.md``."""

from __future__ import annotations

from collections.abc import Sequence

from ipvssim.path.protocols import sctp, tcp, udp
from ipvssim.path.protocols.machine import DIRECTIONS, Tables
from ipvssim.path.protocols.sctp import Sctp
from ipvssim.path.protocols.tcp import Tcp

_INTRODUCTION = """\
# State machines

Drawn from the tables in `sim/ipvssim/path/protocols` by `python -m ipvssim.path.protocols.diagram`; a test holds this page
to them.

Directions: *input* is what clients send, *output* what servers answer through the director, *input only* what clients send
while no answer is expected to pass (direct routing, tunnels, local servers; the first answer that does pass ends that).
A dot leaves the state as it is.
"""


def markdown() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    parts += _machine("TCP", tcp.STATES, tcp.TIMEOUTS, tcp.EVENTS, Tcp.NORMAL)
    parts.append("The event is the first flag that is set of RST, SYN, FIN, ACK.")
    parts.append("`ipvsadm --set` changes the timeouts of ESTABLISHED and FIN_WAIT.\n")
    parts += _tables("TCP with `secure_tcp`", tcp.STATES, tcp.EVENTS, Tcp.SECURE)
    parts += _machine("SCTP", sctp.STATES, sctp.TIMEOUTS, sctp.EVENTS, Sctp.TABLE)
    parts.append("The event is the type of the first chunk; SACK, heartbeats, ECN and unknown types count as data.\n")
    parts.append(f"## UDP\n\nOne state, {udp.TIMEOUTS[0]} s.\n")
    parts.append("## AH and ESP\n\nNone: they follow the UDP connection 500 to 500 of the same addresses.\n")
    return "\n".join(parts)


def _machine(
    name: str, states: Sequence[str], seconds: Sequence[int], events: Sequence[str], tables: Tables
) -> list[str]:
    rows = ["| state | seconds |", "| --- | --- |", *(f"| {s} | {t} |" for s, t in zip(states, seconds, strict=True))]
    return [
        f"## {name}\n",
        "\n".join(rows) + "\n",
        *_tables(name, states, events, tables),
        _graph(states, events, tables),
    ]


def _tables(name: str, states: Sequence[str], events: Sequence[str], tables: Tables) -> list[str]:
    parts = []
    for direction, table in zip(DIRECTIONS, tables, strict=True):
        rows = [f"| state | {' | '.join(events)} |", f"|{' --- |' * (len(events) + 1)}"]
        for state, label in enumerate(states):
            cells = [states[row[state]] if row[state] != state else "·" for row in table]
            rows.append(f"| {label} | {' | '.join(cells)} |")
        parts += [f"### {name}: {direction}\n", "\n".join(rows) + "\n"]
    return parts


def _graph(states: Sequence[str], events: Sequence[str], tables: Tables) -> str:
    """The input direction as a diagram (Mermaid)."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for event, row in zip(events, tables[0], strict=True):
        for state, following in enumerate(row):
            if following != state:
                arrows.setdefault((states[state], states[following]), []).append(event)
    text = [f"    {_id(old)} --> {_id(new)}: {', '.join(why)}" for (old, new), why in arrows.items()]
    return "\n".join(
        ["<!-- sketch: a drawing of the table above -->", "```mermaid", "stateDiagram-v2", *text, "```", ""]
    )


def _id(state: str) -> str:
    return state.replace("-", "_")


if __name__ == "__main__":
    print(markdown(), end="")
