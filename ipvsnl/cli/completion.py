"""Completion scripts for bash, zsh and fish, by shtab, from the same tables of options that the grammar reads.

Schedulers, flags and tunnels complete from the tables, services and servers from the live one: the scripts ask
``ipvsnl completion services``.
"""

from __future__ import annotations

from ipvsnl.cli.statuses import FAILED, USAGE
from ipvsnl.consts import FORWARDING, GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS, TUNNEL_TYPES
from ipvsnl.errors import IPVSError
from ipvsnl.text.options import COMMANDS, NONE, OPTIONAL, OPTIONS, OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from ipvsnl.client import IPVS

SHELLS = ("bash", "zsh", "fish")
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos")
_CHOICES: dict[str, Sequence[str]] = {
    "scheduler": SCHEDULERS,
    "pe": ["sip"],
    "sched-flags": [*GENERIC_SCHEDULER_FLAGS, *[name for flags in SCHEDULER_FLAGS.values() for name in flags]],
    "tun-type": list(TUNNEL_TYPES),
    "forward": [*FORWARDING],
    "start-daemon": ["master", "backup"],
    "stop-daemon": ["master", "backup"],
}
_LIVE = {"tcp": "tcp", "udp": "udp", "sctp": "sctp", "fwmark": "fwmark", "real-server": "server"}
"""Options whose values the live table knows, and what it is asked for."""


def complete(words: Sequence[str], client: Callable[[], IPVS], stdout: TextIO, stderr: TextIO) -> int:
    """``completion SHELL`` writes its script; ``completion services KIND`` what the table has of a kind."""
    if len(words) == 2 and words[0] == "services":
        return _services(words[1], client, stdout)
    if len(words) != 1 or words[0] not in SHELLS:
        stderr.write(f"ipvsnl completion: one of {', '.join(SHELLS)}\n")
        return USAGE
    try:
        stdout.write(script(words[0]))
    except ImportError:
        stderr.write("ipvsnl completion needs shtab: pip install 'ipvsnl[completion]'\n")
        return FAILED
    return 0


def script(shell: str) -> str:
    """The completion script of a shell; ImportError where shtab is not installed."""
    import shtab

    preamble: Any = {shell: _preamble(shell)}
    text: str = shtab.complete(_parser(), shell=shell, preamble=preamble)
    return text


def _services(kind: str, client: Callable[[], IPVS], stdout: TextIO) -> int:
    """The values of a kind, a line each; silence where the table can't be read, as befits a completion."""
    from ipvsnl.model import endpoint

    try:
        with client() as ipvs:
            entries = ipvs.snapshot()
    except IPVSError:
        return FAILED
    if kind == "server":
        found = {endpoint(*one.destination.key) for entry in entries for one in entry.destinations}
    elif kind == "fwmark":
        found = {str(entry.service.fwmark) for entry in entries if entry.service.fwmark}
    else:
        found = {
            endpoint(entry.service.address, entry.service.port)
            for entry in entries
            if entry.service.protocol == kind
        }  # fmt: skip
    stdout.writelines(sorted(f"{text}\n" for text in found))
    return 0


def _parser() -> ArgumentParser:
    """The options as an argparse parser: what shtab reads. It parses nothing."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="ipvsnl", add_help=False)
    for key, short, long, takes in COMMANDS + OPTIONS + OWN:
        strings = [f"-{short}"] * bool(short) + [f"--{long}"] * bool(long)
        if takes == NONE:
            parser.add_argument(*strings, action="store_true", dest=f"{key}{short}", help=key)
            continue
        action = parser.add_argument(
            *strings, dest=key, nargs="?" if takes == OPTIONAL else None, help=key, choices=_CHOICES.get(key)
        )
        if key in _LIVE:
            action.complete = {shell: _function(key) for shell in SHELLS}  # type: ignore[attr-defined]
    parser.add_argument("--target", choices=["kernel", "sim"], help="kernel, sim or sim:FILE")
    parser.add_argument("--netns", help="network namespace")
    parser.add_argument("--progress", action="store_true", help="show how far a restore is")
    parser.add_argument("--json", action="store_true", help="listings as JSON")
    parser.add_argument("--atomic", action="store_true", help="a restore of all lines or none")
    return parser


def _function(key: str) -> str:
    return f"_ipvsnl_{_LIVE[key]}"


def _preamble(shell: str) -> str:
    """A function a kind, in the shell's language, that asks the live table."""
    ask = "ipvsnl completion services {kind} 2>/dev/null"
    body = {
        "bash": '_ipvsnl_{kind}() {{ compgen -W "$(' + ask + ')" -- "$1"; }}',
        "zsh": '_ipvsnl_{kind}() {{ local -a found; found=("${{(@f)$(' + ask + ')}}"); compadd -- $found }}',
        "fish": "function _ipvsnl_{kind}; " + ask + "; end",
    }[shell]
    return "\n".join([body.format(kind=kind) for kind in _LIVE.values()]) + "\n"
