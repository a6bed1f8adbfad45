"""How SCTP associations are tracked (net/netfilter/nf_conntrack_proto_sctp.c, Linux 6.1)."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import Behaviours
from ipvssim.net.checksums import crc32c
from ipvssim.net.packets import Packet
from ipvssim.path.tracking.entries import ORIGINAL, REPLY, Entries, Entry, Outcome

NONE: Final = 0
CLOSED: Final = 1
COOKIE_WAIT: Final = 2
COOKIE_ECHOED: Final = 3
ESTABLISHED: Final = 4
SHUTDOWN_SENT: Final = 5
SHUTDOWN_RECEIVED: Final = 6
SHUTDOWN_ACK_SENT: Final = 7
HEARTBEAT_SENT: Final = 8
HEARTBEAT_ACKED: Final = 9
_INVALID: Final = 10
_TIMEOUTS: Final[tuple[str, ...]] = (
    "", "closed", "cookie_wait", "cookie_echoed", "established", "shutdown_sent", "shutdown_recd", "shutdown_ack_sent",
    "heartbeat_sent", "heartbeat_acked",
)  # fmt: skip
"""What the tunables nf_conntrack_sctp_timeout_* end with, by state."""
_DATA: Final = 0
_INIT: Final = 1
_INIT_ACK: Final = 2
_HEARTBEAT: Final = 4
_HEARTBEAT_ACK: Final = 5
_ABORT: Final = 6
_SHUTDOWN: Final = 7
_SHUTDOWN_ACK: Final = 8
_ERROR: Final = 9
_COOKIE_ECHO: Final = 10
_COOKIE_ACK: Final = 11
_COMPLETE: Final = 14
_ROWS: Final = (
    _INIT, _INIT_ACK, _ABORT, _SHUTDOWN, _SHUTDOWN_ACK, _ERROR, _COOKIE_ECHO, _COOKIE_ACK, _COMPLETE, _HEARTBEAT,
    _HEARTBEAT_ACK,
)  # fmt: skip
_LETTERS: Final = "-CWEASRKHBx"
"""Of the states, in their order; x is invalid."""


def _table(*rows: str) -> dict[int, str]:
    return dict(zip(_ROWS, rows, strict=True))


_TABLES: Final = (
    _table(
        "CCWEACCKWB", "CCWEASRKCB", "CCCCCCCCCC", "CCWESSRKCS", "KCWEAKKKKB", "CCWEASRKCB", "CCEEASRKCB", "CCWAASRKCB",
        "CCWEASRCCB", "HCWEASRKHB", "CCWEASRKHB",
    ),
    _table(
        "xCWEASRKxB", "xWWEASRKxB", "xCCCCCCCxC", "xCWERSRKxR", "xCWEAKKKxB", "xCWCASRKxB", "xCEEASRKxB", "xCWAASRKxB",
        "xCWEASRCxB", "xCWEASRKHB", "xCWEASRKAB",
    ),
)  # fmt: skip
"""By side and kind of chunk: state to next state, as the newest kernels have them."""
_OLDER: Final = (
    ("sctp_paths", REPLY, _HEARTBEAT_ACK, "xCWEASRKBB"),
    ("sctp_shutdowns", ORIGINAL, _INIT, "CCWEASRKWB"),
    ("sctp_collisions", ORIGINAL, _COOKIE_ACK, "CCWEASRKCB"),
    ("sctp_collisions", REPLY, _COOKIE_ECHO, "xCWEASRKxB"),
)
"""The rows of kernels without a behaviour."""
_NO_ENTRY: Final = frozenset((_ABORT, _COMPLETE, _COOKIE_ACK))
_OWN_RULES: Final = frozenset(
    (_INIT, _COMPLETE, _COOKIE_ECHO, _ABORT, _SHUTDOWN_ACK, _HEARTBEAT, _HEARTBEAT_ACK)
)  # chunks whose verification tag is checked in their own way
_ALONE: Final = frozenset((_INIT, _INIT_ACK, _COMPLETE))
_FIRST: Final = frozenset((_COOKIE_ACK, _COOKIE_ECHO))
_REFLECTED: Final = 1
_NO_TAG: Final = bytes(4)


@mypyc_attr(allow_interpreted_subclasses=True)
class Rules(Part):
    """What of all this a kernel has: ``next`` is its states by side and kind of chunk."""

    __slots__ = ("collisions", "keeps", "next", "reflected", "shutdown_tags", "stale")

    def __init__(self, known: Behaviours) -> None:
        self.next = _states(frozenset(name for name, _, _, _ in _OLDER if not getattr(known, name)))
        self.keeps = known.sctp_inits_keep_time
        self.collisions = known.sctp_collisions
        self.stale = not known.sctp_stale_inits
        self.reflected = known.sctp_paths
        self.shutdown_tags = known.sctp_shutdown_tags


@cache
def _states(lacking: frozenset[str]) -> tuple[dict[int, tuple[int, ...]], ...]:
    """The states of kernels that lack these behaviours."""
    tables = [dict(table) for table in _TABLES]
    for name, side, kind, row in _OLDER:
        if name in lacking:
            tables[side][kind] = row
    return tuple({kind: tuple(map(_LETTERS.index, row)) for kind, row in table.items()} for table in tables)


class Chunk(NamedTuple):
    """A chunk: its type, its flags, and the tag that an INIT or an INIT ACK carries (empty where it is cut short)."""

    kind: int
    flags: int
    tag: bytes


@mypyc_attr(allow_interpreted_subclasses=True)
class Association(Part):
    """An association as it is tracked: the tag that packets of each side carry, and who has sent an INIT."""

    __slots__ = ("failed", "failed_side", "inits", "state", "tags")

    def __init__(self) -> None:
        self.state = NONE
        self.tags = [_NO_TAG, _NO_TAG]
        self.inits = [False, False]
        self.failed = False
        """Whether a heartbeat had another tag than its side's; ``failed_side`` is that side."""
        self.failed_side = ORIGINAL


