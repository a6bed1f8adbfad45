"""The plain lines of rule text without a compiler: what ``lines.c`` and ``servers.c`` understand, and nothing else."""

from __future__ import annotations

import re
from _socket import inet_pton

from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    FORWARDING,
    GENERIC_SCHEDULER_FLAGS,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    SCHEDULER_NAME_MAX,
    SVC_F_ONEPACKET,
    SVC_F_PERSISTENT,
    TUNNEL_F_CSUM,
    TUNNEL_F_REMCSUM,
    TUNNEL_TYPES,
)
from ipvsnl.family import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Fields = dict[str, Any]
    Line = tuple[int, Fields, Fields | None]
    """The command, and the fields of the records: the service's and the real server's."""

_WORD = re.compile(rb"[^ \t\r]+")
_ENDPOINT = re.compile(rb"(\[[^\]]{1,45}\]|[0-9.]+):([0-9]{1,10})")
_NAME = re.compile(rb"[!-,.-~][!-~]{0,%d}" % (SCHEDULER_NAME_MAX - 1))
_NUMBER = re.compile(rb"[0-9]{1,10}")
_COMMANDS = {
    b"-A": Command.NEW_SERVICE, b"-E": Command.SET_SERVICE, b"-D": Command.DEL_SERVICE,
    b"-a": Command.NEW_DEST, b"-e": Command.SET_DEST, b"-d": Command.DEL_DEST,
}  # fmt: skip
_PROTOCOLS = {b"-t": PROTOCOLS["tcp"], b"-u": PROTOCOLS["udp"], b"--sctp-service": PROTOCOLS["sctp"]}
_METHODS = {b"-m": FORWARDING["masq"], b"-g": FORWARDING["route"], b"-i": FORWARDING["tunnel"]}
_NUMBERS = {b"-w": "weight", b"-x": "u_thresh", b"-y": "l_thresh"}
_CHECKSUMS = {b"--tun-nocsum": 0, b"--tun-csum": TUNNEL_F_CSUM, b"--tun-remcsum": TUNNEL_F_REMCSUM}
_TUNNELS = {name.encode(): number for name, number in TUNNEL_TYPES.items()}
_ALL_BITS, _INT_MAX, _TIMEOUT_MAX = 0xFFFFFFFF, 2147483647, 2678400
_MARK_KEY, _ADDRESS_KEY, _SERVICE_FULL, _ENGINE = 0x22, 0x1E, 0x3C0, 0x800
_DEST_KEY, _DEST_FULL = 0x806, 0xE87E


class _NotPlain(ValueError):  # noqa: N818 (no error: the grammar reads on)
    """The line is left to the grammar."""


def read_line(line: bytes) -> Line | None:
    """What a line says, without its end; None: it is not understood."""
    words = iter(_WORD.findall(line))
    try:
        command = _COMMANDS[next(words)]
        service, rest = _selector(words)
        if command in (Command.NEW_SERVICE, Command.SET_SERVICE):
            _service(service, rest)
            return command, service, None
        if command == Command.DEL_SERVICE:
            return (command, service, None) if not rest else None
        if rest[0] != b"-r":
            return None
        family, address, port = _endpoint(rest[1])
        dest: Fields = {"present": _DEST_KEY, "addr": address, "port": port, "addr_family": family}
        if command != Command.DEL_DEST:
            _server(service, dest, rest[2:])
        elif rest[2:]:
            return None
        return command, service, dest
    except (_NotPlain, KeyError, IndexError, StopIteration):
        return None


def named(line: bytes) -> bytes:
    """The words of an understood line that name its service, as they stand there."""
    found = list(_WORD.finditer(line))
    last = 3 if found[1][0] == b"-f" and len(found) > 3 and found[3][0] == b"-6" else 2
    return line[found[1].start() : found[last].end()]


