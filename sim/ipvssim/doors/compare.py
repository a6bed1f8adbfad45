"""What two answers to one step of a trace have in common: all but what a kernel makes up (docs/use/simulator.md).

Tolerated are the identification (IPv4) or flow label (IPv6) of packets that the director itself makes, the identification
of IPv6 fragments that it cuts, the source port of
its GUE packets, a second in ``expires``, rates, and the order of a connection listing. Where a packet is handed to the
director's own host, what that host's TCP, SCTP, UDP or ICMP answers is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct
from typing import Any

from ipvssim.doors.log_lines import comparable

Answer = Mapping[str, Any]
_ETHERNET = 14
_DUMP, _GET_SERVICE = 3, 4
"""NLM_F_DUMP's bits in the second byte of a request's flags, and the family's command."""
_ICMP, _IPIP, _TCP, _UDP, _IPV6, _GRE, _FRAGMENT, _ICMPV6 = 1, 4, 6, 17, 41, 47, 44, 58
_TUNNELS = (_IPIP, _IPV6, _GRE, _UDP)
_ICMP_ERRORS = (3, 4, 5, 11, 12)
_OWN = tuple(map(bytes.fromhex, ("0a000001", "c6336401", "fd000010000000000000000000000001",
                                 "20010db8000100000000000000000001")))  # fmt: skip
"""The director's own addresses on the network of traces: what tunnels are sent from."""
_SCTP, _RESET, _ABORT = 132, 0x04, b"\x06"
_HOST_TYPES = {4: (0, 12, 14), 6: (129,)}
"""ICMP types by IP version: echo reply, parameter problem, timestamp reply."""
_HOST_UNREACHABLES = {4: (b"\3\2", b"\3\3"), 6: (b"\1\4", b"\4\1")}
"""Type and code by IP version: no such protocol, no such port."""
_AHEAD = (0, 43, 60)
"""Extension headers that a host puts in front of the fragment header: hop-by-hop options, routing, destination options."""
_U16 = Struct(">H")


def differences(
    step: Mapping[str, Any], kernel: Answer, simulator: Answer, *, tells_local: bool = True
) -> Iterator[tuple[str, Any, Any]]:
    """(what, kernel's, simulator's) for every part of an answer that differs.

    ``tells_local``: the recording says which packets were handed to the host itself. One that does not has the host's own
    answers among the packets that left, and nothing at all where the host kept silent.
    """
    if step["do"] == "packet" and not tells_local and simulator.get("local"):
        kernel = {"local": True, "out": [one for one in kernel.get("out", []) if not _is_hosts_own(one)]}
    for what in sorted((kernel.keys() | simulator.keys()) - {"step", "at", "lasted", "until"}):
        theirs, ours = kernel.get(what), simulator.get(what)
        if theirs != ours and not _alike(step, what, theirs, ours):
            yield what, theirs, ours


def _alike(step: Mapping[str, Any], what: str, theirs: Any, ours: Any) -> bool:
    if theirs is None or ours is None:
        return False
    if what == "out":
        return _packets(step, theirs) == _packets(step, ours)
    if what == "conns":
        return _connections_alike(theirs, ours)
    if what == "log":
        return comparable(theirs) == comparable(ours)
    if what == "replies":
        one, other = (list(map(_without_port, datagrams)) for datagrams in (theirs, ours))
        return one == other or (_asks_for_services(step) and _messages(one) == _messages(other))
    if what == "stdout" and step["do"] == "ipvsadm":
        return _listings_alike(step["args"], theirs, ours)
    return False


# --- text ---


def _listings_alike(args: list[str], theirs: str, ours: str) -> bool:
    if "--rate" in args:
        return _without_rates(theirs) == _without_rates(ours)
    first = args[0] if args else ""
    if first.startswith("-") and not first.startswith("--") and "c" in first:
        pairs = (sorted(map(str.split, text.splitlines())) for text in (theirs, ours))
        return _rows_alike(*pairs)
    return False


def _without_rates(text: str) -> list[list[str]]:
    return [line.split()[:2] for line in text.splitlines()]


def _rows_alike(theirs: list[list[str]], ours: list[list[str]]) -> bool:
    """Rows of ``-Lc``, whose second column is minutes and seconds: the nearest one among those that are else equal."""
    left = list(ours)
    for row in theirs:
        same = [other for other in left if other[:1] + other[2:] == row[:1] + row[2:] and _near(row, other)]
        if not same:
            return False
        left.remove(same[0])
    return not left


