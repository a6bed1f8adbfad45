"""What is told of a capture that was played: as text, and in JSON's types."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from textwrap import indent
from typing import TYPE_CHECKING, Any

from ipvsnl.address import shown
from ipvssim.clock import SECOND
from ipvssim.doors.captures.sides import Role

if TYPE_CHECKING:
    from ipvssim.doors.captures.counts import Captured
    from ipvssim.doors.captures.flows import Flow, Verdict

_FLOWS = '\n  "flows": ['


def lines(counts: Captured) -> Iterator[str]:
    """A line a flow, the servers' totals, the comparison, and the packets' reasons."""
    for flow in counts.flows.all:
        yield f"flow {flow.number}: {_flow(flow)}"
    for server, totals in _servers(counts).items():
        yield (
            f"server {server}: {_many(totals['flows'], 'flow')}, {_many(totals['packets_in'], 'packet')} in "
            f"({totals['bytes_in']} bytes), {totals['packets_back']} back ({totals['bytes_back']} bytes)"
        )
    yield from _comparison(counts)
    yield f"{_many(counts.received, 'packet')} came in, {counts.sent} left"
    for reason, number in counts.reasons.most_common():
        yield f"  {number:>8}  {reason}"
    for role in Role:
        if counts.left[role]:
            yield f"  {counts.left[role]:>8}  not played: {role.value}"
    if counts.other:
        yield f"  {counts.other:>8}  not played: no IP packet"
    yield from _notes(counts)


def as_json(counts: Captured, error: str = "") -> Iterator[str]:
    """The same as JSON, in pieces: a million flows make a text that is much larger than they are."""
    verdicts = counts.flows.compare()
    whole = json.dumps(_frame(counts, verdicts, error), indent=2)
    before, found, behind = whole.partition(_FLOWS)
    yield before + found
    by_number = {one.flow.number: one for one in verdicts}
    for flow in counts.flows.all:
        comma = "," if flow.number > 1 else ""
        yield f"{comma}\n" + indent(json.dumps(_row(flow, by_number.get(flow.number)), indent=2), "    ")
    yield ("\n  " if counts.flows.all else "") + behind


def _row(flow: Flow, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "number": flow.number, "protocol": flow.protocol_name, "client": shown(*flow.client),
        "virtual": shown(*flow.virtual), "server": shown(*flow.server) if flow.server is not None else None,
        "scheduler": flow.scheduler or None, "reason": flow.reason, "began": flow.began / SECOND,
        "packets_in": flow.in_packets, "bytes_in": flow.in_bytes,
        "packets_back": flow.back_packets, "bytes_back": flow.back_bytes,
        "states": flow.states, "end": flow.end,
        "captured": verdict.director if verdict is not None else None,
        "agrees": verdict.agrees if verdict is not None else None,
    }  # fmt: skip


def _frame(counts: Captured, verdicts: list[Verdict], error: str) -> dict[str, Any]:
    """All but the flows."""
    agree = sum(one.agrees for one in verdicts)
    assumed = {mac.hex(":"): shown(address, 0).removesuffix(":0") for mac, address in counts.flows.assumed.items()}
    return {
        "packets": {
            "in": counts.received, "out": counts.sent, "no_ip": counts.other, "cut": counts.cut,
            "merged": counts.merged, "turned": counts.turned, "restored": counts.restored,
            "not_played": {role.name.lower(): counts.left[role] for role in Role if counts.left[role]},
        },
        "seconds": counts.seconds,
        "reasons": dict(counts.reasons.most_common()),
        "flows": [],
        "servers": _servers(counts),
        "comparison": {"compared": len(verdicts), "agree": agree, "differ": len(verdicts) - agree, "assumed": assumed},
        "error": error or None,
    }  # fmt: skip


def _flow(flow: Flow) -> str:
    packets = f"{_many(flow.in_packets, 'packet')} in, {flow.back_packets} back"
    if flow.server is None:
        return f"{flow.name}: {flow.reason}; {packets}"
    scheduler = f" ({flow.scheduler})" if flow.scheduler else ""
    states = "".join(f", {state}" for state in flow.states)
    return f"{flow.name} to {shown(*flow.server)}{scheduler}; {packets}{states}; {flow.end}"


def _servers(counts: Captured) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for flow in counts.flows.all:
        if flow.server is not None:
            totals = found.setdefault(shown(*flow.server), Counter())
            totals["flows"] += 1
            totals["packets_in"] += flow.in_packets
            totals["bytes_in"] += flow.in_bytes
            totals["packets_back"] += flow.back_packets
            totals["bytes_back"] += flow.back_bytes
    return found


def _comparison(counts: Captured) -> Iterator[str]:
    verdicts = counts.flows.compare()
    agree = sum(one.agrees for one in verdicts)
    scheduled = sum(flow.server is not None for flow in counts.flows.all)
    if verdicts:
        both = f"{agree} of {_many(len(verdicts), 'flow')} agree, {len(verdicts) - agree} differ"
        yield f"compared with the capture's director: {both}"
    if verdicts and scheduled > len(verdicts):
        yield f"  {_many(scheduled - len(verdicts), 'flow')}: the capture does not show where its director sent them"
    for one in verdicts:
        if not one.agrees and one.flow.server is not None:
            server = shown(*one.flow.server)
            yield f"  flow {one.flow.number}: the capture's director sent it to {one.director}, the twin to {server}"
    for mac, address in counts.flows.assumed.items():
        server = shown(address, 0).removesuffix(":0")
        yield f"  {mac.hex(':')} is taken to be {server}, {counts.flows.assumed_by} (--server-mac tells it)"


def _notes(counts: Captured) -> Iterator[str]:
    if counts.cut:
        yield f"{_many(counts.cut, 'packet')} kept only in part: filled up with zeros"
    if counts.merged:
        yield f"{_many(counts.merged, 'packet')} longer than the MTU: merged by a network card; no MTU was kept to"
    if counts.turned:
        yield f"{_many(counts.turned, 'answer')} of another server than the twin's: given as from the twin's"
    if counts.restored:
        yield f"{_many(counts.restored, 'answer')} seen only behind the director: given as its server had sent them"
    if counts.left[Role.OWN] and not counts.flows.all:
        yield "the director's own clients are captured behind the translation: nothing tells whom they had asked"
    elif counts.received and not counts.flows.all:
        yield "no packet goes to a virtual address of the rules: is it a capture of their director?"


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"
