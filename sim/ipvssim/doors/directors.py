"""The director that a command line describes: what ``ipvssim pcap`` and ``ipvssim why`` share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ipvsnl.text.hints import printable
from ipvssim.doors import debug_option, kernel_options
from ipvssim.kernel import Kernel
from ipvssim.net.networks import OpenNetwork

if TYPE_CHECKING:
    from ipvsnl.tables.table import Table

_MOST = 1 << 28
"""Bytes: a device may be endless."""


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments about a director."""
    group = parser.add_argument_group("the director")
    kernel_options.add(group)
    group.add_argument("--sysctl", metavar="NAME=VALUE", action="append", default=[], help="a tunable (net.ipv4.vs.*)")
    group.add_argument("--set", metavar=("TCP", "TCPFIN", "UDP"), nargs=3, help="timeouts in seconds, as ipvsadm --set")
    group.add_argument(
        "--mark", metavar="RULE", action="append", default=[],
        help="a firewall mark for packets, the first rule that holds: 'tcp dst 192.0.2.0/24 dport 80,443 -> 7'",
    )  # fmt: skip
    group.add_argument(
        "--start-state", metavar="FILE", type=Path, help="connections that it had before: ipvsadm -Lnc >FILE"
    )


def described(chosen: argparse.Namespace, kernel: Kernel | None = None) -> Kernel:
    """A kernel (or the one given) with the tunables and timeouts of the options; ValueError names the option that is
    wrong."""
    if kernel is None:
        kernel = Kernel(**kernel_options.made_of(chosen))
        debug_option.tell(kernel)
    for given in chosen.sysctl:
        name, equals, value = given.partition("=")
        try:
            if not equals:
                raise ValueError("it is NAME=VALUE")
            missing = kernel.sysctl.told(name, value)
        except KeyError as wrong:
            raise ValueError(f"--sysctl {given}: {wrong.args[0]}") from wrong
        except (OSError, ValueError) as wrong:
            raise ValueError(f"--sysctl {given}: {getattr(wrong, 'strerror', None) or wrong}") from wrong
        if missing:
            print(f"--sysctl {missing}", file=sys.stderr)
    if chosen.set is not None:
        _set(kernel, *chosen.set)
    return kernel


def load(kernel: Kernel, path: Path) -> None:
    """Put the table of a file, in whatever format people have it, into a kernel. OSError, and ValueError, whose lines begin
    with the file's name."""
    from ipvsnl.tables.wanted import RULES, kind_of

    rules = text(path)
    if kind_of(rules) != RULES:
        table = _read(rules, path)
        rules = "\n".join(_rules(table))
        if table.timeouts is not None:
            _set(kernel, *(str(seconds or 0) for seconds in table.timeouts.astuple()))
    try:
        kernel.load(rules)
    except ValueError as wrong:  # it may have more than one line
        raise ValueError("\n".join(f"{path}: {printable(line)}" for line in str(wrong).split("\n"))) from wrong


def start(kernel: Kernel, path: Path) -> None:
    """Give a kernel the connections of a listing. OSError, and ValueError that names the file and the line."""
    from ipvssim.doors.captures import start

    try:
        start.load(kernel.director, text(path))
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from wrong


def kept(path: Path, release: str) -> Kernel:
    """The kernel of a table file (``--target sim:FILE``), in a network in which any addresses work; OSError where there is
    no such file, LinkError where it is no table."""
    from ipvssim.doors.table_file import TableFile

    path.stat()
    network = OpenNetwork()
    kernel = TableFile(path).load(release=release, network=network)
    for service in kernel.table.services():
        for server in service.servers():
            network.name(b"", server.address, 0)
    return kernel


def text(path: Path) -> str:
    """The text of a file (``-``: standard input); ValueError where it is none, or too much."""
    from ipvssim.doors.captures.files import opened

    with opened(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"{path}: more than {_MOST >> 20} MB of text")
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{path}: no text: {wrong}") from wrong


def _read(given: str, path: Path) -> Table:
    """A table that is no rule lines; what its format does not tell is said on standard error."""
    from ipvsnl.tables.table import TableError
    from ipvsnl.tables.wanted import read_table
    from ipvsnl.text.rules import RuleError

    try:
        table = read_table(given, str(path), folder=str(path.parent))
    except RuleError as wrong:
        raise ValueError(f"{path}:{wrong.number}: {printable(wrong.line)}: {wrong.reason}") from wrong
    except TableError as wrong:
        raise ValueError(f"{path}: {wrong}") from wrong
    for note in table.notes:
        print(f"{path}: {note}", file=sys.stderr)
    return table


def _rules(table: Table) -> list[str]:
    from ipvsnl.tables.plan import rule_text

    lines = []
    for key, service in table.services.items():
        lines.append(rule_text("A", service))
        lines += [rule_text("a", service, server) for server in table.servers[key].values()]
    return lines


def _set(kernel: Kernel, *timeouts: str) -> None:
    done = kernel.ipvsadm("--set", *timeouts)
    if done.status:
        raise ValueError(f"--set {' '.join(timeouts)}: {done.stderr.strip().splitlines()[0]}")