def _near(one: list[str], other: list[str]) -> bool:
    if one[1:2] == other[1:2]:
        return True
    try:
        return abs(_seconds(one[1]) - _seconds(other[1])) <= 1
    except (ValueError, IndexError):
        return False


def _seconds(text: str) -> int:
    minutes, seconds = text.split(":")
    return int(minutes) * 60 + int(seconds)


def _connections_alike(theirs: Iterable[Mapping[str, Any]], ours: Iterable[Mapping[str, Any]]) -> bool:
    """The rows, one for one; ``expires`` may be a second apart."""
    one, other = (sorted(rows, key=_connection_key) for rows in (theirs, ours))
    return len(one) == len(other) and all(
        _connection_key(a)[0] == _connection_key(b)[0] and abs(a["expires"] - b["expires"]) <= 1
        for a, b in zip(one, other, strict=True)
    )


def _connection_key(row: Mapping[str, Any]) -> tuple[list[str], int]:
    return [f"{name}={row[name]}" for name in sorted(row) if name != "expires"], row["expires"]


def _asks_for_services(step: Mapping[str, Any]) -> bool:
    """Whether it is a dump of services: their order hangs on a secret of each namespace."""
    data = bytes.fromhex(step.get("hex", ""))
    return len(data) >= 17 and bool(data[7] & _DUMP) and data[16] == _GET_SERVICE


def _messages(datagrams: Iterable[bytes]) -> list[bytes]:
    """The messages of all datagrams, sorted."""
    found = []
    for data in datagrams:
        at = 0
        while at + 16 <= len(data):
            length = max(int.from_bytes(data[at : at + 4], "little"), 16)
            found.append(data[at : at + length])
            at += length + 3 & ~3
    return sorted(found)


def _without_port(text: str) -> bytes:
    """A datagram with the port of its receiver, which the kernel gives out, set to 0."""
    data, at = bytearray.fromhex(text), 0
    while at + 16 <= len(data):
        data[at + 12 : at + 16] = bytes(4)
        at += max(int.from_bytes(data[at : at + 4], "little") + 3 & ~3, 16)
    return bytes(data)


# --- packets ---


def _packets(step: Mapping[str, Any], sent: Iterable[Mapping[str, Any]]) -> list[tuple[str, bytes]]:
    given = bytes.fromhex(step["hex"])[_ETHERNET if step["on"] == "server" else 0 :]
    forwarded = (
        _is_icmp_error(given) and given[16:20] not in _OWN
    )  # one about a tunnel ends here: the answer is a new one
    found = []
    for one in sent:
        data = bytes.fromhex(one["hex"])
        start = _ETHERNET if one["on"] == "server" else 0
        packet = _without_new_ident(data[start:], _ident6(given))
        another = _is_icmp_error(packet) and _icmp_kind(packet) != _icmp_kind(given)  # about what came before
        found.append((one["on"], data[:start] + normalised(packet, forwards_errors=forwarded and not another)))
    return found


def _icmp_kind(error: bytes) -> bytes:
    """Type and code of an ICMP error."""
    start = (error[0] & 15) * 4 if error[0] >> 4 == 4 else 40
    return error[start : start + 2]


def _is_hosts_own(sent: Mapping[str, Any]) -> bool:
    """Whether a packet is what a host answers that nothing listens on: a reset, an abort, an echo reply, unreachable."""
    packet = bytes.fromhex(sent["hex"])[_ETHERNET if sent["on"] == "server" else 0 :]
    version = packet[0] >> 4 if packet else 0
    if version not in _HOST_TYPES or len(packet) < (20 if version == 4 else 40):
        return False
    protocol, rest = (packet[9], packet[(packet[0] & 15) * 4 :]) if version == 4 else (packet[6], packet[40:])
    if protocol == _TCP:
        return len(rest) > 13 and bool(rest[13] & _RESET)
    if protocol == _SCTP:
        return rest[12:13] == _ABORT
    if protocol == (_ICMP if version == 4 else _ICMPV6):
        return (rest[:1] or b"\xff")[0] in _HOST_TYPES[version] or bytes(rest[:2]) in _HOST_UNREACHABLES[version]
    return False


_REDIRECT, _LINK = b"\x89", b"\xfe\x80"


