"""``keepalived.conf`` as a wanted table: what keepalived makes of it while every health check is content.

Recorded of keepalived 2.2.7 in a real kernel (``tests/data/keepalived``): a virtual server without a protocol is UDP, one
without a real server is none, and direct routing and tunnels take the service's port. Where keepalived passes over a wrong
value or an unknown keyword, a value is an error here, and a keyword is noted.
"""

from __future__ import annotations

from glob import glob
from os import uname
from os.path import abspath, dirname, join

from ipvsnl.model import Timeouts
from ipvsnl.tables.keepalived_groups import Group, number_of
from ipvsnl.tables.keepalived_servers import Virtual
from ipvsnl.tables.keepalived_words import Reader, Statement, at, wrong
from ipvsnl.tables.table import Table, TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = frozenset((
    "bfd_instance", "checkers", "child_wait_time", "config_save_dir", "daemon", "dbus_service_name", "dump_file",
    "garp_group", "instance", "interface_up_down_delays", "linkbeat_interfaces", "linkbeat_use_polling",
    "random_seed", "SSL", "static_ipaddress", "static_neighbors", "static_routes", "static_rules",
    "static_track_group", "track_file", "track_group", "track_process", "use_pid_dir", "vrrp_instance", "vrrp_script",
    "vrrp_sync_group", "vrrp_track_file", "vrrp_track_process",
))  # fmt: skip
"""Keywords of the top that are about other things."""
_TIMEOUTS = {"tcp": "tcp", "tcpfin": "tcp_fin", "udp": "udp"}


def read(text: str, source: str = "", folder: str | None = None) -> Table:
    """The table; TableError names the file and the line at fault. ``folder`` None: it may include nothing."""
    reader = Reader(None if folder is None else _files, uname().nodename.partition(".")[0])
    statements = reader.read(text, folder or "")
    table = Table(source)
    groups: dict[str, Group] = {}
    virtual: list[Statement] = []
    unknown: list[Statement] = []
    for one in statements:
        word = one.words[0]
        if word == "virtual_server_group":
            name = one.words[1] if len(one.words) > 1 else ""
            groups[name] = Group(one)
        elif word == "virtual_server":
            virtual.append(one)
        elif word == "global_defs":
            _global(table, one)
        elif word in ("net_namespace", "net_namespace_ipvs"):
            table.notes.append(
                f"{at(one.place)}: {' '.join(one.words)}: the table belongs into that namespace (--netns)"
            )
        elif word not in _OTHERS:
            unknown.append(one)
            table.notes.append(f"{at(one.place)}: {word!r} is no keyword of keepalived's that is known here: left out")
    if unknown and len(unknown) == len(statements):  # an empty table, pruned, would be the end of the live one
        raise wrong(
            unknown[0].place, f"nothing here is keepalived's: {unknown[0].words[0]!r} is no keyword that is known"
        )
    for one in virtual:
        _add(table, Virtual(one, groups, table.notes))
    table.notes += [f"{at(place)}: {name} is not there: left out" for place, name in reader.missing]
    if reader.left_out:
        lines = ", ".join(map(at, reader.left_out[:5])) + (", ..." if len(reader.left_out) > 5 else "")
        table.notes.append(f"{lines}: left out, for this machine's name does not fit their @")
    return table


def _global(table: Table, definitions: Statement) -> None:
    """The timeouts of connections; that there are synchronisation daemons is noted, for they are no table."""
    for one in definitions.block or []:
        if one.words[0] == "lvs_sync_daemon":
            table.notes.append(f"{at(one.place)}: synchronisation daemons are no part of a table: left out")
        elif one.words[0] == "lvs_timeouts":
            seconds: dict[str, int] = {}
            for index in range(1, len(one.words), 2):
                name = _TIMEOUTS.get(one.words[index])
                if name is None:
                    raise wrong(one.place, f"{one.words[index]!r} is none of {', '.join(_TIMEOUTS)}")
                seconds[name] = number_of(one, index + 1, 1, 31 * 24 * 3600, one.words[index])
            table.timeouts = Timeouts(**seconds)


def _add(table: Table, virtual: Virtual) -> None:
    line = 0 if virtual.place[0] else virtual.place[1]
    for service in virtual.services():
        key = service.key
        if key in table.services:  # keepalived adds the servers of both to the first one
            table.notes.append(f"{at(virtual.place)}: {service} is there already: only its servers are taken")
        else:
            table.add_service(service, line)
        for server, place in virtual.servers_of(service):
            if server.key in table.servers[key]:
                table.notes.append(f"{at(place)}: {service} {server} is there already: left out")
            else:
                table.add_server(service, server, 0 if place[0] else place[1])


def _files(pattern: str, folder: str) -> Iterator[tuple[str, str, str]]:
    """The files that are meant, in the order of their names; a file's own includes begin where it lies."""
    for name in sorted(glob(join(folder, pattern))):  # noqa: PTH118, PTH207
        try:
            with open(name, encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # noqa: PTH123
                text = file.read()
        except OSError as fault:
            raise TableError(f"{name}: {fault.strerror or fault}") from None
        yield name, dirname(abspath(name)), text  # noqa: PTH100, PTH120
