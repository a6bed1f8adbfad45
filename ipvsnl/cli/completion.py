"""Completion: ``completion SHELL`` writes a script, which asks ``completion offers WORDS...`` at each Tab.

The answers come from the tables of options that the grammar reads, and from the live table of the target that the command
line names: its services, its servers.
"""

from __future__ import annotations

from ipvsnl.cli.ending import USAGE
from ipvsnl.cli.offers import Offers, behind, names, of_parser
from ipvsnl.cli.shells import FILES, SHELLS, script
from ipvsnl.consts import FORWARDING, GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS, TUNNEL_TYPES
from ipvsnl.errors import IPVSError
from ipvsnl.text.options import ALLOWED, COMMAND_KEYS, COMMANDS, GROUP, NONE, OPTIONS, OWN, SHORT
from ipvsnl.text.options import OWN_LONG as LONG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from ipvsnl.client import IPVS
    from ipvsnl.model import Entry

SUB_COMMANDS = {
    "plan": "show what apply would do",
    "apply": "make the table be a file's: all of it, or nothing",
    "top": "a live view",
    "export": "the table as metrics for Prometheus",
    "completion": "the completion script of a shell",
    "lab-kernel": "a command on a real kernel of its own",
}
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
_SERVICES = frozenset(("tcp", "udp", "sctp", "fwmark"))
_BEFORE = {
    "--target": "the kernel that is meant", "--netns": "a network namespace", "--progress": "show how far -R is",
    "--debug-level": "a simulated kernel's log",
}  # fmt: skip
_TARGETS = ("kernel", "sim", "sim::memory:")
_OURS = {
    "list": {"--json": "the listing as JSON", "--trash": "deleted servers that are not freed yet"},
    "restore": {"--atomic": "all lines or none"},
    "connection": dict.fromkeys(("--service", "--server", "--state"), "only those connections"),
}


def complete(words: Sequence[str], client: Callable[[], IPVS], stdout: TextIO, stderr: TextIO) -> int:
    """``completion SHELL`` writes its script; ``completion offers WORD...`` what the last of the words may be."""
    if words and words[0] == "offers":
        found = _offers(words[1:] or [""], client)
        stdout.write(found.lines(words[-1] if words[1:] else ""))
        return FILES if found.files else 0
    if len(words) != 1 or words[0] not in SHELLS:
        stderr.write(f"ipvsnl completion: one of {', '.join(SHELLS)}\n")
        return USAGE
    stdout.write(script(words[0], "ipvsnl"))
    return 0


def _offers(words: Sequence[str], client: Callable[[], IPVS]) -> Offers:
    """Our own options first, then a sub-command's arguments or ipvsadm's."""
    rest = list(words)
    chosen: dict[str, str] = {}
    while len(rest) > 1 and (name := rest[0].partition("=")[0]) in _BEFORE:
        _, equals, text = rest.pop(0).partition("=")
        if name == "--progress":
            continue
        if not equals:
            if len(rest) == 1:
                return _values(name)
            text = rest.pop(0)
        chosen[name] = text
    if len(rest) > 1 and not rest[0].startswith("-"):
        parser = _parser(rest[0])
        return of_parser(parser, rest[1:], {}) if parser is not None else Offers()
    if rest[0].startswith("--target="):
        return behind("--target", _targets())
    return _Line(rest, lambda: _entries(chosen, client)).offers()


def _values(name: str) -> Offers:
    """What may stand behind one of our own options."""
    if name == "--debug-level":
        return Offers([(str(level), "") for level in range(13)])
    return _targets() if name == "--target" else Offers(files=True)


def _targets() -> Offers:
    return Offers([(target, "") for target in _TARGETS], files=True)


def _entries(chosen: dict[str, str], client: Callable[[], IPVS]) -> list[Entry]:
    """The table of the target; nothing where it can't be read, as befits a completion."""
    from ipvsnl.client import open as open_client

    try:
        target, netns = chosen.get("--target"), chosen.get("--netns")
        with client() if not chosen else open_client(target or "kernel", netns=netns, timeout=1.0) as ipvs:
            return list(ipvs.snapshot())
    except (IPVSError, OSError):
        return []


def _parser(command: str) -> ArgumentParser | None:
    """What reads the arguments of a sub-command."""
    from argparse import ArgumentParser

    if command == "completion":
        parser = ArgumentParser(add_help=False)
        parser.add_argument("shell", choices=SHELLS)
        return parser
    if command == "lab-kernel":
        from ipvsnl.lab_kernel.command import parser as lab_kernel

        return lab_kernel()
    from ipvsnl.cli.operate import parsers

    return parsers().get(command)


