"""Traces and recordings as they stand in files: JSON lines, each looked at before anything is done with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ipvsnl import _json
from ipvssim.clock import RATES

LONGEST = 10**10
"""Seconds (317 years) that a trace may last, and that a step may sleep."""
_MOST_SERVERS = 0xFFFF - 10
_MARKS = 0xFFFFFFFF
_INT = 0x7FFFFFFF
_Check = Callable[[object], bool]


class ReplayError(Exception):
    """A trace or a step of it that can't be replayed."""


def read(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; ReplayError where it is none."""
    found: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = _json.loads(line)
                    if not isinstance(row, dict):
                        raise ReplayError(f"{path}: line {number}: {_shown(row)} is no JSON object")
                    found.append(row)
    except (OSError, ValueError) as wrong:
        raise ReplayError(f"{path}: {_words(wrong)}") from wrong
    return found


def check_header(header: Mapping[str, Any]) -> None:
    """ReplayError where a trace's first line has a value that is not what it has to be."""
    if type(header.get("trace", 1)) is not int or header.get("trace", 1) != 1:
        raise ReplayError("not a trace of version 1")
    numbers = {"servers4": _servers, "servers6": _servers, "debug_level": _levels}
    lists = {"listening": _ports, "modules": _texts, "marks": _marks}
    _check(header, {}, numbers | lists | {"sysctl": _is(dict)})
    for name, value in header.get("sysctl", {}).items():
        _check({"name": name, "value": value}, *_STEPS["sysctl"])


def check_step(step: Mapping[str, Any]) -> None:
    """ReplayError where a step is of no known kind, lacks a value, or has one that is not what it has to be."""
    kind = step.get("do")
    if not isinstance(kind, str) or kind not in _STEPS:
        raise ReplayError(f"there is no step {_shown(kind)}" if "do" in step else "a step has to have 'do'")
    _check(step, *_STEPS[kind])


def check_recording(about: Mapping[str, Any]) -> None:
    """ReplayError where what a recording says of itself is not what it has to be."""
    _check(about, {}, _RECORDING)


def check_answer(answer: Mapping[str, Any]) -> None:
    """ReplayError where a recorded answer has a value that is not what it has to be."""
    _check(answer, {}, _ANSWER)


def flooded(packet: bytes, count: int) -> Iterator[bytes]:
    """An IPv6 packet so many times, each to the next address."""
    first = int.from_bytes(packet[36:40], "big")
    for number in range(count):
        yield packet[:36] + (first + number & 0xFFFFFFFF).to_bytes(4, "big") + packet[40:]


def explained(wrong: BaseException) -> ReplayError:
    """What went wrong while a step was replayed or compared, in one line."""
    return wrong if isinstance(wrong, ReplayError) else ReplayError(f"{type(wrong).__name__}: {_words(wrong)}")


def _check(values: Mapping[str, Any], needed: Mapping[str, _Check], allowed: Mapping[str, _Check]) -> None:
    for name in needed:
        if name not in values:
            raise ReplayError(f"{name!r} is missing")
    for name, is_right in (*needed.items(), *allowed.items()):
        if name in values and not is_right(values[name]):
            raise ReplayError(f"{name!r} can't be {_shown(values[name])}")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _words(wrong: BaseException) -> str:
    return " ".join(str(wrong).split())


# --- what values have to be ---


def _is(*kinds: type) -> _Check:
    return lambda value: type(value) in kinds


def _integer(least: int, most: int) -> _Check:
    return lambda value: type(value) is int and least <= value <= most


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


def _rate(value: object) -> bool:
    return type(value) is int and value in RATES


def _hex(value: object) -> bool:
    try:
        return isinstance(value, str) and bytes.fromhex(value) is not None
    except ValueError:
        return False


def _ipv6(value: object) -> bool:
    return isinstance(value, str) and _hex(value) and len(value) >= 80 and value[0] == "6"


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _marks(value: object) -> bool:
    return isinstance(value, list) and all(map(_mark, value))


def _packets(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and isinstance(one.get("on"), str) and _hex(one.get("hex")) for one in value
    )


def _ports(value: object) -> bool:
    """Pairs of a protocol and a port."""
    return isinstance(value, list) and all(
        isinstance(one, list)
        and len(one) == 2
        and one[0] in ("tcp", "udp")
        and type(one[1]) is int
        and 0 < one[1] <= 0xFFFF
        for one in value
    )


def _connections(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, dict)
        and type(row.get("expires")) is int
        and all(type(one) in (int, str) for one in row.values())
        for row in value
    )


def _replies(value: object) -> bool:
    return isinstance(value, list) and all(map(_hex, value))


_servers = _integer(0, _MOST_SERVERS)
_levels = _integer(0, _INT)
_mark = _integer(0, _MARKS)
_text = _is(str)
_STEPS: dict[str, tuple[dict[str, _Check], dict[str, _Check]]] = {
    "ipvsadm": ({"args": _texts}, {"stdin": _text}),
    "packet": ({"on": _text, "hex": _hex}, {"mark": _mark}),
    "sleep": ({"seconds": _seconds}, {}),
    "sysctl": ({"name": _text, "value": _is(int, str)}, {}),
    "conns": ({}, {}),
    "stats": ({}, {}),
    "netlink": ({"hex": _hex}, {}),
    "flood": ({"hex": _ipv6, "count": _integer(1, 1 << 16)}, {"mark": _mark}),
}
"""Each kind of step: the values that it needs, and those that it may have."""
_ANSWER: dict[str, _Check] = {
    "at": _seconds, "local": _is(bool), "out": _packets, "rc": _is(int), "errno": _is(int), "stdout": _text,
    "stderr": _text, "conns": _connections, "replies": _replies, "log": _texts,
    "left": _is(int), "lasted": _seconds, "until": _seconds,
}  # fmt: skip

_RECORDING: dict[str, _Check] = {
    "recording": _integer(1, 1), "release": _is(str), "package": _is(str), "machine": _is(str), "padding": _is(bool),
    "jobs": _integer(1, 1 << 16), "version": _is(str), "born": _seconds, "began": _seconds,
    "hz": _rate,
}  # fmt: skip
"""The first line of a recording may say of which kernel it is: ``uname -r``, the package and its version, the machine (uml,
x86_64, ...), whether 64-bit attributes are padded, how many recordings were made at once; how many jiffies the kernel counts
a second, and when the namespace was made and the first step began, in seconds of those jiffies."""