class _RefusedError(Exception):
    """A chunk that does not belong."""


def follow(rules: Rules, entries: Entries, entry: Entry, which: int, packet: Packet, *, verified: bool) -> Outcome:
    """A packet of side ``which``: the entry's state and time after it. ``verified`` where its checksum need not be looked
    at."""
    data = packet.data[packet.offset :]
    if len(data) < 12 or not (verified or _is_sound(data)):
        return Outcome.INVALID
    chunks = _chunks(data)
    association, tag = entry.talk, data[4:8]
    assert isinstance(association, Association)
    if not chunks:
        return Outcome.INVALID
    kinds = {chunk.kind for chunk in chunks}
    if not entry.confirmed and (kinds & _NO_ENTRY or not _begin(rules, association, chunks, tag)):
        return Outcome.INVALID
    if not kinds & _OWN_RULES and tag != association.tags[which]:
        return Outcome.INVALID
    try:
        lasting = _take(rules, entry, association, which, chunks, tag)
    except _RefusedError:
        return Outcome.INVALID
    if lasting is not None:
        entries.refresh(entry, entries.sysctls.life(f"sctp_timeout_{_TIMEOUTS[lasting]}"))
    return Outcome.VALID


def _is_sound(data: bytes) -> bool:
    return crc32c(data[:8], b"\0\0\0\0", data[12:]).to_bytes(4, "little") == data[8:12]


def _chunks(data: bytes) -> list[Chunk]:
    """The packet's chunks; none where they may not stand together."""
    found: list[Chunk] = []
    at, alone = 12, False
    while at + 4 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 2 : at + 4], "big")
        alone = alone or kind in _ALONE
        if not size or (found and (alone or kind in _FIRST)):
            return []
        tag = data[at + 4 : at + 8] if len(data) >= at + 20 else b""
        found.append(Chunk(kind, data[at + 1], tag))
        at += size + 3 & ~3
    return found