class _Line:
    """A command line of ipvsadm's up to the cursor."""

    def __init__(self, words: Sequence[str], table: Callable[[], list[Entry]]) -> None:
        *before, self.current = words
        self._table = table
        self.command = ""
        self.given: dict[str, str] = {}
        """Options by what messages call them, with their values."""
        self.open = ""
        """The option whose value is at the cursor."""
        self._words = len(before)
        for key, takes, text in _read(before):
            if key in COMMAND_KEYS:
                self.command = self.command or key
            else:
                self.given[key] = text or ""
            self.open = key if takes != NONE and text is None else ""
            if self.open and takes != 1:  # a value that may be left out
                self.open = ""

    def offers(self) -> Offers:
        """What may stand at the cursor."""
        if self.open:
            return self._values(self.open)
        name, equals, _ = self.current.partition("=")
        if equals and name[2:] in LONG:
            return behind(name, self._values(LONG[name[2:]][0]))
        if not self.command:
            first = list(SUB_COMMANDS.items()) if not self._words else []
            before = _BEFORE.items() if not self._words else ()
            return Offers([*first, *self._options(COMMANDS, lambda _: True), *before])
        return Offers([*self._options(OPTIONS + OWN, self._fits), *self._ours()])

    def _options(
        self, table: Sequence[tuple[str, str, str, int]], wanted: Callable[[str], bool]
    ) -> Iterator[tuple[str, str]]:
        meaning = _meanings()
        for key, short, long, _ in table:
            if wanted(key):
                why = meaning.get(f"--{long}", "")
                if short and not self.current.startswith("--"):
                    yield f"-{short}", why
                if long:
                    yield f"--{long}", why

    def _fits(self, key: str) -> bool:
        """Whether the command takes the option, and what is there leaves room for it."""
        if key in self.given:
            return False
        if key == "ipv6":
            return "fwmark" in self.given
        if self.command not in ALLOWED:
            return False
        _, may, one_of = ALLOWED[self.command]
        name = GROUP.get(key, key)
        there = {GROUP.get(given, given) for given in self.given}
        return name in may and name not in there and not (name in one_of and there & one_of)

    def _ours(self) -> list[tuple[str, str]]:
        found = dict(_OURS.get(self.command, {}))
        if "connection" in self.given:
            found |= _OURS["connection"]
        return list(found.items())

    def _values(self, key: str) -> Offers:
        if key in _CHOICES:
            return names(_CHOICES[key])
        if key in _SERVICES:
            return names(self._services(key) if self.command != "add-service" else [])
        return names(self._servers() if key == "real-server" else [])

    def _services(self, key: str) -> list[str]:
        return sorted(name for entry in self._table() for kind, name in [_named(entry)] if kind == key)

    def _servers(self) -> list[str]:
        """Those of the service; for a new one, those that other services have and this one has not."""
        from ipvsnl.model import endpoint

        service = next(((key, text) for key, text in self.given.items() if key in _SERVICES), None)
        ours: set[str] = set()
        others: set[str] = set()
        for entry in self._table():
            found = ours if _named(entry) == service or service is None else others
            found |= {endpoint(*one.destination.key) for one in entry.destinations}
        return sorted(others - ours if self.command == "add-server" and service is not None else ours)


def _named(entry: Entry) -> tuple[str, str]:
    """How a service is written: its option's key, and the value."""
    from ipvsnl.model import endpoint

    service = entry.service
    if service.fwmark:
        return "fwmark", str(service.fwmark)
    return str(service.protocol), endpoint(service.address, service.port)


def _read(words: Sequence[str]) -> Iterator[tuple[str, int, str | None]]:
    """The options in the words, with whether they take a value, and the value (None: none yet)."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            if name in LONG:
                key, _, takes = LONG[name]
                yield key, takes, text if equals else (next(rest, None) if takes == 1 else None)
        elif word.startswith("-"):
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter not in SHORT:
                    break
                key, _, takes = SHORT[letter]
                if takes == NONE:
                    yield key, takes, None
                    continue
                yield key, takes, letters or (next(rest, None) if takes == 1 else None)
                break


def _meanings() -> dict[str, str]:
    """What the help text says of each long option."""
    import re

    from ipvsnl.cli.help import usage

    line = re.compile(r"^  (?:-\w, )*\s*(--[\w-]+)(?: [A-Z|:\[\]a-z]+)?\s{2,}(\w.*)$", re.MULTILINE)
    return dict(reversed(line.findall(usage("ipvsnl"))))