def normalised(packet: bytes, *, forwards_errors: bool = False) -> bytes:
    """A packet with what its maker may choose at will set to 0, checksums adjusted; others come back as they are.

    ``forwards_errors``: ICMP in the answer is a forwarded packet, no field of which is the director's choice.
    """
    version = packet[0] >> 4 if packet else 0
    data = bytearray(packet)
    if version == 4 and len(packet) >= 20:
        icmp = data[9] == _ICMP and not forwards_errors
        if icmp or (data[9] in _TUNNELS and packet[12:16] in _OWN):
            _clear(data, 4, 10)
            if data[9] == _IPIP:
                _clear_own_error(data, (data[0] & 15) * 4)
            if data[9] == _UDP and not _U16.unpack_from(data, 6)[0] & 0x1FFF:
                _clear_source_port(data, (data[0] & 15) * 4)
    elif version == 6 and len(packet) >= 40:
        protocol, start = data[6], 40
        if protocol == _FRAGMENT and len(data) >= 48:
            protocol, start = data[40], 48
        icmp = protocol == _ICMPV6 and not forwards_errors
        if protocol == _ICMPV6 and data[start : start + 1] == _REDIRECT and data[8:10] == _LINK:
            icmp = True  # a link-local source is never forwarded; a device's is random
            data[8:24], data[start + 2 : start + 4] = bytes(16), bytes(2)
        if icmp or (protocol in _TUNNELS and packet[8:24] in _OWN):
            data[1:4] = bytes((data[1] & 0xF0, 0, 0))
            if protocol == _IPV6 and start == 40:
                _clear_own_error(data, start)
            later = start == 48 and _U16.unpack_from(data, 42)[0] & 0xFFF8
            if start == 48:
                data[44:48] = bytes(4)
            if protocol == _UDP and not later:
                _clear_source_port(data, start)
    return bytes(data)


def _ident6(packet: bytes) -> bytes:
    """The identification of an IPv6 fragment; empty where the packet is none."""
    at = _fragment6(packet)
    return packet[at + 4 : at + 8] if at else b""


def _without_new_ident(packet: bytes, given: bytes) -> bytes:
    """An IPv6 fragment that the director cut has an identification of its choice: 0 here, unless it is the ``given`` one."""
    at = _fragment6(packet)
    if not at or packet[at + 4 : at + 8] == given:
        return packet
    return packet[: at + 4] + bytes(4) + packet[at + 8 :]


def _fragment6(packet: bytes) -> int:
    """Where an IPv6 packet's fragment header stands, options and routing header passed over; 0: there is none."""
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return 0
    kind, at = packet[6], 40
    while kind in _AHEAD and at + 8 <= len(packet):
        kind, at = packet[at], at + 8 + 8 * packet[at + 1]
    return at if kind == _FRAGMENT and at + 8 <= len(packet) else 0


def _clear_source_port(data: bytearray, start: int) -> None:
    if len(data) < start + 8:
        return
    if data[start + 6 : start + 8] != b"\0\0":
        _clear(data, start, start + 6)
    data[start : start + 2] = b"\0\0"


def _clear_own_error(data: bytearray, start: int) -> None:
    """Where a tunnel's payload is an error of the director's own, that one's choices are set to 0, too."""
    inner = bytes(data[start:])
    version = inner[0] >> 4 if inner else 0
    if (
        (inner[9:10] == b"\1" and inner[12:16] in _OWN)
        if version == 4
        else (inner[6:7] == b":" and inner[8:24] in _OWN)
    ):
        data[start:] = normalised(inner)


def _clear(data: bytearray, at: int, checksum: int) -> None:
    """Set two bytes to 0 and adjust the checksum that covers them: right stays right, wrong stays wrong."""
    if len(data) < checksum + 2:
        return
    old, total = _U16.unpack_from(data, at)[0], _U16.unpack_from(data, checksum)[0]
    _U16.pack_into(data, checksum, (total + old) % 0xFFFF)
    data[at : at + 2] = b"\0\0"


def _is_icmp_error(packet: bytes) -> bool:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) > 20 and packet[9] == _ICMP:
        start = (packet[0] & 15) * 4
        return len(packet) > start and packet[start] in _ICMP_ERRORS
    return version == 6 and len(packet) > 40 and packet[6] == _ICMPV6 and packet[40] < 128
