"""``top``: the table as it lives. Rates, connections, weights, and what changed; drawn by rich."""

from __future__ import annotations

import sys
import time
from os import get_terminal_size

from ipvsnl.tables.plan import difference
from ipvsnl.tables.table import live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace as Arguments
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from rich.console import Console, Group
    from rich.table import Table as Grid

    from ipvsnl.cli.streams import ClientFactory
    from ipvsnl.client import IPVS
    from ipvsnl.model import DestinationStatus, Entry, Service, Statistics
    from ipvsnl.tables.table import Table

CHANGES_SHOWN = 6
WIDEST = 120
"""Columns that are used of a terminal: numbers far from their names are hard to read."""
QUIT = frozenset("qQ\x1b\x03\x04")
ORDERS: dict[str, Callable[[Entry], int]] = {
    "connections/s": lambda entry: entry.status.statistics.cps,
    "bytes in/s": lambda entry: entry.status.statistics.inbps,
    "active": lambda entry: sum(one.active for one in entry.destinations),
}
"""What the services may be sorted by, the largest first; before the first key they stand in ipvsadm's order."""
TITLES = ("wt", "active", "inact", "conn/s", "pkt/s", "back", "B/s", "back")
"""Short, so that an IPv4 server fits into 80 columns; "back" is what goes back to clients."""


def top(arguments: Arguments, client: ClientFactory, stdout: TextIO) -> int:
    """Show it until ``q``; one look where that is asked for, or where standard output is no terminal."""
    from rich.console import Console

    console = Console(file=stdout)
    with client() as ipvs:
        view = View(ipvs)
        view.look()
        if arguments.once or not console.is_terminal:
            console.print(view.drawn(console.width, 10**6))
            return 0
        try:
            _live(view, console, arguments.interval)
        except KeyboardInterrupt:
            return 0
    return 0


def _live(view: View, console: Console, interval: float) -> None:
    from rich.live import Live

    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            console.size = get_terminal_size(console.file.fileno())  # LINES of the environment may be another screen's
            screen.update(view.drawn(console.width, console.height), refresh=True)
            key = keys.wait(interval)
            if key in QUIT and key:
                return
            if key == "s":
                view.order()
            elif key == "p":
                view.paused = not view.paused
            if not view.paused and key != "s":
                view.look()


class Keys:
    """Single keys of the terminal on standard input, unechoed; none where it is no terminal."""

    def __enter__(self) -> Keys:
        self._before: list[Any] | None = None
        if sys.stdin.isatty():
            try:
                import termios
                import tty
            except ImportError:  # Windows: the view goes on until it is interrupted
                return self
            self._before = termios.tcgetattr(0)
            tty.setcbreak(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """The next key, or nothing when none came."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        from os import read
        from select import select

        return read(0, 1).decode("ascii", "ignore") if select([0], [], [], seconds)[0] else ""


class View:
    """What is shown: the last look, what changed between looks, how it is sorted."""

    def __init__(self, ipvs: IPVS) -> None:
        self._ipvs = ipvs
        self._info = ipvs.info()
        self._entries: Sequence[Entry] = ()
        self._table: Table | None = None
        self._order = ""
        self._changes: list[str] = []
        self._at = ""
        self.paused = False

    def look(self) -> None:
        """Read the table, and note what is not as it was."""
        entries = self._ipvs.snapshot()
        table = live(entries)
        self._at = time.strftime("%H:%M:%S")
        if self._table is not None:
            changes = difference(self._table, table, prune=True).operations
            self._changes += [f"{self._at}  {one}" for one in changes]
            del self._changes[:-CHANGES_SHOWN]
        self._entries, self._table = entries, table

    def order(self) -> None:
        """Sort by the next of :data:`ORDERS`, or as ipvsadm."""
        names = ["", *ORDERS]
        self._order = names[(names.index(self._order) + 1) % len(names)]

    def drawn(self, width: int, height: int) -> Group:
        """The screen."""
        from rich.console import Group
        from rich.text import Text

        servers = sum(len(entry.destinations) for entry in self._entries)
        head = Text(f"ipvsnl top  {self._at}  {len(self._entries)} services, {servers} servers", style="bold")
        head.append(f"  IPVS {'.'.join(map(str, self._info.version))}", style="dim")
        head.append("  paused" if self.paused else "", style="yellow")
        footer = Text(
            f"q quit   s sort ({self._order or 'as ipvsadm'})   p {'go on' if self.paused else 'pause'}", style="dim"
        )
        changes = [Text(f"  {line}", no_wrap=True, overflow="ellipsis", style="cyan") for line in self._changes]
        news = [Text("changed", style="bold"), *changes] if changes else []
        room = height - 3 - len(news)
        return Group(head, self._grid(width, room), *news, footer)

    def _grid(self, width: int, room: int) -> Grid:
        from rich.table import Table

        grid = Table(box=None, padding=(0, 1, 0, 0), header_style="reverse", width=min(width, WIDEST))
        grid.add_column("service, server", no_wrap=True, min_width=min(32, width // 3), ratio=1)
        grid.add_column("", no_wrap=True)
        for title in TITLES:
            grid.add_column(title, justify="right", no_wrap=True)
        rows = 0
        entries = self._sorted()
        for index, entry in enumerate(entries):
            more = 1 if index + 1 < len(entries) else 0
            if rows + 1 + len(entry.destinations) + more > room and rows:
                grid.add_row(f"... {len(entries) - index} services more", style="dim")
                break
            grid.add_row(*_service_row(entry), style="bold")
            for status in entry.destinations[: max(room - rows - 2, 1)]:
                grid.add_row(*_server_row(status), style="dim" if not status.destination.weight else "")
            rows += 1 + len(entry.destinations)
        return grid

    def _sorted(self) -> Sequence[Entry]:
        from ipvsnl.text.sorting import sort_entries

        entries = sort_entries(self._entries)
        return sorted(entries, key=ORDERS[self._order], reverse=True) if self._order else entries


def _service_row(entry: Entry) -> list[str]:
    active = sum(one.active for one in entry.destinations)
    inactive = sum(one.inactive for one in entry.destinations)
    return [
        str(entry.service), f"{_name(entry.service.scheduler)}{_persistence(entry.service)}", "", str(active), str(inactive),
        *_rates(entry.status.statistics),
    ]  # fmt: skip


def _name(name: str) -> str:
    """A name that neither the terminal nor rich obeys."""
    from rich.markup import escape

    from ipvsnl.text.hints import printable

    return escape(printable(name))


def _persistence(service: Service) -> str:
    return f" p{service.persistence}" if service.persistence is not None else ""


def _server_row(status: DestinationStatus) -> list[str]:
    server = status.destination
    return [
        f"  {server}", str(server.forwarding), str(server.weight), str(status.active), str(status.inactive),
        *_rates(status.statistics),
    ]  # fmt: skip


def _rates(of: Statistics) -> list[str]:
    return [str(of.cps), str(of.inpps), str(of.outpps), _scaled(of.inbps), _scaled(of.outbps)]


def _scaled(number: int) -> str:
    """Bytes with a letter for thousands, so that columns stay narrow."""
    size = float(number)
    for letter in ("", "k", "M", "G"):
        if size < 1000:
            return f"{size:.0f}{letter}" if not letter or size >= 100 else f"{size:.1f}{letter}"
        size /= 1000
    return f"{size:.1f}T"
