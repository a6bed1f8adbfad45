"""What would become of a packet if something were otherwise: asked of a copy, so that nothing comes of it.

director ─► copy ─► receive                 what happens
         └► copy ─► change ─► receive       what would

"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ipvssim.path.changes import Change, Question, ask, met, read
from ipvssim.path.explain import explain, packet_text
from ipvssim.schedulers._base import label

if TYPE_CHECKING:
    from ipvssim.path.director import Director
    from ipvssim.path.result import Result

_MOST = 16
"""So many servers are tried of themselves."""
_OTHER_VALUES = {"conn_reuse_mode": ("0", "1", "2"), "drop_packet": ("0",), "drop_entry": ("0",)}
"""What is tried of tunables that are more than switches; of the rest 0 and 1."""
_SWITCHES = frozenset((
    "backup_only", "cache_bypass", "conntrack", "expire_nodest_conn", "expire_quiescent_template", "ignore_tunneled",
    "nat_icmp_send", "pmtu_disc", "schedule_icmp", "sloppy_sctp", "sloppy_tcp", "snat_reroute",
))  # fmt: skip


class Why(NamedTuple):
    """The answer: what happens to a packet, what would if something were otherwise, and what else would change that.

    ``changed`` is None unless changes were asked for (``asked``, in words). ``would`` are those of the obvious changes that
    make a difference, each in words and with its result; they are sought only where none was asked for. ``untried`` counts
    servers that were too many to be tried.
    """

    result: Result
    asked: str = ""
    changed: Result | None = None
    would: tuple[tuple[str, Result], ...] = ()
    untried: int = 0

    def lines(self) -> list[str]:
        """As prose, a sentence a line."""
        said = [f"{_packet(self.result)}: {outcome(self.result)}.", *_sentences(self.result)]
        if self.changed is not None:
            same = fate(self.changed) == fate(self.result)
            how = "nothing would change" if same else outcome(self.changed)
            said += ["", f"If {self.asked}: {how}.", *([] if same else _sentences(self.changed))]
            return said
        if self.would:
            said += ["", "What would change that:"]
            said += [f"  {words}: {outcome(result)}." for words, result in self.would]
        else:
            said += ["", "No server's weight or threshold, and no tunable that was asked, would change that."]
        if self.untried:
            said.append(f"  (Of the servers that take nothing, {self.untried} were not tried.)")
        return said

    def as_json(self) -> dict[str, Any]:
        """In JSON's types: each result as :func:`ipvssim.path.explain.explain` tells it, with ``outcome`` in words."""
        told: dict[str, Any] = {"outcome": outcome(self.result), **explain(self.result)}
        if self.changed is not None:
            told["if"] = {
                "changes": self.asked, "differs": fate(self.changed) != fate(self.result),
                "outcome": outcome(self.changed), **explain(self.changed),
            }  # fmt: skip
        else:
            told["would_change"] = [
                {"changes": words, "outcome": outcome(result), **explain(result)} for words, result in self.would
            ]
        return told


def why(director: Director, question: Question, changes: Sequence[Change] = ()) -> Why:
    """What happens to a packet and why. The director stays as it is."""
    result = ask(director, question)
    if changes:
        changed = ask(director, question, changes)
        return Why(result, " and ".join(change.words for change in changes), changed)
    found, untried = [], 0
    for change in obvious(result):
        if change is None:
            untried += 1
            continue
        other = ask(director, question, (change,))
        if fate(other) != fate(result):
            found.append((change.words, other))
    return Why(result, would=tuple(found), untried=untried)


def obvious(result: Result) -> Iterator[Change | None]:
    """The changes that suggest themselves: a server of the packet's service that takes nothing would, and a tunable that was
    read on its way would have another value. None stands for a server too many."""
    service = met(result)
    idle = [server for server in service.servers() if not server.weight or server.overloaded] if service else []
    for number, server in enumerate(idle):
        if number >= _MOST:
            yield None
            continue
        weight = f" weight={server.last_weight or 1}" if not server.weight else ""
        yield read(f"server {label(server)}{weight}{' upper=0' if server.overloaded else ''}")
    for name, value in result.consulted.items():
        others = _OTHER_VALUES.get(name, ("0", "1") if name in _SWITCHES else ())
        for other in others:
            if other != value:
                yield read(f"sysctl {name}={other}")


def fate(result: Result) -> tuple[object, ...]:
    """What is compared of two results: verdict, reason, server, what left by which device, and whether a known connection
    went on."""
    return (
        result.verdict, result.reason, label(result.server), tuple(device for device, _ in result.out), result.opened,
    )  # fmt: skip


def outcome(result: Result) -> str:
    """What became of a packet, in few words."""
    verdict, reason, connection = result.verdict.value, result.reason, result.connection
    answered = ", and the sender is told by ICMP" if verdict == "drop" and result.out else ""
    if verdict == "forward":
        if reason == "reply":
            return "a reply, it goes to the client"
        return f"it goes to {label(result.server)} ({reason})" if connection is not None and result.server else (
            f"it is passed on ({reason})"
        )  # fmt: skip
    words = {"local": "the host itself gets it", "drop": "it is dropped", "held": "it waits for the rest"}[verdict]
    return f"{words} ({reason}){answered}"


def _packet(result: Result) -> str:
    return packet_text(result.packet) if result.packet is not None else "The bytes"


def _sentences(result: Result) -> list[str]:
    return [f"  {sentence}." for sentence in result.why]
