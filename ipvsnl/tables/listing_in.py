"""A pasted listing as a wanted table."""

from __future__ import annotations

from ipvsnl.tables.table import Table
from ipvsnl.text import listed

_WORDS = {
    "scheduler": "schedulers", "flags": "scheduler flags", "one_packet": "one-packet scheduling",
    "persistence": "persistence", "forwarding": "forwarding methods", "weight": "weights", "tunnel_type": "tunnels",
    "upper_threshold": "thresholds",
}  # fmt: skip


def read(text: str, source: str = "") -> Table:
    """The table; RuleError names the line that is none of a listing's, TableError one that is there twice."""
    found = listed.read(text)
    table = Table(source)
    for number, service, server in found.rows:
        if server is None:
            table.add_service(service, number)
        else:
            table.add_server(service, server, number)
    table.unsaid = found.unsaid
    table.notes.append(unsaid_note("this listing", [word for field, word in _WORDS.items() if field in said(table)]))
    return table


def said(table: Table) -> frozenset[str]:
    """All fields that a table does not tell."""
    return table.unsaid[0] | table.unsaid[1]


def unsaid_note(what: str, words: list[str]) -> str:
    """What a format does not tell, and what that means."""
    return f"{what} does not tell {', '.join(words)}: live ones stay as they are, new ones take the defaults"
