"""The connection table: lookups by packet bytes, lives and deaths (net/netfilter/ipvs/ip_vs_conn.c, Linux 6.1).

There is a dictionary for each direction and protocol. Where two connections have one key, the newest is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ipvssim._compiling import mypyc_attr
from ipvssim._parts import Part
from ipvssim.behaviours import BEHAVIOURS, Behaviours
from ipvssim.clock import Clock
from ipvssim.net.packets import Packet
from ipvssim.path.connections import (
    F_ALIVE,
    F_NO_CPORT,
    F_ONE_PACKET,
    F_TEMPLATE,
    F_TRACKED,
    GONE,
    LATE,
    NO_PORTS,
    TEMPLATE_ASSURED,
    ConnectionEntry,
    EngineTemplate,
    reply_key,
)
from ipvssim.path.loads import Loads
from ipvssim.path.memory import Memory
from ipvssim.path.shadowed import Hashed, Shadowed

if TYPE_CHECKING:
    from ipvssim.state.services import RealServer
    from ipvssim.state.table_rows import TableRows


@mypyc_attr(allow_interpreted_subclasses=True)
class Elsewhere(Part):
    """Who else keeps connections of a table, in a form of its own (:mod:`ipvssim.lane`), and gives them back when they are
    looked for. Of two with one key, those of the table are always the newer."""

    def seek(self, packet: Packet) -> None:
        """Give back what a packet may be about: called with each that comes in, and with each that was put together."""
        raise NotImplementedError

    def gather(self) -> None:
        """Give everything back."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionTable(Loads):
    """The connection table of one namespace. ``behaviours`` are those of the release."""

    def __init__(self, clock: Clock, behaviours: Behaviours = BEHAVIOURS) -> None:
        super().__init__(clock, behaviours)
        self._behaviours = behaviours
        self._requests = Shadowed()
        self._replies = Shadowed()
        self._templates = Shadowed()
        self.requests = self._requests.by_protocol
        """Protocol and request key to connection."""
        self.replies = self._replies.by_protocol
        """Protocol and reply key to connection. Templates stand here too: a reply to client port 0 may find one, whose state
        it then spoils (``ip_vs_conn_out_get`` looks at no flag)."""
        self.made_as: Callable[[int, bytes, int], type[ConnectionEntry]] | None = None
        """With a helper loaded: what a new connection is by its protocol, virtual port and flags."""
        self.waiting = 0
        """How many connections wait for a client whose port is not known."""
        self.memory: Memory | None = None
        """Told of every connection that begins and ends, where somebody wants explanations."""
        self.flags_of_new = F_ALIVE
        """Given to every new connection: with F_TRACKED while the tunable ``conntrack`` is set."""
        self.untrack: Callable[[ConnectionEntry], object] | None = None
        """Called with a connection that keeps connection-tracking entries, when it goes."""
        self.rows: TableRows | None = None
        """Told of every connection that is hashed, where rows follow connections."""
        self.elsewhere: Elsewhere | None = None
        """Who keeps connections that are not in these dictionaries, once somebody does."""

    def __iter__(self) -> Iterator[ConnectionEntry]:
        self.gather()
        yield from self._requests
        yield from self._templates

    def __len__(self) -> int:
        self.gather()
        return len(self._requests) + len(self._templates)

    # --- life ---

    def open(
        self, protocol: int, key: bytes, address: bytes, port: bytes, flags: int, server: RealServer | None, mark: int
    ) -> ConnectionEntry:
        """A new connection (or template, by its flag), bound to its server and hashed; its timer is not started yet."""
        every = flags | self.flags_of_new
        if self.made_as is None:  # named, which a compiled module calls at once
            connection = ConnectionEntry(self, protocol, key, address, port, every, server, mark)
        else:
            kind = self.made_as(protocol, key[-2:], flags)
            connection = kind(self, protocol, key, address, port, every, server, mark)
        if server is not None:
            self._bind(connection, server)
        if not flags & F_ONE_PACKET:
            connection.reply_key = reply_key(connection)
            (self._templates if flags & F_TEMPLATE else self._requests).add(protocol, key, connection)
            self._replies.add(protocol, connection.reply_key, connection)
            if self.rows is not None:
                self.rows.opened()
        if self.memory is not None:
            self.memory.began(connection, self.clock.now)
        return connection

    def open_template(
        self, protocol: int, key: bytes, address: bytes, port: bytes, flags: int, server: RealServer, mark: int,
        engine: tuple[str, bytes],
    ) -> ConnectionEntry:  # fmt: skip
        """A template of a persistence engine's (its name, and what it read in the packet): only that finds it."""
        template = EngineTemplate(self, protocol, key, address, port, flags | self.flags_of_new, server, mark)
        template.engine, template.engine_data = engine
        self._bind(template, server)
        self._templates.add(protocol, key + template.engine_data, template)
        if self.rows is not None:
            self.rows.opened()
        if self.memory is not None:
            self.memory.began(template, self.clock.now)
        return template

    def known(self, protocol: int, key: bytes) -> ConnectionEntry | None:
        """The connection that a request belongs to, if need be one that waits for any port of that client
        (``ip_vs_conn_in_get``). Of a request from port 0 only the latter is found."""
        index = self._requests.by_protocol.get(protocol, {})
        found = index.get(key) if key[-4:-2] != NO_PORTS else None
        if found is None and self.waiting:
            found = index.get(key[:-4] + NO_PORTS + key[-2:])
            if found is not None and not found.flags & F_NO_CPORT:
                found = None
        return found

    def wait(self, connection: ConnectionEntry) -> None:
        """It waits for a client whose port is not known."""
        connection.flags |= F_NO_CPORT
        self.waiting += 1

    def fill(self, connection: ConnectionEntry, port: bytes) -> None:
        """The client that it waited for has come, from that port (``ip_vs_conn_fill_cport``)."""
        self._unhash(connection)
        connection.flags ^= F_NO_CPORT
        self.waiting -= 1
        connection.key = connection.key[:-4] + port + connection.key[-2:]
        connection.reply_key = reply_key(connection)
        self._requests.add(connection.protocol, connection.key, connection)
        self._replies.add(connection.protocol, connection.reply_key, connection)

    def used(self, connection: ConnectionEntry) -> None:
        """A packet is done with it (``ip_vs_conn_put``): its timer starts anew, a one-packet connection ends."""
        if connection.flags & F_ONE_PACKET:
            self.expire(connection)
        else:
            connection.start(connection.timeout)

    def expire(self, connection: ConnectionEntry) -> None:
        """Its timer fired, or it was told to go: it goes unless it still controls others (``ip_vs_conn_expire``)."""
        if connection.controlled:
            if self.log is not None:
                self.log.delayed(connection)
            connection.timeout = LATE
            connection.start(LATE)
            return
        if not connection.flags & F_ALIVE:  # its last controlled connection took it along
            return
        connection.flags ^= F_ALIVE
        if self.memory is not None:
            self.memory.ended(connection, self.clock.now)
        if connection.pending:
            connection.cancel()
        self._unhash(connection)
        if connection.flags & F_NO_CPORT:
            self.waiting -= 1
        control = connection.control
        if control is not None:
            connection.control = None
            control.controlled -= 1
            if self.log is not None:
                self.log.controls("DELeting", connection, control)
            if not connection.timeout and not control.controlled and not _worth_keeping(control):
                if self.log is not None:
                    self.log.drops("drop controlling connection")
                self.drop(control)
        if connection.flags & F_TRACKED and not connection.flags & F_ONE_PACKET and self.untrack is not None:
            self.untrack(connection)
        if connection.server is not None:
            self._unbind(connection, connection.server)

    def drop(self, connection: ConnectionEntry) -> None:
        """Remove it at once, and its template with it if that is of no more use (``ip_vs_conn_del``).

        Without ``template_states`` the template is told to go first: as long as it controls others it stays another minute.
        """
        if self.template_states:
            connection.timeout = 0
        elif connection.control is not None:
            self.expire(connection.control)
        self.expire(connection)

    def flush(self) -> None:
        """Remove everything: connections first, so that templates are free to go."""
        self.gather()
        for connection in list(self._requests):
            self.drop(connection)
        for template in list(self._templates):
            self.drop(template)

    # --- those that are kept elsewhere ---

    def gather(self) -> None:
        """Let all connections be here."""
        if self.elsewhere is not None:
            self.elsewhere.gather()

    def here(self) -> list[ConnectionEntry]:
        """The connections that are here, templates left out."""
        return list(self._requests)

    def reply_keys(self) -> list[tuple[int, bytes]]:
        """Protocol and key of all replies to what is here, templates included."""
        return [(protocol, key) for protocol, index in self.replies.items() for key in index]

    def watch(self, requests: list[Hashed] | None, replies: list[Hashed] | None) -> None:
        """Append to these lists what is hashed from now on, by its keys; None: do not."""
        self._requests.fresh, self._replies.fresh = requests, replies

    def is_alone(self, connection: ConnectionEntry) -> bool:
        """Whether it is here, and no other has one of its keys."""
        protocol = connection.protocol
        return self._requests.is_alone(protocol, connection.key, connection) and self._replies.is_alone(
            protocol, connection.reply_key, connection
        )

    def take_out(self, connection: ConnectionEntry) -> None:
        """Somebody else keeps it from now on; its server does not notice."""
        self._unhash(connection)
        connection.withdraw()

    def put_back(self, connection: ConnectionEntry, expires: int) -> None:
        """It is kept here again, its time over at the jiffy ``expires``; those here with the same keys are newer."""
        connection.reply_key = reply_key(connection)
        self._requests.add_oldest(connection.protocol, connection.key, connection)
        self._replies.add_oldest(connection.protocol, connection.reply_key, connection)
        connection.resume_late(expires, connection.timeout // self.clock.jiffy)

    # --- templates ---

    def template(self, protocol: int, key: bytes) -> ConnectionEntry | None:
        """The newest template of that key; an engine's has what it read at the key's end."""
        found = self._templates.by_protocol.get(protocol, {}).get(key)
        if self.log is not None:
            self.log.template(protocol, key, found=found is not None)
        return found

    def orphan(self, template: ConnectionEntry) -> None:
        """Make an unusable template unfindable; it runs out its time with ports FFFF (``ip_vs_check_template``).

        By the virtual port the kernel knows one that it did this to: that of a service of port FFFF is found as before.
        """
        keeps = self._behaviours.dead_templates_keep_ports
        if (template.port if keeps else template.virtual_port) != GONE:
            self._unhash(template)
            if not keeps:
                template.key = template.key[:-4] + NO_PORTS + GONE
            template.port = GONE
            if isinstance(template, EngineTemplate):
                self._templates.add(template.protocol, template.key + template.engine_data, template)
                return
            template.reply_key = reply_key(template)
            self._templates.add(template.protocol, template.key, template)
            self._replies.add(template.protocol, template.reply_key, template)

    def control(self, connection: ConnectionEntry, template: ConnectionEntry) -> None:
        """``template`` placed ``connection``."""
        connection.control = template
        template.controlled += 1
        if self.log is not None:
            self.log.controls("ADDing", connection, template)

    # --- servers ---

    def sweep(self) -> None:
        """Remove the connections of servers that are gone, and templates left without use
        (``ip_vs_expire_nodest_conn_flush``). The kernel goes by its hash, which is another after each boot: whether a
        template outlives connections that others control (FTP's data) depends on it. Mostly it does, as here, where it is
        looked at before they are gone."""
        self.gather()
        for connection in [*self._templates, *self._requests]:
            server = connection.server
            gone_with_another = not connection.flags & F_ALIVE
            if gone_with_another or server is None or server.available or connection.controlled:
                continue
            template = connection.control
            if self.log is not None:
                self.log.drops("del connection")
            self.drop(connection)
            if template is not None and not template.controlled:
                if self.log is not None:
                    self.log.drops("del controlling connection")
                self.drop(template)

    def _unhash(self, connection: ConnectionEntry) -> None:
        flags = connection.flags
        if flags & F_TEMPLATE and isinstance(connection, EngineTemplate):
            self._templates.remove(connection.protocol, connection.key + connection.engine_data, connection)
            return
        if not flags & F_ONE_PACKET:
            index = self._templates if flags & F_TEMPLATE else self._requests
            index.remove(connection.protocol, connection.key, connection)
            self._replies.remove(connection.protocol, connection.reply_key, connection)


def _worth_keeping(control: ConnectionEntry) -> bool:
    return bool(control.flags & F_TEMPLATE and control.state & TEMPLATE_ASSURED)
