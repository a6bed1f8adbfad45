"""Connections go over: into the lane's store, and back into the director's table, with all that they are."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from ipvsnl.consts import AF_INET
from ipvssim.lane.mirror import Mirror
from ipvssim.lane.native import ffi, lib
from ipvssim.net.packets import AH, ESP, GRE, ICMP, IPIP, TCP, UDP, Packet, quote
from ipvssim.path.connections import DIRECT, F_ALIVE, F_INACTIVE, F_NO_OUTPUT, MASQUERADE, METHOD, ConnectionEntry
from ipvssim.path.forwarding.tunnel import KIND_GUE
from ipvssim.path.protocols import ISAKMP, tcp

if TYPE_CHECKING:
    from ipvssim.path.director import Director
    from ipvssim.path.shadowed import Hashed

_KEY: Final = Struct("!IIHH")
_PLAIN: Final = METHOD | F_ALIVE | F_INACTIVE | F_NO_OUTPUT
_METHODS: Final = frozenset((MASQUERADE, DIRECT))
_AT_ONCE: Final = 4096
_MOST: Final = 0xFFFFFFFF
NO_TAG: Final = 0xFFFFFFFF


class Tags(Protocol):
    """Who wants to know connections again that come back from the lane: by numbers of their own."""

    def number(self, connection: ConnectionEntry) -> int:
        """The number of a connection; NO_TAG: it has none."""

    def taken(self, connection: ConnectionEntry) -> None:
        """The lane has it now."""

    def given(self, connection: ConnectionEntry, number: int) -> None:
        """The one of that number came back."""


class Keeping:
    """The connections that the lane keeps."""

    def __init__(self, handle: Any, director: Director, mirror: Mirror) -> None:
        self._handle = handle
        self._director = director
        self._table = director.connection_table
        self._mirror = mirror
        self._jiffy = director.clock.jiffy
        self._entries = ffi.new("struct lane_entry[]", _AT_ONCE)
        self._entry = ffi.new("struct lane_entry *")
        self.tags: Tags | None = None

    # --- in ---

    def take_all(self) -> None:
        """Keep whatever is plain of the table; whose keys stay there is noted."""
        for connection in self._table.here():
            self.take(connection)
        lib.lane_forget_foreign(self._handle)
        for connection in self._table.here():
            self._leave(connection.protocol, connection.key)
        for protocol, key in self._table.reply_keys():
            self._leave(protocol, key)

    def take_fresh(self, requests: Iterable[Hashed], replies: Iterable[Hashed]) -> None:
        """The same of what was hashed of late."""
        for protocol, key, connection in requests:
            if not self._table.is_alone(connection) or not self.take(connection):
                self._leave(protocol, key)
        for protocol, key, _ in replies:
            if key in self._table.replies.get(protocol, {}):
                self._leave(protocol, key)

    def take(self, connection: ConnectionEntry) -> bool:
        """Keep a connection, where it is plain."""
        server, entry = connection.server, self._entry
        if server is None or not self._is_plain(connection):
            return False
        number = self._mirror.numbers.get(server)
        if number is None or not lib.lane_servers(self._handle)[number].usable:
            return False
        entry.client, entry.virtual_address, entry.client_port, entry.virtual_port = _KEY.unpack(connection.key)
        entry.server, entry.flags, entry.state = number, connection.flags, connection.state
        entry.protocol, entry.in_packets = connection.protocol, connection.in_packets
        entry.timeout, entry.expires = connection.timeout // self._jiffy, connection.expires // self._jiffy
        entry.tag = self.tags.number(connection) if self.tags is not None else NO_TAG
        kept = lib.lane_keep(self._handle, entry)
        if kept < 0:
            raise MemoryError("the connections of the lane")
        if kept:
            self._table.take_out(connection)
            if self.tags is not None:
                self.tags.taken(connection)
        return bool(kept)

    def _is_plain(self, connection: ConnectionEntry) -> bool:
        server = connection.server
        assert server is not None
        service, port = server.service, server.port.to_bytes(2, "big") if server.port else connection.virtual_port
        return (
            type(connection) is ConnectionEntry
            and connection.protocol in (TCP, UDP)
            and len(connection.key) == 12
            and connection.pending
            and not connection.flags & ~_PLAIN
            and bool(connection.flags & F_ALIVE)
            and connection.method in _METHODS
            and connection.control is None
            and not connection.controlled
            and not connection.mark
            and server.available
            and service is not None
            and connection.virtual == service.address
            and (connection.address, connection.port) == (server.address, port)
            and connection.state < (len(tcp.STATES) if connection.protocol == TCP else 1)
            and not connection.timeout % self._jiffy
            and 0 < connection.timeout // self._jiffy <= _MOST
            and connection.in_packets < _MOST
            and self._table.is_alone(connection)
        )

    def _leave(self, protocol: int, key: bytes) -> None:
        """Packets with that key are the general way's."""
        if protocol in (TCP, UDP) and len(key) == 12 and lib.lane_foreign(self._handle, *_KEY.unpack(key), protocol):
            raise MemoryError("the keys of the lane")

    # --- out ---

    def give(self, protocol: int, key: bytes) -> None:
        """Give back what a packet with that key, or one of the other direction, may meet."""
        if len(key) != 12:
            return
        source, destination, port, to = _KEY.unpack(key)
        for one in ((source, destination, port, to), (destination, source, to, port)):
            given = _AT_ONCE
            while given == _AT_ONCE:
                given = lib.lane_give(self._handle, *one, protocol, self._entries, _AT_ONCE)
                self._put_back(given)

    def give_all(self) -> None:
        """Give everything back."""
        while given := lib.lane_drain(self._handle, self._entries, _AT_ONCE):
            self._put_back(given)

    def seek(self, packet: Packet) -> None:
        """Give back what a packet may be about: itself, a reply to it, or what it quotes."""
        if packet.family != AF_INET:
            return
        protocol = packet.protocol
        if protocol in (TCP, UDP):
            self.give(protocol, packet.key)
        elif protocol in (AH, ESP):
            self.give(UDP, packet.source + packet.destination + ISAKMP)
        elif protocol == ICMP:
            body = packet.data[packet.offset + 8 :]
            quoted = quote(body, AF_INET, reverse=False, any_version=True, any_length=True)
            if quoted is not None:
                self._seek_quoted(quoted)

    def _seek_quoted(self, quoted: Packet) -> None:
        protocol = quoted.protocol
        if protocol in (AH, ESP):
            self.give(UDP, quoted.source + quoted.destination + ISAKMP)
        elif protocol in (TCP, UDP):
            self.give(protocol, quoted.key)
            accounts = self._director.accounts
            if protocol == UDP and accounts.tunnel_kind(quoted.destination, quoted.port) == KIND_GUE:
                self.give_all()
        elif protocol in (IPIP, GRE):  # what is wrapped in it may be anybody's
            self.give_all()

    def _put_back(self, count: int) -> None:
        table, servers = self._table, self._mirror.servers
        for entry in self._entries[0:count]:
            server = servers[entry.server]
            assert server is not None
            key = _KEY.pack(entry.client, entry.virtual_address, entry.client_port, entry.virtual_port)
            port = server.port.to_bytes(2, "big") if server.port else key[-2:]
            connection = ConnectionEntry(table, entry.protocol, key, server.address, port, entry.flags, server, 0)
            connection.state, connection.in_packets = entry.state, entry.in_packets
            connection.timeout = entry.timeout * self._jiffy
            table.put_back(connection, entry.expires)
            if self.tags is not None and entry.tag != NO_TAG:
                self.tags.given(connection, entry.tag)