def _number(word: bytes, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(word) or not low <= int(word) <= high:
        raise _NotPlain
    return int(word)


def _endpoint(word: bytes) -> tuple[int, bytes, int]:
    found = _ENDPOINT.fullmatch(word)
    if found is None:
        raise _NotPlain
    host = found[1]
    family = AF_INET6 if host.startswith(b"[") else AF_INET
    try:
        address = inet_pton(family, host.strip(b"[]").decode())
    except (OSError, ValueError):
        raise _NotPlain from None
    return family, address, _number(found[2], 0, 65535)


def _selector(words: Iterator[bytes]) -> tuple[Fields, list[bytes]]:
    """The fields of the service's key, and the words behind it."""
    option, where, rest = next(words), next(words), list(words)
    if option == b"-f":
        service: Fields = {"present": _MARK_KEY, "fwmark": _number(where, 1, _ALL_BITS), "af": AF_INET}
        if rest[:1] == [b"-6"]:
            service["af"] = AF_INET6
            del rest[0]
        return service, rest
    protocol = _PROTOCOLS[option]
    family, address, port = _endpoint(where)
    return {"present": _ADDRESS_KEY, "af": family, "protocol": protocol, "addr": address, "port": port}, rest


# --- services --------------------------------------------------------------------------------------------------------


def _name(word: bytes) -> bytes:
    if not _NAME.fullmatch(word):
        raise _NotPlain
    return word


def _netmask(word: bytes, family: int) -> int:
    from sys import byteorder

    if family == AF_INET6:
        return _number(word, 1, 128)
    try:
        return int.from_bytes(inet_pton(AF_INET, word.decode("ascii")), byteorder)
    except (OSError, ValueError):
        raise _NotPlain from None


def _flags(names: bytes, scheduler: str) -> int:
    known = {**GENERIC_SCHEDULER_FLAGS, **SCHEDULER_FLAGS.get(scheduler, {})}
    parts = names.decode("latin-1").split(",")
    if parts[-1] == "":
        parts.pop()
    bits = 0
    for name in parts:
        bits |= known[name]
    return bits


def _service(service: Fields, words: list[bytes]) -> None:
    """The options of -A and -E; each may stand once, in any order."""
    seen: dict[bytes, bytes] = {}
    left = iter(words)
    for option in left:
        if option in seen or option not in (b"-s", b"-p", b"-M", b"--pe", b"-o", b"-b"):
            raise _NotPlain
        seen[option] = b"" if option == b"-o" else next(left)
    service["sched_name"] = _name(seen[b"-s"])
    mark, flags = "fwmark" in service, 0
    if b"-p" in seen:
        service["timeout"], flags = _number(seen[b"-p"], 1, _TIMEOUT_MAX), SVC_F_PERSISTENT
    elif not mark and not service["port"]:
        raise _NotPlain
    if b"-o" in seen:
        if not mark and service["protocol"] != PROTOCOLS["udp"]:
            raise _NotPlain
        flags |= SVC_F_ONEPACKET
    flags |= _flags(seen[b"-b"], service["sched_name"].decode()) if b"-b" in seen else 0
    service["flags"], service["flags_mask"] = flags, _ALL_BITS
    service["netmask"] = 128 if service["af"] == AF_INET6 else _ALL_BITS
    if b"-M" in seen:
        service["netmask"] = _netmask(seen[b"-M"], service["af"])
    service["present"] |= _SERVICE_FULL
    if b"--pe" in seen:
        service["pe_name"] = _name(seen[b"--pe"])
        service["present"] |= _ENGINE


# --- real servers ----------------------------------------------------------------------------------------------------


def _server(service: Fields, dest: Fields, words: list[bytes]) -> None:
    """The options of -a and -e behind the key; each may stand once, in any order."""
    seen: set[str] = set()
    dest |= {"present": _DEST_FULL, "fwd_method": FORWARDING["route"], "weight": 1}
    left = iter(words)
    for option in left:
        name = _option(option, left, dest)
        if name in seen:
            raise _NotPlain
        seen.add(name)
    masq, tunnel = dest["fwd_method"] == FORWARDING["masq"], dest["fwd_method"] == FORWARDING["tunnel"]
    if not masq and "fwmark" not in service:
        dest["port"] = service["port"]
    if not tunnel and (dest["addr_family"] != service["af"] or seen & {"tun_type", "tun_port", "tun_flags"}):
        raise _NotPlain
    if tunnel and not _fits(dest, seen):
        raise _NotPlain


def _option(option: bytes, left: Iterator[bytes], dest: Fields) -> str:
    """Take one option; the name of the field that it fills."""
    if option in _METHODS:
        name, value = "fwd_method", _METHODS[option]
    elif option in _NUMBERS:
        name, value = _NUMBERS[option], _number(next(left), 0, _INT_MAX)
    elif option == b"--tun-type":
        name, value = "tun_type", _TUNNELS[next(left)]
    elif option == b"--tun-port":
        name, value = "tun_port", _number(next(left), 1, 65535)
    else:
        name, value = "tun_flags", _CHECKSUMS[option]
    dest[name] = value
    return name


def _fits(dest: Fields, seen: set[str]) -> bool:
    """Whether the options of a tunnel belong together."""
    kind = dest.get("tun_type", 0)
    if kind == TUNNEL_TYPES["gue"]:
        return "tun_port" in seen
    if "tun_port" in seen:
        return False
    return dest.get("tun_flags") != TUNNEL_F_REMCSUM if kind == TUNNEL_TYPES["gre"] else "tun_flags" not in seen