def _begin(rules: Rules, association: Association, chunks: list[Chunk], tag: bytes) -> bool:
    """The first packet of an entry."""
    for chunk in chunks:
        if chunk.kind not in _ROWS:
            return False
        if chunk.kind == _INIT:
            if tag != _NO_TAG or not chunk.tag:
                return False
            association.tags[1] = chunk.tag
        elif chunk.kind == _HEARTBEAT:
            association.tags[0] = tag
        elif chunk.kind == _SHUTDOWN_ACK or not rules.shutdown_tags:
            association.tags[1] = tag
    return True


def _take(
    rules: Rules, entry: Entry, association: Association, which: int, chunks: list[Chunk], tag: bytes
) -> int | None:  # fmt: skip
    """Let every chunk act; the last state, by which the entry lives on, or None where its time goes on as it was."""
    state, ignored = NONE, False
    kinds = {chunk.kind for chunk in chunks}
    for chunk in chunks:
        if _is_failing_heartbeat(association, which, chunk, tag, ignored or _DATA in kinds):
            ignored = True
            continue
        _check_tag(rules, association, which, chunk, tag, ignored or _DATA in kinds)
        old = association.state
        row = rules.next[which].get(chunk.kind)
        state = row[old] if row is not None else old
        if state == _INVALID:
            raise _RefusedError
        if chunk.kind == _INIT:
            _note_init(rules, association, which, chunk, old)
            ignored = ignored or (rules.keeps and state == old == CLOSED and entry.confirmed)
        elif chunk.kind == _INIT_ACK:
            _note_init_ack(rules, association, which, chunk)
        association.state = state
    return None if ignored else state


def _is_failing_heartbeat(association: Association, which: int, chunk: Chunk, tag: bytes, strict: bool) -> bool:
    """Whether it is a heartbeat of another path: let through, and waited for its answer."""
    own = association.tags[which]
    if chunk.kind != _HEARTBEAT or own in (_NO_TAG, tag):
        return False
    if strict:
        raise _RefusedError
    association.failed, association.failed_side = True, which
    return True


def _check_tag(rules: Rules, association: Association, which: int, chunk: Chunk, tag: bytes, strict: bool) -> None:
    """The verification tag, by each chunk's own rule (RFC 4960, 8.5.1)."""
    tags, kind = association.tags, chunk.kind
    if kind == _INIT:
        wrong = tag != _NO_TAG
    elif kind in (_ABORT, _COMPLETE) and not rules.reflected:
        wrong = tag not in tags and (kind == _ABORT or bool(chunk.flags & _REFLECTED))
    elif kind in (_ABORT, _COMPLETE):
        wrong = tag != tags[1 - which if chunk.flags & _REFLECTED else which]
    elif kind == _COOKIE_ECHO:
        wrong = tag != tags[which]
    else:
        wrong = False
    if wrong:
        raise _RefusedError
    if kind == _COOKIE_ACK:
        association.inits = [False, False]
    elif kind in (_HEARTBEAT, _HEARTBEAT_ACK):
        if tags[which] == _NO_TAG:
            tags[which] = tag
        elif tag == tags[which]:
            association.failed = False
        else:
            if strict or not association.failed or association.failed_side == which:
                raise _RefusedError
            association.failed = False
            tags[which], tags[1 - which] = tag, _NO_TAG


def _note_init(rules: Rules, association: Association, which: int, chunk: Chunk, old: int) -> None:
    if not chunk.tag:
        raise _RefusedError
    if rules.stale or old == NONE or association.tags[1 - which] != chunk.tag:
        if all(association.inits):
            association.inits[1 - which] = False
        association.inits[which] = True
    association.tags[1 - which] = chunk.tag


def _note_init_ack(rules: Rules, association: Association, which: int, chunk: Chunk) -> None:
    if not chunk.tag:
        raise _RefusedError
    known = association.tags[1 - which]
    if rules.collisions:
        if not association.inits[1 - which] and known not in (_NO_TAG, chunk.tag):
            raise _RefusedError
        if all(association.inits) and known != chunk.tag:
            raise _RefusedError
    association.tags[1 - which] = chunk.tag
